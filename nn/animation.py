"""Play a computation as an animated SVG: every node forwards, then every gradient backwards.

The picture is that of `draw`; CSS alone moves it, so that it plays inside `<img>`. Each part that changes has a track:
when it takes on which style. Wherever CSS does not move, all of the picture is there.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import xml.etree.ElementTree as ET
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from reprlib import repr as short

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.files import write_atomically
from autograd_lite.op import number
from autograd_lite.steps import Steps, events

from .dot import LINE, PALE
from .drawing import Drawing
from .folding import fold
from .graph_picture import graph_dot, nodes_and_edges
from .wording import counted

__all__ = ["Animation", "animate"]

_FORWARD, _BACKWARD = "#1d4ed8", "#c2410c"
_MOST_NODES, _MOST_EDGES = 100, 300
_BRIEFEST, _LONGEST = 0.05, 60.0  # seconds a step
_PAUSE = 4  # steps
_STRIP = 20.0  # points above the drawing, where it says which way it goes
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'


def animate(y: Value, *, seconds_per_step: float = 0.8, orientation: str = "LR") -> Animation:
    """Animate how y was computed and how `y.backward()` differentiates it.

    Forwards, the nodes light up in topological order, and the data of each appears. Then, in reverse order, each node
    that has a gradient hands it on: its edges light up with their partials, and what its operands have been handed so
    far appears. After a pause this starts again. The gradients are those of this one sweep, whatever the Values hold
    in `.grad`; nothing is changed by it.

    Args:
        y: The Value to explain.
        seconds_per_step: How long each node stays lit.
        orientation: "LR" from left to right, "TB" from top to bottom.

    Raises:
        ImportError: There is no Graphviz, neither that of pygraphviz nor `dot` on PATH.
        TypeError: y is not a Value, or the seconds are not a number.
        ValueError: The graph has more than 100 nodes or 300 edges, the seconds are beyond 0.05 to 60, or there is no
            such orientation.

    >>> w, x = Value(0.5, "w"), Value(2.0, "x")
    >>> animate(al.tanh(w * x))
    Animation(computation graph: 4 nodes, 3 edges; 10.4 s)
    """
    if not isinstance(y, Value):
        raise TypeError(f"animate takes a Value, but {short(y)} is of type {type(y).__name__}")
    seconds = number(seconds_per_step, "seconds_per_step=")
    if not _BRIEFEST <= seconds <= _LONGEST:
        raise ValueError(f"seconds_per_step must be from {_BRIEFEST} to {_LONGEST:.0f}, not {seconds}")
    if orientation not in ("LR", "TB"):
        raise ValueError(f'orientation must be "LR" or "TB", not {short(orientation)}')
    order = al.topological_order(y)
    n_edges = sum(len(node.parents) for node in order)
    size = f"{counted(len(order), 'node')}, {counted(n_edges, 'edge')}"
    if len(order) > _MOST_NODES or n_edges > _MOST_EDGES:
        raise ValueError(
            f"this graph is too large to be watched ({size}; the limit is {_MOST_NODES} nodes, {_MOST_EDGES} edges); "
            "animate a part of it (one example, one Value inside it), or draw it"
        )
    plan = _Plan.of(order, events(y))
    summary = f"computation graph: {size}"
    drawing = Drawing(_dot(order, plan, orientation), summary)
    return Animation(_animated(drawing, plan, seconds), f"{summary}; {plan.end * seconds:.3g} s")


@dataclass(frozen=True, repr=False)
class Animation:
    """A picture that plays, in a notebook at the end of a cell or in a file; `animate` makes it.

    Attributes:
        svg: The picture, without any script.
        summary: What it shows and how long, in a few words.

    >>> animate(Value(2.0, "x")).svg.startswith("<svg")
    True
    """

    svg: str
    summary: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to an .svg file.

        Raises:
            OSError: The file can't be written.
            ValueError: The suffix is another one.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     animate(Value(2.0, "x")).save(f"{folder}/x.svg")
        """
        if Path(path).suffix.lower() != ".svg":
            raise ValueError(
                f"an animation is saved as .svg, but {str(path)!r} ends otherwise; draw(y).save(...) knows other forms"
            )
        write_atomically(path, self.svg)

    def __repr__(self) -> str:
        return f"Animation({self.summary})"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        bundle = {"text/html": self._html(), "image/svg+xml": self.svg, "text/plain": repr(self)}
        wanted = set(include or bundle) - set(exclude or ())
        return {mime: content for mime, content in bundle.items() if mime in wanted}

    def _mime_(self) -> tuple[str, str]:  # what marimo asks for
        return "text/html", self._html()

    def _html(self) -> str:
        """Return an image, which plays in a notebook that is not trusted, too."""
        image = base64.b64encode(self.svg.encode()).decode()
        return f'<img alt="{html.escape(self.summary)}" src="data:image/svg+xml;base64,{image}" style="max-width:100%">'


# ---- what happens when ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """When what happens to the nodes, by their places in topological order; one unit of time is one step.

    Attributes:
        forward: When a node gets its value.
        backward: From when to when a node hands on its gradient; y also when it gets the gradient to start from.
        gradients: What a node's gradient becomes, and when.
        turn: When the way back begins.
        back: When it is over.
    """

    forward: dict[int, float]
    backward: dict[int, tuple[float, float]]
    gradients: dict[int, list[tuple[float, float]]]
    turn: float
    back: float

    @property
    def end(self) -> float:
        """When it starts again."""
        return self.back + _PAUSE

    @classmethod
    def of(cls, order: Sequence[Value], story: Steps) -> _Plan:
        """Give everything its time: a step of the bare graph, the nodes, a step of rest, then the way back.

        x·x hands x two shares in one step; what counts is what x has got when the step is over.
        """
        index = {node: i for i, node in enumerate(order)}
        handed: dict[Value, dict[Value, float]] = {}
        for event in story.backward:
            handed.setdefault(event.node, {})[event.parent] = event.after
        turn = len(order) + 2.0
        now = turn + 1.0
        backward = {index[order[-1]]: (turn, now)}
        gradients = {index[order[-1]]: [(turn, 1.0)]}
        for node, shares in handed.items():
            start, _ = backward.get(index[node], (now, now))
            backward[index[node]] = (start, now + 1.0)
            for parent, gradient in shares.items():
                gradients.setdefault(index[parent], []).append((now + 0.5, gradient))
            now += 1.0
        return cls({i: 1.0 + i for i in index.values()}, backward, gradients, turn, now)


def _dot(order: Sequence[Value], plan: _Plan, orientation: str) -> str:
    """Return the graph as it is drawn, each box wide enough for all that its gradient becomes."""
    nodes, edges = nodes_and_edges(fold(order, [order[-1]]))
    widest = [max((gradient for _, gradient in plan.gradients[i]), key=_width) for i in range(len(nodes))]
    return graph_dot(
        [replace(node, grad=grad) for node, grad in zip(nodes, widest, strict=True)], edges, True, orientation
    )


def _shown(number: float) -> str:
    return f"{number:.4g}"


def _width(number: float) -> float:
    return sum(0.5 if character in "-.if" else 1.0 for character in _shown(number))


# ---- the picture ----------------------------------------------------------------------------------------------

_Track = list[tuple[float, str]]  # from when on which style; from the last one on, the style of the still picture


class _Sheet:
    """The style sheet: a class and its keyframes for each track.

    Their names begin with a mark that no other picture has, as a page may hold several.
    """

    def __init__(self, mark: str, plan: _Plan, seconds: float) -> None:
        self.mark, self.end, self.seconds = mark, plan.end, plan.end * seconds
        self.names: dict[str, str] = {}

    def play(self, element: ET.Element, track: _Track) -> None:
        """Let an element go along a track."""
        frames = "".join(f"{100 * time / self.end:.5g}%{{{style}}}" for time, style in track)
        name = self.names.setdefault(frames, f"{self.mark}-{len(self.names)}")
        element.set("class", f"{element.get('class', '')} {name}".strip())

    def text(self) -> str:
        """Return the CSS; it says nothing to those who ask for less motion, and nothing on paper."""
        edge = f".{self.mark} .edge"
        all_edges = (
            f"{edge}{{color:{LINE}}}{edge} path,{edge} polygon{{stroke:currentColor}}"
            f"{edge} polygon{{fill:currentColor;stroke-dasharray:none}}"
            f"{edge} text{{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-dasharray:none}}"
            f"{edge} path{{animation:{self.mark} 1s linear infinite}}"
            f"@keyframes {self.mark}{{to{{stroke-dashoffset:18}}}}"  # three dashes against the arrow
            f'[class*="{self.mark}-"]{{animation-duration:{self.seconds:.6g}s;'
            "animation-timing-function:step-end;animation-iteration-count:infinite}"
        )
        moving = "".join(
            f".{name}{{animation-name:{name}}}@keyframes {name}{{{frames}}}" for frames, name in self.names.items()
        )
        return f"@media screen and (prefers-reduced-motion:no-preference){{{all_edges}{moving}}}"


def _animated(drawing: Drawing, plan: _Plan, seconds: float) -> str:
    bare = drawing.svg.replace(_NAMESPACE, "", 1)  # or it would stand before the name of every element
    svg = ET.fromstring(bare)
    sheet = _Sheet("a" + hashlib.sha256(f"{seconds}{bare}".encode()).hexdigest()[:6], plan, seconds)
    _tidy(svg)
    for group in svg.iter("g"):
        numbers = [int(n) for n in group.get("id", "").split("-")[1:]]
        if group.get("class") == "node":
            _play_node(sheet, group, plan, numbers[0])
        elif group.get("class") == "edge":
            _play_edge(sheet, group, plan, numbers[0])
    _add_strip(sheet, svg, plan)
    style = ET.Element("style")
    style.text = sheet.text()
    title = ET.Element("title")
    title.text = f"{drawing.summary}, forwards and backwards"
    svg[:0] = [title, style]
    svg.attrib = {"xmlns": "http://www.w3.org/2000/svg", "class": sheet.mark, "role": "img", **svg.attrib}
    return ET.tostring(svg, encoding="unicode")


def _tidy(svg: ET.Element) -> None:
    """Take away what an image has no use for: tooltips, white space between tags, attributes that say the usual."""
    for group in svg.iter("g"):
        if group.get("class") in ("node", "edge"):
            group[:] = [part for part in group.iter() if part.tag in ("path", "polygon", "text")]
    for element in svg.iter():
        element.tail = None
        if element.tag == "text":
            _tidy_text(element)
            svg.set("font-family", element.attrib.pop("font-family"))
        else:
            element.text = None


def _tidy_text(element: ET.Element) -> None:
    if element.get("text-anchor") == "start":
        del element.attrib["text-anchor"]
    if element.text == (element.text or "").strip():
        element.attrib.pop(_SPACE, None)  # older Graphviz does without


def _play_node(sheet: _Sheet, group: ET.Element, plan: _Plan, i: int) -> None:
    shape, *_, data, _, grad = group
    forward = plan.forward[i]
    sheet.play(group, [(0.0, "opacity:.35"), (forward, "opacity:1")])
    still = f"stroke:{shape.get('stroke')};stroke-width:{shape.get('stroke-width', '1')}"
    track = [(forward, f"stroke:{_FORWARD};stroke-width:3"), (forward + 1.0, still)]
    if i in plan.backward:
        backward, rest = plan.backward[i]
        track += [(backward, f"stroke:{_BACKWARD};stroke-width:3"), (rest, still)]
    sheet.play(shape, track)
    sheet.play(data, _appearing(forward, _FORWARD, "#000"))
    _play_gradients(sheet, group, grad, plan.gradients[i])


def _play_gradients(sheet: _Sheet, group: ET.Element, last: ET.Element, gradients: list[tuple[float, float]]) -> None:
    """Show – first, then one sum after the other in the same place; only the last stays in the still picture."""
    frames = [(0.0, "–"), *((time, _shown(gradient)) for time, gradient in gradients)]
    for (start, shown), (end, _) in pairwise(frames):
        text = ET.SubElement(group, "text", {**last.attrib, "opacity": "0"})
        text.text = shown
        track = [(start, "opacity:1;fill:#000")] if shown == "–" else _appearing(start, _BACKWARD, "#000")[1:]
        sheet.play(text, [*track, (end, "opacity:0")])
    last.text = frames[-1][1]
    sheet.play(last, _appearing(frames[-1][0], _BACKWARD, "#000"))


def _play_edge(sheet: _Sheet, group: ET.Element, plan: _Plan, result: int) -> None:
    """Light an edge when its result is computed, and when the result hands on its gradient."""
    forward, rest = plan.forward[result], plan.backward[result][1]
    still = f"color:{LINE};stroke-width:1;stroke-dasharray:none;opacity:"
    track = [
        (0.0, f"{still}.3"),
        (forward, f"color:{_FORWARD};stroke-width:2;stroke-dasharray:none;opacity:1"),
        (forward + 1.0, f"{still}1"),
        (rest - 1.0, f"color:{_BACKWARD};stroke-width:2;stroke-dasharray:4 2;opacity:1"),
        (rest, f"{still}1"),
    ]
    sheet.play(group, track)
    sheet.play(group[-1], _appearing(rest - 1.0, _BACKWARD, PALE))


def _appearing(start: float, colour: str, rest: str) -> _Track:
    """Return the track of a text that has a colour of its own for the step in which it is new."""
    return [(0.0, "opacity:0"), (start, f"opacity:1;fill:{colour}"), (start + 1.0, f"opacity:1;fill:{rest}")]


def _add_strip(sheet: _Sheet, svg: ET.Element, plan: _Plan) -> None:
    """Put a strip above the drawing that says which way it goes."""
    _, _, drawn, below = (float(length) for length in svg.attrib["viewBox"].split())
    width, height = max(drawn, 90.0), below + _STRIP
    svg.attrib |= {
        "width": f"{width:g}pt", "height": f"{height:g}pt", "viewBox": f"0 {-_STRIP:g} {width:g} {height:g}"
    }  # fmt: skip
    for paper in svg[0].findall("polygon"):  # the drawing's own, which ends below the strip
        svg[0].remove(paper)
    paper = ET.Element("rect", {"y": f"{-_STRIP:g}", "width": "100%", "height": "100%", "fill": "white"})
    svg.insert(0, paper)
    for words, colour, start, end in (
        ("forward", _FORWARD, 0.0, plan.turn),
        ("backward", _BACKWARD, plan.turn, plan.back),
    ):
        place = {"x": "11", "y": "-3", "font-size": "13", "font-weight": "bold", "fill": colour, "opacity": "0"}
        text = ET.SubElement(svg, "text", place)
        text.text = words
        sheet.play(text, [(start, "opacity:1"), (end, "opacity:0")])
