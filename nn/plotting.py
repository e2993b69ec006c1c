"""Plot how training went and what a model of two inputs has learnt, with matplotlib.

Matplotlib is an extra, imported on first use. Figures are made without `pyplot`, so they need no display and leave
no state behind; in a notebook they show themselves.
"""

import functools
import io
from collections.abc import Iterable, Sequence
from math import isfinite
from os import PathLike, fspath
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

import autograd_lite as al
from autograd_lite.files import write_atomically

from .history import History
from .modules import Module
from .tasks import Row, are_probabilities, examples_of, recorded_outputs
from .training import predict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_boundary", "plot_history"]

# The palette of M. Okabe and K. Ito (2008), "Color Universal Design", less yellow and black: told apart by the
# colour-blind too. Neighbouring classes also differ by their markers.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = "os^DvPX"
_INK = "#333333"
_CELLS = 100  # along each side of the grid on which the model is asked
# What a file says of when it was made is left out: the same figure, the same bytes.
_METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}


def plot_history(history: History, path: str | PathLike[str] | None = None) -> "Figure":
    """Plot the loss and the metric of each epoch, in training and, if it was measured, in validation.

    A loss that falls to less than a hundredth is drawn on a logarithmic scale.

    Args:
        history: What `fit` returned.
        path: Where to save the figure, if at all: a name that ends in .svg, .png or .pdf.

    Returns:
        The matplotlib figure.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If `history` is not a History.
        ValueError: If no epoch was finished, or the path has another ending.
        OSError: If the file cannot be written.

    >>> records = [{"epoch": n, "loss": 1 / n, "accuracy": 1 - 0.5 / n} for n in (1, 2, 3)]
    >>> figure = plot_history(History("accuracy", records=records))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy']
    """
    if not isinstance(history, History):
        raise TypeError(f"plot_history takes the History that fit returned, got {short(history)}")
    if not len(history):
        raise ValueError("the history has no finished epoch to plot")
    figure = _figure(8.0, 3.2, path)
    for axes, name in zip(figure.subplots(1, 2), ("loss", history.metric), strict=True):
        _plot_columns(axes, history, name)
    _save(figure, path)
    return figure


def _plot_columns(axes: "Axes", history: History, name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    columns = {"training": history[name]}
    if history.validated:
        columns["validation"] = history[f"validation_{name}"]
    for (label, column), color, marker in zip(columns.items(), _COLORS, _MARKERS, strict=False):
        axes.plot(history["epoch"], column, color=color, marker=marker, markersize=4, markevery=[-1], label=label)
    numbers = [x for column in columns.values() for x in column]
    if name == "loss" and 0.0 < 100.0 * min(numbers) < max(numbers):
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel(name)
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if len(columns) > 1:
        axes.legend(frameon=False)


def plot_boundary(
    model: Module,
    X: Iterable[Iterable[float]],
    y: Iterable[int],
    path: str | PathLike[str] | None = None,
    *,
    feature_names: Sequence[str] = ("x1", "x2"),
    classes: Sequence[str] | None = None,
) -> "Figure":
    """Plot the regions that a model of two inputs gives to each class, and the examples on them.

    The surer the model is, the deeper the colour; on the lines it is undecided. Outputs count as logits unless a
    sigmoid or softmax made them.

    Args:
        model: A model that takes two inputs and gives one output per class, or one for two classes.
        X: Rows of two numbers.
        y: The class of each row: its index, or, for a single output, also -1 and 1.
        path: Where to save the figure, if at all: a name that ends in .svg, .png or .pdf.
        feature_names: What the two inputs are, for the axes.
        classes: What the classes are, for the legend; by default "class 0", "class 1", ….

    Returns:
        The matplotlib figure.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If an argument is not of its kind.
        ValueError: If the rows are not of two numbers, a target is not the index of a class, there is not one
            name for each feature and class, the model's outputs are not finite, or the path has another ending.
        OSError: If the file cannot be written.

    >>> from nn.data import same_value
    >>> from nn.modules import MLP
    >>> figure = plot_boundary(MLP(2, [4, 1], seed=0), *same_value(), classes=("different", "same"))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['different', 'same']
    """
    figure = _figure(6.4, 4.8, path)
    examples = examples_of(X, y)
    rows = [row for row, _ in examples]
    if len(rows[0]) != 2:
        raise ValueError(f"a boundary is drawn for models of two inputs, but the rows of X have {len(rows[0])} numbers")
    outputs = recorded_outputs(model, rows[0])
    count = max(2, len(outputs))
    indices = [_class_index(i, target, len(outputs)) for i, (_, target) in enumerate(examples)]
    names = _names("classes", [f"class {k}" for k in range(count)] if classes is None else classes, count)
    x1_name, x2_name = _names("feature_names", feature_names, 2)

    x1s, x2s = (_spaced(column) for column in zip(*rows, strict=True))
    known = are_probabilities(outputs)
    scores = [_scores(each, known) for each in predict(model, [(x1, x2) for x2 in x2s for x1 in x1s])]
    axes = figure.subplots()
    _draw_regions(axes, x1s, x2s, scores if known else [al.softmax(each) for each in scores])
    _draw_lines(axes, x1s, x2s, scores)
    _draw_examples(axes, rows, indices, names)
    if count == 2:
        _draw_key(figure, axes, names[1])
    axes.set_xlabel(x1_name, parse_math=False)
    axes.set_ylabel(x2_name, parse_math=False)
    axes.locator_params(nbins=6)
    axes.set_aspect("equal" if 1 / 3 < (x1s[-1] - x1s[0]) / (x2s[-1] - x2s[0]) < 3 else "auto")
    _save(figure, path)
    return figure


def _class_index(i: int, target: Any, n_outputs: int) -> int:
    if n_outputs == 1 and target in (-1, 0, 1):
        return int(target > 0)
    if isinstance(target, int) and 0 <= target < n_outputs:
        return target
    wanted = "0 or 1" if n_outputs == 1 else f"0 to {n_outputs - 1}"
    raise ValueError(f"y[{i}] is {short(target)}, but for this model the index of a class is {wanted}")


def _names(what: str, names: Any, wanted: int) -> list[str]:
    given = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
    if not all(isinstance(name, str) for name in given):
        raise TypeError(f"{what} must be texts, got {short(given)}")
    if len(given) != wanted:
        raise ValueError(f"{what} must be {wanted} names, got {len(given)}: {short(given)}")
    return given


def _spaced(numbers: Sequence[float]) -> list[float]:
    """Return the grid's places along one axis: over the range of the numbers and a tenth more on either side."""
    low, high = min(numbers), max(numbers)
    margin = 0.1 * (high - low) or max(0.5, 0.1 * abs(low))
    width = high - low + 2.0 * margin
    return [low - margin + width * i / (_CELLS - 1) for i in range(_CELLS)]


def _scores(outputs: list[float], are_probabilities: bool) -> list[float]:
    """Return a number per class: all logits, or all probabilities."""
    if not all(map(isfinite, outputs)):
        raise ValueError(
            f"the model gives {short(outputs)} near the examples; train it again, at a lower learning rate"
        )
    if len(outputs) > 1:
        return outputs
    return [1.0 - outputs[0] if are_probabilities else 0.0, outputs[0]]


def _draw_regions(axes: "Axes", x1s: list[float], x2s: list[float], probabilities: list[list[float]]) -> None:
    """Colour each place like its likeliest class, from white where all are equally likely to deep where it is sure."""
    paint = []
    for each in probabilities:
        even = 1.0 / len(each)
        sure = max(0.0, max(each) - even) / (1.0 - even)  # rounding may leave the largest just below
        paint.append(_tint(each.index(max(each)), sure))
    extent = (x1s[0], x1s[-1], x2s[0], x2s[-1])
    axes.imshow(_folded(paint), extent=extent, origin="lower", interpolation="bilinear")


def _draw_lines(axes: "Axes", x1s: list[float], x2s: list[float], scores: list[list[float]]) -> None:
    """Draw a line where two classes are equally likely, and likelier than the others."""
    for k in range(len(scores[0])):
        lead = [each[k] - max(each[:k] + each[k + 1 :]) for each in scores]
        if min(lead) < 0.0 < max(lead):
            axes.contour(x1s, x2s, _folded(lead), levels=[0.0], colors=_INK, linewidths=1.2)


def _folded(cells: list[Any]) -> list[list[Any]]:
    """Cut the list of the grid's cells into its lines."""
    return [cells[i : i + _CELLS] for i in range(0, len(cells), _CELLS)]


def _draw_examples(axes: "Axes", rows: list[Row], indices: list[int], names: list[str]) -> None:
    for k, _ in enumerate(names):
        members = [row for row, index in zip(rows, indices, strict=True) if index == k]
        axes.scatter(
            [row[0] for row in members],
            [row[1] for row in members],
            s=34,
            color=_color(k),
            marker=_MARKERS[k % len(_MARKERS)],
            edgecolor="white",
            linewidth=0.8,
            zorder=3,
            label=str(k),
        )
    legend = axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(names), 5), frameon=False)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)  # the names are the user's, and a $ in them is a $
        text.set_text(name)


def _color(k: int) -> str:
    return _COLORS[k % len(_COLORS)]


def _tint(k: int, sure: float) -> tuple[float, ...]:
    """Mix the colour of class k with white; the examples on it keep the pure colour."""
    from matplotlib.colors import to_rgb

    return tuple(1.0 - 0.55 * sure * (1.0 - c) for c in to_rgb(_color(k)))


def _draw_key(figure: "Figure", axes: "Axes", name: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap

    colors = LinearSegmentedColormap.from_list("", [_tint(0, 1.0), _tint(0, 0.0), _tint(1, 1.0)])
    beside = axes.inset_axes((1.03, 0.0, 0.03, 1.0))  # as high as the axes, whatever their aspect
    bar = figure.colorbar(ScalarMappable(cmap=colors), cax=beside, ticks=[0.0, 0.5, 1.0])
    bar.set_label(f"probability of {name}", parse_math=False)
    bar.outline.set_visible(False)


# ---- figures and files ---------------------------------------------------------------------------------------


@functools.cache
def _figure_class() -> type["Figure"]:
    try:
        from matplotlib import figure
    except ImportError as error:
        raise ImportError("plots need matplotlib; install it with: pip install 'autograd_lite[plot]'") from error

    class Figure(figure.Figure):
        def _repr_svg_(self) -> str:  # what notebooks ask for
            return _rendered(self, "svg").decode()

    return Figure


def _figure(width: float, height: float, path: str | PathLike[str] | None) -> "Figure":
    """Make an empty figure, once it is sure that it can be saved."""
    if path is not None and _ending(path) not in _METADATA:
        raise ValueError(f"the name of a figure must end in .svg, .png or .pdf, got {fspath(path)!r}")
    return _figure_class()(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", path: str | PathLike[str] | None) -> None:
    if path is not None:
        write_atomically(path, _rendered(figure, _ending(path)))


def _ending(path: str | PathLike[str]) -> str:
    return Path(path).suffix.lower().removeprefix(".")


def _rendered(figure: "Figure", ending: str) -> bytes:
    from matplotlib import rc_context

    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "autograd_lite"}):
        figure.savefig(content, format=ending, dpi=150, bbox_inches="tight", metadata=_METADATA[ending])
    return content.getvalue()
