"""Figures show what was measured and learnt, are the same bytes each time, and need neither display nor state."""

import math
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET

import matplotlib
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

import autograd_lite as al
from nn import data, plotting
from nn.modules import MLP, Module, Neuron
from nn.plotting import plot_boundary, plot_history
from nn.training import History, fit

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
BEGINNINGS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


def history(losses: list[float], validation: list[float] | None = None) -> History:
    made = History("accuracy", validated=validation is not None)
    for i, loss in enumerate(losses):
        record = {"epoch": i + 1, "loss": loss, "accuracy": 0.5}
        if validation is not None:
            record |= {"validation_loss": validation[i], "validation_accuracy": 0.25}
        made.records.append(record)
    return made


class Fixed(Module):
    """A model whose outputs are given functions of its inputs."""

    def __init__(self, *outputs):
        self.functions = outputs

    def named_parameters(self):
        return []

    def __call__(self, x):
        return [f(*map(al.Value, x)) for f in self.functions]


def color_at(figure: Figure, x1: float, x2: float) -> tuple[float, ...]:
    """The colour of the region at a place."""
    (image,) = figure.axes[0].get_images()
    left, right, bottom, top = image.get_extent()
    assert image.origin == "lower"
    cells = image.get_array()
    row = round((x2 - bottom) / (top - bottom) * (len(cells) - 1))
    return tuple(cells[row][round((x1 - left) / (right - left) * (len(cells[0]) - 1))])


def depth(color: tuple[float, ...], pure: str) -> float:
    """How much of a pure colour there is in its mixture with white."""
    shares = [(1.0 - c) / (1.0 - p) for c, p in zip(color, to_rgb(pure), strict=True)]
    assert shares == pytest.approx([shares[0]] * 3)
    return shares[0]


def boundaries(figure: Figure) -> list:
    """The corners of each line between regions."""
    contours = [c for c in figure.axes[0].collections if isinstance(c, ContourSet)]
    return [path.vertices for contour in contours for path in contour.get_paths()]


# The history


def test_history_shows_every_column():
    figure = plot_history(history([3.0, 2.0, 1.0], validation=[3.5, 2.5, 1.5]))
    lines = {(axes.get_ylabel(), line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
    assert list(lines) == [
        ("loss", "training"),
        ("loss", "validation"),
        ("accuracy", "training"),
        ("accuracy", "validation"),
    ]
    assert list(lines["loss", "validation"].get_ydata()) == [3.5, 2.5, 1.5]
    assert list(lines["accuracy", "training"].get_ydata()) == [0.5] * 3
    assert all(list(line.get_xdata()) == [1, 2, 3] for line in lines.values())
    assert all(axes.get_legend() for axes in figure.axes)


def test_history_without_validation_needs_no_legend():
    assert not any(axes.get_legend() for axes in plot_history(history([1.0])).axes)


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([1.0, 0.02], "linear"),
        ([1.0, 0.009], "log"),
        ([1.0, 0.0], "linear"),
        ([1.0, math.inf], "log"),
        ([0.5], "linear"),
    ],
)
def test_a_loss_that_falls_far_is_drawn_on_a_logarithmic_scale(losses, scale, tmp_path):
    figure = plot_history(history(losses), tmp_path / "loss.png")
    assert [axes.get_yscale() for axes in figure.axes] == [scale, "linear"]


def test_epochs_are_whole_numbers(tmp_path):
    for n in (1, 2, 30):
        figure = plot_history(history([1.0] * n), tmp_path / "h.png")
        assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


def test_a_history_of_a_real_training():
    trained = fit(Neuron(1, seed=0), [[0.0], [1.0]], [0.0, 2.0], epochs=2, progress=False)
    assert [axes.get_ylabel() for axes in plot_history(trained).axes] == ["loss", "rmse"]


# The boundary


@pytest.mark.parametrize(
    "model",
    [
        Fixed(lambda a, b: 50 * (a - 0.5)),
        Fixed(lambda a, b: 50 * (0.5 - a), lambda a, b: 0 * a),
        Fixed(lambda a, b: al.sigmoid(50 * (a - 0.5))),
    ],
    ids=["a logit", "two logits", "a probability"],
)
def test_two_classes_are_two_colours_with_a_line_between(model):
    figure = plot_boundary(model, *data.same_value())
    for x2 in (0.0, 1.0):
        assert depth(color_at(figure, 0.0, x2), BLUE) == pytest.approx(0.55)
        assert depth(color_at(figure, 1.0, x2), ORANGE) == pytest.approx(0.55)
        assert min(color_at(figure, 0.5, x2)) > 0.9  # nearly white where it is undecided
    for line in boundaries(figure):
        assert line[:, 0] == pytest.approx(0.5, abs=1e-9 if len(model.functions) > 1 else 1e-3)
        assert line[:, 1].min() < 0 < 1 < line[:, 1].max()
    (key,) = figure.axes[0].child_axes
    assert key.get_ylabel() == "probability of class 1"


def test_three_classes_are_three_regions():
    model = Fixed(lambda a, b: 50 * a, lambda a, b: 50 * b, lambda a, b: 0 * a)
    figure = plot_boundary(model, [[-1, -1], [1, 0], [0, 1]], [2, 0, 1])
    assert depth(color_at(figure, 1.0, 0.0), BLUE) > 0.5
    assert depth(color_at(figure, 0.0, 1.0), ORANGE) > 0.5
    assert depth(color_at(figure, -1.0, -1.0), GREEN) > 0.5
    assert len(boundaries(figure)) == 3
    assert not figure.axes[0].child_axes


def test_the_examples_are_on_top():
    model = Fixed(lambda a, b: a - b)
    figure = plot_boundary(model, [[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], [1, 0, 1])
    first, second = [c for c in figure.axes[0].collections if not isinstance(c, ContourSet)]
    assert first.get_offsets().tolist() == [[0.0, 1.0]]
    assert second.get_offsets().tolist() == [[1.0, 0.0], [2.0, 0.0]]
    assert (to_rgb(BLUE), to_rgb(ORANGE)) == tuple(tuple(c.get_facecolor()[0][:3]) for c in (first, second))
    assert first.get_paths()[0].vertices.shape != second.get_paths()[0].vertices.shape  # not by colour alone
    assert min(first.get_zorder(), second.get_zorder()) > 2


@pytest.mark.parametrize("y", [[-1, 1], [0, 1], [0.0, 1.0]])
def test_a_single_output_knows_classes_by_their_sign(y):
    figure = plot_boundary(Fixed(lambda a, b: a), [[-1, 0], [1, 0]], y)
    offsets = [c.get_offsets().tolist() for c in figure.axes[0].collections if not isinstance(c, ContourSet)]
    assert offsets == [[[-1.0, 0.0]], [[1.0, 0.0]]]


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (Fixed(lambda a, b: 0 * a), [[0, 0], [1, 1]]),  # undecided everywhere
        (Fixed(*[lambda a, b: 0 * a] * 49), [[0, 0], [1, 1]]),  # and 49 · (1/49) is not quite 1
        (Fixed(lambda a, b: 0 * a - 1e300), [[0, 0], [1, 1]]),  # one class everywhere
        (Fixed(lambda a, b: a), [[3, 3], [3, 3]]),  # a single place
        (Fixed(lambda a, b: a), [[1e12, 3], [1e12, 3]]),
        (Fixed(lambda a, b: a), [[-1e9, 1e-9], [1e9, -1e-9]]),  # of very different extents
        (Fixed(*[lambda a, b, k=k: k * a for k in range(12)]), [[0, 0], [1, 1]]),  # more classes than colours
    ],
)
def test_odd_models_and_examples_are_drawn(model, X, tmp_path):
    plot_boundary(model, X, [0, 1], tmp_path / "boundary.png")


def test_circles_stay_circles():
    assert plot_boundary(Fixed(lambda a, b: a), *data.circles()).axes[0].get_aspect() == 1.0
    assert plot_boundary(Fixed(lambda a, b: a), [[0, 0], [100, 1]], [0, 1]).axes[0].get_aspect() == "auto"


def test_names_are_shown_as_they_are(tmp_path):
    classes, features = ["_a $x$", "${\\x & <b>"], ["$w_1", "<&>"]
    figure = plot_boundary(
        Fixed(lambda a, b: a), *data.same_value(), tmp_path / "b.svg", feature_names=features, classes=classes
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == classes
    assert [axes.get_xlabel(), axes.get_ylabel()] == features
    ET.parse(tmp_path / "b.svg")


def test_a_trained_model_is_drawn_soon_and_quietly(tmp_path):
    moons = data.moons(100)
    model = MLP(2, [16, 16, 1], seed=0)
    fit(model, *moons, epochs=5, progress=False)
    gradients = [w.grad for w in model.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_boundary(model, *moons, tmp_path / "boundary.svg", classes=moons.classes)
    assert [w.grad for w in model.parameters()] == gradients


# Files and notebooks


@pytest.mark.parametrize("ending", ["svg", "png", "pdf", "SVG"])
def test_files_are_the_same_bytes_each_time(ending, tmp_path):
    for name in ("a", "b"):
        plot_boundary(Fixed(lambda a, b: a, lambda a, b: b), *data.same_value(), tmp_path / f"{name}.{ending}")
        plot_history(history([2.0, 1.0]), str(tmp_path / f"h{name}.{ending}"))
    for one, other in (("a", "b"), ("ha", "hb")):
        content = (tmp_path / f"{one}.{ending}").read_bytes()
        assert content == (tmp_path / f"{other}.{ending}").read_bytes()
        assert content.startswith(BEGINNINGS[ending.lower()])
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "h.svg"
    plot_history(history([1.0]), path)
    before = path.read_bytes()
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plot_history(history([2.0]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_notebooks_get_the_same_svg():
    bundles = [DisplayFormatter().format(plot_history(history([2.0, 1.0])))[0] for _ in range(2)]
    assert bundles[0]["image/svg+xml"] == bundles[1]["image/svg+xml"]
    ET.fromstring(bundles[0]["image/svg+xml"])
    assert bundles[0]["text/plain"].startswith("<Figure size")


def test_pyplot_and_settings_stay_untouched(tmp_path):
    before = dict(matplotlib.rcParams)
    plot_history(history([1.0]), tmp_path / "h.svg")
    assert dict(matplotlib.rcParams) == before
    script = (
        "import sys; from nn import plotting; from nn.training import History\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plotting.plot_history(History('rmse', records=[{'epoch': 1, 'loss': 1.0, 'rmse': 1.0}]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plotting._figure_class.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'autograd_lite\[plot\]'"):
        plot_history(history([1.0]))
    with pytest.raises(ImportError, match=r"pip install 'autograd_lite\[plot\]'"):
        plot_boundary(Fixed(lambda a, b: a), *data.same_value())


# Bad input

PLANE = [[0.0, 0.0], [1.0, 1.0]]
LOGIT = Fixed(lambda a, b: a)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plot_history([1.0]), TypeError, r"takes the History that fit returned, got \[1.0\]"),
        (lambda: plot_history(History("rmse")), ValueError, "no finished epoch"),
        (
            lambda: plot_history(history([1.0]), "loss.jpg"),
            ValueError,
            "must end in .svg, .png or .pdf, got 'loss.jpg'",
        ),
        (lambda: plot_history(history([1.0]), "loss"), ValueError, "must end in"),
        (lambda: plot_history(history([1.0]), "missing/folder/loss.svg"), OSError, "missing"),
        (lambda: plot_boundary(LOGIT, [[1.0]], [0]), ValueError, "models of two inputs, but the rows of X have 1 num"),
        (lambda: plot_boundary(LOGIT, PLANE, [0, 1], "b.gif"), ValueError, "must end in"),
        (
            lambda: plot_boundary(MLP(3, [1]), PLANE, [0, 1]),
            ValueError,
            "X does not fit the model: want 3 inputs, got 2",
        ),
        (lambda: plot_boundary(MLP, PLANE, [0, 1]), TypeError, "model must be a Module"),
        (lambda: plot_boundary(LOGIT, PLANE, [0, 2]), ValueError, r"y\[1\] is 2, .* index of a class is 0 or 1"),
        (lambda: plot_boundary(LOGIT, PLANE, [0.5, 1]), ValueError, r"y\[0\] is 0.5"),
        (lambda: plot_boundary(MLP(2, [3]), PLANE, [0, 3]), ValueError, r"y\[1\] is 3, .* is 0 to 2"),
        (lambda: plot_boundary(MLP(2, [3]), PLANE, [0, -1]), ValueError, r"y\[1\] is -1"),
        (lambda: plot_boundary(LOGIT, PLANE, [[0], [1]]), ValueError, r"y\[0\] is \(0.0,\)"),
        (lambda: plot_boundary(LOGIT, [], []), ValueError, "X has no rows"),
        (
            lambda: plot_boundary(LOGIT, PLANE, [0, 1], classes=["a"]),
            ValueError,
            r"classes must be 2 names, got 1: \['a'",
        ),
        (
            lambda: plot_boundary(LOGIT, PLANE, [0, 1], classes="ab"),
            ValueError,
            r"classes must be 2 names, got 1: \['ab'",
        ),
        (
            lambda: plot_boundary(LOGIT, PLANE, [0, 1], classes=[1, 2]),
            TypeError,
            r"classes must be texts, got \[1, 2\]",
        ),
        (lambda: plot_boundary(LOGIT, PLANE, [0, 1], feature_names=None), TypeError, "feature_names must be texts"),
        (
            lambda: plot_boundary(Fixed(lambda a, b: a / 0), PLANE, [0, 1]),
            ValueError,
            "the model gives .* near the exam",
        ),
    ],
)
def test_bad_input(call, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call()
    assert list(tmp_path.iterdir()) == []
