"""The steps in jax: a jitted step whose old weights are donated, and `lax.scan` over many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .jobs import LEARNING_RATE
from .steps import ADAM, Array, Digits, Layers, Stepper, Task, Trained, state_of

jax.config.update("jax_enable_x64", True)


def steppers(task: Task) -> Iterator[tuple[str, Stepper]]:
    X, y = jnp.array(task.X), jnp.array(task.y)
    step = partial(_step, hinge if task.is_hinge else cross_entropy, task.decay)
    jitted = jax.jit(step, donate_argnums=0)
    yield "jax jit", _stepper(lambda layers: jitted(layers, X, y), task.layers, 1)
    yield "jax jit, awaited", _stepper(lambda layers: jax.block_until_ready(jitted(layers, X, y)), task.layers, 1)

    @partial(jax.jit, donate_argnums=0)
    def scan(layers: Any, X: Any, y: Any) -> Any:
        layers, losses = jax.lax.scan(lambda layers, _: step(layers, X, y), layers, None, length=task.loop)
        return layers, losses[-1]

    yield "jax scan", _stepper(lambda layers: scan(layers, X, y), task.layers, task.loop)


def trainings(task: Digits) -> Iterator[tuple[str, Callable[[], Trained]]]:
    X, y, tested = jnp.array(task.X), jnp.array(task.y), jnp.array(task.held_out[0])
    step = jax.jit(_adam_step, donate_argnums=0)

    @partial(jax.jit, donate_argnums=0)
    def scan(state: Any, X: Any, y: Any) -> Any:
        return jax.lax.scan(lambda state, rows: (_adam_step(state, *rows), None), state, (X, y))[0]

    outputs = jax.jit(forward)

    def train(scanned: bool) -> Trained:
        layers = _arrays(task.layers)
        zeros = jax.tree.map(jnp.zeros_like, layers)
        state = [(layers, zeros, jax.tree.map(jnp.copy, zeros), jnp.array(0.0))]

        def learn(batches: list[Array]) -> Array:
            *full, last = batches  # the last is smaller
            if scanned and full:
                rows = np.stack(full)
                state[0], full = scan(state[0], X[rows], y[rows]), []
            for rows in (*full, last):
                state[0] = step(state[0], X[rows], y[rows])
            return np.asarray(outputs(state[0][0], tested))

        return Trained(task.train(learn), state_of(0.0, state[0][0]))

    yield "jax jit", lambda: train(False)
    yield "jax scan", lambda: train(True)


def forward(layers: Any, x: Any) -> Any:
    for k, (w, b) in enumerate(layers):
        x = x @ w.T + b
        if k < len(layers) - 1:
            x = jnp.maximum(x, 0.0)
    return x


def hinge(layers: Any, X: Any, y: Any) -> Any:
    return jnp.mean(jnp.maximum(1.0 - y * forward(layers, X)[:, 0], 0.0))


def cross_entropy(layers: Any, X: Any, y: Any) -> Any:
    z = forward(layers, X)
    return jnp.mean(jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0])


def _step(loss: Callable[..., Any], decay: float, layers: Any, X: Any, y: Any) -> tuple[Any, Any]:
    value, gradient = jax.value_and_grad(loss)(layers, X, y)
    return jax.tree.map(lambda w, g: w - LEARNING_RATE * (g + decay * w), layers, gradient), value


def _adam_step(state: Any, X: Any, y: Any) -> Any:
    layers, m, v, steps = state
    rate, beta1, beta2, eps = ADAM
    steps = steps + 1.0
    correction1, correction2 = 1.0 - beta1**steps, 1.0 - beta2**steps
    gradient = jax.grad(cross_entropy)(layers, X, y)
    m = jax.tree.map(lambda m, g: beta1 * m + (1.0 - beta1) * g, m, gradient)
    v = jax.tree.map(lambda v, g: beta2 * v + (1.0 - beta2) * g * g, v, gradient)
    moved = jax.tree.map(lambda w, m, v: w - rate * (m / correction1) / (jnp.sqrt(v / correction2) + eps), layers, m, v)
    return moved, m, v, steps


def _stepper(step: Callable[[Any], Any], layers: Layers, steps: int) -> Stepper:
    now = [_arrays(layers), jnp.array(0.0)]

    def run(calls: int) -> None:
        for _ in range(calls):
            now[0], now[1] = step(now[0])
        jax.block_until_ready(now)

    return Stepper(run, lambda: state_of(now[1], now[0]), steps)


def _arrays(layers: Layers) -> Any:
    return [(jnp.array(w), jnp.array(b)) for w, b in layers]
