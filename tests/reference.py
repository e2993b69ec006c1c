"""Independent answers for every row of the table: 50-digit arithmetic, and finite differences as a second witness.

A row's `Reference` is its mathematical definition written with mpmath, and the points at which to ask. Nothing here
imports the engine: derivatives are mpmath's differences of the definition, taken with so many digits that nothing
cancels, except in the gamma family, whose derivatives mpmath knows in closed form.
"""

import math
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

from mpmath.ctx_mp import MPContext

# ruff: noqa: E501 (the table: one row, one line)

__all__ = ["REFERENCES", "Reference", "close", "derivative", "exact", "flat", "like", "orders", "ridders"]

mp = MPContext()  # a context of our own: the precision of others stays as it is
mp.dps = 50

# To resolve a difference of tanh at 350, or of log at 5e-324, takes more digits than the exponents of both together.
HARD_DIGITS = 1100

SMALLEST, LARGEST = 5e-324, 1.7976931348623157e308
BELOW_1, ABOVE_1 = math.nextafter(1.0, 0.0), math.nextafter(1.0, 2.0)


class Reference(NamedTuple):
    """The definition of an operation over 50-digit numbers, and points to hold the operation to it.

    Operands are tuples, with a tuple for a sequence. No point is a kink or infinite: what holds there is a
    convention or a limit, and the tests list it. `nth`, from the operands and how often to differentiate by each,
    is for functions whose derivatives mpmath has itself.
    """

    value: Callable[..., Any]
    ordinary: tuple[tuple[Any, ...], ...]
    hard: tuple[tuple[Any, ...], ...] = ()
    nth: Callable[..., Any] | None = None


def unary(
    value: Callable[[Any], Any], ordinary: str, hard: str = "", nth: Callable[..., Any] | None = None
) -> Reference:
    """Make the reference of a function of one number from points written as text."""
    return Reference(value, *(tuple((number,) for number in numbers(text)) for text in (ordinary, hard)), nth)


def numbers(text: str) -> Iterator[float]:
    """Read numbers; ± gives both signs, and a few have names."""
    named = {"tiny": SMALLEST, "huge": LARGEST, "1-": BELOW_1, "1+": ABOVE_1}
    for word in text.split():
        size = word.lstrip("±-")
        number = named[size] if size in named else float(size)
        yield from {"±": (number, -number), "-": (-number,)}.get(word[0], (number,))


# ---- operands: a tuple, with tuples for sequences, and the same laid flat -------------------------------------------


def flat(operands: tuple[Any, ...]) -> list[Any]:
    """Lay the sequences among the operands flat."""
    return [x for group in operands for x in (group if isinstance(group, tuple) else (group,))]


def like(operands: tuple[Any, ...], values: Any) -> tuple[Any, ...]:
    """Arrange flat values as the operands are."""
    rest = iter(values)
    return tuple(tuple(next(rest) for _ in g) if isinstance(g, tuple) else next(rest) for g in operands)


def orders(by: list[int], count: int, order: int) -> list[tuple[int, ...]]:
    """Return every way to differentiate `order` times by the operands numbered in `by`, of `count` altogether."""
    return [tuple(c.count(k) for k in range(count)) for c in combinations_with_replacement(by, order)]


# ---- the two witnesses ----------------------------------------------------------------------------------------------


def exact(row: Reference, operands: tuple[Any, ...]) -> Any:
    """Return the value of the definition to 50 digits; nan where it is not real."""
    return _real(row.value(*like(operands, map(mp.mpf, flat(operands)))))


def derivative(
    row: Reference, operands: tuple[Any, ...], by: tuple[int, ...], digits: int = 50, direction: int = 0
) -> Any:
    """Return the derivative of the definition, `by[k]` times with respect to the k-th flat operand.

    A direction of −1 or 1 gives the one from that side.
    """
    xs = list(map(mp.mpf, flat(operands)))
    if row.nth is not None:
        return _real(row.nth(*xs, by))
    varied = [k for k, n in enumerate(by) if n]

    def along(*moved: Any) -> Any:
        values = list(xs)
        for k, x in zip(varied, moved, strict=True):
            values[k] = x
        return row.value(*like(operands, values))

    with mp.workdps(digits):
        found = mp.diff(along, tuple(xs[k] for k in varied), tuple(by[k] for k in varied), direction=direction)
        return _real(mp.chop(found, mp.mpf(10) ** (-digits // 2)))  # what is left where differences cancel is 0


def _real(z: Any) -> Any:
    return mp.nan if mp.im(z) else mp.re(z)


def ridders(f: Callable[[float], float], x: float, step: float, levels: int = 8) -> float:
    """Return f'(x) from floats alone: central differences, the step halved and extrapolated to 0.

    Ridders, Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4 (1982). Of the tableau
    the entry that differs least from its neighbours is the answer.
    """
    best, error = math.nan, math.inf
    previous: list[float] = []
    for level in range(levels):
        h = step / 2.0**level
        row = [(f(x + h) - f(x - h)) / ((x + h) - (x - h))]
        for k, before in enumerate(previous, 1):
            row.append(row[-1] + (row[-1] - before) / (4.0**k - 1.0))
            change = max(abs(row[k] - row[k - 1]), abs(row[k] - before))
            if change < error:
                best, error = row[k], change
        previous = row
    return best


def close(got: float, wanted: Any, rtol: float) -> bool:
    """Say whether a float is within rtol of a 50-digit number, or as near as floats come where they end.

    Below the normal floats four of the smallest may be lost; beyond the largest, inf is right.
    """
    if mp.isnan(wanted) or math.isnan(got):
        return bool(mp.isnan(wanted)) and math.isnan(got)
    if math.isinf(got):
        return bool(mp.sign(wanted) == math.copysign(1.0, got) and abs(wanted) >= mp.mpf(LARGEST) * (1 - rtol))
    return bool(abs(mp.mpf(got) - wanted) <= rtol * abs(wanted) + 4 * mp.mpf(SMALLEST))


# ---- the definitions ------------------------------------------------------------------------------------------------


def _step(x: Any) -> Any:
    return mp.mpf(1 if x > 0 else 0)


def _elu(x: Any, alpha: Any) -> Any:
    return x if x > 0 else alpha * mp.expm1(x)


def _sech2(x: Any) -> Any:
    return mp.sech(x) ** 2


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(-abs(x))) + max(x, 0)


def _logsumexp(xs: Any) -> Any:
    first, *rest = sorted(xs, reverse=True)
    return first + mp.log1p(mp.fsum(mp.exp(x - first) for x in rest))


def _share(x: Any, rest: Any) -> Any:
    return 1 / (1 + mp.fsum(mp.exp(y - x) for y in rest))


def _lead(x: Any, rest: Any) -> Any:
    count = sum(y == x for y in rest) + 1
    return mp.mpf(0) if any(y > x for y in rest) else mp.mpf(1) / count


def _pow_partial(x: Any, y: Any, k: Any, j: Any) -> Any:
    """∂ᵏ⁺ʲ(xʸ)/∂xᵏ∂yʲ = ∂ʲ/∂yʲ [y(y−1)…(y−k+1)·xʸ⁻ᵏ]."""
    return mp.diff(lambda t: mp.ff(t, k) * mp.power(x, t - k), y, int(j)) if j else mp.ff(y, k) * mp.power(x, y - k)


def _psi(order: Any) -> Callable[..., Any]:
    return lambda x, by: mp.polygamma(order + by[0], x)


def _gamma_nth(x: Any, by: tuple[int, ...]) -> Any:
    """Γ⁽ⁿ⁺¹⁾ = Σ C(n, k) Γ⁽ⁿ⁻ᵏ⁾ ψ⁽ᵏ⁾, from Γ' = Γψ."""
    found = [mp.gamma(x)]
    for n in range(by[0]):
        found.append(mp.fsum(math.comb(n, k) * found[n - k] * mp.polygamma(k, x) for k in range(n + 1)))
    return found[-1]


def _density_nth(x: Any, n: int) -> Any:
    """Return the n-th derivative of the normal density φ: (−1)ⁿ Heₙ φ, where Heₙ(x) = 2^(−n/2) Hₙ(x/√2)."""
    return (-1) ** n * mp.hermite(n, x / mp.sqrt(2)) / mp.mpf(2) ** (mp.mpf(n) / 2) * mp.npdf(x)


def _erf_nth(x: Any, by: tuple[int, ...]) -> Any:
    """erf' = 2/√π e^(−x²), whose n-th derivative is (−1)ⁿ Hₙ times it."""
    n = by[0] - 1
    return (-1) ** n * mp.hermite(n, x) * 2 / mp.sqrt(mp.pi) * mp.exp(-x * x)


def _gelu_nth(x: Any, by: tuple[int, ...]) -> Any:
    """(x·Φ)⁽ⁿ⁾ = x Φ⁽ⁿ⁾ + n Φ⁽ⁿ⁻¹⁾, and Φ' = φ."""
    n = by[0]
    return x * _density_nth(x, n - 1) + n * (_density_nth(x, n - 2) if n > 1 else mp.erfc(-x / mp.sqrt(2)) / 2)


# fmt: off
SELU_ALPHA, SELU_SCALE = mp.mpf(1.6732632423543772), mp.mpf(1.0507009873554805)

REFERENCES: dict[str, Reference] = {
    "add": Reference(lambda x, y: x + y, ((2.5, -0.7), (-3.0, 8.0)), ((1e16, 1.0), (1e308, 1e308), (SMALLEST, -SMALLEST), (1.0, -BELOW_1))),
    "sub": Reference(lambda x, y: x - y, ((2.5, -0.7), (-3.0, 8.0)), ((1e308, -1e308), (SMALLEST, 1e-310), (1.0, BELOW_1))),
    "mul": Reference(lambda x, y: x * y, ((2.5, -0.7), (-3.0, 8.0)), ((1e200, 1e200), (1e-200, 1e-120), (1e308, 1e-308))),
    "div": Reference(lambda x, y: x / y, ((2.5, -0.7), (-3.0, 8.0)), ((1e-200, 1e-200), (1e200, 1e-200), (1e-300, 1e300), (1.0, SMALLEST), (SMALLEST, 3.0), (1e300, 1e200))),
    "neg": unary(lambda x: -x, "±2.5", "±tiny ±huge"),
    "pos": unary(lambda x: +x, "±2.5", "±tiny ±huge"),
    "abs": unary(abs, "±2.5 ±0.3", "±tiny ±huge"),
    "power": Reference(mp.power, ((2.5, 3.0), (2.5, -1.5), (0.3, 0.5), (-1.7, 2.0), (-1.7, 3.0), (-1.7, -1.0), (3.0, 0.0), (3.0, 1.0)), ((1e200, 2.0), (-1e200, 3.0), (1e-160, 2.0), (1e-200, -1.0), (ABOVE_1, 1e15), (BELOW_1, 1e17), (0.0, 3.0), (0.0, 2.0), (0.0, 1.0), (0.0, 0.0), (-2.0, 0.5), (SMALLEST, 0.5), (10.0, 308.25), (1e-155, 3.0))),
    "pow": Reference(mp.power, ((2.5, 3.0), (2.5, -1.5), (0.3, 0.5), (1.7, 0.0), (1.0, 2.0)), ((1e200, 1.5), (1e-150, 2.0), (1e-200, -1.0), (ABOVE_1, 1e15), (BELOW_1, 1e17), (1.5, -1700.0), (SMALLEST, 0.5))),
    "square": unary(lambda x: x * x, "±2.5 0.3", "0 ±1e-160 1e154 ±1e200 huge"),
    "reciprocal": unary(lambda x: 1 / x, "±2.5 0.3", "±tiny ±1e-200 1e155 huge"),

    "exp": unary(mp.exp, "±2.5 0.3", "0 ±tiny ±1e-9 ±30 700 709.7 709.8 -700 -740 -745.1 -746 ±1e17 ±huge"),
    "exp2": unary(lambda x: mp.power(2, x), "±2.5 0.3", "0 ±tiny ±1e-9 ±30.3 1023.9 -1022.5 -1074 -1076 ±huge"),
    "expm1": unary(mp.expm1, "±2.5 0.3", "0 ±tiny ±1e-9 ±1e-300 ±37 709.7 710 -745 ±huge"),
    "log": unary(mp.log, "2.5 0.3", "tiny 1e-300 1e-9 1- 1+ 1e300 huge"),
    "log2": unary(lambda x: mp.log(x) / mp.log(2), "2.5 0.3", "tiny 1e-300 1e-9 1- 1+ 1e300 huge"),
    "log10": unary(lambda x: mp.log(x) / mp.log(10), "2.5 0.3", "tiny 1e-300 1e-9 1- 1+ 1e300 huge"),
    "log1p": unary(mp.log1p, "2.5 ±0.3", "±tiny ±1e-300 ±1e-9 -1- 1e300 huge"),
    "sqrt": unary(mp.sqrt, "2.5 0.3", "tiny 1e-310 1e-300 1- 1e300 huge"),
    "cbrt": unary(lambda x: mp.sign(x) * mp.cbrt(abs(x)), "±2.5 ±0.3", "±1e-150 ±1e-300 ±tiny ±1e300 ±huge"),

    "sin": unary(mp.sin, "±2.5 0.3", "0 ±tiny ±1e-9 3.141592653589793 ±1e17 1e300 huge"),
    "cos": unary(mp.cos, "±2.5 0.3", "0 ±tiny ±1e-9 1.5707963267948966 ±1e17 1e300 huge"),
    "tan": unary(mp.tan, "±2.5 0.3", "0 ±tiny ±1e-9 1.5707963267948966 3.141592653589793 ±1e17 huge"),
    "asin": unary(mp.asin, "±0.7 0.3", "0 ±tiny ±1e-9 ±1- ±0.9999999"),
    "acos": unary(mp.acos, "±0.7 0.3", "0 ±tiny ±1e-9 ±1- ±0.9999999"),
    "atan": unary(mp.atan, "±2.5 0.3", "0 ±tiny ±1e-9 ±1e8 ±1e17 ±1e160 ±huge"),
    "atan2": Reference(mp.atan2, ((0.7, 2.5), (-0.7, 2.5), (0.7, -2.5), (-0.7, -2.5), (2.0, 0.0)), ((1e-200, 1e-200), (1e200, 1e200), (1e-300, 1e300), (1e300, 1e-300), (1e200, -1e190), (SMALLEST, 1.0), (0.0, 1.0), (-1e-9, -1.0))),
    "hypot": Reference(mp.hypot, ((0.7, 2.5), (-0.7, -2.5), (0.0, 2.0)), ((1e-200, 1e-200), (1e200, 1e200), (1e-300, 1e300), (1e308, 1e308), (1e200, -1e190), (SMALLEST, SMALLEST), (1e-310, 2e-310))),
    "sinh": unary(mp.sinh, "±2.5 0.3", "0 ±tiny ±1e-9 ±40 ±709 ±710.4 ±711 ±huge"),
    "cosh": unary(mp.cosh, "±2.5 0.3", "0 ±tiny ±1e-9 ±40 ±709 ±710.4 ±711 ±huge"),
    "tanh": unary(mp.tanh, "±2.5 0.3", "0 ±tiny ±1e-9 ±10 ±20 ±40 ±300 ±372 ±1e17 ±huge"),
    "asinh": unary(mp.asinh, "±2.5 0.3", "0 ±tiny ±1e-9 ±1e8 ±1e160 ±huge"),
    "acosh": unary(mp.acosh, "2.5 1.3", "1+ 1.0000001 1e8 1e160 huge"),
    "atanh": unary(mp.atanh, "±0.7 0.3", "0 ±tiny ±1e-9 ±1- ±0.9999999"),

    "erf": unary(mp.erf, "±1.5 0.3", "0 ±tiny ±1e-9 ±3 ±6 ±15 ±26 ±26.4 ±40 ±1e17", _erf_nth),
    "erfc": unary(mp.erfc, "±1.5 0.3", "0 ±tiny ±1e-9 ±3 ±6 ±15 ±26 ±26.4 ±40 ±1e17", lambda x, by: -_erf_nth(x, by)),
    "gamma": unary(mp.gamma, "2.5 0.3 -0.7 -2.4 7", "±tiny ±1e-300 ±1e-9 1 2 1.4616321449683622 100.5 170.6 171.7 -100.5 -170.5 -1.0000001 -180.5 1e17", _gamma_nth),
    "lgamma": unary(lambda x: mp.re(mp.loggamma(x)), "2.5 0.3 -0.7 -2.4 7", "±tiny ±1e-300 ±1e-9 1- 1+ 1.0000001 1.9999999 1.4616321449683622 0.7 1.3 2.3 100.5 -100.5 1e17 1e305 huge", lambda x, by: mp.polygamma(by[0] - 1, x)),
    "digamma": unary(mp.digamma, "2.5 0.3 -0.7 -2.4 7", "±tiny ±1e-300 ±1e-9 1 1.4616321449683622 1.46 1.2116 1.72 11.9 12.1 100.5 -100.3 1e8 1e17 1e300 huge", _psi(0)),
    "polygamma": Reference(mp.polygamma, ((1.0, 2.5), (1.0, 0.3), (1.0, -0.7), (2.0, -2.4), (3.0, 7.0), (4.0, 0.9)), tuple((n, x) for n in (1.0, 2.0, 5.0, 9.0) for x in (1e-9, -1e-9, 1e-200, -1e-200, SMALLEST, -SMALLEST, 11.9, 25.0, -3.3, -100.3, 1e8, 1e17, 1e300)), lambda n, x, by: mp.polygamma(n + by[1], x)),

    "sign": unary(mp.sign, "±2.5", "±tiny ±huge"),
    "floor": unary(mp.floor, "±2.5 0.3", "±tiny 1- 123456789.5"),
    "ceil": unary(mp.ceil, "±2.5 0.3", "±tiny 1- 123456789.5"),
    "maximum": Reference(max, ((2.5, -0.7), (-3.0, 8.0)), ((1.0, BELOW_1), (SMALLEST, 0.0), (1e308, -1e308))),
    "minimum": Reference(min, ((2.5, -0.7), (-3.0, 8.0)), ((1.0, BELOW_1), (SMALLEST, 0.0), (1e308, -1e308))),
    "clamp": Reference(lambda x, lower, upper: min(max(x, lower), upper), ((0.5, -1.0, 2.0), (-3.0, -1.0, 2.0), (3.0, -1.0, 2.0)), ((BELOW_1, -1.0, 1.0), (ABOVE_1, -1.0, 1.0), (0.5, 2.0, 1.0), (3.0, 2.0, 1.0), (1e308, -1.0, 1.0))),
    "where": Reference(lambda condition, x, y: x if condition else y, ((1.0, 2.5, -0.7), (-0.5, 2.5, -0.7)), ((SMALLEST, 1e308, 2.0),)),

    "relu": unary(lambda x: max(x, 0), "±2.5 0.3", "±tiny ±huge"),
    "leaky_relu": Reference(lambda x, slope: x if x > 0 else slope * x, ((2.5, 0.01), (-2.5, 0.01), (-0.3, 0.2)), ((SMALLEST, 0.5), (-1e-300, 0.01), (-1e300, 0.01), (1e300, 0.01))),
    "elu": Reference(_elu, ((2.5, 1.0), (-2.5, 1.0), (-0.3, 1.7)), ((SMALLEST, 1.0), (-SMALLEST, 1.0), (-1e-9, 1.3), (-40.0, 1.3), (-700.0, 1.3), (-1e300, 1.0), (800.0, 1.0), (1e300, 1.0))),
    "selu": unary(lambda x: SELU_SCALE * _elu(x, SELU_ALPHA), "±2.5 ±0.3", "±1e-9 ±40 ±700 ±1e300"),
    "gelu": unary(lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2, "±2.5 ±0.3", "0 ±tiny ±1e-9 ±5 ±8 ±15 ±20 ±30 ±37 ±40 ±1e17", _gelu_nth),
    "silu": unary(lambda x: x * _sigmoid(x), "±2.5 ±0.3", "0 ±tiny ±1e-9 ±20 ±40 ±300 ±700 ±1e17 ±1e300"),
    "sigmoid": unary(_sigmoid, "±2.5 ±0.3", "0 ±tiny ±1e-9 ±20 ±37 ±40 ±300 ±700 ±740 ±1e17 ±1e300"),
    "logsigmoid": unary(lambda x: -_softplus(-x), "±2.5 ±0.3", "0 ±tiny ±1e-9 ±20 ±37 ±40 ±300 ±700 ±740 ±1e17 ±1e300"),
    "softplus": unary(_softplus, "±2.5 ±0.3", "±tiny ±1e-9 ±20 ±37 ±40 ±300 ±700 ±740 ±1e17 ±1e300"),
    "softsign": unary(lambda x: x / (1 + abs(x)), "±2.5 ±0.3", "±tiny ±1e-9 ±1e8 ±1e17 ±1e200 ±huge"),

    "sum": Reference(lambda xs: mp.fsum(xs), (((2.5, -0.7, 1.1),), ((2.5,),)), (((1e16, 1.0, -1e16),), ((0.1,) * 10,), ((1e308, 1e308),))),
    "mean": Reference(lambda xs: mp.fsum(xs) / len(xs), (((2.5, -0.7, 1.1),), ((2.5,),)), (((1e16, 1.0, -1e16),), ((0.1,) * 10,))),
    "prod": Reference(lambda xs: mp.fprod(xs), (((2.5, -0.7, 1.1),), ((2.5,),)), (((0.0, 2.0, 3.0),), ((0.0, 0.0, 3.0),), ((1e300, 1e-300, 2.0),))),
    "dot": Reference(lambda w, x: mp.fdot(w, x), (((2.5, -0.7), (1.1, 0.3)), ((2.5,), (-3.0,))), (((1e200, 1.0), (1e200, 1.0)), ((0.0, 1e-200), (1e300, 1e-100)))),
    "affine": Reference(lambda w, x, b: mp.fdot(w, x) + b, (((2.5, -0.7), (1.1, 0.3), 0.2), ((2.5,), (-3.0,), 1.0)), (((1e200, 1.0), (1e200, 1.0), 1.0), ((1e-200,), (1e-100,), SMALLEST))),
    "logsumexp": Reference(_logsumexp, (((2.5, -0.7, 1.1),), ((2.5,),), ((0.3, -1.2),)), (((0.0, -40.0),), ((0.0, -700.0, -710.0),), ((1e308, 1e308),), ((-1000.0, -1001.0),), ((800.0, 801.0, -5.0),), ((SMALLEST, -1e17),))),
    "maxout": Reference(lambda xs: max(xs), (((2.5, -0.7, 3.1),), ((2.5,),)), (((1.0, BELOW_1, -1e308),),)),

    "sech2": unary(_sech2, "±1.5 0.3", "0 ±tiny ±1e-9 ±20 ±40 ±300 ±354 ±372 ±1e17 ±huge"),
    "gaussian": Reference(lambda x, c: mp.exp(-c * x * x), ((1.5, 1.0), (-0.3, 0.5)), tuple((x, c) for c in (0.5, 1.0) for x in (0.0, SMALLEST, 1e-9, 5.3, -15.7, 26.1, 37.3, 40.0, 999.0, 1e17, -1e300))),
    "one_minus_square": unary(lambda x: (1 - x) * (1 + x), "±2.5 0.3", "0 ±tiny ±1e-9 ±1- ±1+ 1e150"),
    "nonnegative": unary(lambda x: x if x >= 0 else mp.nan, "2.5 0.3", "tiny 1e300 huge"),
    "direction": Reference(lambda x, y: x / mp.hypot(x, y), ((0.7, 2.5), (-0.7, -2.5), (2.0, 0.0)), ((1e-200, 1e-200), (1e200, 1e200), (1e-300, 1e300), (1e308, 1e308), (SMALLEST, SMALLEST), (1e-310, 2e-310), (1e200, 1e190))),
    "turn": Reference(lambda x, y: x / (x * x + y * y), ((0.7, 2.5), (-0.7, -2.5), (2.0, 0.1)), ((1e-200, 1e-200), (1e200, 1e200), (1e-300, 1e300), (1e150, 1e-150), (1e-320, 1e-100))),
    "pow_partial": Reference(_pow_partial, ((2.5, 3.0, 1.0, 0.0), (2.5, -1.5, 0.0, 1.0), (0.3, 0.5, 1.0, 1.0), (0.3, 0.5, 2.0, 1.0)), ((1e200, 1.5, 0.0, 1.0), (1e-160, 2.0, 1.0, 0.0), (ABOVE_1, 1e15, 0.0, 2.0)), lambda x, y, k, j, by: _pow_partial(x, y, k + by[0], j + by[1])),
    "step": unary(_step, "±2.5", "±tiny ±huge"),
    "nonzero": unary(lambda x: mp.mpf(1 if x else 0), "±2.5", "±tiny ±huge"),
    "greater": Reference(lambda x, y: (1 + mp.sign(x - y)) / 2, ((2.5, -0.7), (-3.0, 8.0)), ((1.0, BELOW_1), (0.0, SMALLEST))),
    "less": Reference(lambda x, y: _step(y - x), ((2.5, -0.7), (-3.0, 8.0)), ((1.0, BELOW_1), (0.0, SMALLEST))),
    "within": Reference(lambda x, lower, upper: mp.mpf(lower <= x <= upper), ((0.5, -1.0, 2.0), (-3.0, -1.0, 2.0), (3.0, -1.0, 2.0)), ((ABOVE_1, -1.0, 1.0), (0.5, 2.0, 1.0))),
    "share": Reference(_share, ((2.5, (-0.7, 1.1)), (0.3, (1.2,))), ((0.0, (-40.0,)), (-40.0, (0.0,)), (-700.0, (0.0, 1.0)), (1e308, (-1e308,)), (-745.0, (0.0,)), (3.0, (-36.0, -37.0)))),
    "lead": Reference(_lead, ((2.5, (-0.7, 1.1)), (0.3, (1.2,))), ((1.0, (BELOW_1,)), (BELOW_1, (1.0, -1e308)))),
}
# fmt: on
