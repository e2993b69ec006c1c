"""The jobs in autograd_lite: a neuron's net input is one node, and so is a sum, a mean, a log Σ exp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd_lite as al

from .jobs import L2, LEARNING_RATE, START, Run, Training, swing


def scalar_program(steps: int) -> Run:
    leaves = [al.Value(x) for x in START]
    yield None
    y = swing(*leaves, steps, al.Value.tanh, al.Value.exp, al.Value.log)
    yield None
    y.backward()
    yield None
    yield [y.data, *(leaf.grad for leaf in leaves)]


def moons_step(task: Training) -> Run:
    def loss(layers: list[Any], parameters: list[al.Value]) -> al.Value:
        scores = (_forward(layers, x)[0] for x in task.X)
        hinge = al.mean([(1.0 - y * score).relu() for y, score in zip(task.y, scores, strict=True)])
        return hinge + L2 * al.dot(parameters, parameters)

    return _step(task, loss)


def digits_step(task: Training) -> Run:
    def loss(layers: list[Any], parameters: list[al.Value]) -> al.Value:
        logits = (_forward(layers, x) for x in task.X)
        return al.mean([al.logsumexp(z) - z[y] for y, z in zip(task.y, logits, strict=True)])

    return _step(task, loss)


def _forward(layers: list[Any], x: Any) -> list[al.Value]:
    for layer in layers[:-1]:
        x = [al.affine(w, x, b).relu() for w, b in layer]
    return [al.affine(w, x, b) for w, b in layers[-1]]


def _step(task: Training, loss_of: Callable[[list[Any], list[al.Value]], al.Value]) -> Run:
    layers = [[([al.Value(v) for v in w], al.Value(b)) for w, b in layer] for layer in task.layers]
    parameters = [p for layer in layers for w, b in layer for p in (*w, b)]
    yield None
    loss = loss_of(layers, parameters)
    yield None
    for p in parameters:
        p.grad = 0.0
    loss.backward()
    for p in parameters:
        p.data -= LEARNING_RATE * p.grad
    yield None
    yield [loss.data, *(p.grad for p in parameters), *(p.data for p in parameters)]
