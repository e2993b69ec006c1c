"""The evidence on one slope: differences of a function, clear of its kinks, weighed against what is claimed.

A function is looked at with the path to its result: which operations it passed, and how far it was from the kinks of
each. Two points belong to one smooth function if their paths are of the same operations and no kink lies between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .differences import EPSILON, Slope, central, one_sided
from .op import Op

__all__ = ["Evidence", "Function", "Passing", "Path", "examine", "passing"]

_TRUST = 8.0  # how often its own error an estimate may be off before it contradicts
_UNKNOWN = Slope(math.nan, math.inf)


class Passing(NamedTuple):
    """How an operation was passed: its operands laid flat, and how far it was from its kinks."""

    op: Op | None
    operands: Sequence[float] = ()
    distances: tuple[float, ...] = ()


Path = list[Passing]
Function = Callable[[float], tuple[list[float], Path]]


class Evidence(NamedTuple):
    """What differences say of a claimed slope.

    Attributes:
        says: "right" or "wrong"; "unresolved" where rounding hides it; "kink" where the slopes on the two sides
            differ and the claim lies between them, "outside" where it does not; "border" where there is one side only.
        slope: what the differences give.
        sides: the slopes on the left and on the right, where they were looked at.
    """

    says: str
    slope: Slope = _UNKNOWN
    sides: tuple[float, float] | None = None


def passing(op: Op, operands: Sequence[Any]) -> Passing:
    """Return how an operation is passed with these numbers.

    >>> import autograd_lite as al
    >>> passing(al.maximum, [2.0, 3.0]).distances
    (-1.0,)
    """
    if op.kinks is None:
        return Passing(op)
    flat = [x for operand in operands for x in (operand if type(operand) is tuple else (operand,))]
    return Passing(op, flat, op.kinks(*operands))


def examine(
    f: Function,
    x: float,
    claimed: Sequence[float],
    slack: Sequence[float],
    rtol: float = 1e-8,
    opaque: bool = False,
) -> list[Evidence]:
    """Compare the claimed slope of each output of f at x with differences.

    Args:
        f: from a number, the outputs and the path to them.
        x: where.
        claimed: the slopes to judge, one an output.
        slack: how far each may be off because of its own rounding.
        rtol: how far each may be off relatively.
        opaque: whether the paths tell nothing, so that kinks have to be looked for.

    >>> examine(lambda x: ([x * x], []), 3.0, [6.0], [0.0])[0].says
    'right'
    """
    here = _Here(f, x)
    if not here.is_smooth:
        return _from_both_sides(here, claimed, rtol)
    found = _from_the_middle(here, claimed, slack, rtol)
    if not opaque and all(evidence.says == "right" for evidence in found):
        return found
    return [_settled(*each, opaque, rtol) for each in zip(found, _from_both_sides(here, claimed, rtol), strict=True)]


def _settled(middle: Evidence, sided: Evidence, opaque: bool, rtol: float) -> Evidence:
    """Prefer what both sides say where there is a kink that no operation tells of, or where only they can tell."""
    if (opaque or middle.says == "wrong") and _has_corner(sided, middle.slope.value):
        return sided
    is_sure = sided.slope.error <= rtol * abs(sided.slope.value)
    if middle.says == "unresolved" and is_sure and sided.says in ("right", "outside"):
        return Evidence("right" if sided.says == "right" else "wrong", sided.slope)
    return middle


class _Here:
    """A function around a point: how far one may go from it and stay on one smooth piece."""

    def __init__(self, f: Function, x: float) -> None:
        self.f, self.x = f, x
        self.base, self.path = f(x)
        self.tiny = abs(x) * 2.0**-40 or 2.0**-40
        self._look_aside()
        while not self.is_smooth and all(map(any, self._distances)) and self.tiny > math.ulp(x):
            self.tiny *= 2.0**-40  # on no kink, but very near to one
            self._look_aside()

    def _look_aside(self) -> None:
        self.tiny = max(self.tiny, math.ulp(self.x))
        self.sides = {sign: self._path_at(self.x + sign * self.tiny) for sign in (-1.0, 1.0)}
        self._fixed: dict[float, set[tuple[int, int]]] = {}
        self.is_smooth = all(self._same(self.path, side, sign) for sign, side in self.sides.items())

    def outputs(self, x: float) -> list[float]:
        return self.f(x)[0]

    def steps(self, *signs: float) -> Iterator[float]:
        """Yield steps, from large ones to small ones, which stay on the smooth piece in these directions."""
        least = 1024.0 * math.ulp(self.x)  # or x would hardly move
        wished = sorted({scale * 2.0**-p for scale in {abs(self.x), 1.0} - {0.0} for p in (2, 7, 12, 18)})
        some = False
        for step in reversed(wished):
            if step > least and self._fits(step, signs):
                some = True
                yield step
        step = wished[0] / 2.0
        while not some and step > max(least, 4.0 * self.tiny):
            if self._fits(step, signs):
                some = True
                yield from (step, step / 3.0)
            step /= 2.0

    def finer_steps(self) -> Iterator[float]:
        """Yield steps for a function that changes much faster than x itself does."""
        scale = max(abs(self.x), 1.0)
        step = scale * 2.0**-23
        while step > 1024.0 * math.ulp(self.x):
            if self._fits(step, (-1.0, 1.0)):
                yield step
            step *= 2.0**-5 if step > scale * 2.0**-48 else 2.0**-30  # around 0, there is no end of fineness

    def _fits(self, step: float, signs: Sequence[float]) -> bool:
        return all(self._same(self.sides[sign], self._path_at(self.x + sign * step), sign) for sign in signs)

    def _path_at(self, x: float) -> Path | None:
        """Return the path to x, or None where the outputs are not finite."""
        try:
            values, path = self.f(x)
        except (ArithmeticError, ValueError):  # a function of the user's, outside of its domain
            return None
        return path if all(map(math.isfinite, values)) else None

    def _same(self, a: Path | None, b: Path | None, sign: float) -> bool:
        """Say whether two paths are one and the same function: the same operations, and no kink between them."""
        if a is None or b is None or len(a) != len(b):
            return False
        pairs = enumerate(zip(a, b, strict=True))
        return all(p.op is q.op and not self._kink_between(i, p, q, sign) for i, (p, q) in pairs)

    def _kink_between(self, i: int, p: Passing, q: Passing, sign: float) -> bool:
        """Say whether a kink may lie between: a distance to it changes at most as the (one or two) operands do."""
        if not p.distances:
            return False
        moves = [abs(x - y) for x, y in zip(p.operands, q.operands, strict=True)]
        move = min(sum(moves), 2.0 * max(moves))
        if move == 0.0 or len(p.distances) != len(q.distances):
            return move > 0.0
        may_be_fixed = len(p.operands) > 1  # a distance from one number that moves changes, unless by rounding alone
        return any(
            move >= abs(d) + abs(e) and not (d == e and may_be_fixed and self._is_fixed(i, n, sign))
            for n, (d, e) in enumerate(zip(p.distances, q.distances, strict=True))
        )

    def _is_fixed(self, i: int, n: int, sign: float) -> bool:
        """Say whether on one side a kink stays as far away whatever x is, as the two operands of maximum(x, x) do."""
        if sign not in self._fixed:
            wide = max(abs(self.x), 1.0) / 4.0
            found = [self._path_at(self.x + sign * step) for step in (self.tiny, 1024.0 * self.tiny, wide / 32.0, wide)]
            known = [path for path in found if path is not None and [p.op for p in path] == [p.op for p in self.path]]
            self._fixed[sign] = {
                (i, n)
                for i, p in enumerate(known[0] if known else ())
                for n, d in enumerate(p.distances)
                if all(path[i].distances[n : n + 1] == (d,) for path in known)
            }
        return (i, n) in self._fixed[sign]

    @property
    def _distances(self) -> list[tuple[float, ...]]:
        return [p.distances for p in self.path if p.distances]


# ---- from the middle ------------------------------------------------------------------------------------------


class _Estimate(NamedTuple):
    """A slope, how far a right claim may be from it because of rounding, and the steepest slope around."""

    slope: Slope
    slack: float
    steepest: float


def _from_the_middle(here: _Here, claimed: Sequence[float], slack: Sequence[float], rtol: float) -> list[Evidence]:
    """Judge by central differences, with smaller and smaller steps until all claims are found right."""
    estimates: list[list[_Estimate]] = [[] for _ in claimed]
    found = [Evidence("unresolved")] * len(claimed)
    # Where the rounding of x alone would change an output by all that it is, nobody can tell the slope.
    lost = [abs(d) * math.ulp(here.x) > 1e-3 * abs(y) > 0.0 for d, y in zip(claimed, here.base, strict=True)]

    def judge(last: bool) -> None:
        found[:] = [_judge(*each, rtol, last) for each in zip(claimed, estimates, lost, strict=True)]

    def look(step: float) -> None:
        rounding = 4.0 * EPSILON * abs(here.x) / step  # of x: its slope changes with it
        slopes = central(here.outputs, here.x, step, here.base)
        for known, least, (slope, steepest) in zip(estimates, slack, slopes, strict=True):
            known.append(_Estimate(slope, least + rounding * steepest, steepest))
        judge(last=False)

    for step in here.steps(-1.0, 1.0):
        look(step)
        if all(evidence.says == "right" for evidence in found):
            return found
    for step in here.finer_steps():
        if all(evidence.says != "wrong" for evidence in found):
            break
        look(step)
    judge(last=True)
    return found


def _judge(claimed: float, estimates: Sequence[_Estimate], lost: bool, rtol: float, last: bool) -> Evidence:
    """Weigh a claimed slope against estimates: one that is sure may agree, but it takes two to contradict.

    The estimates come from large steps to small ones, and a small step that contradicts a large one is right: a large
    one may step over all that happens. So before the last step is made, a claim is not forgiven what is steep far away.
    """
    standing: list[_Estimate] = []
    for estimate in reversed(estimates):
        if not any(_differ(estimate.slope, smaller.slope) for smaller in standing):
            standing.append(estimate)
    standing = sorted((e for e in standing if e.slope.error < math.inf), key=lambda e: e.slope.error)
    if not standing:
        return Evidence("unresolved")
    slack = min(e.slack for e in standing)
    if not last:
        slack = min(slack, rtol * abs(claimed))
    for slope in (e.slope for e in estimates):
        allowed = rtol * max(abs(claimed), abs(slope.value)) + slack
        if slope.error <= allowed and abs(claimed - slope.value) <= allowed + slope.error:
            return Evidence("right", slope)
    claim = Slope(claimed, (rtol * abs(claimed) + slack) / _TRUST)
    if len(standing) > 1 and not lost and all(_differ(claim, e.slope) for e in standing[:2]):
        return Evidence("wrong", standing[0].slope)
    best = standing[0].slope
    is_flat = last and abs(best.value) <= best.error <= rtol * max(e.steepest for e in estimates)
    if claimed == 0.0 and (is_flat or estimates[0].slope.value == 0.0):
        return Evidence("right", best)  # constant as far as can be seen, or as flat as can be told
    return Evidence("unresolved", best)


def _differ(a: Slope, b: Slope) -> bool:
    return not abs(a.value - b.value) <= _TRUST * (a.error + b.error)  # nan differs from everything


# ---- from both sides ------------------------------------------------------------------------------------------


def _from_both_sides(here: _Here, claimed: Sequence[float], rtol: float) -> list[Evidence]:
    """Judge by one-sided differences, at a kink or at the border of the domain."""
    lefts, rights = _one_sided(here, -1.0), _one_sided(here, 1.0)
    return [_judge_sides(*each, rtol) for each in zip(claimed, lefts, rights, strict=True)]


def _one_sided(here: _Here, sign: float) -> list[Slope]:
    """Return the slopes on one side, from the steps that tell them best."""
    found = [_UNKNOWN] * len(here.base)
    slopes: list[Slope] = []
    if here.sides[sign] is not None and all(map(math.isfinite, here.base)):
        for step in here.steps(sign):
            slopes = one_sided(here.outputs, here.x, sign * step, here.base)
            pairs = zip(found, slopes, strict=True)
            found = [min(a, b, key=lambda slope: slope.error) if math.isfinite(b.value) else a for a, b in pairs]
    # Only the smallest step can tell what is infinitely steep from what is steep by comparison with what is far away.
    return [b if math.isinf(b.value) else a for a, b in zip(found, slopes or found, strict=True)]


def _judge_sides(claimed: float, left: Slope, right: Slope, rtol: float) -> Evidence:
    seen = [slope for slope in (left, right) if slope.error < math.inf]
    if len(seen) < 2:
        return Evidence("border", *seen) if seen else Evidence("unresolved")
    low, high = sorted((left.value, right.value))
    unsure = _TRUST * (left.error + right.error) + max(rtol, 1e-7) * min(max(abs(low), abs(high)), 1e300)
    if math.isinf(low) and low == high:  # a jump, or a slope that is vertical
        return Evidence("kink", Slope(low, 0.0), (low, high))
    if high - low <= unsure:
        mean = Slope((low + high) / 2.0, left.error + right.error)
        says = "right" if abs(claimed - mean.value) <= unsure else "outside"
        return Evidence(says, mean, (mean.value, mean.value))
    says = "kink" if low - unsure <= claimed <= high + unsure else "outside"
    return Evidence(says, sides=(left.value, right.value))


def _has_corner(sided: Evidence, middle: float) -> bool:
    """Say whether the sides differ, and x lies in the corner: the slope from the middle is their mean there."""
    left, right = sided.sides or (math.nan, math.nan)
    is_beside = abs(middle - (left + right) / 2.0) > 0.25 * abs(right - left)
    return sided.sides is not None and left != right and not is_beside
