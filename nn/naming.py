"""What the nodes of a graph are called: by their own names, or as in the lecture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from reprlib import repr as short
from typing import Any

import autograd_lite as al
from autograd_lite import Scope, Value

from .modules import Unit, unit_of

__all__ = ["lecture_names", "names_in"]


def names_in(order: Sequence[Value], notation: str | None = None) -> dict[Value, str]:
    """Return the nodes' own names, and those of the notation for nodes that have none.

    Args:
        order: The nodes in topological order.
        notation: "lecture", or None for own names alone.

    Raises:
        ValueError: There is no such notation.

    >>> x = Value(2.0, "x")
    >>> [*names_in(al.topological_order(x * x)).values()]
    ['x']
    """
    if notation not in (None, "lecture"):
        raise ValueError(f'there is no notation {short(notation)}; give "lecture", or None for the names of the Values')
    names = {} if notation is None else lecture_names(order)
    return names | {node: node.name for node in order if node.name}


def lecture_names(order: Sequence[Value]) -> dict[Value, str]:
    """Return what the lecture calls the units of networks, their inputs and the error.

    A hidden unit has the net input `u[j]` and the value `h[j]`, or `u1[j]`, `h1[j]`, `u2[j]`, … where there are several
    hidden layers; an output unit has `z[k]` and `o[k]`. A linear unit is one node, called by its value. An input
    that is a Value is `x[i]`. The one node at the top of it all is the error `E`, if it is above the units. Where a
    layer is given several inputs, `h[2](3)` is h₂ for the third of them, in the order of the graph. Parameters
    are called so by themselves: `v[j,i]` and `w[k,j]`, or `w1[j,i]`, `w2[k,j]`, ….

    Source: the lecture, "Forward Pass" and "Gradient Descent for Multi-layer Network".

    >>> from nn.modules import MLP
    >>> x = [Value(0.5), Value(2.0)]
    >>> E = al.square(MLP(2, [1, 1], al.tanh, output=al.sigmoid)(x)[0] - 1.0)
    >>> [*lecture_names(al.topological_order(E)).values()]
    ['x[1]', 'x[2]', 'u[1]', 'h[1]', 'z[1]', 'o[1]', 'E']
    """
    examples = _examples(order)
    softmaxes = {node: node.operands[0] for node in order if _is_of_a_softmax_layer(node)}
    softmaxed = {net_input for node in softmaxes for net_input in node.parents}
    names: dict[Value, str] = {}
    for node in order:
        net_input = softmaxes.get(node, node if node in examples or not node.parents else node.parents[0])
        if net_input not in examples or (unit := unit_of(net_input)) is None:
            continue
        z, o, index = _symbols(unit)
        example = examples[net_input]
        if node is net_input:
            for i, x in enumerate(node.operands[1], 1):
                if isinstance(x, Value) and x.op is None:
                    names.setdefault(x, f"x[{i}]{example}")
            is_linear = unit.activation is None and node not in softmaxed
            names[node] = (o if is_linear else z) + index + example
        elif node in softmaxes or unit_of(node) is unit:
            names[node] = o + index + example
    used = {parent for node in order for parent in node.parents}
    tops = [node for node in order if node not in used]
    if names and len(tops) == 1 and tops[0] not in names and all(node.name != "E" for node in order):
        names[tops[0]] = "E"
    return names


def _examples(order: Sequence[Value]) -> dict[Value, str]:
    """Return for each net input which of the layer's inputs it is for, as the end of a name: "(2)", or "" for one."""
    numbers: dict[Value, int] = {}
    by_layer: dict[Scope, dict[Any, int]] = {}
    times: Counter[Any] = Counter()  # the same numbers may be given twice
    for node in order:
        if node.op is al.affine and (unit := unit_of(node)) is not None:
            inputs = node.operands[1]
            times[unit, inputs] += 1
            met = by_layer.setdefault(unit.parent or unit, {})
            numbers[node] = met.setdefault((inputs, times[unit, inputs]), len(met) + 1)
    several = any(number > 1 for number in numbers.values())
    return {node: f"({number})" if several else "" for node, number in numbers.items()}


def _is_of_a_softmax_layer(node: Value) -> bool:
    """Return whether it is an output of a softmax layer, which has no activation of its own in each unit."""
    if node.op is not al.TABLE["share"] or not isinstance(node.operands[0], Value):
        return False
    unit = unit_of(node.operands[0])
    return unit is not None and unit.parent is not None and node.scope is unit.parent


def _symbols(unit: Unit) -> tuple[str, str, str]:
    """Return how the net input, the value and the index of a unit are written."""
    if unit.parent is None:
        return "z", "o", ""
    index = f"[{unit.name.removeprefix('neuron ')}]"
    hidden = re.fullmatch(r"hidden layer ?(\d*)", unit.parent.name)
    return (f"u{hidden[1]}", f"h{hidden[1]}", index) if hidden else ("z", "o", index)
