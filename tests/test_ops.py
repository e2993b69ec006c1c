"""Every row of the table, on every carrier, against 50-digit arithmetic and against finite differences.

A new row without a reference fails here, and so does one with a kink that no point below names.
"""

import itertools
import math
import struct
from collections.abc import Iterator
from math import inf, nan, pi
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Op, Value, ops
from autograd_lite import value as recorder
from autograd_lite.op import carriers
from tests.reference import (
    ABOVE_1,
    BELOW_1,
    HARD_DIGITS,
    REFERENCES,
    SMALLEST,
    close,
    derivative,
    exact,
    flat,
    like,
    mp,
    orders,
    ridders,
)

every_row = pytest.mark.parametrize("op", al.TABLE.values(), ids=al.TABLE)

# The smallest relative error to hold a row to, where it is not the usual few roundings.
VALUE_RTOL = {"gamma": 1e-14, "lgamma": 1e-14, "digamma": 1e-14, "polygamma": 2e-14}
PARTIAL_RTOL = {"gamma": 1e-14, "lgamma": 1e-14, "digamma": 2e-14, "polygamma": 2e-14}
RTOL = 4e-15

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-300, SMALLEST, -SMALLEST, 1e300, -1e300, inf, -inf, nan)


# ---- helpers --------------------------------------------------------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, any nan for any other."""
    return type(a) is type(b) is float and (struct.pack("d", a) == struct.pack("d", b) or (a != a and b != b))


def all_same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(map(same, a, b))


def shape(op: Op) -> tuple[Any, ...]:
    """Operands of the right form for `op`, three to a sequence."""
    return tuple((0.0, 0.0, 0.0) if d.many else 0.0 for d in op.domain)


def flat_domains(op: Op, operands: tuple[Any, ...]) -> list[al.Domain]:
    return [d for g, d in zip(operands, op.domain, strict=True) for _ in (g if type(g) is tuple else (g,))]


def is_constant(op: Op, operands: tuple[Any, ...]) -> list[bool]:
    """For each flat operand, whether it is a constant of the node."""
    return [d.constant for d in flat_domains(op, operands)]


def differentiable(op: Op, operands: tuple[Any, ...]) -> list[int]:
    return [k for k, constant in enumerate(is_constant(op, operands)) if not constant]


def as_values(op: Op, operands: tuple[Any, ...], which: Any = None) -> tuple[tuple[Any, ...], list[Value]]:
    """Make Values of the flat operands numbered in `which`, by default of all that may be; return those too."""
    chosen = differentiable(op, operands) if which is None else which
    mixed = [Value(x) if k in chosen else x for k, x in enumerate(flat(operands))]
    return like(operands, mixed), [x for x in mixed if isinstance(x, Value)]


def flat_partials(partials: Any) -> list[Any]:
    return [d for g in partials for d in (g if isinstance(g, (list, tuple)) else [g])]


def float_partials(op: Op, operands: tuple[Any, ...]) -> list[float]:
    """The float rule's partials, laid flat as the operands are."""
    return flat_partials(op.partials(op.value(*operands), *operands))


def engine_derivative(op: Op, operands: tuple[Any, ...], by: tuple[int, ...]) -> float:
    mixed, _ = as_values(op, operands)
    xs, y = flat(mixed), op(*mixed)
    for k, times in enumerate(by):
        for _ in range(times):
            (y,) = al.gradients(y, [xs[k]], create_graph=True)
    return y.data


def points(op: Op) -> tuple[tuple[Any, ...], ...]:
    return REFERENCES[op.name].ordinary + REFERENCES[op.name].hard


def edges(op: Op) -> Iterator[tuple[Any, ...]]:
    """Operands of special numbers in every combination, thinned out where there would be thousands."""
    form = shape(op)
    many = {1: SPECIAL, 2: SPECIAL, 3: (0.0, -0.0, 1.0, -2.0, 1e300, inf, nan)}
    usual = (0.0, 1.0, -2.0, inf, nan)
    sizes: list[tuple[float, ...]] = []
    for constant in is_constant(op, form):
        sizes.append((0.0, 1.0, 2.0, 5.0) if constant else many.get(len(flat(form)), usual))
    rest_sizes = [(1.0, nan) if size is usual else size for size in sizes[3:]]
    for chosen in itertools.product(*sizes[:3]):
        for rest in itertools.product(*rest_sizes):
            operands = like(form, (*chosen, *rest))
            if op.name != "polygamma" or chosen[0] >= 1.0:  # its order is 1 or more
                yield operands


# ---- the witnesses themselves ---------------------------------------------------------------------------------------


def test_the_reference_tells_wrong_from_right():
    tanh = REFERENCES["tanh"]
    assert close(math.tanh(0.3), exact(tanh, (0.3,)), 1e-15)
    assert not close(math.tanh(0.3) * (1 + 1e-14), exact(tanh, (0.3,)), 1e-15)
    assert not close(1.0 - math.tanh(20.0) ** 2, derivative(tanh, (20.0,), (1,), HARD_DIGITS), 1e-15)
    assert not close(nan, exact(tanh, (0.3,)), 1e-15)
    assert not close(inf, exact(tanh, (0.3,)), 1e-15)
    assert not close(0.0, mp.mpf(1e-300), 1e-15)
    assert close(inf, mp.mpf(10) ** 400, 1e-15) and not close(-inf, mp.mpf(10) ** 400, 1e-15)
    assert close(nan, exact(REFERENCES["power"], (-2.0, 0.5)), 1e-15)
    assert derivative(tanh, (0.0,), (3,)) == -2
    assert derivative(REFERENCES["abs"], (0.0,), (1,), direction=1) == 1
    assert derivative(REFERENCES["abs"], (0.0,), (1,), direction=-1) == -1


def test_finite_differences_tell_wrong_from_right():
    assert ridders(math.sin, 1.0, 0.2) == pytest.approx(math.cos(1.0), rel=1e-11)
    assert ridders(math.sin, 1.0, 0.2) != pytest.approx(math.cos(1.0) * (1 + 1e-9), rel=1e-11)
    assert ridders(lambda x: 3.0, 1.0, 0.2) == 0.0


# ---- floats ---------------------------------------------------------------------------------------------------------


def test_every_row_has_a_reference_and_every_reference_a_row():
    assert set(REFERENCES) == set(al.TABLE)


@every_row
def test_a_row_is_named_as_it_is_called(op):
    assert getattr(al, op.name) is op
    assert getattr(ops, op.name) is op


@every_row
def test_value_against_fifty_digits(op):
    for operands in points(op):
        got, wanted = op(*operands), exact(REFERENCES[op.name], operands)
        assert type(got) is float
        assert close(got, wanted, VALUE_RTOL.get(op.name, RTOL)), f"{op.name}{operands} = {got!r}, not {wanted}"


@every_row
@pytest.mark.parametrize("kind", ["ordinary", "hard"])
def test_partials_against_fifty_digits(op, kind):
    row = REFERENCES[op.name]
    for operands in getattr(row, kind):
        found = float_partials(op, operands)
        for k in differentiable(op, operands):
            (by,) = orders([k], len(found), 1)
            wanted = derivative(row, operands, by, HARD_DIGITS if kind == "hard" else 50)
            assert close(found[k], wanted, PARTIAL_RTOL.get(op.name, RTOL)), (
                f"∂{k} {op.name}{operands} = {found[k]!r}, not {wanted}"
            )


@every_row
def test_partials_against_finite_differences(op):
    for operands in REFERENCES[op.name].ordinary:
        found, xs = float_partials(op, operands), flat(operands)
        for k in differentiable(op, operands):

            def along(x, k=k, xs=xs, operands=operands):
                return op.value(*like(operands, [*xs[:k], x, *xs[k + 1 :]]))

            away = [abs(d) for d in op.kinks(*operands)] if op.kinks else []
            domain = flat_domains(op, operands)[k]
            away += [abs(xs[k] - edge) for edge in (domain.low, domain.high)]
            estimate = ridders(along, xs[k], min(0.2, *(0.4 * d for d in away)))
            assert found[k] == pytest.approx(estimate, rel=1e-8, abs=1e-9), f"∂{k} {op.name}{operands}"


@every_row
def test_float_rules_are_the_rules(op):
    for operands in itertools.chain(points(op), edges(op)):
        z = op.value(*operands)
        assert same(op(*operands), z)
        try:
            assert same(op.float_value(*operands), z)
        except (ValueError, OverflowError):  # where Python's own raises, recording takes `value`
            assert not math.isfinite(z)
        fast, rule = op.float_partials(z, *operands), op.partials(z, *operands)
        assert len(fast) == len(rule) == op.arity
        assert all_same(flat_partials(fast), flat_partials(rule)), f"{op.name}{operands}"


FINITE_AT_NAN = {  # the value does not depend on the nan, as IEEE 754 or the choice of branch has it
    "pow": lambda x, y: x == 1.0 or y == 0.0,
    "power": lambda x, c: c == 0.0,
    "hypot": lambda x, y: math.isinf(x) or math.isinf(y),
    "where": lambda condition, x, y: not math.isnan(x if condition else y),
    "elu": lambda x, alpha: x > 0.0,
    "leaky_relu": lambda x, slope: x > 0.0,
    "nonzero": lambda x: True,
    "less": lambda x, y: True,
    "within": lambda x, lower, upper: True,
    "pow_partial": lambda *_: True,
}


@every_row
def test_nan_in_nan_out(op):
    for operands in edges(op):
        if any(map(math.isnan, flat(operands))) and not FINITE_AT_NAN.get(op.name, lambda *_: False)(*operands):
            assert math.isnan(op(*operands)), f"{op.name}{operands}"


@every_row
def test_outside_the_domain_the_value_is_nan_and_inside_it_is_not(op):
    form = shape(op)
    for k, domain in enumerate(op.domain):
        for edge, outwards in ((domain.low, -inf), (domain.high, inf)):
            if math.isinf(edge):
                continue
            inside = [edge, math.nextafter(edge, -outwards)]
            outside = [math.nextafter(edge, outwards), edge + math.copysign(1.5, outwards), outwards]
            for x in inside + outside:
                operands = (*form[:k], x, *form[k + 1 :])
                assert math.isnan(op(*operands)) == (x in outside), f"{op.name}({x})"
                if x in outside and op is not al.nonnegative:  # which only ever stands inside a rule that is nan there
                    assert math.isnan(float_partials(op, operands)[k]), f"the partial of {op.name}({x})"


# ---- Values ---------------------------------------------------------------------------------------------------------


def assert_recorded_as_ruled(op: Op, operands: tuple[Any, ...], which: Any = None) -> None:
    mixed, parents = as_values(op, operands, which)
    node = op(*mixed)
    assert isinstance(node, Value)
    assert node.op is op
    assert node.grad == 0.0
    assert same(node.data, op.value(*operands)), f"{op.name}{operands}"
    kept = [d for x, d in zip(flat(mixed), float_partials(op, operands), strict=True) if isinstance(x, Value)]
    assert all_same(node.partials, kept), f"{op.name}{operands}: {node.partials}, not {kept}"
    assert len(node.parents) == len(parents) and all(map(lambda a, b: a is b, node.parents, parents))
    assert len(node.operands) == len(mixed)
    for recorded, given_ in zip(flat(node.operands), flat(mixed), strict=True):
        assert recorded is given_ or same(recorded, given_)
    assert [type(g) is tuple for g in node.operands] == [type(g) is tuple for g in mixed]


@every_row
def test_a_node_records_what_the_float_rules_give(op):
    for operands in itertools.chain(points(op), edges(op)):
        assert_recorded_as_ruled(op, operands)


@every_row
def test_any_of_the_operands_may_be_a_constant(op):
    for operands in points(op)[:3]:
        chosen = differentiable(op, operands)
        for size in range(1, len(chosen)):
            for which in itertools.combinations(chosen, size):
                assert_recorded_as_ruled(op, operands, which)


@every_row
def test_ints_are_recorded_as_floats(op):
    operands = tuple((3, 2, 1) if d.many else 2 if d.constant else 1 for d in op.domain)
    for which in ([], differentiable(op, operands)[:1], differentiable(op, operands)[-1:]):
        mixed, _ = as_values(op, operands, which)
        result = op(*mixed)
        assert type(result.data if which else result) is float
        if which:
            assert {type(x) for x in flat(result.operands)} <= {float, Value}
            assert {type(d) for d in result.partials} == {float}


@every_row
def test_the_shortcut_records_as_the_generic_way_does(op):
    groups = [tuple(differentiable(op, shape(op)))]
    if op is al.affine:
        groups.append((0, 1, 2, 6))  # w and b, the inputs being numbers
    for operands in itertools.chain(points(op), edges(op)):
        for which in groups:
            mixed, _ = as_values(op, operands, which if len(flat(operands)) == len(flat(shape(op))) else None)
            short = op.shortcut(*mixed)
            if short is NotImplemented:
                continue
            full = recorder._record(op, mixed)
            assert same(short.data, full.data)
            assert all_same(short.partials, full.partials)
            assert short.op is full.op
            assert (short.name, short.grad) == (full.name, full.grad)
            assert short.parents == full.parents
            assert [type(g) for g in short.operands] == [type(g) for g in full.operands]
            assert all(a is b or same(a, b) for a, b in zip(flat(short.operands), flat(full.operands), strict=True))


def test_the_usual_rows_take_the_shortcut():
    x = Value(0.5)
    for op in al.TABLE.values():
        assert (op.arity == 1 and not op.many) == (op.shortcut(*[x] * op.arity) is not NotImplemented), op.name
    assert al.affine.shortcut([x], [2.0], x) is not NotImplemented
    assert al.affine.shortcut([x], [x], x) is not NotImplemented


@pytest.mark.parametrize("name", [n for n, op in al.TABLE.items() if not (op.domain[0].many or op.domain[0].constant)])
def test_a_row_that_begins_with_one_number_is_a_method(name):
    op = al.TABLE[name]
    mixed, (x, *_) = as_values(op, REFERENCES[name].ordinary[0])
    node = getattr(x, name)(*mixed[1:])
    assert node.op is op
    assert node.operands == mixed


# ---- derivatives that are graphs ------------------------------------------------------------------------------------


@every_row
def test_a_graph_of_gradients_has_the_recorded_partials(op):
    for operands in itertools.chain(points(op), edges(op)):
        mixed, xs = as_values(op, operands)
        node = op(*mixed)
        for slope, partial in zip(al.gradients(node, xs, create_graph=True), node.partials, strict=True):
            assert slope.data == partial or (slope.data != slope.data and partial != partial), f"{op.name}{operands}"


@every_row
@pytest.mark.parametrize("order", [2, 3])
def test_higher_derivatives_against_fifty_digits(op, order):
    row = REFERENCES[op.name]
    for operands in row.ordinary:
        ways = orders(differentiable(op, operands), len(flat(operands)), order)
        for by in ways[:: 1 + len(ways) // 8]:
            got, wanted = engine_derivative(op, operands, by), derivative(row, operands, by)
            assert close(got, wanted, 1e-12), f"{by} of {op.name}{operands} = {got!r}, not {wanted}"


SPECIAL_DERIVATIVES = [
    # operation, operands, the derivatives by the first operand from the first on
    ("abs", (0.0,), (0.0, 0.0, 0.0)),
    ("square", (0.0,), (0.0, 2.0, 0.0)),
    ("power", (0.0, 0.0), (0.0, 0.0, 0.0)),
    ("power", (0.0, 1.0), (1.0, 0.0, 0.0)),
    ("power", (0.0, 2.0), (0.0, 2.0, 0.0)),
    ("power", (0.0, 3.0), (0.0, 0.0, 6.0)),
    ("power", (0.0, 4.0), (0.0, 0.0, 0.0, 24.0, 0.0)),
    ("power", (-2.0, 3.0), (12.0, -12.0, 6.0, 0.0)),
    ("power", (-2.0, -1.0), (-0.25, -0.25, -0.375)),
    ("pow", (0.0, 0.0), (0.0, 0.0, 0.0)),
    ("pow", (0.0, 1.0), (1.0, 0.0, 0.0)),
    ("pow", (0.0, 2.0), (0.0, 2.0, 0.0)),
    ("pow", (0.0, 3.0), (0.0, 0.0, 6.0, 0.0)),
    ("pow", (-2.0, 3.0), (12.0, -12.0, 6.0, 0.0)),
    ("exp", (0.0,), (1.0,) * 5),
    ("exp", (-inf,), (0.0, 0.0, 0.0)),
    ("expm1", (0.0,), (1.0, 1.0, 1.0)),
    ("log1p", (0.0,), (1.0, -1.0, 2.0, -6.0)),
    ("log", (inf,), (0.0, 0.0, 0.0)),
    ("log", (0.0,), (inf, -inf, inf)),
    ("sqrt", (0.0,), (inf, -inf, inf)),
    ("sin", (0.0,), (1.0, 0.0, -1.0, 0.0, 1.0)),
    ("cos", (0.0,), (0.0, -1.0, 0.0, 1.0)),
    ("tan", (0.0,), (1.0, 0.0, 2.0)),
    ("asin", (0.0,), (1.0, 0.0, 1.0)),
    ("acos", (0.0,), (-1.0, 0.0, -1.0)),
    ("atan", (0.0,), (1.0, 0.0, -2.0)),
    ("atan2", (0.0, 1.0), (1.0, 0.0, -2.0)),
    ("hypot", (0.0, 1.0), (0.0, 1.0, 0.0)),
    ("sinh", (0.0,), (1.0, 0.0, 1.0)),
    ("cosh", (0.0,), (0.0, 1.0, 0.0, 1.0)),
    ("tanh", (0.0,), (1.0, 0.0, -2.0, 0.0, 16.0)),
    ("tanh", (inf,), (0.0, 0.0, 0.0)),
    ("asinh", (0.0,), (1.0, 0.0, -1.0)),
    ("atanh", (0.0,), (1.0, 0.0, 2.0)),
    ("erf", (0.0,), (2 / math.sqrt(pi), 0.0, -4 / math.sqrt(pi))),
    ("erf", (-inf,), (0.0, 0.0, 0.0)),
    ("sign", (0.0,), (0.0, 0.0)),
    ("floor", (1.0,), (0.0, 0.0)),
    ("ceil", (1.0,), (0.0, 0.0)),
    ("maximum", (1.0, 1.0), (0.5, 0.0, 0.0)),
    ("minimum", (1.0, 1.0), (0.5, 0.0, 0.0)),
    ("clamp", (1.0, 0.0, 1.0), (1.0, 0.0, 0.0)),
    ("relu", (0.0,), (0.0, 0.0, 0.0)),
    ("relu", (2.0,), (1.0, 0.0, 0.0)),
    ("relu", (-2.0,), (0.0, 0.0, 0.0)),
    ("leaky_relu", (0.0, 0.1), (0.1, 0.0, 0.0)),
    ("elu", (0.0, 1.0), (1.0, 0.0)),  # 1 on the left, 0 on the right: the least in norm
    ("elu", (-inf, 1.0), (0.0, 0.0, 0.0)),
    ("gelu", (0.0,), (0.5, 2 / math.sqrt(2 * pi), 0.0)),
    ("gelu", (inf,), (1.0, 0.0, 0.0)),
    ("gelu", (-inf,), (0.0, 0.0, 0.0)),
    ("silu", (0.0,), (0.5, 0.5, 0.0)),
    ("silu", (inf,), (1.0, 0.0, 0.0)),
    ("silu", (-inf,), (0.0, 0.0, 0.0)),
    ("sigmoid", (0.0,), (0.25, 0.0, -0.125)),
    ("sigmoid", (inf,), (0.0, 0.0, 0.0)),
    ("logsigmoid", (0.0,), (0.5, -0.25, 0.0)),
    ("softplus", (0.0,), (0.5, 0.25, 0.0)),
    ("softplus", (inf,), (1.0, 0.0, 0.0)),
    ("softplus", (-inf,), (0.0, 0.0, 0.0)),
    ("softsign", (0.0,), (1.0, 0.0)),
    ("gaussian", (0.0, 1.0), (0.0, -2.0, 0.0, 12.0)),
    ("sech2", (0.0,), (0.0, -2.0, 0.0)),
    ("gamma", (1.0,), (-0.5772156649015329, 1.978111990655945, -5.444874456485318)),
    ("lgamma", (1.0,), (-0.5772156649015329, 1.6449340668482264, -2.404113806319189)),
    ("prod", ((0.0, 0.0, 3.0),), (0.0, 0.0)),
    ("logsumexp", ((-inf, 0.0),), (0.0, 0.0, 0.0)),
    ("share", (0.0, (0.0,)), (0.25, 0.0, -0.125)),
]


@pytest.mark.parametrize(
    ("name", "operands", "wanted"), SPECIAL_DERIVATIVES, ids=[f"{n}{o}" for n, o, _ in SPECIAL_DERIVATIVES]
)
def test_derivatives_of_every_order_at_special_points(name, operands, wanted):
    mixed, (x, *_) = as_values(al.TABLE[name], operands)
    y, found = al.TABLE[name](*mixed), []
    for _ in wanted:
        (y,) = al.gradients(y, [x], create_graph=True)
        found.append(y.data)
    assert found == pytest.approx(wanted, rel=1e-14, abs=1e-300)


def test_mixed_derivatives_of_a_product_with_zeros():
    xs = [Value(0.0), Value(0.0), Value(3.0)]
    slopes = al.gradients(al.prod(xs), xs, create_graph=True)
    assert [[h for h in al.gradients(s, xs)] for s in slopes] == [[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


# ---- a third carrier: the rules themselves in 50-digit arithmetic ---------------------------------------------------


@pytest.fixture
def fifty_digits(monkeypatch):
    """Let 50-digit numbers be a carrier: applying a row to them is its definition."""
    monkeypatch.setitem(carriers, mp.mpf, lambda op, operands: REFERENCES[op.name].value(*_in_digits(operands)))


def _in_digits(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    return like(operands, map(mp.mpf, flat(operands)))


@every_row
def test_the_partials_rule_holds_on_fifty_digit_numbers(op, fifty_digits):
    row = REFERENCES[op.name]
    for operands in row.ordinary:
        lifted = _in_digits(operands)
        partials = op.partials(op(*lifted), *lifted)
        found = flat_partials(partials)
        for k in differentiable(op, operands):
            (by,) = orders([k], len(found), 1)
            wanted = derivative(row, operands, by)
            # Constants such as 1/√π are floats in the rules: no closer than a rounding or two.
            assert abs(found[k] - wanted) <= 4e-16 * abs(wanted) + mp.mpf(10) ** -25, f"∂{k} {op.name}{operands}"


# ---- kinks ----------------------------------------------------------------------------------------------------------

KINKS = {
    "div": [(1.0, 0.0), (0.0, 0.0)],
    "abs": [(0.0,), (-0.0,)],
    "power": [(0.0, -1.0), (0.0, 0.5), (0.0, 2.5)],
    "pow": [(0.0, 1.5), (0.0, -1.0)],
    "reciprocal": [(0.0,)],
    "cbrt": [(0.0,)],
    "atan2": [(0.0, -1.0), (-0.0, -1.0), (0.0, 0.0)],
    "hypot": [(0.0, 0.0)],
    "gamma": [(0.0,), (-1.0,), (-7.0,)],
    "lgamma": [(0.0,), (-1.0,), (-7.0,)],
    "digamma": [(0.0,), (-1.0,), (-7.0,)],
    "polygamma": [(1.0, 0.0), (2.0, -1.0)],
    "sign": [(0.0,)],
    "floor": [(0.0,), (1.0,), (-3.0,), (1e16,)],
    "ceil": [(0.0,), (1.0,), (-3.0,), (1e16,)],
    "maximum": [(1.5, 1.5), (inf, inf)],
    "minimum": [(1.5, 1.5), (-inf, -inf)],
    "clamp": [(1.0, 1.0, 2.0), (2.0, 1.0, 2.0), (0.0, 1.0, 1.0)],
    "where": [(0.0, 1.0, 2.0)],
    "relu": [(0.0,)],
    "leaky_relu": [(0.0, 0.01)],
    "elu": [(0.0, 1.0), (0.0, 2.0)],
    "selu": [(0.0,)],
    "maxout": [((1.0, 3.0, 3.0),), ((2.0, 2.0),)],
    "direction": [(0.0, 0.0)],
    "turn": [(0.0, 0.0)],
    "pow_partial": [(0.0, 1.5, 1.0, 0.0)],
    "step": [(0.0,)],
    "nonzero": [(0.0,)],
    "greater": [(1.5, 1.5)],
    "less": [(1.5, 1.5)],
    "within": [(1.0, 1.0, 2.0), (2.0, 1.0, 2.0)],
    "lead": [(3.0, (3.0, 1.0))],
}


def test_every_row_with_kinks_has_one_named_here():
    assert set(KINKS) == {op.name for op in al.TABLE.values() if op.kinks is not None}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_vanish_on_the_kinks_and_nowhere_else(name):
    kinks = al.TABLE[name].kinks
    for operands in KINKS[name]:
        assert 0.0 in kinks(*operands), f"{name}{operands} is a kink"
    for operands in points(al.TABLE[name]):
        distances = kinks(*operands)
        assert all(type(d) is float for d in distances)
        assert 0.0 not in distances, f"{name}{operands} is no kink"


def test_a_whole_power_has_no_kink():
    assert al.power.kinks(0.0, 0.0) == al.power.kinks(0.0, 1.0) == al.power.kinks(0.0, 2.0) == ()


@pytest.mark.parametrize("name", [name for name, op in al.TABLE.items() if op.kinks is None])
def test_rows_that_declare_no_kink_have_none(name):
    op, row = al.TABLE[name], REFERENCES[name]._replace(nth=None)
    chosen = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)
    form = tuple((0.0, 0.0) if d.many else 0.0 for d in op.domain)
    for numbers in itertools.product(*[(0.5, 1.0) if c else chosen for c in is_constant(op, form)][:3]):
        operands = like(form, (*numbers, *(1.0,) * (len(flat(form)) - 3)))
        if not all(d.low < x < d.high for x, d in zip(numbers, flat_domains(op, operands), strict=False)):
            continue
        for k in differentiable(op, operands):
            (by,) = orders([k], len(flat(operands)), 1)
            left, right = (derivative(row, operands, by, direction=side) for side in (-1, 1))
            assert abs(left - right) < 1e-20 * max(1, abs(left)), f"{name}{operands} has a kink"


# ---- infinities and other limits: the value, and the partials where the limit is plain ------------------------------

AT_INFINITY = [
    ("div", (1.0, inf), 0.0, (0.0, -0.0)),
    ("reciprocal", (inf,), 0.0, (0.0,)),
    ("reciprocal", (-inf,), 0.0, (0.0,)),
    ("power", (inf, 2.0), inf, (inf,)),
    ("power", (-inf, 3.0), -inf, (inf,)),
    ("power", (inf, -1.0), 0.0, (0.0,)),
    ("power", (inf, 0.0), 1.0, (0.0,)),
    ("power", (inf, 1.0), inf, (1.0,)),
    ("power", (inf, 0.5), inf, (0.0,)),
    ("power", (nan, 0.0), 1.0, (0.0,)),
    ("exp", (inf,), inf, (inf,)),
    ("exp", (-inf,), 0.0, (0.0,)),
    ("exp2", (-inf,), 0.0, (0.0,)),
    ("expm1", (inf,), inf, (inf,)),
    ("expm1", (-inf,), -1.0, (0.0,)),
    ("log", (inf,), inf, (0.0,)),
    ("log2", (inf,), inf, (0.0,)),
    ("log10", (inf,), inf, (0.0,)),
    ("log1p", (inf,), inf, (0.0,)),
    ("log1p", (-1.0,), -inf, (inf,)),
    ("log2", (0.0,), -inf, (inf,)),
    ("log10", (0.0,), -inf, (inf,)),
    ("log", (-0.0,), -inf, (inf,)),
    ("sqrt", (inf,), inf, (0.0,)),
    ("sqrt", (-0.0,), 0.0, (inf,)),
    ("cbrt", (inf,), inf, (0.0,)),
    ("cbrt", (0.0,), 0.0, (inf,)),
    ("cbrt", (-inf,), -inf, (0.0,)),
    ("sin", (inf,), nan, (nan,)),
    ("cos", (-inf,), nan, (nan,)),
    ("tan", (inf,), nan, (nan,)),
    ("asin", (-1.0,), -pi / 2, (inf,)),
    ("acos", (1.0,), 0.0, (-inf,)),
    ("acos", (-1.0,), pi, (-inf,)),
    ("atan", (inf,), pi / 2, (0.0,)),
    ("atan", (-inf,), -pi / 2, (0.0,)),
    ("atan2", (inf, 1.0), pi / 2, (0.0, -0.0)),
    ("atan2", (1.0, inf), 0.0, (0.0, 0.0)),
    ("atan2", (1.0, -inf), pi, (0.0, 0.0)),
    ("atan2", (inf, inf), pi / 4, (0.0, 0.0)),
    ("hypot", (inf, 1.0), inf, (1.0, 0.0)),
    ("hypot", (-inf, 1.0), inf, (-1.0, 0.0)),
    ("sinh", (-inf,), -inf, (inf,)),
    ("cosh", (-inf,), inf, (-inf,)),
    ("tanh", (-inf,), -1.0, (0.0,)),
    ("asinh", (-inf,), -inf, (0.0,)),
    ("acosh", (inf,), inf, (0.0,)),
    ("acosh", (1.0,), 0.0, (inf,)),
    ("atanh", (1.0,), inf, (inf,)),
    ("atanh", (-1.0,), -inf, (inf,)),
    ("erf", (inf,), 1.0, (0.0,)),
    ("erfc", (-inf,), 2.0, (-0.0,)),
    ("gamma", (inf,), inf, (inf,)),
    ("gamma", (-inf,), nan, (nan,)),
    ("gamma", (-1.0,), nan, (nan,)),
    ("lgamma", (inf,), inf, (inf,)),
    ("lgamma", (-1.0,), inf, (nan,)),
    ("digamma", (inf,), inf, (0.0,)),
    ("digamma", (0.0,), -inf, (inf,)),
    ("digamma", (-0.0,), inf, (inf,)),
    ("polygamma", (2.0, inf), -0.0, (0.0,)),
    ("sign", (-inf,), -1.0, (0.0,)),
    ("floor", (-inf,), -inf, (0.0,)),
    ("ceil", (inf,), inf, (0.0,)),
    ("maximum", (inf, 1.0), inf, (1.0, 0.0)),
    ("minimum", (inf, 1.0), 1.0, (0.0, 1.0)),
    ("maximum", (inf, inf), inf, (0.5, 0.5)),
    ("clamp", (inf, -1.0, 1.0), 1.0, (0.0, 0.0, 1.0)),
    ("clamp", (5.0, -inf, inf), 5.0, (1.0, 0.0, 0.0)),
    ("where", (0.0, nan, 2.0), 2.0, (0.0, 0.0, 1.0)),
    ("where", (1.0, 2.0, nan), 2.0, (0.0, 1.0, 0.0)),
    ("relu", (inf,), inf, (1.0,)),
    ("relu", (-inf,), 0.0, (0.0,)),
    ("leaky_relu", (-inf, 0.01), -inf, (0.01, -inf)),
    ("elu", (-inf, 1.5), -1.5, (0.0, -1.0)),
    ("elu", (inf, 1.5), inf, (1.0, 0.0)),
    ("selu", (-inf,), -1.0507009873554805 * 1.6732632423543772, (0.0,)),
    ("selu", (inf,), inf, (1.0507009873554805,)),
    ("gelu", (-inf,), -0.0, (0.0,)),
    ("gelu", (inf,), inf, (1.0,)),
    ("silu", (-inf,), -0.0, (0.0,)),
    ("silu", (inf,), inf, (1.0,)),
    ("sigmoid", (-inf,), 0.0, (0.0,)),
    ("sigmoid", (inf,), 1.0, (0.0,)),
    ("logsigmoid", (-inf,), -inf, (1.0,)),
    ("logsigmoid", (inf,), -0.0, (0.0,)),
    ("softplus", (-inf,), 0.0, (0.0,)),
    ("softsign", (inf,), 1.0, (0.0,)),
    ("softsign", (-inf,), -1.0, (0.0,)),
    ("sum", ((inf, 1.0, -inf),), nan, (1.0, 1.0, 1.0)),
    ("sum", ((inf, inf, 1.0),), inf, (1.0, 1.0, 1.0)),
    ("mean", ((inf, 1.0),), inf, (0.5, 0.5)),
    ("prod", ((0.0, inf),), nan, (inf, 0.0)),
    ("dot", ((0.0, 1.0), (inf, 1.0)), nan, (inf, 1.0, 0.0, 1.0)),
    ("logsumexp", ((inf, 0.0),), inf, (1.0, 0.0)),
    ("logsumexp", ((-inf, -inf),), -inf, (0.5, 0.5)),
    ("maxout", ((-inf, 0.0),), 0.0, (0.0, 1.0)),
    ("maxout", ((1.0, nan),), nan, (nan, nan)),
]


@pytest.mark.parametrize(
    ("name", "operands", "value", "partials"), AT_INFINITY, ids=[f"{n}{o}" for n, o, *_ in AT_INFINITY]
)
def test_limits(name, operands, value, partials):
    op = al.TABLE[name]
    mixed, _ = as_values(op, operands)
    node = op(*mixed)
    assert node.data == pytest.approx(value, rel=1e-15, nan_ok=True)
    assert node.partials == pytest.approx(partials, rel=1e-15, nan_ok=True)


# ---- the inlined operators ------------------------------------------------------------------------------------------

BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
}
OPERATOR_POINTS = (*SPECIAL, 3.7, -0.1, 1e-200, BELOW_1, ABOVE_1)


def assert_same_node(a: Value, b: Value) -> None:
    assert a.op is b.op
    assert same(a.data, b.data)
    assert all_same(a.partials, b.partials)
    assert a.parents == b.parents
    assert all(x is y or same(x, y) for x, y in zip(a.operands, b.operands, strict=True))


@pytest.mark.parametrize("name", BINARY)
def test_an_inlined_operator_is_its_row(name):
    operator, op = BINARY[name], al.TABLE[name]
    for x, y in itertools.product(OPERATOR_POINTS, repeat=2):
        a, b = Value(x), Value(y)
        assert_same_node(operator(a, b), recorder._record(op, (a, b)))
        assert_same_node(operator(a, y), recorder._record(op, (a, y)))
        assert_same_node(operator(x, b), recorder._record(op, (x, b) if name in ("sub", "div") else (b, x)))
        assert same(operator(a, b).data, op(x, y))
    for n in (0, 1, -3, 10**15 + 1, 2**53 + 1, True):
        a = Value(0.7)
        assert_same_node(operator(a, n), recorder._record(op, (a, float(n))))
        assert_same_node(
            operator(n, a), recorder._record(op, (float(n), a) if name in ("sub", "div") else (a, float(n)))
        )
    a = Value(0.3)
    assert_same_node(operator(a, a), recorder._record(op, (a, a)))


@pytest.mark.parametrize("x", OPERATOR_POINTS)
def test_unary_operators_are_their_rows(x):
    a = Value(x)
    for node, op in ((-a, al.neg), (+a, al.pos), (abs(a), al.abs), (math.floor(a), al.floor), (math.ceil(a), al.ceil)):
        assert_same_node(node, recorder._record(op, (a,)))


def test_powers_take_the_row_of_their_exponent():
    for x, y in itertools.product(OPERATOR_POINTS, repeat=2):
        a, b = Value(x), Value(y)
        assert_same_node(a**y, recorder._record(al.power, (a, y)))
        assert_same_node(a**b, recorder._record(al.pow, (a, b)))
        assert_same_node(x**b, recorder._record(al.pow, (x, b)))
    for n in (0, 1, 2, -3):
        a = Value(1.7)
        assert_same_node(a**n, recorder._record(al.power, (a, float(n))))
        assert_same_node(n**a, recorder._record(al.pow, (float(n), a)))


def test_power_refuses_a_value_as_exponent():
    with pytest.raises(TypeError, match="power needs a constant"):
        al.power(Value(2.0), Value(3.0))
    with pytest.raises(TypeError, match="power needs a constant"):
        al.power(2.0, Value(3.0))


# ---- any float at all -----------------------------------------------------------------------------------------------

anything = st.floats() | st.sampled_from(SPECIAL) | st.floats(-800.0, 800.0) | st.floats(-1.5, 1.5)


@every_row
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_float_raises_and_all_carriers_agree(op, data):
    form = shape(op)
    orders_ = st.integers(1, 6).map(float)
    operands = like(form, [data.draw(orders_ if c else anything) for c in is_constant(op, form)])
    assert_recorded_as_ruled(op, operands)
    mixed, xs = as_values(op, operands)
    node = op(*mixed)
    slopes = al.gradients(node, xs, create_graph=True)
    for slope, partial in zip(slopes, node.partials, strict=True):
        assert slope.data == partial or (slope.data != slope.data and partial != partial)
    for slope in slopes:
        al.gradients(slope, xs, create_graph=True)


# ---- softmax, which is a list of rows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("xs", "wanted"),
    [
        ([0.0, 0.0], [0.5, 0.5]),
        ([3.0], [1.0]),
        ([1e308, 1e308], [0.5, 0.5]),
        ([0.0, -745.0], [1.0, 5e-324]),
        ([-inf, 0.0], [0.0, 1.0]),
        ([inf, 0.0], [1.0, 0.0]),
        ([inf, inf, 0.0], [0.5, 0.5, 0.0]),
        ([nan, 0.0], [nan, nan]),
        ([0.0, float("nan")], [nan, nan]),
        ([nan, inf], [nan, nan]),
    ],
)
def test_softmax(xs, wanted):
    assert al.softmax(xs) == pytest.approx(wanted, rel=1e-15, abs=0.0, nan_ok=True)
    values = al.softmax([Value(x) for x in xs])
    assert [v.data for v in values] == pytest.approx(wanted, rel=1e-15, abs=0.0, nan_ok=True)


def test_softmax_keeps_its_accuracy_where_a_probability_is_nearly_1():
    xs = [Value(40.0), Value(0.0)]
    first, second = al.softmax(xs)
    small = math.exp(-40.0) / (1.0 + math.exp(-40.0)) ** 2
    assert al.gradients(first, xs) == pytest.approx([small, -small], rel=1e-14, abs=0.0)
    assert al.gradients(second, xs) == pytest.approx([-small, small], rel=1e-14, abs=0.0)


@settings(deadline=None)
@given(st.lists(st.floats(-700.0, 700.0), min_size=1, max_size=6))
def test_softmax_is_the_gradient_of_logsumexp(numbers):
    xs = [Value(x) for x in numbers]
    assert list(al.logsumexp(xs).partials) == [p.data for p in al.softmax(xs)] == al.softmax(numbers)
    assert math.fsum(al.softmax(numbers)) == pytest.approx(1.0, rel=1e-15)
