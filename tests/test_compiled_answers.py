"""Compiled code gives the answers of the recorded graph: every row at every point, random programs, networks."""

import math
import random
from itertools import groupby

import pytest

import autograd_lite as al
import nn
from autograd_lite import Value
from tests.reference import flat, like
from tests.test_ops import edges, is_constant, points

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")

TINY = 2.0**-1022  # the smallest normal number: below it, relative accuracy is not promised
BACKENDS = ("native", "python")

# Where the recorded graph itself is at fault: an infinite c, and products that leave the range of floats on the way.
BEYOND = {"gaussian": 1e100, "turn": 1e300, "direction": 1e300}


def agree(got, wanted, rtol):
    if math.isnan(wanted) or math.isinf(wanted) or wanted == 0.0:
        return got == wanted or (math.isnan(got) and math.isnan(wanted)) or (wanted == 0.0 and abs(got) < TINY)
    return abs(got - wanted) <= rtol * abs(wanted) + TINY


def groups_of_points(op):
    """Yield the points of a row that differ in what varies only: the form, the constants, and the numbers to vary."""
    every = [*points(op), *edges(op)]
    limit = BEYOND.get(op.name, math.inf)
    every = [operands for operands in every if all(not abs(x) > limit for x in flat(operands))]

    def form(operands):
        fixed = [x.hex() for x, constant in zip(flat(operands), is_constant(op, operands), strict=True) if constant]
        return [len(x) if isinstance(x, tuple) else 0 for x in operands], fixed

    for _, group in groupby(sorted(every, key=form), key=form):
        first, *rest = group
        constant = is_constant(op, first)
        pick = [k for k, is_fixed in enumerate(constant) if not is_fixed]

        def f(v, first=first, pick=pick):
            values = list(flat(first))
            for k, x in zip(pick, v, strict=True):
                values[k] = x
            return op(*like(first, values))

        yield f, [[flat(operands)[k] for k in pick] for operands in (first, *rest)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", al.TABLE.values(), ids=lambda op: op.name)
def test_every_row_at_every_point(op, backend):
    for f, rows in groups_of_points(op):
        values, gradients = al.compile(f, len(rows[0]), backend=backend).value_and_grad(rows)
        for row, value, gradient in zip(rows, values.tolist(), gradients.tolist(), strict=True):
            leaves = [Value(x) for x in row]
            y = f(leaves)
            assert agree(value, y.data, 1e-13), (row, value, y.data)
            for got, wanted in zip(gradient, al.gradients(y, leaves), strict=True):
                assert agree(got, wanted, 1e-12), (row, gradient, wanted)


SMOOTH = (
    al.sin, al.tanh, al.sigmoid, al.softplus, al.atan, al.asinh, al.erf, al.gelu, al.silu, al.softsign, al.relu, al.abs,
    lambda x: al.exp(-al.square(x)), lambda x: al.log1p(x * x), lambda x: al.sqrt(1.0 + x * x), lambda x: x**3,
)  # fmt: skip


def program(seed, size=40):
    """Return a random function of three numbers, with shared parts, that stays of moderate size."""
    rng = random.Random(seed)
    plan = [(rng.random(), rng.choice(SMOOTH), rng.random(), rng.random(), rng.uniform(-2, 2)) for _ in range(size)]

    def f(v):
        pool = list(v)
        for kind, smooth, i, j, c in plan:
            x, y = pool[int(i * len(pool))], pool[int(j * len(pool))]
            if kind < 0.4:
                z = smooth(x)
            elif kind < 0.5:
                z = 0.5 * x + c * al.tanh(y)
            elif kind < 0.6:
                z = al.tanh(x) * al.cos(y) - c
            elif kind < 0.7:
                z = al.maximum(x, y) / (1.5 + al.square(y))
            elif kind < 0.8:
                z = al.logsumexp([x, y, c])
            elif kind < 0.9:
                z = al.dot(pool[:3], pool[-3:])
            else:
                z = al.where(al.step(x), x, al.hypot(x, y))
            pool.append(al.clamp(z, -5.0, 5.0))
        return al.mean(pool[-5:])

    return f


@pytest.mark.parametrize("backend", BACKENDS)
def test_random_programs(backend):
    for seed in range(150):
        f = program(seed)
        rng = random.Random(seed)
        rows = [[rng.uniform(-2, 2) for _ in range(3)] for _ in range(9)]
        compiled = al.compile(f, 3, backend=backend)
        values, gradients = compiled.value_and_grad(rows)
        for row, value, gradient in zip(rows, values, gradients, strict=True):
            leaves = [Value(x) for x in row]
            y = f(leaves)
            scale = max(1.0, *map(abs, wanted := al.gradients(y, leaves)))
            assert abs(value - y.data) < 1e-13 * max(1.0, abs(y.data)), seed
            assert max(abs(a - b) for a, b in zip(gradient, wanted, strict=True)) < 1e-12 * scale, seed
        assert np.array_equal(compiled(rows), compiled(rows[::-1])[::-1])


def test_hessians():
    for seed in range(10):
        f = program(seed, size=12)
        point = [0.3, -0.7, 1.1]
        assert np.allclose(al.compile(f, 3).hessian(point), al.hessian(f, point), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("op", [al.sum, al.mean, al.prod, al.logsumexp, al.maxout], ids=lambda op: op.name)
def test_a_hundred_thousand_operands(op):
    rng = random.Random(0)
    leaves = [Value(rng.uniform(0.99, 1.01)) for _ in range(100_000)]
    y = op(leaves)
    point = [x.data for x in leaves]
    value, gradient = al.compile(lambda v: op(v), len(leaves)).value_and_grad(np.array(point))
    y.backward()
    assert value == pytest.approx(y.data, rel=1e-12)
    assert np.allclose(gradient, [x.grad for x in leaves], rtol=1e-11, atol=0.0)


def test_a_large_irregular_graph():
    rng = random.Random(0)
    leaves = [Value(rng.random()) for _ in range(10)]
    pool = list(leaves)
    for _ in range(20_000):
        x, y = rng.choice(pool[-500:]), rng.choice(pool[-500:])
        pool.append(rng.choice((al.sin(x) * y, 0.5 * x + 0.5 * y, al.tanh(x + y), x - y)))
    y = al.mean(pool[-100:])
    value, gradient = al.compile(y, inputs=leaves).value_and_grad([x.data for x in leaves])
    y.backward()
    assert value == pytest.approx(y.data, rel=1e-13)
    largest = max(abs(x.grad) for x in leaves)
    assert max(abs(a - x.grad) for a, x in zip(gradient, leaves, strict=True)) < 1e-12 * max(largest, 1e-300)


LOSSES = [
    (nn.losses.half_sse, 2, [[0.5, -1.0], [2.0, 0.0]]), (nn.losses.mse, 2, [[0.5, -1.0], [2.0, 0.0]]),
    (nn.losses.mae, 1, [0.5, -1.0]), (nn.losses.huber, 1, [0.5, -3.0]), (nn.losses.hinge, 1, [-1, 1]),
    (nn.losses.binary_cross_entropy, 1, [0, 1]), (nn.losses.cross_entropy, 3, [2, 0]),
    (lambda outputs, target: al.square(outputs[target]) + target * outputs[0], 2, [1, 0]),
]  # fmt: skip


def gradient_of(model, loss, X, y):
    model.zero_grad()
    total = al.mean([loss(model(x), t) for x, t in zip(X, y, strict=True)])
    total.backward()
    return total.data, [w.grad for w in model.parameters()]


@pytest.mark.parametrize(("loss", "outputs", "targets"), LOSSES)
def test_every_loss(loss, outputs, targets):
    model = nn.MLP(3, [4, outputs], al.tanh, seed=0)
    X = [[0.1, -0.5, 2.0], [1.0, 0.3, -0.2]]
    found, gradient = nn.compile(model, loss).loss_and_grad(X, targets)
    wanted, slopes = gradient_of(model, loss, X, targets)
    assert found == pytest.approx(wanted, rel=1e-13)
    assert np.allclose(gradient, slopes, rtol=1e-12, atol=1e-15)


ACTIVATIONS = [None, al.relu, al.leaky_relu, al.elu, al.selu, al.gelu, al.silu, al.sigmoid, al.softplus, al.softsign]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda f: f.name if f else "linear")
def test_every_activation(activation):
    model = nn.MLP(3, [9, 5, 2], activation, output=al.softmax, seed=1)
    rng = random.Random(0)
    X = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(11)]
    y = [[1.0, 0.0] if row[0] > 0 else [0.0, 1.0] for row in X]
    compiled = nn.compile(model, nn.losses.mse)
    found, gradient = compiled.loss_and_grad(X, y)
    wanted, slopes = gradient_of(model, nn.losses.mse, X, y)
    assert found == pytest.approx(wanted, rel=1e-13)
    assert np.allclose(gradient, slopes, rtol=1e-11, atol=1e-15)
    assert np.allclose(compiled.predict(X), nn.predict(model, X), rtol=1e-13, atol=0.0)


class Recurrent(nn.Module):
    """One set of weights, used at every step."""

    def __init__(self):
        self.step = nn.Layer(3, 2, al.tanh, seed=0)
        self.readout = nn.Neuron(2, seed=1)

    def named_parameters(self):
        return [*self.step.named_parameters(), *((f"out {name}", w) for name, w in self.readout.named_parameters())]

    def __call__(self, x):
        state = [0.0, 0.0]
        for each in x:
            state = self.step([each, *state])
        return self.readout(state)


def test_weights_that_are_used_again_and_again():
    model = Recurrent()
    X, y = [[0.1, 0.2, 0.3, -0.4, 0.5]] * 3 + [[1.0, -1.0, 1.0, -1.0, 0.0]], [0.5, 0.1, -0.2, 0.3]
    found, gradient = nn.compile(model, nn.losses.mse).loss_and_grad(X, y)
    wanted, slopes = gradient_of(model, nn.losses.mse, X, y)
    assert found == pytest.approx(wanted, rel=1e-13)
    assert np.allclose(gradient, slopes, rtol=1e-12, atol=1e-16)
