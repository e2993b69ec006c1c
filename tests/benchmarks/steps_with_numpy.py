"""The steps in NumPy: forward and backward by hand, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .jobs import LEARNING_RATE
from .steps import ADAM, Array, Digits, Layers, Stepper, Task, Trained, copied, state_of


def steppers(task: Task) -> Iterator[tuple[str, Stepper]]:
    layers, last = copied(task.layers), [0.0]
    loss = hinge if task.is_hinge else cross_entropy
    X, y, decay = task.X, task.y, task.decay

    def run(calls: int) -> None:
        for _ in range(calls):
            last[0], gradients = gradient(layers, X, y, loss)
            for (w, b), (gw, gb) in zip(layers, gradients, strict=True):
                w -= LEARNING_RATE * (gw + decay * w) if decay else LEARNING_RATE * gw
                b -= LEARNING_RATE * (gb + decay * b) if decay else LEARNING_RATE * gb

    yield "NumPy by hand", Stepper(run, lambda: state_of(last[0], layers))


def trainings(task: Digits) -> Iterator[tuple[str, Callable[[], Trained]]]:
    def train() -> Trained:
        layers = copied(task.layers)
        adam = _Adam([part for layer in layers for part in layer])

        def learn(batches: list[Array]) -> Array:
            for rows in batches:
                _, gradients = gradient(layers, task.X[rows], task.y[rows], cross_entropy)
                adam.step([part for layer in gradients for part in layer])
            return forward(layers, task.held_out[0])[-1]

        return Trained(task.train(learn), state_of(0.0, layers))

    yield "NumPy by hand", train


def forward(layers: Layers, X: Array) -> list[Array]:
    """Return the inputs and the outputs of all layers."""
    found = [X]
    for k, (w, b) in enumerate(layers):
        z = found[-1] @ w.T + b
        found.append(np.maximum(z, 0.0) if k < len(layers) - 1 else z)
    return found


def gradient(
    layers: Layers, X: Array, y: Array, loss: Callable[[Array, Array], tuple[float, Array]]
) -> tuple[float, Layers]:
    found = forward(layers, X)
    value, g = loss(found[-1], y)
    gradients = []
    for k in range(len(layers) - 1, -1, -1):
        gradients.append((g.T @ found[k], g.sum(axis=0)))
        if k:
            g = (g @ layers[k][0]) * (found[k] > 0.0)
    return value, gradients[::-1]


def hinge(z: Array, y: Array) -> tuple[float, Array]:
    margin = 1.0 - y * z[:, 0]
    return float(np.maximum(margin, 0.0).mean()), (np.where(margin > 0.0, -y, 0.0) / len(y))[:, None]


def cross_entropy(z: Array, y: Array) -> tuple[float, Array]:
    rows, top = np.arange(len(y)), z.max(axis=1, keepdims=True)
    e = np.exp(z - top)
    total = e.sum(axis=1, keepdims=True)
    value = float(((np.log(total) + top)[:, 0] - z[rows, y]).mean())
    p = e / total
    p[rows, y] -= 1.0
    return value, p / len(y)


class _Adam:
    def __init__(self, parameters: list[Array]) -> None:
        self._parameters = [(p, np.zeros_like(p), np.zeros_like(p)) for p in parameters]
        self._steps = 0

    def step(self, gradients: list[Array]) -> None:
        rate, beta1, beta2, eps = ADAM
        self._steps += 1
        correction1, correction2 = 1.0 - beta1**self._steps, 1.0 - beta2**self._steps
        for (p, m, v), g in zip(self._parameters, gradients, strict=True):
            m *= beta1
            m += (1.0 - beta1) * g
            v *= beta2
            v += (1.0 - beta2) * g * g
            p -= rate * (m / correction1) / (np.sqrt(v / correction2) + eps)
