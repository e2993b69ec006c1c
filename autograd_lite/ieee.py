"""Float functions that follow IEEE 754: where Python's own would raise, these give inf or nan.

`math.log(0.0)`, `1 / 0.0` and `math.exp(710.0)` are errors in Python and numbers in IEEE 754. The operation
table is built on the second kind. Every function here takes floats, returns a float, and is accurate to a few
units in the last place over its whole range, unless it says otherwise.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from math import copysign, inf, isinf, isnan, nan
from operator import mul

SELU_ALPHA = 1.6732632423543772  # Klambauer et al., Self-Normalizing Neural Networks (2017), section 2
SELU_SCALE = 1.0507009873554805
_SQRT_HALF = math.sqrt(0.5)


UNGUARDED: dict[Callable[[float], float], Callable[[float], float]] = {}
"""For some functions here, one that is quicker and the same where it does not raise."""


def _ieee(
    function: Callable[[float], float], overflow: Callable[[float], float] = lambda x: inf
) -> Callable[[float], float]:
    """Wrap a function of `math`: nan outside its domain, `overflow(x)` (inf by default) beyond the largest float."""

    def guarded(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return nan
        except OverflowError:
            return overflow(x)

    UNGUARDED[guarded] = function
    return guarded


exp = _ieee(math.exp)
exp2 = _ieee(math.exp2)
expm1 = _ieee(math.expm1)
sin = _ieee(math.sin)
cos = _ieee(math.cos)
tan = _ieee(math.tan)
asin = _ieee(math.asin)
acos = _ieee(math.acos)
acosh = _ieee(math.acosh)
sinh = _ieee(math.sinh, lambda x: copysign(inf, x))
cosh = _ieee(math.cosh)


def div(x: float, y: float) -> float:
    """Return x / y; by zero it is ±inf, and 0/0 is nan.

    >>> div(-1.0, 0.0), div(0.0, 0.0)
    (-inf, nan)
    """
    try:
        return x / y
    except ZeroDivisionError:
        return nan if x == 0.0 or isnan(x) else copysign(inf, x) * copysign(1.0, y)


def pow(x: float, y: float) -> float:
    """Return x**y, never complex: a negative base with a fractional exponent gives nan.

    >>> pow(-2.0, 0.5), pow(0.0, -1.0), pow(1e200, 2.0), pow(-1e200, 3.0)
    (nan, inf, inf, -inf)
    """
    try:
        return math.pow(x, y)
    except OverflowError:
        return -inf if x < 0.0 and y % 2.0 == 1.0 else inf
    except ValueError:
        if x == 0.0:  # a pole: y is negative
            return copysign(inf, x) if y % 2.0 == 1.0 else inf
        return nan


def pow_partial(x: float, y: float, k: float, j: float) -> float:
    """Return ∂ᵏ⁺ʲ(xʸ)/∂xᵏ∂yʲ, the one function from which every derivative of a power comes.

    ∂xᵏ gives y(y−1)…(y−k+1)·xʸ⁻ᵏ, and Leibniz' rule in y gives the rest. A vanishing coefficient wins over an
    infinite power, so that x⁰ has slope 0 at 0; at x = 0 the terms with a logarithm count as 0 while the power
    beside them is finite, as PyTorch has it.

    >>> pow_partial(3.0, 2.0, 1.0, 0.0), pow_partial(0.0, 0.0, 1.0, 0.0), pow_partial(0.0, 0.5, 0.0, 1.0)
    (6.0, 0.0, 0.0)
    """
    if not (0.0 <= k <= 150.0 and 0.0 <= j <= 150.0 and k.is_integer() and j.is_integer()):
        return nan
    order = int(j)
    coefficients = [1.0] + [0.0] * order  # of t⁰ … tʲ in ∏ (y − i + t)
    for i in range(int(k)):
        for m in range(order, -1, -1):
            coefficients[m] = coefficients[m] * (y - i) + (coefficients[m - 1] if m else 0.0)
    power = pow(x, y - k)
    total = 0.0
    for m, coefficient in enumerate(coefficients):
        logs = order - m
        if coefficient == 0.0 or (logs and x == 0.0 and y >= k):
            continue
        term = coefficient * power
        if logs:
            term *= log(x) ** logs
        total += math.perm(order, m) * term
    return total


def log(x: float) -> float:
    """Return the natural logarithm; -inf at 0, nan below.

    >>> log(0.0), log(-1.0)
    (-inf, nan)
    """
    if x > 0.0:
        return math.log(x)
    return -inf if x == 0.0 else nan


UNGUARDED[log] = math.log


def log2(x: float) -> float:
    """Return the logarithm to base 2.

    >>> log2(8.0)
    3.0
    """
    return math.log2(x) if x > 0.0 else log(x)


def log10(x: float) -> float:
    """Return the logarithm to base 10.

    >>> log10(1000.0)
    3.0
    """
    return math.log10(x) if x > 0.0 else log(x)


def log1p(x: float) -> float:
    """Return log(1 + x), accurate near 0.

    >>> log1p(1e-20), log1p(-1.0)
    (1e-20, -inf)
    """
    if x > -1.0:
        return math.log1p(x)
    return -inf if x == -1.0 else nan


def sqrt(x: float) -> float:
    """Return the square root; nan below 0, and +0.0 at -0.0 so that its slope there is +inf.

    >>> sqrt(-1.0)
    nan
    """
    return math.sqrt(x + 0.0) if x >= 0.0 else nan


def nonnegative(x: float) -> float:
    """Return x, or nan where x < 0; -0.0 becomes 0.0.

    >>> nonnegative(2.0), nonnegative(-1.0)
    (2.0, nan)
    """
    return x + 0.0 if x >= 0.0 else nan


def atanh(x: float) -> float:
    """Return the inverse hyperbolic tangent; ±inf at ±1, nan beyond.

    >>> atanh(-1.0), atanh(2.0)
    (-inf, nan)
    """
    if -1.0 < x < 1.0:
        return math.atanh(x)
    return x * inf if abs(x) == 1.0 else nan


def floor(x: float) -> float:
    """Return the largest whole number not above x.

    >>> floor(-0.5), floor(inf)
    (-1.0, inf)
    """
    return copysign(float(math.floor(x)), x) if math.isfinite(x) else x


def ceil(x: float) -> float:
    """Return the smallest whole number not below x.

    >>> ceil(-0.5), ceil(1.5)
    (-0.0, 2.0)
    """
    return copysign(float(math.ceil(x)), x) if math.isfinite(x) else x


def sign(x: float) -> float:
    """Return -1, 0 or 1; nan for nan.

    >>> sign(-3.0), sign(0.0)
    (-1.0, 0.0)
    """
    if x > 0.0:
        return 1.0
    return -1.0 if x < 0.0 else x + 0.0


def step(x: float) -> float:
    """Return 1 where x > 0, else 0; nan for nan.

    >>> step(0.0), step(2.0)
    (0.0, 1.0)
    """
    if x > 0.0:
        return 1.0
    return x if isnan(x) else 0.0


def greater(x: float, y: float) -> float:
    """Return 1 where x > y, 0 where x < y, 1/2 at a tie.

    >>> greater(2.0, 1.0), greater(1.0, 1.0)
    (1.0, 0.5)
    """
    if x == y:
        return 0.5
    return 1.0 if x > y else 0.0 if x < y else nan


def less(x: float, y: float) -> float:
    """Return 1 where x < y, else 0.

    >>> less(1.0, 2.0), less(2.0, 2.0)
    (1.0, 0.0)
    """
    return 1.0 if x < y else 0.0


def within(x: float, lower: float, upper: float) -> float:
    """Return 1 where lower <= x <= upper, else 0.

    >>> within(1.0, 0.0, 1.0)
    1.0
    """
    return 1.0 if lower <= x <= upper else 0.0


def maximum(x: float, y: float) -> float:
    """Return the larger of two numbers; nan if either is.

    >>> maximum(1.0, nan)
    nan
    """
    return x if x >= y or isnan(x) else y


def minimum(x: float, y: float) -> float:
    """Return the smaller of two numbers; nan if either is.

    >>> minimum(1.0, 2.0)
    1.0
    """
    return x if x <= y or isnan(x) else y


def clamp(x: float, lower: float, upper: float) -> float:
    """Return x moved into [lower, upper]; `upper` where the two are the wrong way round.

    >>> clamp(3.0, -1.0, 1.0)
    1.0
    """
    return minimum(maximum(x, lower), upper)


def direction(x: float, y: float) -> float:
    """Return x / √(x² + y²), the cosine of the angle of (x, y); 0 at the origin.

    >>> direction(1e200, 1e200), direction(0.0, 0.0), direction(-inf, 1.0)
    (0.7071067811865475, 0.0, -1.0)
    """
    if isnan(x) or isnan(y):
        return nan
    if isinf(x) or isinf(y):
        x, y = (copysign(1.0, v) if isinf(v) else 0.0 for v in (x, y))
    scale = max(abs(x), abs(y))
    if scale == 0.0:
        return 0.0
    return (x / scale) / math.hypot(x / scale, y / scale)


def turn(x: float, y: float) -> float:
    """Return x / (x² + y²), the speed at which the angle of (x, y) turns with y; 0 at the origin.

    >>> turn(1e-200, 1e-200), turn(0.0, 0.0)
    (5e+199, 0.0)
    """
    radius = math.hypot(x, y)
    return 0.0 if radius == 0.0 else direction(x, y) / radius


def sech2(x: float) -> float:
    """Return 1 / cosh²x, with full accuracy where 1 − tanh²x has none left.

    >>> sech2(20.0)
    1.6993417021166355e-17
    """
    e = math.exp(-2.0 * abs(x))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


def gaussian(x: float, c: float) -> float:
    """Return exp(−c·x²); x is split so that squaring it loses nothing, which the exponential would blow up.

    >>> gaussian(0.0, 0.5), gaussian(inf, 1.0)
    (1.0, 0.0)
    """
    if not abs(x) < 1e3:
        return exp(-c * x * x)
    head = math.ldexp(round(math.ldexp(x, 16)), -16)  # at most 26 bits: head² is exact
    return exp(-c * head * head) * exp(-c * (x - head) * (x + head))


def sigmoid(x: float) -> float:
    """Return 1 / (1 + e⁻ˣ), accurate in both tails.

    >>> sigmoid(0.0), sigmoid(-40.0)
    (0.5, 4.248354255291589e-18)
    """
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = exp(x)
    return e / (1.0 + e)


def softplus(x: float) -> float:
    """Return log(1 + eˣ) without a threshold.

    >>> softplus(-40.0), softplus(inf)
    (4.248354255291589e-18, inf)
    """
    return math.log1p(math.exp(-abs(x))) + (x if x > 0.0 else 0.0)


def logsigmoid(x: float) -> float:
    """Return log σ(x) = −softplus(−x).

    >>> logsigmoid(1000.0), logsigmoid(-1000.0)
    (-0.0, -1000.0)
    """
    return -softplus(-x)


def softsign(x: float) -> float:
    """Return x / (1 + |x|).

    >>> softsign(-inf)
    -1.0
    """
    return copysign(1.0, x) if isinf(x) else x / (1.0 + abs(x))


def relu(x: float) -> float:
    """Return max(0, x); nan for nan.

    >>> relu(-1.0), relu(2.0)
    (0.0, 2.0)
    """
    return x if x > 0.0 or isnan(x) else 0.0


def leaky_relu(x: float, slope: float = 0.01) -> float:
    """Return x where x > 0, else slope·x.

    >>> leaky_relu(-2.0, 0.5)
    -1.0
    """
    return x if x > 0.0 else slope * x


def elu(x: float, alpha: float = 1.0) -> float:
    """Return x where x > 0, else alpha·(eˣ − 1).

    >>> elu(-inf)
    -1.0
    """
    return x if x > 0.0 else alpha * math.expm1(x)


def selu(x: float) -> float:
    """Return scale · elu(x, alpha) with the constants that keep activations normalised.

    >>> selu(1.0)
    1.0507009873554805
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def gelu(x: float) -> float:
    """Return x·Φ(x), Φ the normal distribution function (the exact form, not the tanh approximation).

    >>> gelu(0.0), gelu(-inf)
    (0.0, -0.0)
    """
    if x == -inf:
        return -0.0
    t = -x * _SQRT_HALF
    if not 1.0 < t < 26.6:
        return x * (0.5 * math.erfc(t))
    # erfc would blow up the rounding of t; erfc(t)·exp(t²) does not, and exp(−x²/2) takes x itself.
    return x * (0.5 * (math.erfc(t) / gaussian(t, 1.0)) * gaussian(x, 0.5))


def silu(x: float) -> float:
    """Return x·σ(x).

    >>> silu(0.0), silu(-inf)
    (0.0, -0.0)
    """
    return -0.0 if x == -inf else x * sigmoid(x)


# ---- many operands -------------------------------------------------------------------------------------


def sum(xs: Sequence[float]) -> float:
    """Return the sum, rounded once.

    >>> sum([0.1] * 10), sum([inf, -inf])
    (1.0, nan)
    """
    try:
        return math.fsum(xs)
    except OverflowError:  # on the way, not necessarily in the end
        return math.fsum([x * 2.0**-100 for x in xs]) * 2.0**100
    except ValueError:  # inf − inf
        return nan


def mean(xs: Sequence[float]) -> float:
    """Return the arithmetic mean.

    >>> mean([1.0, 2.0, 6.0])
    3.0
    """
    total = sum(xs)
    return total / len(xs) if math.isfinite(total) else sum([x / len(xs) for x in xs])


def prod(xs: Sequence[float]) -> float:
    """Return the product, left to right.

    >>> prod([2.0, 3.0, 4.0])
    24.0
    """
    return float(math.prod(xs))


def others(xs: Sequence[float]) -> list[float]:
    """Return, for each x, the product of all the others, without dividing; x may be anything that multiplies.

    >>> others([0.0, 2.0, 3.0])
    [6.0, 0.0, 0.0]
    """
    before, after = [1.0], [1.0]
    for x in xs[:-1]:
        before.append(before[-1] * x)
    for x in xs[:0:-1]:
        after.append(after[-1] * x)
    return [b * a for b, a in zip(before, reversed(after), strict=True)]


def _sumprod(xs: Sequence[float], ys: Sequence[float]) -> float:
    return builtins.sum(map(mul, xs, ys), 0.0)


sumprod: Callable[[Sequence[float], Sequence[float]], float] = getattr(math, "sumprod", _sumprod)  # Python 3.12 has it


def affine(w: Sequence[float], x: Sequence[float], b: float) -> float:
    """Return Σ w·x + b.

    >>> affine([1.0, 2.0], [3.0, 4.0], 0.5)
    11.5
    """
    return sumprod(w, x) + b


def maxout(xs: Sequence[float]) -> float:
    """Return the largest; nan if any is.

    >>> maxout([1.0, 3.0, 2.0])
    3.0
    """
    return nan if any(map(isnan, xs)) else max(xs)


def leads(xs: Sequence[float]) -> list[float]:
    """Return 1/k for each of the k largest, 0 for the others.

    >>> leads([1.0, 3.0, 3.0])
    [0.0, 0.5, 0.5]
    """
    top = maxout(xs)
    if isnan(top):
        return [nan] * len(xs)
    share = 1.0 / list(xs).count(top)
    return [share if x == top else 0.0 for x in xs]


def lead(x: float, rest: Sequence[float]) -> float:
    """Return what `leads` gives x beside the rest.

    >>> lead(3.0, [1.0, 2.0])
    1.0
    """
    return leads([x, *rest])[0]


def logsumexp(xs: Sequence[float]) -> float:
    """Return log Σ eˣ, shifted by the largest x, which is then left out of the sum so that tails survive.

    >>> logsumexp([0.0, -40.0]), logsumexp([-inf, 0.0]), logsumexp([1e308, 1e308])
    (4.248354255291589e-18, 0.0, 1e+308)
    """
    top = maxout(xs)
    if not math.isfinite(top):
        return top
    rest = list(xs)
    rest.remove(top)
    return top + math.log1p(math.fsum([math.exp(x - top) for x in rest]))


def softmax(xs: Sequence[float]) -> list[float]:
    """Return eˣ / Σ eˣ for each x; where the largest is infinite, the infinite ones share alike.

    >>> softmax([1e308, 1e308]), softmax([-inf, 0.0])
    ([0.5, 0.5], [0.0, 1.0])
    """
    top = maxout(xs)
    if not math.isfinite(top):
        return leads(xs)
    exps = [math.exp(x - top) for x in xs]
    total = math.fsum(exps)
    return [e / total for e in exps]


def share(x: float, rest: Sequence[float]) -> float:
    """Return what `softmax` gives x beside the rest.

    >>> share(0.0, [0.0])
    0.5
    """
    return softmax([x, *rest])[0]


# ---- the gamma family ----------------------------------------------------------------------------------


def gamma(x: float) -> float:
    """Return Γ(x); ±inf at ±0, nan at the negative whole numbers.

    >>> gamma(5.0), gamma(-0.0), gamma(200.0), gamma(-1.0)
    (24.0, -inf, inf, nan)
    """
    try:
        return math.gamma(x)
    except OverflowError:
        # Γ overflows on the right, and beside the poles, where it has the sign of (−1)^⌈−x⌉.
        return -inf if x < 0.0 and math.floor(x) % 2 else inf
    except ValueError:
        return copysign(inf, x) if x == 0.0 else nan


def lgamma(x: float) -> float:
    """Return log |Γ(x)|; inf at the poles. Relative accuracy holds at the zeros 1 and 2, not at the negative ones.

    Around its zeros the function is summed from its Taylor series at 2, lgamma(2+h) = Σ ψ⁽ᵏ⁻¹⁾(2)/k! · hᵏ, and
    lgamma(1+h) = lgamma(2+h) − log(1+h) (Abramowitz & Stegun 6.1.33).

    >>> lgamma(1.0), lgamma(2.0), lgamma(0.0), lgamma(-3.0)
    (0.0, 0.0, inf, inf)
    """
    if abs(x - 2.0) < 0.3:
        return _series(x - 2.0, _lgamma_at_2())
    if abs(x - 1.0) < 0.3:
        return _series(x - 1.0, _lgamma_at_2()) - math.log1p(x - 1.0)
    try:
        return math.lgamma(x)
    except (OverflowError, ValueError):
        return inf


def digamma(x: float) -> float:
    """Return ψ(x) = d/dx log Γ(x). Relative accuracy holds at the positive zero, not at the negative ones.

    Upward recurrence, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18); reflection below 0 (6.3.7);
    near the zero 1.4616… its Taylor series, the zero known to twice the precision of a float.

    >>> digamma(1.0), digamma(0.0), digamma(-1.0)
    (-0.5772156649015328, -inf, nan)
    """
    if x == 0.0:
        return copysign(inf, -x)
    if isinf(x):
        return x if x > 0.0 else nan
    if x < 0.0:
        return nan if x == math.floor(x) else digamma(1.0 - x) - math.pi * _cotangent(x)
    if abs(x - _ZERO) < 0.25:
        return _series((x - _ZERO) - _ZERO_REST, _digamma_at_zero())
    terms = []
    while x < 12.0:
        terms.append(-1.0 / x)
        x += 1.0
    terms += [math.log(x), -0.5 / x]
    terms += [-b / (2 * k * x ** (2 * k)) for k, b in enumerate(_BERNOULLI, 1)] if x < 1e8 else []
    return math.fsum(terms)


def polygamma(n: float, x: float) -> float:
    """Return the n-th derivative of ψ; nan unless n is a whole number from 1 to 150.

    Upward recurrence, then the asymptotic series (Abramowitz & Stegun 6.4.6, 6.4.11); reflection below 0 (6.4.7),
    the derivatives of the cotangent as polynomials in it.

    >>> polygamma(1.0, 1.0)
    1.6449340668482264
    """
    if not (1.0 <= n <= 150.0 and n == math.floor(n)):
        return nan
    order = int(n)
    parity = 1.0 if order % 2 else -1.0
    if isnan(x) or x == -inf:
        return nan
    if x == inf:
        return parity * 0.0
    if x <= 0.0 and x == math.floor(x):
        return inf if order % 2 else copysign(inf, -x) if x == 0.0 else nan
    if x < 0.0:
        return -parity * polygamma(n, 1.0 - x) - _cotangent_derivative(order, x)
    factorial = float(math.factorial(order))
    terms = []
    while x < order + 12.0:
        terms.append(factorial * pow(x, -n - 1.0))
        x += 1.0
    power = pow(x, -n)
    terms += [factorial / order * power, factorial / 2.0 * power / x]
    for k, b in enumerate(_BERNOULLI, 1):
        terms.append(b * float(math.factorial(2 * k + order - 1) // math.factorial(2 * k)) * pow(x, -2.0 * k) * power)
    return parity * sum(terms)


def _cotangent(x: float) -> float:
    """Return cot(πx), from whichever of its zero and its pole is nearer."""
    r = math.remainder(x, 1.0)
    return div(1.0, math.tan(math.pi * r)) if abs(r) <= 0.25 else copysign(math.tan(math.pi * (0.5 - abs(r))), r)


def _cotangent_derivative(n: int, x: float) -> float:
    """Return dⁿ/dxⁿ π·cot(πx), from c' = −π(1 + c²) applied n times to the polynomial c."""
    polynomial = [0, 1]
    for _ in range(n):
        derivative = [k * a for k, a in enumerate(polynomial)][1:]
        polynomial = [0] * (len(derivative) + 2)
        for k, a in enumerate(derivative):
            polynomial[k] -= a
            polynomial[k + 2] -= a
    c = _cotangent(x)
    return math.pi ** (n + 1) * sum([a * pow(c, float(k)) for k, a in enumerate(polynomial) if a])


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)  # B₂, B₄, …, B₁₆
_ZERO, _ZERO_REST = 1.4616321449683622, 9.549995429965697e-17  # ψ(_ZERO + _ZERO_REST) = 0
_cache: dict[str, list[float]] = {}


def _lgamma_at_2() -> list[float]:
    if "lgamma" not in _cache:
        _cache["lgamma"] = [digamma(2.0), *(polygamma(k - 1.0, 2.0) / math.factorial(k) for k in range(2, 24))]
    return _cache["lgamma"]


def _digamma_at_zero() -> list[float]:
    if "digamma" not in _cache:
        _cache["digamma"] = [polygamma(float(k), _ZERO) / math.factorial(k) for k in range(1, 24)]
    return _cache["digamma"]


def _series(h: float, coefficients: Sequence[float]) -> float:
    """Return Σ coefficients[k]·hᵏ⁺¹ by Horner's rule."""
    total = 0.0
    for c in reversed(coefficients):
        total = (total + c) * h
    return total
