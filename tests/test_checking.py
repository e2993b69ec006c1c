"""The checker against wrong answers: each row's wrong copies are caught and blamed, and nothing right is."""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import autograd_lite as al
import nn
from autograd_lite import Report, Value, Verdict, gradcheck
from autograd_lite.strategies import expressions, points
from tests.reference import like

ROWS = list(al.TABLE.values())
WITH_KINKS = [op for op in ROWS if op.kinks is not None]
FLAT = {"sign", "floor", "ceil", "step", "nonzero", "greater", "less", "within", "lead"}  # all partials are 0
SYMMETRIC = {"add", "sum", "mean"}  # the partials are equal
RELATIVE = 1e-6


def drawn(strategy: st.SearchStrategy, count: int) -> list:
    """Return examples of a strategy, the same on every run."""
    found = []

    @settings(max_examples=count, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(example):
        found.append(example)

    draw()
    return found


def laid_flat(groups: Any) -> list:
    return [x for group in groups for x in (group if isinstance(group, (tuple, list)) else (group,))]


def number(x: Any) -> float:
    return x.data if isinstance(x, Value) else x


def differs(a: float, b: float) -> bool:
    return not math.isclose(a, b, rel_tol=RELATIVE / 2, abs_tol=0.0)


# ---- wrong copies of the rows ---------------------------------------------------------------------------------------


def places(op: al.Op, operands: tuple) -> list[int]:
    """Return which of the operands, laid flat, the operation is differentiated by."""
    constant = like(operands, [False] * len(laid_flat(operands)))
    constant = [(d.constant,) * len(c) if isinstance(c, tuple) else d.constant for c, d in zip(constant, op.domain)]  # noqa: B905
    return [k for k, is_constant in enumerate(laid_flat(constant)) if not is_constant]


def changed(change: Callable[[Any], Any]) -> Callable[..., list]:
    """Change the first partial that is not 0, or the first if all are 0."""

    def wrong(op: al.Op, operands: tuple, partials: list) -> list:
        where = places(op, operands)
        k = next((k for k in where if number(partials[k]) != 0.0), where[0])
        return [change(d) if i == k else d for i, d in enumerate(partials)]

    return wrong


def swapped(op: al.Op, operands: tuple, partials: list) -> list:
    where = places(op, operands)
    other = dict(zip(where, [*where[1:], where[0]], strict=True))
    return [partials[other.get(k, k)] for k in range(len(partials))]


def wrong_at_one_side(op: al.Op, operands: tuple, partials: list) -> list:
    distances = op.kinks(*operands)
    if not distances or distances[0] <= 0.0:
        return partials
    return KINDS["offset" if op.name in FLAT else "factor"](op, operands, partials)


KINDS: dict[str, Callable[..., list]] = {
    "sign": changed(lambda d: -d),
    "factor": changed(lambda d: d * (1.0 + RELATIVE)),
    "dropped": changed(lambda d: 0.0 * d),
    "offset": changed(lambda d: d + RELATIVE),  # what else a partial that is 0 may be
    "swapped": swapped,
    "one side": wrong_at_one_side,
}


def is_possible(op: al.Op, kind: str) -> bool:
    """Say whether a copy of a row can be wrong in this way, and is not the same row."""
    match kind:
        case "one side":
            return op.kinks is not None
        case "swapped":
            many = op.many or sum(not d.constant for d in op.domain) > 1
            return many and op.name not in FLAT | SYMMETRIC
        case "offset":
            return op.name in FLAT
    return op.name not in FLAT


MUTANTS = [(op, kind) for op in ROWS for kind in KINDS if is_possible(op, kind)]
named = pytest.mark.parametrize(("op", "kind"), MUTANTS, ids=[f"{op.name}, {kind}" for op, kind in MUTANTS])


def wrong_copy(op: al.Op, change: Callable[..., list]) -> al.Op:
    """Declare a row again, with its partials changed; it works on every carrier."""

    def partials(z: Any, *operands: Any) -> tuple:
        plain = tuple(tuple(map(number, x)) if isinstance(x, tuple) else number(x) for x in operands)
        found = change(op, plain, laid_flat(op.partials(z, *operands)))
        return tuple(list(x) if isinstance(x, tuple) else x for x in like(operands, found))

    return al.custom(op.name, op.symbol, op.value, partials, op.domain, op.kinks)


def blamed(report: Report) -> set[al.Op]:
    """Return the operations that are blamed for what is wrong."""
    return {None if partial.node is None else partial.node.op for partial in report.wrong}


@cache
def some_points(op: al.Op) -> list[tuple]:
    return drawn(points(op), 5)


def partials_of(op: al.Op, point: tuple) -> list[float]:
    partials = laid_flat(op.partials(op(*point), *point))
    return [number(partials[k]) for k in places(op, point)]


@named
def test_a_wrong_copy_of_a_row_is_caught_and_blamed(op, kind):
    wrong = wrong_copy(op, KINDS[kind])
    caught = 0
    for point in some_points(op):
        is_wrong = [differs(a, b) for a, b in zip(partials_of(op, point), partials_of(wrong, point), strict=True)]
        report = gradcheck(wrong, *point)
        assert [partial.verdict is Verdict.WRONG for partial in report.partials] == is_wrong, (point, report)
        assert blamed(report) <= {wrong}
        caught += any(is_wrong)
        if caught == 2:
            break
    assert caught


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_a_wrong_copy_inside_a_program_is_blamed(op):
    wrong = wrong_copy(op, lambda op, operands, partials: [d * (1 + RELATIVE) + RELATIVE * (d == 0) for d in partials])
    rest = [row for row in (al.mul, al.sin, al.add, al.tanh) if row is not op]
    caught = 0
    for right in drawn(expressions([op, op, *rest], max_nodes=8), 8):
        program = replace(right, steps=tuple(s._replace(op=wrong) if s.op is op else s for s in right.steps))
        report = gradcheck(program, *program.point)
        assert blamed(report) == ({wrong} if program.steps != right.steps else set()), (program, report)
        caught += not report
    assert caught


def test_one_operand_of_many_is_blamed():
    wrong = al.custom(
        "dot", "dot", al.dot.value, lambda z, w, x: (x, [*w[:299], w[299] * (1.0 + RELATIVE), *w[300:]]),
        (al.REALS, al.REALS),
    )  # fmt: skip
    w, x = [1.0 + i / 7 for i in range(400)], [Value(2.0 - i / 9, f"x[{i}]") for i in range(400)]
    (bad,) = gradcheck(wrong(w, x)).wrong
    assert bad.name == "∂y/∂x[299]" and "its operand x[299]" in bad.why


# ---- wrong at a kink ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", WITH_KINKS, ids=lambda op: op.name)
def test_what_lies_on_a_kink_is_never_called_wrong(op):
    for point in drawn(points(op, kinks=True), 10):
        report = gradcheck(op, *point)
        assert not report.wrong, (point, report)
        assert not any(partial.verdict is Verdict.ILL_CONDITIONED for partial in report.partials), (point, report)


@pytest.mark.parametrize(
    ("f", "point", "sides", "where"),
    [
        (al.relu, (0.0,), (0.0, 1.0), "relu(0) is on its kink"),
        (al.abs, (0.0,), (-1.0, 1.0), "abs(0) is on its kink"),
        (al.floor, (2.0,), (math.inf, 0.0), "floor(2) is on its kink"),
        (al.maximum, (3.0, 3.0), (0.0, 1.0), "maximum(3, 3) is on its kink"),
        (lambda x: 3.0 * al.relu(al.sin(x)), (0.0,), (0.0, 3.0), "relu(0) is on its kink"),
        (lambda x: x * al.abs(x - 1.0) + x, (1.0,), (0.0, 2.0), "abs(0) is on its kink"),
        (lambda x: x if x.data > 0.0 else 2.0 * x, (0.0,), (2.0, 1.0), "the slopes on the two sides differ"),
        (lambda x: al.where(x > 0.0, x, 2.0 * x), (0.0,), (2.0, 1.0), "the slopes on the two sides differ"),
        (al.custom("size", "|x|", abs, lambda z, x: (al.sign(x),)), (0.0,), (-1.0, 1.0), "size(0) is on its kink"),
    ],
)
def test_a_kink_is_named_with_its_one_sided_slopes(f, point, sides, where):
    found = gradcheck(f, *point).partials[0]
    assert found.verdict is Verdict.KINK and found.why == where
    assert found.sides == pytest.approx(sides, rel=1e-6, abs=1e-9)
    assert not gradcheck(f, *point)


@pytest.mark.parametrize("claim", [-1e-3, 1.001, math.pi])
def test_a_slope_beside_those_of_both_sides_is_wrong(claim):
    wrong = al.custom("relu", "relu", al.relu.value, lambda z, x: (claim,), (al.REAL,), al.relu.kinks)
    report = gradcheck(wrong, 0.0)
    assert blamed(report) == {wrong}
    assert report.partials[0].why.endswith("it should give 0 to 1")


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: al.where(x > 10.0, x, x * x), 5.0),  # a condition that does not move
        (lambda x: al.where(x < 10.0, x * x, x), 5.0),
        (lambda x: al.maximum(x, x) * x, 3.0),  # a tie that stays one
        (lambda x: al.relu(al.relu(x)) + x, -5.0),
        (lambda x: al.relu(x) ** 2, 0.0),  # a kink that is smoothed out
        (lambda x: al.abs(x) * x, 0.0),
        (al.softsign, 0.0),
        (lambda x: al.relu(x - 1e-7), 0.0),  # near to a kink
    ],
)
def test_what_is_smooth_after_all_is_correct(f, x):
    assert gradcheck(f, x)


# ---- other verdicts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "why"),
    [
        (al.log, -1.0, "log(-1) is outside of its domain, 0 to inf"),
        (al.sqrt, 0.0, "sqrt(0) has an infinite slope"),
        (al.reciprocal, 0.0, "reciprocal(0) is inf"),
        (al.exp, 1000.0, "exp(1000) is inf"),
        (al.sin, math.inf, "x1 is inf"),
        (lambda x: al.sqrt(x - 2.0) + x, 1.0, "sqrt(-1) is outside of its domain, 0 to inf"),
    ],
)
def test_outside_of_the_domain(f, x, why):
    found = gradcheck(f, x).partials[0]
    assert (found.verdict, found.why) == (Verdict.DOMAIN, why)


@pytest.mark.parametrize("f", [lambda x: (x + 1e12) - 1e12, lambda x: al.sin(1e15 * x), lambda x: al.sin(x + 1e14)])
def test_what_rounding_hides_is_neither_right_nor_wrong(f):
    found = gradcheck(f, 1.0).partials[0]
    assert found.verdict is Verdict.ILL_CONDITIONED
    assert "hides it in its rounding" in found.why


@pytest.mark.parametrize(
    ("op", "point"),
    [
        (al.floor, (1e20,)),  # where every float is a whole number, and so a kink
        (al.ceil, (-4503599627370497.0,)),
        (al.silu, (-745.0,)),  # where what is subnormal is multiplied by what is large
        (al.prod, ((-1e-4, 5e-324, 4e4, -20.0, -16.0),)),
    ],
)
def test_what_floats_are_too_coarse_for_is_not_called_wrong(op, point):
    report = gradcheck(op, *point)
    assert not report.wrong
    assert report.partials[0].verdict is Verdict.ILL_CONDITIONED


def test_what_is_not_recorded_is_missed():
    (found,) = gradcheck(lambda x: math.sin(x.data) * x, 1.0).wrong
    assert found.node is None and "something is computed that is not recorded" in found.why


# ---- no false alarm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
@settings(max_examples=10)
@given(st.data())
def test_every_row_is_right(op, data):
    point = data.draw(points(op))
    report = gradcheck(op, *point)
    assert report, report


@settings(max_examples=150)
@given(expressions(max_nodes=12))
def test_programs_are_right(program):
    assert gradcheck(program, *program.point)


# ---- second and third order -----------------------------------------------------------------------------------------

SMOOTH = [op for op in ROWS if op.name not in FLAT]


@cache
def ordinary(op: al.Op) -> list[tuple]:
    """Return points at which the higher derivatives are of ordinary size, and few."""
    few = points(op, min_value=0.3, max_value=2.5).filter(lambda point: len(places(op, point)) <= 3)
    return drawn(few, 2)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_higher_derivatives_of_every_row_are_right(op, order):
    for point in ordinary(op):
        report = gradcheck(op, *point, order=order)
        assert not report.wrong, (point, report)
        assert sum(partial.verdict is Verdict.CORRECT for partial in report.partials) >= len(report.partials) / 2


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_a_rule_whose_derivative_is_wrong_is_caught_at_that_order(op, order):
    def partials(z, *operands):
        """Add what is 0, as are its derivatives of lower orders."""
        right = laid_flat(op.partials(z, *operands))
        for k in places(op, operands):
            x = laid_flat(operands)[k]
            excess = x - al.stop_gradient(x) if isinstance(x, Value) else 0.0
            right[k] = right[k] + (excess if order == 2 else excess * excess)
        return tuple(list(x) if isinstance(x, tuple) else x for x in like(operands, right))

    wrong = al.custom(op.name, op.symbol, op.value, partials, op.domain, op.kinks)
    point = ordinary(op)[0]
    assert not gradcheck(wrong, *point, order=order - 1).wrong
    report = gradcheck(wrong, *point, order=order)
    assert blamed(report) == {wrong}, (point, report)
    assert f"has a wrong derivative of order {order - 1}" in report.wrong[0].why


def test_a_wrong_helper_row_is_blamed_where_it_is_used():
    sech2 = wrong_copy(al.sech2, KINDS["factor"])
    tanh = al.custom("tanh", "tanh", math.tanh, lambda z, x: (sech2(x),))
    assert gradcheck(lambda x: al.exp(tanh(x)), 0.5)
    assert blamed(gradcheck(lambda x: al.exp(tanh(x)), 0.5, order=2)) == {sech2}


# ---- what can be checked --------------------------------------------------------------------------------------------


def test_a_recorded_value_by_its_leaves_or_by_any_of_its_nodes():
    x, w = Value(0.5, "x"), Value(-2.0, "w")
    z = w * x
    y = al.tanh(z) * x
    assert [partial.name for partial in gradcheck(y).partials] == ["∂y/∂w", "∂y/∂x"]
    assert [partial.name for partial in gradcheck(y, x, order=2).partials] == ["∂(∂y/∂x)/∂x"]
    assert gradcheck(y) and gradcheck(y, z) and gradcheck(y, order=3)
    assert (x.grad, w.grad) == (0.0, 0.0)  # nothing is left behind


def test_models_and_losses():
    model = nn.MLP(2, [3, 2], activation=al.tanh, seed=1)
    assert gradcheck(lambda v: model(v), [0.3, -0.2])  # two outputs
    for loss in (nn.losses.half_sse, nn.losses.mse, nn.losses.huber):
        assert gradcheck(loss(model([0.3, -0.2]), [1.0, 0.0]), *model.parameters())
    assert gradcheck(nn.losses.cross_entropy(model([0.3, -0.2]), 1))


@pytest.mark.slow
def test_the_loss_of_the_digits_network():
    data = nn.data.digits()
    model = nn.MLP(64, [32, 10], seed=0)
    loss = nn.losses.cross_entropy(model([x / 16.0 for x in data.X[0]]), data.y[0])
    report = gradcheck(loss, *model.parameters())
    assert report and len(report.partials) == 2410


def test_an_operation_of_the_user():
    cube = al.custom("cube", "x³", lambda x: x**3, lambda z, x: (3.0 * al.square(x),))
    assert gradcheck(cube, 1.7) and gradcheck(cube, 1.7, order=3) and gradcheck(lambda x: cube(al.sin(x)), 0.4)


def test_a_compiled_function():
    f = al.compile(lambda v: al.tanh(v[0] * v[1]) + al.exp(v[1]), 2, backend="python")
    assert gradcheck(f, [0.5, 2.0], gradient=f.grad)
    assert len(gradcheck(f, [0.5, 2.0], gradient=lambda v: [-d for d in f.grad(v)]).wrong) == 2


@pytest.mark.parametrize(
    ("gradient", "verdicts"),
    [
        (lambda x, v: [math.cos(x) * v[0], math.sin(x), 2 * v[1]], ["CORRECT"] * 3),
        (lambda x, v: (math.cos(x) * v[0], [math.sin(x), -2 * v[1]]), ["CORRECT", "CORRECT", "WRONG"]),
        (lambda x, v: [math.sin(x), math.cos(x) * v[0], 2 * v[1]], ["WRONG", "WRONG", "CORRECT"]),
        (lambda x, v: [math.cos(x) * v[0] * (1 + RELATIVE), math.sin(x), 2 * v[1]], ["WRONG", "CORRECT", "CORRECT"]),
    ],
)
def test_a_function_of_floats_with_its_own_gradient(gradient, verdicts):
    def f(x: float, v: list[float]) -> float:
        assert type(x) is float and all(type(each) is float for each in v)
        return math.sin(x) * v[0] + v[1] ** 2

    assert [partial.verdict for partial in gradcheck(f, 0.7, [2.0, -3.0], gradient=gradient).partials] == verdicts


def test_kinks_and_borders_of_a_function_of_floats():
    def verdict(f: Callable, x: float, slope: float) -> Verdict:
        return gradcheck(f, x, gradient=lambda x: slope).partials[0].verdict

    assert verdict(abs, 0.0, 0.5) is Verdict.KINK
    assert verdict(abs, 0.0, 1.5) is Verdict.WRONG
    assert verdict(abs, 1e-3, 1.0) is Verdict.CORRECT
    assert verdict(lambda x: abs(x - 1.0), 1.0 + 1e-7, 1.0) is Verdict.CORRECT  # beside its kink, not on it
    assert verdict(lambda x: abs(x - 1.0), 1.0 - 1e-7, -1.0) is Verdict.CORRECT
    assert verdict(math.sqrt, 0.0, 0.0) is Verdict.DOMAIN
    assert verdict(math.log, 1e-9, 1e9) is Verdict.CORRECT


def test_noise_is_taken_neither_for_a_kink_nor_for_a_mistake():
    rng = Random(0)
    found = Counter(
        gradcheck(lambda x: x * x + rng.gauss(0.0, 1e-6), 1.0, gradient=lambda x: 2.0 * x).partials[0].verdict
        for _ in range(50)
    )
    assert found[Verdict.WRONG] == 0 and found[Verdict.ILL_CONDITIONED] > 40


# ---- the report -----------------------------------------------------------------------------------------------------


def test_a_failed_assertion_prints_the_report():
    report = gradcheck(al.abs, 0.0)
    with pytest.raises(AssertionError) as failure:
        assert report, report
    assert "abs(0) is on its kink" in str(failure.value)


def test_the_remainder_falls_with_the_square_only_if_the_gradient_is_right():
    assert gradcheck(lambda x: al.exp(x) * x, 0.5).rate == pytest.approx(2.0, abs=0.05)
    wrong = wrong_copy(al.exp, KINDS["sign"])
    assert gradcheck(lambda x: wrong(x) * x, 0.5).rate == pytest.approx(1.0, abs=0.1)


def test_a_long_report_is_cut_and_begins_with_the_worst():
    wrong = wrong_copy(al.sin, KINDS["sign"])
    text = repr(gradcheck(lambda v: al.sum(v[:-1]) + wrong(v[-1]), [0.5] * 30))
    first, second, *_, hidden, _ = text.splitlines()
    assert first == "gradcheck: 29 CORRECT, 1 WRONG"
    assert second.startswith("  ∂f/∂v[29] = -0.877582562  WRONG; differences: 0.87758256")
    assert hidden == "  … 10 more"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gradcheck("f", 1.0), TypeError, "gradcheck takes a function or a recorded Value, not 'f'"),
        (lambda: gradcheck(al.sin), ValueError, "gradcheck needs the point to check at"),
        (lambda: gradcheck(al.sin, 1.0, order=4), ValueError, "from order 1 to order 3, not 4"),
        (lambda: gradcheck(al.sin, 1.0, rtol="1"), TypeError, "rtol must be a real number"),
        (lambda: gradcheck(al.sin, 1.0, rtol=0.0), ValueError, "rtol must lie between 0 and 1, as 1e-8 does"),
        (lambda: gradcheck(al.sin, 1.0, rtol=math.nan), ValueError, "rtol must lie between 0 and 1"),
        (lambda: gradcheck(al.sin, "1"), TypeError, "the point must be a real number"),
        (lambda: gradcheck(lambda x: "1", 1.0), TypeError, "what the function to check gives must be a real number"),
        (lambda: gradcheck(lambda x: [], 1.0), TypeError, "gave an empty list"),
        (lambda: gradcheck(math.sin, 1.0, gradient=1.0), TypeError, "gradient= must be a function"),
        (lambda: gradcheck(math.sin, 1.0, gradient=lambda x: [1.0, 2.0]), ValueError, "gave 2 numbers for 1 inputs"),
        (lambda: gradcheck(math.sin, 1.0, gradient=math.cos, order=2), ValueError, "gradient= is checked itself"),
        (lambda: gradcheck(Value(1.0) * 2.0, gradient=math.cos), TypeError, "gradient= is for a function"),
        (lambda: gradcheck(Value(1.0) * 2.0, Value(1.0)), ValueError, "by nodes of its own graph"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_changed_leaf_is_refused():
    x = Value(1.0, "x")
    y = al.sin(x) * x
    x.data = 2.0
    with pytest.raises(ValueError, match="the data of a leaf was changed"):
        gradcheck(y)
