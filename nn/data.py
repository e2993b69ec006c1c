"""Data to learn from: two real data sets, four generated from a seed, and the user's own CSV file.

Everything here is plain Python: a row of features is a list of floats, and a `Dataset` unpacks into `X, y`.
"""

import csv
import gzip
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from random import Random
from reprlib import repr as short
from typing import Any, Literal

from autograd_lite.files import read_at_most

__all__ = [
    "Dataset",
    "Scaler",
    "circles",
    "digits",
    "iris",
    "moons",
    "read_csv",
    "read_features",
    "same_value",
    "spiral",
]

_MAX_BYTES = 2**28  # 256 MiB: far beyond what a scalar engine can learn from
_MAX_INTEGER_CLASSES = 20


@dataclass(frozen=True)
class Dataset:
    """Rows of features `X` with their targets `y`; `X, y = dataset` unpacks them.

    Attributes:
        X: One list of floats per row.
        y: For a classification the index into `classes` of each row's class, for a regression a float.
        feature_names: The name of each feature.
        classes: The classes as text; empty for a regression.
        name: What the data is called.

    Raises:
        ValueError: If `X` and `y` differ in length.

    >>> data = Dataset([[0.0], [1.0]], [0, 1], ("height",), ("short", "tall"), "people")
    >>> data
    Dataset('people': 2 rows, 1 feature, 2 classes)
    >>> X, y = data
    >>> y
    [0, 1]
    """

    X: list[list[float]]
    y: list[int] | list[float]
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if len(self.X) != len(self.y):
            raise ValueError(f"X has {len(self.X)} rows and y has {len(self.y)}; give one target per row")

    def __len__(self) -> int:
        return len(self.X)

    def __iter__(self) -> Iterator[Any]:  # Any: the two items differ in type, so `X, y =` needs no cast
        yield self.X
        yield self.y

    def __repr__(self) -> str:
        features = _counted(len(self.feature_names), "feature")
        kind = f"{len(self.classes)} classes" if self.is_classification else "regression"
        return f"Dataset({self.name!r}: {_counted(len(self), 'row')}, {features}, {kind})"

    @property
    def is_classification(self) -> bool:
        """Whether `y` holds class indices.

        >>> iris().is_classification
        True
        """
        return bool(self.classes)

    def split(self, test: float = 0.2, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """Share the rows out, shuffled, into a training and a test set.

        Each class is shared out in the same proportion, as far as whole rows allow.

        Args:
            test: The fraction of rows to test with, between 0 and 1.
            seed: The same seed gives the same split.

        Raises:
            ValueError: If `test` is no such fraction, or either set would be empty.

        >>> train, test = iris().split(test=0.3)
        >>> len(train), len(test)
        (105, 45)
        """
        if not 0 < _real("test", test) < 1:
            raise ValueError(f"test must be a fraction between 0 and 1, got {test}")
        count = round(test * len(self))
        if not 0 < count < len(self):
            raise ValueError(
                f"test={test} of {_counted(len(self), 'row')} gives {count} to test with; "
                "choose a fraction that leaves at least one to test and one to train with"
            )
        order = self._stratified_order(_rng(seed))
        return self._take(order[count:]), self._take(order[:count])

    def _stratified_order(self, rng: Random) -> list[int]:
        """Shuffle the row numbers so that every stretch of them holds the classes in proportion.

        The j-th of a class's m rows is placed at (j + ½)/m of the way.
        """
        order = list(range(len(self)))
        rng.shuffle(order)
        group = self.y if self.is_classification else [0] * len(self)
        size, seen = Counter(group), Counter[float]()
        place = {}
        for i in order:
            place[i] = (seen[group[i]] + 0.5) / size[group[i]]
            seen[group[i]] += 1
        return sorted(order, key=place.__getitem__)

    def _take(self, rows: list[int]) -> "Dataset":
        return replace(self, X=[self.X[i] for i in rows], y=[self.y[i] for i in rows])


@dataclass(frozen=True)
class Scaler:
    """Standardise features: (x - mean) / scale.

    Two lists of floats, so `dataclasses.asdict` and JSON carry it unchanged.

    Attributes:
        mean: The mean of each feature.
        scale: The standard deviation of each feature; 1 for a constant one.

    Raises:
        ValueError: If the lists differ in length, a number is not finite or a scale is not positive.

    >>> scaler = Scaler.fit([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler
    Scaler(mean=[2.0, 5.0], scale=[1.0, 1.0])
    >>> scaler.transform([[1.0, 5.0], [4.0, 6.0]])
    [[-1.0, 0.0], [2.0, 1.0]]
    """

    mean: list[float]
    scale: list[float]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale):
            raise ValueError(
                f"mean has {len(self.mean)} numbers and scale has {len(self.scale)}; give both per feature"
            )
        if not all(map(math.isfinite, self.mean)):
            raise ValueError(f"mean must be finite, got {short(self.mean)}")
        if not all(0 < scale < math.inf for scale in self.scale):
            raise ValueError(f"scale must be positive and finite, got {short(self.scale)}")

    @classmethod
    def fit(cls, X: Sequence[Sequence[float]]) -> "Scaler":
        """Measure the mean and the (population) standard deviation of each column of `X`.

        Raises:
            ValueError: If `X` is empty or ragged, or a column is too wide to measure.

        >>> Scaler.fit([[0.0], [2.0]])
        Scaler(mean=[1.0], scale=[1.0])
        """
        if not X:
            raise ValueError("cannot fit a Scaler to no rows; give at least one")
        _check_widths(X, len(X[0]))
        mean, scale = [], []
        for column in zip(*X, strict=True):
            # Measured from the first number, so that a constant column deviates by exactly 0.
            centre = column[0] + math.fsum((x - column[0]) / len(X) for x in column)
            mean.append(centre)
            scale.append(math.hypot(*(x - centre for x in column)) / math.sqrt(len(X)) or 1.0)
        return cls(mean, scale)

    def transform(self, X: Sequence[Sequence[float]]) -> list[list[float]]:
        """Standardise rows of features.

        Raises:
            ValueError: If a row has not one number per feature.

        >>> Scaler([1.0], [2.0]).transform([[5.0]])
        [[2.0]]
        """
        _check_widths(X, len(self.mean))
        return [[(x - m) / s for x, m, s in zip(row, self.mean, self.scale, strict=True)] for row in X]


def digits() -> Dataset:
    """Load the 1,797 handwritten digits of 8x8 pixels, scaled from 0..16 to 0..1.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, test set, UCI Machine
    Learning Repository, CC BY 4.0; see `datasets/README.md`.

    >>> data = digits()
    >>> data
    Dataset('digits': 1797 rows, 64 features, 10 classes)
    >>> data.X[0][:8], data.y[0]
    ([0.0, 0.0, 0.3125, 0.8125, 0.5625, 0.0625, 0.0, 0.0], 0)
    """
    content = gzip.decompress((files("nn") / "datasets" / "digits.csv.gz").read_bytes())
    raw = _dataset(_parse("digits.csv", content))
    pixels = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    return replace(raw, X=[[pixel / 16 for pixel in row] for row in raw.X], feature_names=pixels)


def iris() -> Dataset:
    """Load Fisher's 150 irises: four measurements in centimetres, three species.

    Source: R. A. Fisher (1936), The use of multiple measurements in taxonomic problems, Annals of Eugenics 7;
    see `datasets/README.md`.

    >>> iris().classes
    ('setosa', 'versicolor', 'virginica')
    """
    return _dataset(_parse("iris.csv", (files("nn") / "datasets" / "iris.csv").read_bytes()))


def moons(n: int = 100, noise: float = 0.1, seed: int = 0) -> Dataset:
    """Generate two interleaved half circles.

    Args:
        n: Rows in all, at least 1, shared equally among the classes.
        noise: The standard deviation of the normal jitter of both coordinates.
        seed: The same seed gives the same data, bit for bit.

    Raises:
        TypeError: If `n` or `seed` is not an integer, or `noise` not a number.
        ValueError: If `n` is below 1, or `noise` negative or not finite.

    >>> X, y = moons(100, seed=1)
    >>> len(X), sum(y)
    (100, 50)
    """

    def point(half: int, t: float) -> tuple[float, float]:
        x1, x2 = math.cos(math.pi * t), math.sin(math.pi * t)
        return (1 - x1, 0.5 - x2) if half else (x1, x2)

    return _along_curves("moons", ("upper", "lower"), point, n, noise, seed)


def circles(n: int = 100, noise: float = 0.05, seed: int = 0) -> Dataset:
    """Generate a circle of radius ½ inside a circle of radius 1; arguments as for `moons`.

    >>> circles(4, noise=0).classes
    ('outer', 'inner')
    """

    def point(inner: int, t: float) -> tuple[float, float]:
        radius = 0.5 if inner else 1.0
        return radius * math.cos(2 * math.pi * t), radius * math.sin(2 * math.pi * t)

    return _along_curves("circles", ("outer", "inner"), point, n, noise, seed)


def spiral(n: int = 100, noise: float = 0.02, seed: int = 0, classes: int = 2) -> Dataset:
    """Generate a spiral's arms, each one turn from the centre to radius 1; arguments as for `moons`.

    There is one arm per class, and at least two.

    >>> spiral(300, classes=3)
    Dataset('spiral': 300 rows, 2 features, 3 classes)
    """
    classes = _integer("classes", classes, minimum=2)

    def point(arm: int, t: float) -> tuple[float, float]:
        angle = 2 * math.pi * (arm / classes + t)
        return t * math.cos(angle), t * math.sin(angle)

    return _along_curves("spiral", tuple(map(str, range(classes))), point, n, noise, seed)


def same_value(n: int = 4, noise: float = 0.0, seed: int = 0) -> Dataset:
    """Generate the lecture's problem: do two inputs, each 0 or 1, have the same value?

    No straight line separates the positive cases from the negative ("Limitations of Linear Classifiers").
    The rows go round the four corners in order; arguments as for `moons`.

    >>> data = same_value()
    >>> data.X
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> [data.classes[i] for i in data.y]
    ['same', 'different', 'different', 'same']
    """
    jitter = _jitter(noise, _rng(seed))
    corners = [(a, b) for a in (0, 1) for b in (0, 1)]
    rows = [corners[i % 4] for i in range(_integer("n", n, minimum=1))]
    X = [[jitter(a), jitter(b)] for a, b in rows]
    return Dataset(X, [int(a == b) for a, b in rows], ("x1", "x2"), ("different", "same"), "same_value")


def _along_curves(
    name: str,
    classes: tuple[str, ...],
    point: Callable[[int, float], tuple[float, float]],
    n: int,
    noise: float,
    seed: int,
) -> Dataset:
    """Place n rows evenly, in random order, along one curve per class: `point(c, t)` for t in 0..1."""
    n = _integer("n", n, minimum=1)
    rng = _rng(seed)
    jitter = _jitter(noise, rng)
    order = list(range(n))
    rng.shuffle(order)
    y = [i % len(classes) for i in order]
    X = [[jitter(x) for x in point(c, (i + 0.5) / n)] for i, c in zip(order, y, strict=True)]
    return Dataset(X, y, ("x1", "x2"), classes, name)


def _jitter(noise: float, rng: Random) -> Callable[[float], float]:
    deviation = _real("noise", noise)
    if not 0 <= deviation < math.inf:
        raise ValueError(f"noise must be at least 0 and finite, got {noise}")
    return lambda x: x + rng.gauss(0.0, deviation)


def read_csv(
    path: str | PathLike[str],
    target: str | None = None,
    task: Literal["classification", "regression"] | None = None,
) -> Dataset:
    r"""Read a data set from a CSV file: every column but the target is a feature.

    The file is UTF-8 text of at most 256 MiB. Its delimiter is a comma or, when the first line has none, a
    semicolon or else a tab. Blank lines and spaces around a cell are ignored. The first row names the
    columns, unless all of it is numbers: then there is no header, and the columns are called x1, x2, ...; a
    first row that is part numbers, part text is refused, as it could be either. Features must be finite
    numbers, written with a decimal point.

    The task is a classification if the target is text, or integers of at most 20 different values; other
    numbers are a regression. A target that is part numbers, part text is refused unless `task` is
    "classification". The classes are sorted, by value if all of them are numbers.

    Args:
        path: The file.
        target: The name of the column to learn; the last one by default.
        task: "classification" or "regression", to overrule the rule above.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If its content is not as described; one line names the file, line and column.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "pets.csv"
    ...     _ = path.write_text("weight,pet,height\n4,cat,25\n30,dog,60\n")
    ...     pets = read_csv(path, target="pet")
    >>> pets
    Dataset('pets': 2 rows, 2 features, 2 classes)
    >>> pets.X, pets.y, pets.classes
    ([[4.0, 25.0], [30.0, 60.0]], [0, 1], ('cat', 'dog'))
    """
    return _dataset(_parse(str(path), _read_bytes(path)), target, task)


def read_features(path: str | PathLike[str], feature_names: Sequence[str]) -> list[list[float]]:
    r"""Read the named columns of a CSV file, in that order, to predict from.

    The file is as for `read_csv`. With a header, its columns may come in any order and others are ignored;
    without one, it must have exactly the columns wanted.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: As for `read_csv`, or if a column is missing.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "new.csv"
    ...     _ = path.write_text("height,name,weight\n25,Tom,4\n")
    ...     read_features(path, ["weight", "height"])
    [[4.0, 25.0]]
    """
    table = _parse(str(path), _read_bytes(path))
    if not table.has_header:
        if len(table.columns) != len(feature_names):
            raise ValueError(
                f"{table.file}: found {_counted(len(table.columns), 'column')} and no header, "
                f"want {len(feature_names)}: {_listed(feature_names)}"
            )
        table = replace(table, columns=dict(zip(feature_names, table.columns.values(), strict=True)))
    return table.rows(feature_names)


@dataclass(frozen=True)
class _Table:
    """The cells of a CSV file as text, column by column, and the line each row came from."""

    file: str
    columns: dict[str, list[str]]
    lines: list[int]
    has_header: bool

    def cells(self, name: str) -> list[str]:
        """Return a column's cells, none of them empty."""
        if name not in self.columns:
            raise ValueError(f"{self.file}: no column {short(name)}; it has {_listed(self.columns)}")
        cells = self.columns[name]
        if "" in cells:
            raise ValueError(f"{self.place(cells.index(''), name)}: the cell is empty; fill it or delete the row")
        return cells

    def numbers(self, name: str) -> list[float]:
        """Return a column's cells as finite numbers."""
        numbers = []
        for row, cell in enumerate(self.cells(name)):
            number = _number(cell)
            if number is None or not math.isfinite(number):
                raise ValueError(f"{self.place(row, name)}: found {short(cell)}, want a finite number")
            numbers.append(number)
        return numbers

    def rows(self, names: Sequence[str]) -> list[list[float]]:
        """Return the named columns' numbers, row by row."""
        return [list(row) for row in zip(*map(self.numbers, names), strict=True)]

    def place(self, row: int, name: str) -> str:
        return f"{self.file}, line {self.lines[row]}, column {short(name)}"


def _read_bytes(path: str | PathLike[str]) -> bytes:
    content = read_at_most(path, _MAX_BYTES)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path}: the file is larger than {_MAX_BYTES:,} bytes; give a part of it")
    return content


def _parse(file: str, content: bytes) -> _Table:
    rows, lines = _split_cells(file, _decode(file, content))
    if not rows:
        raise ValueError(f"{file}: the file is empty; want a header and rows of numbers")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise ValueError(f"{file}, line {line}: found {len(row)} cells, want {len(rows[0])} as on line {lines[0]}")
    names = _header(f"{file}, line {lines[0]}", rows[0])
    if names is None:
        has_header, names = False, [f"x{i}" for i in range(1, len(rows[0]) + 1)]
    else:
        has_header, rows, lines = True, rows[1:], lines[1:]
    if not rows:
        raise ValueError(f"{file}: there is a header but no row below it")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return _Table(file, columns, lines, has_header)


def _decode(file: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")  # with or without the byte order mark of spreadsheets
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = error.object[error.start]
        raise ValueError(f"{file}, line {line}: byte 0x{found:02x} is not UTF-8; save the file as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{file}, line {line}: found a NUL byte, want text; is this a CSV file?")
    return text


def _split_cells(file: str, text: str) -> tuple[list[list[str]], list[int]]:
    """Return the rows that are not blank, and the line of each."""
    first_line = text.lstrip("\r\n").partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in first_line), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows, lines = [], []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if cells not in ([], [""]):
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{file}, line {reader.line_num}: not CSV: {error}") from None
    return rows, lines


def _header(place: str, cells: list[str]) -> list[str] | None:
    """Return the names in the first row, or None if it is a row of numbers."""
    numbers = [cell for cell in cells if _number(cell) is not None]
    if len(numbers) == len(cells):
        return None
    if numbers:
        raise ValueError(
            f"{place}: {short(numbers[0])} is a number and other cells are not, so this may or may not be a "
            "header; begin the file with a header, none of whose names is a number"
        )
    if "" in cells:
        raise ValueError(f"{place}: column {cells.index('') + 1} has no name; name it or delete it")
    name, count = Counter(cells).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{place}: {count} columns are named {short(name)}; give each its own name")
    return cells


def _dataset(table: _Table, target: str | None = None, task: str | None = None) -> Dataset:
    names = list(table.columns)
    if len(names) < 2:
        raise ValueError(f"{table.file}: there is one column only; want at least one feature and the target")
    if target is None:
        target = names[-1]
    if task is None:
        task = _guess_task(table, target)
    y: list[int] | list[float]
    if task == "classification":
        y, classes = _class_indices(table, target)
    elif task == "regression":
        y, classes = table.numbers(target), ()
    else:
        raise ValueError(f"task must be 'classification', 'regression' or None, got {task!r}")
    features = [name for name in names if name != target]
    return Dataset(table.rows(features), y, tuple(features), classes, Path(table.file).stem)


def _guess_task(table: _Table, target: str) -> str:
    """Apply the rule in the docstring of `read_csv`."""
    is_text = [_number(cell) is None for cell in table.cells(target)]
    if all(is_text):
        return "classification"
    if any(is_text):
        row = is_text.index(True)
        found = short(table.columns[target][row])
        raise ValueError(
            f"{table.place(row, target)}: found {found}, want a number as in other rows; "
            "if these are names of classes, set the task to 'classification'"
        )
    numbers = table.numbers(target)
    few_integers = all(map(float.is_integer, numbers)) and len(set(numbers)) <= _MAX_INTEGER_CLASSES
    return "classification" if few_integers else "regression"


def _class_indices(table: _Table, target: str) -> tuple[list[int], tuple[str, ...]]:
    labels = table.cells(target)
    if any(_number(label) is None for label in labels):
        classes = sorted(set(labels))
    else:  # 1, 1.0 and 01 are one class
        labels = [str(int(number) if number.is_integer() else number) for number in table.numbers(target)]
        classes = sorted(set(labels), key=float)
    if len(classes) < 2:
        raise ValueError(
            f"{table.file}, column {short(target)}: every row is of class {short(classes[0])}; "
            "want at least two classes"
        )
    index = {label: i for i, label in enumerate(classes)}
    return [index[label] for label in labels], tuple(classes)


def _number(cell: str) -> float | None:
    """Return the number in a cell, or None for text."""
    try:
        return float(cell) if cell.isascii() and "_" not in cell else None  # 1_000 and ٣ are numbers to Python only
    except ValueError:
        return None


def _rng(seed: int) -> Random:
    return Random(_integer("seed", seed))


def _integer(name: str, value: int, minimum: int | None = None) -> int:
    if not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def _real(name: str, value: float) -> float:
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def _check_widths(X: Sequence[Sequence[float]], width: int) -> None:
    for i, row in enumerate(X):
        if len(row) != width:
            raise ValueError(f"row {i} has {_counted(len(row), 'feature')}, want {width}")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


def _listed(names: Iterable[str]) -> str:
    """Join names for a message, at most twenty of them."""
    listed = [short(name) for name in names]
    return ", ".join(listed[:20] + ["..."] * (len(listed) > 20))
