"""The few operations that a program has beside the table's, so that what several rows compute is computed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import isfinite, isnan, nan
from typing import Any

from .. import ieee, ops
from ..op import REAL, REALS, Op

__all__ = ["detach", "log_of_sum", "shares", "shifted_exp", "ties"]


def _shifted_exp(x: float, m: float) -> float:
    if isfinite(m):
        return ieee.exp(x - m)
    return nan if isnan(m) or isnan(x) else float(x == m)


def _log_of_sum(m: float, es: Sequence[float]) -> float:
    return m + math.log1p(math.fsum([-1.0, *es])) if isfinite(m) else m


detach = Op("detach", "⊣", lambda x: x, lambda z, x: (0.0,))
"""The number x, through which no gradient flows: what `stop_gradient` and `no_grad` come to."""

shifted_exp = Op("shifted_exp", "eˣ⁻ᵐ", _shifted_exp, lambda z, x, m: (z, 0.0), (REAL, REAL))
"""exp(x − m), m the largest of some numbers; where m is infinite, 1 for the x that equal it."""

log_of_sum = Op("log_of_sum", "m+logΣ", _log_of_sum, lambda z, m, es: (1.0, [0.0] * len(es)), (REAL, REALS))
"""m + log Σ e for e = shifted_exp(x, m): the last step of `logsumexp`, in which the largest e is exactly 1."""


def shares(xs: Sequence[Any]) -> list[Any]:
    """Return softmax in as many operations as there are operands; the largest operand counts as fixed, as it may.

    >>> shares((0.0, 0.0))
    [0.5, 0.5]
    """
    m = detach(ops.maxout(xs))
    es = [shifted_exp(x, m) for x in xs]
    total = ops.sum(es)
    return [e / total for e in es]


def ties(xs: Sequence[Any]) -> list[Any]:
    """Return 1/k for each of the k largest and 0 for the others, in as many operations as there are operands.

    >>> ties((1.0, 3.0, 3.0))
    [0.0, 0.5, 0.5]
    """
    m = detach(ops.maxout(xs))
    leading = [ops.within(x, m, m) for x in xs]
    count = ops.sum(leading)
    return [ops.div(each, count) for each in leading]
