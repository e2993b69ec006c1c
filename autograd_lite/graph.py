"""The walk: nodes in topological order, and the sweep that carries gradients back along it.

Neither recurses, so a graph may be as deep as memory allows, and both take operands in their order, so the same
program gives the same bits on every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

__all__ = ["Node", "adjoints", "backpropagate", "topological_order"]


class Node(Protocol):
    """Say what the walk needs of a node; `Value` tells how its operands and partials lie in the slots."""

    grad: float
    _a: Any
    _da: Any
    _b: Any
    _db: float | None

    @property
    def parents(self) -> tuple[Any, ...]:
        """The nodes it was made from, in order."""


N = TypeVar("N", bound=Node)


def topological_order(*roots: N) -> list[N]:
    """Return every node the roots depend on, themselves included, operands before results.

    The walk is depth-first: a node goes back under its operands, and when it comes up again they are done.

    >>> from autograd_lite import Value
    >>> x = Value(2.0, "x")
    >>> [node.data for node in topological_order(x * x + 1)]
    [2.0, 4.0, 5.0]
    """
    begun: set[N] = set()
    order: dict[N, None] = {}
    todo = list(reversed(roots))
    while todo:
        node = todo.pop()
        if node in begun:
            order[node] = None  # where it is already in the order, it stays where it is
        else:
            begun.add(node)
            todo.append(node)
            todo += [parent for parent in reversed(node.parents) if parent not in order]
    return list(order)


def backpropagate(root: Node, grad: float) -> None:
    """Set `.grad` of every node in between to grad · ∂root/∂node, and add that to what the leaves had.

    This is `topological_order` and then `adjoints` on recorded floats, unrolled for nodes of one, two and many
    parents, because training spends its time here. A gradient of 0 is carried too: 0·inf is nan. If anything
    interrupts it, the leaves are as they were.
    """
    leaves: list[tuple[Node, float]] = []
    try:
        order = _cleared(root, leaves)
        root.grad = grad
        for node in reversed(order):
            grad, a = node.grad, node._a
            if type(a) is tuple:
                for parent, partial in zip(a, node._da):  # noqa: B905 (made together; `strict` costs a tenth)
                    parent.grad += partial * grad
            else:
                a.grad += node._da * grad
            if node._db is not None:
                node._b.grad += node._db * grad
        for leaf, old in leaves:
            leaf.grad += old
    except BaseException:
        for leaf, old in leaves:
            leaf.grad = old
        raise


def _cleared(root: Node, leaves: list[tuple[Node, float]]) -> list[Node]:
    """Return the nodes that are not leaves in topological order, every gradient set to 0; note what leaves had."""
    begun, done = float("0"), float("0")  # two objects of this walk alone: where a node's grad *is* one, it was met
    order: list[Node] = []
    todo = [root]
    push = todo.append
    while todo:
        node = todo.pop()
        if node.grad is begun:
            node.grad = done
            order.append(node)
            continue
        while (old := node.grad) is not done:
            a = node._a
            if a is None:
                leaves.append((node, old))
                node.grad = done
                break
            node.grad = begun
            push(node)
            if node._db is not None and node._b.grad is not done:
                push(node._b)
            if type(a) is tuple:
                for parent in reversed(a):
                    if parent.grad is not done:
                        push(parent)
                break
            node = a  # straight on, not by way of the stack
    return order


def adjoints(
    order: Iterable[Any],
    seed: dict[Any, Any],
    edges: Callable[[Any], Iterable[tuple[Any, Any]]],
) -> dict[Any, Any]:
    """Carry adjoints from results to operands: the chain rule on any nodes, with any kind of partial.

    Args:
        order: the nodes, operands before results.
        seed: the adjoints to start from, by node. It is added to and returned.
        edges: from a node, its (parent, ∂node/∂parent) pairs.

    >>> from autograd_lite import Value
    >>> x = Value(3.0)
    >>> y = x * x
    >>> adjoints([x, y], {y: 1.0}, lambda node: zip(node.parents, node.partials))[x]
    6.0
    """
    for node in reversed(list(order)):
        if node in seed:
            for parent, partial in edges(node):
                contribution = partial * seed[node]
                seed[parent] = seed[parent] + contribution if parent in seed else contribution
    return seed
