"""Watch a function run once on Values, and write down what it did as a program.

The function runs as it always does, on ordinary Values, and records an ordinary graph; what the graph alone does not
tell is watched for: which way each comparison went and on what line, what was computed without recording, and that
no number was read out of the graph, which would freeze it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from ..derivatives import _differentiating, _inputs
from ..op import Op, number
from ..value import Value, Watch, in_mode, is_recording
from .primitives import detach
from .program import Builder

__all__ = ["Guard", "Trace", "TraceError", "from_graph", "trace", "watched"]

_ENGINE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class TraceError(TypeError):
    """Say what a function does that can't be compiled, and where."""


@dataclass(frozen=True)
class Guard:
    """A comparison that decided what was computed, as it came out.

    Attributes:
        left, right: Places of the two numbers in the program.
        sign: `<`, `<=`, `>` or `>=`.
        outcome: How it came out.
        where: The line of the user's program, `file:line`.

    >>> print(Guard(0, 1, ">", True, "model.py:7"))
    model.py:7: a comparison > that was True
    """

    left: int
    right: int
    sign: str
    outcome: bool
    where: str

    def __str__(self) -> str:
        return f"{self.where}: a comparison {self.sign} that was {self.outcome}"


@dataclass
class Trace:
    """What a function did: instructions being written, the places of its inputs and outputs, and its guards.

    Attributes:
        build: The instructions.
        inputs: The places of the inputs.
        outputs: The places of what it gave.
        guards: The comparisons that depend on the inputs.
        point: The inputs it was traced with.
        gives_list: Whether it gave a list of numbers, not one.

    >>> traced = trace(lambda v: v[0] if v[0] > v[1] else v[1], [1.0, 2.0])
    >>> traced.outputs, [guard.outcome for guard in traced.guards]
    ([1], [False])
    """

    build: Builder
    inputs: list[int]
    outputs: list[int]
    guards: list[Guard] = field(default_factory=list)
    point: list[float] = field(default_factory=list)
    gives_list: bool = False


def trace(f: Callable[[list[Value]], Any], point: Sequence[float]) -> Trace:
    """Run f on a list of Values, and return what it did.

    Raises:
        TraceError: f reads a number out of the graph, or gives something else than numbers.
    """
    with _differentiating():
        inputs: list[Value] = _inputs(list(point))
        return watched(lambda: f(list(inputs)), inputs)


def watched(run: Callable[[], Any], inputs: Sequence[Value]) -> Trace:
    """Run something once, and return what it did as a function of some Values that it uses; errors as for `trace`.

    >>> x = Value(2.0, "x")
    >>> watched(lambda: x * x, [x]).build.instructions[-1].op
    <operation mul(a, b)>
    """
    watch = _Watch()
    watch.inputs = {x: k for k, x in enumerate(inputs)}
    point = [x._data for x in inputs]
    with in_mode(recording=True, watch=watch):
        result = run()
    outputs = list(result) if isinstance(result, (list, tuple)) else [result]
    outputs = [y if isinstance(y, Value) else Value(_result(y)) for y in outputs]
    compared = [v for x, _, y, *_ in watch.comparisons for v in (x, y) if isinstance(v, Value)]
    traced = _written(_order([*outputs, *compared], watch), outputs, inputs, watch, point)
    traced.gives_list = isinstance(result, (list, tuple))
    return traced


def _result(y: Any) -> float:
    try:
        return number(y, "what a compiled function gives")
    except TypeError as error:
        raise TraceError(str(error)) from None


def from_graph(outputs: Sequence[Value], inputs: Sequence[Value]) -> Trace:
    """Return what a recorded graph computes from some of its nodes; all other leaves are constants.

    Raises:
        ValueError: The data of some node was changed after another was recorded from it.

    >>> x, w = Value(2.0, "x"), Value(3.0, "w")
    >>> traced = from_graph([w * x], [x])
    >>> print(traced.build.program(traced.outputs))
    %0 = input 0                ; x
    %1 = 3.0                    ; w
    %2 = mul(%0, %1)
    return %2
    """
    watch = _Watch()
    watch.inputs = {x: k for k, x in enumerate(inputs)}
    order = _order(outputs, watch)
    for node in order:
        _check_unchanged(node, watch)
    return _written(order, outputs, inputs, watch, [x.data for x in inputs])


def _check_unchanged(node: Value, watch: _Watch) -> None:
    op, operands = _made_from(node, watch)
    if op is None:
        return
    now = op.value(*map(_data, operands))
    if now != node._data and repr(now) != repr(node._data):  # repr: nan is not nan
        raise ValueError(
            f"the data of {node!r} or of a value it was made from was changed after that was recorded; record again, "
            "and compile that"
        )


def _data(x: Any) -> Any:
    return x._data if isinstance(x, Value) else tuple([_data(each) for each in x]) if type(x) is tuple else x


class _Watch(Watch):
    """Note what a graph does not keep, and refuse what would freeze a traced number."""

    def __init__(self) -> None:
        self.inputs: dict[Value, int] = {}
        self.unrecorded: dict[Value, tuple[Op, tuple[Any, ...]]] = {}
        self.comparisons: list[tuple[Value, str, Any, bool, str]] = []

    def made(self, node: Value) -> None:
        if not is_recording() and node.op is not None:
            self.unrecorded[node] = node.op, node.operands

    def stopped(self, x: Value, leaf: Value) -> None:
        self.unrecorded[leaf] = detach, (x,)

    def compared(self, x: Value, sign: str, y: Any, outcome: bool) -> None:
        self.comparisons.append((x, sign, y, outcome, _place()))

    def read(self, x: Value) -> None:
        if not self.inputs.keys().isdisjoint(_order([x], self)):
            raise TraceError(
                f"{_place()}: the number of {x.name or 'a traced Value'} is read here, which would freeze it into the "
                "compiled program; use operations of autograd_lite on the Value itself, and compare it as it is"
            )


def _place() -> str:
    """Return the line of the user's program that is running, as `file:line`."""
    frame: Any = sys._getframe(1)
    while frame is not None and _is_engine(frame.f_code):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}" if frame is not None else "?"


def _is_engine(code: CodeType) -> bool:
    return code.co_filename.startswith(_ENGINE)


def _made_from(node: Value, watch: _Watch) -> tuple[Op | None, tuple[Any, ...]]:
    if node in watch.inputs:
        return None, ()
    if node.op is None:
        return watch.unrecorded.get(node, (None, ()))
    return node.op, node.operands


def _values(operands: Iterable[Any]) -> list[Value]:
    found: list[Value] = []
    for x in operands:
        if type(x) is tuple:
            found += [each for each in x if isinstance(each, Value)]
        elif isinstance(x, Value):
            found.append(x)
    return found


def _order(roots: Iterable[Value], watch: _Watch) -> list[Value]:
    """Return what the roots depend on, operands before results, as `graph.topological_order` has it.

    That walks what was recorded; this one also what was computed without recording, and it ends at the inputs.
    """
    begun: set[Value] = set()
    order: dict[Value, None] = {}
    todo = list(roots)[::-1]
    while todo:
        node = todo.pop()
        if node in begun:
            order[node] = None
        else:
            begun.add(node)
            todo.append(node)
            _, operands = _made_from(node, watch)
            todo += [each for each in reversed(_values(operands)) if each not in order]
    return list(order)


def _written(
    order: list[Value], outputs: Sequence[Value], inputs: Sequence[Value], watch: _Watch, point: list[float]
) -> Trace:
    build = Builder()
    places: dict[Value, int] = {}
    for x, k in watch.inputs.items():
        places[x] = build.input(k, x.name)
    for node in order:
        if node in places:
            continue
        op, operands = _made_from(node, watch)
        if op is None:
            places[node] = build.named(build.constant(node._data), node.name)
            continue
        place = build.apply(op, tuple([_placed(x, places, build) for x in operands]))
        if node in watch.unrecorded and op is not detach:
            place = build.apply(detach, (place,))
        places[node] = build.named(place, node.name)
    depends = _dependent(order, watch) if watch.comparisons else set()
    guards = {
        Guard(_placed(x, places, build), _placed(y, places, build), sign, outcome, where): None
        for x, sign, y, outcome, where in watch.comparisons
        if x in depends or y in depends
    }
    return Trace(build, [places[x] for x in inputs], [places[y] for y in outputs], list(guards), point)


def _dependent(order: list[Value], watch: _Watch) -> set[Value]:
    """Return the nodes that depend on the inputs, and those."""
    depends = set(watch.inputs)
    for node in order:
        _, operands = _made_from(node, watch)
        if not depends.isdisjoint(_values(operands)):
            depends.add(node)
    return depends


def _placed(x: Any, places: dict[Value, int], build: Builder) -> Any:
    if type(x) is tuple:
        return tuple([_placed(each, places, build) for each in x])
    return places[x] if isinstance(x, Value) else build.constant(number(x))
