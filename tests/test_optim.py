"""Each optimiser takes the steps of its paper, and refuses numbers that no paper allows."""

import math

import numpy as np
import pytest

import autograd_lite as al
from autograd_lite import Value
from nn import optim
from nn.modules import MLP
from nn.optim import SGD, Adam, AdamW, RMSprop

START = [1.0, -2.0]
GRADIENTS = [[0.5, -1.0], [0.25, 3.0], [-0.125, 0.0], [2.0, 1e-3], [1e-4, -0.5]]


def walk(optimizer_of) -> list[float]:
    """Where the parameters are after a step for each of the gradients."""
    parameters = [Value(w) for w in START]
    optimizer = optimizer_of(parameters)
    for gradient in GRADIENTS:
        for w, g in zip(parameters, gradient, strict=True):
            w.grad = g
        optimizer.step()
    return [w.data for w in parameters]


def expected(step) -> list[float]:
    """The same from a formula: `step(w, gs)` gives the change of w, given all its gradients up to now."""
    positions = []
    for w, gs in zip(START, zip(*GRADIENTS, strict=True), strict=True):
        for t in range(1, len(gs) + 1):
            w += step(w, gs[:t])
        positions.append(w)
    return positions


def weighted(xs: list[float], beta: float) -> float:
    """Σ βᵗ⁻ⁱ xᵢ: what x + β·(what was before) comes to, written out."""
    return math.fsum(beta ** (len(xs) - i) * x for i, x in enumerate(xs, 1))


def adam_step(gs: list[float], beta1: float, beta2: float, eps: float) -> float:
    m = (1 - beta1) * weighted(gs, beta1) / (1 - beta1 ** len(gs))
    v = (1 - beta2) * weighted([g**2 for g in gs], beta2) / (1 - beta2 ** len(gs))
    return m / (math.sqrt(v) + eps)


def nesterov_step(gs: list[float], beta: float) -> float:
    return gs[-1] + beta * weighted(gs, beta)


def rms_step(gs: list[float], alpha: float, eps: float) -> float:
    return gs[-1] / (math.sqrt((1 - alpha) * weighted([g**2 for g in gs], alpha)) + eps)


# The last column is what PyTorch 2.13 gave in float64.
WALKS = {
    "sgd": (
        lambda ps: SGD(ps, lr=0.1),
        lambda w, gs: -0.1 * gs[-1],
        [0.7374899999999999, -2.1501],
    ),
    "momentum": (
        lambda ps: SGD(ps, lr=0.1, momentum=0.9),
        lambda w, gs: -0.1 * weighted(gs, 0.9),
        [0.36313499999999993, -2.57238],
    ),
    "nesterov": (
        lambda ps: SGD(ps, lr=0.1, momentum=0.9, nesterov=True),
        lambda w, gs: -0.1 * nesterov_step(gs, 0.9),
        [0.16431149999999992, -2.665242],
    ),
    "weight decay": (
        lambda ps: SGD(ps, lr=0.1, weight_decay=0.2),
        lambda w, gs: -0.1 * (gs[-1] + 0.2 * w),
        [0.6502675888, -1.9480603776],
    ),
    "adam": (
        lambda ps: Adam(ps, lr=0.1),
        lambda w, gs: -0.1 * adam_step(gs, 0.9, 0.999, 1e-8),
        [0.623887246590104, -2.036536997230648],
    ),
    "adam with other betas": (
        lambda ps: Adam(ps, lr=0.1, betas=(0.5, 0.75), eps=0.01),
        lambda w, gs: -0.1 * adam_step(gs, 0.5, 0.75, 0.01),
        [0.6520135879898917, -2.0266508902973897],
    ),
    "adamw": (
        lambda ps: AdamW(ps, lr=0.1),
        lambda w, gs: -0.1 * 0.01 * w - 0.1 * adam_step(gs, 0.9, 0.999, 1e-8),
        [0.6197572565385029, -2.0267005947181107],
    ),
    "adamw with more decay": (
        lambda ps: AdamW(ps, lr=0.1, weight_decay=0.5),
        lambda w, gs: -0.1 * 0.5 * w - 0.1 * adam_step(gs, 0.9, 0.999, 1e-8),
        [0.4384369348275352, -1.590309748238961],
    ),
    "rmsprop": (
        lambda ps: RMSprop(ps, lr=0.1),
        lambda w, gs: -0.1 * rms_step(gs, 0.99, 1e-8),
        [-1.1912855762003352, -1.7909135057464534],
    ),
    "rmsprop with another alpha": (
        lambda ps: RMSprop(ps, lr=0.1, alpha=0.5, eps=0.01),
        lambda w, gs: -0.1 * rms_step(gs, 0.5, 0.01),
        [0.6951669435824912, -1.939373201686175],
    ),
}


@pytest.mark.parametrize(("optimizer_of", "step", "torch"), WALKS.values(), ids=WALKS)
def test_steps_are_those_of_the_formula_and_of_pytorch(optimizer_of, step, torch):
    positions = walk(optimizer_of)
    assert positions == pytest.approx(expected(step), rel=1e-13)
    assert positions == pytest.approx(torch, rel=1e-13)


def test_all_options_of_sgd_together_step_as_in_pytorch():
    positions = walk(lambda ps: SGD(ps, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.2))
    assert positions == pytest.approx([-0.09131924001348804, -1.991360022093024], rel=1e-13)


@pytest.mark.parametrize("optimizer_of", [walk_[0] for walk_ in WALKS.values()], ids=WALKS)
def test_same_steps_same_bits(optimizer_of):
    assert walk(optimizer_of) == walk(optimizer_of)


@pytest.mark.parametrize(
    "optimizer_of",
    [
        lambda ps: SGD(ps, lr=0.04),
        lambda ps: SGD(ps, lr=0.02, momentum=0.9),
        lambda ps: SGD(ps, lr=0.02, momentum=0.9, nesterov=True),
        lambda ps: Adam(ps, lr=0.1),
        lambda ps: AdamW(ps, lr=0.1, weight_decay=1e-4),
        lambda ps: RMSprop(ps, lr=optim.cosine(0.05, steps=400)),
    ],
)
def test_the_loss_goes_down_a_narrow_valley(optimizer_of):
    x, y = Value(2.0), Value(1.0)
    optimizer = optimizer_of([x, y])
    losses = []
    for _ in range(400):
        optimizer.zero_grad()
        loss = al.square(x - 1) + 10 * al.square(y + x)
        loss.backward()
        optimizer.step()
        losses.append(loss.data)
    assert losses[0] == 91.0
    assert losses[-1] < 0.1


def test_a_zero_rate_moves_nothing():
    for kind in (SGD, Adam, AdamW, RMSprop):
        assert walk(lambda ps, kind=kind: kind(ps, lr=0)) == START


def test_zero_grad_and_the_list_of_parameters():
    model = MLP(2, [3, 1], activation=al.tanh, seed=0)
    optimizer = Adam(model.parameters(), lr=0.01)
    assert optimizer.parameters == model.parameters()
    model([1.0, 2.0])[0].backward()
    optimizer.zero_grad()
    assert {w.grad for w in model.parameters()} == {0.0}


def test_extreme_gradients_do_not_raise():
    for kind in (SGD, Adam, AdamW, RMSprop):
        for gradient in (math.inf, -math.inf, math.nan, 1e308, 5e-324):
            w = Value(1.0)
            optimizer = kind([w], lr=0.1)
            for _ in range(3):
                w.grad = gradient
                optimizer.step()
            assert type(w.data) is float


# learning rates


def test_a_schedule_is_asked_for_each_step():
    asked = []

    def schedule(steps):
        asked.append(steps)
        return 0.1 * steps

    w = Value(1.0)
    optimizer = SGD([w], lr=schedule)
    for _ in range(3):
        w.grad = 1.0
        optimizer.step()
    assert asked == [0, 1, 2]
    assert w.data == pytest.approx(1 - 0.1 - 0.2)
    assert optimizer.steps == 3
    assert optimizer.learning_rate == pytest.approx(0.3)


def test_the_rate_may_be_changed_between_steps():
    w = Value(1.0)
    w.grad = 1.0
    optimizer = SGD([w], lr=0.5)
    optimizer.step()
    optimizer.lr = np.float32(0.25)
    optimizer.step()
    assert w.data == 0.25
    optimizer.lr = -1
    with pytest.raises(ValueError, match="lr must be at least 0 and finite, got -1"):
        optimizer.step()
    assert w.data == 0.25


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (-0.1, ValueError, "after 1 steps must be at least 0 and finite, got -0.1"),
        (math.nan, ValueError, "after 1 steps must be at least 0 and finite, got nan"),
        (math.inf, ValueError, "after 1 steps must be at least 0 and finite, got inf"),
        (None, TypeError, "after 1 steps must be a real number, but None is of type NoneType"),
        ("0.1", TypeError, "after 1 steps must be a real number, but '0.1' is of type str"),
    ],
)
@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop])
def test_nonsense_from_a_schedule_moves_nothing(kind, rate, error, message):
    w = Value(1.0)
    w.grad = 1.0
    optimizer = kind([w], lr=lambda steps: rate if steps else 0.1)
    optimizer.step()
    before = w.data
    with pytest.raises(error, match=message):
        optimizer.step()
    assert w.data == before
    assert optimizer.steps == 1


def test_step_decay():
    schedule = optim.step_decay(0.8, every=3, factor=0.5)
    assert [schedule(t) for t in range(8)] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2]


def test_exponential_decay():
    schedule = optim.exponential_decay(0.8, factor=0.9)
    assert [schedule(t) for t in range(4)] == pytest.approx([0.8, 0.72, 0.648, 0.5832])
    assert schedule(10**6) == 0.0


def test_cosine():
    schedule = optim.cosine(1.0, steps=4, final=0.2)
    half = 0.4 * math.sqrt(0.5)
    assert [schedule(t) for t in range(6)] == pytest.approx([1.0, 0.6 + half, 0.6, 0.6 - half, 0.2, 0.2])


def test_warmup():
    schedule = optim.warmup(0.8, steps=4)
    assert [schedule(t) for t in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    schedule = optim.warmup(optim.step_decay(0.8, every=3, factor=0.5), steps=4)
    assert [schedule(t) for t in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.4, 0.4, 0.4])


# what they refuse


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop])
@pytest.mark.parametrize(
    ("parameters", "lr", "error", "message"),
    [
        ([], 0.1, ValueError, "there are no parameters to move; give model.parameters()"),
        ([1.0], 0.1, TypeError, "a parameter must be a Value, got 1.0"),
        (MLP(1, [1]), 0.1, TypeError, "parameters must be a list of Values, got MLP(1 input"),
        (MLP(1, [1]).named_parameters(), 0.1, TypeError, "a parameter must be a Value, got ('w[1,1]'"),
        (Value(1.0), 0.1, TypeError, "parameters must be a list of Values, got Value(1.0"),
        ([Value(1.0) * 2], 0.1, ValueError, "Value(2.0, grad=0.0, op=mul) was computed, so moving it changes"),
        ([Value(1.0)] * 2, 0.1, ValueError, "a parameter is there twice, so it would move twice"),
        ([Value(1.0)], -0.1, ValueError, "lr must be at least 0 and finite, got -0.1"),
        ([Value(1.0)], math.nan, ValueError, "lr must be at least 0 and finite, got nan"),
        ([Value(1.0)], math.inf, ValueError, "lr must be at least 0 and finite, got inf"),
        ([Value(1.0)], "0.1", TypeError, "lr must be a real number, but '0.1' is of type str"),
        ([Value(1.0)], None, TypeError, "lr must be a real number, but None is of type NoneType"),
    ],
)
def test_wrong_parameters_and_rates_are_told(kind, parameters, lr, error, message):
    with pytest.raises(error) as caught:
        kind(parameters, lr)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda w: SGD(w, 0.1, momentum=1), ValueError, "momentum must be at least 0 and below 1, got 1.0"),
        (lambda w: SGD(w, 0.1, momentum=-0.1), ValueError, "momentum must be at least 0 and below 1, got -0.1"),
        (lambda w: SGD(w, 0.1, momentum=math.nan), ValueError, "momentum must be at least 0 and below 1, got nan"),
        (lambda w: SGD(w, 0.1, momentum="0.9"), TypeError, "momentum must be a real number, but '0.9' is of type str"),
        (lambda w: SGD(w, 0.1, nesterov=True), ValueError, "nesterov needs momentum; give momentum=0.9, say"),
        (lambda w: SGD(w, 0.1, weight_decay=-1), ValueError, "weight_decay must be at least 0 and finite, got -1.0"),
        (lambda w: Adam(w, 0.1, betas=(1.0, 0.9)), ValueError, "the first of betas must be at least 0 and below 1"),
        (lambda w: Adam(w, 0.1, betas=(0.9, -0.1)), ValueError, "the second of betas must be at least 0 and below 1"),
        (lambda w: Adam(w, 0.1, betas=0.9), TypeError, "betas must be two numbers such as (0.9, 0.999), got 0.9"),
        (lambda w: Adam(w, 0.1, betas=(0.9,)), TypeError, "betas must be two numbers such as (0.9, 0.999), got (0.9,)"),
        (lambda w: Adam(w, 0.1, eps=0), ValueError, "eps must be positive, got 0"),
        (lambda w: Adam(w, 0.1, eps=math.nan), ValueError, "eps must be at least 0 and finite, got nan"),
        (lambda w: AdamW(w, 0.1, weight_decay=math.inf), ValueError, "weight_decay must be at least 0 and finite"),
        (lambda w: AdamW(w, 0.1, betas=("a", 0.9)), TypeError, "the first of betas must be a real number, but 'a'"),
        (lambda w: RMSprop(w, 0.1, alpha=1.0), ValueError, "alpha must be at least 0 and below 1, got 1.0"),
        (lambda w: RMSprop(w, 0.1, eps=-1e-8), ValueError, "eps must be at least 0 and finite, got -1e-08"),
        (lambda w: optim.step_decay(-1, 1), ValueError, "lr must be at least 0 and finite, got -1.0"),
        (lambda w: optim.step_decay(1, 0), ValueError, "every must be at least 1, got 0"),
        (lambda w: optim.step_decay(1, 1.5), TypeError, "every must be an integer, got 1.5"),
        (lambda w: optim.step_decay(1, 1, factor=2), ValueError, "factor must be within 0 and 1, got 2"),
        (lambda w: optim.exponential_decay(1, factor=-0.5), ValueError, "factor must be within 0 and 1, got -0.5"),
        (lambda w: optim.exponential_decay(1, factor=math.nan), ValueError, "factor must be within 0 and 1, got nan"),
        (lambda w: optim.cosine(1, 0), ValueError, "steps must be at least 1, got 0"),
        (lambda w: optim.cosine(1, 10, final=-1), ValueError, "final must be at least 0 and finite, got -1.0"),
        (lambda w: optim.warmup("fast", 10), TypeError, "lr must be a real number, but 'fast' is of type str"),
        (lambda w: optim.warmup(1, -1), ValueError, "steps must be at least 1, got -1"),
    ],
)
def test_wrong_hyper_parameters_are_told(make, error, message):
    with pytest.raises(error) as caught:
        make([Value(1.0)])
    assert str(caught.value).startswith(message)
