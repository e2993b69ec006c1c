"""Training: fit a model to examples, mini-batch by mini-batch, and measure what it has learnt.

For every mini-batch one graph is recorded, from the inputs to the mean of the losses; one sweep back over it gives
all the gradients, and the optimiser moves the parameters against them.
"""

import csv
import gc
import io
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from math import inf, isfinite, sqrt
from numbers import Integral
from os import PathLike
from reprlib import repr as short
from shutil import get_terminal_size
from time import perf_counter
from typing import Any, TextIO

import autograd_lite as al
from autograd_lite.op import number
from autograd_lite.value import recording

from . import losses
from .data import _integer
from .files import write_atomically
from .init import generator
from .modules import Module
from .optim import Adam, Optimizer

__all__ = ["DivergenceError", "History", "classify", "evaluate", "fit", "predict"]

Record = dict[str, float]
Row = tuple[float, ...]
Target = int | float | tuple[float, ...]  # the index of a class, a number, or a number per output
Example = tuple[Row, Target]
Loss = Callable[[list[al.Value], Any], al.Value]
Progress = Callable[[Record], object] | bool | None
Report = Callable[[float, Record | None], object]

_FOR_NUMBERS = (losses.half_sse, losses.mse, losses.mae, losses.huber)
_FOR_CLASSES = (losses.hinge, losses.binary_cross_entropy, losses.cross_entropy)  # and these take logits


@dataclass(eq=False, repr=False)
class History:
    """What training measured, one record per finished epoch; `history["loss"]` is a column of it.

    Attributes:
        metric: "accuracy" for classes, "rmse" (root-mean-square error) for numbers.
        validated: Whether the records have `validation_loss` and the metric's `validation_` column.
        records: The records, each a dict with `epoch` (from 1), `loss`, the metric, their `validation_`
            counterparts, `learning_rate` (of the epoch's first step) and `seconds`.
        interrupted: Whether Ctrl-C (KeyboardInterrupt) ended the training.
        model: What was trained, as its `repr` says it.
        weights: If they were recorded, all the parameters' numbers in the order of `model.parameters()`: before
            training, then after each finished epoch. `nn.replay` shows them.

    >>> history = History("accuracy", records=[{"epoch": 1, "loss": 0.5, "accuracy": 0.75}])
    >>> history["loss"]
    [0.5]
    >>> len(history)
    1
    >>> history
    History(1 epoch: loss 0.5000, accuracy 0.750)
    """

    metric: str
    validated: bool = False
    records: list[Record] = field(default_factory=list)
    interrupted: bool = False
    model: str = ""
    weights: list["array[float]"] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns.

        >>> History("rmse").names
        ('epoch', 'loss', 'rmse', 'learning_rate', 'seconds')
        """
        measured = ("loss", self.metric)
        validation = tuple(f"validation_{name}" for name in measured) if self.validated else ()
        return ("epoch", *measured, *validation, "learning_rate", "seconds")

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            raise KeyError(f"no column {name!r}; the history has {', '.join(self.names)}")
        return [record[name] for record in self.records]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        count = f"{len(self)} epoch" + "s" * (len(self) != 1)
        measured = f": {', '.join(_measured(self.records[-1]))}" if self.records else ""
        return f"History({count}{measured}{', interrupted' * self.interrupted})"

    def save(self, path: str | PathLike[str]) -> None:
        r"""Write the records to a CSV file, numbers in full, without `seconds`: the same training, the same file.

        Raises:
            OSError: If the file cannot be written.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> record = {"epoch": 1, "loss": 0.5, "rmse": 1.0, "learning_rate": 0.01, "seconds": 2.5}
        >>> with TemporaryDirectory() as folder:
        ...     History("rmse", records=[record]).save(Path(folder) / "history.csv")
        ...     (Path(folder) / "history.csv").read_text()
        'epoch,loss,rmse,learning_rate\n1,0.5,1.0,0.01\n'
        """
        names = [name for name in self.names if name != "seconds"]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        write_atomically(path, text.getvalue())


class DivergenceError(FloatingPointError):
    """Say that a loss or a parameter became infinite or nan; the parameters are as before that mini-batch.

    Attributes:
        history: The `History` of the epochs finished before.

    >>> raise DivergenceError("epoch 1, batch 2: the loss is nan", History("rmse"))
    Traceback (most recent call last):
        ...
    nn.training.DivergenceError: epoch 1, batch 2: the loss is nan
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


def fit(
    model: Module,
    X: Iterable[Iterable[float]],
    y: Iterable[Any],
    *,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    validation: Iterable[Any] | None = None,
    seed: int = 0,
    progress: Progress = None,
    record: bool = False,
    detect_anomaly: bool = False,
) -> History:
    """Train a model on examples, in mini-batches that are shuffled anew each epoch.

    The loss and the metric of an epoch are those of the pass it was trained on, so of parameters that still
    moved; those of the validation are measured at its end.

    Ctrl-C ends the training and keeps what was learnt: the parameters are those after the last whole step, and
    the history is that of the finished epochs. To stop early from `progress`, raise KeyboardInterrupt there.

    Args:
        model: What to train.
        X: One row of finite numbers per example.
        y: One target per row: the index of its class, which is an integer, a number, or a list of numbers.
        loss: A loss of `nn.losses`, or your own function from the outputs and the target of one example to a
            Value. By default, for targets that are integers, `cross_entropy`, or `binary_cross_entropy` if
            the model has one output; for others `mse`.
        optimizer: What moves the parameters; by default `Adam(model.parameters(), lr=0.01)`.
        epochs: How often to go through the examples.
        batch_size: How many examples there are to a step; the last batch of an epoch may have fewer.
        validation: A pair `(X, y)`, such as a `Dataset`, to measure on after each epoch.
        seed: Of the order of the examples. The same seed gives the same parameters, bit for bit.
        progress: None shows a bar on a terminal or in a notebook and otherwise prints a line per epoch; False
            shows nothing; a function is called with the record of each epoch, as in `History.records`.
        record: Whether to keep the parameters of each epoch in `History.weights`, 8 bytes for each number, as
            `nn.replay` wants them.
        detect_anomaly: Whether to stop where a nan or an infinity is born, with the operation, the line of the
            program and the usual cure; a step then takes about four times as long.

    Returns:
        The history; its metric is the accuracy for class indices and the losses made for classes, the
        root-mean-square error for numbers and the losses made for numbers.

    Raises:
        TypeError: If an argument is not of its kind.
        ValueError: If examples are missing, ragged, not finite, or do not fit the model or the loss.
        DivergenceError: If a loss or a parameter becomes infinite or nan.
        AnomalyError: If that or a gradient does so, with `detect_anomaly`.

    >>> from nn.data import same_value
    >>> from nn.modules import MLP
    >>> X, y = same_value()
    >>> model = MLP(2, [8, 1], seed=1)
    >>> history = fit(model, X, y, epochs=100, progress=False)
    >>> history["accuracy"][-1]
    1.0
    """
    epochs, batch_size = _integer("epochs", epochs, minimum=1), _integer("batch_size", batch_size, minimum=1)
    examples = _examples(X, y)
    task = _task(model, examples, loss)
    held_out = _held_out(model, validation, task)
    optimizer = _optimizer(model, optimizer)
    rng = generator(seed)
    if not isinstance(record, bool):
        raise TypeError(f"record must be True or False, got {short(record)}")
    history = History(task.metric, validated=bool(held_out), model=repr(model))
    if record:
        history.weights.append(_numbers(model))
    if not isinstance(detect_anomaly, bool):
        raise TypeError(f"detect_anomaly must be True or False, got {short(detect_anomaly)}")
    watched = al.detect_anomaly() if detect_anomaly else nullcontext()
    with recording(), watched, _relaxed_garbage_collection(), _reporting(progress, epochs) as report:
        try:
            for epoch in range(1, epochs + 1):
                start = perf_counter()
                rng.shuffle(examples)
                learning_rate = optimizer.learning_rate
                tally = _train(model, task, optimizer, examples, batch_size, history, report)
                measured: Record = {"epoch": epoch, **tally.summary()}
                if held_out:
                    validation_measured = _measure(model, task, held_out).summary()
                    measured |= {f"validation_{name}": x for name, x in validation_measured.items()}
                if record:
                    history.weights.append(_numbers(model))
                measured |= {"learning_rate": learning_rate, "seconds": perf_counter() - start}
                history.records.append(measured)
                report(epoch, measured)
        except KeyboardInterrupt:
            history.interrupted = True
    return history


def _numbers(model: Module) -> "array[float]":
    return array("d", [w.data for w in model.parameters()])


def evaluate(
    model: Module, X: Iterable[Iterable[float]], y: Iterable[Any], loss: Loss | None = None
) -> dict[str, float]:
    """Measure a model on examples; nothing is recorded or changed.

    Arguments and errors are as for `fit`.

    Returns:
        The mean `loss`; for classes the `accuracy` with its counts `correct` and `total`, for numbers the `rmse`.

    >>> from nn.data import same_value
    >>> from nn.modules import MLP
    >>> measured = evaluate(MLP(2, [1], seed=0), *same_value(100))
    >>> measured["correct"] / measured["total"] == measured["accuracy"]
    True
    """
    examples = _examples(X, y)
    task = _task(model, examples, loss)
    tally = _measure(model, task, examples)
    counts = {"correct": tally.correct, "total": tally.total} if task.metric == "accuracy" else {}
    return tally.summary() | counts


def predict(model: Module, X: Iterable[Iterable[float]]) -> list[list[float]]:
    """Return the model's outputs for each row, as plain numbers; errors as for `fit`.

    >>> from nn.modules import MLP
    >>> model = MLP(2, [1], init=lambda n_in, n_out, rng: [[1.0, 10.0]])
    >>> predict(model, [[1, 2], [3, 4]])
    [[21.0], [43.0]]
    """
    rows = _rows(X)
    _recorded_outputs(model, rows[0])
    with al.no_grad():
        return [[output.data for output in _outputs(model, row)] for row in rows]


def classify(outputs: Sequence[float], threshold: float = 0.0) -> int:
    """Return the index of the class that a model's outputs speak for.

    Of several outputs the largest wins, the first of equal ones. A single output is that of class 1: it wins above
    the threshold, 0 for the logits that `nn.losses` wants, ½ for the output of a sigmoid unit.

    Raises:
        ValueError: If there is no output.

    >>> classify([0.2, 3.1, -1.0]), classify([-0.3])
    (1, 0)
    """
    if not outputs:
        raise ValueError("there are no outputs to choose a class by")
    return int(outputs[0] > threshold) if len(outputs) == 1 else outputs.index(max(outputs))


# ---- the examples and what is to be learnt from them ---------------------------------------------------------


def _examples(X: Iterable[Iterable[float]], y: Iterable[Any]) -> list[Example]:
    """Pair rows and targets, checked and as plain numbers."""
    rows, targets = _rows(X), [_target(i, t) for i, t in enumerate(_items("y", y))]
    if len(rows) != len(targets):
        raise ValueError(f"X has {len(rows)} rows and y has {len(targets)} targets; give one target per row")
    return list(zip(rows, targets, strict=True))


def _rows(X: Iterable[Iterable[float]]) -> list[Row]:
    rows = [_row(i, row) for i, row in enumerate(_items("X", X))]
    if not rows:
        raise ValueError("X has no rows; give at least one")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"row {i} of X has {len(row)} numbers, but row 0 has {len(rows[0])}; want equally many")
    return rows


def _items(what: str, xs: Any) -> list[Any]:
    items = xs.tolist() if hasattr(xs, "tolist") else xs  # of an array, Python's own numbers
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise TypeError(f"{what} must be a list, one item per example, but {short(xs)} is of type {type(xs).__name__}")
    return list(items)


def _row(i: int, row: Any) -> Row:
    if isinstance(row, (str, bytes, Mapping)) or not isinstance(row, Iterable):
        raise TypeError(f"row {i} of X must be a list of numbers, such as [0.5], got {short(row)}")
    return tuple(_finite(x, f"X[{i}][{j}]") for j, x in enumerate(row))


def _target(i: int, target: Any) -> Target:
    if isinstance(target, Integral):
        return int(target)
    if isinstance(target, str):
        raise TypeError(f"y[{i}] is the text {short(target)}; give the index of its class, counted from 0")
    if isinstance(target, Iterable):
        return tuple(_finite(x, f"y[{i}][{k}]") for k, x in enumerate(target))
    return _finite(target, f"y[{i}]")


def _finite(x: Any, what: str) -> float:
    finite = number(x, what)
    if not isfinite(finite):
        raise ValueError(f"{what} is {finite}, but a model needs finite numbers; mend the example or leave it out")
    return finite


@dataclass(frozen=True)
class _Task:
    """What is to be learnt: the loss to lower and the metric to report."""

    loss: Loss
    metric: str
    threshold: float


def _task(model: Module, examples: list[Example], loss: Loss | None) -> _Task:
    """Choose what was not given, and try the model on a row and the loss on every target before any step."""
    outputs = _recorded_outputs(model, examples[0][0])
    probabilities = _are_probabilities(outputs)
    are_indices = all(isinstance(target, int) for _, target in examples)
    loss, why = _usual_loss(are_indices, len(outputs)) if loss is None else (loss, "")
    _check_loss(loss, why, outputs, examples)
    if loss in _FOR_CLASSES and probabilities:
        raise ValueError("the loss wants logits, but the model's outputs are probabilities already; make them linear")
    if loss in _FOR_CLASSES or (are_indices and loss not in _FOR_NUMBERS):
        return _Task(loss, "accuracy", 0.5 if probabilities else 0.0)
    return _Task(loss, "rmse", 0.0)


def _usual_loss(are_indices: bool, n_outputs: int) -> tuple[Loss, str]:
    """Return the loss for targets of a kind and, should it turn out not to fit, why it was chosen."""
    if not are_indices:
        return losses.mse, ", chosen as the targets are not all integers (for classes, give their indices)"
    why = ", chosen as the targets are integers (n > 2 classes want n outputs; to predict numbers, pass loss=mse)"
    return (losses.cross_entropy if n_outputs > 1 else losses.binary_cross_entropy), why


def _check_loss(loss: Any, why: str, outputs: list[al.Value], examples: list[Example]) -> None:
    if not callable(loss):
        raise TypeError(f"loss must be a function such as nn.mse, got {short(loss)}")
    with al.no_grad():
        for i, (_, target) in enumerate(examples):
            with _blaming(f"y[{i}] does not fit the loss{why}"):
                result = loss(outputs, target)
                if not isinstance(result, al.Value):
                    raise TypeError(f"a loss must give a Value, but it gave {short(result)}")


def _held_out(model: Module, validation: Any, task: _Task) -> list[Example]:
    if validation is None:
        return []
    try:
        X, y = validation
    except (TypeError, ValueError):
        raise TypeError(f"validation must be a pair (X, y), got {short(validation)}") from None
    with _blaming("validation"):
        examples = _examples(X, y)
        _task(model, examples, task.loss)
    return examples


def _optimizer(model: Module, optimizer: Optimizer | None) -> Optimizer:
    if optimizer is None:
        return Adam(model.parameters(), lr=0.01)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be one such as SGD(model.parameters(), lr=0.1), got {short(optimizer)}")
    if set(model.parameters()).isdisjoint(optimizer.parameters):
        raise ValueError("the optimizer has none of the model's parameters; make it from model.parameters()")
    return optimizer


def _recorded_outputs(model: Module, row: Row) -> list[al.Value]:
    """Try the model on a row."""
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module, such as MLP(2, [8, 1]), got {short(model)}")
    with recording(), _blaming("X does not fit the model"):
        return _outputs(model, row)


def _outputs(model: Any, row: Row) -> list[al.Value]:
    outputs = model(row)
    if not isinstance(outputs, list) or not outputs or not all(isinstance(output, al.Value) for output in outputs):
        raise TypeError(f"a model must give a list of Values, but {short(model)} gave {short(outputs)}")
    return outputs


def _are_probabilities(outputs: list[al.Value]) -> bool:
    """Tell from their graph whether sigmoid or softmax made the outputs, so that they are not logits."""
    return outputs[0].op in (al.sigmoid, al.TABLE["share"])


@contextmanager
def _blaming(what: str) -> Iterator[None]:
    """Say in an error what it is about."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


# ---- one pass over the examples ------------------------------------------------------------------------------


class _Tally:
    """The running totals of a pass."""

    def __init__(self, task: _Task) -> None:
        self.task = task
        self.total = self.correct = self.numbers = 0
        self.loss = self.squares = 0.0

    def add(self, outputs: list[al.Value], target: Any, loss: al.Value) -> None:
        self.total += 1
        self.loss += loss.data
        data = [output.data for output in outputs]
        if self.task.metric == "accuracy":
            right = target if len(data) > 1 else int(target > 0.5)  # 0 or 1 as well as hinge's -1 or 1
            self.correct += classify(data, self.task.threshold) == right
        else:
            wanted = target if isinstance(target, tuple) else (target,)
            self.numbers += len(wanted)
            self.squares += sum((o - t) * (o - t) for o, t in zip(data, wanted, strict=False))

    def summary(self) -> Record:
        metric = self.correct / self.total if self.task.metric == "accuracy" else sqrt(self.squares / self.numbers)
        return {"loss": self.loss / self.total, self.task.metric: metric}


def _measure(model: Module, task: _Task, examples: list[Example]) -> _Tally:
    tally = _Tally(task)
    with al.no_grad():
        for row, target in examples:
            outputs = _outputs(model, row)
            tally.add(outputs, target, task.loss(outputs, target))
    return tally


class _Diverged(Exception):
    """What a step can't be taken for."""


def _train(
    model: Module,
    task: _Task,
    optimizer: Optimizer,
    examples: list[Example],
    batch_size: int,
    history: History,
    report: Report,
) -> _Tally:
    """Take a step for each mini-batch."""
    tally = _Tally(task)
    for batch, first in enumerate(range(0, len(examples), batch_size), 1):
        when, unchanged = f"epoch {len(history) + 1}, batch {batch}", "the parameters are as before this batch"
        each = []
        try:
            for row, target in examples[first : first + batch_size]:
                outputs = _outputs(model, row)
                each.append(task.loss(outputs, target))
                tally.add(outputs, target, each[-1])
            _step(optimizer, al.mean(each))
        except al.AnomalyError as anomaly:
            anomaly.add_note(f"This was in {when}; {unchanged}.")
            raise
        except _Diverged as problem:
            advice = f"lower the learning rate (now {optimizer.learning_rate:g}) or scale the inputs"
            raise DivergenceError(f"{when}: {problem}; {unchanged}; {advice}", history) from None
        report(len(history) + min(first + batch_size, len(examples)) / len(examples), None)
    return tally


def _step(optimizer: Optimizer, loss: al.Value) -> None:
    """Sweep back from the loss and move the parameters, all of them or, whatever stops it, none."""
    if not isfinite(loss.data):
        raise _Diverged(f"the loss is {loss.data}")
    optimizer.zero_grad()
    loss.backward()
    before = [w.data for w in optimizer.parameters]
    try:
        optimizer.step()
        for w in optimizer.parameters:
            if not isfinite(w.data):
                raise _Diverged(f"the step makes {w.name or 'a parameter'} {w.data}, its gradient is {w.grad}")
    except BaseException:
        for w, data in zip(optimizer.parameters, before, strict=True):
            w.data = data
        raise


@contextmanager
def _relaxed_garbage_collection() -> Iterator[None]:
    """Look for reference cycles less often: graphs have none, and the search costs a tenth of the time and more."""
    before = gc.get_threshold()
    if before[0]:  # 0 is never
        gc.set_threshold(max(before[0], 100_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


# ---- progress ------------------------------------------------------------------------------------------------


@contextmanager
def _reporting(progress: Progress, epochs: int) -> Iterator[Report]:
    """Give the function that takes the epochs done so far, a fraction, and the record of one just finished."""
    stream = sys.stdout
    if callable(progress):
        yield lambda done, record: progress(record) if record else None
    elif progress is False:
        yield lambda done, record: None
    elif progress not in (None, True):
        raise TypeError(f"progress must be None, False or a function of a record, got {short(progress)}")
    elif type(stream).__module__.startswith("ipykernel"):
        yield _Bar(_notebook_line(), epochs)
    elif stream is not None and stream.isatty():
        try:
            yield _Bar(_terminal_line(stream), epochs)
        finally:
            stream.write("\n")
    else:
        yield lambda done, record: _print_line(record, epochs) if record else None


def _print_line(record: Record, epochs: int) -> None:
    print(f"epoch {record['epoch']:{len(str(epochs))}}/{epochs}", *_measured(record), sep="  ", flush=True)


def _terminal_line(stream: TextIO) -> Callable[[str], object]:
    """Give the function that rewrites the last line of a terminal."""
    width = 0

    def rewrite(line: str) -> None:
        nonlocal width
        line = line[: get_terminal_size().columns - 1]  # what wraps can't be rewritten
        stream.write("\r" + line.ljust(width))
        stream.flush()
        width = len(line)

    return rewrite


def _notebook_line() -> Callable[[str], object]:
    """Give the function that rewrites one output of a notebook's cell, so that the notebook keeps only the last."""
    from IPython.display import display  # only here: a notebook has it

    handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return lambda line: handle.update({"text/plain": line}, raw=True)


class _Bar:
    """A line that is rewritten as training goes on, at most ten times a second."""

    def __init__(self, rewrite: Callable[[str], object], epochs: int) -> None:
        self.rewrite = rewrite
        self.epochs = epochs
        self.start = perf_counter()
        self.drawn = -inf
        self.measured = ""

    def __call__(self, done: float, record: Record | None) -> None:
        now = perf_counter()
        if record is None and now - self.drawn < 0.1:
            return
        self.drawn = now
        if record is not None:
            first, *_, last = _measured(record)
            self.measured = f"  {first}  {last}"
        epoch = min(int(done) + 1, self.epochs)
        bar = f"epoch {epoch}/{self.epochs} [{'#' * int(10 * done / self.epochs):.<10}]"
        minutes, seconds = divmod(round((now - self.start) * (self.epochs - done) / done), 60)
        left = f" {minutes}:{seconds:02} left" if done < self.epochs else ""
        self.rewrite(bar + left + self.measured)


def _measured(record: Record) -> list[str]:
    """Say what was measured in an epoch: the loss first, the most telling metric last."""
    numbers = {name: x for name, x in record.items() if name not in ("epoch", "learning_rate", "seconds")}
    return [
        f"{name.replace('_', ' ')} {x:{'.3f' if name.endswith('accuracy') else '#.4g'}}" for name, x in numbers.items()
    ]
