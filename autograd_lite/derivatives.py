"""Derivatives of recorded values and of functions, of any order.

A function here takes numbers, or one list of numbers, and uses operations and operators on them. Given floats the
derivatives are floats; given a Value, or inside a function that is itself being differentiated and whose variables
matter here, they are Values again: so derivatives nest.
"""

from __future__ import annotations

import contextlib
import reprlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, overload

from . import ops
from .graph import adjoints, topological_order
from .op import number
from .value import Value, in_mode, recording, watching

__all__ = [
    "derivative", "grad", "gradients", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp",
]  # fmt: skip


@overload
def gradients(y: Value, xs: Iterable[Value], create_graph: Literal[False] = False) -> list[float]: ...
@overload
def gradients(y: Value, xs: Iterable[Value], create_graph: Literal[True]) -> list[Value]: ...
@overload
def gradients(y: Value, xs: Iterable[Value], create_graph: bool) -> list[float] | list[Value]: ...
def gradients(y: Value, xs: Iterable[Value], create_graph: bool = False) -> list[float] | list[Value]:
    """Return ∂y/∂x for each x, which may be any node of y's graph; no `.grad` is changed.

    With `create_graph` the gradients are Values with a graph of their own, made by running the rules of the table
    on Values. An x that y does not depend on has gradient 0.

    Raises:
        TypeError: y or an x is not a Value.
        ValueError: with `create_graph`, some leaf's data was changed after y was recorded: the rules would mix the
            old values with the new.

    >>> x = Value(2.0, "x")
    >>> y = x * x * x
    >>> gradients(y, [x])
    [12.0]
    >>> (dy,) = gradients(y, [x], create_graph=True)
    >>> gradients(dy, [x])
    [12.0]
    """
    xs = list(xs) if isinstance(xs, Iterable) else [xs]
    for value in (y, *xs):
        if not isinstance(value, Value):
            raise TypeError(f"gradients relates Values, but {reprlib.repr(value)} is of type {type(value).__name__}")
    if (watch := watching()) is not None:
        watch.sweep(y, 1.0)
        if not create_graph:
            watch.read(y)
    if not create_graph:
        found = adjoints(topological_order(y), {y: 1.0}, _edges)
        return [found.get(x, 0.0) for x in xs]
    with in_mode(recording=True, watch=None):  # the rules give these numbers once more, and some that nobody uses
        found = adjoints(topological_order(y), {y: Value(1.0)}, _differentiable_edges)
        return [found[x] if x in found else Value(0.0) for x in xs]


def _edges(node: Value) -> Iterable[tuple[Value, float]]:
    """Pair the parents of a node with its partials as recorded."""
    return zip(node.parents, node.partials, strict=True)


def _differentiable_edges(node: Value) -> list[tuple[Value, Any]]:
    """Pair the parents of a node with its partials as Values: the rule of its operation, run on Values."""
    if node.op is None:
        return []
    operands = node.operands
    partials = node.op.partials(node, *operands)
    edges = []
    for operand, partial in zip(operands, partials, strict=True):
        pairs = zip(operand, partial, strict=True) if type(operand) is tuple else ((operand, partial),)
        edges += [(x, d) for x, d in pairs if isinstance(x, Value)]
    now = [node.op.value(*map(_data, operands)), *(_data(partial) for _, partial in edges)]
    recorded = [node._data, *node.partials]
    if now != recorded and list(map(repr, now)) != list(map(repr, recorded)):  # repr: nan is not nan
        raise ValueError(
            f"the data of {node!r} or of a value it was made from was changed after that was recorded; "
            "record again before create_graph=True, which runs the rules on the data as it is now"
        )
    return edges


def _data(x: Any) -> Any:
    return x._data if isinstance(x, Value) else tuple(map(_data, x)) if isinstance(x, tuple) else x


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return the function that gives the gradient of f, which must give one number.

    The gradient has the form of the argument: a number for a number, a list for a list; for several `argnums`, a
    tuple of them.

    >>> grad(lambda x: x**3)(2.0)
    12.0
    >>> grad(lambda v: v[0] * v[1])([2.0, 5.0])
    [5.0, 2.0]
    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    """
    both = value_and_grad(f, argnums)

    def gradient(*args: Any) -> Any:
        return both(*args)[1]

    return gradient


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return the function that gives f's value and its gradient, as `grad` has it.

    Raises:
        TypeError: an argument to differentiate is not a number or a list of numbers, or f's value is not a number.
        ValueError: there is no such argument.

    >>> value_and_grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 5.0)
    (10.0, (5.0, 2.0))
    """
    _check_function(f)
    several = isinstance(argnums, (list, tuple))
    wanted: list[Any] = [*argnums] if isinstance(argnums, (list, tuple)) else [argnums]
    if not wanted or not all(isinstance(k, int) for k in wanted):
        raise TypeError(f"argnums must be the number of an argument or several of them, not {reprlib.repr(argnums)}")

    def value_and_gradient(*args: Any) -> tuple[Any, Any]:
        for k in wanted:
            if not -len(args) <= k < len(args):
                raise ValueError(f"argnums names argument {k}, but the function was called with {len(args)}")
        with _differentiating(*args) as is_nested:
            inputs = list(args)
            for k in wanted:
                inputs[k] = _inputs(args[k])
            y = _output(f(*inputs))
            nested = is_nested(y)
            flat = [x for k in wanted for x in _flat(inputs[k])]
            found = iter(gradients(y, flat, create_graph=nested))
            result = [_like(inputs[k], found) for k in wanted]
        return (y if nested else y.data), (tuple(result) if several else result[0])

    return value_and_gradient


def derivative(f: Callable[[Any], Any], n: int = 1) -> Callable[[Any], Any]:
    """Return the function that gives the n-th derivative of f, a function of one number.

    >>> import autograd_lite as al
    >>> derivative(al.exp, 5)(0.0)
    1.0
    >>> derivative(lambda x: x**4, 3)(2.0)
    48.0
    """
    _check_function(f)
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ValueError(f"the order of a derivative is a whole number, 0 or more, not {n!r}")

    def nth(x: Any) -> Any:
        with _differentiating(x) as is_nested:
            node = _inputs(x)
            y = _output(f(node))
            nested = is_nested(y)
            for _ in range(n):
                (y,) = gradients(y, [node], create_graph=True)
        return y if nested else y.data

    return nth


def jacobian(f: Callable[..., Any], *xs: Any) -> Any:
    """Return the matrix ∂fᵢ/∂xⱼ as a list of rows, f giving a list of numbers.

    Args:
        f: the function.
        xs: one list of numbers if f takes a list, or the numbers themselves.

    >>> jacobian(lambda v: [v[0] * v[1], v[0] + v[1]], [2.0, 5.0])
    [[5.0, 2.0], [1.0, 1.0]]
    """
    _check_function(f)
    with _differentiating(*xs) as is_nested:
        inputs = [_inputs(x) for x in xs]
        flat = [v for x in inputs for v in _flat(x)]
        outputs = f(*inputs)
        if not _is_sequence(outputs):
            raise TypeError(f"jacobian wants a function that gives a list of numbers, not {reprlib.repr(outputs)}")
        ys = _outputs(outputs)
        nested = is_nested(*ys)
        return [gradients(y, flat, create_graph=nested) for y in ys]


def hessian(f: Callable[..., Any], *xs: Any) -> Any:
    """Return the matrix ∂²f/∂xᵢ∂xⱼ as a list of rows; for a function of a single number, the number f″.

    Args:
        f: a function that gives one number.
        xs: one list of numbers if f takes a list, or the numbers themselves.

    >>> hessian(lambda v: v[0] * v[0] * v[1], [3.0, 2.0])
    [[4.0, 6.0], [6.0, 0.0]]
    >>> hessian(lambda x: x**3, 2.0)
    12.0
    """
    _check_function(f)
    with _differentiating(*xs) as is_nested:
        inputs = [_inputs(x) for x in xs]
        flat = [v for x in inputs for v in _flat(x)]
        y = _output(f(*inputs))
        nested = is_nested(y)
        slopes = gradients(y, flat, create_graph=True)
        rows: list[Any] = [gradients(slope, flat, create_graph=nested) for slope in slopes]
    return rows[0][0] if len(inputs) == 1 and isinstance(inputs[0], Value) else rows


def hvp(f: Callable[..., Any], xs: Any, v: Any) -> Any:
    """Return the Hessian of f at xs times the vector v, without making the Hessian.

    Args:
        f: a function that gives one number.
        xs: a list of numbers if f takes a list, or the number it takes.
        v: as long as xs.

    >>> hvp(lambda v: v[0] * v[0] * v[1], [3.0, 2.0], [1.0, 0.0])
    [4.0, 6.0]
    """
    _check_function(f)
    with _differentiating(xs, v) as is_nested:
        inputs = _inputs(xs)
        y = _output(f(inputs))
        slopes = gradients(y, _flat(inputs), create_graph=True)
        along = ops.dot(slopes, _vector(v, len(slopes)))
        return _like(inputs, iter(gradients(along, _flat(inputs), create_graph=is_nested(y))))


def vjp(f: Callable[..., Any], xs: Any, v: Any) -> Any:
    """Return v times the Jacobian of f at xs, by one sweep back.

    Args:
        f: a function that gives a list of numbers, or one number.
        xs: a list of numbers if f takes a list, or the number it takes.
        v: as long as what f gives.

    >>> vjp(lambda v: [v[0] * v[1], v[0] + v[1]], [2.0, 5.0], [1.0, 10.0])
    [15.0, 12.0]
    """
    _check_function(f)
    with _differentiating(xs, v) as is_nested:
        inputs = _inputs(xs)
        outputs = _outputs(f(inputs))
        along = ops.dot(outputs, _vector(v, len(outputs)))
        return _like(inputs, iter(gradients(along, _flat(inputs), create_graph=is_nested(*outputs))))


def jvp(f: Callable[..., Any], xs: Any, v: Any) -> Any:
    """Return the Jacobian of f at xs times v, by one pass forward along the recorded partials.

    Args:
        f: a function that gives a list of numbers, or one number.
        xs: a list of numbers if f takes a list, or the number it takes.
        v: as long as xs.

    >>> jvp(lambda v: [v[0] * v[1], v[0] + v[1]], [2.0, 5.0], [1.0, 10.0])
    [25.0, 11.0]
    """
    _check_function(f)
    with _differentiating(xs, v) as is_nested:
        inputs = _inputs(xs)
        result = f(inputs)
        outputs = _outputs(result)
        edges_of = _differentiable_edges if is_nested(*outputs) else _edges
        tangents: dict[Value, Any] = dict(zip(_flat(inputs), _vector(v, len(_flat(inputs))), strict=True))
        for node in topological_order(*outputs):
            if node not in tangents:
                moved = [partial * tangents[parent] for parent, partial in edges_of(node) if parent in tangents]
                if moved:
                    tangents[node] = ops.sum(moved)
        found = [tangents.get(y, 0.0) for y in outputs]
    return found if _is_sequence(result) else found[0]


# ---- arguments and results ----------------------------------------------------------------------------------

_thread = threading.local()


def _variables() -> list[Value]:
    """Return what this thread's derivatives in progress vary, outermost first."""
    if not hasattr(_thread, "variables"):
        _thread.variables = []
    variables: list[Value] = _thread.variables
    return variables


@contextlib.contextmanager
def _differentiating(*args: Any) -> Iterator[Callable[..., bool]]:
    """Record in this block; give the function that says of f's results whether their derivatives must be Values.

    They must if an argument is a Value, and if the results depend on what another derivative varies that this one is
    inside of: a float would drop what the outer one is after.
    """
    variables = _variables()
    outer = len(variables)

    def is_nested(*results: Value) -> bool:
        if any(isinstance(x, Value) for arg in args for x in _flat(arg)):
            return True
        return outer > 0 and not set(variables[:outer]).isdisjoint(topological_order(*results))

    try:
        with recording():
            yield is_nested
    finally:
        del variables[outer:]


def _inputs(x: Any) -> Any:
    """Return fresh nodes for an argument: leaves for numbers; for Values, nodes that lead back to them.

    A fresh node keeps an inner derivative from seeing what the outer one varies.
    """
    if _is_sequence(x):
        return [_inputs(element) for element in x]
    variable = +x if isinstance(x, Value) else Value(number(x, "an argument to differentiate"))
    _variables().append(variable)
    return variable


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Iterable) and not isinstance(x, (str, bytes, dict, set))


def _flat(x: Any) -> list[Any]:
    return [v for element in x for v in _flat(element)] if _is_sequence(x) else [x]


def _like(inputs: Any, found: Any) -> Any:
    return [_like(x, found) for x in inputs] if isinstance(inputs, list) else next(found)


def _output(y: Any) -> Value:
    return y if isinstance(y, Value) else Value(number(y, "what the function gives"))


def _outputs(y: Any) -> list[Value]:
    return [_output(each) for each in y] if _is_sequence(y) else [_output(y)]


def _vector(v: Any, wanted: int) -> list[Any]:
    vector = _flat(v)
    if len(vector) != wanted:
        raise ValueError(f"the vector has {len(vector)} numbers, but {wanted} are wanted")
    return [x if isinstance(x, Value) else number(x, "an element of the vector") for x in vector]


def _check_function(f: Any) -> None:
    if not callable(f):
        raise TypeError(f"a function is wanted, not {reprlib.repr(f)}")
