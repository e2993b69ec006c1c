"""Strategies for hypothesis: points, programs, graphs, networks and data on which to test gradients.

They know the domains and kinks of the table, prefer shared nodes, and shrink to a minimal program, which prints as
Python that runs. A property test of a function of yours is three lines:

>>> from hypothesis import given
>>> import autograd_lite as al
>>> from autograd_lite.checking import gradcheck
>>> from autograd_lite.strategies import points
>>> def energy(x, y):
...     return al.sqrt(x * x + 1) * al.cos(y)
>>> @given(points(energy))
... def test_energy(point):
...     assert gradcheck(energy, *point)
>>> test_energy()

So is one of a function from elsewhere, which comes with a gradient of its own:

>>> import math
>>> def wave(x, y):
...     return math.sin(x) * y
>>> def slopes(x, y):
...     return [math.cos(x) * y, math.sin(x)]
>>> @given(points(wave))
... def test_wave(point):
...     assert gradcheck(wave, *point, gradient=slopes)
>>> test_wave()

What comes is *well posed*: a change of every number by a twentieth (of itself, and by no more than 0.05) meets, to
first order, no kink and no end of a domain, and rounding does not drown the derivatives. So there differences can
tell a right derivative from a wrong one. `points(f, kinks=True)` aims at the kinks instead.

This module needs hypothesis: pip install 'autograd_lite[test]'.
"""

from __future__ import annotations

import inspect
import math
import operator
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .derivatives import gradients
from .graph import adjoints, topological_order
from .op import Domain, Op, number
from .ops import TABLE
from .value import Value, recording

try:
    from hypothesis import reject
    from hypothesis import strategies as st
except ImportError:
    raise ImportError("autograd_lite.strategies needs hypothesis: pip install 'autograd_lite[test]'") from None

__all__ = ["Expression", "Graph", "Step", "datasets", "expressions", "graphs", "mlps", "points", "values"]

_PART = 0.05  # how far every number may move, as a part of itself, or of 1 if it is larger
_LARGEST = 1e100  # of results and partials; the smallest but 0 is 1 over it
_TELL = 1e-5  # the least part of all that flows along its paths, and of rounding, that a derivative may be
_NEAR = 1e-12  # how near to a kink is on it, where rounding allows no better

_HARD = (0.0, 10.0, -10.0, 1e-4, -1e-4, 40.0, -40.0, 1e-9, -1e-9, 300.0, -300.0, 1e4, -1e4)
_CONSTANTS = (2.0, 1.0, 3.0, 0.5, -1.0)  # what is never differentiated, and what stands in a program
_LONGEST = 4  # of a sequence
_BACK = 4  # how many results back a program looks for an operand; the fewer, the more are shared

_ORDINARY = st.floats(0.1, 3.0) | st.floats(-3.0, -0.1)
_SMALL = st.floats(0.1, 1.0) | st.floats(-1.0, -0.1)


# ---- numbers --------------------------------------------------------------------------------------------------


def values(min_value: float | None = None, max_value: float | None = None) -> st.SearchStrategy[Value]:
    """Draw Values that are leaves, mostly of ordinary magnitude, some of them hard.

    Raises:
        TypeError: a bound is not a number.
        ValueError: no number lies between the bounds.

    >>> from hypothesis import find
    >>> find(values(min_value=2.0), lambda x: True)
    Value(2.0, grad=0.0)
    """
    return _numbers(*_bounds(min_value, max_value)).map(Value)


def _bounds(min_value: float | None, max_value: float | None) -> tuple[float, float]:
    low = -math.inf if min_value is None else number(min_value, "min_value")
    high = math.inf if max_value is None else number(max_value, "max_value")
    if not low <= high or low == math.inf or high == -math.inf:
        raise ValueError(f"there is no number from min_value={min_value!r} to max_value={max_value!r}")
    return low, high


def _numbers(low: float = -math.inf, high: float = math.inf) -> st.SearchStrategy[float]:
    """Draw finite numbers: most of size 0.1 to 3, or else near the bounds, some much smaller or larger."""
    usual = [(max(low, a), min(high, b)) for a, b in ((0.1, 3.0), (-3.0, -0.1), (0.5, 2.0))]
    usual = [(a, b) for a, b in usual if a <= b] or [(max(low, min(high - 1.0, 3.0)), min(high, max(low + 1.0, -3.0)))]
    hard = [x for x in _HARD if low <= x <= high]
    return st.one_of(*(st.floats(a, b) for a, b in usual), *([st.sampled_from(hard)] if hard else []))


# ---- points -----------------------------------------------------------------------------------------------------


def points(
    f: Callable[..., Any],
    *,
    min_value: float | None = None,
    max_value: float | None = None,
    kinks: bool = False,
) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw tuples of operands for f inside its domain and clear of its kinks, so that `f(*point)` is well posed.

    Args:
        f: an operation of the table or one of your own; or a function of a fixed number of operands, each of them one
            number. Of a function that refuses Values it is only known where its results are finite.
        min_value: the least an operand that is differentiated may be.
        max_value: the most it may be.
        kinks: draw points on a kink, a jump or a pole of f instead, as near as rounding allows.

    A sequence operand is a tuple of numbers.

    Raises:
        TypeError: f is not a function, its number of operands is not fixed, or a bound is not a number.
        ValueError: no number of the domain lies between the bounds, or f is an operation without kinks and they are
            asked for.

    >>> from hypothesis import find
    >>> import autograd_lite as al
    >>> find(points(al.log), lambda point: True)
    (1.0,)
    >>> find(points(al.maximum, kinks=True), lambda point: True)
    (1.0, 1.0)
    """
    if not callable(f):
        raise TypeError(f"points are drawn for an operation or a function, not {reprlib.repr(f)}")
    if isinstance(f, Op) and kinks and f.kinks is None:
        raise ValueError(f"{f.name} has no kinks, so no point lies on one")
    low, high = _bounds(min_value, max_value)
    domain = f.domain if isinstance(f, Op) else (Domain(),) * _arity(f)
    bounded = tuple(d._replace(low=max(d.low, low), high=min(d.high, high)) for d in domain)
    if any(d.low > d.high and not d.constant for d in bounded):
        raise ValueError(f"no number from min_value={min_value!r} to max_value={max_value!r} is in the domain of {f!r}")
    return _points(f, bounded, kinks)


def _arity(f: Callable[..., Any]) -> int:
    if isinstance(f, Expression):
        return len(f.point)
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except ValueError:  # as of some functions written in C
        parameters = []
    wanted = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    if not wanted or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise TypeError(
            f"{reprlib.repr(f)} does not say how many operands it takes; give points(lambda x, y: f(x, y)) for two"
        )
    return len(wanted)


@st.composite
def _points(draw: st.DrawFn, f: Callable[..., Any], domain: tuple[Domain, ...], kinks: bool) -> tuple[Any, ...]:
    length = draw(st.integers(1, _LONGEST)) if any(d.many for d in domain) else 0
    point = tuple(draw(_operands(d, length)) for d in domain)
    if kinks:
        return draw(st.sampled_from(_on_kinks(f, point) or [reject()]))
    for candidate in (point, _unsigned(point, 0.0), _unsigned(point, 1.0)):  # as bases of powers must be, and acosh's x
        if _inside(candidate, domain) and _is_well_posed(f, candidate):
            return candidate
    return reject()


def _operands(domain: Domain, length: int) -> st.SearchStrategy[Any]:
    if domain.constant:
        return st.sampled_from((*_CONSTANTS, 0.0))
    numbers = _numbers(domain.low, domain.high)
    return st.tuples(*[numbers] * length) if domain.many else numbers


def _unsigned(point: tuple[Any, ...], more: float) -> tuple[Any, ...]:
    return tuple(_unsigned(x, more) if isinstance(x, tuple) else abs(x) + more for x in point)


def _inside(point: tuple[Any, ...], domain: tuple[Domain, ...]) -> bool:
    return all(
        d.constant or all(d.low <= v <= d.high for v in (x if d.many else (x,)))
        for x, d in zip(point, domain, strict=True)
    )


# ---- what well posed means ----------------------------------------------------------------------------------------


def _recorded(f: Callable[..., Any], point: tuple[Any, ...]) -> tuple[Value, list[Value]]:
    """Record f at a point; return its result and the leaves."""
    constant = [isinstance(f, Op) and d.constant for d in f.domain] if isinstance(f, Op) else [False] * len(point)
    leaves: list[Value] = []

    def leaf(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(map(leaf, x))
        leaves.append(Value(x))
        return leaves[-1]

    with recording():
        result = f(*(x if c else leaf(x) for x, c in zip(point, constant, strict=True)))
        y = result if isinstance(result, Value) else Value(number(result, "what the function gives"))
    return y, leaves


def _is_well_posed(f: Callable[..., Any], point: tuple[Any, ...]) -> bool:
    try:
        y, leaves = _recorded(f, point)
    except (ValueError, ArithmeticError):  # how functions of Python say that a number is outside of their domain
        return False
    except (TypeError, RuntimeError):  # how they refuse Values
        return _is_finite_around(f, point)
    motion = {leaf: _motion(leaf.data) for leaf in leaves}
    return all(node.op is None or _is_regular(node, motion) for node in topological_order(y)) and (
        math.isfinite(y.data) and _is_well_conditioned(y, leaves)
    )


def _is_finite_around(f: Callable[..., Any], point: tuple[float, ...]) -> bool:
    moved = [(*point[:i], x + d * _motion(x), *point[i + 1 :]) for i, x in enumerate(point) for d in (-1.0, 1.0)]
    try:
        return all(math.isfinite(number(f(*p), "what the function gives")) for p in (point, *moved))
    except (ValueError, ArithmeticError):
        return False


def _motion(x: float) -> float:
    return _PART * (min(abs(x), 1.0) or 1.0)


def _is_regular(node: Value, motion: dict[Value, float]) -> bool:
    """Say whether a node stays clear of trouble when its operands move, and note how far it moves itself."""
    op = node.op
    if op is None or not all(x == 0.0 or 1.0 / _LARGEST <= abs(x) <= _LARGEST for x in (node.data, *node.partials)):
        return False
    for operand, d in zip(node.operands, op.domain, strict=True):
        for x in operand if isinstance(operand, tuple) else (operand,):
            by = motion.get(x, 0.0) if isinstance(x, Value) else 0.0
            if not (d.constant or d.low <= _data(x) - by <= _data(x) + by <= d.high):
                return False
    if op.kinks is not None:
        reach = math.fsum(motion.get(parent, 0.0) for parent in node.parents)
        if not all(abs(distance) > reach for distance in op.kinks(*map(_data, node.operands))):
            return False
    by = math.fsum(abs(d) * motion.get(parent, 0.0) for parent, d in zip(node.parents, node.partials, strict=True))
    motion[node] = by
    return by <= max(1.0, abs(node.data)) and (0.0 not in node.partials or _is_flat(node, op, motion))


def _is_flat(node: Value, op: Op, motion: dict[Value, float]) -> bool:
    """Say whether partials of 0 are those of a flat piece, not of an extremum, of which rounding leaves nothing."""
    operands = node.operands
    flat = _flattened(operands)
    numbers = [_data(x) for x in flat]
    partials = iter(node.partials)
    for i, x in enumerate(flat):
        if isinstance(x, Value) and next(partials) == 0.0:
            for moved in (numbers[i] - motion.get(x, 0.0), numbers[i] + motion.get(x, 0.0)):
                if op.value(*_arranged(operands, [*numbers[:i], moved, *numbers[i + 1 :]])) != node.data:
                    return False
    return True


def _flattened(operands: tuple[Any, ...]) -> list[Any]:
    return [x for group in operands for x in (group if isinstance(group, tuple) else (group,))]


def _arranged(operands: tuple[Any, ...], flat: Iterable[Any]) -> tuple[Any, ...]:
    """Arrange flat numbers as the operands are."""
    rest = iter(flat)
    return tuple(tuple(next(rest) for _ in x) if isinstance(x, tuple) else next(rest) for x in operands)


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Value) else tuple(map(_data, x)) if isinstance(x, tuple) else x


def _is_well_conditioned(y: Value, leaves: Iterable[Value]) -> bool:
    """Say whether every derivative is 0 on all paths, or stands out of rounding and of what cancels in it."""
    order = topological_order(y)
    rounding: dict[Value, float] = {}
    for node in order:
        handed_on = (abs(d) * rounding[x] for x, d in zip(node.parents, node.partials, strict=True))
        rounding[node] = 0.0 if node.op is None else abs(node.data) + math.fsum(handed_on)
    flow = adjoints(order, {y: 1.0}, lambda node: zip(node.parents, map(abs, node.partials), strict=True))
    leaves = list(leaves)
    for x, slope in zip(leaves, gradients(y, leaves), strict=True):
        if flow.get(x) and not abs(slope) >= _TELL * max(flow[x], rounding[y] / (abs(x.data) or 1.0)):
            return False
    return True


# ---- kinks --------------------------------------------------------------------------------------------------------


def _on_kinks(f: Callable[..., Any], point: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return points on a kink of f: the given one, with an operand moved onto it, or with all of them 0."""
    found = [_arranged(point, flat) for flat in _moved_onto_kinks(f, point)] + [_zeros(f, point)]
    return [p for p in found if min(map(abs, _distances(f, p)), default=math.inf) <= _NEAR]


def _zeros(f: Callable[..., Any], point: tuple[Any, ...]) -> tuple[Any, ...]:
    constant = [d.constant for d in f.domain] if isinstance(f, Op) else [False] * len(point)
    return tuple(
        x if c else (0.0,) * len(x) if isinstance(x, tuple) else 0.0 for x, c in zip(point, constant, strict=True)
    )


def _moved_onto_kinks(f: Callable[..., Any], point: tuple[Any, ...]) -> Iterator[list[float]]:
    start = _flattened(point)
    for which in range(len(_distances(f, point))):
        for i in range(len(start)):
            flat = list(start)

            def distance(x: float, which: int = which, i: int = i, flat: list[float] = flat) -> float:
                flat[i] = x
                found = _distances(f, _arranged(point, flat))
                return found[which] if which < len(found) else math.nan

            flat[i] = _root(distance, start[i])
            yield flat


def _root(distance: Callable[[float], float], x: float) -> float:
    """Return where the secant method finds a distance of 0: at the first step, as most distances are straight."""
    before, was = x + 0.25, distance(x + 0.25)
    for _ in range(20):
        now = distance(x)
        if now == 0.0 or now == was or not math.isfinite(now):
            break
        before, was, x = x, now, x - now * (x - before) / (now - was)
    return x


def _distances(f: Callable[..., Any], point: tuple[Any, ...]) -> list[float]:
    """Return how far every node of f is from its kinks."""
    try:
        y, _ = _recorded(f, point)
    except (ValueError, ArithmeticError):
        return []
    return [
        distance
        for node in topological_order(y)
        if node.op is not None and node.op.kinks is not None
        for distance in node.op.kinks(*map(_data, node.operands))
    ]


# ---- programs -------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """Apply `op` to operands: an int is the number of an input or earlier result, a float is a constant.

    A sequence operand is a tuple of these.
    """

    op: Op
    operands: tuple[Any, ...]


_SIGNS: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "add": ("{} + {}", operator.add),
    "sub": ("{} - {}", operator.sub),
    "mul": ("{} * {}", operator.mul),
    "neg": ("-{}", operator.neg),
}  # such as never raise on floats


@dataclass(frozen=True, repr=False)  # or hypothesis prints the fields
class Expression:
    """A small program: call it on numbers or Values; its repr is its source.

    Attributes:
        names: of the inputs.
        point: a number for each input, at which it is well posed.
        steps: the operations; the last of them gives the result, or the last input where there is none.

    >>> import autograd_lite as al
    >>> program = Expression(("x",), (0.5,), (Step(al.mul, (0, 0)), Step(al.exp, (1,))))
    >>> program
    import autograd_lite as al
    def f(x):
        v1 = x * x
        return al.exp(v1)
    f(0.5)
    >>> al.grad(program)(*program.point) == al.exp(0.25)
    True
    """

    names: tuple[str, ...]
    point: tuple[float, ...]
    steps: tuple[Step, ...]

    def __call__(self, *xs: Any) -> Any:
        """Compute it on floats, giving a float, or on Values, recording them."""
        if len(xs) != len(self.names):
            raise TypeError(f"this program takes {len(self.names)} numbers ({', '.join(self.names)}), got {len(xs)}")
        found = list(xs)
        for op, operands in self.steps:
            apply = _SIGNS[op.name][1] if _is_sign(op) else op
            found.append(apply(*_replaced(operands, found.__getitem__)))
        return found[-1]

    def __repr__(self) -> str:
        results = [f"v{k}" for k in range(1, len(self.steps))]
        names = [*self.names, *results]
        lines = [_written(op, _replaced(operands, names.__getitem__)) for op, operands in self.steps] or [names[-1]]
        return "\n".join(
            [
                "import autograd_lite as al",
                f"def f({', '.join(self.names)}):",
                *(f"    {name} = {line}" for name, line in zip(results, lines, strict=False)),
                f"    return {lines[-1]}",
                f"f({', '.join(map(repr, self.point))})",
            ]
        )


def _is_sign(op: Op) -> bool:
    return op.name in _SIGNS and TABLE[op.name] is op


def _replaced(operands: tuple[Any, ...], named: Callable[[int], Any]) -> tuple[Any, ...]:
    return tuple(
        _replaced(x, named) if isinstance(x, tuple) else named(x) if isinstance(x, int) else x for x in operands
    )


def _written(op: Op, operands: tuple[Any, ...]) -> str:
    written = [f"[{', '.join(map(str, x))}]" if isinstance(x, tuple) else str(x) for x in operands]
    if _is_sign(op):
        return _SIGNS[op.name][0].format(*written)
    return f"{'al.' if TABLE.get(op.name) is op else ''}{op.name}({', '.join(written)})"


def expressions(
    operations: Iterable[Op] | None = None, max_nodes: int = 20, shared: bool = True
) -> st.SearchStrategy[Expression]:
    """Draw small programs, well posed at the point they carry.

    Args:
        operations: what they are made of; the whole table by default.
        max_nodes: the most inputs and results together.
        shared: use results more than once, and often; or make trees, of which every result is used once.

    Raises:
        TypeError: `operations` are not operations, or `max_nodes` is not an integer.
        ValueError: there is no operation, or `max_nodes` is less than 1.

    >>> from hypothesis import find
    >>> find(expressions(), lambda e: e.steps and e.steps[-1].op.name == "exp")
    import autograd_lite as al
    def f(x1):
        return al.exp(x1)
    f(1.0)
    """
    chosen = _chosen(operations, TABLE.values())
    _check_sizes(max_nodes=max_nodes)
    return _expressions(st.one_of(*map(_steps, chosen)), max_nodes, shared)


def _chosen(operations: Iterable[Op] | None, usual: Iterable[Op]) -> list[Op]:
    if operations is not None and (isinstance(operations, (str, Op)) or not isinstance(operations, Iterable)):
        raise TypeError(f"give a list of operations such as [al.exp, al.mul], not {reprlib.repr(operations)}")
    chosen = list(usual if operations is None else operations)
    for op in chosen:
        if not isinstance(op, Op):
            raise TypeError(f"an operation such as al.exp is wanted, not {reprlib.repr(op)}")
    if not chosen:
        raise ValueError("the list of operations is empty; give one at least, or None for the usual ones")
    return chosen


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int):
            raise TypeError(f"{name} must be an integer, not {reprlib.repr(size)}")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}")


def _steps(op: Op) -> st.SearchStrategy[Step]:
    """Draw a step whose ints count results back from the last; the first operand that may be one is one."""
    result = st.integers(0, _BACK - 1)
    any_number = result | st.sampled_from(_CONSTANTS)
    first = next(k for k, d in enumerate(op.domain) if not d.constant)

    def operand(k: int, d: Domain, more: int) -> st.SearchStrategy[Any]:
        if d.constant:
            return st.sampled_from(_CONSTANTS)
        here = result if k == first else any_number
        return st.tuples(here, *[any_number] * more) if d.many else here

    def of_length(more: int) -> st.SearchStrategy[Step]:
        return st.tuples(*(operand(k, d, more) for k, d in enumerate(op.domain))).map(lambda xs: Step(op, xs))

    return st.one_of(*map(of_length, range(_LONGEST if op.many else 1)))


@st.composite
def _expressions(draw: st.DrawFn, steps: st.SearchStrategy[Step], max_nodes: int, shared: bool) -> Expression:
    point = draw(st.lists(_ORDINARY, min_size=1, max_size=min(max_nodes, 4)))
    most = max_nodes - len(point)
    program = _Program(point)
    least = draw(st.sampled_from([0, most // 2, most]))  # not any number: the fewer there are, the better it shrinks
    for step in draw(st.lists(steps, min_size=least, max_size=most)):
        program.add(step, shared)
    return program.expression()


class _Program:
    """A program being made: its steps as they are recorded at the point."""

    def __init__(self, point: Sequence[float]) -> None:
        self.inputs = [Value(x) for x in point]
        self.values = list(self.inputs)
        self.motion = {x: _motion(x.data) for x in self.inputs}
        self.steps: list[Step] = []
        self.used: set[int] = set()

    def add(self, step: Step, shared: bool = True) -> bool:
        """Add a step, if it is regular; its ints count back from the last result, round and round."""
        taken: set[int] = set()

        def place(back: int) -> int | float:
            free = range(len(self.values)) if shared else [k for k in self.free() if k not in taken]
            if not free:
                return _CONSTANTS[back % len(_CONSTANTS)]
            taken.add(free[-1 - back % len(free)])
            return free[-1 - back % len(free)]

        return self.apply(Step(step.op, _replaced(step.operands, place)), taken)

    def free(self) -> list[int]:
        return [k for k in range(len(self.values)) if k not in self.used]

    def apply(self, step: Step, taken: Iterable[int] = ()) -> bool:
        with recording():
            node = step.op(*_replaced(step.operands, self.values.__getitem__))
        if not _is_regular(node, self.motion):
            return False
        self.values.append(node)
        self.steps.append(step)
        self.used.update(taken)
        return True

    def expression(self) -> Expression:
        """Return the program of the last result that is well conditioned, with what it needs and no more."""
        last = next(k for k in reversed(range(len(self.values))) if _is_well_conditioned(self.values[k], self.inputs))
        needed = set(topological_order(self.values[last]))
        kept = [k for k, value in enumerate(self.values[: last + 1]) if value in needed]
        renumbered = {k: place for place, k in enumerate(kept)}
        point = [x.data for x in self.inputs if x in needed]
        steps = (self.steps[k - len(self.inputs)] for k in kept[len(point) :])
        return Expression(
            tuple(f"x{k}" for k in range(1, len(point) + 1)),
            tuple(point),
            tuple(Step(op, _replaced(operands, renumbered.__getitem__)) for op, operands in steps),
        )


# ---- graphs, networks, data -----------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Graph:
    """A recorded program; `y, leaves = graph` unpacks it, and its repr is the source of the program.

    Attributes:
        y: the result.
        leaves: the inputs, named.
        expression: the program that was recorded.

    >>> y, leaves = Graph.of(Expression(("x",), (0.5,), ()))
    >>> y is leaves[0]
    True
    """

    y: Value
    leaves: tuple[Value, ...]
    expression: Expression

    @classmethod
    def of(cls, expression: Expression) -> Graph:
        """Record a program at its point.

        >>> Graph.of(Expression(("x",), (0.5,), ())).y
        Value(0.5, grad=0.0, name='x')
        """
        leaves = tuple(map(Value, expression.point, expression.names))
        with recording():
            return cls(expression(*leaves), leaves, expression)

    def __iter__(self) -> Iterator[Any]:
        yield self.y
        yield self.leaves

    def __repr__(self) -> str:
        return repr(self.expression)


def graphs(
    operations: Iterable[Op] | None = None, max_nodes: int = 20, shared: bool = True
) -> st.SearchStrategy[Graph]:
    """Draw recorded programs: the result and its leaves; arguments and errors are those of `expressions`.

    >>> from hypothesis import find
    >>> y, leaves = find(graphs(), lambda graph: graph.y.op is not None)
    >>> y.op.name, leaves
    ('add', (Value(1.0, grad=0.0, name='x1'),))
    """
    return expressions(operations, max_nodes, shared).map(Graph.of)


def mlps(
    activations: Iterable[Op] | None = None, max_layers: int = 3, max_units: int = 3
) -> st.SearchStrategy[Expression]:
    """Draw multilayer perceptrons with one linear output, as programs of `affine` and an activation.

    They are made of the engine alone. The inputs of the program are the inputs of the network and then, unit by unit,
    its weights and bias.

    Args:
        activations: one of them is that of the hidden layers; tanh, relu, sigmoid and softplus by default.
        max_layers: the most layers, the output included.
        max_units: the most inputs, and units in a layer.

    Raises:
        TypeError: an activation is not an operation on one number, or a size is not an integer.
        ValueError: there is no activation, or a size is less than 1.

    >>> from hypothesis import find
    >>> find(mlps(), lambda network: True)
    import autograd_lite as al
    def f(x1, w1_11, b1_1):
        return al.affine([w1_11], [x1], b1_1)
    f(1.0, 1.0, 1.0)
    """
    chosen = _chosen(activations, [TABLE[name] for name in ("tanh", "relu", "sigmoid", "softplus")])
    for op in chosen:
        if op.arity != 1 or op.many:
            raise TypeError(f"an activation is an operation on one number such as al.tanh, not {op!r}")
    _check_sizes(max_layers=max_layers, max_units=max_units)
    return _mlps(st.sampled_from(chosen), max_layers, max_units)


@st.composite
def _mlps(draw: st.DrawFn, activations: st.SearchStrategy[Op], max_layers: int, max_units: int) -> Expression:
    activation = draw(activations)
    n_inputs = draw(st.integers(1, max_units))
    sizes = [*draw(st.lists(st.integers(1, max_units), max_size=max_layers - 1)), 1]
    names, steps = _network(n_inputs, sizes, activation)
    numbers = [draw(_SMALL if name[0] in "wb" else _ORDINARY) for name in names]
    for shift in (0.0, 0.3, -0.3, 0.7, -0.7, 1.3):  # of every bias, should a net input be near a kink
        point = tuple(x + shift if name[0] == "b" else x for x, name in zip(numbers, names, strict=True))
        network = Expression(names, point, steps)
        if _is_well_posed(network, point):
            return network
    return reject()


def _network(n_inputs: int, sizes: Sequence[int], activation: Op) -> tuple[tuple[str, ...], tuple[Step, ...]]:
    """Return the names of inputs and parameters, and the steps, of a network."""
    names = [f"x{i}" for i in range(1, n_inputs + 1)]
    units: list[tuple[int, tuple[int, ...], int]] = []  # the layer of each, its weights, its bias
    width = n_inputs
    for layer, size in enumerate(sizes, 1):
        for j in range(1, size + 1):
            weights = tuple(range(len(names), len(names) + width))
            names += [f"w{layer}_{j}{i}" for i in range(1, width + 1)] + [f"b{layer}_{j}"]
            units.append((layer, weights, len(names) - 1))
        width = size
    steps: list[Step] = []
    outputs: dict[int, list[int]] = {0: list(range(n_inputs))}
    for layer, weights, bias in units:
        steps.append(Step(TABLE["affine"], (weights, tuple(outputs[layer - 1]), bias)))
        if layer < len(sizes):
            steps.append(Step(activation, (len(names) + len(steps) - 1,)))
        outputs.setdefault(layer, []).append(len(names) + len(steps) - 1)
    return tuple(names), tuple(steps)


def datasets(
    max_rows: int = 8, max_features: int = 3, classes: int | None = None
) -> st.SearchStrategy[tuple[list[list[float]], list[Any]]]:
    """Draw data `(X, y)` to learn from: X a list of rows of numbers, y a number for each row.

    Args:
        max_rows: the most rows; there is at least one.
        max_features: the most numbers in a row; all rows have as many.
        classes: how many classes y is of, as ints from 0; by default y is of floats.

    Raises:
        TypeError: a size is not an integer.
        ValueError: a size is less than 1.

    >>> from hypothesis import find
    >>> find(datasets(classes=2), lambda data: True)
    ([[1.0]], [0])
    """
    _check_sizes(max_rows=max_rows, max_features=max_features)
    if classes is not None:
        _check_sizes(classes=classes)
    target: st.SearchStrategy[Any] = _ORDINARY if classes is None else st.integers(0, classes - 1)

    def of_width(width: int) -> st.SearchStrategy[tuple[list[list[float]], list[Any]]]:
        row = st.lists(_ORDINARY, min_size=width, max_size=width)
        pairs = st.lists(st.tuples(row, target), min_size=1, max_size=max_rows)
        return pairs.map(lambda pairs: ([x for x, _ in pairs], [t for _, t in pairs]))

    return st.integers(1, max_features).flatmap(of_width)
