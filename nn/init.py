"""Initial weights: each function draws the matrix of one layer, a row per unit.

All take `(n_in, n_out, rng)`, the numbers of units before and in the layer, and a seed or a `random.Random`; they
return `n_out` rows of `n_in` floats. The lecture's section "Initialization" says why they differ: with equal weights
all neurons stay the same, with too small a variance the outputs vanish after a few layers, with too large a one they
diverge. To set a number, use `functools.partial(normal, sigma=0.1)`.
"""

import math
from collections.abc import Callable
from numbers import Integral
from random import Random
from reprlib import repr as short

from autograd_lite.op import number

__all__ = ["constant", "he", "he_uniform", "normal", "uniform", "xavier", "xavier_uniform"]


def constant(n_in: int, n_out: int, rng: int | Random, value: float = 0.0) -> list[list[float]]:
    """Set every weight to one value: the lecture's example of what not to do, since it breaks no symmetry.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: A number of units is below 1.

    >>> constant(3, 2, 0, value=0.5)
    [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    """
    value = number(value, "value")
    return _matrix(n_in, n_out, lambda: value)


def normal(n_in: int, n_out: int, rng: int | Random, sigma: float = 1.0) -> list[list[float]]:
    """Draw every weight from the normal distribution N(0, σ²).

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: A number of units is below 1, or sigma negative or not finite.

    >>> [[round(w, 3) for w in row] for row in normal(3, 2, rng=0)]
    [[0.942, -1.397, -0.68], [0.371, -1.016, -0.072]]
    """
    gauss, sigma = generator(rng).gauss, _spread("sigma", sigma)
    return _matrix(n_in, n_out, lambda: gauss(0.0, sigma))


def uniform(n_in: int, n_out: int, rng: int | Random, bound: float = 1.0) -> list[list[float]]:
    """Draw every weight evenly from -bound to bound, whose variance is bound²/3.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: A number of units is below 1, or bound negative or not finite.

    >>> [[round(w, 3) for w in row] for row in uniform(3, 2, rng=0)]
    [[0.689, 0.516, -0.159], [-0.482, 0.023, -0.19]]
    """
    draw, bound = generator(rng).uniform, _spread("bound", bound)
    return _matrix(n_in, n_out, lambda: draw(-bound, bound))


def xavier(n_in: int, n_out: int, rng: int | Random) -> list[list[float]]:
    """Draw from N(0, σ²) with σ² = 2/(n_in + n_out), for tanh, sigmoid and linear units; errors as for `normal`.

    Source: X. Glorot and Y. Bengio (2010), Understanding the difficulty of training deep feedforward neural networks.

    >>> xavier(4, 4, rng=0) == normal(4, 4, rng=0, sigma=0.5)
    True
    """
    return normal(n_in, n_out, rng, math.sqrt(2.0 / (_units("n_in", n_in) + _units("n_out", n_out))))


def he(n_in: int, n_out: int, rng: int | Random) -> list[list[float]]:
    """Draw from N(0, σ²) with σ² = 2/n_in, for relu and its kin; errors as for `normal`.

    Source: K. He, X. Zhang, S. Ren and J. Sun (2015), Delving deep into rectifiers.

    >>> he(8, 3, rng=0) == normal(8, 3, rng=0, sigma=0.5)
    True
    """
    return normal(n_in, n_out, rng, math.sqrt(2.0 / _units("n_in", n_in)))


def xavier_uniform(n_in: int, n_out: int, rng: int | Random) -> list[list[float]]:
    """Draw evenly, with the variance of `xavier`: the bound is √(6/(n_in + n_out)).

    >>> xavier_uniform(3, 3, rng=0) == uniform(3, 3, rng=0, bound=1.0)
    True
    """
    return uniform(n_in, n_out, rng, math.sqrt(6.0 / (_units("n_in", n_in) + _units("n_out", n_out))))


def he_uniform(n_in: int, n_out: int, rng: int | Random) -> list[list[float]]:
    """Draw evenly, with the variance of `he`: the bound is √(6/n_in).

    >>> he_uniform(6, 2, rng=0) == uniform(6, 2, rng=0, bound=1.0)
    True
    """
    return uniform(n_in, n_out, rng, math.sqrt(6.0 / _units("n_in", n_in)))


def generator(rng: int | Random) -> Random:
    """Return the generator itself, or one that starts from the seed.

    >>> generator(1).random() == generator(1).random()
    True
    """
    if isinstance(rng, Random):
        return rng
    if not isinstance(rng, Integral):
        raise TypeError(f"a seed must be an integer or a random.Random, got {short(rng)}")
    return Random(int(rng))


def _matrix(n_in: int, n_out: int, draw: Callable[[], float]) -> list[list[float]]:
    columns = range(_units("n_in", n_in))
    return [[draw() for _ in columns] for _ in range(_units("n_out", n_out))]


def _units(what: str, n: int) -> int:
    """Check a number of units."""
    if not isinstance(n, Integral) or isinstance(n, bool):
        raise TypeError(f"{what} must be an integer, got {short(n)}")
    if n < 1:
        raise ValueError(f"{what} must be at least 1, got {n}")
    return int(n)


def _spread(what: str, value: float) -> float:
    value = number(value, what)
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{what} must be at least 0 and finite, got {value}")
    return value
