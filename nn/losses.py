"""How wrong the outputs are: each loss takes the outputs for one example and its target, and gives one Value.

The loss of several examples is the mean of theirs. All but `cross_entropy` take their target as it is measured; the
losses for classes take the *net inputs* of the output layer (logits), so the network's output must be linear.
"""

# mypy: disable-error-code="no-any-return"
# An operation gives a float for floats and a Value for Values, so its type says Any; here it is always a Value.

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from reprlib import repr as short
from typing import Any

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.op import number, sequence

__all__ = ["AnyTarget", "binary_cross_entropy", "cross_entropy", "half_sse", "hinge", "huber", "mae", "mse"]


class AnyTarget(Value):
    """Stand for the target of any example, while a loss is traced to be compiled; what it is was checked before.

    >>> half_sse([Value(3.0)], AnyTarget(1.0)).op
    <operation mul(a, b)>
    """

    __slots__ = ()


def half_sse(outputs: Sequence[Value], target: float | Iterable[float]) -> Value:
    """Return the lecture's error E = ½ Σ (o − t)², whose derivative by an output is o − t.

    Source: the lecture, "Back-propagation: Sketch on One Training Case".

    Args:
        outputs: The network's outputs.
        target: One number per output; for a single output the number itself will do.

    Raises:
        TypeError: Either is not as described.
        ValueError: They differ in length, or there is no output.

    >>> half_sse([Value(1.0), Value(5.0)], [0.0, 3.0]).data
    2.5
    """
    errors = _errors("half_sse", outputs, target)
    return 0.5 * al.dot(errors, errors)


def mse(outputs: Sequence[Value], target: float | Iterable[float]) -> Value:
    """Return the mean of the squared errors (o − t)²; arguments and errors as for `half_sse`.

    >>> mse([Value(1.0), Value(5.0)], [0.0, 3.0]).data
    2.5
    """
    return al.mean([al.square(error) for error in _errors("mse", outputs, target)])


def mae(outputs: Sequence[Value], target: float | Iterable[float]) -> Value:
    """Return the mean of the absolute errors |o − t|; arguments and errors as for `half_sse`.

    >>> mae([Value(1.0), Value(5.0)], [0.0, 3.0]).data
    1.5
    """
    return al.mean([al.abs(error) for error in _errors("mae", outputs, target)])


def huber(outputs: Sequence[Value], target: float | Iterable[float], delta: float = 1.0) -> Value:
    """Return the mean of ½e² for errors |e| ≤ δ and of δ·(|e| − ½δ) for larger ones, which pull less than squares.

    Source: P. J. Huber (1964), Robust estimation of a location parameter. Arguments and errors are as for
    `half_sse`.

    Raises:
        ValueError: `delta` is not positive and finite.

    >>> huber([Value(0.5), Value(5.0)], [0.0, 3.0]).data
    0.8125
    """
    delta = number(delta, "delta")
    if not 0.0 < delta < math.inf:
        raise ValueError(f"delta must be positive and finite, got {delta}")
    terms = []
    for error in _errors("huber", outputs, target):
        near = al.clamp(error, -delta, delta)
        terms.append(near * (error - 0.5 * near))  # both cases of the definition at once
    return al.mean(terms)


def hinge(outputs: Sequence[Value], target: float) -> Value:
    """Return max(0, 1 − t·o) for one output and a target t of −1 or 1: 0 where o is on t's side by 1 or more.

    Source: C. Cortes and V. Vapnik (1995), Support-vector networks.

    Raises:
        TypeError: The outputs are not a sequence, or the target is not a number.
        ValueError: There is not exactly one output, or the target is neither −1 nor 1.

    >>> hinge([Value(0.25)], -1).data
    1.25
    """
    output, t = _single("hinge", outputs), _number("the target of hinge", target)
    if not isinstance(t, AnyTarget) and t not in (-1.0, 1.0):
        raise ValueError(f"the target of hinge must be -1 or 1, got {t:g}; make it from a class 0 or 1 by 2*t - 1")
    return al.relu(1.0 - t * output)


def binary_cross_entropy(outputs: Sequence[Value], target: float) -> Value:
    """Return −t·log p − (1−t)·log(1−p) for the probability p = σ(z) that one output z stands for.

    It is computed from the logit z as t·softplus(−z) + (1−t)·softplus(z), accurate however sure the network is. The
    derivative by z is σ(z) − t.

    Args:
        outputs: One output, the net input of a linear unit.
        target: The probability t of class 1: mostly just 0 or 1.

    Raises:
        TypeError: The outputs are not a sequence, or the target is not a number.
        ValueError: There is not exactly one output, or the target is not within 0 and 1.

    >>> f"{binary_cross_entropy([Value(0.0)], 1).data:.4f}"
    '0.6931'
    """
    z, t = _single("binary_cross_entropy", outputs), _number("the target of binary_cross_entropy", target)
    if not isinstance(t, AnyTarget):
        if not 0.0 <= t <= 1.0:
            raise ValueError(f"the target of binary_cross_entropy must be within 0 and 1, got {t:g}")
        if t == 0.0:
            return al.softplus(z)
        if t == 1.0:
            return al.softplus(-z)
    return t * al.softplus(-z) + (1.0 - t) * al.softplus(z)


def cross_entropy(outputs: Sequence[Value], class_index: int) -> Value:
    """Return −log p of the right class, for the probabilities p = softmax(z) that the outputs z stand for.

    It is computed from the logits as softplus(logsumexp(the others) − z of the class), which keeps full relative
    accuracy also where p is nearly 1 and the loss nearly 0. The derivative by z is p, less 1 for the class.

    Args:
        outputs: One per class, the net inputs of linear units.
        class_index: The right class, counted from 0.

    Raises:
        TypeError: The outputs are not a sequence, or the class is not an integer.
        ValueError: There are fewer than two outputs, or no output for the class.

    >>> f"{cross_entropy([Value(0.0), Value(0.0)], 1).data:.4f}"
    '0.6931'
    >>> cross_entropy([Value(50.0), Value(0.0)], 0).data
    1.9287498479639178e-22
    """
    logits = list(sequence(outputs, "cross_entropy"))
    if isinstance(class_index, AnyTarget) and len(logits) > 1:
        is_other = [class_index - k for k in range(len(logits))]  # 0 for the right class
        right = al.sum([al.where(other, 0.0, z) for other, z in zip(is_other, logits, strict=True)])
        return al.softplus(
            al.logsumexp([al.where(o, z, -math.inf) for o, z in zip(is_other, logits, strict=True)]) - right
        )
    if not isinstance(class_index, Integral):
        raise TypeError(
            f"the target of cross_entropy must be the index of a class, an integer, got {short(class_index)}"
        )
    if len(logits) < 2:
        raise ValueError(
            f"cross_entropy wants one output per class, at least 2, got {len(logits)}; "
            "for a single output use binary_cross_entropy"
        )
    if not 0 <= class_index < len(logits):
        raise ValueError(
            f"class {class_index} has no output: {len(logits)} outputs are for classes 0 to {len(logits) - 1}"
        )
    right = logits.pop(class_index)
    return al.softplus(al.logsumexp(logits) - right)


def _errors(loss: str, outputs: Sequence[Value], target: Any) -> list[Value]:
    """Return o − t for every output."""
    outputs = sequence(outputs, loss)
    given = sequence(target, loss) if isinstance(target, Iterable) else (target,)
    targets = [_number(f"a target of {loss}", t) for t in given]
    if len(targets) != len(outputs):
        raise ValueError(f"{loss} wants one target per output, got {len(outputs)} outputs and {len(targets)} targets")
    if not outputs:
        raise ValueError(f"{loss} of no outputs is not defined")
    return [o - t for o, t in zip(outputs, targets, strict=True)]


def _number(what: str, target: Any) -> Any:
    """Return a target as a float, or as it is if it stands for any."""
    return target if isinstance(target, AnyTarget) else number(target, what)


def _single(loss: str, outputs: Sequence[Value]) -> Any:
    outputs = sequence(outputs, loss)
    if len(outputs) != 1:
        raise ValueError(f"{loss} wants one output, got {len(outputs)}")
    return outputs[0]
