"""The steps in torch: eager with and without its optimiser, and the whole step compiled, if that works in a minute."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .jobs import LEARNING_RATE
from .steps import ADAM, Array, Digits, Layers, Stepper, Task, Trained, state_of

_PATIENCE = 60  # seconds

torch.set_num_threads(1)


def steppers(task: Task) -> Iterator[tuple[str, Stepper]]:
    X, y = torch.tensor(task.X), torch.tensor(task.y)
    loss = hinge if task.is_hinge else cross_entropy
    yield "torch eager", _tuned(task, X, y, loss)
    yield "torch eager, optim.SGD", _with_optimizer(task, X, y, loss)


def slow_steppers(task: Task) -> Iterator[tuple[str, Stepper]]:
    """Yield what takes long to compile."""
    try:
        with _time_limit(_PATIENCE):
            stepper = _compiled(task)
            stepper.run(1)
            yield "torch.compile", _compiled(task)
    except Exception as problem:  # no C++ compiler, say
        print(f"  torch.compile did not work here: {type(problem).__name__}")


def trainings(task: Digits) -> Iterator[tuple[str, Callable[[], Trained]]]:
    X, y, tested = torch.tensor(task.X), torch.tensor(task.y), torch.tensor(task.held_out[0])

    def train() -> Trained:
        parameters = _parameters(task.layers)
        optimizer = torch.optim.Adam(parameters, lr=ADAM[0], betas=ADAM[1:3], eps=ADAM[3])

        def learn(batches: list[Array]) -> Array:
            for rows in map(torch.from_numpy, batches):
                optimizer.zero_grad()
                cross_entropy(parameters, X[rows], y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                return forward(parameters, tested).numpy()

        return Trained(task.train(learn), state_of(0.0, _layers(parameters)))

    yield "torch eager", train


def forward(parameters: Any, x: Any) -> Any:
    for k in range(0, len(parameters), 2):
        x = torch.nn.functional.linear(x, parameters[k], parameters[k + 1])
        if k < len(parameters) - 2:
            x = torch.relu(x)
    return x


def hinge(parameters: Any, X: Any, y: Any) -> Any:
    return torch.relu(1.0 - y * forward(parameters, X)[:, 0]).mean()


def cross_entropy(parameters: Any, X: Any, y: Any) -> Any:
    return torch.nn.functional.cross_entropy(forward(parameters, X), y)


def _tuned(task: Task, X: Any, y: Any, loss: Callable[..., Any]) -> Stepper:
    parameters, last = _parameters(task.layers), [0.0]

    def run(calls: int) -> None:
        for _ in range(calls):
            value = loss(parameters, X, y)
            gradients = torch.autograd.grad(value, parameters)
            with torch.no_grad():
                if task.decay:
                    torch._foreach_mul_(parameters, 1.0 - LEARNING_RATE * task.decay)
                torch._foreach_add_(parameters, gradients, alpha=-LEARNING_RATE)
            last[0] = value.detach()

    return Stepper(run, lambda: state_of(last[0], _layers(parameters)))


def _with_optimizer(task: Task, X: Any, y: Any, loss: Callable[..., Any]) -> Stepper:
    parameters, last = _parameters(task.layers), [0.0]
    optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, weight_decay=task.decay)

    def run(calls: int) -> None:
        for _ in range(calls):
            optimizer.zero_grad()
            value = loss(parameters, X, y)
            value.backward()
            optimizer.step()
            last[0] = value.detach()

    return Stepper(run, lambda: state_of(last[0], _layers(parameters)))


def _compiled(task: Task) -> Stepper:
    X, y = torch.tensor(task.X), torch.tensor(task.y)
    loss = hinge if task.is_hinge else cross_entropy

    def step(parameters: Any, X: Any, y: Any) -> Any:
        gradients, value = torch.func.grad_and_value(lambda p: loss(p, X, y))(parameters)
        pairs = zip(parameters, gradients, strict=True)
        return [w - LEARNING_RATE * (g + task.decay * w) for w, g in pairs], value

    compiled = torch.compile(step)
    now = [[p.detach() for p in _parameters(task.layers)], 0.0]

    def run(calls: int) -> None:
        with torch.no_grad():
            for _ in range(calls):
                now[0], now[1] = compiled(now[0], X, y)

    return Stepper(run, lambda: state_of(now[1], _layers(now[0])))


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _parameters(layers: Layers) -> list[Any]:
    return [torch.tensor(part, requires_grad=True) for layer in layers for part in layer]


def _layers(parameters: list[Any]) -> list[tuple[Any, Any]]:
    arrays = [p.detach().numpy() for p in parameters]
    return list(zip(arrays[::2], arrays[1::2], strict=True))
