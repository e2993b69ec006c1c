"""The walk: nodes in topological order, and the sweep that carries gradients back along it.

Neither recurses, so a graph may be as deep as memory allows. A node's operands always exist before it does, so
the order of creation *is* a topological order: to walk is to collect and to sort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .value import Value

__all__ = ["adjoints", "backpropagate", "topological_order"]

_creation = attrgetter("_id")


def topological_order(*roots: Value) -> list[Value]:
    """Return every node the roots depend on, themselves included, operands before results.

    The order is that of creation, so it is the same on every run.

    >>> from autograd_lite import Value
    >>> x = Value(2.0, "x")
    >>> [node.data for node in topological_order(x * x + 1)]
    [2.0, 4.0, 5.0]
    """
    seen = set(roots)
    todo = list(seen)
    while todo:
        node = todo.pop()
        a = node._a
        if type(a) is tuple:
            if not seen.issuperset(a):
                fresh = set(a).difference(seen)
                seen.update(fresh)
                todo.extend(fresh)
        elif a is not None:
            if a not in seen:
                seen.add(a)
                todo.append(a)
            if node._db is not None and node._b not in seen:
                seen.add(node._b)
                todo.append(node._b)
    return sorted(seen, key=_creation)


def backpropagate(root: Value, grad: float) -> None:
    """Set `.grad` of every node in between to grad · ∂root/∂node, and add that to what the leaves had.

    This is `topological_order` and then `adjoints` on recorded floats, unrolled for nodes of one, two and many
    parents, because training spends its time here. A gradient of 0 is carried too: 0·inf is nan. If anything
    interrupts it, the leaves are as they were.
    """
    if root._a is None:
        root.grad += grad
        return
    zero = float("0")  # an object of this sweep alone: a node whose grad *is* this zero has been found
    nodes, leaves, before = [root], [], []
    root.grad = zero

    def leaf(node: Value) -> None:
        leaves.append(node)
        before.append(node.grad)

    try:
        for node in nodes:  # which grows as they are found
            a = node._a
            if type(a) is tuple:
                for parent in a:
                    if parent.grad is not zero:
                        (leaf if parent._a is None else nodes.append)(parent)
                        parent.grad = zero
            else:
                if a.grad is not zero:
                    (leaf if a._a is None else nodes.append)(a)
                    a.grad = zero
                if node._db is not None:
                    b = node._b
                    if b.grad is not zero:
                        (leaf if b._a is None else nodes.append)(b)
                        b.grad = zero
        root.grad = grad
        for node in sorted(nodes, key=_creation, reverse=True):
            grad, a = node.grad, node._a
            if type(a) is tuple:
                for parent, partial in zip(a, node._da):  # noqa: B905 (made together; `strict` costs a tenth)
                    parent.grad += partial * grad
            else:
                a.grad += node._da * grad
                if node._db is not None:
                    node._b.grad += node._db * grad
        for node, old in zip(leaves, before, strict=True):
            node.grad += old
    except BaseException:
        for node, old in zip(leaves, before, strict=False):
            node.grad = old
        raise


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
