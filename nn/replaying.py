"""Replay how a network learnt, epoch by epoch: its boundary, its loss, and the response of every unit, in one page.

The page holds the recorded weights themselves, to the last bit, and computes every picture from them as it is shown.
"""

from __future__ import annotations

import base64
import html
import math
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import index
from reprlib import repr as short
from statistics import fmean
from typing import Any

import autograd_lite as al
from autograd_lite.files import write_atomically

from .history import History, measured_texts
from .modules import MLP, Activation, Layer, Neuron, _name
from .network_picture import columns_of
from .pages import frame, framed, page
from .plotting import _COLORS, _class_index, _names, _scores, _spaced
from .tasks import Example, Row, Target, are_probabilities, examples_of, recorded_outputs
from .wording import counted, printable

__all__ = ["Replay", "replay"]

_MOST_EPOCHS = 201  # places of the slider; more can't be told apart
_MOST_NUMBERS = 100_000  # weights in a page: 1.1 MB
_MOST_POINTS = 500
_LONGEST_NAME = 24
_SIZE = "height:560px"  # of the page in a notebook
_MOST_PRODUCTS = 160_000  # of weights and places for the map of the still picture: 0.3 s
# Of classes and of signs: what speaks for class 1 is positive. The blue of positive weights is that of `draw`.
_NEGATIVE, _POSITIVE = _COLORS[1], _COLORS[0]
_PALETTE = (_NEGATIVE, _POSITIVE, *_COLORS[2:], "#882255", "#999933", "#7d5fd3", "#117733")
_NOT_IN_THE_PAGE = ("gamma", "lgamma", "digamma")  # they have no short form in JavaScript


def replay(
    history: History,
    model: MLP | Layer | Neuron,
    X: Iterable[Iterable[float]],
    y: Iterable[Any],
    *,
    inputs: tuple[int, int] | None = None,
    feature_names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Replay:
    """Show how a network learnt: what it gave, and what each of its units gave, after every recorded epoch.

    The responses are those to two inputs; where there are more, all others stay at their means over X, and the page
    says so. With a single input they are those along it. The model is only read: its parameters stay as they are.

    At most 201 epochs are shown, of a large network fewer, so that a page has at most 100,000 weights; and at most 500
    examples. They are evenly spaced, and the page says so.

    Args:
        history: What `fit(..., record=True)` returned.
        model: What was trained.
        X: The examples to show, one row each; they need not be those that were learnt from.
        y: One target per row, as for `fit`.
        inputs: The two inputs to show, counted from 0; by default the first two.
        feature_names: What the inputs are; by default x1, x2, ….
        classes: What the classes are; by default class 0, class 1, ….

    Raises:
        TypeError: An argument is not of its kind.
        ValueError: The weights were not recorded or are those of another model, X or y don't fit, there is not one
            name for each input and class, or the page can't compute an activation.

    >>> from nn.data import same_value
    >>> from nn.training import fit
    >>> model = MLP(2, [4, 1], activation=al.tanh, seed=0)
    >>> history = fit(model, *same_value(), epochs=20, record=True, progress=False)
    >>> replay(history, model, *same_value())
    Replay(MLP(2 inputs -> 4 tanh -> 1 linear: a 2-layer network, 17 parameters): epochs 0 to 20, 4 examples)
    """
    _check_recorded(history, model)
    examples = examples_of(X, y)
    outputs = recorded_outputs(model, examples[0][0])
    network = _network(model)
    _check_computed(network, model, examples[0][0], [output.data for output in outputs])
    n_inputs = len(examples[0][0])
    plane = _plane(examples, _axes(inputs, n_inputs))
    if feature_names is None:
        feature_names = [f"x{i}" for i in range(1, n_inputs + 1)]
    return Replay(
        history=history,
        model=repr(model),
        network=network,
        examples=examples,
        plane=plane,
        goal=_goal(history, examples, len(outputs), are_probabilities(outputs), classes),
        features=_shown_names("feature_names", feature_names, n_inputs),
        units=[[column.label(k) for k in range(column.size)] for column in columns_of(model, None, None)],
        epochs=_kept(len(history) + 1, min(_MOST_EPOCHS, max(2, _MOST_NUMBERS // len(history.weights[0])))),
    )


@dataclass(frozen=True)
class _Network:
    """What the layers compute: for each, its units' activations, and whether softmax comes after them."""

    layers: list[tuple[list[Activation], bool]]

    def outputs(self, weights: Iterable[float], row: Sequence[float]) -> list[float]:
        numbers, x = iter(weights), list(row)
        for units, softmax in self.layers:
            net_inputs = [al.affine(tuple(islice(numbers, len(x))), x, next(numbers)) for _ in units]
            x = [z if f is None else f(z) for f, z in zip(units, net_inputs, strict=True)]
            if softmax:
                x = al.softmax(x)
        return x


@dataclass(frozen=True)
class _Plane:
    """Where the responses are shown: along one input or two, the others held."""

    axes: tuple[int, ...]
    low: list[float]
    high: list[float]
    means: list[float]

    def share(self, axis: int, x: float) -> float:
        """Return how far along its axis a number is, from 0 to 1."""
        return round((x - self.low[axis]) / (self.high[axis] - self.low[axis]), 4)


@dataclass(frozen=True)
class _Goal:
    """What the outputs stand for: classes, or numbers, each of its own range."""

    targets: list[int] | list[tuple[float, ...]]
    classes: list[str]
    probabilities: bool
    ranges: list[tuple[float, float]]


@dataclass(frozen=True, repr=False, eq=False)
class Replay:
    """A recorded training, in a notebook at the end of a cell or as a page; `replay` makes it.

    Attributes:
        history: What was recorded.
        model: What was trained, as its `repr` says it.
        epochs: Those that are shown; 0 is before training.
    """

    history: History
    model: str
    network: _Network
    examples: list[Example]
    plane: _Plane
    goal: _Goal
    features: list[str]
    units: list[list[str]]
    epochs: list[int]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a page that plays the training in a browser; it needs nothing but itself.

        Raises:
            OSError: The file can't be written.
            ValueError: The suffix is not .html.

        >>> from tempfile import TemporaryDirectory
        >>> from nn.data import same_value
        >>> from nn.training import fit
        >>> model = Neuron(2, seed=0)
        >>> history = fit(model, *same_value(), epochs=3, record=True, progress=False)
        >>> with TemporaryDirectory() as folder:
        ...     replay(history, model, *same_value()).save(f"{folder}/replay.html")
        """
        if not str(path).lower().endswith((".html", ".htm")):
            raise ValueError(f"a replay is saved as .html, but {str(path)!r} ends otherwise")
        write_atomically(path, self._page())

    def __repr__(self) -> str:
        return f"Replay({self.model}: epochs 0 to {self.epochs[-1]}, {counted(len(self.examples), 'example')})"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        makers: dict[str, Callable[[], str]] = {
            "text/html": lambda: framed(self._page(), _SIZE, self._picture, self._title, "allow-scripts"),
            "image/svg+xml": lambda: self._picture,
            "text/plain": self.__repr__,
        }
        wanted = set(include or makers) - set(exclude or ())
        return {mime: make() for mime, make in makers.items() if mime in wanted}

    def _mime_(self) -> tuple[str, str]:  # what marimo asks for; it shows every frame, and would keep the image, too
        return "text/html", frame(self._page(), _SIZE, self._title, "allow-scripts")

    @property
    def _title(self) -> str:
        return f"training replayed, epochs 0 to {self.epochs[-1]:,}: {printable(self.model, 120)}"

    @cached_property
    def _picture(self) -> str:
        return _still(self)

    def _page(self) -> str:
        return page("replay", self._title, _story(self))


# ---- what is asked for ----------------------------------------------------------------------------------------


def _check_recorded(history: Any, model: Any) -> None:
    if not isinstance(history, History):
        raise TypeError(f"replay takes the History that fit returned, got {short(history)}")
    if not isinstance(model, (MLP, Layer, Neuron)):
        raise TypeError(f"replay shows an MLP, a Layer or a Neuron, got {short(model)}")
    if len(history.weights) <= len(history):
        raise ValueError("the history has no weights to replay; train with fit(..., record=True)")
    if (found := repr(model)) != history.model or len(model.parameters()) != len(history.weights[0]):
        raise ValueError(f"the recorded weights are those of {history.model}, but the model is {found}")


def _network(model: MLP | Layer | Neuron) -> _Network:
    layers = model.layers if isinstance(model, MLP) else [model]
    network = []
    for layer in layers:
        neurons = layer.neurons if isinstance(layer, Layer) else [layer]
        for neuron in neurons:
            _check_activation(neuron.activation)
        network.append(([neuron.activation for neuron in neurons], layer.activation is al.softmax))
    return _Network(network)


def _check_activation(f: Any) -> None:
    if f is not None and (f.name in _NOT_IN_THE_PAGE or al.TABLE.get(f.name) is not f):
        raise ValueError(
            f"a page can't compute the activation {short(f)}; it knows those of the table, such as relu and tanh, "
            f"but for {', '.join(_NOT_IN_THE_PAGE)}"
        )


def _check_computed(network: _Network, model: Any, row: Row, outputs: list[float]) -> None:
    """Make sure that the layers alone say what the model computes: a subclass may do otherwise."""
    ours = network.outputs([w.data for w in model.parameters()], row)
    if len(ours) != len(outputs) or not all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(ours, outputs, strict=True)
    ):
        raise ValueError(f"the model computes something else than its layers ({short(outputs)}, not {short(ours)})")


def _axes(inputs: Any, n_inputs: int) -> tuple[int, ...]:
    if n_inputs == 1:
        if inputs is not None:
            raise ValueError(f"inputs= chooses two inputs, but the model has one; leave it out, got {short(inputs)}")
        return (0,)
    try:
        i, j = map(index, (0, 1) if inputs is None else inputs)
    except (TypeError, ValueError):
        raise TypeError(f"inputs= takes the numbers of two inputs, such as (0, 1), not {short(inputs)}") from None
    if i == j or not (0 <= i < n_inputs and 0 <= j < n_inputs):
        raise ValueError(f"inputs= must be two different numbers from 0 to {n_inputs - 1}, got {short(inputs)}")
    return (i, j)


def _plane(examples: list[Example], axes: tuple[int, ...]) -> _Plane:
    columns = list(zip(*(row for row, _ in examples), strict=True))
    places = [_spaced(columns[i]) for i in axes]
    return _Plane(axes, [each[0] for each in places], [each[-1] for each in places], [*map(fmean, columns)])


def _goal(
    history: History, examples: list[Example], n_outputs: int, probabilities: bool, classes: Sequence[str] | None
) -> _Goal:
    targets = [target for _, target in examples]
    if history.metric == "accuracy":
        count = max(2, n_outputs)
        names = [f"class {k}" for k in range(count)] if classes is None else classes
        indices = [_class_index(i, target, n_outputs) for i, target in enumerate(targets)]
        return _Goal(indices, _shown_names("classes", names, count), probabilities, [])
    if classes is not None:
        raise ValueError("classes= is for a model of classes, but this one was trained on numbers; leave it out")
    numbers = [_numbers(i, target, n_outputs) for i, target in enumerate(targets)]
    places = [_spaced(column) for column in zip(*numbers, strict=True)]
    return _Goal(numbers, [], False, [(each[0], each[-1]) for each in places])


def _numbers(i: int, target: Target, n_outputs: int) -> tuple[float, ...]:
    numbers = target if isinstance(target, tuple) else (float(target),)
    if len(numbers) != n_outputs:
        raise ValueError(f"y[{i}] is {short(target)}, but the model gives {counted(n_outputs, 'number')}")
    return numbers


def _shown_names(what: str, names: Any, wanted: int) -> list[str]:
    return [printable(name, _LONGEST_NAME) for name in _names(what, names, wanted)]


def _kept(count: int, most: int) -> list[int]:
    """Return at most so many of the numbers below count, evenly spaced, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(k * (count - 1) / (most - 1)) for k in range(most)]


# ---- the page -------------------------------------------------------------------------------------------------


def _story(replay: Replay) -> dict[str, Any]:
    """Return all that the page shows; nn/replay.js says what is what."""
    weights = array("d", [w for epoch in replay.epochs for w in replay.history.weights[epoch]])
    if sys.byteorder == "big":
        weights.byteswap()
    goal, plane, records = replay.goal, replay.plane, replay.history.records
    return {
        "model": printable(replay.model, 200),
        "layers": [
            {"units": [_name(f) for f in units], "softmax": softmax} for units, softmax in replay.network.layers
        ],
        "units": replay.units,
        "axes": plane.axes,
        "low": plane.low,
        "high": plane.high,
        "means": plane.means,
        "features": replay.features,
        "classes": goal.classes,
        "probabilities": goal.probabilities,
        "ranges": goal.ranges,
        "colors": _PALETTE,
        "points": _points(replay),
        "epochs": replay.epochs,
        "figures": [measured_texts(records[epoch - 1]) if epoch else [] for epoch in replay.epochs],
        "losses": _losses(replay),
        "notes": _notes(replay),
        "weights": base64.b64encode(weights.tobytes()).decode(),
    }


def _points(replay: Replay) -> list[list[Any]]:
    """Return the places of the examples along each axis, as shares of it, and their targets."""
    plane, shown = replay.plane, _kept(len(replay.examples), _MOST_POINTS)
    return [
        [[plane.share(n, replay.examples[k][0][i]) for n, i in enumerate(plane.axes)], replay.goal.targets[k]]
        for k in shown
    ]


def _losses(replay: Replay) -> dict[str, list[float | None]]:
    """Return the columns of the loss at the epochs shown: None before training, and where it is not finite."""
    columns = {"training": replay.history["loss"]}
    if replay.history.validated:
        columns["validation"] = replay.history["validation_loss"]
    return {
        name: [column[n - 1] if n and math.isfinite(column[n - 1]) else None for n in replay.epochs]
        for name, column in columns.items()
    }


def _notes(replay: Replay) -> list[str]:
    """Say what is not shown, or not as one might think."""
    plane, notes = replay.plane, []
    held = [f"{name} = {plane.means[i]:.4g}" for i, name in enumerate(replay.features) if i not in plane.axes]
    if held:
        more = f" and {len(held) - 6} more" if len(held) > 6 else ""
        notes.append(
            f"The maps are a slice: every other input is held at its mean ({', '.join(held[:6])}{more}). "
            "The points have their own values there, so one may lie on the wrong side and yet be right."
        )
    if len(replay.goal.classes) > len(_PALETTE):
        notes.append(f"There are {len(_PALETTE)} colours for {len(replay.goal.classes)} classes: they repeat.")
    total = len(replay.history) + 1
    if len(replay.epochs) < total:
        notes.append(f"{len(replay.epochs)} of {total:,} epochs are shown, evenly spaced.")
    if len(replay.examples) > _MOST_POINTS:
        notes.append(f"{_MOST_POINTS} of {len(replay.examples):,} examples are shown, evenly spaced.")
    notes.append("Training figures are measured during the epoch, validation figures and the maps after it.")
    return notes


# ---- the still picture ----------------------------------------------------------------------------------------


def _still(replay: Replay) -> str:
    """Return the last epoch's map and the losses as SVG, for where no script runs."""
    image = base64.b64encode(_map(replay)).decode()
    texts = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#333333">{html.escape(text)}</text>'
        for x, y, anchor, text in _captions(replay)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 392" width="680" height="392" role="img" '
        f'aria-label="{html.escape(replay._title)}" font-family="Helvetica,Arial,sans-serif" font-size="13">'
        '<rect width="680" height="392" fill="white"/>'
        f'<image x="20" y="36" width="300" height="300" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{image}"/>'
        f"{_dots(replay)}{_curves(replay)}{_legend(replay.goal.classes)}{texts}</svg>"
    )


def _captions(replay: Replay) -> list[tuple[int, int, str, str]]:
    """Return the texts of the still picture: where each is, which side of it is there, and what it says."""
    plane, records = replay.plane, replay.history.records
    names = [replay.features[i] for i in plane.axes]
    low, high = _loss_range(replay)
    captions = [
        (
            20,
            24,
            "start",
            ", ".join([f"after epoch {replay.epochs[-1]:,}", *(measured_texts(records[-1]) if records else [])]),
        ),
        (20, 352, "start", f"{plane.low[0]:.4g}"),
        (170, 352, "middle", names[0]),
        (320, 352, "end", f"{plane.high[0]:.4g}"),
        (360, 46, "start", f"loss, {low:.3g} to {high:.3g}" + "; dashed: validation" * replay.history.validated),
        (360, 352, "start", "0"),
        (500, 352, "middle", "epoch"),
        (640, 352, "end", f"{replay.epochs[-1]:,}"),
    ]
    if len(names) == 2:
        captions.append((20, 368, "start", f"upwards: {names[1]}, {plane.low[1]:.4g} to {plane.high[1]:.4g}"))
    if len(plane.means) > 2:
        captions.append((20, 384, "start", "a slice: the other inputs are at their means"))
    return captions


def _legend(classes: list[str]) -> str:
    names = [f'<tspan fill="{_color(k)}">●</tspan> {html.escape(name)}&#160; ' for k, name in enumerate(classes[:4])]
    more = f"and {len(classes) - 4} more" if len(classes) > 4 else ""
    return f'<text x="360" y="376" fill="#333333">{"".join(names)}{more}</text>'


def _color(k: int) -> str:
    return _PALETTE[k % len(_PALETTE)]


def _map(replay: Replay) -> bytes:
    """Return what the network gives over the plane after the last epoch as a PNG, from the top row down."""
    plane, weights = replay.plane, replay.history.weights[replay.epochs[-1]]
    cells = min(40, max(12, math.isqrt(_MOST_PRODUCTS // len(weights))))
    along = [
        [low + (high - low) * (k + 0.5) / cells for k in range(cells)]
        for low, high in zip(plane.low, plane.high, strict=True)
    ]
    pixels = []
    for vertical in reversed(along[1] if len(along) == 2 else [0.0]):
        line = []
        for horizontal in along[0]:
            row = list(plane.means)
            for i, x in zip(plane.axes, (horizontal, vertical), strict=False):
                row[i] = x
            line.append(_paint(replay.goal, replay.network.outputs(weights, row)))
        pixels.append(line)
    return _png(pixels)


def _paint(goal: _Goal, outputs: list[float]) -> tuple[int, ...]:
    """Return the colour of a place, as the page paints it on white."""
    if not all(map(math.isfinite, outputs)):
        return (128, 128, 128)
    if goal.classes:
        scores = _scores(outputs, goal.probabilities)
        probabilities = scores if goal.probabilities else al.softmax(scores)
        k, even = probabilities.index(max(probabilities)), 1.0 / len(scores)
        return _tint(_color(k), 0.55 * max(0.0, max(probabilities) - even) / (1.0 - even))
    low, high = goal.ranges[0]
    share = (outputs[0] - low) / (high - low) * 2.0 - 1.0
    return _tint(_POSITIVE if share > 0.0 else _NEGATIVE, 0.85 * min(abs(share), 1.0))


def _tint(color: str, share: float) -> tuple[int, ...]:
    return tuple(round(255 + share * (c - 255)) for c in bytes.fromhex(color[1:]))


def _png(pixels: list[list[tuple[int, ...]]]) -> bytes:
    """Return an image of 8 bits a channel; W3C, Portable Network Graphics, sections 5 and 11."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + bytes(c for pixel in line for c in pixel) for line in pixels)
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def _dots(replay: Replay) -> str:
    goal, dots = replay.goal, []
    for places, target in _points(replay):
        if goal.classes:
            color, height = _color(target), 0.95 if target else 0.05
        else:
            low, high = goal.ranges[0]
            height = (target[0] - low) / (high - low)
            color = "#{:02x}{:02x}{:02x}".format(*_paint(goal, list(target)))
        x, y = 20 + 300 * places[0], 336 - 300 * (places[1] if len(places) == 2 else height)
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}" stroke="#333333" stroke-width="0.7"/>')
    return "".join(dots)


def _loss_range(replay: Replay) -> tuple[float, float]:
    losses = [loss for column in _losses(replay).values() for loss in column if loss is not None]
    return min([0.0, *losses]), max(losses, default=1.0)


def _curves(replay: Replay) -> str:
    low, high = _loss_range(replay)
    curves = ['<path d="M360 60V336H640" fill="none" stroke="#8b8b87"/>']
    for column, dash in zip(_losses(replay).values(), ("none", "5 3"), strict=False):
        points = " ".join(
            f"{360 + 280 * n / replay.epochs[-1]:.1f},{336 - 270 * (loss - low) / (high - low or 1.0):.1f}"
            for n, loss in zip(replay.epochs, column, strict=True)
            if loss is not None
        )
        curves.append(f'<polyline points="{points}" fill="none" stroke="#333333" stroke-dasharray="{dash}"/>')
    return "".join(curves)
