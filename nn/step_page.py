"""The page that steps through a computation: its picture, what is told at each step, and one file of all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from autograd_lite import Value
from autograd_lite.steps import Backward, Event, Forward, Steps

from .dot import LINE, STYLES
from .drawing import Drawing
from .folding import Folded
from .graph_picture import Node, Span, graph_dot, nodes_and_edges
from .pages import frame, framed, page
from .wording import counted, isolated, printable

__all__ = ["Page", "fits", "page_of"]

_MOST_STEPS = 2000  # beyond, nobody goes one by one, and a page would be large
_MOST_PARTS = 2000  # boxes and lines: the time to lay them out grows faster than they do


@dataclass(frozen=True)
class Page:
    """What is seen of a stepper; `page_of` makes it.

    Attributes:
        title: What it is.
        picture: The graph, with every number of the whole walk.
        story: What the script tells, as `stepper.js` says.
        events: The number of the event that each step of the page ends with.
        steps: The step of the page in which each event is.
    """

    title: str
    picture: Drawing
    story: dict[str, Any]
    events: Sequence[int]
    steps: Sequence[int]

    @cached_property
    def svg(self) -> str:
        """The picture without what the page does not need."""
        return _compact(self.picture.svg)

    @property
    def height(self) -> int:
        """How many pixels of a notebook it takes."""
        points = re.search(r'<svg[^>]* height="([\d.]+)pt"', self.picture.svg)
        height = float(points[1]) * 4 / 3 if points else 300.0  # CSS: 3 pt are 4 px
        return round(min(max(height, 160), 420)) + (280 if self.story["note"] else 250)

    def framed(self, position: int) -> str:
        """Return a frame that opens at an event, and an image for where frames are taken away."""
        return framed(self.html(position), f"height:{self.height}px", self.picture.svg, self.title, "allow-scripts")

    def frame(self, position: int) -> str:
        """Return the frame alone."""
        return frame(self.html(position), f"height:{self.height}px", self.title, "allow-scripts")

    def html(self, position: int) -> str:
        """Return the file that opens at an event."""
        return page("stepper", self.title, self.story | {"position": self.steps[position]}, self.svg)


def page_of(
    steps: Steps,
    folded: Folded,
    names: Mapping[Value, str],
    text: Callable[[int], str],
    title: str,
    *,
    orientation: str = "LR",
    heat: bool = False,
) -> Page:
    """Lay the picture out, and tell its story: event by event, or box by box where there are more than 2000 events.

    Args:
        steps: All that happens.
        folded: What of it is drawn, and as what.
        names: What each node is called.
        text: The line of an event, given by its number.
        title: What it is.
        orientation: "LR" from left to right, "TB" from top to bottom.
        heat: Colour the boxes by |grad|.

    Raises:
        ValueError: The picture would be too large.

    >>> import autograd_lite as al
    >>> from nn.folding import fold
    >>> x = Value(3.0, "x")
    >>> y = x * x
    >>> page = page_of(al.events(y), fold([x, y], [y]), {x: "x", y: "y"}, str, "a square")
    >>> page.story["events"]
    [[0, '0', '3'], [1, '1', '9'], [1, '2', '3', 0, 0], [1, '3', '6', 0, 1]]
    """
    if not fits(folded):
        raise ValueError(
            f"this graph is too large for a picture ({len(folded.boxes):,} boxes and {len(folded.lines):,} lines; the "
            f"most is {_MOST_PARTS:,} together); give a smaller depth=, or step through it with next, goto and until"
        )
    y = steps.forward[-1].node
    nodes, edges = nodes_and_edges(folded, names, {y: 1.0} | {event.parent: event.after for event in steps.backward})
    nodes = _with_room(nodes, folded, steps)
    teller = _Teller(steps, folded, _labels(folded, nodes, names), text)
    groups = _groups(steps, folded.index)
    drawn = sum(map(len, groups))
    notes = [folded.note] if folded.note else []
    if len(groups) < drawn:
        notes[:0] = [f"{counted(drawn, 'step')} as {len(groups)}, box by box"]
    story = {
        "name": isolated(names[y]),
        "root": folded.index.get(y),
        "labels": teller.labels,
        "events": [teller.told(group) for group in groups],
        "note": "; ".join(notes),
        "heat": heat,
    }
    picture = Drawing(graph_dot(nodes, edges, False, orientation, heat=heat), title)
    return Page(title, picture, story, [group[-1] for group in groups], _steps(groups, len(steps)))


def _labels(folded: Folded, nodes: Sequence[Node], names: Mapping[Value, str]) -> list[str]:
    """Return what each box is called: a node by its name, others by what the picture says."""
    return [
        isolated(names[box.members[0]])
        if len(box.members) == 1
        else isolated(printable(node.name or node.operation, 40)) + f" ×{node.count}" * (node.count > 1)
        for box, node in zip(folded.boxes, nodes, strict=True)
    ]


def _with_room(nodes: Sequence[Node], folded: Folded, steps: Steps) -> list[Node]:
    """Make room for all that the gradient of a node becomes on the way, which may be longer than what it is."""
    longest = [0] * len(nodes)
    for event in steps.backward:
        box = folded.index.get(event.parent)
        if box is not None and len(folded.boxes[box].members) == 1:
            longest[box] = max(longest[box], len(f"{event.after:.4g}"))
    return [replace(node, room=room) for node, room in zip(nodes, longest, strict=True)]


def fits(folded: Folded) -> bool:
    """Return whether a graph is small enough for a picture."""
    return len(folded.boxes) + len(folded.lines) <= _MOST_PARTS


# ---- what is told ---------------------------------------------------------------------------------------------


def _groups(steps: Steps, index: Mapping[Value, int]) -> list[list[int]]:
    """Return the numbers of the events that are told in one step.

    Box by box, they are those that compute a box, and then those that go back from one box to another.
    """
    drawn = [i for i, event in enumerate(steps) if event.node in index]
    if len(drawn) <= _MOST_STEPS:
        return [[i] for i in drawn]
    forward: dict[int, list[int]] = {}
    backward: dict[int, dict[int, list[int]]] = {}
    for i in drawn:
        match steps[i]:
            case Forward(node=node):
                forward.setdefault(index[node], []).append(i)
            case Backward(node=node, parent=parent):
                backward.setdefault(index[node], {}).setdefault(index[parent], []).append(i)
    order = _order(backward, forward)
    return [
        *(forward[box] for box in order),
        *(group for box in reversed(order) for group in backward.get(box, {}).values()),
    ]


def _order(sources: Mapping[int, Collection[int]], boxes: Collection[int]) -> list[int]:
    """Return the boxes, those that a box is computed from before it; where they go round in circles, as they are."""
    order: dict[int, None] = {}
    todo = sorted(boxes, reverse=True)
    entered: set[int] = set()
    while todo:
        box = todo[-1]
        new = [] if box in entered else [s for s in sorted(sources.get(box, ()), reverse=True) if s not in entered]
        entered.add(box)
        todo += new
        if not new:
            order.setdefault(todo.pop())
    return list(order)


def _steps(groups: Sequence[Sequence[int]], n_events: int) -> list[int]:
    """Return which group each event is in; one that is in none goes with the event before it.

    The start is the start, whichever box the first event is in.
    """
    found = {event: step for step, group in enumerate(groups) for event in group}
    steps = [0] * n_events
    for event in range(1, n_events):
        steps[event] = found.get(event, steps[event - 1])
    return steps


@dataclass(frozen=True)
class _Teller:
    """Tells events of a graph that is drawn as boxes."""

    steps: Steps
    folded: Folded
    labels: Sequence[str]
    text: Callable[[int], str]

    def told(self, group: Sequence[int]) -> list[Any]:
        """Return [box, text, value], or [box, text, grad, box of the parent, place of the line] going back.

        A box of several nodes has no number, and a line within a box no place.
        """
        events = [self.steps[i] for i in group]
        last = events[-1]
        target, text = self.folded.index[last.node], self.text(group[-1])
        if isinstance(last, Forward):
            if len(group) > 1:
                text = self._computed(target, events)
            return [target, text, self._number(target, last.result)]
        source = self.folded.index[last.parent]
        if len(group) > 1:
            text = self._handed_on(target, source, events)
        edge = self.folded.edge(last.node, last.position)
        place = None if edge is None else int(edge.rpartition("-")[2])
        return [target, text, self._number(source, last.after), source, place]

    def _number(self, box: int, number: float) -> str | None:
        return f"{number:.4g}" if len(self.folded.boxes[box].members) == 1 else None

    def _computed(self, box: int, events: Sequence[Event]) -> str:
        results = [event.node.data for event in events if event.node.op is not None]
        leaves = [event.node.data for event in events if event.node.op is None]
        parts = [(leaves, "leaf value"), (results, "operation")]
        return f"{self.labels[box]}: " + "; ".join(
            f"{counted(len(numbers), what)}, {_between(numbers)}" for numbers, what in parts if numbers
        )

    def _handed_on(self, target: int, source: int, events: Sequence[Event]) -> str:
        shares = [event.contribution for event in events if isinstance(event, Backward)]
        where = "within it" if source == target else f"to {self.labels[source]}"
        text = f"{counted(len(shares), 'product')} {where}, {_between(shares)}, in sum {sum(shares):.4g}"
        so_far = self._number(source, events[-1].after) if isinstance(events[-1], Backward) else None
        return text if so_far is None else f"{text} → grad so far {so_far}"


def _between(numbers: Sequence[float]) -> str:
    span = Span.of(numbers)
    return f"each {span:.4g}" if isinstance(span, float) else f"{span:.4g}"


# ---- the file -------------------------------------------------------------------------------------------------

_SPARE = (
    r"<!--.*?-->\n|<title>.*?</title>\n| xml:space=\"preserve\"| text-anchor=\"start\"| font-family=\"[^\"]*\""
    r"| font-size=\"11.00\"|<g id=\"a_[^\"]*\"><a [^>]*>\n|</a>\n</g>\n"
)
# What the style says of most lines, arrow heads and boxes.
_USUAL = (
    rf' fill="none" stroke="{LINE}"(?= d=)|'
    rf' fill="(?:{LINE}|{STYLES["node"][0]})" stroke="{LINE}"(?= points=)'
)


def _compact(svg: str) -> str:
    """Take away what the page does not need, tooltips among it: about half of the picture."""
    svg = re.sub(_SPARE, "", svg, flags=re.DOTALL).replace("&#45;", "-")
    svg = svg.replace(' font-size="9.00" fill="#6b7280"', ' class="what"')
    svg = svg.replace(' font-weight="bold" font-size="13.00"', ' class="name"')
    svg = re.sub(_USUAL, "", svg)
    return re.sub(r' (?:d|points)="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), svg)
