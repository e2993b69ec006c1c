"""What is to be learnt: examples, checked and as plain numbers, the loss to lower and the metric to report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, sqrt
from numbers import Integral
from reprlib import repr as short
from typing import Any

import autograd_lite as al
from autograd_lite.op import number
from autograd_lite.value import recording

from . import losses
from .modules import Module
from .optim import Adam, Optimizer

__all__ = ["Example", "Loss", "Record", "Row", "Tally", "Target", "Task", "classify"]

Record = dict[str, float]
Row = tuple[float, ...]
Target = int | float | tuple[float, ...]  # the index of a class, a number, or a number per output
Example = tuple[Row, Target]
Loss = Callable[[list[al.Value], Any], al.Value]

_FOR_NUMBERS = (losses.half_sse, losses.mse, losses.mae, losses.huber)
_FOR_CLASSES = (losses.hinge, losses.binary_cross_entropy, losses.cross_entropy)  # and these take logits


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


def examples_of(X: Iterable[Iterable[float]], y: Iterable[Any]) -> list[Example]:
    """Pair rows and targets, checked and as plain numbers."""
    rows, targets = rows_of(X), [_target(i, t) for i, t in enumerate(_items("y", y))]
    if len(rows) != len(targets):
        raise ValueError(f"X has {len(rows)} rows and y has {len(targets)} targets; give one target per row")
    return list(zip(rows, targets, strict=True))


def rows_of(X: Iterable[Iterable[float]]) -> list[Row]:
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
    numbers = tuple(row)
    if {*map(type, numbers)} == {float} and all(map(isfinite, numbers)):  # as most are, and naming each takes long
        return numbers
    return tuple(_finite(x, f"X[{i}][{j}]") for j, x in enumerate(numbers))


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
class Task:
    """What is to be learnt: the loss to lower and the metric to report."""

    loss: Loss
    metric: str
    threshold: float


def task_of(model: Module, examples: list[Example], loss: Loss | None) -> Task:
    """Choose what was not given, and try the model on a row and the loss on every target before any step."""
    outputs = recorded_outputs(model, examples[0][0])
    probabilities = are_probabilities(outputs)
    are_indices = all(isinstance(target, int) for _, target in examples)
    loss, why = _usual_loss(are_indices, len(outputs)) if loss is None else (loss, "")
    _check_loss(loss, why, outputs, examples)
    if loss in _FOR_CLASSES and probabilities:
        raise ValueError("the loss wants logits, but the model's outputs are probabilities already; make them linear")
    if loss in _FOR_CLASSES or (are_indices and loss not in _FOR_NUMBERS):
        return Task(loss, "accuracy", 0.5 if probabilities else 0.0)
    return Task(loss, "rmse", 0.0)


def _usual_loss(are_indices: bool, n_outputs: int) -> tuple[Loss, str]:
    """Return the loss for targets of a kind and, should it turn out not to fit, why it was chosen."""
    if not are_indices:
        return losses.mse, ", chosen as the targets are not all integers (for classes, give their indices)"
    why = ", chosen as the targets are integers (n > 2 classes want n outputs; to predict numbers, pass loss=mse)"
    return (losses.cross_entropy if n_outputs > 1 else losses.binary_cross_entropy), why


def _check_loss(loss: Any, why: str, outputs: list[al.Value], examples: list[Example]) -> None:
    if not callable(loss):
        raise TypeError(f"loss must be a function such as nn.mse, got {short(loss)}")
    first: dict[tuple[type, Target], int] = {}  # each target once, where it comes first
    for i, (_, target) in enumerate(examples):
        first.setdefault((type(target), target), i)
    with al.no_grad():
        for (_, target), i in first.items():
            with blaming(f"y[{i}] does not fit the loss{why}"):
                result = loss(outputs, target)
                if not isinstance(result, al.Value):
                    raise TypeError(f"a loss must give a Value, but it gave {short(result)}")


def held_out_of(model: Module, validation: Any, task: Task) -> list[Example]:
    if validation is None:
        return []
    try:
        X, y = validation
    except (TypeError, ValueError):
        raise TypeError(f"validation must be a pair (X, y), got {short(validation)}") from None
    with blaming("validation"):
        examples = examples_of(X, y)
        task_of(model, examples, task.loss)
    return examples


def optimizer_for(model: Module, optimizer: Optimizer | None) -> Optimizer:
    if optimizer is None:
        return Adam(model.parameters(), lr=0.01)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be one such as SGD(model.parameters(), lr=0.1), got {short(optimizer)}")
    if set(model.parameters()).isdisjoint(optimizer.parameters):
        raise ValueError("the optimizer has none of the model's parameters; make it from model.parameters()")
    return optimizer


def recorded_outputs(model: Module, row: Row) -> list[al.Value]:
    """Try the model on a row."""
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module, such as MLP(2, [8, 1]), got {short(model)}")
    with recording(), blaming("X does not fit the model"):
        return outputs_of(model, row)


def outputs_of(model: Any, row: tuple[Any, ...]) -> list[al.Value]:
    outputs = model(row)
    if not isinstance(outputs, list) or not outputs or not all(isinstance(output, al.Value) for output in outputs):
        raise TypeError(f"a model must give a list of Values, but {short(model)} gave {short(outputs)}")
    return outputs


def are_probabilities(outputs: list[al.Value]) -> bool:
    """Tell from their graph whether sigmoid or softmax made the outputs, so that they are not logits."""
    return outputs[0].op in (al.sigmoid, al.TABLE["share"])


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Say in an error what it is about."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


class Tally:
    """The running totals of a pass."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.total = self.correct = self.numbers = 0
        self.loss = self.squares = 0.0

    def add(self, outputs: list[al.Value], target: Any, loss: al.Value) -> None:
        """Add an example."""
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
        """Return the mean loss and the metric."""
        metric = self.correct / self.total if self.task.metric == "accuracy" else sqrt(self.squares / self.numbers)
        return {"loss": self.loss / self.total, self.task.metric: metric}
