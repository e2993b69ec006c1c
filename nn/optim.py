"""Optimisers: they move the parameters against their gradients, to make the loss smaller.

The formulas write w for a parameter, g for its gradient ∂L/∂w, and α for the learning rate. What an optimiser
remembers of each parameter (v, m) starts at 0.

A learning rate is a number, or a schedule: a function from how many steps have been taken to the rate of the next.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from reprlib import repr as short
from typing import Any, ClassVar

from autograd_lite import Value
from autograd_lite.op import number

__all__ = [
    "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "RuleOptimizer", "cosine", "exponential_decay", "step_decay",
    "warmup",
]  # fmt: skip

Schedule = Callable[[int], float]


class Optimizer(ABC):
    """Hold the parameters and the learning rate: the base of all optimisers.

    An optimiser of your own says in `_move(rate)` how the parameters move in one step.

    Args:
        parameters: The Values to move, as `model.parameters()` gives them.
        lr: The learning rate, at least 0, or a schedule.

    Attributes:
        parameters: The list of them.
        lr: As given; it may be changed between steps.
        steps: How many steps have been taken.

    Raises:
        TypeError: A parameter is not a Value, or a number is none.
        ValueError: There are no parameters, one is there twice or was computed, or a number is out of its range.

    >>> class SignDescent(Optimizer):
    ...     def _move(self, rate):
    ...         for w in self.parameters:
    ...             w.data -= rate * math.copysign(1.0, w.grad)
    >>> w = Value(1.0)
    >>> (1000 * w).backward()
    >>> SignDescent([w], lr=0.25).step()
    >>> w.data
    0.75
    """

    def __init__(self, parameters: Iterable[Value], lr: float | Schedule) -> None:
        if isinstance(parameters, (str, bytes, Value)) or not isinstance(parameters, Iterable):
            raise TypeError(f"parameters must be a list of Values, got {short(parameters)}; give model.parameters()")
        self.parameters = list(parameters)
        _check_parameters(self.parameters)
        if not callable(lr):
            _in_range("lr", lr)
        self.lr = lr
        self.steps = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the next step.

        Raises:
            TypeError: The schedule does not give a number.
            ValueError: It gives one that is negative or not finite.

        >>> SGD([Value(1.0)], lr=lambda steps: 1 / (1 + steps)).learning_rate
        1.0
        """
        return self.rate_after(self.steps)

    def rate_after(self, steps: int) -> float:
        """Return the rate of a step before which so many have been taken."""
        if callable(self.lr):
            return _in_range(f"the learning rate that the schedule gives after {steps} steps", self.lr(steps))
        return _in_range("lr", self.lr)

    def step(self) -> None:
        """Move every parameter once by its gradient.

        >>> w = Value(1.0)
        >>> (3 * w).backward()
        >>> SGD([w], lr=0.1).step()
        >>> w.data
        0.7
        """
        self._move(self.learning_rate)
        self.steps += 1

    def zero_grad(self) -> None:
        """Set every parameter's gradient to 0, as `backward` adds to what is there.

        >>> w = Value(1.0)
        >>> (3 * w).backward()
        >>> SGD([w], lr=0.1).zero_grad()
        >>> w.grad
        0.0
        """
        for w in self.parameters:
            w.grad = 0.0

    def snapshot(self) -> Callable[[], None]:
        """Return a function that puts the parameters, and what is remembered of them, back to what they are now.

        >>> w = Value(1.0)
        >>> optimizer = SGD([w], lr=0.1)
        >>> put_back = optimizer.snapshot()
        >>> (3 * w).backward()
        >>> optimizer.step()
        >>> put_back()
        >>> w.data, optimizer.steps
        (1.0, 0)
        """
        data, steps = [w.data for w in self.parameters], self.steps

        def put_back() -> None:
            self.steps = steps
            for w, before in zip(self.parameters, data, strict=True):
                w.data = before

        return put_back

    @abstractmethod
    def _move(self, rate: float) -> None: ...


State = tuple[Any, ...]


class RuleOptimizer(Optimizer):
    """Move each parameter by a rule of its own number, gradient and state: the base of the optimisers here.

    The rule is written with operators only, and is given the square root to use. So it runs on floats, and when
    training is compiled it is traced on Values and becomes part of the program.

    Attributes:
        state: For each parameter the tuple of what is remembered of it.
    """

    remembers: ClassVar[int]  # how many numbers of each parameter

    def __init__(self, parameters: Iterable[Value], lr: float | Schedule) -> None:
        super().__init__(parameters, lr)
        self.state: list[State] = [(0.0,) * self.remembers] * len(self.parameters)

    @abstractmethod
    def rule(self, w: Any, g: Any, state: State, step: Sequence[Any], sqrt: Callable[[Any], Any]) -> tuple[Any, State]:
        """Return where a parameter w with gradient g moves, and its new state; `step` is what `step_numbers` gives."""

    def step_numbers(self, rate: float, steps: int) -> tuple[float, ...]:
        """Return the numbers that all parameters share in a step, before which so many have been taken."""
        return (rate,)

    def snapshot(self) -> Callable[[], None]:
        """Return a function that puts the parameters and the state back, as `Optimizer.snapshot` has it."""
        put_parameters_back, state = super().snapshot(), list(self.state)

        def put_back() -> None:
            put_parameters_back()
            self.state[:] = state

        return put_back

    def _move(self, rate: float) -> None:
        step, rule, state, sqrt = self.step_numbers(rate, self.steps), self.rule, self.state, math.sqrt
        for i, w in enumerate(self.parameters):
            w.data, state[i] = rule(w.data, w.grad, state[i], step, sqrt)


class SGD(RuleOptimizer):
    """Make stochastic gradient descent: v ← βv + g, then w ← w − αv.

    With β = 0 this is the plain rule w ← w − αg. Source: the lecture, sections "Gradient Descent" and "Momentum".

    Args:
        parameters: As for every `Optimizer`, and so are the errors.
        lr: α.
        momentum: β, at least 0 and below 1; "normally pick 0.9".
        nesterov: Whether to step by g + βv instead of v, which looks ahead (Nesterov 1983, in the form of
            Sutskever, Martens, Dahl and Hinton 2013); needs momentum.
        weight_decay: λ, at least 0; adds λw to g, as the term ½λ‖w‖² in the loss would.

    >>> w = Value(1.0)
    >>> optimizer = SGD([w], lr=0.1, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (2 * w).backward()
    ...     optimizer.step()
    >>> f"{w.data:.4f}"
    '0.5000'
    """

    remembers = 1

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float | Schedule,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = _in_range("momentum", momentum, below=1.0)
        if nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum; give momentum=0.9, say")
        self.nesterov = nesterov
        self.weight_decay = _in_range("weight_decay", weight_decay)

    def rule(self, w: Any, g: Any, state: State, step: Sequence[Any], sqrt: Callable[[Any], Any]) -> tuple[Any, State]:
        """Return w and v after a step."""
        (v,), (rate,) = state, step
        if self.weight_decay:
            g = g + self.weight_decay * w
        if not self.momentum:
            return w - rate * g, state
        v = self.momentum * v + g
        return w - rate * (g + self.momentum * v if self.nesterov else v), (v,)


class Adam(RuleOptimizer):
    """Make Adam: steps of about α, whatever the size of the gradients.

    In step t, m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g², then w ← w − α·m̂ / (√v̂ + ε), where
    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) make up for the start at 0.

    Source: D. P. Kingma and J. Ba (2015), Adam: a method for stochastic optimization, algorithm 1.

    Args:
        parameters: As for every `Optimizer`, and so are the errors.
        lr: α; 0.001 in the paper.
        betas: (β₁, β₂), both at least 0 and below 1.
        eps: ε, positive.

    >>> w = Value(1.0)
    >>> (1000 * w).backward()
    >>> Adam([w], lr=0.1).step()
    >>> f"{w.data:.4f}"
    '0.9000'
    """

    remembers = 2

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float | Schedule,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        try:
            beta1, beta2 = betas
        except (TypeError, ValueError):
            raise TypeError(f"betas must be two numbers such as (0.9, 0.999), got {short(betas)}") from None
        self.betas = (
            _in_range("the first of betas", beta1, below=1.0),
            _in_range("the second of betas", beta2, below=1.0),
        )
        self.eps = _positive("eps", eps)

    def step_numbers(self, rate: float, steps: int) -> tuple[float, ...]:
        """Return α, and the 1 − βᵗ by which m and v are corrected."""
        return (rate, *(1.0 - beta ** (steps + 1) for beta in self.betas))

    def rule(self, w: Any, g: Any, state: State, step: Sequence[Any], sqrt: Callable[[Any], Any]) -> tuple[Any, State]:
        """Return w, m and v after a step."""
        (m, v), (beta1, beta2), (rate, correction1, correction2) = state, self.betas, step
        m = beta1 * m + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g * g
        return w - rate * (m / correction1) / (sqrt(v / correction2) + self.eps), (m, v)


class AdamW(Adam):
    """Make Adam with decoupled weight decay: w ← w − αλw, then Adam's step.

    Unlike λw added to the gradient, the decay is not divided by √v̂, so it is the same for all parameters.

    Source: I. Loshchilov and F. Hutter (2019), Decoupled weight decay regularization, algorithm 2; α scales the
    decay, as in PyTorch.

    Args:
        parameters: As for every `Optimizer`, and so are the errors.
        lr: α.
        betas: As for `Adam`.
        eps: As for `Adam`.
        weight_decay: λ, at least 0.

    >>> w = Value(1.0)
    >>> AdamW([w], lr=0.1, weight_decay=0.5).step()
    >>> w.data
    0.95
    """

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float | Schedule,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps)
        self.weight_decay = _in_range("weight_decay", weight_decay)

    def rule(self, w: Any, g: Any, state: State, step: Sequence[Any], sqrt: Callable[[Any], Any]) -> tuple[Any, State]:
        """Return w, m and v after a step."""
        return super().rule(w * (1.0 - step[0] * self.weight_decay), g, state, step, sqrt)


class RMSprop(RuleOptimizer):
    """Make RMSprop: v ← av + (1 − a)g², then w ← w − αg / (√v + ε), where a is `alpha` and α the learning rate.

    Source: T. Tieleman and G. Hinton (2012), Neural Networks for Machine Learning, lecture 6.5.

    Args:
        parameters: As for every `Optimizer`, and so are the errors.
        lr: α.
        alpha: a, at least 0 and below 1: how slowly v forgets.
        eps: ε, positive.

    >>> w = Value(1.0)
    >>> (1000 * w).backward()
    >>> RMSprop([w], lr=0.1, alpha=0.75).step()
    >>> f"{w.data:.4f}"
    '0.8000'
    """

    remembers = 1

    def __init__(
        self, parameters: Iterable[Value], lr: float | Schedule, alpha: float = 0.99, eps: float = 1e-8
    ) -> None:
        super().__init__(parameters, lr)
        self.alpha = _in_range("alpha", alpha, below=1.0)
        self.eps = _positive("eps", eps)

    def rule(self, w: Any, g: Any, state: State, step: Sequence[Any], sqrt: Callable[[Any], Any]) -> tuple[Any, State]:
        """Return w and v after a step."""
        (v,), (rate,) = state, step
        v = self.alpha * v + (1.0 - self.alpha) * g * g
        return w - rate * g / (sqrt(v) + self.eps), (v,)


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """Return the schedule that multiplies lr by a factor after every so many steps.

    Raises:
        TypeError: An argument is not a number.
        ValueError: `lr` is negative, `every` below 1, or `factor` not within 0 and 1.

    >>> schedule = step_decay(1.0, every=10, factor=0.5)
    >>> schedule(9), schedule(10), schedule(20)
    (1.0, 0.5, 0.25)
    """
    lr, every, factor = _in_range("lr", lr), _count("every", every), _fraction("factor", factor)
    return lambda steps: lr * factor ** (steps // every)


def exponential_decay(lr: float, factor: float) -> Schedule:
    """Return the schedule that multiplies lr by a factor after every step; errors as for `step_decay`.

    >>> exponential_decay(1.0, factor=0.5)(3)
    0.125
    """
    return step_decay(lr, 1, factor)


def cosine(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Return the schedule that goes from lr to a final rate, in so many steps, along half a cosine wave, and stays.

    Source: I. Loshchilov and F. Hutter (2017), SGDR: stochastic gradient descent with warm restarts, equation 5.

    Raises:
        TypeError: An argument is not a number.
        ValueError: A rate is negative, or `steps` below 1.

    >>> schedule = cosine(1.0, steps=100)
    >>> schedule(0), round(schedule(50), 12), schedule(100), schedule(200)
    (1.0, 0.5, 0.0, 0.0)
    """
    lr, final, total = _in_range("lr", lr), _in_range("final", final), _count("steps", steps)
    return lambda steps: final + (lr - final) * 0.5 * (1.0 + math.cos(math.pi * min(steps / total, 1.0)))


def warmup(lr: float | Schedule, steps: int) -> Schedule:
    """Return the schedule that rises evenly to lr in so many steps; lr may be a schedule, which it then scales.

    The first step is at 1/steps of the rate, and from the last of them on the rate is lr's own.

    Raises:
        TypeError: An argument is not a number.
        ValueError: `lr` is negative, or `steps` below 1.

    >>> schedule = warmup(cosine(1.0, steps=100), steps=10)
    >>> schedule(0), round(schedule(4), 4), schedule(100)
    (0.1, 0.498, 0.0)
    """
    total = _count("steps", steps)
    if callable(lr):
        schedule = lr
        return lambda steps: schedule(steps) * min((steps + 1) / total, 1.0)
    rate = _in_range("lr", lr)
    return lambda steps: rate * min((steps + 1) / total, 1.0)


def _check_parameters(parameters: list[Value]) -> None:
    if not parameters:
        raise ValueError("there are no parameters to move; give model.parameters()")
    for w in parameters:
        if not isinstance(w, Value):
            raise TypeError(f"a parameter must be a Value, got {short(w)}; give model.parameters()")
        if w.op is not None:
            raise ValueError(f"{w!r} was computed, so moving it changes nothing; give the Values it came from")
    if len(set(parameters)) < len(parameters):
        raise ValueError("a parameter is there twice, so it would move twice; give each once")


def _in_range(what: str, value: float, below: float = math.inf) -> float:
    value = number(value, what)
    if not 0.0 <= value < below:
        raise ValueError(
            f"{what} must be at least 0 and {'finite' if below == math.inf else f'below {below:g}'}, got {value}"
        )
    return value


def _positive(what: str, value: float) -> float:
    if not _in_range(what, value):
        raise ValueError(f"{what} must be positive, got {value}")
    return float(value)


def _fraction(what: str, value: float) -> float:
    if not 0.0 <= number(value, what) <= 1.0:
        raise ValueError(f"{what} must be within 0 and 1, got {value}")
    return float(value)


def _count(what: str, value: int) -> int:
    if not isinstance(value, Integral):
        raise TypeError(f"{what} must be an integer, got {short(value)}")
    if value < 1:
        raise ValueError(f"{what} must be at least 1, got {value}")
    return int(value)
