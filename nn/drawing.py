"""Draw a computation graph or a network through Graphviz.

Data flows one way: Values or a network become plain nodes and edges, these become DOT, and a `Drawing` lays the DOT
out as SVG, PNG or PDF. It holds text only: it shows the numbers as they were when it was made.
"""

from __future__ import annotations

import base64
import contextlib
import html
import inspect
import io
import math
import os
import re
import shutil
import tempfile
import threading
import unicodedata
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from pathlib import Path
from reprlib import repr as short
from typing import Any

import graphviz

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.op import number

from .files import write_atomically
from .modules import MLP, Layer, Neuron, _name

__all__ = ["Drawing", "draw"]

_FONT = "Helvetica,Arial,sans-serif"
_PALE = "#6b7280"
_LINE = "#8b8b87"
_TEXT = {"fontname": _FONT, "fontsize": "11"}
_SMALL_TEXT = {"fontname": _FONT, "fontsize": "9", "fontcolor": _PALE}
# pygraphviz takes the first text that looks like a charset for one, and a user's name may look so: ours comes first.
_PAPER = {"bgcolor": "white", "charset": "UTF-8", "pad": "0.15"}
_BLUE, _GREY, _ORANGE = ("#e0edfb", "#5b8ec4"), ("#f5f5f4", _LINE), ("#fdeccb", "#d98e0b")  # fill and border
_STYLES = {
    "leaf": _BLUE, "result": _GREY, "root": _ORANGE,
    "input": _BLUE, "hidden": _GREY, "output": _ORANGE,
}  # fmt: skip
_POSITIVE, _NEGATIVE, _NO_NUMBER = "#2b6cb0", "#d1495b", "#000000"


def draw(
    value_or_model: Value | Sequence[Value] | MLP | Layer | Neuron,
    *,
    partials: bool = False,
    orientation: str = "LR",
    limit: float = 2000,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Drawing:
    """Draw the graph that a Value was computed by, or a network.

    A graph has one box a Value: its name, its operation with the constants in it, its data and its gradient. Leaves
    are round and blue, the Value drawn stands out in orange. While every gradient in the graph is 0.0, no backward has
    reached it (the gradient a backward starts from is that of the Value itself), and the boxes say –.

    A network is a column of circles a layer, as in the lecture: input units x, hidden units h (hᴸ in layer L, if
    there are several), output units o. A line is a weight: blue is positive, red negative, its width goes with |w|.
    Numbers, biases among them, show when the pointer is on a unit or a line. Of a layer of more than 16 units the
    middle is left out, and the drawing says how many that are.

    Args:
        value_or_model: A Value, a list of them (what a network returns), or a `Neuron`, `Layer` or `MLP`.
        partials: Write its local partial ∂result/∂operand on each edge of a graph.
        orientation: Of a graph: "LR" from left to right, "TB" from top to bottom.
        limit: How many nodes and edges a graph may have together: the time to lay them out grows faster than they do,
            and nobody can read them.
        inputs: Of a network: what the input units are, written beside them.
        outputs: Of a network: what the output units are.

    Raises:
        TypeError: This can't be drawn, or a name is not a text.
        ValueError: The graph is beyond the limit, a network has not as many units as names are given, or an
            option is of the other kind of drawing.

    >>> x = Value(3.0, "x")
    >>> draw(x * x)
    Drawing(computation graph: 2 nodes, 2 edges)
    >>> draw(MLP(64, [32, 10]), outputs=list("0123456789"))
    Drawing(network: 64 input units, 32 hidden units, 10 output units)
    """
    if isinstance(value_or_model, (MLP, Layer, Neuron)):
        if partials or orientation != "LR":
            raise ValueError(
                "partials= and orientation= are for the graph of a Value; a network takes inputs=, outputs="
            )
        return _draw_network(value_or_model, inputs, outputs)
    if inputs is not None or outputs is not None:
        raise ValueError("inputs= and outputs= name the units of a network; give a Value a name when you make it")
    if orientation not in ("LR", "TB"):
        raise ValueError(f'orientation must be "LR" or "TB", not {short(orientation)}')
    roots = [value_or_model] if isinstance(value_or_model, Value) else value_or_model
    if not isinstance(roots, (list, tuple)) or not all(isinstance(root, Value) for root in roots):
        raise TypeError(
            f"draw takes a Value, a list of Values, a Neuron, a Layer or an MLP, not {short(value_or_model)}"
        )
    if not roots:
        raise ValueError("there is nothing to draw: the list of Values is empty")
    return _draw_graph(roots, partials, orientation, number(limit, "limit="))


# ---- what a drawing is ----------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Drawing:
    """A picture, in a notebook at the end of a cell or in a file; `draw` makes it.

    Attributes:
        dot: Its source in the DOT language.
        summary: What it shows, in a few words.

    >>> drawing = draw(Value(2.0, "x"))
    >>> drawing
    Drawing(computation graph: 1 node, 0 edges)
    >>> drawing.svg.startswith("<svg")
    True
    """

    dot: str
    summary: str

    @cached_property
    def svg(self) -> str:
        """The picture as SVG; it is laid out on first use.

        Nodes have the ids `node-0`, `node-1`, … in topological order; `edge-2-0` enters node 2 at its first operand.

        Raises:
            ImportError: There is no Graphviz, neither that of pygraphviz nor `dot` on PATH.
        """
        svg = _lay_out(self.dot, "svg").decode()
        return svg[svg.index("<svg") :]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, in the form that its suffix says: .svg, .png, .pdf or .dot.

        PNG and PDF draw with the fonts of this machine; there is a warning if it has none. An SVG is drawn with the
        fonts of whoever looks at it.

        Raises:
            ImportError: There is no Graphviz, neither that of pygraphviz nor `dot` on PATH.
            OSError: The file can't be written.
            ValueError: The suffix is another one.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     draw(Value(2.0, "x")).save(f"{folder}/x.png")
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".dot":
            write_atomically(path, self.dot)
        elif suffix == ".svg":
            write_atomically(path, self.svg)
        elif suffix == ".png":
            write_atomically(path, _with_fonts(self.dot.replace("{", "{\n\tdpi=192", 1), "png"))
        elif suffix == ".pdf":
            pdf = _with_fonts(self.dot, "pdf")
            dateless = re.sub(rb"(?<=/CreationDate \(D:)\d{14}", b"20000101000000", pdf)  # same input, same bytes
            write_atomically(path, dateless)
        else:
            raise ValueError(f"a drawing is saved as .svg, .png, .pdf or .dot, but {str(path)!r} ends otherwise")

    def __repr__(self) -> str:
        return f"Drawing({self.summary})"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        makers: dict[str, Callable[[], str]] = {
            "text/html": self._html,
            "image/svg+xml": lambda: self.svg,
            "text/plain": self.__repr__,
        }
        wanted = set(include or makers) - set(exclude or ())
        return {mime: make() for mime, make in makers.items() if mime in wanted}

    def _html(self) -> str:
        """Return a frame, in which no name can do harm, and an image for where frames are taken away.

        A notebook that is not trusted shows no frame; where it is shown, it removes the image when it has loaded.
        """
        alt = html.escape(self.summary)
        page = (
            f'<!DOCTYPE html><meta charset="utf-8"><title>{alt}</title>'
            f"<style>body{{margin:0}}svg{{display:block;border-radius:8px}}</style>{self.svg}"
        )
        points = re.search(r'<svg[^>]* height="([\d.]+)pt"', self.svg)
        height = math.ceil(float(points[1]) * 4 / 3) + 20 if points else 400  # CSS: 3 pt are 4 px; 20 for a scroll bar
        return framed(page, height, self.svg, self.summary)


def framed(page: str, height: int, svg: str, title: str, allow: str = "") -> str:
    """Return a sandboxed frame with a page in it, and the picture for where frames are taken away."""
    alt = html.escape(title)
    image = base64.b64encode(svg.encode()).decode()
    return (
        f'<div><iframe title="{alt}" sandbox="{allow}" srcdoc="{html.escape(page)}" '
        f'style="width:100%;height:{height}px;border:0" onload="this.nextElementSibling?.remove()"></iframe>'
        f'<img alt="{alt}" src="data:image/svg+xml;base64,{image}" style="max-width:100%"></div>'
    )


# ---- laying out -----------------------------------------------------------------------------------------------

# Graphviz is not thread-safe, and file descriptor 2 is the whole process's.
_one_at_a_time = threading.Lock()
_NOISE = re.compile(r"Fontconfig |.*layout may take a long time")


def _lay_out(dot: str, form: str) -> bytes:
    """Lay out with the Graphviz inside pygraphviz, or with `dot` on PATH."""
    try:
        from pygraphviz import AGraph
    except ImportError:
        AGraph = None
    if AGraph is None and shutil.which("dot") is None:
        raise ImportError(
            "drawing needs Graphviz: `pip install pygraphviz`, which brings it along, or install Graphviz itself, "
            "so that its command `dot` is on PATH"
        )
    with _complaints_as_warnings():
        if AGraph is None:
            return bytes(graphviz.pipe("dot", form, dot.encode()))
        return bytes(AGraph(string=dot).draw(format=form, prog="dot"))


@contextlib.contextmanager
def _complaints_as_warnings() -> Iterator[None]:
    """Turn what Graphviz writes to the standard error into one warning, and keep quiet about fontconfig's."""
    with _one_at_a_time, tempfile.TemporaryFile() as caught:
        try:
            stderr = os.dup(2)
        except OSError:  # a process without a standard error
            yield
            return
        by_python = io.StringIO()  # never closed: another thread may have got hold of it
        try:
            os.dup2(caught.fileno(), 2)
            with contextlib.redirect_stderr(by_python):
                yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            lines = (caught.read().decode(errors="replace") + by_python.getvalue()).splitlines()
            if complaints := [line for line in lines if line.strip() and not _NOISE.match(line)]:
                warnings.warn(f"Graphviz: {'; '.join(complaints)}", stacklevel=2)


def _with_fonts(dot: str, form: str) -> bytes:
    """Lay out for a form that holds glyphs, not text, and warn if there are no fonts to take them from."""
    no_character = "\ufdd0"  # by Unicode's word; its width is that of the box that stands for a missing glyph
    sizes = _lay_out(f"digraph {{ node [shape=plain]; i; W; {no_character} }}", "plain").decode()
    if len({line.split()[4] for line in sizes.splitlines() if line.startswith("node")}) == 1:
        warnings.warn(
            f"this machine has no fonts, so the text in the {form.upper()} is empty boxes; install a font, or save as "
            ".svg, which is drawn with the fonts of whoever looks at it",
            stacklevel=3,
        )
    return _lay_out(dot, form)


# ---- text in DOT ----------------------------------------------------------------------------------------------


def _printable(text: str, longest: int) -> str:
    """Return the text on one line, cut off with … if too long, what has no glyph written as in Python's repr."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _visible(text: str, longest: int = 24) -> str:
    """Return the text for an HTML-like label; backslashes are escapes there too."""
    return html.escape(_printable(text, longest)).replace("\\", r"\\")


def _tooltip(*lines: str) -> str:
    """Return the lines as a tooltip, in which Graphviz undoes escapes twice, and knows HTML's entities."""
    text = "\n".join(_printable(line, 200) for line in lines if line)
    tooltip: str = graphviz.nohtml(text.replace("&", "&amp;").replace("\\", r"\\\\"))
    return tooltip


def _or_dash(grad: float | None, spec: str = "") -> str:
    return "–" if grad is None else format(grad, spec)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + "s" * (count != 1)


# ---- the graph of a Value -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """A Value as it is drawn; `grad` is None before any backward, `operation` empty for a leaf."""

    id: str
    name: str
    operation: str
    data: float
    grad: float | None
    is_root: bool


@dataclass(frozen=True)
class Edge:
    """An operand of a node, by their ids."""

    id: str
    operand: str
    result: str
    partial: float


def _draw_graph(roots: Sequence[Value], partials: bool, orientation: str, limit: float) -> Drawing:
    order = al.topological_order(*roots)
    n_edges = sum(len(value.parents) for value in order)
    size = f"{_counted(len(order), 'node')}, {_counted(n_edges, 'edge')}"
    if len(order) + n_edges > limit:
        raise ValueError(
            f"this graph is too large to be read, and slow to lay out ({size}; the limit is {limit:,.0f} together); "
            "draw a part of it (one example, one Value inside it), or raise limit="
        )
    return Drawing(_graph_dot(*nodes_and_edges(order, set(roots)), partials, orientation), f"computation graph: {size}")


def nodes_and_edges(order: Sequence[Value], roots: Collection[Value]) -> tuple[list[Node], list[Edge]]:
    """Return what is drawn of the Values, given in topological order: all that DOT is written from."""
    index = {value: i for i, value in enumerate(order)}
    swept = any(value.grad != 0.0 for value in order)
    nodes = [
        Node(
            f"node-{i}", value.name or "", _operation(value), value.data, value.grad if swept else None, value in roots
        )
        for i, value in enumerate(order)
    ]
    edges = [
        Edge(f"edge-{i}-{k}", f"node-{index[parent]}", f"node-{i}", partial)
        for i, value in enumerate(order)
        for k, (parent, partial) in enumerate(zip(value.parents, value.partials, strict=True))
    ]
    return nodes, edges


def _operation(value: Value) -> str:
    """Return the symbol of the operation that made a value, its constants beside it: `× 0.5`, `max(x, 0)`."""
    op = value.op
    if op is None:
        return ""
    if all(isinstance(x, Value) for x in _flat(value.operands)):
        return op.symbol
    names = _operand_names(op)
    shown = [name if _is_variable(x) else _constants(x) for name, x in zip(names, value.operands, strict=True)]
    if op.symbol.isascii() and op.symbol.isidentifier():
        return op.symbol + (shown[0] if op.arity == 1 else f"({', '.join(shown)})")
    if op.arity == 1:
        return f"{op.symbol} {shown[0]}"
    if len(op.symbol) == 1 and op.arity == 2:
        return f"{op.symbol} {shown[1]}" if _is_variable(value.operands[0]) else f"{shown[0]} {op.symbol} x"
    constants = (f"{n}={s}" for n, s, x in zip(names, shown, value.operands, strict=True) if not _is_variable(x))
    return f"{op.symbol}, {', '.join(constants)}"


def _flat(operands: tuple[Any, ...]) -> Iterator[Any]:
    for x in operands:
        yield from x if isinstance(x, tuple) else (x,)


def _is_variable(operand: Any) -> bool:
    return all(isinstance(x, Value) for x in _flat((operand,)))


def _operand_names(op: al.Op) -> list[str]:
    """Return how the partials' rule calls the operands, which is what the symbols of the table mean: c in xᶜ."""
    try:
        _, *names = inspect.signature(op.partials).parameters
    except ValueError:  # a function written in C
        names = []
    return names if len(names) == op.arity else [f"x{k}" for k in range(1, op.arity + 1)]


def _constants(operand: Any) -> str:
    if not isinstance(operand, tuple):
        return f"{operand:.4g}"
    shown = ["·" if isinstance(x, Value) else f"{x:.4g}" for x in operand[:3]]
    return f"({', '.join(shown)}{f', … {len(operand) - 3} more' if len(operand) > 3 else ''})"


def _graph_dot(nodes: Sequence[Node], edges: Sequence[Edge], partials: bool, orientation: str) -> str:
    graph = graphviz.Digraph(
        graph_attr={"rankdir": orientation, "nodesep": "0.2", "ordering": "in", "ranksep": "0.45", **_PAPER},
        node_attr={"shape": "box", "margin": "0.08,0.04", "width": "0", "height": "0", **_TEXT},
        edge_attr={"color": _LINE, "arrowsize": "0.6", **_SMALL_TEXT},
    )
    for node in nodes:
        fill, border = _STYLES["root" if node.is_root else "result" if node.operation else "leaf"]
        graph.node(
            node.id,
            id=node.id,
            label=_box(node),
            tooltip=_tooltip(node.name, node.operation, f"data {node.data!r}", f"grad {_or_dash(node.grad)}"),
            style="filled" if node.operation else "rounded,filled",
            fillcolor=fill,
            color=border,
            penwidth="2" if node.is_root else "1",
        )
    called = {node.id: _printable(node.name, 60) or f"({_printable(node.operation, 60) or 'leaf'})" for node in nodes}
    for edge in edges:
        tooltip = _tooltip(f"∂{called[edge.result]}/∂{called[edge.operand]} = {edge.partial!r}")
        label = {"label": f" {edge.partial:.4g} ", "labeltooltip": tooltip} if partials else {}
        graph.edge(edge.operand, edge.result, id=edge.id, tooltip=tooltip, **label)
    return str(graph.source)


def _box(node: Node) -> str:
    title = [f"<b>{_visible(node.name)}</b>"] if node.name else []
    title += [_visible(node.operation, 48)] if node.operation else []
    rows = [f'<tr><td colspan="2"><font point-size="13">{" ".join(title)}</font></td></tr>'] if title else []
    rows += [
        f'<tr><td align="right"><font color="{_PALE}" point-size="9">{what}</font></td>'
        f'<td align="left">{number}</td></tr>'
        for what, number in (("data", f"{node.data:.4g}"), ("grad", _or_dash(node.grad, ".4g")))
    ]
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>>'


# ---- a network ------------------------------------------------------------------------------------------------

_ROW, _RADIUS = 38.0, 15.0  # points
_MOST, _FIRST = 16, 6  # of a layer of more than 16 units, the first six and the last are drawn
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


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
        return self.symbol + str(unit + 1).translate(_SUBSCRIPTS)


def _draw_network(model: MLP | Layer | Neuron, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Drawing:
    columns = _columns(model, inputs, outputs)
    summary = "network: " + ", ".join(_counted(column.size, f"{column.kind} unit") for column in columns)
    return Drawing(_network_dot(columns), summary)


def _columns(model: MLP | Layer | Neuron, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> list[Column]:
    """Return what is drawn of a network: all that DOT is written from."""
    layers = _layers(model)
    sizes = [len(layers[0][0][0].w), *(len(neurons) for neurons, _ in layers)]
    distance = min(110.0 + 4.0 * max(sizes), 170.0)
    hidden = ["h"] if len(layers) == 2 else [f"h{n}".translate(_SUPERSCRIPTS) for n in range(1, len(layers))]
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
        raise ValueError(
            f"the network has {_counted(wanted, what[:-1])}, but {what}= has {_counted(len(names), 'name')}"
        )
    return names


def _network_dot(columns: Sequence[Column]) -> str:
    graph = graphviz.Digraph(
        graph_attr={"layout": "nop", "splines": "line", "outputorder": "edgesfirst", **_PAPER},
        node_attr={"style": "filled", "fillcolor": "white", **_TEXT},
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
                tooltip=_tooltip(f"from {before.label(i)} to {column.label(k)}", _parameter(w, swept)),
                **_stroke(w.data, largest),
            )
    signs = f'<font color="{_POSITIVE}">w &gt; 0</font>    <font color="{_NEGATIVE}">w &lt; 0</font>'
    _add_note(graph, signs, f"the widest line: |w| = {largest:.3g}", columns[-1].x / 2, -top - 42)
    return str(graph.source)


def _parameter(value: Value, swept: bool) -> str:
    return f"{value.name or 'parameter'} = {value.data!r}, grad {_or_dash(value.grad if swept else None)}"


def _add_unit(graph: Any, column: Column, unit: int, y: float, swept: bool) -> None:
    name = column.names[unit] if column.names else ""
    bias = [column.activation, _parameter(column.neurons[unit].b, swept)] if column.neurons else []
    fill, border = _STYLES[column.kind]
    graph.node(
        column.id(unit),
        id=column.id(unit),
        label=column.label(unit),
        tooltip=_tooltip(column.label(unit), name, *bias),
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
    text = _printable(name, 24)
    # The box is at least as wide as the text will be in any font, so that the text can lean on its side.
    width = sum(11.0 if c.isupper() or unicodedata.east_asian_width(c) in "WF" else 8.8 for c in text)
    side, lean = (-1, r"\r") if column.kind == "input" else (1, r"\l")
    graph.node(
        f"name-{column.first + unit}",
        label=graphviz.nohtml(text.replace("&", "&amp;").replace("\\", r"\\") + lean),
        tooltip=_tooltip(name),
        pos=f"{column.x + side * (_RADIUS + 5 + width / 2):.1f},{y:.1f}",
        shape="none",
        margin="0",
        fixedsize="shape",
        width=f"{width / 72:.3f}",
        height="0.2",
    )


def _add_note(graph: Any, text: str, small: str, x: float, y: float) -> None:
    """Add two lines of text, the second small and pale."""
    second = f'<font point-size="9" color="{_PALE}">{small}</font>'
    rows = "".join(f"<tr><td>{line}</td></tr>" for line in (text, second))
    label = f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{rows}</table>>'
    place = f"{x:.1f},{y:.1f}"
    graph.node(f"note at {place}", label=label, tooltip=_tooltip(small), pos=place, shape="plain")


def _stroke(weight: float, largest: float) -> dict[str, str]:
    """Return colour and width of a line; a weight of 0 is a hair, one that is no number a black line."""
    share = abs(weight) / largest if largest and math.isfinite(weight) else float(weight != 0.0)
    colour = _POSITIVE if weight > 0.0 else _NEGATIVE if weight < 0.0 else _LINE if weight == 0.0 else _NO_NUMBER
    return {"color": f"{colour}b0", "penwidth": f"{0.25 + 2.5 * share:.2f}"}
