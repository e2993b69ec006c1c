"""A computation as a sequence of events: every operation forwards, then every product of the chain rule backwards."""

from __future__ import annotations

import reprlib
from typing import Any, NamedTuple

from .graph import topological_order
from .op import Op, number
from .value import Value

__all__ = ["Backward", "Event", "Forward", "Steps", "events"]


class Forward(NamedTuple):
    """A node gets its value: `node` is `op` of `operands`, which is `result`; a leaf has no op and no operands.

    >>> events(Value(2.0, "x")).forward[0].result
    2.0
    """

    node: Value
    op: Op | None
    operands: tuple[Any, ...]
    result: float


class Backward(NamedTuple):
    """A node hands a parent its share: `contribution` is `partial` · `upstream`, and is added to what `before` was.

    `position` is the parent's place among `node.parents`, which tells the two edges of x·x apart; `upstream` is
    ∂y/∂node, complete by now; `after` is the parent's gradient so far.

    >>> x = Value(3.0, "x")
    >>> [(event.position, event.before, event.after) for event in events(x * x).backward]
    [(0, 0.0, 3.0), (1, 3.0, 6.0)]
    """

    node: Value
    parent: Value
    position: int
    partial: float
    upstream: float
    contribution: float
    before: float
    after: float


Event = Forward | Backward


class Steps(tuple[Event, ...]):
    """The events of a computation, forwards and then backwards: a tuple that can be walked either way.

    >>> story = events(Value(2.0, "x") * 3.0)
    >>> len(story), len(story.forward), len(story.backward)
    (3, 2, 1)
    """

    @property
    def forward(self) -> tuple[Forward, ...]:
        """The events that compute values, operands before results."""
        return tuple(event for event in self if isinstance(event, Forward))

    @property
    def backward(self) -> tuple[Backward, ...]:
        """The events that carry gradients back, last node first."""
        return tuple(event for event in self if isinstance(event, Backward))


def events(y: Value, grad: float = 1.0) -> Steps:
    """Tell how y was computed and how `y.backward(grad)` differentiates it; nothing is changed by it.

    Each node is one forward event, each edge of the graph one backward event. What a leaf has been handed in the end
    is, bit for bit, what `backward` adds to its `.grad`.

    Raises:
        TypeError: y is not a Value.

    >>> x, w = Value(2.0, "x"), Value(0.5, "w")
    >>> for event in events(w * x):
    ...     match event:
    ...         case Forward(node, None, (), result):
    ...             print(f"{node.name} = {result}")
    ...         case Forward(node, op, operands, result):
    ...             print(f"{op.name}{tuple(o.name for o in operands)} = {result}")
    ...         case Backward():
    ...             print(f"{event.parent.name} gets {event.partial} · {event.upstream} = {event.contribution}")
    w = 0.5
    x = 2.0
    mul('w', 'x') = 1.0
    w gets 2.0 · 1.0 = 2.0
    x gets 0.5 · 1.0 = 0.5
    """
    if not isinstance(y, Value):
        raise TypeError(f"events tell how a Value was computed, but {reprlib.repr(y)} is of type {type(y).__name__}")
    order = topological_order(y)
    told: list[Event] = [Forward(node, node.op, node.operands, node.data) for node in order]
    gradient = {y: number(grad, "the gradient to start from")}
    for node in reversed(order):
        upstream = gradient[node]
        for position, (parent, partial) in enumerate(zip(node.parents, node.partials, strict=True)):
            contribution = partial * upstream
            before = gradient.get(parent, 0.0)
            gradient[parent] = before + contribution
            told.append(
                Backward(node, parent, position, partial, upstream, contribution, before, before + contribution)
            )
    return Steps(told)
