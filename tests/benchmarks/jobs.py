"""The three jobs: one program, two training steps, and the numbers that every engine starts from.

An engine's module (`with_micrograd.py` is one) does each job as a generator that pauses where the clock is read:
when it is ready, when the computation is recorded, when the gradients are there (and the weights updated); its
last item is the list of the numbers it computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

from nn import data

Run = Iterator[list[float] | None]

START = (0.3, -0.7, 1.0, -0.7)
OPERATIONS_PER_STEP = 10
LEARNING_RATE = 0.1
L2 = 1e-4


def swing(
    q: Any,
    p: Any,
    k: Any,
    b: Any,
    steps: int,
    tanh: Callable[..., Any],
    exp: Callable[..., Any],
    log: Callable[..., Any],
) -> Any:
    """Follow a particle in a well: the program of J1, ten operations a step, whose gradients stay of one size.

    Position and momentum take turns, so a step keeps the area of (q, p) (the symplectic Euler method): its Jacobian
    matrix has determinant 1, and however many steps there are, the gradient neither dies away nor blows up.
    """
    for _ in range(steps):
        p = p - tanh(q) * k * 0.1
        q = q + (log(exp(p) + 1.0) + b) * 0.1
    return q + p


@dataclass(frozen=True)
class Training:
    """Examples, targets, and for each layer the weights and the bias of every neuron."""

    X: Sequence[tuple[float, ...]]
    y: Sequence[int]
    layers: Sequence[Sequence[tuple[list[float], float]]]

    @property
    def weights(self) -> list[float]:
        """All weights in one list, a neuron's bias after its weights."""
        return [number for layer in self.layers for w, b in layer for number in (*w, b)]


def two_moons(examples: int) -> Training:
    """Return J2: MLP(2, [16, 16, 1]), classes −1 and 1."""
    X, y = data.moons(examples, seed=1)
    return Training([tuple(x) for x in X], [2 * c - 1 for c in y], _random_layers(2, 16, 16, 1))


def digits(examples: int) -> Training:
    """Return J3: MLP(64, [32, 10]), classes 0 to 9."""
    X, y = data.digits()
    return Training([tuple(x) for x in X[:examples]], y[:examples], _random_layers(64, 32, 10))


def _random_layers(*sizes: int) -> list[list[tuple[list[float], float]]]:
    rng = Random(7)
    return [
        [([rng.uniform(-1.0, 1.0) / n_in**0.5 for _ in range(n_in)], rng.uniform(-0.1, 0.1)) for _ in range(n_out)]
        for n_in, n_out in pairwise(sizes)
    ]
