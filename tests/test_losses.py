"""Each loss is its formula, with the derivative that the formula has, also where the network is very sure."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Value
from nn import losses

mpmath.mp.dps = 50

numbers = st.floats(-1e3, 1e3)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6)


def value_and_gradient(loss, outputs: list[float], target) -> tuple[float, list[float]]:
    values = [Value(output) for output in outputs]
    result = loss(values, target)
    assert type(result) is Value
    result.backward()
    return result.data, [value.grad for value in values]


def close(wanted, rel: float = 1e-12, abs: float = 1e-300):
    """Compare at full relative accuracy; below `abs` float64 itself has none to give."""
    return pytest.approx([float(x) for x in wanted] if isinstance(wanted, list) else float(wanted), rel=rel, abs=abs)


# for numbers


@given(pairs)
def test_half_sse(pairs):
    outputs, targets = map(list, zip(*pairs, strict=True))
    value, gradient = value_and_gradient(losses.half_sse, outputs, targets)
    assert value == close(math.fsum((o - t) ** 2 for o, t in pairs) / 2)
    assert gradient == [o - t for o, t in pairs]  # the lecture's ∂E/∂o = o − t


@given(pairs)
def test_mse(pairs):
    outputs, targets = map(list, zip(*pairs, strict=True))
    value, gradient = value_and_gradient(losses.mse, outputs, targets)
    assert value == close(math.fsum((o - t) ** 2 for o, t in pairs) / len(pairs))
    assert gradient == close([2 * (o - t) / len(pairs) for o, t in pairs])


@given(pairs)
def test_mae(pairs):
    outputs, targets = map(list, zip(*pairs, strict=True))
    value, gradient = value_and_gradient(losses.mae, outputs, targets)
    assert value == close(math.fsum(abs(o - t) for o, t in pairs) / len(pairs))
    assert gradient == close([((o > t) - (o < t)) / len(pairs) for o, t in pairs])


@given(pairs, st.floats(0.1, 100))
def test_huber(pairs, delta):
    def one(e: float) -> float:
        return 0.5 * e * e if abs(e) <= delta else delta * (abs(e) - 0.5 * delta)

    outputs, targets = map(list, zip(*pairs, strict=True))
    value, gradient = value_and_gradient(lambda o, t: losses.huber(o, t, delta=delta), outputs, targets)
    assert value == close(math.fsum(one(o - t) for o, t in pairs) / len(pairs))
    assert gradient == close([min(max(o - t, -delta), delta) / len(pairs) for o, t in pairs])


def test_huber_at_the_seam():
    assert value_and_gradient(losses.huber, [1.0], 0) == (0.5, [1.0])
    assert value_and_gradient(losses.huber, [-1.0], 0) == (0.5, [-1.0])


@pytest.mark.parametrize("loss", [losses.half_sse, losses.mse, losses.mae, losses.huber])
@pytest.mark.parametrize("target", [3, [3], (3.0,), np.float32(3), np.array([3]), [np.int64(3)]], ids=repr)
def test_targets_of_any_real_type(loss, target):
    assert value_and_gradient(loss, [2.5], target) == value_and_gradient(loss, [2.5], [3.0])


# for classes


@pytest.mark.parametrize(
    ("output", "target", "value", "slope"),
    [(0.25, 1, 0.75, -1.0), (0.25, -1, 1.25, 1.0), (2.0, 1, 0.0, 0.0), (-2.0, -1.0, 0.0, 0.0), (1.0, 1, 0.0, 0.0)],
)
def test_hinge(output, target, value, slope):
    assert value_and_gradient(losses.hinge, [output], target) == (value, [slope])


LOGITS = [0.0, 1.0, -1.0, 1e-9, 5.0, -20.0, 40.0, -40.0, 300.0, -300.0, 700.0, -700.0, 1e5, -1e5]


@pytest.mark.parametrize("z", LOGITS)
def test_binary_cross_entropy_at_full_accuracy(z):
    e = mpmath.exp(mpmath.mpf(z))
    softplus, softplus_of_minus = mpmath.log1p(e), mpmath.log1p(1 / e)
    sigmoid, sigmoid_of_minus = e / (1 + e), 1 / (1 + e)

    assert value_and_gradient(losses.binary_cross_entropy, [z], 0) == (close(softplus), [close(sigmoid)])
    assert value_and_gradient(losses.binary_cross_entropy, [z], 1) == (
        close(softplus_of_minus),
        [close(-sigmoid_of_minus)],
    )
    value, (slope,) = value_and_gradient(losses.binary_cross_entropy, [z], 0.25)
    assert value == close(0.25 * softplus_of_minus + 0.75 * softplus)
    assert slope == close(sigmoid - 0.25, abs=1e-16)


def test_binary_cross_entropy_of_an_infinite_logit():
    assert value_and_gradient(losses.binary_cross_entropy, [math.inf], 1) == (0.0, [0.0])
    assert value_and_gradient(losses.binary_cross_entropy, [-math.inf], 0) == (0.0, [0.0])
    assert value_and_gradient(losses.binary_cross_entropy, [-math.inf], 1) == (math.inf, [-1.0])


@pytest.mark.parametrize(
    "logits",
    [
        [0.0, 0.0],
        [0.1, -0.2, 0.3],
        [3.0, 2.0, 1.0, 0.0, -1.0],
        [50.0, 0.0],
        [50.0, 0.0, -3.0],
        [40.0, 39.0, -40.0],
        [700.0, 0.0],
        [1e3, 1e3, 1e3 - 3],
        [-700.0, -701.0],
    ],
    ids=str,
)
def test_cross_entropy_at_full_accuracy(logits):
    for right in range(len(logits)):
        powers = [mpmath.exp(mpmath.mpf(z) - mpmath.mpf(logits[right])) for z in logits]
        rest = mpmath.fsum(power for i, power in enumerate(powers) if i != right)
        value, gradient = value_and_gradient(losses.cross_entropy, logits, right)
        # Both near 0 and near 1 the probability of the right class is known to the last digits.
        assert value == close(mpmath.log1p(rest))
        wanted = [power / (1 + rest) for power in powers]
        wanted[right] = -rest / (1 + rest)
        assert gradient == close(wanted)


def test_cross_entropy_of_two_classes_is_the_binary_one():
    value, (slope0, slope1) = value_and_gradient(losses.cross_entropy, [0.5, 2.0], 1)
    binary, (slope,) = value_and_gradient(losses.binary_cross_entropy, [1.5], 1)
    assert value == close(binary)
    assert [slope0, slope1] == close([-slope, slope])


def test_a_class_may_be_a_numpy_integer():
    assert value_and_gradient(losses.cross_entropy, [1.0, 2.0], np.int64(1)) == value_and_gradient(
        losses.cross_entropy, [1.0, 2.0], 1
    )


@pytest.mark.parametrize(
    ("loss", "outputs", "target"),
    [
        (losses.half_sse, [0.3, -0.7], [1.0, 2.0]),
        (losses.huber, [0.3, -7.0], [1.0, 2.0]),
        (losses.binary_cross_entropy, [0.3], 0.25),
        (losses.cross_entropy, [0.3, -0.7, 1.0], 2),
    ],
)
def test_second_derivatives_exist(loss, outputs, target):
    def slope(h: float, i: int) -> list[float]:
        moved = [o + h * (k == i) for k, o in enumerate(outputs)]
        return value_and_gradient(loss, moved, target)[1]

    h = 1e-5
    for i, row in enumerate(al.hessian(lambda values: loss(values, target), outputs)):
        wanted = [(a - b) / (2 * h) for a, b in zip(slope(h, i), slope(-h, i), strict=True)]
        assert row == pytest.approx(wanted, abs=1e-8)


# what they refuse

ONE, TWO = [Value(1.0)], [Value(1.0), Value(2.0)]


@pytest.mark.parametrize("loss", [losses.half_sse, losses.mse, losses.mae, losses.huber])
@pytest.mark.parametrize(
    ("outputs", "target", "error", "message"),
    [
        (TWO, [1.0], ValueError, " wants one target per output, got 2 outputs and 1 targets"),
        (TWO, 1.0, ValueError, " wants one target per output, got 2 outputs and 1 targets"),
        (ONE, [1, 2, 3], ValueError, " wants one target per output, got 1 outputs and 3 targets"),
        ([], [], ValueError, " of no outputs is not defined"),
        (Value(1.0), 1.0, TypeError, " takes a sequence of numbers, but Value"),
        (ONE, "1", TypeError, " takes a sequence of numbers, but '1' is of type str"),
        (ONE, None, TypeError, "a target of "),
        (ONE, ["1"], TypeError, "a target of "),
        (ONE, Value(1.0), TypeError, "a target of "),
    ],
)
def test_losses_for_numbers_refuse(loss, outputs, target, error, message):
    with pytest.raises(error) as caught:
        loss(outputs, target)
    assert str(caught.value).startswith((f"{loss.__name__}{message}", f"{message}{loss.__name__} must be a real"))


@pytest.mark.parametrize(
    ("compute", "error", "message"),
    [
        (lambda: losses.huber(ONE, 1, delta=0), ValueError, "delta must be positive and finite, got 0.0"),
        (lambda: losses.huber(ONE, 1, delta=math.nan), ValueError, "delta must be positive and finite, got nan"),
        (lambda: losses.huber(ONE, 1, delta="1"), TypeError, "delta must be a real number, but '1' is of type str"),
        (
            lambda: losses.hinge(ONE, 0),
            ValueError,
            "the target of hinge must be -1 or 1, got 0; make it from a class 0 or 1 by 2*t - 1",
        ),
        (lambda: losses.hinge(ONE, math.nan), ValueError, "the target of hinge must be -1 or 1, got nan"),
        (lambda: losses.hinge(ONE, [1]), TypeError, "the target of hinge must be a real number, but [1] is of type"),
        (lambda: losses.hinge(TWO, 1), ValueError, "hinge wants one output, got 2"),
        (lambda: losses.hinge(ONE[0], 1), TypeError, "hinge takes a sequence of numbers, but Value"),
        (lambda: losses.binary_cross_entropy(TWO, 1), ValueError, "binary_cross_entropy wants one output, got 2"),
        (lambda: losses.binary_cross_entropy([], 1), ValueError, "binary_cross_entropy wants one output, got 0"),
        (
            lambda: losses.binary_cross_entropy(ONE, -1),
            ValueError,
            "the target of binary_cross_entropy must be within 0 and 1, got -1",
        ),
        (
            lambda: losses.binary_cross_entropy(ONE, "cat"),
            TypeError,
            "the target of binary_cross_entropy must be a real number, but 'cat' is of type str",
        ),
        (
            lambda: losses.cross_entropy(ONE, 0),
            ValueError,
            "cross_entropy wants one output per class, at least 2, got 1; for a single output use binary",
        ),
        (
            lambda: losses.cross_entropy(TWO, 2),
            ValueError,
            "class 2 has no output: 2 outputs are for classes 0 to 1",
        ),
        (lambda: losses.cross_entropy(TWO, -1), ValueError, "class -1 has no output"),
        (
            lambda: losses.cross_entropy(TWO, 1.0),
            TypeError,
            "the target of cross_entropy must be the index of a class, an integer, got 1.0",
        ),
        (
            lambda: losses.cross_entropy(TWO, [0, 1]),
            TypeError,
            "the target of cross_entropy must be the index of a class, an integer, got [0, 1]",
        ),
        (lambda: losses.cross_entropy(3, 1), TypeError, "cross_entropy takes a sequence of numbers, but 3 is of"),
    ],
)
def test_wrong_arguments_are_told(compute, error, message):
    with pytest.raises(error) as caught:
        compute()
    assert str(caught.value).startswith(message)
