"""Compiled models: the loss of an example and its gradient become one program, and so does the optimiser's step.

A model is run once on Values that stand for any example, with the loss; the optimiser's rule once on Values that stand
for any weight. What they do is the same as ever, so the numbers are too, to the last digits.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice
from math import isfinite
from numbers import Integral
from reprlib import repr as short
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.collecting import collecting_rarely
from autograd_lite.compiler.descent import Descent
from autograd_lite.compiler.function import backend_of
from autograd_lite.compiler.kernel import Tiles
from autograd_lite.compiler.lowering import lowered
from autograd_lite.compiler.module import Rule
from autograd_lite.compiler.program import Program
from autograd_lite.compiler.schedule import scheduled
from autograd_lite.compiler.tracing import Trace, watched

from . import losses
from .epochs import Diverged, run
from .history import DivergenceError, History
from .losses import AnyTarget
from .modules import Module
from .optim import Optimizer, RuleOptimizer
from .progress import Progress
from .tasks import Example, Loss, Tally, Target, Task, examples_of, optimizer_for, outputs_of, rows_of, task_of

__all__ = ["Batch", "CompiledModel", "compile"]

_TRACEABLE = (
    losses.half_sse, losses.mse, losses.mae, losses.huber, losses.hinge, losses.binary_cross_entropy,
    losses.cross_entropy,
)  # fmt: skip
_MOST_CLASSES = 100
_TRIED = 8  # examples on which a compiled loss is compared with the loss itself
_HARMLESS = 0.5
_SECONDS = 0.1  # for one native call: Ctrl-C waits no longer
_WORK = 300_000_000  # rows times weights that so long is enough for, roughly
_MOST_STEPS = 1000  # in one native call: each may have numbers of its own


def compile(model: Module, loss: Loss | None = None, optimizer: Optimizer | None = None) -> CompiledModel:
    """Compile a model with its loss, for predicting and training at the speed of hand-written machine code.

    Args:
        model: What to compile.
        loss: As for `fit`; by default chosen by the targets when there are some.
        optimizer: What moves the parameters: one of `nn.optim`, by default `Adam(model.parameters(), lr=0.01)`.

    Raises:
        TypeError: An argument is not of its kind.
        ImportError: The extra `compile` is not installed.

    >>> import nn
    >>> X, y = nn.data.moons(100, seed=0)
    >>> model = nn.MLP(2, [8, 1], seed=0)
    >>> compiled = compile(model)
    >>> history = compiled.fit(X, y, epochs=500, progress=False)
    >>> nn.evaluate(model, X, y)["accuracy"] > 0.95
    True
    """
    return CompiledModel(model, loss, optimizer)


class _Kind(NamedTuple):
    """What targets are: several numbers, one number, or the index of one of these classes."""

    numbers: int
    is_one: bool
    classes: tuple[int, ...] = ()


class Batch:
    """Examples made ready for a compiled model, by its `batch`.

    Attributes:
        model: The model they are for.
        rows: An array with a row for each example: its inputs, then the numbers of its target; not to be written to.
    """

    def __init__(self, model: Module, rows: Any, task: Task, kind: _Kind) -> None:
        self.model, self.rows, self.task, self.kind = model, rows, task, kind
        self.planned: _Planned | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return Batch, (self.model, self.rows, self.task, self.kind)


class CompiledModel:
    """Predict and train with machine code; `nn.compile` makes one.

    The parameters are read from the model before each use, and what a step makes of them flows back to it. In a `with`
    block they stay here until it ends, which is much faster for single steps; what the optimiser is set to, but for its
    learning rate, is then settled too.

    Attributes:
        model, loss, optimizer: As given.

    >>> import nn
    >>> model = nn.Neuron(1, init=lambda n_in, n_out, rng: [[0.5]])
    >>> compiled = nn.compile(model, nn.losses.half_sse, nn.SGD(model.parameters(), lr=0.1))
    >>> compiled.step([[2.0]], [3.0]), model.w[0].data
    (2.0, 0.9)
    >>> batch = compiled.batch([[2.0]], [3.0])
    >>> with compiled:
    ...     loss = compiled.step(batch, times=100)
    >>> round(compiled.predict([[2.0]])[0][0], 6)
    3.0
    """

    def __init__(self, model: Module, loss: Loss | None = None, optimizer: Optimizer | None = None) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"model must be a Module, such as MLP(2, [8, 1]), got {short(model)}")
        if loss is not None and not callable(loss):
            raise TypeError(f"loss must be a function such as nn.losses.mse, got {short(loss)}")
        backend_of("native")
        self.model, self.loss = model, loss
        self.optimizer = optimizer_for(model, optimizer)
        if not isinstance(self.optimizer, RuleOptimizer):
            raise TypeError(
                f"{type(self.optimizer).__name__} has no rule to compile; let it derive from nn.optim.RuleOptimizer"
            )
        if set(self.optimizer.parameters) != set(model.parameters()):
            raise ValueError("compiled training moves all parameters of the model; give an optimizer of just those")
        self._parameters = model.parameters()
        self._descents: dict[Any, Descent] = {}
        self._predictors: dict[int, Tiles] = {}
        self._held: Descent | None = None  # whose weights are ahead of the model's, in a `with` block
        self._depth = 0

    # ---- what it does

    def predict(self, X: Any) -> Any:
        """Return the model's outputs for each row: lists of numbers, or an array if X is one; errors as for `fit`."""
        import numpy as np

        rows = _table(rows_of(X))
        memory_of = self._predictor(rows)
        memory = memory_of.memory(len(rows))
        memory.uniform[len(memory_of.constants) :] = self._weights()
        out = memory_of.run(rows, memory)
        return out if isinstance(X, np.ndarray) else out.tolist()

    def batch(self, X: Iterable[Iterable[float]], y: Iterable[Any]) -> Batch:
        """Make examples ready, once, for many steps; errors as for `fit`."""
        examples = examples_of(X, y)
        task = task_of(self.model, examples, self.loss)
        return _batch(self.model, examples, task)

    def loss_and_grad(self, X: Any, y: Any = None) -> tuple[float, Any]:
        """Return the mean loss of examples, or of a `Batch`, and its gradient: an array, as `model.parameters()`."""
        batch = self._ready(X, y)
        descent = self._descent(batch)
        try:
            loss, _ = descent.measure(batch.rows)
            return loss, descent.gradient.copy()
        finally:
            if not self._depth:
                self._held = None  # the model's may be changed before they are used again

    def step(self, X: Any, y: Any = None, times: int = 1) -> float:
        """Move the parameters by the gradient of the mean loss of examples, or of a `Batch`, once or many times.

        Returns:
            The loss before the last of these steps.

        Raises:
            DivergenceError: A loss, or what a step makes of a parameter, is infinite or nan; the parameters are as
                before that step.
        """
        if type(X) is Batch and y is None:
            planned = X.planned
            if planned is not None and planned.descent is self._held and planned.times == times:
                return planned.take()  # nothing to make ready: one native call
        if isinstance(times, bool) or not isinstance(times, Integral) or times < 1:
            raise ValueError(f"times must be a whole number, 1 or more, got {short(times)}")
        batch = self._ready(X, y)
        descent = self._descent(batch)
        most = max(1, min(_MOST_STEPS, _WORK // (len(batch) * len(self._parameters))))
        taken, times = 0, int(times)
        try:
            while times - taken > most:
                self._planned(batch, descent, most).take(after=taken)
                taken += most
            return self._planned(batch, descent, times - taken).take(after=taken)
        finally:
            if not self._depth:
                self._flow_back()

    def _planned(self, batch: Batch, descent: Descent, times: int) -> _Planned:
        planned = batch.planned
        if planned is None or planned.descent is not descent or planned.times != times:
            planned = batch.planned = _Planned(batch, descent, times, self._rule)
        return planned

    def fit(
        self,
        X: Iterable[Iterable[float]],
        y: Iterable[Any],
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: Iterable[Any] | None = None,
        seed: int = 0,
        progress: Progress = None,
        record: bool = False,
    ) -> History:
        """Train the model as `nn.fit` does, which see: the same arguments, and the same history to the last digits."""
        return run(
            self._trainer, self.model, X, y, loss=self.loss, optimizer=self.optimizer, epochs=epochs,
            batch_size=batch_size, validation=validation, seed=seed, progress=progress, record=record,
        )  # fmt: skip

    def __enter__(self) -> CompiledModel:
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._depth -= 1
        if not self._depth:
            self._flow_back()

    def __repr__(self) -> str:
        return f"<compiled {self.model!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        self._flow_back()  # machine code stays here: the copy compiles anew what its model has now
        return CompiledModel, (self.model, self.loss, self.optimizer)

    # ---- weights, here and in the model

    def _weights(self) -> Any:
        return [w.data for w in self._parameters] if self._held is None else self._held.weights

    def _flow_back(self) -> None:
        """Bring the weights, and what the optimiser remembers of them, back to where they belong."""
        descent, self._held = self._held, None
        if descent is None:
            return
        for w, data in zip(self._parameters, descent.weights.tolist(), strict=True):
            w.data = data
        state = zip(*(part.tolist() for part in descent.state), strict=True)
        remembered = dict(zip(self._parameters, state, strict=True)) if len(descent.state) else {}
        self._rule.state[:] = [remembered.get(w, ()) for w in self.optimizer.parameters]

    def _bring(self, descent: Descent) -> Descent:
        """Have a descent hold the weights and what the optimiser remembers."""
        if self._held is not descent:
            self._flow_back()
            remembered = dict(zip(self.optimizer.parameters, self._rule.state, strict=True))
            state = [[remembered[w][k] for w in self._parameters] for k in range(self._rule.remembers)]
            descent.put(self._weights(), state)
            self._held = descent
        return descent

    @property
    def _rule(self) -> RuleOptimizer:
        return self.optimizer  # type: ignore[return-value]

    # ---- programs

    def _ready(self, X: Any, y: Any) -> Batch:
        if isinstance(X, Batch):
            if y is not None:
                raise TypeError("a Batch has its targets; give it alone")
            if X.model is not self.model:
                raise ValueError("this Batch was made ready for another model; make one by this one's batch(X, y)")
            return X
        if y is None:
            raise TypeError("give the targets too, one for each row of X, or a Batch that `batch` has made")
        return self.batch(X, y)

    def _descent(self, batch: Batch) -> Descent:
        key = batch.kind, batch.task.loss, _constants_of(self._rule)
        if key not in self._descents:
            with collecting_rarely(1_000_000):
                self._descents[key] = self._made(batch)
        return self._bring(self._descents[key])

    def _made(self, batch: Batch) -> Descent:
        kind = batch.kind
        width = batch.rows.shape[1] - kind.numbers
        gradient = _gradient_program(self.model, batch.task.loss, kind, batch.rows[0].tolist(), width)
        descent = Descent(gradient, width + kind.numbers, len(self._parameters), _rule_of(self._rule))
        self._check(descent, batch)
        return descent

    def _check(self, descent: Descent, batch: Batch) -> None:
        """Compare the compiled loss with the loss itself on a few examples: it may treat its target in strange ways."""
        nothing = [0.0] * self._rule.remembers
        descent.put([w.data for w in self._parameters], nothing)  # those the model computes with
        width = batch.rows.shape[1] - batch.kind.numbers
        seen: dict[Any, Any] = {tuple(row[width:]): row for row in batch.rows[::-1].tolist()}
        for row in islice(seen.values(), _TRIED):
            target = _target_of(row[width:], batch)
            with al.no_grad():
                wanted = batch.task.loss(outputs_of(self.model, tuple(row[:width])), target).data
            found, _ = descent.measure(_table([row]))
            if abs(found - wanted) > 1e-9 * max(1.0, abs(wanted)) or isfinite(found) != isfinite(wanted):
                raise ValueError(
                    f"the loss can't be compiled: for the target {target!r} it gives {wanted!r}, and {found!r} when "
                    "traced; does it compare its target by == or read it otherwise than by operations?"
                )

    def _predictor(self, rows: Any) -> Tiles:
        width = rows.shape[1]
        if width not in self._predictors:
            inputs, extra = [Value(x) for x in rows[0].tolist()], Value(1.0)
            traced = watched(lambda: outputs_of(self.model, tuple(inputs)), [*inputs, extra, *self._parameters])
            program = lowered(_unguarded(traced).build.program(traced.outputs), width + 1)
            schedule = scheduled(program, width, len(self._parameters))
            self._predictors[width] = Tiles(schedule, width, len(traced.outputs), len(self._parameters))
        return self._predictors[width]

    def _trainer(self, model: Module, task: Task, optimizer: Optimizer, examples: list[Example]) -> _Training:
        return _Training(self, task, _batch(model, examples, task))


class _Training:
    """Take the steps of `fit`, as many in one call as take a tenth of a second."""

    def __init__(self, compiled: CompiledModel, task: Task, batch: Batch) -> None:
        self._compiled, self._task, self._batch = compiled, task, batch
        self._descent = compiled._descent(batch)
        self._steps = self._descent.prepared(batch.rows)
        self._at_once = 1
        self._measured: tuple[list[Example], Batch] = ([], batch)  # examples, as rows of numbers

    def numbers(self) -> array[float]:
        """Return the parameters' numbers."""
        return array("d", self._descent.weights.tolist())

    def measure(self, examples: list[Example]) -> Tally:
        """Measure the model on examples."""
        if examples is not self._measured[0]:
            self._measured = examples, _batch(self._batch.model, examples, self._task, self._batch.kind)
        batch = self._measured[1]
        tally = Tally(self._task)
        _, out = self._descent.measure(batch.rows)
        _tally(tally, out, batch)
        return tally

    def steps(self, batches: list[list[int]], tally: Tally) -> int:
        """Take as many of these steps as a tenth of a second has."""
        import numpy as np

        some = batches[: self._at_once]
        index = np.fromiter((i for batch in some for i in batch), dtype=np.int64)
        stops = np.fromiter(accumulate(map(len, some)), dtype=np.int64)
        ranges = np.stack([stops - [len(batch) for batch in some], stops], axis=1)
        optimizer = self._compiled._rule
        start = perf_counter()
        self._steps.plan(index, ranges, _numbers(optimizer, len(some)), len(some))
        taken = self._steps.take()
        seconds = perf_counter() - start
        optimizer.steps += taken
        done = int(stops[taken - 1]) if taken else 0
        _tally(tally, self._steps.outputs[:done], self._batch, index[:done])
        if taken < len(some):
            raise _diverged(float(self._steps.losses[taken]), taken)
        self._at_once = max(1, min(2 * self._at_once, int(_SECONDS * taken / max(seconds, 1e-9))))
        return taken

    def close(self) -> None:
        """Bring what was learnt back to the model."""
        if not self._compiled._depth:
            self._compiled._flow_back()

    def open(self) -> None:
        """Go on from what the model has now."""
        self._compiled._bring(self._descent)


class _Planned:
    """Steps on one batch, so many at a time."""

    def __init__(self, batch: Batch, descent: Descent, times: int, optimizer: RuleOptimizer) -> None:
        self.descent, self.times = descent, times
        self._batch, self._optimizer = batch, optimizer
        self._steps = descent.prepared(batch.rows, outputs=False)
        self._rate: object = None  # that is planned for
        self._given: Any = None  # the numbers of the steps
        self._constant = False  # whether the numbers of the steps stay the same

    def take(self, after: int = 0) -> float:
        """Take them, after so many others, and return the loss before the last."""
        optimizer, steps = self._optimizer, self._steps
        if optimizer.lr is not self._rate or not self._constant:
            self._plan()
        taken = steps.take()
        optimizer.steps += taken
        if taken < self.times:
            problem = _diverged(float(steps.losses[taken]), taken)
            message = f"step {after + taken + 1}: {problem}; the parameters are as before it"
            raise DivergenceError(message, History(self._batch.task.metric))
        return steps.last_loss.value

    def _plan(self) -> None:
        import numpy as np

        numbers = _numbers(self._optimizer, self.times)
        if self._optimizer.lr is self._rate:
            self._given[:] = numbers
            return
        self._rate, self._constant = self._optimizer.lr, _is_constant(self._optimizer)
        self._given = numbers
        index, ranges = np.arange(len(self._batch)), np.array([[0, len(self._batch)]], dtype=np.int64)
        self._steps.plan(index, ranges, numbers, self.times)


def _constants_of(optimizer: RuleOptimizer) -> str:
    """Return what the rule of an optimiser has in it, such as its momentum: all but what each step is told anew."""
    told = ("lr", "parameters", "state", "steps")
    return repr([(name, value) for name, value in vars(optimizer).items() if name not in told])


def _diverged(loss: float, after: int) -> Diverged:
    return Diverged("the step makes a parameter infinite or nan" if isfinite(loss) else f"the loss is {loss}", after)


def _numbers(optimizer: RuleOptimizer, times: int) -> Any:
    """Return the numbers of the next steps, a row for each, or one row if they do not change."""
    steps = range(optimizer.steps, optimizer.steps + (1 if _is_constant(optimizer) else times))
    return _table([optimizer.step_numbers(optimizer.rate_after(k), k) for k in steps])


def _is_constant(optimizer: RuleOptimizer) -> bool:
    return type(optimizer).step_numbers is RuleOptimizer.step_numbers and not callable(optimizer.lr)


# ---- examples as rows of numbers -------------------------------------------------------------------------------------


def _table(rows: Sequence[Sequence[float]]) -> Any:
    import numpy as np

    return np.array(rows, dtype=np.float64)


def _batch(model: Module, examples: list[Example], task: Task, kind: _Kind | None = None) -> Batch:
    targets = [target for _, target in examples]
    kind = _kind(targets, task.loss) if kind is None else kind
    if kind.classes and not set(targets) <= set(kind.classes):
        raise ValueError("the validation has a class that is not among those trained on")
    rows = _table([(*row, *(target if isinstance(target, tuple) else (target,))) for row, target in examples])
    rows.flags.writeable = False
    return Batch(model, rows, task, kind)


def _kind(targets: list[Target], loss: Loss) -> _Kind:
    first = targets[0]
    if isinstance(first, tuple):
        return _Kind(len(first), False)
    if loss in _TRACEABLE or not all(isinstance(target, int) for target in targets):
        return _Kind(1, True)
    classes = tuple(sorted({int(target) for target in targets}))  # type: ignore[arg-type]
    if len(classes) > _MOST_CLASSES:
        raise ValueError(
            f"a loss of your own is compiled for each integer target by itself, and {len(classes)} are too many; give "
            "targets that are not classes as floats"
        )
    return _Kind(1, True, classes)


def _target_of(numbers: list[float], batch: Batch) -> Any:
    if not batch.kind.is_one:
        return tuple(numbers)
    return int(numbers[0]) if batch.kind.classes or float(numbers[0]).is_integer() else numbers[0]


def _tally(tally: Tally, out: Any, batch: Batch, which: Any = slice(None)) -> None:
    """Add examples to a tally: their outputs and losses, a row for each, and which of a batch they are."""
    outputs, targets = out[:, :-1], batch.rows[which, batch.rows.shape[1] - batch.kind.numbers :]
    tally.total += len(out)
    tally.loss += float(out[:, -1].sum())
    if tally.task.metric == "accuracy":
        several = outputs.shape[1] > 1
        found = outputs.argmax(axis=1) if several else outputs[:, 0] > tally.task.threshold
        tally.correct += int((found == (targets[:, 0] if several else targets[:, 0] > 0.5)).sum())
    else:
        count = min(outputs.shape[1], targets.shape[1])
        tally.numbers += targets.size
        tally.squares += float(((outputs[:, :count] - targets[:, :count]) ** 2).sum())


# ---- programs --------------------------------------------------------------------------------------------------------


def _unguarded(traced: Trace) -> Trace:
    if traced.guards:
        raise ValueError(
            f"{traced.guards[0].where}: the model or its loss branches on a number, which compiled training can't; "
            "write al.where there, or train without compile"
        )
    return traced


def _gradient_program(model: Module, loss: Loss, kind: _Kind, row: Sequence[float], width: int) -> Program:
    """Return the program of a model's outputs, its loss, and, times the example's weight, gradient and loss."""
    inputs = [Value(x) for x in row[:width]]
    targets = [AnyTarget(x) for x in row[width:]]
    weight = Value(1.0)
    parameters = model.parameters()

    def outputs_and_loss() -> list[Value]:
        outputs = outputs_of(model, tuple(inputs))
        return [*outputs, _loss_of(loss, outputs, kind, targets)]

    traced = _unguarded(watched(outputs_and_loss, [*inputs, *targets, weight, *parameters]))
    build, places = traced.build, traced.inputs
    at = width + len(targets)
    weighted = build.apply(al.mul, (places[at], traced.outputs[-1]))
    gradient = build.gradient(weighted, places[at + 1 :])
    return build.program([*traced.outputs, *gradient, weighted])


def _loss_of(loss: Loss, outputs: list[Value], kind: _Kind, targets: list[AnyTarget]) -> Value:
    if not kind.classes:
        return loss(outputs, targets[0] if kind.is_one else targets)
    result = Value(0.0)  # of a class that is none of these, which is refused before
    for each in kind.classes:  # each has a loss of its own, and the target chooses
        is_other = targets[0] - each
        # The losses not chosen see numbers at which hardly anything has a pole: 0 times their slope must be 0.
        seen = [al.where(is_other, _HARMLESS, output) for output in outputs]
        result = al.where(is_other, result, loss(seen, each))
    return result


def _rule_of(optimizer: RuleOptimizer) -> Rule:
    """Trace how an optimiser moves a weight."""
    remembers = optimizer.remembers
    w, g, *rest = (Value(0.5) for _ in range(2 + remembers + len(optimizer.step_numbers(1.0, 0))))
    state, numbers = tuple(rest[:remembers]), tuple(rest[remembers:])

    def move() -> list[Value]:
        moved, remembered = optimizer.rule(w, g, state, numbers, al.sqrt)
        if len(remembered) != remembers:
            raise ValueError(f"{type(optimizer).__name__}.rule remembers {len(remembered)} numbers, not {remembers}")
        return [moved, *remembered]

    traced = _unguarded(watched(move, [w, g, *state, *numbers]))
    return Rule(traced.build.program(traced.outputs), remembers)
