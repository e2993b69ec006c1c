"""Fold a large graph into few boxes: scopes, alike parts, long chains.

Every node is put into a class, and each class is a box. Nodes of one scope are a class; scopes of the same structure
are one; and so are nodes that do the same to the same and are used for the same, such as the losses of all examples.
All of it is iterative, and linear in nodes and edges.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import index as integer
from reprlib import repr as short
from typing import Any, NamedTuple

import autograd_lite as al
from autograd_lite import Scope, Value

from .modules import Unit, unit_of
from .wording import counted

__all__ = ["Box", "Folded", "Line", "fold"]

MOST_BOXES, MOST_LINES = 300, 1000  # beyond, a picture can't be read, and is slow to lay out
_FEWEST = 4  # boxes: what folds to less is folded less
_DEEPEST = 20  # scopes in scopes
_SHORTEST_CHAIN, _SHORTEST_RUN = 4, 3
_MOST_APART = 50  # nodes on the paths between two; more of them are folded where they are alike
_MOST_ROUNDS = 3
_NEAREST = (60, 30, 15)
_RUNS = (al.add, al.mul, al.maximum, al.minimum)  # a + b + c + d is one run


@dataclass(frozen=True)
class Box:
    """What is drawn as one.

    Attributes:
        kind: "node" for one Value or several alike, "run" for a sum term by term or the like, "scope" for a part of
            the program, "chain" for operations in a row, "rest" for all that there is no room for, "input" for
            numbers that are not nodes.
        title: The name of a scope or of nodes, without the number that tells alike ones apart; may be empty.
        members: The Values in it, in topological order; an input has none.
        count: How many alike parts it stands for.
        times: How often each neuron in it is used.
        is_root: Whether a Value that is drawn is in it.
    """

    kind: str
    title: str
    members: tuple[Value, ...]
    count: int
    times: int
    is_root: bool


class Line(NamedTuple):
    """The edges from one box to another, by their places; `position` tells apart the lines that enter a box.

    `edge` is one of them: a node and the place of the operand among its parents; None from an input.
    """

    source: int
    target: int
    position: int
    n_edges: int
    edge: tuple[Value, int] | None


@dataclass(frozen=True)
class Folded:
    """A graph as it is drawn; `fold` makes it.

    Attributes:
        boxes: In the order in which the last of their nodes are computed, inputs at the end.
        lines: Between them.
        index: The place of each Value's box; a Value that is left out has none.
        how: How to open what is folded.
    """

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    index: dict[Value, int]
    how: str = ""
    _drawn: dict[tuple[int, ...], int] = field(default_factory=dict, repr=False)

    @cached_property
    def is_open(self) -> bool:
        """Whether every box is one Value."""
        return len(self.index) == len(self.boxes)

    def edge(self, node: Value, position: int) -> str | None:
        """Return the id of the line that stands for one edge, or None where it lies within a box.

        >>> x = Value(2.0, "x")
        >>> y = x * x
        >>> fold([x, y], [y]).edge(y, 1)
        'edge-1-1'
        """
        source, target = self.index[node.parents[position]], self.index[node]
        drawn = self._drawn.get((source, target, position), self._drawn.get((source, target)))
        return None if drawn is None or source == target else f"edge-{target}-{drawn}"

    @property
    def note(self) -> str:
        """What is folded, and how to open it; empty if nothing is."""
        if self.is_open:
            return ""
        boxes = f"{len(self.boxes)} box{'es' * (len(self.boxes) != 1)}"
        return f"{counted(len(self.index), 'node')} in {boxes}; {self.how}"


def fold(
    order: Sequence[Value],
    roots: Collection[Value],
    *,
    depth: float | None = None,
    between: tuple[Value, Value] | None = None,
) -> Folded:
    """Fold a graph until it can be read: to at most 300 boxes.

    Args:
        order: Its nodes in topological order.
        roots: The nodes that are drawn, for which all of it is computed.
        depth: How many scopes deep it is opened: at 1 each outermost scope is a box. Alike boxes are one, at every
            depth; `math.inf` opens everything, however large. None opens everything that has at most 300 nodes,
            and of what is larger the outermost scopes that tell something.
        between: Open what lies on the paths from the first Value to the second, and fold what else feeds them.

    Raises:
        TypeError: The depth is not a whole number, or `between` not a pair of Values.
        ValueError: The depth is below 1, or there is no path.

    >>> xs = [Value(float(i)) for i in range(1000)]
    >>> y = al.sum([x * x for x in xs])
    >>> [(box.kind, box.count) for box in fold(al.topological_order(y), [y]).boxes]
    [('node', 1000), ('node', 1000), ('node', 1)]
    """
    depth = _checked_depth(depth)
    path: set[Value] = set()
    if between is not None:
        order, path = _between(order, between)
        roots = [between[1]]
    graph = _Graph(order, set(roots))
    if depth == math.inf or (depth is None and between is None and graph.fits(range(len(order)))):
        return _quotient(graph, range(len(order)), range(len(order)), {})
    deepest = graph.deepest()
    if between is not None or depth is not None:
        return _at_depth(graph, 1 if depth is None else min(int(depth), _DEEPEST), deepest, path)
    folded = _at_depth(graph, 1, deepest, path)
    for deeper in range(2, deepest + 1):
        if len(folded.boxes) >= _FEWEST:
            break
        folded = _at_depth(graph, deeper, deepest, path)
    return folded


def _checked_depth(depth: float | None) -> float | None:
    if depth is None or depth == math.inf:
        return depth
    try:
        levels = integer(depth)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"depth= must be a whole number, math.inf or None, not {short(depth)}") from None
    if levels < 1:
        raise ValueError(f"depth= must be at least 1, where each outermost scope is a box, not {levels}")
    return levels


def _between(order: Sequence[Value], between: tuple[Value, Value]) -> tuple[list[Value], set[Value]]:
    """Return what the second Value is computed from, and of that what the first one reaches."""
    if not isinstance(between, tuple) or len(between) != 2 or not all(isinstance(end, Value) for end in between):
        raise TypeError(f"between= takes a pair of Values, such as (w, loss), not {short(between)}")
    w, loss = between
    if loss not in order:
        raise ValueError(f"the second Value of between= is not in this graph: {loss!r}")
    order = al.topological_order(loss)
    path = {w}
    for node in order:
        if any(parent in path for parent in node.parents):
            path.add(node)
    if loss not in path:
        raise ValueError(f"there is no path from {w!r} to {loss!r}")
    return order, path


# ---- the graph in numbers -------------------------------------------------------------------------------------

# What a node is a part of: a path of scopes, or the number of the last node of its run; None for several.
_Part = tuple[Scope, ...] | int | None


class _Graph:
    """A graph in which nodes are numbers.

    Attributes:
        nodes: The Values, in topological order.
        edges: Of each node, its parents; with each the number of the operand that it is, or is among.
        consumers: Of each node, those that it is a parent of, likewise.
        roots: Which nodes are drawn for their own sake.
    """

    def __init__(self, order: Sequence[Value], roots: Collection[Value]) -> None:
        self.nodes = order
        self.index = {node: i for i, node in enumerate(order)}
        self.roots = {self.index[root] for root in roots}
        self.edges = [[(self.index[parent], slot) for parent, slot in _operands(node)] for node in order]
        self.consumers: list[list[tuple[int, int]]] = [[] for _ in order]
        for i, edges in enumerate(self.edges):
            for parent, slot in edges:
                self.consumers[parent].append((i, slot))

    def fits(self, classes: Sequence[int]) -> bool:
        """Return whether there would be few enough boxes and lines."""
        if len(set(classes)) > MOST_BOXES:
            return False
        if isinstance(classes, range):
            return sum(map(len, self.edges)) <= MOST_LINES
        lines = {(classes[parent], classes[i]) for i, edges in enumerate(self.edges) for parent, _ in edges}
        return len(lines) <= MOST_LINES

    def deepest(self) -> int:
        """Return how deep scopes are nested at most."""
        paths = _Paths(_DEEPEST - 1)
        return max((len(paths.of(node)) for node in self.nodes), default=0)


def _operands(node: Value) -> Iterator[tuple[Value, int]]:
    for slot, operand in enumerate(node.operands):
        if isinstance(operand, Value):
            yield operand, slot
        elif isinstance(operand, tuple):
            for x in operand:
                if isinstance(x, Value):
                    yield x, slot


class _Paths:
    """Find the path of a node's scopes, so and so many of them from the outermost."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.known: dict[tuple[Scope | None, Scope | None], tuple[Scope, ...]] = {(None, None): ()}

    def of(self, node: Value) -> tuple[Scope, ...]:
        """Return the scope in which it was recorded and then the neuron that it belongs to, from the outermost."""
        unit = unit_of(node)
        recorded = None if node.scope is unit else node.scope
        key = recorded, unit
        if key not in self.known:
            path = self._path(recorded)
            inner = self._path(unit)
            # what a module records in a scope of its own is in that scope already
            path = (*path, *(part for part in inner if part not in path))
            self.known[key] = path[: self.longest]
        return self.known[key]

    def _path(self, scope: Scope | None) -> tuple[Scope, ...]:
        todo: list[Scope] = []
        while scope is not None and (scope, None) not in self.known:
            todo.append(scope)
            scope = scope.parent
        path = self.known[scope, None]
        for inner in reversed(todo):
            path = (*path, inner) if len(path) < self.longest else path
            self.known[inner, None] = path
        return path


# ---- classes --------------------------------------------------------------------------------------------------


def _at_depth(graph: _Graph, depth: int, deepest: int, path: Collection[Value]) -> Folded:
    """Fold the scopes at a depth, and then whatever it takes."""
    classing = _Classing(graph, depth, {graph.index[node] for node in path})
    classes, kinds = next(each for each in classing.attempts() if graph.fits(each[0]) or _CUT in each[1])
    deeper = [f"depth={depth + 1}"] if depth < deepest else []
    part = " or ".join(deeper if path else [*deeper, "between=(w, loss)"])
    how = f"{part} opens a part, depth=math.inf everything" if part else "depth=math.inf opens everything"
    return _rest(_quotient(graph, classes, classing.parts, kinds, how), depth, path)


def _rest(folded: Folded, depth: int, path: Collection[Value]) -> Folded:
    """Say of scopes that a path goes through that their boxes are the rest of them."""
    paths = _Paths(depth)
    opened = {paths.of(node) for node in path}
    boxes = (
        replace(box, title=f"rest of {box.title}")
        if box.kind == "scope" and box.title and any(paths.of(value) in opened for value in box.members)
        else box
        for box in folded.boxes
    )
    return replace(folded, boxes=tuple(boxes)) if path else folded


_CUT = -1  # the class of what there is no room for
_Kinds = dict[int, str]  # of the classes that are not just nodes


class _Classing:
    """Put the nodes of a graph into classes.

    Attributes:
        parts: What each node is a part of; alike parts are one class. None for a leaf that belongs to several.
        scope_classes: The class of each part that is a scope.
        roles: What each node in a scope does there.
        fixed: The classes of the nodes in scopes, which need no more thought.
        last: The last node of the run that each node is in.
        members: By these, the nodes of each run outside of scopes; most are alone.
        own: What each run is, whatever is around it.
        operands: What each run is made from.
        uses: What each run is used for, with what it is to that.
    """

    def __init__(self, graph: _Graph, depth: int, path: set[int]) -> None:
        self.graph = graph
        self.path = path
        self.parts: list[_Part] = _scopes(graph, depth, path)
        self.numbers: dict[Hashable, int] = {}
        self.scope_classes, self.roles = self._of_scopes()
        self.kinds = dict.fromkeys(self.scope_classes.values(), "scope")
        self.fixed = {i: self.scope_classes[part] for i, part in enumerate(self.parts) if isinstance(part, tuple)}
        self._absorb_leaves()
        self.last = _runs(graph, self.parts, path)
        self.members: dict[int, list[int]] = {}
        for i, last in enumerate(self.last):
            if i not in self.fixed:
                self.members.setdefault(last, []).append(i)
        self.members = dict(sorted(self.members.items()))
        for run in self.members.values():
            for i in run[:-1]:
                self.parts[i] = run[-1]
        self._note_neighbours()

    def _note_neighbours(self) -> None:
        graph = self.graph
        self.own: dict[int, Hashable] = {}
        self.operands: dict[int, list[int]] = {}
        self.uses: dict[int, list[tuple[int, Hashable]]] = {}
        for i, run in self.members.items():
            is_run = len(run) > 1
            inside = {*run} if is_run else ()
            self.own[i] = _what(graph.nodes[i]), i in graph.roots, i in self.path, is_run
            self.operands[i] = [parent for k in run for parent, _ in graph.edges[k] if parent not in inside]
            self.uses[i] = [
                (self.last[consumer], -1 if self._in_run(consumer) else (slot, self.roles.get(consumer)))
                for consumer, slot in graph.consumers[i]
            ]

    def _in_run(self, i: int) -> bool:
        return len(self.members.get(self.last[i], ())) > 1

    def attempts(self) -> Iterator[tuple[Sequence[int], _Kinds]]:
        """Give classes that make fewer and fewer boxes; the last ones fit in any case."""
        if 0 < len(self.path) <= _MOST_APART:
            yield self._exact(self.path), self.kinds
        exact = self._exact(set())
        yield exact, self.kinds
        chained, kinds = self._chained(exact)
        yield chained, kinds
        yield self._local(), self.kinds
        for most in _NEAREST[:-1]:
            cut = self._nearest(chained, most)
            if self.graph.fits(cut):
                break
        else:
            cut = self._nearest(chained, _NEAREST[-1])
        yield cut, kinds | {_CUT: "rest"}

    def _number(self, key: Hashable) -> int:
        return self.numbers.setdefault(key, len(self.numbers))

    # ---- scopes

    def _of_scopes(self) -> tuple[dict[_Part, int], dict[int, int]]:
        """Return the class of each part that is a scope, and the role that each node has within its own."""
        graph, parts = self.graph, self.parts
        roles: dict[int, int] = {}
        structure: dict[tuple[Scope, ...], set[int]] = {}
        feeding: dict[_Part, set[tuple[str, ...]]] = {}
        for i, part in enumerate(parts):
            if not isinstance(part, tuple):
                continue
            operands: set[tuple[int, int]] = set()
            for parent, slot in graph.edges[i]:
                other = parts[parent]
                operands.add((roles[parent] if other == part else -1, slot))
                if other != part and isinstance(other, tuple):
                    feeding.setdefault(part, set()).add(_told_apart(other, part))
            roles[i] = self._number(("role", _what(graph.nodes[i]), frozenset(operands)))
            structure.setdefault(part, set()).add(roles[i])
        classes: dict[_Part, int] = {}
        for part, found in structure.items():
            *outer, last = _names(part)
            # Neurons and layers have numbers, and are alike if the same feeds them; the turns of a loop have not.
            alike = (_bare(last), frozenset(feeding.get(part, ()))) if _bare(last) != last else last
            classes[part] = self._number(("scope", tuple(outer), alike, frozenset(found)))
        return classes, roles

    def _absorb_leaves(self) -> None:
        """Put leaves that are used in one class of scopes only into that class; inputs stay outside."""
        for i, consumers in enumerate(self.graph.consumers):
            node = self.graph.nodes[i]
            if node.op is not None or i in self.path or i in self.graph.roots:
                continue
            if node.scope is not None and not isinstance(node.scope, Unit):
                continue
            users = {self.parts[consumer] for consumer, _ in consumers}
            classes = {self.scope_classes.get(user) for user in users}
            if len(classes) == 1 and None not in classes and not _is_input(self.graph, i):
                self.parts[i] = users.pop() if len(users) == 1 else None
                self.fixed[i] = classes.pop() or 0

    # ---- nodes

    def _exact(self, path: Collection[int]) -> list[int]:
        """Fold nodes that do the same to the same, and are used in the same way; those on the path stay apart."""
        forward = self.fixed.copy()
        for i in self.members:
            apart = i if i in path else None
            forward[i] = self._number(("made", self.own[i], self._made_from(i, forward), apart))
        classes = forward.copy()
        for i in reversed(self.members):
            classes[i] = self._number(("used", forward[i], self._used_for(i, classes)))
        return self._whole(classes)

    def _local(self) -> list[int]:
        """Fold nodes whose neighbours are alike some steps around them, the turns of a loop: as many as can be."""
        classes = self.fixed | {i: self._number(("own", own)) for i, own in self.own.items()}
        found = self._whole(classes)
        for _ in range(_MOST_ROUNDS):
            classes = self.fixed | {
                i: self._number(("near", classes[i], self._made_from(i, classes), self._used_for(i, classes)))
                for i in self.members
            }
            finer = self._whole(classes)
            if not self.graph.fits(finer):
                break
            found = finer
        return found

    def _made_from(self, i: int, classes: dict[int, int]) -> Hashable:
        """Return the classes of the operands, in their order where it tells anything."""
        operands = [classes[parent] for parent in self.operands[i]]
        op = self.graph.nodes[i].op
        ordered = len(self.members[i]) == 1 and op is not None and not op.many
        return tuple(operands) if ordered else frozenset(operands)

    def _used_for(self, i: int, classes: dict[int, int]) -> Hashable:
        """Return the classes of the consumers, with what it is to them."""
        return frozenset([(classes[consumer], role) for consumer, role in self.uses[i]])

    def _whole(self, classes: dict[int, int]) -> list[int]:
        return [classes[last] for last in self.last]

    # ---- what is still too large

    def _chained(self, classes: Sequence[int]) -> tuple[list[int], _Kinds]:
        """Fold boxes in a row, of which each leads to the next and nowhere else."""
        before, after = _neighbours(self.graph, classes)
        ends = {classes[root] for root in self.graph.roots} | set(self.kinds)
        chains: dict[int, list[int]] = {}
        chain_of: dict[int, int] = {}
        for c in dict.fromkeys(classes):
            if c in ends or len(before[c]) != 1 or len(after[c]) != 1:
                continue
            (previous,) = before[c]
            chain_of[c] = chain_of.get(previous, c)
            chains.setdefault(chain_of[c], []).append(c)
        long = {head for head, links in chains.items() if len(links) >= _SHORTEST_CHAIN}
        merged = {c: head for c, head in chain_of.items() if head in long}
        return [merged.get(c, c) for c in classes], self.kinds | dict.fromkeys(long, "chain")

    def _nearest(self, classes: Sequence[int], most: int) -> list[int]:
        """Keep the boxes nearest to the roots, and make one of all the others."""
        before, after = _neighbours(self.graph, classes)
        waiting = {c: len(consumers) for c, consumers in after.items()}
        shown = [c for c in dict.fromkeys(reversed(classes)) if not waiting[c]]
        for c in shown:  # grows: a box comes when all that it leads to are there, so that no line goes back
            if len(shown) >= most:
                break
            for b in before[c]:
                waiting[b] -= 1
                if not waiting[b]:
                    shown.append(b)
        kept = set(shown[:most])
        return [c if c in kept else _CUT for c in classes]


def _scopes(graph: _Graph, depth: int, path: set[int]) -> list[_Part]:
    """Return the path of scopes that each node is folded into; itself for one that is not."""
    paths = _Paths(depth)
    found: list[_Part] = []
    for i, node in enumerate(graph.nodes):
        scopes = paths.of(node)
        if i in path:
            found.append(i)
        elif len(scopes) == depth:
            found.append(scopes)
        else:
            found.append(() if path and node.op is not None else i)
    return found


def _runs(graph: _Graph, parts: Sequence[_Part], path: set[int]) -> list[int]:
    """Return the last node of the run that each node is in: itself, mostly."""
    last = list(range(len(parts)))
    for i in reversed(range(len(parts))):
        op = graph.nodes[i].op
        if op not in _RUNS or parts[i] != i or i in path:
            continue
        for parent, _ in graph.edges[i]:
            node = graph.nodes[parent]
            if (
                node.op is op and parts[parent] == parent and len(graph.consumers[parent]) == 1
                and not node.name and parent not in graph.roots and parent not in path
            ):  # fmt: skip
                last[parent] = last[i]
    lengths = Counter(last)
    return [end if lengths[end] >= _SHORTEST_RUN else i for i, end in enumerate(last)]


def _neighbours(graph: _Graph, classes: Sequence[int]) -> tuple[dict[int, dict[int, None]], dict[int, dict[int, None]]]:
    """Return the boxes before and after each box."""
    before: dict[int, dict[int, None]] = {c: {} for c in classes}
    after: dict[int, dict[int, None]] = {c: {} for c in classes}
    for i, edges in enumerate(graph.edges):
        for parent, _ in edges:
            if classes[parent] != classes[i]:
                before[classes[i]][classes[parent]] = None
                after[classes[parent]][classes[i]] = None
    return before, after


def _what(node: Value) -> Hashable:
    """Return what a node does, whatever its numbers: its operation, which operands are constants, what it is called."""
    kinds: tuple[Any, ...] = ()
    if node.op is not None and (node.op.many or len(node.parents) < node.op.arity):
        kinds = tuple(
            frozenset(isinstance(part, Value) for part in x) if isinstance(x, tuple) else isinstance(x, Value)
            for x in node.operands
        )
    return node.op, kinds, _bare(node.name or "")


def _is_input(graph: _Graph, i: int) -> bool:
    """Return whether a leaf is a number that neurons are given, not one of theirs."""
    return graph.nodes[i].scope is None and all(
        graph.nodes[consumer].op in (al.affine, al.dot) and slot == 1 for consumer, slot in graph.consumers[i]
    )


_NUMBER = "0123456789[](),.:#_- ₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹"


def _bare(name: str) -> str:
    """Return a name without its number: `neuron 3` and `w[1,2]` are `neuron` and `w`."""
    return name.rstrip(_NUMBER) or name


def _names(part: Sequence[Scope]) -> list[str]:
    return [scope.name for scope in part] or [""]


def _told_apart(other: Sequence[Scope], part: Sequence[Scope]) -> tuple[str, ...]:
    """Name another scope as far as it matters: which layer, but not which of its neurons."""
    names = _names(other)
    return tuple(names) if other[:-1] == part[:-1] else (*names[:-1], _bare(names[-1]))


# ---- boxes ----------------------------------------------------------------------------------------------------


def _quotient(graph: _Graph, classes: Sequence[int], parts: Sequence[_Part], kinds: _Kinds, how: str = "") -> Folded:
    """Make a box of each class, and lines of the edges between them."""
    last = {c: i for i, c in enumerate(classes)}  # operands before results, where boxes do not go round in circles
    place = {c: k for k, c in enumerate(sorted(last, key=last.__getitem__))}
    members: list[list[int]] = [[] for _ in place]
    for i, c in enumerate(classes):
        members[place[c]].append(i)
    boxes = [_box(graph, of, parts, kinds.get(c, "node")) for c, of in zip(place, members, strict=True)]
    counts: Counter[tuple[int, ...]] = Counter()
    first: dict[tuple[int, ...], tuple[Value, int]] = {}
    for i, edges in enumerate(graph.edges):
        target = place[classes[i]]
        for k, (parent, _) in enumerate(edges):
            source = place[classes[parent]]
            if source == target and (
                boxes[target].kind in ("chain", "rest") or parts[parent] == parts[i] or parts[parent] is None
            ):
                continue
            is_one = len(boxes[source].members) == len(boxes[target].members) == 1
            key: tuple[int, ...] = (source, target, k) if is_one else (source, target)
            counts[key] += 1
            first.setdefault(key, (graph.nodes[i], k))
    entered: Counter[int] = Counter()
    lines: list[Line] = []
    drawn: dict[tuple[int, ...], int] = {}
    for key, count in counts.items():
        source, target, *_ = key
        drawn[key] = entered[target]
        lines.append(Line(source, target, entered[target], count, first[key]))
        entered[target] += 1
    for target, size in _constant_inputs(boxes).items():
        lines.append(Line(len(boxes), target, entered[target], size, None))
        boxes.append(Box("input", f"{counted(size, 'number')}", (), 1, 1, False))
    index = {node: place[c] for node, c in zip(graph.nodes, classes, strict=True)}
    return Folded(tuple(boxes), tuple(lines), index, how, drawn)


def _box(graph: _Graph, members: Sequence[int], parts: Sequence[_Part], kind: str) -> Box:
    nodes = tuple(graph.nodes[i] for i in members)
    alike = {parts[i] for i in members} - {None}
    is_root = any(i in graph.roots for i in members)
    if kind == "scope":
        paths = [part for part in alike if isinstance(part, tuple)]
        return Box(kind, _scope_title(paths), nodes, len(paths), _times(graph, members, parts), is_root)
    if kind in ("chain", "rest"):
        return Box(kind, "", nodes, 1, 1, is_root)
    names = {node.name or "" for node in nodes}
    title = names.pop() if len(names) == 1 else _bare(max(names, key=lambda name: (len(name), name)))
    return Box("run" if len(alike) < len(nodes) else "node", title, nodes, len(alike), 1, is_root)


def _scope_title(paths: Sequence[tuple[Scope, ...]]) -> str:
    """Return the names of the scopes, that of the innermost without its number if there are several."""
    names = _names(paths[0])
    if len({path[-1].name for path in paths if path}) > 1:
        names[-1] = _bare(names[-1])
    return " / ".join(names)


def _times(graph: _Graph, members: Sequence[int], parts: Sequence[_Part]) -> int:
    """Return how often one neuron is used in one part."""
    used: Counter[tuple[_Part, Unit | None]] = Counter(
        (parts[i], unit_of(graph.nodes[i])) for i in members if graph.nodes[i].op is al.affine
    )
    return max((n for (_, unit), n in used.items() if unit is not None), default=1)


def _constant_inputs(boxes: Iterable[Box]) -> dict[int, int]:
    """Return the boxes of scopes that are given numbers which are not nodes, and how many at once."""
    found = {}
    for k, box in enumerate(boxes):
        if box.kind == "scope":
            sizes = {
                len(node.operands[1]) for node in box.members
                if node.op is al.affine and not any(isinstance(x, Value) for x in node.operands[1])
            }  # fmt: skip
            if sizes:
                found[k] = max(sizes)
    return found
