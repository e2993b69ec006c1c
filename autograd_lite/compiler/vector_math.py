"""Define the rows of the table as LLVM functions on vectors of doubles.

A formula is written once, in Python, on `Term`s: names of values in LLVM's text, whose operators append one
instruction each. Nothing is assumed away: no fast-math flag is set, nan, inf, signed zeros and subnormal numbers
come out as in `ieee`, and a product is contracted with a sum only where the formula says `fma`.

The elementary functions follow the textbook: reduce the argument to a short interval with a constant split in two
(Cody & Waite, Software Manual for the Elementary Functions, 1980), evaluate a polynomial of least maximum error
there, and carry the rounding error of the leading terms along (Dekker 1971; Tang, Table-driven implementation of
the exponential function, 1989; the logarithm's form in s = f/(2 + f) is fdlibm's). All lanes take the same path.
What is rare in a training loop is left to the C library, one lane at a time.

Legend: a `_low` is the rounding error of the term it is named after; n, k are whole numbers held in doubles.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from math import inf, nan
from typing import NamedTuple

from .. import ieee, ops
from ..op import Op
from . import primitives

__all__ = ["INTRINSICS", "LIBM", "available", "definitions", "has_code"]

LIBM: dict[str, int] = {
    "acos": 1, "acosh": 1, "asin": 1, "asinh": 1, "atan": 1, "atan2": 2, "atanh": 1, "cbrt": 1, "cos": 1, "pow": 2,
    "sin": 1, "tan": 1,
}  # fmt: skip
"""The C library's functions that a definition may call, and how many doubles each takes."""

INTRINSICS: dict[str, int] = {
    "ceil": 1, "copysign": 2, "fabs": 1, "floor": 1, "fma": 3, "maxnum": 2, "minnum": 2, "rint": 1, "sqrt": 1,
}  # fmt: skip
"""LLVM's intrinsics that `definitions` always declares at its vector type, and how many operands each takes."""

_PURE = "nounwind willreturn memory(none)"


# ---- terms: the text of a formula -----------------------------------------------------------------------


class Term:
    """Name one value in the text of a function: a vector of doubles, of 64-bit integers ("i64") or of bits ("i1").

    Operators append an instruction and give the term that names its result. Numbers become constants. `<` and its
    kin are false where an operand is nan.
    """

    __slots__ = ("body", "kind", "text")

    def __init__(self, body: Body, kind: str, text: str) -> None:
        self.body = body
        self.kind = kind
        self.text = text

    @property
    def typed(self) -> str:
        """The term with its type in front, as an operand is written."""
        return f"{self.body.type_of(self.kind)} {self.text}"

    def _with(self, other: Operand, double: str, integer: str = "", kind: str = "") -> Term:
        right = self.body.term(other, self.kind)
        code = double if self.kind == "double" else integer
        return self.body.append(kind or self.kind, f"{code} {self.typed}, {right.text}")

    def __add__(self, other: Operand) -> Term:
        return self._with(other, "fadd", "add")

    def __sub__(self, other: Operand) -> Term:
        return self._with(other, "fsub", "sub")

    def __mul__(self, other: Operand) -> Term:
        return self._with(other, "fmul")

    def __truediv__(self, other: Operand) -> Term:
        return self._with(other, "fdiv")

    def __radd__(self, other: float) -> Term:
        return self.body.term(other, self.kind) + self

    def __rsub__(self, other: float) -> Term:
        return self.body.term(other, self.kind) - self

    def __rmul__(self, other: float) -> Term:
        return self.body.term(other, self.kind) * self

    def __rtruediv__(self, other: float) -> Term:
        return self.body.term(other, self.kind) / self

    def __neg__(self) -> Term:
        return self.body.append("double", f"fneg {self.typed}")

    def __and__(self, other: Operand) -> Term:
        return self._with(other, "", "and")

    def __or__(self, other: Operand) -> Term:
        return self._with(other, "", "or")

    def __xor__(self, other: Operand) -> Term:
        return self._with(other, "", "xor")

    def __lshift__(self, other: int) -> Term:
        return self._with(other, "", "shl")

    def __rshift__(self, other: int) -> Term:
        return self._with(other, "", "lshr")

    def __lt__(self, other: Operand) -> Term:
        return self._with(other, "fcmp olt", kind="i1")

    def __le__(self, other: Operand) -> Term:
        return self._with(other, "fcmp ole", kind="i1")

    def __gt__(self, other: Operand) -> Term:
        return self._with(other, "fcmp ogt", kind="i1")

    def __ge__(self, other: Operand) -> Term:
        return self._with(other, "fcmp oge", kind="i1")

    def equals(self, other: Operand) -> Term:
        """Return where the two are equal; nan is not."""
        return self._with(other, "fcmp oeq", "icmp eq", kind="i1")

    def is_nan(self) -> Term:
        """Return where the term is nan."""
        return self._with(self, "fcmp uno", kind="i1")

    @property
    def bits(self) -> Term:
        """The same 64 bits as an integer."""
        return self.body.append("i64", f"bitcast {self.typed} to {self.body.type_of('i64')}")

    @property
    def double(self) -> Term:
        """The same 64 bits as a double."""
        return self.body.append("double", f"bitcast {self.typed} to {self.body.type_of('double')}")


Operand = Term | float
Formula = Callable[..., Term]


class Body:
    """Collect the instructions of one function on vectors of so many lanes, and what it calls."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.lines: list[str] = []
        self.libm: set[str] = set()
        self._count = 0
        self._label = "entry"

    def type_of(self, kind: str) -> str:
        """Return the type of a vector of that kind."""
        return f"<{self.lanes} x {kind}>"

    def term(self, x: Operand, kind: str = "double") -> Term:
        """Return x itself, or the constant x on all lanes."""
        if isinstance(x, Term):
            return x
        value = f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016X}" if kind == "double" else str(int(x))
        return Term(self, kind, f"splat ({kind} {value})")

    def append(self, kind: str, instruction: str) -> Term:
        """Append an instruction and return the term that names its result."""
        self._count += 1
        self.lines.append(f"  %t{self._count} = {instruction}")
        return Term(self, kind, f"%t{self._count}")

    def call(self, function: str, *operands: Operand) -> Term:
        """Call a function from doubles to a double."""
        arguments = ", ".join(self.term(x).typed for x in operands)
        return self.append("double", f"call {self.type_of('double')} {function}({arguments})")

    def intrinsic(self, name: str, *operands: Operand) -> Term:
        """Call one of LLVM's INTRINSICS."""
        return self.call(f"@llvm.{name}.v{self.lanes}f64", *operands)

    def call_libm(self, name: str, *operands: Operand) -> Term:
        """Call one of LIBM, one lane after the other."""
        self.libm.add(name)
        return self.call(f"@al.libm.{name}", *operands)

    def branch(self, condition: Term, then: Callable[[], Term], otherwise: Callable[[], Term]) -> Term:
        """Return then() if the condition holds on all lanes, else otherwise(); only one of them is run."""
        whole = f"i{self.lanes}"
        bits = self.append(whole, f"bitcast {condition.typed} to {whole}")
        every = self.append("i1", f"icmp eq {whole} {bits.text}, -1")
        self._count += 1
        yes, no, end = (f"{name}{self._count}" for name in ("then", "else", "end"))
        self.lines.append(f"  br i1 {every.text}, label %{yes}, label %{no}")
        arms = []
        for label, arm in ((yes, then), (no, otherwise)):
            self._begin(label)
            result = arm()
            arms.append(f"[ {result.text}, %{self._label} ]")
            self.lines.append(f"  br label %{end}")
        self._begin(end)
        return self.append("double", f"phi {self.type_of('double')} {', '.join(arms)}")

    def _begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self._label = label


def _body(*operands: Operand) -> Body:
    return next(x.body for x in operands if isinstance(x, Term))


def fma(x: Operand, y: Operand, z: Operand) -> Term:
    """Return x·y + z, rounded once."""
    return _body(x, y, z).intrinsic("fma", x, y, z)


def select(condition: Term, x: Operand, y: Operand) -> Term:
    """Return x where the condition holds, else y."""
    body = condition.body
    kind = next((v.kind for v in (x, y) if isinstance(v, Term)), "double")
    return body.append(kind, f"select {condition.typed}, {body.term(x, kind).typed}, {body.term(y, kind).typed}")


def magnitude(x: Term) -> Term:
    """Return |x|."""
    return x.body.intrinsic("fabs", x)


def copysign(x: Operand, y: Term) -> Term:
    """Return |x| with the sign of y."""
    return y.body.intrinsic("copysign", x, y)


def root(x: Term) -> Term:
    """Return √x, rounded once."""
    return x.body.intrinsic("sqrt", x)


def libm(name: str) -> Formula:
    """Return the formula that is the C library's function of that name."""

    def formula(x: Term, *others: Term) -> Term:
        return x.body.call_libm(name, x, *others)

    return formula


def at_least(x: Term, low: float) -> Term:
    """Return the larger of the two; nan for nan."""
    return select(x < low, low, x)


def at_most(x: Term, high: float) -> Term:
    """Return the smaller of the two; nan for nan."""
    return select(x > high, high, x)


def polynomial(x: Term, coefficients: Sequence[float]) -> Term:
    """Return Σ coefficients[k]·xᵏ, in pairs (Estrin's scheme), so that the sums don't wait for each other."""
    terms: list[Operand] = list(coefficients)
    while len(terms) > 1:
        pairs: list[Operand] = [fma(x, high, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
        x = x * x
    return _body(x).term(terms[0])


# ---- constants ------------------------------------------------------------------------------------------

SHIFT = 1.5 * 2.0**52  # adding it rounds to a whole number and leaves that in the lowest bits
FRACTION, SIGN = (1 << 52) - 1, -1 << 63
TINY = 2.0**-1022  # the smallest normal number

LN2, LN2_REST = 0.6931471805599453, 2.3190468138462996e-17
PER_LN2 = 1.4426950408889634
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
ROOT_HALF, ROOT_HALF_REST = 0.7071067811865476, -4.833646656726457e-17
PI_HALF = (
    float.fromhex("0x1.921fb54442d18p+0"),
    float.fromhex("0x1.1a62633145c07p-54"),
    float.fromhex("-0x1.f1976b7ed8fbcp-110"),
)

# Polynomials of least maximum error relative to the function they are part of, fitted by Remez' exchange algorithm:
# (eʳ − 1 − r)/r² for |r| ≤ log(2)/2, error 2⁻⁵⁵ of eʳ − 1; the same of 2ʳ for |r| ≤ 1/2, error 2⁻⁵⁸ of 2ʳ;
# (log((1+s)/(1−s)) − 2s)/s³ in s², to s² = 0.0295 and 2⁻⁵⁸, and to s² = 0.04 and 2⁻⁶¹;
# erf(x)/x in x² for |x| ≤ 3/4, 2⁻⁶⁰; eˣ²·erfc(x)·(1 + 2x) in (x − 15/4)/(x + 15/4) for x ≥ 0, 2⁻⁵⁹;
# (sin r − r)/r³ and (cos r − 1 + r²/2)/r⁴ in r² for |r| ≤ π/4, 2⁻⁵⁸; likewise sinh, cosh for |r| ≤ log(2)/2, 2⁻⁵⁷.
EXP = (
    0.5000000000000006, 0.16666666666666588, 0.041666666666576105, 0.008333333333389955, 0.0013888888931795373,
    0.0001984126971836995, 2.4801504978366653e-05, 2.755740782835177e-06, 2.7626161631192867e-07,
    2.505379072033747e-08,
)  # fmt: skip
EXP2 = (
    0.24022650695910133, 0.05550410866482169, 0.009618129107593592, 0.0013333558146386675, 0.00015403530457809675,
    1.5252733862534188e-05, 1.3215434932808224e-06, 1.0178048010647986e-07, 7.073842559386883e-09,
    4.4572039448237166e-10,
)  # fmt: skip
LOG = (
    0.6666666666666734, 0.39999999999414304, 0.2857142874247805, 0.22222198563197176, 0.18183564879563516,
    0.15314035555598027, 0.14796107793018992,
)  # fmt: skip
LOG_WIDE = (
    0.666666666666666, 0.4000000000005695, 0.28571428555767797, 0.22222224302854274, 0.18181665512331252,
    0.15391123358472647, 0.13173413242210774, 0.1384426879023917,
)  # fmt: skip
SIN = (
    -0.16666666666666632, 0.008333333333322413, -0.00019841269829807686, 2.7557313691882708e-06,
    -2.5050758110580167e-08, 1.589679541831147e-10,
)  # fmt: skip
COS = (
    0.0416666666666666, -0.0013888888888874125, 2.4801587289482215e-05, -2.7557314352341516e-07,
    2.0875723274407238e-09, -1.1359647863376643e-11,
)  # fmt: skip
SINH = (
    0.16666666666666677, 0.00833333333332153, 0.0001984126988640378, 2.7557243909029946e-06, 2.5109148282027356e-08,
)  # fmt: skip
ERF, ERF_REST = (
    1.1283791670955126, -0.37612638903183715, 0.11283791670952477, -0.02686617064440146, 0.005223977615109688,
    -0.0008548326168202355, 0.00012055288739223312, -1.4924175635334936e-05, 1.6430372297811078e-06,
    -1.5937460324900757e-07, 1.1463237866305892e-08,
), 1.533545961316588e-17  # fmt: skip
ERFC = (
    1.2375126308378275, -0.140240598585547, 0.003585415485462958, 0.08227673849014837, -0.10880393014166134,
    0.09230432116030811, -0.05869339859167182, 0.02836227741932269, -0.009746579533674315, 0.00175562585755236,
    0.0002937134951027252, -0.00029015415862202604, 5.1649842557888564e-05, 2.238474206969033e-05,
    -1.1446213520477046e-05, -9.753789936180172e-07, 1.7552404065313744e-06, -5.32282926331018e-08,
    -2.622990533199477e-07, 1.7986897947591386e-08, 4.023057525518761e-08, 1.3515154925616083e-10,
    -4.821035020327452e-09, -9.086787941668873e-10,
)  # fmt: skip
COSH = (0.04166666666660238, 0.0013888888927453586, 2.4801507838581014e-05, 2.7625528173805575e-07)


# ---- exponentials ---------------------------------------------------------------------------------------


class Reduced(NamedTuple):
    """Hold x = n·log 2 + high + low, and 2ⁿ as a product of two: at the ends one would overflow."""

    high: Term
    low: Term
    scale: Term
    other_scale: Term


def reduced(x: Term, x_low: Term | None = None) -> Reduced:
    """Split x, at most 2000 in magnitude, into a multiple of log 2 and a rest of at most log(2)/2."""
    # Biases in the shifts make the lowest bits of `half` and of `whole - half` the exponent fields of the scales.
    whole, half = fma(x, PER_LN2, SHIFT + 2046.0), fma(x, PER_LN2 / 2.0, SHIFT + 1023.0)
    high, low = rest_of(x, x_low, whole - (SHIFT + 2046.0))
    return Reduced(high, low, (half.bits << 52).double, ((whole.bits - half.bits) << 52).double)


def rest_of(x: Term, x_low: Term | None, n: Term) -> tuple[Term, Term]:
    """Return x + x_low − n·log 2 as a sum of two."""
    high = fma(n, -LN2_HIGH, x)  # exact
    return high, n * -LN2_LOW if x_low is None else fma(n, -LN2_LOW, x_low)


def inverse_of_scale(scale: Term) -> Term:
    """Return 1 / scale, for a power of two."""
    return (_body(scale).term(2046 << 52, "i64") - scale.bits).double


def growth(high: Term, low: Term) -> tuple[Term, Term]:
    """Return e^(high + low) − 1 as a sum of two."""
    r = high + low
    rest = fma(r * r, polynomial(r, EXP), low)
    m = high + rest
    return m, (high - m) + rest


def exp(x: Term, x_low: Term | None = None) -> Term:
    """Return e^(x + x_low)."""
    high, low, scale, other = reduced(at_most(at_least(x, -746.0), 710.0), x_low)
    m, _ = growth(high, low)
    return fma(m, scale, scale) * select(x < -746.0, 0.0, other)  # a product that underflows takes ten times as long


def exp2(x: Term) -> Term:
    """Return 2ˣ."""
    x = at_most(at_least(x, -1076.0), 1025.0)
    whole, half = x + (SHIFT + 2046.0), fma(x, 0.5, SHIFT + 1023.0)
    r = x - (whole - (SHIFT + 2046.0))
    m = fma(r, LN2, fma(r * r, polynomial(r, EXP2), r * LN2_REST))
    scale = (half.bits << 52).double
    return fma(m, scale, scale) * ((whole.bits - half.bits) << 52).double


def expm1(x: Term) -> Term:
    """Return eˣ − 1."""
    rest_high, rest_low, scale, other = reduced(at_most(at_least(x, -50.0), 711.0))
    m, m_low = growth(rest_high, rest_low)
    base = scale - inverse_of_scale(other)
    high = fma(scale, m, base)
    low = fma(scale, m_low, fma(scale, m, base - high))
    return copysign((high + low) * other, x)


def tanh(x: Term) -> Term:
    """Return (e²ˣ − 1) / (e²ˣ + 1)."""
    y = at_most(magnitude(x), 20.0)
    y = y + y
    whole = fma(y, PER_LN2, SHIFT + 1023.0)
    m, m_low = growth(*rest_of(y, None, whole - (SHIFT + 1023.0)))
    p = (whole.bits << 52).double
    above = p + 1.0
    below = above - 2.0  # not p − 1: where both are rounded, it matters that they differ by 2
    shift = p * m_low
    top, bottom = fma(p, m, below), fma(p, m, above)
    top_low, bottom_low = fma(p, m, below - top) + shift, fma(p, m, above - bottom) + shift
    return copysign(quotient(top, top_low, bottom, bottom_low), x)


def quotient(x: Term, x_low: Term, y: Term, y_low: Term) -> Term:
    """Return (x + x_low) / (y + y_low), y neither very large nor very small."""
    per_y = 1.0 / y
    q = x * per_y
    rest = fma(-q, y, x) + fma(-q, y_low, x_low)
    return fma(rest, per_y, q)


FAR = -800.0  # there eˣ and x·eˣ are 0


class Tail(NamedTuple):
    """Hold a small result as tail·scale·other_scale: the product may be subnormal, which must not happen too early."""

    tail: Term
    scale: Term
    other_scale: Term


def logistic(y: Term) -> Tail:
    """Return σ(−y), for y ≥ 0: e⁻ʸ / (1 + e⁻ʸ)."""
    high, low, scale, other = reduced(at_least(-y, FAR))
    top, top_low = one_more(*growth(high, low))
    p = scale * other
    e = p * top
    bottom = 1.0 + e
    bottom_low = fma(p, top_low, (1.0 - bottom) + e)
    return Tail(quotient(top, top_low, bottom, bottom_low), scale, other)


def sigmoid(x: Term) -> Term:
    """Return 1 / (1 + e⁻ˣ)."""
    tail, scale, other = logistic(magnitude(x))
    low = tail * scale * other
    return select(x >= 0.0, 1.0 - low, low)


def silu(x: Term) -> Term:
    """Return x·σ(x)."""
    tail, scale, other = logistic(magnitude(x))
    # Where σ is subnormal, x·σ need not be: x joins the product before it is scaled.
    left = at_least(x, FAR) * tail * scale * other
    return select(x >= 0.0, x * (1.0 - tail * scale * other), left)


def sech2(x: Term) -> Term:
    """Return 1 / cosh²x = 4·σ(2x)·σ(−2x)."""
    y = magnitude(x)
    tail, scale, other = logistic(y + y)
    return (4.0 * tail) * (1.0 - tail * scale * other) * scale * other


def one_more(m: Term, m_low: Term) -> tuple[Term, Term]:
    """Return 1 + m + m_low as a sum of two, for |m| ≤ 1."""
    total = 1.0 + m
    return total, ((1.0 - total) + m) + m_low


def gaussian(x: Term, c: Term) -> Term:
    """Return exp(−c·x²), the exponent as a sum of two."""
    b = -c * x
    a = b * x
    low = fma(fma(-c, x, -b), x, fma(b, x, -a))
    return exp(a, select(magnitude(a) < 1e4, low, 0.0))  # further out it may be inf − inf


def shifted_exp(x: Term, m: Term) -> Term:
    """Return exp(x − m), the numerator of a softmax; beside an infinite m, 1 where x is m and 0 elsewhere."""
    unordered = select(x.is_nan() | m.is_nan(), nan, 0.0)
    beside = select(x.equals(m), 1.0, unordered)
    return select(magnitude(m) < inf, exp(x - m), beside)


class Hyperbolic(NamedTuple):
    """Hold what sinh and cosh are made of: x = n·log 2 + r, all to be scaled by 2ⁿ."""

    sinh_n: Term
    cosh_n: Term
    sinh_r: Term
    cosh_r_minus_1: Term
    scale: Term
    other_scale: Term


def hyperbolic(y: Term) -> Hyperbolic:
    """Return sinh and cosh of n·log 2, divided by 2ⁿ, and of r, for y ≥ 0."""
    high, low, scale, other = reduced(at_most(y, 712.0))
    r = high + low
    p = inverse_of_scale(scale) * inverse_of_scale(other)
    d = (0.5 * p) * p
    z = r * r
    s = r + fma(r * z, polynomial(z, SINH), (high - r) + low)
    c = fma(z * z, polynomial(z, COSH), 0.5 * z)
    return Hyperbolic(0.5 - d, 0.5 + d, s, c, scale, other)


def sinh(x: Term) -> Term:
    """Return sinh x, by the addition theorem."""
    sinh_n, cosh_n, s, c, scale, other = hyperbolic(magnitude(x))
    return copysign((sinh_n + fma(cosh_n, s, sinh_n * c)) * scale * other, x)


def cosh(x: Term) -> Term:
    """Return cosh x, by the addition theorem."""
    sinh_n, cosh_n, s, c, scale, other = hyperbolic(magnitude(x))
    return (cosh_n + fma(sinh_n, s, cosh_n * c)) * scale * other


# ---- the normal distribution ----------------------------------------------------------------------------


def erf_near_0(x: Term) -> Term:
    """Return erf x for |x| ≤ 3/4."""
    z = x * x
    return fma(x, ERF[0], x * fma(z, polynomial(z, ERF[1:]), ERF_REST))


def erfc_tail(t: Term, t_low: Operand, a: Term, a_low: Term) -> Tail:
    """Return e^(a + a_low)·e^(t²)·erfc(t), t the sum of two and ≥ 0.

    The form of the second factor is that of Shepherd & Laframboise, Chebyshev Approximation of (1 + 2x)exp(x²)erfc x
    in 0 ≤ x < ∞, 1981.
    """
    high, low, scale, other = reduced(a, a_low)
    e, e_low = one_more(*growth(high, low))
    u = (t - 3.75) / (t + 3.75)
    rest = u * polynomial(u, ERFC[1:])
    p = rest + ERFC[0]
    p_low = (ERFC[0] - p) + rest
    top = e * p
    top_low = fma(e, p, -top) + fma(e, p_low, e_low * p)
    twice = t + t
    bottom = twice + 1.0
    part = bottom - twice
    bottom_low = fma(2.0, t_low, (twice - (bottom - part)) + (1.0 - part))
    return Tail(quotient(top, top_low, bottom, bottom_low), scale, other)


def erfc_beyond_0(x: Term) -> Term:
    """Return erfc |x|."""
    t = at_most(magnitude(x), 28.0)
    a = -t * t
    tail, scale, other = erfc_tail(t, 0.0, a, fma(-t, t, -a))
    return tail * scale * other


def erf(x: Term) -> Term:
    """Return the error function."""
    return select(magnitude(x) < 0.75, erf_near_0(x), copysign(1.0 - erfc_beyond_0(x), x))


def erfc(x: Term) -> Term:
    """Return 1 − erf x."""
    complement = erfc_beyond_0(x)
    far = select(x > 0.0, complement, 2.0 - complement)
    return select(magnitude(x) < 0.47, 1.0 - erf_near_0(x), far)


def gelu(x: Term) -> Term:
    """Return x·Φ(x) = x·erfc(−x/√2)/2."""
    y, half = at_most(magnitude(x), 40.0), 0.5 * at_least(x, -40.0)
    t, a = y * ROOT_HALF, (-0.5 * y) * y
    t_low, a_low = fma(y, ROOT_HALF_REST, fma(y, ROOT_HALF, -t)), fma(-0.5 * y, y, -a)
    tail, scale, other = erfc_tail(t, t_low, a, a_low)
    left, right = half * tail * scale * other, x * (1.0 - 0.5 * tail * scale * other)
    near = half * (1.0 + erf_near_0(x * ROOT_HALF))
    return select(y < 0.66, near, select(x > 0.0, right, left))


# ---- logarithms -----------------------------------------------------------------------------------------

ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
CENTRE = (0x3FF << 52) - ROOT_HALF_BITS
WHOLE = 2.0**52 + 1023.0  # a field of 11 bits below the leading bit of 2⁵²: the exponent as a double, plus this


def mantissa(bits: Term) -> Term:
    """Return m in [√½, √2), from the bits of x = 2ᵏ·m plus CENTRE."""
    return ((bits & FRACTION) + ROOT_HALF_BITS).double


def exponent(bits: Term, bias: Operand = WHOLE) -> Term:
    """Return k, from the bits of x = 2ᵏ·m plus CENTRE."""
    return ((bits >> 52) | (0x433 << 52)).double - bias


def split(x: Term) -> tuple[Term, Term]:
    """Return k and f with x = 2ᵏ·(1 + f) for finite x > 0."""
    tiny = x < TINY
    bits = select(tiny, x * 2.0**54, x).bits + CENTRE
    return exponent(bits, select(tiny, WHOLE + 54.0, WHOLE)), mantissa(bits) - 1.0


def beyond_f(f: Term, coefficients: Sequence[float] = LOG) -> tuple[Term, Term]:
    """Return a and b with log(1 + f) = f − (a − b)."""
    s = f / (f + 2.0)
    z = s * s
    half_square = (0.5 * f) * f
    return half_square, s * fma(z, polynomial(z, coefficients), half_square)


def log_of(k: Term, f: Term, low: Term | None = None, coefficients: Sequence[float] = LOG) -> Term:
    """Return k·log 2 + log(1 + f) + low."""
    half_square, rest = beyond_f(f, coefficients)
    base = k * LN2_HIGH  # exact
    high = base + f
    high_low = (base - high) + f
    rest = fma(k, LN2_LOW, rest)
    if low is not None:
        rest = rest + low
    return high + (high_low - (half_square - rest))


def with_poles(x: Term, pole: float, result: Term) -> Term:
    """Return the result of a logarithm where x > pole: -inf at the pole, nan below, inf at inf."""
    return select(x > pole, select(x < inf, result, x), select(x.equals(pole), -inf, nan))


def log(x: Term) -> Term:
    """Return log x."""
    k, f = split(x)
    return with_poles(x, 0.0, log_of(k, f))


def log1p(x: Term) -> Term:
    """Return log(1 + x)."""
    u = 1.0 + x
    u_low = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x))
    bits = u.bits + CENTRE
    twice_per_scale = ((_body(x).term(2047, "i64") - (bits >> 52)) << 52).double  # 2¹⁻ᵏ; not 2⁻ᵏ, as k may be 1024
    f_low = (u_low * twice_per_scale) * 0.5
    start = mantissa(bits) - 1.0
    f = start + f_low
    result = log_of(exponent(bits), f, (start - f) + f_low)
    return with_poles(x, -1.0, copysign(result, x))


def log_to_base(x: Term, per_log: tuple[float, float], log_2: tuple[float, float]) -> Term:
    """Return log x divided by that of the base; constants as sums of two, the first of log 2 of few bits."""
    k, f = split(x)
    half_square, rest = beyond_f(f)
    tail = rest - half_square
    high = f + tail
    low = (f - high) + tail
    product = high * per_log[0]
    product_low = fma(high, per_log[0], -product) + fma(high, per_log[1], low * per_log[0])
    base = k * log_2[0]  # exact
    total = base + product
    total_low = (base - total) + product
    return with_poles(x, 0.0, total + (total_low + fma(k, log_2[1], product_low)))


def log2(x: Term) -> Term:
    """Return log₂ x; exact at powers of two."""
    return log_to_base(x, (PER_LN2, 2.0355273740931033e-17), (1.0, 0.0))


def log10(x: Term) -> Term:
    """Return log₁₀ x; exact at powers of ten."""
    log10_2 = float.fromhex("0x1.34413509f7800p-2"), float.fromhex("0x1.fef311f12b358p-46")
    return log_to_base(x, (0.4342944819032518, 1.098319650216765e-17), log10_2)


def softplus(x: Term) -> Term:
    """Return log(1 + eˣ) = log(1 + e^(−|x|)) + max(x, 0)."""
    e = exp(-magnitude(x))
    large = e >= 0.5  # then 1 + e = 2·(1 + f), and f is exact
    f, k = select(large, 0.5 * e - 0.5, e), select(large, 1.0, 0.0)
    return log_of(k, f, coefficients=LOG_WIDE) + select(x > 0.0, x, 0.0)


# ---- trigonometry ---------------------------------------------------------------------------------------

REDUCIBLE = 2.0**30  # beyond it, three parts of π/2 are too few


class Angle(NamedTuple):
    """Hold sin and cos of the rest of x modulo π/2, and the quadrant in the lowest bits."""

    sin: Term
    cos: Term
    quadrant: Term


def angle(x: Term) -> Angle:
    """Reduce |x| ≤ REDUCIBLE."""
    whole = fma(x, 2.0 / math.pi, SHIFT)
    n = whole - SHIFT
    high = fma(n, -PI_HALF[0], x)  # exact
    next_part = n * PI_HALF[1]
    r = high - next_part
    r_low = ((high - r) - next_part) - fma(n, PI_HALF[2], fma(n, PI_HALF[1], -next_part))
    z = r * r
    half = 0.5 * z
    top = 1.0 - half
    sin_r = r + fma(r * z, polynomial(z, SIN), r_low)
    cos_r = top + (((1.0 - top) - half) + fma(z * z, polynomial(z, COS), -(r * r_low)))
    return Angle(sin_r, cos_r, whole.bits)


def odd(quadrant: Term) -> Term:
    """Return where the quadrant is odd."""
    return (quadrant & 1).equals(1)


def turned(x: Term, quadrant: Term) -> Term:
    """Return x with its sign changed in the quadrants 2 and 3."""
    return (x.bits ^ ((quadrant << 62) & SIGN)).double


def with_far(name: str, near: Callable[[Term], Term]) -> Formula:
    """Return the formula that leaves to the C library what `near` cannot reduce; rare, and so branched around."""

    def formula(x: Term) -> Term:
        result, reducible = near(x), magnitude(x) <= REDUCIBLE
        rest = lambda: select(reducible, result, x.body.call_libm(name, x))  # noqa: E731
        return x.body.branch(reducible, lambda: result, rest)

    formula.__doc__ = f"Return {name} x."
    return formula


def near_sin(x: Term) -> Term:
    """Return sin x; x itself where that is tiny, with its sign."""
    s, c, quadrant = angle(x)
    return select(magnitude(x) < 2.0**-27, x, turned(select(odd(quadrant), c, s), quadrant))


def near_cos(x: Term) -> Term:
    """Return cos x."""
    s, c, quadrant = angle(x)
    return turned(select(odd(quadrant), s, c), quadrant + 1)


def near_tan(x: Term) -> Term:
    """Return tan x; x itself where that is tiny, with its sign."""
    s, c, quadrant = angle(x)
    swap = odd(quadrant)
    return select(magnitude(x) < 2.0**-27, x, select(swap, -c, s) / select(swap, s, c))


# ---- powers and distances -------------------------------------------------------------------------------


def power(x: Term, y: Term) -> Term:
    """Return xʸ for a constant y, the same on all lanes: a product where it is usual, else the C library's."""
    shortcuts: dict[float, Callable[[], Term]] = {
        2.0: lambda: x * x,
        1.0: lambda: x,
        3.0: lambda: x * x * x,
        -1.0: lambda: 1.0 / x,
        -2.0: lambda: (1.0 / x) * (1.0 / x),
        0.5: lambda: select(x.equals(-inf), inf, root(x + 0.0)),
    }

    def after(exponents: list[float]) -> Term:
        if not exponents:
            return x.body.call_libm("pow", x, y)
        first, *rest = exponents
        return x.body.branch(y.equals(first), shortcuts[first], lambda: after(rest))

    return after(list(shortcuts))


class Legs(NamedTuple):
    """Hold the larger and the smaller of |x| and |y|, times powers of two up ≥ 1 and down ≤ 1.

    Those keep squares in range, from 2⁻⁹⁴⁸ to 2⁸⁴⁸; an infinite leg stays infinite.
    """

    a: Term
    b: Term
    up: Term
    down: Term


def legs(x: Term, y: Term) -> Legs:
    """Return |x| and |y| in order and in range."""
    x, y = magnitude(x), magnitude(y)
    swap = x > y
    a, b = select(swap, x, y), select(swap, y, x)
    up, down = select(a < 2.0**-500, 2.0**600, 1.0), select(a > 2.0**500, 2.0**-600, 1.0)
    return Legs(a * up * down, b * up * down, up, down)


def radius(a: Term, b: Term) -> Term:
    """Return √(a² + b²), for a ≥ b, its error corrected (Borges, An Improved Algorithm for hypot, 2019)."""
    h = root(fma(a, a, b * b))
    h_square, a_square = h * h, a * a
    excess = fma(-b, b, h_square - a_square) + fma(h, h, -h_square) - fma(a, a, -a_square)
    return select(h > 0.0, h - excess / (h + h), h)


def infinite(x: Term) -> Term:
    """Return where x is inf or -inf."""
    return magnitude(x).equals(inf)


def hypot(x: Term, y: Term) -> Term:
    """Return √(x² + y²); inf if either is, even beside a nan."""
    a, b, up, down = legs(x, y)
    return select(infinite(x) | infinite(y), inf, radius(a, b) * inverse_of_scale(up) * inverse_of_scale(down))


def direction(x: Term, y: Term) -> Term:
    """Return x / √(x² + y²), 0 at the origin; infinite operands count as ±1 beside 0."""
    far = infinite(x) | infinite(y)
    u, v = (select(far, select(infinite(z), copysign(1.0, z), 0.0), z) for z in (x, y))
    a, b, up, down = legs(u, v)
    r = radius(a, b)
    # Up before the division, down after it: so nothing underflows that comes back into range.
    result = select(r.equals(0.0), 0.0, (u * up) / r * down)
    return select(x.is_nan() | y.is_nan(), nan, result)


def turn(x: Term, y: Term) -> Term:
    """Return x / (x² + y²); 0 at the origin, and with the sign of x where that is infinite."""
    a, b, up, down = legs(x, y)
    square = fma(a, a, b * b)
    result = select(square.equals(0.0), 0.0, (x * up) / square * up * down * down)
    at_infinity = select(infinite(x), copysign(0.0, x), 0.0)
    result = select(infinite(x) | infinite(y), at_infinity, result)
    return select(x.is_nan() | y.is_nan(), nan, result)


# ---- steps, choices, activations ------------------------------------------------------------------------


def sign(x: Term) -> Term:
    """Return -1, 0 or 1; nan for nan."""
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, x + 0.0))


def step(x: Term) -> Term:
    """Return 1 where x > 0, else 0; nan for nan."""
    return select(x > 0.0, 1.0, select(x.is_nan(), x, 0.0))


def greater(x: Term, y: Term) -> Term:
    """Return 1 where x > y, 0 where x < y, 1/2 at a tie."""
    unequal = select(x > y, 1.0, select(x < y, 0.0, nan))
    return select(x.equals(y), 0.5, unequal)


def less(x: Term, y: Term) -> Term:
    """Return 1 where x < y, else 0."""
    return select(x < y, 1.0, 0.0)


def within(x: Term, lower: Term, upper: Term) -> Term:
    """Return 1 where lower <= x <= upper, else 0."""
    return select((lower <= x) & (x <= upper), 1.0, 0.0)


def maximum(x: Term, y: Term) -> Term:
    """Return the larger; the first of equals; nan if either is."""
    return select((x >= y) | x.is_nan(), x, y)


def minimum(x: Term, y: Term) -> Term:
    """Return the smaller; the first of equals; nan if either is."""
    return select((x <= y) | x.is_nan(), x, y)


def relu(x: Term) -> Term:
    """Return max(0, x)."""
    return select((x > 0.0) | x.is_nan(), x, 0.0)


def elu(x: Term, alpha: Operand) -> Term:
    """Return x where x > 0, else alpha·(eˣ − 1)."""
    return select(x > 0.0, x, expm1(x) * alpha)


def softsign(x: Term) -> Term:
    """Return x / (1 + |x|)."""
    return select(magnitude(x).equals(inf), copysign(1.0, x), x / (1.0 + magnitude(x)))


def not_zero(x: Term) -> Term:
    """Return where x is not zero; nan is not."""
    return x.equals(0.0) ^ -1


FORMULAS: dict[str, tuple[int, Formula]] = {
    "add": (2, lambda x, y: x + y),
    "sub": (2, lambda x, y: x - y),
    "mul": (2, lambda x, y: x * y),
    "div": (2, lambda x, y: x / y),
    "neg": (1, lambda x: -x),
    "pos": (1, lambda x: x),
    "abs": (1, magnitude),
    "power": (2, power),
    "pow": (2, libm("pow")),
    "square": (1, lambda x: x * x),
    "reciprocal": (1, lambda x: 1.0 / x),
    "exp": (1, exp),
    "exp2": (1, exp2),
    "expm1": (1, expm1),
    "log": (1, log),
    "log2": (1, log2),
    "log10": (1, log10),
    "log1p": (1, log1p),
    "sqrt": (1, lambda x: root(x + 0.0)),
    "cbrt": (1, libm("cbrt")),
    "sin": (1, with_far("sin", near_sin)),
    "cos": (1, with_far("cos", near_cos)),
    "tan": (1, with_far("tan", near_tan)),
    "asin": (1, libm("asin")),
    "acos": (1, libm("acos")),
    "atan": (1, libm("atan")),
    "atan2": (2, libm("atan2")),
    "hypot": (2, hypot),
    "sinh": (1, sinh),
    "cosh": (1, cosh),
    "tanh": (1, tanh),
    "asinh": (1, libm("asinh")),
    "acosh": (1, libm("acosh")),
    "atanh": (1, libm("atanh")),
    "erf": (1, erf),
    "erfc": (1, erfc),
    "sign": (1, sign),
    "floor": (1, lambda x: x.body.intrinsic("floor", x)),
    "ceil": (1, lambda x: x.body.intrinsic("ceil", x)),
    "maximum": (2, maximum),
    "minimum": (2, minimum),
    "clamp": (3, lambda x, lower, upper: minimum(maximum(x, lower), upper)),
    "where": (3, lambda condition, x, y: select(not_zero(condition), x, y)),
    "relu": (1, relu),
    "leaky_relu": (2, lambda x, slope: select(x > 0.0, x, slope * x)),
    "elu": (2, elu),
    "selu": (1, lambda x: elu(x, ieee.SELU_ALPHA) * ieee.SELU_SCALE),
    "gelu": (1, gelu),
    "silu": (1, silu),
    "sigmoid": (1, sigmoid),
    "logsigmoid": (1, lambda x: -softplus(-x)),
    "softplus": (1, softplus),
    "softsign": (1, softsign),
    "sech2": (1, sech2),
    "gaussian": (2, gaussian),
    "one_minus_square": (1, lambda x: (1.0 - x) * (1.0 + x)),
    "nonnegative": (1, lambda x: select(x >= 0.0, x + 0.0, nan)),
    "direction": (2, direction),
    "turn": (2, turn),
    "step": (1, step),
    "nonzero": (1, lambda x: select(not_zero(x), 1.0, 0.0)),
    "greater": (2, greater),
    "less": (2, less),
    "within": (3, within),
    "shifted_exp": (2, shifted_exp),
}
"""For each row, and for `shifted_exp`, how many operands it has and its formula."""


# ---- the module's text ----------------------------------------------------------------------------------


def available() -> frozenset[str]:
    """Return the names that `definitions` can define: rows of the table, and `shifted_exp`.

    >>> "tanh" in available(), "gamma" in available()
    (True, False)
    """
    return frozenset(FORMULAS)


def has_code(op: Op) -> bool:
    """Tell whether an operation is one of those, and not just called so.

    >>> has_code(ops.tanh), has_code(Op("tanh", "tanh", math.tanh, lambda z, x: (1.0 - z * z,)))
    (True, False)
    """
    return op is primitives.shifted_exp or (op.name in FORMULAS and ops.TABLE.get(op.name) is op)


def definitions(names: Iterable[str], lanes: int) -> str:
    """Return LLVM's text of one function `@al.NAME` on vectors of so many doubles for each name, and all it needs.

    The INTRINSICS are declared at that vector type whatever the names, so that the caller can use them too. The
    functions of LIBM are declared if used, for the caller to resolve. The text depends only on the set of names.

    Raises:
        ValueError: a name is not available, or lanes is less than 1.

    >>> print(definitions(["neg"], 4).splitlines()[-5])
    define internal <4 x double> @al.neg(<4 x double> %x0) alwaysinline nounwind willreturn memory(none) {
    """
    wanted = sorted(set(names))
    unknown = [name for name in wanted if name not in FORMULAS]
    if unknown:
        raise ValueError(f"no definition of {', '.join(unknown)}: see available()")
    if lanes < 1:
        raise ValueError(f"a vector must have at least one lane, not {lanes}")
    vector = f"<{lanes} x double>"
    libm_names: set[str] = set()
    functions = [_function(name, lanes, libm_names) for name in wanted]
    declarations = [
        f"declare {vector} @llvm.{name}.v{lanes}f64({', '.join([vector] * arity)})"
        for name, arity in INTRINSICS.items()
    ]
    declarations += [f"declare double @{name}({', '.join(['double'] * LIBM[name])})" for name in sorted(libm_names)]
    loops = [_each_lane(name, lanes) for name in sorted(libm_names)]
    return "\n\n".join(["\n".join(declarations), *loops, *functions]) + "\n"


def _function(name: str, lanes: int, libm_names: set[str]) -> str:
    arity, formula = FORMULAS[name]
    body = Body(lanes)
    result = formula(*(Term(body, "double", f"%x{i}") for i in range(arity)))
    libm_names |= body.libm
    inline = "alwaysinline " if len(body.lines) <= 12 or name == "power" else ""
    return _define(f"al.{name}", arity, lanes, inline + _PURE, [*body.lines, f"  ret {result.typed}"])


def _each_lane(name: str, lanes: int) -> str:
    """Return a function on vectors that calls the C library's, as the eager engine does, for one lane at a time."""
    vector, arity = f"<{lanes} x double>", LIBM[name]
    lines, result = [], "poison"
    for lane in range(lanes):
        lines += [f"  %x{i}.{lane} = extractelement {vector} %x{i}, i32 {lane}" for i in range(arity)]
        arguments = ", ".join(f"double %x{i}.{lane}" for i in range(arity))
        # Not a builtin: the optimiser must not put another function, which rounds differently, in its place.
        lines.append(f"  %r{lane} = call double @{name}({arguments}) nobuiltin {_PURE}")
        lines.append(f"  %v{lane} = insertelement {vector} {result}, double %r{lane}, i32 {lane}")
        result = f"%v{lane}"
    return _define(f"al.libm.{name}", arity, lanes, f"noinline {_PURE}", [*lines, f"  ret {vector} {result}"])


def _define(name: str, arity: int, lanes: int, attributes: str, lines: list[str]) -> str:
    vector = f"<{lanes} x double>"
    operands = ", ".join(f"{vector} %x{i}" for i in range(arity))
    return "\n".join([f"define internal {vector} @{name}({operands}) {attributes} {{", "entry:", *lines, "}"])
