"""The jobs in xad, a C++ tape with Python operators: binary operations, as its interface has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xad.math as xm
from xad.adj_1st import Real, Tape

from .jobs import L2, LEARNING_RATE, START, Run, Training, swing


def scalar_program(steps: int) -> Run:
    with Tape() as tape:
        leaves = [Real(x) for x in START]
        yield None
        tape.registerInputs(leaves)
        tape.newRecording()
        y = swing(*leaves, steps, xm.tanh, xm.exp, xm.log)
        tape.registerOutput(y)
        yield None
        y.derivative = 1.0
        tape.computeAdjoints()
        yield None
        yield [y.value, *(leaf.derivative for leaf in leaves)]


def moons_step(task: Training) -> Run:
    def loss(layers: list[Any], parameters: list[Real]) -> Real:
        scores = (_forward(layers, x)[0] for x in task.X)
        hinges = [xm.fmax(1.0 - y * score, 0.0) for y, score in zip(task.y, scores, strict=True)]
        return sum(hinges) * (1.0 / len(hinges)) + L2 * sum(p * p for p in parameters)

    return _step(task, loss)


def digits_step(task: Training) -> Run:
    def loss(layers: list[Any], parameters: list[Real]) -> Real:
        losses = [_cross_entropy(_forward(layers, x), y) for x, y in zip(task.X, task.y, strict=True)]
        return sum(losses) * (1.0 / len(losses))

    return _step(task, loss)


def tape_bytes() -> int:
    """Return what the tape holds: C++ memory, which Python's allocator knows nothing of."""
    return int(Tape.getActive().getMemory())


def _cross_entropy(logits: list[Real], label: int) -> Real:
    top = max(z.value for z in logits)
    return xm.log(sum(xm.exp(z - top) for z in logits)) + top - logits[label]


def _forward(layers: list[Any], x: Any) -> list[Real]:
    for layer in layers[:-1]:
        x = [xm.fmax(_net_input(w, x, b), 0.0) for w, b in layer]
    return [_net_input(w, x, b) for w, b in layers[-1]]


def _net_input(w: list[Real], x: Any, b: Real) -> Real:
    return sum((wi * xi for wi, xi in zip(w, x, strict=True)), b)


def _step(task: Training, loss_of: Callable[[list[Any], list[Real]], Real]) -> Run:
    with Tape() as tape:
        layers = [[([Real(v) for v in w], Real(b)) for w, b in layer] for layer in task.layers]
        parameters = [p for layer in layers for w, b in layer for p in (*w, b)]
        yield None
        tape.registerInputs(parameters)
        tape.newRecording()
        loss = loss_of(layers, parameters)
        tape.registerOutput(loss)
        yield None
        loss.derivative = 1.0
        tape.computeAdjoints()
        gradients = [p.derivative for p in parameters]
        weights = [p.value - LEARNING_RATE * g for p, g in zip(parameters, gradients, strict=True)]
        yield None
        yield [loss.value, *gradients, *weights]
