"""The jobs in micrograd: its neurons are sums of products; tanh, exp and log extend it as its own relu does."""

from __future__ import annotations

import math
from collections.abc import Callable

from micrograd.engine import Value
from micrograd.nn import MLP

from .jobs import L2, LEARNING_RATE, START, Run, Training, swing


def tanh(x: Value) -> Value:
    out = Value(math.tanh(x.data), (x,), "tanh")

    def _backward() -> None:
        x.grad += (1 - out.data**2) * out.grad

    out._backward = _backward
    return out


def exp(x: Value) -> Value:
    out = Value(math.exp(x.data), (x,), "exp")

    def _backward() -> None:
        x.grad += out.data * out.grad

    out._backward = _backward
    return out


def log(x: Value) -> Value:
    out = Value(math.log(x.data), (x,), "log")

    def _backward() -> None:
        x.grad += out.grad / x.data

    out._backward = _backward
    return out


def scalar_program(steps: int) -> Run:
    leaves = [Value(x) for x in START]
    yield None
    y = swing(*leaves, steps, tanh, exp, log)
    yield None
    y.backward()
    yield None
    yield [y.data, *(leaf.grad for leaf in leaves)]


def moons_step(task: Training) -> Run:
    def loss(model: MLP) -> Value:
        hinges = [(1 - y * model(x)).relu() for x, y in zip(task.X, task.y, strict=True)]
        return sum(hinges) * (1.0 / len(hinges)) + L2 * sum(p * p for p in model.parameters())

    return _step(task, loss)


def digits_step(task: Training) -> Run:
    def loss(model: MLP) -> Value:
        losses = [_cross_entropy(model(x), y) for x, y in zip(task.X, task.y, strict=True)]
        return sum(losses) * (1.0 / len(losses))

    return _step(task, loss)


def _cross_entropy(logits: list[Value], label: int) -> Value:
    top = max(z.data for z in logits)
    return log(sum(exp(z - top) for z in logits)) + top - logits[label]


def _step(task: Training, loss_of: Callable[[MLP], Value]) -> Run:
    model = MLP(len(task.X[0]), [len(layer) for layer in task.layers])
    for p, weight in zip(model.parameters(), task.weights, strict=True):
        p.data = weight
    yield None
    loss = loss_of(model)
    yield None
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= LEARNING_RATE * p.grad
    yield None
    yield [loss.data, *(p.grad for p in model.parameters()), *(p.data for p in model.parameters())]
