"""Float functions never raise, follow IEEE 754 at its special points, and are accurate all over their range."""

import math
import random
from math import inf, nan, pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_lite import ieee
from tests.reference import REFERENCES, SMALLEST, close, exact, mp


def is_same(a: float, b: float) -> bool:
    return (a != a and b != b) or (a == b and math.copysign(1.0, a) == math.copysign(1.0, b))


# The special cases of the C standard's Annex F, and of functions it has not, by their limits.
SPECIAL = [
    ("div", (1.0, 0.0), inf),
    ("div", (1.0, -0.0), -inf),
    ("div", (-1.0, 0.0), -inf),
    ("div", (0.0, 0.0), nan),
    ("div", (nan, 0.0), nan),
    ("div", (inf, 0.0), inf),
    ("div", (inf, inf), nan),
    ("div", (1.0, -inf), -0.0),
    ("div", (1e308, 1e-308), inf),
    ("pow", (0.0, -1.0), inf),
    ("pow", (-0.0, -1.0), -inf),
    ("pow", (-0.0, -3.0), -inf),
    ("pow", (-0.0, -2.0), inf),
    ("pow", (-0.0, -0.5), inf),
    ("pow", (0.0, -inf), inf),
    ("pow", (-0.0, 3.0), -0.0),
    ("pow", (-0.0, 2.0), 0.0),
    ("pow", (-1.0, inf), 1.0),
    ("pow", (1.0, nan), 1.0),
    ("pow", (nan, 0.0), 1.0),
    ("pow", (nan, -0.0), 1.0),
    ("pow", (-2.0, 0.5), nan),
    ("pow", (0.5, -inf), inf),
    ("pow", (2.0, -inf), 0.0),
    ("pow", (-inf, -1.0), -0.0),
    ("pow", (-inf, 3.0), -inf),
    ("pow", (-inf, 0.5), inf),
    ("pow", (1e200, 2.0), inf),
    ("pow", (-1e200, 3.0), -inf),
    ("pow", (-1e200, 2.0), inf),
    ("pow", (-1e-200, 3.0), -0.0),
    ("pow", (-1e-200, -3.0), -inf),
    ("exp", (710.0,), inf),
    ("exp", (inf,), inf),
    ("exp", (-inf,), 0.0),
    ("exp", (-746.0,), 0.0),
    ("exp2", (1024.0,), inf),
    ("exp2", (-1074.0,), SMALLEST),
    ("exp2", (-inf,), 0.0),
    ("expm1", (710.0,), inf),
    ("expm1", (-0.0,), -0.0),
    ("expm1", (-inf,), -1.0),
    ("log", (0.0,), -inf),
    ("log", (-0.0,), -inf),
    ("log", (-1.0,), nan),
    ("log", (inf,), inf),
    ("log2", (0.0,), -inf),
    ("log2", (-SMALLEST,), nan),
    ("log2", (SMALLEST,), -1074.0),
    ("log10", (0.0,), -inf),
    ("log10", (-inf,), nan),
    ("log1p", (-1.0,), -inf),
    ("log1p", (-1.5,), nan),
    ("log1p", (-0.0,), -0.0),
    ("log1p", (inf,), inf),
    ("sqrt", (-0.0,), 0.0),  # Annex F has −0; +0 keeps the slope there +inf
    ("sqrt", (-SMALLEST,), nan),
    ("sqrt", (inf,), inf),
    ("nonnegative", (-0.0,), 0.0),
    ("nonnegative", (-SMALLEST,), nan),
    ("sin", (inf,), nan),
    ("cos", (-inf,), nan),
    ("tan", (inf,), nan),
    ("sin", (-0.0,), -0.0),
    ("asin", (1.0,), pi / 2),
    ("asin", (1.0000000000000002,), nan),
    ("acos", (1.0,), 0.0),
    ("acos", (-1.0000000000000002,), nan),
    ("acosh", (1.0,), 0.0),
    ("acosh", (0.9999999999999999,), nan),
    ("acosh", (inf,), inf),
    ("atanh", (1.0,), inf),
    ("atanh", (-1.0,), -inf),
    ("atanh", (1.0000000000000002,), nan),
    ("sinh", (-711.0,), -inf),
    ("sinh", (inf,), inf),
    ("cosh", (-711.0,), inf),
    ("floor", (-0.0,), -0.0),
    ("floor", (-0.5,), -1.0),
    ("floor", (inf,), inf),
    ("floor", (nan,), nan),
    ("ceil", (-0.5,), -0.0),
    ("ceil", (-inf,), -inf),
    ("floor", (1e300,), 1e300),
    ("sign", (-0.0,), 0.0),
    ("sign", (nan,), nan),
    ("sign", (-SMALLEST,), -1.0),
    ("step", (0.0,), 0.0),
    ("step", (SMALLEST,), 1.0),
    ("step", (nan,), nan),
    ("greater", (inf, inf), 0.5),
    ("greater", (0.0, -0.0), 0.5),
    ("greater", (nan, 1.0), nan),
    ("less", (-inf, inf), 1.0),
    ("within", (2.0, -inf, inf), 1.0),
    ("maximum", (nan, 1.0), nan),
    ("maximum", (1.0, nan), nan),
    ("minimum", (nan, 1.0), nan),
    ("minimum", (1.0, nan), nan),
    ("minimum", (-inf, inf), -inf),
    ("clamp", (nan, 0.0, 1.0), nan),
    ("clamp", (5.0, 2.0, 1.0), 1.0),
    ("clamp", (inf, 0.0, 1.0), 1.0),
    ("direction", (0.0, 0.0), 0.0),
    ("direction", (inf, inf), 1.0 / math.sqrt(2.0)),
    ("direction", (-inf, 1.0), -1.0),
    ("direction", (1.0, inf), 0.0),
    ("direction", (nan, 0.0), nan),
    ("direction", (0.0, nan), nan),
    ("turn", (0.0, 0.0), 0.0),
    ("turn", (inf, 1.0), 0.0),
    ("turn", (0.0, nan), nan),
    ("sech2", (inf,), 0.0),
    ("sech2", (0.0,), 1.0),
    ("gaussian", (-inf, 0.5), 0.0),
    ("gaussian", (1e300, 1.0), 0.0),
    ("gaussian", (nan, 1.0), nan),
    ("sigmoid", (inf,), 1.0),
    ("sigmoid", (-inf,), 0.0),
    ("sigmoid", (-1000.0,), 0.0),
    ("softplus", (inf,), inf),
    ("softplus", (-inf,), 0.0),
    ("softplus", (1e308,), 1e308),
    ("logsigmoid", (-1e308,), -1e308),
    ("logsigmoid", (-inf,), -inf),
    ("softsign", (inf,), 1.0),
    ("softsign", (-1e308,), -1.0),
    ("relu", (-0.0,), 0.0),
    ("relu", (-inf,), 0.0),
    ("relu", (nan,), nan),
    ("leaky_relu", (-inf, 0.1), -inf),
    ("elu", (-inf, 2.0), -2.0),
    ("elu", (-1000.0, 2.0), -2.0),
    ("gelu", (-inf,), -0.0),
    ("gelu", (inf,), inf),
    ("gelu", (-1e300,), -0.0),
    ("silu", (-inf,), -0.0),
    ("silu", (inf,), inf),
    ("silu", (-1e300,), -0.0),
    ("sum", ([inf, -inf],), nan),
    ("sum", ([inf, 1e308],), inf),
    ("sum", ([1e308, 1e308],), inf),
    ("sum", ([nan],), nan),
    ("mean", ([1.0, 2.0, 6.0],), 3.0),
    ("prod", ([0.0, inf],), nan),
    ("prod", ([1e300, 1e300, 0.0],), nan),  # left to right, as Python multiplies: inf · 0
    ("sumprod", ([0.0], [inf]), nan),
    ("sumprod", ([1e200], [1e200]), inf),
    ("affine", ([1e200], [1e200], -inf), nan),
    ("maxout", ([nan, inf],), nan),
    ("maxout", ([1.0, nan],), nan),
    ("maxout", ([-inf],), -inf),
    ("logsumexp", ([-inf],), -inf),
    ("logsumexp", ([-inf, -inf],), -inf),
    ("logsumexp", ([inf, -inf],), inf),
    ("logsumexp", ([nan, 1.0],), nan),
    ("logsumexp", ([1.0, nan],), nan),
    ("logsumexp", ([1e308, 1e308],), 1e308),
    ("logsumexp", ([800.0],), 800.0),
    ("share", (0.0, [-inf]), 1.0),
    ("share", (inf, [inf]), 0.5),
    ("share", (0.0, [nan]), nan),
    ("share", (nan, [0.0]), nan),
    ("lead", (1.0, [nan]), nan),
    ("lead", (nan, [1.0]), nan),
    ("lead", (inf, [inf, 0.0]), 0.5),
    ("gamma", (0.0,), inf),
    ("gamma", (-0.0,), -inf),
    ("gamma", (-1.0,), nan),
    ("gamma", (-inf,), nan),
    ("gamma", (172.0,), inf),
    ("gamma", (1e-309,), inf),
    ("gamma", (-1e-309,), -inf),
    ("lgamma", (0.0,), inf),
    ("lgamma", (-2.0,), inf),
    ("lgamma", (-inf,), inf),
    ("lgamma", (inf,), inf),
    ("lgamma", (1e306,), inf),
    ("digamma", (0.0,), -inf),
    ("digamma", (-0.0,), inf),
    ("digamma", (SMALLEST,), -inf),
    ("digamma", (-SMALLEST,), inf),
    ("digamma", (-3.0,), nan),
    ("digamma", (-inf,), nan),
    ("digamma", (inf,), inf),
    ("polygamma", (1.0, 0.0), inf),
    ("polygamma", (1.0, -2.0), inf),
    ("polygamma", (2.0, 0.0), -inf),
    ("polygamma", (2.0, -0.0), inf),
    ("polygamma", (2.0, -3.0), nan),
    ("polygamma", (1.0, SMALLEST), inf),
    ("polygamma", (1.0, -SMALLEST), inf),
    ("polygamma", (2.0, SMALLEST), -inf),
    ("polygamma", (2.0, -SMALLEST), inf),
    ("polygamma", (1.0, -1e-200), inf),
    ("polygamma", (1.0, inf), 0.0),
    ("polygamma", (2.0, inf), -0.0),
    ("polygamma", (1.0, -inf), nan),
    ("polygamma", (1.0, nan), nan),
]


@pytest.mark.parametrize(("name", "operands", "wanted"), SPECIAL, ids=[f"{n}{o}" for n, o, _ in SPECIAL])
def test_special_points(name, operands, wanted):
    got = getattr(ieee, name)(*operands)
    assert type(got) is float
    assert is_same(got, wanted), f"{name}{operands} is {got!r}, not {wanted!r}"


UNARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "nonnegative", "sin", "cos", "tan", "asin", "acos",
    "acosh", "atanh", "sinh", "cosh", "floor", "ceil", "sign", "step", "sech2", "sigmoid", "softplus", "logsigmoid",
    "softsign", "relu", "selu", "gelu", "silu", "gamma", "lgamma", "digamma",
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
@settings(max_examples=150, deadline=None)
@given(st.floats() | st.floats(-800.0, 800.0))
def test_no_float_raises(name, x):
    assert type(getattr(ieee, name)(x)) is float


@pytest.mark.parametrize("name", ["div", "pow", "maximum", "minimum", "greater", "less", "direction", "turn"])
@settings(max_examples=150, deadline=None)
@given(st.floats(), st.floats())
def test_no_two_floats_raise(name, x, y):
    assert type(getattr(ieee, name)(x, y)) is float


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12).map(float), st.floats())
def test_polygamma_never_raises(n, x):
    assert type(ieee.polygamma(n, x)) is float


@settings(max_examples=100, deadline=None)
@given(st.floats(), st.floats(), st.integers(0, 6).map(float), st.integers(0, 6).map(float))
def test_pow_partial_never_raises(x, y, k, j):
    assert type(ieee.pow_partial(x, y, k, j)) is float


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "maxout", "logsumexp"])
@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_no_list_of_floats_raises(name, xs):
    assert type(getattr(ieee, name)(xs)) is float


# ---- accuracy over the whole range ----------------------------------------------------------------------------------

WHOLE = [(-700.0, 700.0), (-20.0, 20.0), (-1.0, 1.0), (-1e-5, 1e-5)]
POSITIVE = [(1e-300, 1e-290), (1e-9, 1e-3), (0.5, 1.5), (0.0, 100.0), (1e200, 1e300)]
ACCURACY = {  # where to draw from, and the relative error allowed
    "exp": (WHOLE, 1e-15),
    "exp2": (WHOLE, 1e-15),
    "expm1": (WHOLE, 1e-15),
    "log": (POSITIVE, 1e-15),
    "log2": (POSITIVE, 1e-15),
    "log10": (POSITIVE, 1e-15),
    "log1p": ([(-1.0, 1.0), (-1e-5, 1e-5), *POSITIVE], 1e-15),
    "sqrt": (POSITIVE, 1e-15),
    "sin": ([*WHOLE, (1e15, 1e17)], 1e-15),
    "cos": ([*WHOLE, (1e15, 1e17)], 1e-15),
    "tan": ([*WHOLE, (1e15, 1e17)], 1e-15),
    "asin": ([(-1.0, 1.0), (0.999, 1.0), (-1e-5, 1e-5)], 1e-15),
    "acos": ([(-1.0, 1.0), (0.999, 1.0), (-1e-5, 1e-5)], 1e-15),
    "acosh": ([(1.0, 1.001), (1.0, 20.0), (1e100, 1e200)], 2e-15),
    "atanh": ([(-1.0, 1.0), (0.999, 1.0), (-1e-5, 1e-5)], 2e-15),
    "sinh": (WHOLE, 2e-15),
    "cosh": (WHOLE, 2e-15),
    "sech2": ([(-350.0, 350.0), *WHOLE[1:]], 2e-15),
    "sigmoid": (WHOLE, 2e-15),
    "softplus": (WHOLE, 2e-15),
    "logsigmoid": (WHOLE, 2e-15),
    "softsign": ([*WHOLE, (1e100, 1e300)], 1e-15),
    "selu": (WHOLE, 2e-15),
    "gelu": ([(-37.0, 37.0), (-8.0, 8.0), (-1.0, 1.0), (-1e-5, 1e-5)], 4e-15),
    "silu": (WHOLE, 2e-15),
    "gamma": ([(-20.0, 20.0), (-1.0, 1.0), (-170.0, 170.0)], 4e-15),
    "lgamma": ([(0.0, 3.0), (0.999, 1.001), (1.999, 2.001), (3.0, 100.0), (1e5, 1e10)], 1e-14),
    "digamma": ([(0.0, 3.0), (1.46, 1.463), (1.2, 1.72), (3.0, 100.0), (1e5, 1e10)], 1e-14),
}


@pytest.mark.parametrize("name", ACCURACY)
def test_accuracy_over_the_range(name):
    ranges, rtol = ACCURACY[name]
    draw = random.Random(f"accuracy of {name}")
    for low, high in ranges:
        for _ in range(40):
            x = draw.uniform(low, high)
            got, wanted = getattr(ieee, name)(x), exact(REFERENCES[name], (x,))
            assert close(got, wanted, rtol), f"{name}({x!r}) = {got!r}, not {wanted}"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 10, 20])
def test_polygamma_over_the_range(n):
    draw = random.Random(n)
    for low, high in ((0.0, 3.0), (3.0, 40.0), (1e3, 1e6), (-0.5, 0.0), (-3.0, -2.0)):
        for _ in range(10):
            x = draw.uniform(low, high)
            got, wanted = ieee.polygamma(float(n), x), mp.polygamma(n, mp.mpf(x))
            # Below 0 the reflected terms cancel near the zeros of the even orders.
            assert close(got, wanted, 2e-14 if x > 0.0 or n % 2 else 1e-12), f"polygamma({n}, {x!r}) = {got!r}"


def test_polygamma_halfway_between_the_poles():
    for n in (1, 2, 3, 4):
        for x in (-0.5, -2.5, -100.5, math.nextafter(-2.5, 0.0)):
            assert close(ieee.polygamma(float(n), x), mp.polygamma(n, mp.mpf(x)), 2e-14), f"polygamma({n}, {x})"


def test_the_gamma_family_below_zero():
    """Γ has no zeros; those of lgamma and digamma there lose relative accuracy, as they say, not absolute."""
    draw = random.Random("below zero")
    for _ in range(60):
        x = draw.uniform(-30.0, 0.0)
        for name in ("lgamma", "digamma"):
            got, wanted = getattr(ieee, name)(x), exact(REFERENCES[name], (x,))
            assert abs(mp.mpf(got) - wanted) <= 4e-14 * max(1, abs(wanted)), f"{name}({x!r})"


@settings(deadline=None)
@given(st.floats(1e-300, 1e300), st.floats(-300.0, 300.0))
def test_pow_partials_are_the_textbook_ones(x, y):
    first, log = ieee.pow(x, y - 1.0), math.log(x)
    assert ieee.pow_partial(x, y, 0.0, 0.0) == ieee.pow(x, y)
    assert ieee.pow_partial(x, y, 1.0, 0.0) == (y * first if y else 0.0)
    assert ieee.pow_partial(x, y, 0.0, 1.0) == pytest.approx(ieee.pow(x, y) * log if log else 0.0, nan_ok=True)


@pytest.mark.parametrize(
    ("xs", "wanted"),
    [
        ([5.0], [1.0]),
        ([2.0, 3.0], [3.0, 2.0]),
        ([0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
        ([0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
        ([1e-200, 1e200, 1e200], [inf, 1.0, 1.0]),
    ],
)
def test_others_never_divides(xs, wanted):
    assert ieee.others(xs) == wanted


@pytest.mark.parametrize(
    ("xs", "wanted"),
    [([5.0], [1.0]), ([1.0, 3.0], [0.0, 1.0]), ([3.0, 1.0, 3.0], [0.5, 0.0, 0.5]), ([-inf, -inf], [0.5, 0.5])],
)
def test_leads_share_alike(xs, wanted):
    assert ieee.leads(xs) == wanted


@pytest.mark.parametrize("xs", [[nan, 0.0], [0.0, nan], [nan, inf], [nan, nan], [float("nan"), 1.0], [-nan]])
def test_a_nan_among_operands_is_never_outvoted(xs):
    """`math.nan` in particular, which a list finds by identity."""
    assert all(map(math.isnan, ieee.leads(xs)))
    assert all(map(math.isnan, ieee.softmax(xs)))
    assert math.isnan(ieee.maxout(xs))
    assert math.isnan(ieee.logsumexp(xs))


# ---- symmetries that hold bit for bit -------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_symmetries(x):
    assert is_same(ieee.sech2(-x), ieee.sech2(x))
    assert is_same(ieee.gaussian(-x, 0.5), ieee.gaussian(x, 0.5))
    assert is_same(ieee.softsign(-x), -ieee.softsign(x))
    assert is_same(ieee.logsigmoid(x), -ieee.softplus(-x))
    assert is_same(ieee.maximum(x, x), x) and is_same(ieee.minimum(x, x), x)


@settings(deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8), st.randoms())
def test_the_order_of_a_sum_does_not_matter(xs, shuffler):
    shuffled = list(xs)
    shuffler.shuffle(shuffled)
    assert ieee.sum(xs) == ieee.sum(shuffled)
    assert ieee.logsumexp(xs) == ieee.logsumexp(shuffled)


def test_sums_are_rounded_once():
    assert ieee.sum([0.1] * 10) == 1.0
    assert ieee.sum([1e16, 1.0, -1e16]) == 1.0
    assert ieee.logsumexp([0.0, -40.0, -40.0]) == 2 * math.exp(-40.0)
