"""The steps in autograd_lite: `nn.compile`, a call for each step or one call for many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np

import nn

from .jobs import LEARNING_RATE
from .steps import ADAM, Array, Digits, Layers, Stepper, Task, Trained, state_of


def steppers(task: Task) -> Iterator[tuple[str, Stepper]]:
    yield "autograd_lite", _stepper(task, 1)
    yield "autograd_lite, loop", _stepper(task, task.loop)


def trainings(task: Digits) -> Iterator[tuple[str, Callable[[], Trained]]]:
    held_out = task.held_out[0].tolist(), task.held_out[1].tolist()
    X, y = task.X.tolist(), task.y.tolist()

    def train() -> Trained:
        model = _model(task.layers)
        history = nn.fit(
            model, X, y, validation=held_out, epochs=task.most_epochs, compile=True, progress=_until(task.accuracy),
            optimizer=nn.Adam(model.parameters(), lr=ADAM[0], betas=ADAM[1:3], eps=ADAM[3]),
        )  # fmt: skip
        return Trained(len(history), state_of(0.0, _layers(model)))

    yield "autograd_lite", train


def _until(accuracy: float) -> Callable[[Any], None]:
    def watch(record: Any) -> None:
        if record["validation_accuracy"] >= accuracy:
            raise KeyboardInterrupt

    return watch


def _stepper(task: Task, times: int) -> Stepper:
    model = _model(task.layers)
    loss = nn.losses.hinge if task.is_hinge else nn.losses.cross_entropy
    optimizer = nn.SGD(model.parameters(), lr=LEARNING_RATE, weight_decay=task.decay)
    compiled = nn.compile(model, loss, optimizer)
    batch = compiled.batch(task.X.tolist(), task.y.tolist())
    block = ExitStack()
    block.enter_context(compiled)
    last = [0.0]

    def run(calls: int) -> None:
        step = compiled.step
        for _ in range(calls):
            last[0] = step(batch, times=times)

    def state() -> Array:
        block.close()
        numbers = state_of(last[0], _layers(model))
        block.enter_context(compiled)
        return numbers

    return Stepper(run, state, times, block.close)


def _model(layers: Layers) -> nn.MLP:
    model = nn.MLP(layers[0][0].shape[1], [len(b) for _, b in layers], seed=0)
    for layer, (w, b) in zip(model.layers, layers, strict=True):
        for neuron, row, bias in zip(layer.neurons, w.tolist(), b.tolist(), strict=True):
            neuron.b.data = bias
            for weight, number in zip(neuron.w, row, strict=True):
                weight.data = number
    return model


def _layers(model: nn.MLP) -> Layers:
    return [
        (np.array([[w.data for w in n.w] for n in layer.neurons]), np.array([n.b.data for n in layer.neurons]))
        for layer in model.layers
    ]
