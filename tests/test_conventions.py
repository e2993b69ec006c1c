"""What holds at each kink, tie and pole: the promised value and gradient, point by point.

The rule order is PyTorch's: the true gradient; else the subgradient of least norm; else the supergradient of least
norm; else continuity; else nan. The README has this table for users.
"""

import math
from collections.abc import Callable
from math import inf, nan, pi
from typing import NamedTuple

import pytest

import autograd_lite as al
from autograd_lite import Value


class Point(NamedTuple):
    """A function at a point, its value there and its gradient; None where the gradient is not promised."""

    name: str
    function: Callable[..., Value]
    at: tuple[float, ...]
    value: float
    gradient: tuple[float, ...] | None


TABLE = [
    Point("relu(0)", al.relu, (0.0,), 0.0, (0.0,)),
    Point("relu(nan)", al.relu, (nan,), nan, None),
    Point("abs(0)", al.abs, (0.0,), 0.0, (0.0,)),
    Point("abs(nan)", al.abs, (nan,), nan, (nan,)),
    Point("sqrt(0)", al.sqrt, (0.0,), 0.0, (inf,)),
    Point("sqrt(-1)", al.sqrt, (-1.0,), nan, (nan,)),
    Point("log(0)", al.log, (0.0,), -inf, (inf,)),
    Point("log(-1)", al.log, (-1.0,), nan, (nan,)),
    Point("1/0", lambda y: 1 / y, (0.0,), inf, (-inf,)),
    Point("0/0", lambda x, y: x / y, (0.0, 0.0), nan, (inf, nan)),
    Point("x/y at (1e-200, 1e-200)", lambda x, y: x / y, (1e-200, 1e-200), 1.0, (1e200, -1e200)),
    Point("x**0 at 0", lambda x: x**0, (0.0,), 1.0, (0.0,)),
    Point("x**0.0 at 0", lambda x: x**0.0, (0.0,), 1.0, (0.0,)),
    Point("x**y at (0, 0)", lambda x, y: x**y, (0.0, 0.0), 1.0, (0.0, 0.0)),
    Point("x**y at (0, .5)", lambda x, y: x**y, (0.0, 0.5), 0.0, (inf, 0.0)),
    Point("x**y at (-2, 3)", lambda x, y: x**y, (-2.0, 3.0), -8.0, (12.0, nan)),
    Point("x**3 at -2", lambda x: x**3, (-2.0,), -8.0, (12.0,)),
    Point("(-2)**.5", lambda x: x**0.5, (-2.0,), nan, (nan,)),
    Point("(-2)**y at .5", lambda y: (-2.0) ** y, (0.5,), nan, (nan,)),
    Point("1e200**2", lambda x: x**2, (1e200,), inf, (2e200,)),
    Point("maximum at a tie", al.maximum, (3.0, 3.0), 3.0, (0.5, 0.5)),
    Point("minimum at a tie", al.minimum, (3.0, 3.0), 3.0, (0.5, 0.5)),
    Point("maximum(x, x)", lambda x: al.maximum(x, x), (3.0,), 3.0, (1.0,)),
    Point("minimum(x, x)", lambda x: al.minimum(x, x), (3.0,), 3.0, (1.0,)),
    Point("clamp at the lower bound", lambda x: al.clamp(x, -1.0, 1.0), (-1.0,), -1.0, (1.0,)),
    Point("clamp at the upper bound", lambda x: al.clamp(x, -1.0, 1.0), (1.0,), 1.0, (1.0,)),
    Point("leaky_relu(0)", lambda x: al.leaky_relu(x, 0.1), (0.0,), 0.0, (0.1,)),
    Point("exp(710)", al.exp, (710.0,), inf, (inf,)),
    Point("sigmoid(40)", al.sigmoid, (40.0,), 1.0, (4.248354255291589e-18,)),
    Point("sigmoid(-40)", al.sigmoid, (-40.0,), 4.248354255291589e-18, (4.248354255291589e-18,)),
    Point("tanh(20)", al.tanh, (20.0,), 1.0, (1.6993417021166355e-17,)),
    Point("softplus(inf)", al.softplus, (inf,), inf, (1.0,)),
    Point("logsumexp(1e308, 1e308)", lambda x, y: al.logsumexp([x, y]), (1e308, 1e308), 1e308, (0.5, 0.5)),
    Point("logsumexp(-inf, 0)", lambda x, y: al.logsumexp([x, y]), (-inf, 0.0), 0.0, (0.0, 1.0)),
    Point("atan2(0, 0)", al.atan2, (0.0, 0.0), 0.0, (0.0, 0.0)),
    Point("atan2(1e-200, 1e-200)", al.atan2, (1e-200, 1e-200), pi / 4, (5e199, -5e199)),
    Point("hypot(0, 0)", al.hypot, (0.0, 0.0), 0.0, (0.0, 0.0)),
    Point("hypot(1e200, 1e200)", al.hypot, (1e200, 1e200), math.sqrt(2) * 1e200, (math.sqrt(0.5), math.sqrt(0.5))),
    Point("prod(0, 2, 3)", lambda *xs: al.prod(xs), (0.0, 2.0, 3.0), 0.0, (6.0, 0.0, 0.0)),
    Point("asin(1)", al.asin, (1.0,), pi / 2, (inf,)),
    Point("acosh(1)", al.acosh, (1.0,), 0.0, (inf,)),
    Point("atanh(1)", al.atanh, (1.0,), inf, (inf,)),
    Point("0·inf", lambda x, y: x * y, (0.0, inf), nan, (inf, 0.0)),
    Point("0·log(0)", lambda x: 0.0 * al.log(x), (0.0,), nan, (nan,)),
    Point("x·log(x) at 0", lambda x: x * al.log(x), (0.0,), nan, (nan,)),
    Point("x − x at inf", lambda x: x - x, (inf,), nan, (0.0,)),
    Point("sqrt(x·x) at 0", lambda x: al.sqrt(x * x), (0.0,), 0.0, (nan,)),
]

every_point = pytest.mark.parametrize("point", TABLE, ids=[point.name for point in TABLE])


@every_point
def test_value_and_gradient(point):
    xs = [Value(x) for x in point.at]
    y = point.function(*xs)
    assert y.data == pytest.approx(point.value, rel=1e-15, abs=0.0, nan_ok=True)
    if point.gradient is not None:
        y.backward()
        found = [x.grad for x in xs]
        assert found == pytest.approx(point.gradient, rel=4e-15, abs=0.0, nan_ok=True)
        assert al.gradients(y, xs) == pytest.approx(found, rel=0.0, abs=0.0, nan_ok=True)


@every_point
def test_a_graph_of_gradients_has_the_same(point):
    """A zero adjoint is not skipped there either."""
    xs = [Value(x) for x in point.at]
    y = point.function(*xs)
    found = [slope.data for slope in al.gradients(y, xs, create_graph=True)]
    assert found == pytest.approx(al.gradients(y, xs), rel=0.0, abs=0.0, nan_ok=True)


@every_point
def test_plain_numbers_give_the_same_value(point):
    if point.name.startswith(("1/0", "0/0", "(-2)**", "1e200**2")):
        return  # Python's own operators on floats raise here, or turn complex
    assert point.function(*point.at) == pytest.approx(point.value, rel=1e-15, abs=0.0, nan_ok=True)


def test_the_cure_for_the_root_of_a_square():
    """hypot(x, 0), or abs(x), has the gradient that sqrt(x·x) loses at 0."""
    for cure in (al.abs, lambda x: al.hypot(x, 0.0)):
        x = Value(0.0)
        cure(x).backward()
        assert x.grad == 0.0
