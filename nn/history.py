"""The history of a training: what was measured, epoch by epoch, and what it stopped at."""

import csv
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike

from autograd_lite.files import write_atomically

from .tasks import Record

__all__ = ["DivergenceError", "History"]


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
        measured = f": {', '.join(measured_texts(self.records[-1]))}" if self.records else ""
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
    nn.history.DivergenceError: epoch 1, batch 2: the loss is nan
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history


def measured_texts(record: Record) -> list[str]:
    """Say what was measured in an epoch: the loss first, the most telling metric last."""
    numbers = {name: x for name, x in record.items() if name not in ("epoch", "learning_rate", "seconds")}
    return [
        f"{name.replace('_', ' ')} {x:{'.3f' if name.endswith('accuracy') else '#.4g'}}" for name, x in numbers.items()
    ]
