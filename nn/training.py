"""Training: fit a model to examples, mini-batch by mini-batch, and measure what it has learnt.

For every mini-batch one graph is recorded, from the inputs to the mean of the losses; one sweep back over it gives
all the gradients, and the optimiser moves the parameters against them.
"""

from array import array
from collections.abc import Iterable
from math import isfinite
from reprlib import repr as short
from typing import Any

import autograd_lite as al

from .compiling import CompiledModel
from .epochs import Diverged, run
from .history import DivergenceError, History
from .modules import Module
from .optim import Optimizer
from .progress import Progress
from .tasks import (
    Example,
    Loss,
    Tally,
    Task,
    classify,
    examples_of,
    outputs_of,
    recorded_outputs,
    rows_of,
    task_of,
)  # fmt: skip

__all__ = ["DivergenceError", "History", "classify", "evaluate", "fit", "predict"]


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
    compile: bool = False,
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
        compile: Whether to train with compiled code, as `nn.compile` makes it: the same numbers to the last digits,
            hundreds of times faster.

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
    for name, flag in (("detect_anomaly", detect_anomaly), ("compile", compile)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {short(flag)}")
    if compile and detect_anomaly:
        raise ValueError("compiled code is not watched; give either compile=True or detect_anomaly=True")
    if compile:
        return CompiledModel(model, loss, optimizer).fit(
            X, y, epochs=epochs, batch_size=batch_size, validation=validation, seed=seed, progress=progress,
            record=record,
        )  # fmt: skip
    return run(
        _Recording, model, X, y, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=batch_size,
        validation=validation, seed=seed, progress=progress, record=record, watched=detect_anomaly,
    )  # fmt: skip


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
    examples = examples_of(X, y)
    task = task_of(model, examples, loss)
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
    rows = rows_of(X)
    recorded_outputs(model, rows[0])
    with al.no_grad():
        return [[output.data for output in outputs_of(model, row)] for row in rows]


# ---- one pass over the examples ------------------------------------------------------------------------------


def _measure(model: Module, task: Task, examples: list[Example]) -> Tally:
    tally = Tally(task)
    with al.no_grad():
        for row, target in examples:
            outputs = outputs_of(model, row)
            tally.add(outputs, target, task.loss(outputs, target))
    return tally


class _Recording:
    """Train by recording a graph for each mini-batch."""

    def __init__(self, model: Module, task: Task, optimizer: Optimizer, examples: list[Example]) -> None:
        self.model, self.task, self.optimizer, self.examples = model, task, optimizer, examples

    def numbers(self) -> "array[float]":
        """Return the parameters' numbers."""
        return array("d", [w.data for w in self.model.parameters()])

    def measure(self, examples: list[Example]) -> Tally:
        """Measure the model on examples."""
        return _measure(self.model, self.task, examples)

    def steps(self, batches: list[list[int]], tally: Tally) -> int:
        """Take the first step of some: how many were taken."""
        each = []
        for i in batches[0]:
            row, target = self.examples[i]
            outputs = outputs_of(self.model, row)
            each.append(self.task.loss(outputs, target))
            tally.add(outputs, target, each[-1])
        _step(self.optimizer, al.mean(each))
        return 1

    def close(self) -> None:
        """Do nothing: the parameters are where they belong."""

    def open(self) -> None:
        """Do nothing either."""


def _step(optimizer: Optimizer, loss: al.Value) -> None:
    """Sweep back from the loss and take a step; what stops it leaves the parameters, and what a rule remembers."""
    if not isfinite(loss.data):
        raise Diverged(f"the loss is {loss.data}")
    optimizer.zero_grad()
    loss.backward()
    put_back = optimizer.snapshot()
    try:
        optimizer.step()
        for w in optimizer.parameters:
            if not isfinite(w.data):
                raise Diverged(f"the step makes {w.name or 'a parameter'} {w.data}, its gradient is {w.grad}")
    except BaseException:
        put_back()
        raise
