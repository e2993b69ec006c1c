"""The usual cures where a nan or an infinity is born, by operation and operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import isfinite, isinf
from typing import Any, NamedTuple

from .ops import TABLE
from .steps import Backward, Event
from .value import Value

__all__ = ["cure", "data_of", "flat", "operation"]


class _Cure(NamedTuple):
    """Say what helps with operations, where the numbers of their operands meet a condition.

    `inside` are the operations one of which made the first operand; empty for any.
    """

    operations: str
    when: Callable[..., bool]
    text: str
    inside: str = ""


def _always(*_: Any) -> bool:
    return True


def _at_zero(x: float, *_: float) -> bool:
    return x == 0.0


def _negative(x: float, *_: float) -> bool:
    return x < 0.0


def _at_ends(x: float) -> bool:
    return abs(x) == 1.0


def _outside(x: float) -> bool:
    return abs(x) > 1.0


def _zero_divisor(x: float, y: float) -> bool:
    return y == 0.0


def _zero_times_infinity(*operands: Any) -> bool:
    numbers = flat(operands)
    return 0.0 in numbers and any(map(isinf, numbers))


def _has_infinity(*operands: Any) -> bool:
    return any(map(isinf, flat(operands)))


def _broken_exponent(x: float, y: float) -> bool:
    return x < 0.0 and isfinite(y) and y != math.floor(y)


_DIVISOR = (
    "The divisor is 0. If 0 is meant to happen, choose the divisor first: where(y, x / where(y, y, 1.0), other); "
    "if it must not, keep it away from 0, say y + 1e-12 for a y that is never negative"
)
_TO_INFINITY = "no float64 is beyond 1.8e308: scale the numbers, or compute with their logarithms"

_FORWARD = (
    _Cure("log log2 log10", _at_zero, "log(sigmoid(z)) is logsigmoid(z), which never takes the log of 0", "sigmoid"),
    _Cure(
        "log log2 log10", _at_zero,
        "log(softmax(zs)[k]) is zs[k] - logsumexp(zs), which never takes the log of 0", "share",
    ),
    _Cure("log", _at_zero, "log(1 - sigmoid(z)) is logsigmoid(-z), log(1 - x) is log1p(-x)", "sub"),
    _Cure("log", _at_zero, "log(exp(z)) is z", "exp"),
    _Cure(
        "log", _at_zero,
        "The log of a sum of exps is logsumexp(zs), log(1 + x) is log1p(x)", "sum add",
    ),
    _Cure(
        "log log2 log10", _at_zero,
        "log(0) is -inf. log(1 + x) is log1p(x), log(sigmoid(z)) is logsigmoid(z), the log of a sum of exps is "
        "logsumexp(zs); otherwise keep the operand above 0: log(clamp(x, 1e-12, inf)). A where around it does not help "
        "the gradient: choose the operand first, where(x, log(where(x, x, 1.0)), other)",
    ),
    _Cure(
        "log log2 log10", _negative,
        "A negative number has no real log: keep the operand above 0 (clamp, softplus), or learn its log instead of it",
    ),
    _Cure("log1p", lambda x: x <= -1.0, "log1p(x) is log(1 + x) and wants x > -1: clamp(x, -1 + 1e-12, inf)"),
    _Cure(
        "sqrt", _negative,
        "A negative number has no real square root. If it is a 0 with a rounding error, clamp(x, 0.0, inf) before sqrt",
    ),
    _Cure(
        "exp exp2 expm1 sinh cosh", _always,
        "exp overflows above 709.78. The log of a sum of exps is logsumexp(zs), a quotient of exps softmax(zs), "
        "log(1 + exp(z)) softplus(z), 1 / (1 + exp(-z)) sigmoid(z)",
    ),
    _Cure("div", lambda x, y: isinf(x) and isinf(y), "inf / inf: divide the logarithms, or find out what overflowed"),
    _Cure("div", _zero_divisor, _DIVISOR),
    _Cure("reciprocal", _at_zero, _DIVISOR.replace("x /", "1.0 /")),
    _Cure(
        "mul dot affine prod", _zero_times_infinity,
        "0 times infinity: a 0 does not switch an infinity off. Find out what made the infinity, or choose its operand "
        "first by a where",
    ),
    _Cure("add sub sum mean dot affine", _has_infinity, "Infinities of both signs: find out what made them"),
    _Cure("affine dot", _always, f"The net input overflows, as weights or inputs have grown too large; {_TO_INFINITY}"),
    _Cure("prod", _always, f"The product overflows: exp(sum(log(x))) or, better, its log alone; {_TO_INFINITY}"),
    _Cure("square", _always, "The square overflows: if a root follows, hypot(x, y) does not"),
    _Cure(
        "pow power", _broken_exponent,
        "A negative base has no real power with a fractional exponent: take abs(x)**c, sign(x) * abs(x)**c, or cbrt(x) "
        "for 1/3",
    ),
    _Cure("pow power", _at_zero, "0 to a negative power is a division by 0: keep the base away from 0"),
    _Cure("asin acos", _outside, "The operand must be in [-1, 1]. If it is outside by rounding, clamp(x, -1.0, 1.0)"),
    _Cure("atanh", lambda x: abs(x) >= 1.0, "The operand must be inside (-1, 1): clamp(x, -1 + 1e-12, 1 - 1e-12)"),
    _Cure("acosh", lambda x: x < 1.0, "The operand must be 1 or more: clamp(x, 1.0, inf)"),
    _Cure("gamma", lambda x: x > 0.0, "gamma overflows above 171.6: lgamma(x) is its log"),
    _Cure("gamma lgamma digamma polygamma", _always, "There is a pole at 0 and at every negative integer: stay away"),
    _Cure("sin cos tan", _has_infinity, "An infinite angle has no sine or cosine: find out what made the infinity"),
    _Cure("add sub mul div sum mean", _always, f"The result overflows: {_TO_INFINITY}"),
)  # fmt: skip

_BACKWARD = (
    _Cure(
        "sqrt", _at_zero,
        "The slope of sqrt at 0 is infinite: sqrt(clamp(x, 1e-12, inf)) has one of 5e5; sqrt(x*x + y*y) is hypot(x, y) "
        "and sqrt(x*x) is abs(x), which know their slope at 0",
    ),
    _Cure("cbrt", _at_zero, "The slope of cbrt at 0 is infinite: keep the operand away from 0"),
    _Cure(
        "asin acos", _at_ends,
        "The slope at -1 and 1 is infinite: clamp(x, -1 + 1e-7, 1 - 1e-7); the angle between two vectors is "
        "atan2(cross product, dot product), which has no such place",
    ),
    _Cure("acosh", lambda x: x == 1.0, "The slope at 1 is infinite: clamp(x, 1 + 1e-7, inf)"),
    _Cure("pow power", _at_zero, "At base 0 the slope of a power below 1 is infinite: clamp(x, 1e-12, inf) before it"),
    _Cure(
        "direction turn", _always,
        "hypot and atan2 have no second derivative at the origin: use the square x*x + y*y, or keep away from there",
    ),
    _Cure(
        "pow", _negative,
        "x**y has no slope in y where x is negative. If y is not to be learnt, give it as a plain number: x ** 3.0",
    ),
)  # fmt: skip

_CHOICES = "where maximum minimum clamp maxout relu leaky_relu"


def cure(event: Event, gate: Value | None = None) -> str | None:
    """Return what usually helps where this event bore a nan or an infinity; None where nothing is known.

    Args:
        event: A `Forward` or `Backward` event of `al.events`.
        gate: The node that made the upstream gradient 0, where one did.

    >>> from autograd_lite import events
    >>> cure(events(Value(-1.0).sqrt()).forward[-1])  # doctest: +ELLIPSIS
    'A negative number has no real square root. ...'
    """
    node = event.node
    if not isinstance(event, Backward):
        return _found(_FORWARD, node)
    if isfinite(event.contribution):
        return f"The gradients that meet there overflow together: {_TO_INFINITY}."
    if gate is not None and (name := _row(gate, _CHOICES)):
        return (
            f"The gradient 0 comes from {name}, but 0·inf is nan. All operands of {name} are computed, the unused ones "
            f"too: choose what {operation(node)} is given, as x in where(condition, f(where(condition, x, 1.0)), "
            "other), or clamp it, so that the slope is finite there too."
        )
    if (known := _found(_BACKWARD, node) or _found(_FORWARD, node, only_bad=True)) is not None:
        return known
    if isfinite(event.partial) and isfinite(event.upstream):
        return (
            "The gradient overflows, as it does where many factors above 1 meet: smaller weights or a lower learning "
            "rate keep it finite."
        )
    return None


def _found(cures: tuple[_Cure, ...], node: Value, only_bad: bool = False) -> str | None:
    if only_bad and isfinite(node.data):
        return None
    operands = node.operands
    first = next((x for x in flat(operands[:1]) if isinstance(x, Value)), None)
    numbers = [tuple(map(data_of, x)) if isinstance(x, tuple) else data_of(x) for x in operands]
    for known in cures:
        made_so = not known.inside or (first is not None and _row(first, known.inside))
        if _row(node, known.operations) and made_so and known.when(*numbers):
            return known.text + "."
    return None


def _row(node: Value, names: str) -> str:
    """Return the operation's name if it is one of these rows of the table, else nothing."""
    name = operation(node)
    return name if name in names.split() and TABLE[name] is node.op else ""


def operation(node: Value) -> str:
    """Return the name of the operation that made a node, nothing for a leaf.

    >>> operation(Value(1.0).exp()), operation(Value(1.0))
    ('exp', '')
    """
    return node.op.name if node.op is not None else ""


def flat(operands: tuple[Any, ...]) -> list[Any]:
    """Return all operands in a row, those in sequences among them.

    >>> flat((1.0, (2.0, 3.0)))
    [1.0, 2.0, 3.0]
    """
    return [x for group in operands for x in (group if isinstance(group, tuple) else (group,))]


def data_of(x: Value | float) -> float:
    """Return the number of an operand, which may be a constant.

    >>> data_of(Value(1.0)), data_of(2.0)
    (1.0, 2.0)
    """
    return x.data if isinstance(x, Value) else x
