"""The training steps that compiled code is measured on, and what an engine makes of one: a stepper.

An engine's module (`steps_with_numpy.py` is one) has the function `steppers`, from a task to its steppers, and perhaps
`trainings`, from a training to functions that do it. This one, and all that need it, need NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import numpy as np

from nn import data

from .jobs import L2, Training, digits, two_moons

Array = Any  # np.ndarray[Any, np.dtype[np.float64]]
Layers = list[tuple[Array, Array]]  # of each: weights (n_out, n_in), biases (n_out,)

BATCH = 32
ADAM = (0.01, 0.9, 0.999, 1e-8)  # α, β₁, β₂, ε


class Task(NamedTuple):
    """One step of gradient descent on all rows: w ← w − α(g + λw)."""

    name: str
    X: Array
    y: Array  # of −1 and 1 for the hinge loss, else the indices of classes
    layers: Layers
    decay: float
    loop: int  # steps in one native call

    @property
    def is_hinge(self) -> bool:
        return bool(self.layers[-1][0].shape[0] == 1)

    @property
    def sizes(self) -> list[int]:
        return [self.X.shape[1], *(len(b) for _, b in self.layers)]


class Stepper(NamedTuple):
    """How an engine takes the steps of a task: `run(n)` takes n calls' worth of them.

    Attributes:
        steps: How many steps a call takes: 1, or for a native loop `task.loop`.
        state: Gives the loss before the last step and the weights after it, as one array.
    """

    run: Callable[[int], None]
    state: Callable[[], Array]
    steps: int = 1
    close: Callable[[], object] = lambda: None


class Digits(NamedTuple):
    """A training on the digits by Adam, until so much of the held-out ones are right."""

    X: Array
    y: Array
    held_out: tuple[Array, Array]
    layers: Layers
    accuracy: float
    most_epochs: int

    def epochs(self) -> Iterator[list[Array]]:
        """Yield the batches of each epoch, shuffled as `nn.fit` does with seed 0."""
        order, rng = list(range(len(self.X))), Random(0)
        for _ in range(self.most_epochs):
            rng.shuffle(order)
            yield [np.array(order[k : k + BATCH]) for k in range(0, len(order), BATCH)]

    def train(self, learn: Callable[[list[Array]], Array]) -> int:
        """Give `learn` the batches of an epoch, until what it returns, outputs for the held-out rows, is right enough.

        Returns:
            How many epochs it took.
        """
        for epoch, batches in enumerate(self.epochs(), start=1):
            if (learn(batches).argmax(axis=1) == self.held_out[1]).mean() >= self.accuracy:
                return epoch
        return self.most_epochs


class Trained(NamedTuple):
    """What a training came to."""

    epochs: int
    weights: Array


def moons_task(rows: int, loop: int) -> Task:
    """Return J2, or the same with other rows."""
    return _task("J2" if rows == 100 else f"J2 of {rows:,} rows", two_moons(rows), L2, loop)


def digits_task(rows: int, loop: int) -> Task:
    """Return J3."""
    return _task("J3", digits(rows), 0.0, loop)


def random_task(sizes: Sequence[int], rows: int, loop: int) -> Task:
    """Return a step of a network of these sizes on random numbers."""
    rng = np.random.default_rng(7)
    X, y = rng.random((rows, sizes[0])), rng.integers(0, sizes[-1], rows)
    return Task("-".join(map(str, sizes)), X, y, random_layers(sizes), 0.0, loop)


def digits_training(quick: bool) -> Digits:
    train, held_out = data.digits().split(test=0.2, seed=0)
    X, y = np.array(train.X), np.array(train.y)
    rows, accuracy, most_epochs = (64, 0.3, 5) if quick else (len(X), 0.97, 100)
    tested = np.array(held_out.X), np.array(held_out.y)
    return Digits(X[:rows], y[:rows], tested, random_layers([64, 32, 10]), accuracy, most_epochs)


def random_layers(sizes: Sequence[int]) -> Layers:
    rng = np.random.default_rng(7)
    return [
        (rng.uniform(-1.0, 1.0, (n_out, n_in)) / n_in**0.5, rng.uniform(-0.1, 0.1, n_out))
        for n_in, n_out in pairwise(sizes)
    ]


def copied(layers: Layers) -> Layers:
    return [(w.copy(), b.copy()) for w, b in layers]


def state_of(loss: float, layers: Sequence[tuple[Any, Any]]) -> Array:
    """Return a loss and weights as one array."""
    return np.concatenate([[float(loss)], *(np.asarray(part).ravel() for layer in layers for part in layer)])


def _task(name: str, training: Training, decay: float, loop: int) -> Task:
    layers = [(np.array([w for w, _ in layer]), np.array([b for _, b in layer])) for layer in training.layers]
    return Task(name, np.array(training.X), np.array(training.y), layers, decay, loop)
