"""Draw a computation graph or a network through Graphviz.

Data flows one way: Values or a network become plain nodes and edges, these become DOT, and a `Drawing` lays the DOT
out as SVG, PNG or PDF. It holds text only: it shows the numbers as they were when it was made.
"""

from __future__ import annotations

import html
import math
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from reprlib import repr as short

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.files import write_atomically

from .folding import fold
from .graph_picture import graph_dot, nodes_and_edges
from .layout import lay_out, lay_out_with_fonts
from .modules import MLP, Layer, Neuron
from .naming import names_in
from .network_picture import columns_of, network_dot
from .pages import framed
from .wording import counted

__all__ = ["Drawing", "draw"]


def draw(
    value_or_model: Value | Sequence[Value] | MLP | Layer | Neuron,
    *,
    partials: bool = False,
    orientation: str = "LR",
    depth: float | None = None,
    between: tuple[Value, Value] | None = None,
    heat: bool = False,
    notation: str | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Drawing:
    """Draw the graph that a Value was computed by, or a network.

    A graph has one box a Value: its name, its operation with the constants in it, its data and its gradient. Leaves
    are round and blue, the Value drawn stands out in orange. While every gradient in the graph is 0.0, no backward has
    reached it (the gradient a backward starts from is that of the Value itself), and the boxes say –.

    A graph of more than 300 nodes is folded into fewer boxes: an outermost scope (a layer, or what is within
    `with al.scope(...)`) is one box, and what is alike is one box, marked ×32; long chains are cut short, and where
    all this does not do, only the boxes nearest to the Value drawn are shown. The drawing says what it hides, and how
    to open it.

    A network is a column of circles a layer, as in the lecture: input units x, hidden units h (hᴸ in layer L, if
    there are several), output units o. A line is a weight: blue is positive, red negative, its width goes with |w|.
    Numbers, biases among them, show when the pointer is on a unit or a line. Of a layer of more than 16 units the
    middle is left out, and the drawing says how many that are.

    Args:
        value_or_model: A Value, a list of them (what a network returns), or a `Neuron`, `Layer` or `MLP`.
        partials: Write its local partial ∂result/∂operand on each edge of a graph.
        orientation: Of a graph: "LR" from left to right, "TB" from top to bottom.
        depth: How deep the scopes of a graph are opened: 1 shows the outermost as boxes, 2 those within them, …;
            `math.inf` shows every node, however long it takes to lay them out.
        between: Two Values: open what is on the paths from the first to the second, such as `(w, loss)`, and fold
            what else feeds them.
        heat: Colour a graph by |grad|, a folded box by its largest, on a logarithmic scale.
        notation: Of a graph: "lecture" calls nodes without a name as the lecture does: u[j], h[j], z[k], o[k], E.
        inputs: Of a network: what the input units are, written beside them.
        outputs: Of a network: what the output units are.

    Raises:
        TypeError: This can't be drawn, or an option is of the wrong type.
        ValueError: There is no path between the two Values, no backward has given gradients to colour by, a network
            has not as many units as names are given, there is no such notation, or an option is of the other kind of
            drawing.

    >>> x = Value(3.0, "x")
    >>> draw(x * x)
    Drawing(computation graph: 2 nodes, 2 edges)
    >>> draw(al.sum([x * x for x in map(Value, range(1000))]))
    Drawing(computation graph: 2,001 nodes in 3 boxes; between=(w, loss) opens a part, depth=math.inf everything)
    >>> draw(MLP(64, [32, 10]), outputs=list("0123456789"))
    Drawing(network: 64 input units, 32 hidden units, 10 output units)
    """
    if isinstance(value_or_model, (MLP, Layer, Neuron)):
        if partials or heat or orientation != "LR" or any(x is not None for x in (depth, between, notation)):
            raise ValueError(
                "partials=, orientation=, depth=, between=, heat= and notation= are for the graph of a Value; "
                "a network takes inputs=, outputs="
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
    order = al.topological_order(*roots)
    names = dict.fromkeys(order, "") | names_in(order, notation)
    folded = fold(order, roots, depth=depth, between=between)
    if heat and not any(value.grad != 0.0 for value in folded.index):
        raise ValueError("heat=True colours by |grad|, but no backward has reached this graph; call .backward() first")
    nodes, edges = nodes_and_edges(folded, names)
    size = folded.note or f"{counted(len(nodes), 'node')}, {counted(len(edges), 'edge')}"
    return Drawing(graph_dot(nodes, edges, partials, orientation, folded.note, heat), f"computation graph: {size}")


def _draw_network(model: MLP | Layer | Neuron, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Drawing:
    columns = columns_of(model, inputs, outputs)
    summary = "network: " + ", ".join(counted(column.size, f"{column.kind} unit") for column in columns)
    return Drawing(network_dot(columns), summary)


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
        svg = lay_out(self.dot, "svg").decode()
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
            write_atomically(path, lay_out_with_fonts(self.dot.replace("{", "{\n\tdpi=192", 1), "png"))
        elif suffix == ".pdf":
            pdf = lay_out_with_fonts(self.dot, "pdf")
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

    def _mime_(self) -> tuple[str, str]:  # what marimo asks for
        return "image/svg+xml", self.svg

    def _html(self) -> str:
        """Return a frame, in which no name can do harm, and an image for where frames are taken away.

        A notebook that is not trusted shows no frame; where it is shown, it removes the image when it has loaded.
        """
        points = re.search(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"', self.svg)
        width, height = (float(each) * 4 / 3 for each in points.groups()) if points else (800.0, 400.0)  # 3 pt are 4 px
        least = 0.7  # of its size; what would be smaller is scrolled instead
        alt = html.escape(self.summary)
        page = (
            f'<!DOCTYPE html><meta charset="utf-8"><title>{alt}</title><style>body{{margin:0}}svg{{display:block;'
            f"border-radius:8px;height:auto;max-width:max(100%,{width * least:.0f}px)}}</style>{self.svg}"
        )
        bar = 20
        size = (
            f"aspect-ratio:{width:.0f}/{height:.0f};"
            f"min-height:{math.ceil(height * least) + bar}px;max-height:{math.ceil(height) + bar}px"
        )
        return framed(page, size, self.svg, self.summary)
