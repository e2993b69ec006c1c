"""Slopes by differences that know their own error: Ridders' extrapolation, central and one-sided.

A difference quotient with step h errs by a series in h (h² if it is central) and by rounding, which grows as h falls.
Neville's scheme removes term after term of the series; the entries of the scheme that agree best with their neighbours
are the answer, and how well they agree is its error.

Source: C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", Advances in Engineering Software 4 (1982);
the choice of the best entry as in Press et al., Numerical Recipes, section 5.7.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

__all__ = ["EPSILON", "Slope", "central", "one_sided"]

EPSILON = sys.float_info.epsilon
_SMALLEST = math.ulp(0.0)
_UNSEEN = 2.0**30 * _SMALLEST  # a product this small may have underflowed to 0 on the way, before a large factor
_SHRINK = 1.4  # each step is the one before over this; a small, odd ratio keeps the rounding of the steps apart
_LEVELS = 8


class Slope(NamedTuple):
    """A derivative and a bound that its error will hardly exceed; an unknown one is nan ± inf."""

    value: float
    error: float


def central(
    f: Callable[[float], Sequence[float]], x: float, step: float, at_x: Sequence[float]
) -> list[tuple[Slope, float]]:
    """Return the slope of each output of f at x, from points up to `step` away on both sides.

    Beside each is the steeper of the slopes from x, where the outputs are `at_x`, to the two points that far away.

    >>> import math
    >>> [((value, error), steepest)] = central(lambda x: [math.exp(x)], 0.0, 0.25, [1.0])
    >>> abs(value - 1.0) < 1e-12, error < 1e-10, round(steepest, 2)
    (True, True, 1.14)
    """
    rows, size = [], 0.0
    steepest: list[float] = []
    for h in _steps(step):
        after, before = x + h, x - h
        above, below = f(after), f(before)
        rows.append([(a - b) / (after - before) for a, b in zip(above, below, strict=True)])
        size = _largest(size, above, below)
        steepest = steepest or [max(abs(a - y), abs(y - b)) / h for a, y, b in zip(above, at_x, below, strict=True)]
    slopes = _limits(rows, step, size, _SHRINK * _SHRINK)
    # The points are rounded: they lie around another number than x, by a share of the larger of x and the step.
    shift = EPSILON * max(abs(x) / step, 1.0)
    return [(Slope(d, error + shift * steep), steep) for (d, error), steep in zip(slopes, steepest, strict=True)]


def one_sided(f: Callable[[float], Sequence[float]], x: float, step: float, at_x: Sequence[float]) -> list[Slope]:
    """Return the slope of each output of f on one side of x: the right one, or with a negative step the left one.

    `at_x` are the outputs at x. A jump at x has an infinite slope, and so has the side of a root at 0.

    >>> [(value, error)] = one_sided(lambda x: [abs(x)], 0.0, -0.25, [0.0])
    >>> value
    -1.0
    """
    rows, size = [], _largest(0.0, at_x)
    for h in _steps(step):
        there = f(x + h)
        rows.append([(a - b) / ((x + h) - x) for a, b in zip(there, at_x, strict=True)])
        size = _largest(size, there)
    near = math.copysign(max(abs(step) * 2.0**-20, math.ulp(x)), step)
    rises = [[a - b for a, b in zip(f(x + near * scale), at_x, strict=True)] for scale in (1.0, 4.0, 16.0, 64.0)]
    slopes = _limits(rows, abs(step), size, _SHRINK)
    return [
        Slope(math.copysign(inf, rise[0] * step), 0.0) if _is_steep(rise, near, size, (first, slope.value)) else slope
        for slope, first, rise in zip(slopes, rows[0], zip(*rises, strict=True), strict=True)
    ]


def _is_steep(rises: Sequence[float], step: float, size: float, others: tuple[float, float]) -> bool:
    """Say whether a rise near x is more than rounding, and far steeper than it is farther away.

    It goes on there, or is noise: 4 times as far away, the rise of a root is at most 3 times as large, that of a jump
    as large.
    """
    rise = rises[0]
    goes_on = all(0.3 <= near / far <= 1.1 for near, far in pairwise(rises) if far) and all(rises)
    return goes_on and abs(rise) > 64.0 * EPSILON * size and abs(rise / step) > 100.0 * max(map(abs, others))


def _steps(step: float) -> list[float]:
    return [step / _SHRINK**level for level in range(_LEVELS)]


def _largest(size: float, *outputs: Sequence[float]) -> float:
    return max(size, *(abs(y) for ys in outputs for y in ys))


def _limits(rows: list[list[float]], step: float, size: float, ratio: float) -> list[Slope]:
    noise = [(2.0 * EPSILON * size + _SMALLEST) / h + _UNSEEN for h in _steps(abs(step))]
    return [_limit(column, ratio, noise) for column in zip(*rows, strict=True)]


def _limit(quotients: Sequence[float], ratio: float, noise: Sequence[float]) -> Slope:
    """Extrapolate difference quotients to the step 0; `ratio` is how fast the first term of their error falls."""
    best = Slope(quotients[0], inf)
    before = [quotients[0]]
    for quotient, rounding in zip(quotients[1:], noise[1:], strict=True):
        row, power = [quotient], 1.0
        for rougher in before:
            power *= ratio
            finer = row[-1]
            row.append(finer + (finer - rougher) / (power - 1.0))
            error = max(abs(row[-1] - finer), abs(row[-1] - rougher), rounding)
            if error < best.error:
                best = Slope(row[-1], error)
        before = row
    return best if math.isfinite(best.value) else Slope(math.nan, inf)
