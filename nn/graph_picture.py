"""The picture of a computation graph: boxes of Values become plain nodes and edges, and these become DOT."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import graphviz

from autograd_lite import Value

from .dot import LINE, PALE, PAPER, SMALL_TEXT, STYLES, TEXT, label_text, tooltip_text
from .folding import Box, Folded
from .heat import Heat
from .modules import Unit
from .wording import counted, operation_text, or_dash, printable

__all__ = ["Edge", "Node", "Span", "graph_dot", "nodes_and_edges"]


class Span(NamedTuple):
    """The numbers of several Values: the smallest, the largest, and whether there is a nan.

    >>> f"{Span.of([2.0, 0.5, math.nan]):.4g}"
    '0.5 … 2, nan'
    """

    low: float
    high: float
    has_nan: bool

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Span | float:
        """Return the number itself if there is only one."""
        found = {*numbers}
        known = {x for x in found if not math.isnan(x)}
        if len(known) == 1 and len(found) == 1:
            return known.pop()
        return cls(min(known), max(known), len(known) < len(found)) if known else math.nan

    def __format__(self, spec: str) -> str:
        low, high = format(self.low, spec), format(self.high, spec)
        return (low if low == high else f"{low} … {high}") + (", nan" if self.has_nan else "")

    @property
    def largest(self) -> float:
        """The largest magnitude; nan if there is a nan."""
        return math.nan if self.has_nan else max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Node:
    """A box as it is drawn.

    Attributes:
        kind: That of the box; "leaf" for leaves.
        name: What is written in bold, the name of a Value or of a scope; may be empty.
        operation: What made it, or what else there is to say of what it is; empty for a leaf.
        data: The number, or all of them.
        grad: Likewise; None before any backward.
        count: How many alike parts it stands for.
        notes: What else is in it.
        room: How many characters the gradient may come to have, if more than it has.
    """

    id: str
    name: str
    operation: str
    data: float | Span | None
    grad: float | Span | None
    is_root: bool
    kind: str = "node"
    count: int = 1
    notes: tuple[str, ...] = ()
    room: int = 0


@dataclass(frozen=True)
class Edge:
    """A line from an operand to a result, by their ids; it has a partial if it is one edge of the graph."""

    id: str
    operand: str
    result: str
    partial: float | None
    n_edges: int = 1


def nodes_and_edges(
    folded: Folded, names: Mapping[Value, str] | None = None, grads: Mapping[Value, float] | None = None
) -> tuple[list[Node], list[Edge]]:
    """Return what is drawn of a graph: all that DOT is written from.

    Args:
        folded: The graph.
        names: What the Values are called, if not by their names.
        grads: Their gradients, if not those that they hold.
    """
    if names is None:
        names = {value: value.name or "" for value in folded.index}
    if grads is None:
        grads = {value: value.grad for value in folded.index}
    if not any(grad != 0.0 for grad in grads.values()):
        grads = {}
    nodes = [_node(f"node-{i}", box, names, grads) for i, box in enumerate(folded.boxes)]
    edges = [
        Edge(
            f"edge-{line.target}-{line.position}", f"node-{line.source}", f"node-{line.target}",
            line.edge[0].partials[line.edge[1]] if line.edge and line.n_edges == 1 else None, line.n_edges,
        )
        for line in folded.lines
    ]  # fmt: skip
    return nodes, edges


def _node(id: str, box: Box, names: Mapping[Value, str], grads: Mapping[Value, float]) -> Node:
    if box.kind == "input":
        return Node(id, "", box.title, None, None, False, "input")
    data = Span.of(value.data for value in box.members)
    grad = Span.of(grads[value] for value in box.members) if grads else None
    if len(box.members) == 1 and box.kind == "node":
        (value,) = box.members
        kind = "node" if value.op else "leaf"
        return Node(id, names[value], operation_text(value), data, grad, box.is_root, kind)
    name, operation, notes = _said(box)
    kind = "leaf" if box.kind == "node" and box.members[0].op is None else box.kind
    return Node(id, name, operation, data, grad, box.is_root, kind, box.count, tuple(notes))


def _said(box: Box) -> tuple[str, str, list[str]]:
    """Return the name, the operation and the notes of a box of several Values."""
    n_operations = sum(value.op is not None for value in box.members)
    if box.kind == "scope":
        return box.title or "what else feeds them", "", [*_contents(box, n_operations)]
    if box.kind == "chain":
        return "", f"… {counted(n_operations, 'operation')} in a row", [_operations(box.members)]
    if box.kind == "rest":
        return "", f"… {counted(len(box.members), 'node')} more", [counted(n_operations, "operation")]
    if n_operations == 0:
        return box.title, "" if box.title else "leaf", []
    if box.kind == "run":
        length, uneven = divmod(len(box.members), box.count)
        in_a_row = "of several in a row" if uneven else f"of {length:,} in a row" + " each" * (box.count > 1)
        return box.title, box.members[0].op.symbol, [in_a_row]  # type: ignore[union-attr]
    return box.title, _operation(box.members), []


def _contents(box: Box, n_operations: int) -> Iterable[str]:
    """Say what is in a scope."""
    leaves = [value for value in box.members if value.op is None]
    units = {value.scope for value in leaves if isinstance(value.scope, Unit)}
    n_parameters = sum(isinstance(value.scope, Unit) for value in leaves)
    if len(units) > 1 and box.count != len(units):
        yield counted(len(units), "neuron") + (f", used {box.times} times" if box.times > 1 else "")
    elif box.times > 1:
        yield f"used {box.times} times"
    for count, noun in (
        (n_parameters, "parameter"), (len(leaves) - n_parameters, "leaf"), (n_operations, "operation")
    ):  # fmt: skip
        if count:
            yield counted(count, noun).replace("leafs", "leaves")


def _operation(values: Sequence[Value]) -> str:
    """Return what alike operations are called; where they have other constants, the symbol."""
    first = operation_text(values[0])
    same = all(operation_text(value) == first for value in values)
    return first if same else values[0].op.symbol  # type: ignore[union-attr]


def _operations(values: Sequence[Value]) -> str:
    symbols = list(dict.fromkeys(value.op.symbol for value in values if value.op))
    return ", ".join(symbols[:4] + ["…"] * (len(symbols) > 4))


# ---- DOT ------------------------------------------------------------------------------------------------------

# How long Graphviz looks for the best places. Most graphs have them sooner; a long chain whose links share their
# operands, such as a loop with a weight, would take minutes.
_PATIENCE = {"nslimit": "2", "nslimit1": "2"}


def graph_dot(
    nodes: Sequence[Node],
    edges: Sequence[Edge],
    partials: bool,
    orientation: str,
    note: str = "",
    heat: bool = False,
) -> str:
    """Return a graph in DOT.

    Args:
        nodes: The boxes.
        edges: The lines.
        partials: Write its partial on each line that is one edge.
        orientation: "LR" or "TB".
        note: What is written below.
        heat: Colour the boxes by |grad|, with a legend.
    """
    scale = Heat.of(_largest(node.grad) for node in nodes if node.kind != "input") if heat else None
    folded = any(edge.n_edges > 1 for edge in edges)
    graph = graphviz.Digraph(
        graph_attr={
            "rankdir": orientation, "nodesep": "0.2", "ranksep": "0.45", **PAPER, **_PATIENCE,
            **({} if folded else {"ordering": "in"}), **_below(scale, note),
        },
        node_attr={"shape": "box", "margin": "0.08,0.04", "width": "0", "height": "0", **TEXT},
        edge_attr={"color": LINE, "arrowsize": "0.6", **SMALL_TEXT},
    )  # fmt: skip
    for node in nodes:
        graph.node(node.id, id=node.id, **_looks(node, scale))
    called = {node.id: printable(node.name, 60) or f"({printable(node.operation, 60) or 'leaf'})" for node in nodes}
    for edge in edges:
        graph.edge(edge.operand, edge.result, id=edge.id, **_line(edge, called, partials))
    return str(graph.source)


def _largest(grad: float | Span | None) -> float:
    return grad.largest if isinstance(grad, Span) else abs(grad or 0.0)


def _looks(node: Node, scale: Heat | None) -> dict[str, str]:
    fill, border = STYLES["root" if node.is_root else node.kind]
    pale, ink = PALE, "black"
    if scale is not None and node.kind != "input":
        fill, ink = scale.colours(_largest(node.grad))
        pale, border = ink, "#444444" if not node.is_root else border
    round_corners = "rounded," if node.kind in ("leaf", "scope", "input") else ""
    dashed = "dashed," if node.kind in ("chain", "rest", "input") else ""
    numbers = [] if node.data is None else [f"data {node.data}", f"grad {or_dash(node.grad)}"]
    times = f"×{node.count:,}" if node.count > 1 else ""
    return {
        "label": _box(node, times, pale, ink),
        "tooltip": tooltip_text(node.name, f"{node.operation} {times}".strip(), *node.notes, *numbers),
        "style": f"{round_corners}{dashed}filled",
        "fillcolor": fill,
        "color": border,
        "penwidth": "2" if node.is_root else "1",
        **({"peripheries": "2"} if node.count > 1 else {}),
    }


_DIGIT = 6.2  # points that a digit is wide


def _box(node: Node, times: str, pale: str, ink: str) -> str:
    # Bold letters are wider than Graphviz takes them to be. A space is enough where others follow them.
    room = "&#160;" if node.operation or times else ""
    title = [f"<b>{label_text(node.name)}</b>{room}"] if node.name else []
    title += [label_text(node.operation, 48)] if node.operation else []
    title += [f'<font color="{pale}">{times}</font>'] if times else []
    excess = 0 if room else len(printable(node.name, 24)) // 8 * 4
    beside = f'<td width="{excess}"></td>' if excess else ""
    rows = [f'<tr><td colspan="2"><font point-size="13">{" ".join(title)}</font></td>{beside}</tr>'] if title else []
    rows += [
        f'<tr><td colspan="2"><font color="{pale}" point-size="9">{label_text(note, 60)}</font></td></tr>'
        for note in node.notes
    ]
    if node.data is not None:
        grad = or_dash(node.grad, ".4g")
        width = f' width="{node.room * _DIGIT:.0f}"' if node.room > len(grad) else ""
        rows += [
            f'<tr><td align="right"><font color="{pale}" point-size="9">{what}</font></td>'
            f'<td align="left"{width}>{number}</td></tr>'
            for what, number, width in (("data", f"{node.data:.4g}", ""), ("grad", grad, width))
        ]
    table = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>'
    return f"<{table}>" if ink == "black" else f'<<font color="{ink}">{table}</font>>'


def _line(edge: Edge, called: Mapping[str, str], partials: bool) -> dict[str, Any]:
    if edge.partial is None:
        what = f"{called[edge.operand]} → {called[edge.result]}: {counted(edge.n_edges, 'edge')}"
        return {"tooltip": tooltip_text(what), "penwidth": f"{1 + math.log10(edge.n_edges) / 2:.2f}"}
    tooltip = tooltip_text(f"∂{called[edge.result]}/∂{called[edge.operand]} = {edge.partial!r}")
    label = {"label": f" {edge.partial:.4g} ", "labeltooltip": tooltip} if partials else {}
    return {"tooltip": tooltip, **label}


def _below(scale: Heat | None, note: str) -> dict[str, str]:
    """Return what is written below the picture: the legend of the colours, and what is folded."""
    rows = [f"<tr><td>{scale.legend}</td></tr>"] if scale else []
    rows += [f"<tr><td>{label_text(note, 200)}</td></tr>"] if note else []
    if not rows:
        return {}
    label = f'<<table border="0" cellspacing="0" cellpadding="2">{"".join(rows)}</table>>'
    return {"label": label, "labelloc": "b", **SMALL_TEXT}
