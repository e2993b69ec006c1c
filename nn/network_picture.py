"""The picture of a network: a column of circles a layer, as in the lecture, in DOT."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from reprlib import repr as short
from typing import Any

import graphviz

from autograd_lite import Value

from .dot import LINE, PALE, PAPER, STYLES, TEXT, tooltip_text
from .modules import MLP, Layer, Neuron, _name
from .wording import SUBSCRIPTS, SUPERSCRIPTS, counted, or_dash, printable

__all__ = ["Column", "columns_of", "network_dot"]

_POSITIVE, _NEGATIVE, _NO_NUMBER = "#2b6cb0", "#d1495b", "#000000"
_ROW, _RADIUS = 38.0, 15.0  # points
_MOST, _FIRST = 16, 6  # of a layer of more than 16 units, the first six and the last are drawn


@dataclass(frozen=True)
class Column:
    """The units of a layer, or the inputs, as they are drawn.

    Attributes:
        kind: "input", "hidden" or "output".
        symbol: What the lecture calls such a unit: x, h or o.
        neurons: The units themselves; the inputs have none.
        activation: Its name; empty for the inputs.
        names: What each unit is, where the user says it.
        size: How many units there are.
        first: How many units there are in the columns before.
        x: How far to the right the column is, in points.
    """

    kind: str
    symbol: str
    neurons: Sequence[Neuron]
    activation: str
    names: Sequence[str]
    size: int
    first: int
    x: float

    @property
    def rows(self) -> list[int | None]:
        """The indices of the units from top to bottom; None stands for those that are left out."""
        return list(range(self.size)) if self.size <= _MOST else [*range(_FIRST), None, self.size - 1]

    @property
    def units(self) -> list[int]:
        """The indices of the units that are drawn."""
        return [unit for unit in self.rows if unit is not None]

    @property
    def top(self) -> float:
        """How high the first row is, in points; the middle of every column is at 0."""
        return (len(self.rows) - 1) / 2 * _ROW

    def id(self, unit: int) -> str:
        """Return the id of a unit; it counts those that are left out, too."""
        return f"node-{self.first + unit}"

    def label(self, unit: int) -> str:
        """Return what the lecture calls the unit: x₁, h₂."""
        return self.symbol + str(unit + 1).translate(SUBSCRIPTS)


def columns_of(
    model: MLP | Layer | Neuron, inputs: Sequence[str] | None, outputs: Sequence[str] | None
) -> list[Column]:
    """Return what is drawn of a network: all that DOT is written from."""
    layers = _layers(model)
    sizes = [len(layers[0][0][0].w), *(len(neurons) for neurons, _ in layers)]
    distance = min(110.0 + 4.0 * max(sizes), 170.0)
    hidden = ["h"] if len(layers) == 2 else [f"h{n}".translate(SUPERSCRIPTS) for n in range(1, len(layers))]
    kinds = ["input", *["hidden"] * len(hidden), "output"]
    names = {"input": _names("inputs", inputs, sizes[0]), "output": _names("outputs", outputs, sizes[-1]), "hidden": ()}
    parts = zip(kinds, ["x", *hidden, "o"], [((), ""), *layers], sizes, strict=True)
    return [
        Column(kind, symbol, neurons, activation, names[kind], size, sum(sizes[:n]), n * distance)
        for n, (kind, symbol, (neurons, activation), size) in enumerate(parts)
    ]


def _layers(model: MLP | Layer | Neuron) -> list[tuple[Sequence[Neuron], str]]:
    """Return the neurons and the activation of each layer."""
    if isinstance(model, Neuron):
        return [([model], _name(model.activation))]
    layers = model.layers if isinstance(model, MLP) else [model]
    return [(layer.neurons, _name(layer.activation)) for layer in layers]


def _names(what: str, names: Sequence[str] | None, wanted: int) -> Sequence[str]:
    """Return the names of units, or raise an error that says what is wrong with them."""
    if names is None:
        return ()
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names):
        raise TypeError(f"{what}= takes a list of texts, one per {what[:-1]} unit, not {short(names)}")
    if len(names) != wanted:
        raise ValueError(f"the network has {counted(wanted, what[:-1])}, but {what}= has {counted(len(names), 'name')}")
    return names


def network_dot(columns: Sequence[Column]) -> str:
    """Return a network in DOT, its units in place."""
    graph = graphviz.Digraph(
        graph_attr={"layout": "nop", "splines": "line", "outputorder": "edgesfirst", **PAPER},
        node_attr={"style": "filled", "fillcolor": "white", **TEXT},
        edge_attr={"arrowhead": "none"},
    )
    neurons = [neuron for column in columns for neuron in column.neurons]
    swept = any(p.grad != 0.0 for neuron in neurons for p in (*neuron.w, neuron.b))
    largest = max((abs(w.data) for neuron in neurons for w in neuron.w if math.isfinite(w.data)), default=0.0)
    top = max(column.top for column in columns)
    for column in columns:
        _add_note(graph, f"{column.kind} units", f"{column.size:,} {column.activation}".strip(), column.x, top + 42)
        for row, unit in enumerate(column.rows):
            y = column.top - row * _ROW
            if unit is None:
                _add_note(graph, "⋮", f"{column.size - len(column.units):,} more", column.x, y)
            else:
                _add_unit(graph, column, unit, y, swept)
    for before, column in pairwise(columns):
        for k, i in product(column.units, before.units):
            w = column.neurons[k].w[i]
            graph.edge(
                before.id(i),
                column.id(k),
                id=f"edge-{column.first + k}-{i}",
                tooltip=tooltip_text(f"from {before.label(i)} to {column.label(k)}", _parameter(w, swept)),
                **_stroke(w.data, largest),
            )
    signs = f'<font color="{_POSITIVE}">w &gt; 0</font>    <font color="{_NEGATIVE}">w &lt; 0</font>'
    _add_note(graph, signs, f"the widest line: |w| = {largest:.3g}", columns[-1].x / 2, -top - 42)
    return str(graph.source)


def _parameter(value: Value, swept: bool) -> str:
    return f"{value.name or 'parameter'} = {value.data!r}, grad {or_dash(value.grad if swept else None)}"


def _add_unit(graph: Any, column: Column, unit: int, y: float, swept: bool) -> None:
    name = column.names[unit] if column.names else ""
    bias = [column.activation, _parameter(column.neurons[unit].b, swept)] if column.neurons else []
    fill, border = STYLES[column.kind]
    graph.node(
        column.id(unit),
        id=column.id(unit),
        label=column.label(unit),
        tooltip=tooltip_text(column.label(unit), name, *bias),
        pos=f"{column.x:.1f},{y:.1f}",
        shape="circle",
        fixedsize="true",
        width=f"{2 * _RADIUS / 72:.3f}",
        fillcolor=fill,
        color=border,
    )
    if name:
        _add_name(graph, column, unit, name, y)


def _add_name(graph: Any, column: Column, unit: int, name: str, y: float) -> None:
    """Add what a unit stands for, away from the lines: to the left of inputs, to the right of outputs."""
    text = printable(name, 24)
    # The box is at least as wide as the text will be in any font, so that the text can lean on its side.
    width = sum(11.0 if c.isupper() or unicodedata.east_asian_width(c) in "WF" else 8.8 for c in text)
    side, lean = (-1, r"\r") if column.kind == "input" else (1, r"\l")
    graph.node(
        f"name-{column.first + unit}",
        label=graphviz.nohtml(text.replace("&", "&amp;").replace("\\", r"\\") + lean),
        tooltip=tooltip_text(name),
        pos=f"{column.x + side * (_RADIUS + 5 + width / 2):.1f},{y:.1f}",
        shape="none",
        margin="0",
        fixedsize="shape",
        width=f"{width / 72:.3f}",
        height="0.2",
    )


def _add_note(graph: Any, text: str, small: str, x: float, y: float) -> None:
    """Add two lines of text, the second small and pale."""
    second = f'<font point-size="9" color="{PALE}">{small}</font>'
    rows = "".join(f"<tr><td>{line}</td></tr>" for line in (text, second))
    label = f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{rows}</table>>'
    place = f"{x:.1f},{y:.1f}"
    graph.node(f"note at {place}", label=label, tooltip=tooltip_text(small), pos=place, shape="plain")


def _stroke(weight: float, largest: float) -> dict[str, str]:
    """Return colour and width of a line; a weight of 0 is a hair, one that is no number a black line."""
    share = abs(weight) / largest if largest and math.isfinite(weight) else float(weight != 0.0)
    colour = _POSITIVE if weight > 0.0 else _NEGATIVE if weight < 0.0 else LINE if weight == 0.0 else _NO_NUMBER
    return {"color": f"{colour}b0", "penwidth": f"{0.25 + 2.5 * share:.2f}"}
