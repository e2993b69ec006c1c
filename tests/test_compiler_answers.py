"""Compiled code gives the numbers of the recorded graph: every row at every kind of point, and random graphs."""

import itertools
import math
import random
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings

import autograd_lite as al
import nn
from autograd_lite import Value
from tests import test_random_graphs as graphs
from tests.reference import flat, like
from tests.test_ops import as_values, differentiable, edges, points

VALUE, GRADIENT = 1e-13, 1e-12
SMALLEST_NORMAL = 2.2250738585072014e-308
backends = pytest.mark.parametrize("backend", ["native", "python"])


def agree(found: float, wanted: float, rtol: float, scale: float = 0.0) -> bool:
    """Say whether a number is the other to rtol of it, or of a scale, and of the same kind: nan, inf or finite."""
    if math.isnan(wanted) or math.isinf(wanted):
        return found == wanted or (math.isnan(found) and math.isnan(wanted))
    if abs(wanted) > 1.7976931348623157e308 * (1.0 - rtol) and math.isinf(found):
        return math.copysign(1.0, found) == math.copysign(1.0, wanted)
    if wanted == 0.0 and found == 0.0:
        return math.copysign(1.0, found) == math.copysign(1.0, wanted) or not scale >= 0.0
    return abs(found - wanted) <= rtol * max(abs(wanted), scale) + 4.0 * 5e-324


def test_the_comparison_tells_wrong_from_right():
    assert agree(1.0, 1.0 + 1e-13, 1e-12) and not agree(1.0, 1.0 + 1e-11, 1e-12)
    assert agree(nan, nan, 0.0) and not agree(nan, 1.0, 1.0) and not agree(1.0, nan, 1.0)
    assert agree(inf, inf, 0.0) and not agree(-inf, inf, 1.0) and not agree(1e308, inf, 1.0)
    assert agree(0.0, 0.0, 0.0) and not agree(-0.0, 0.0, 0.0)
    assert not agree(0.0, 1e-300, 1e-12)


# ---- every row ------------------------------------------------------------------------------------------------------


def eager(op, operands):
    """Return the value and the gradient of a row by the recorded graph."""
    mixed, xs = as_values(op, operands)
    y = op(*mixed)
    return y.data, al.gradients(y, xs)


def by_shape(op, given):
    """Sort operands by the lengths of their sequences and their constants: a program is compiled for each."""
    found = {}
    for operands in given:
        varied = differentiable(op, operands)
        rest = tuple(repr(x) for k, x in enumerate(flat(operands)) if k not in varied)
        lengths = tuple(len(x) if isinstance(x, tuple) else 0 for x in operands)
        found.setdefault((lengths, rest), []).append(operands)
    return found.values()


@pytest.mark.parametrize("op", al.TABLE.values(), ids=al.TABLE)
def test_every_row_at_ordinary_hard_and_edge_points(op):
    wrong = []
    groups = list(by_shape(op, [*points(op), *itertools.islice(edges(op), 400)]))
    for group in groups:
        varied = differentiable(op, group[0])

        def f(v, first=group[0], varied=varied):
            numbers = list(flat(first))
            for k, x in zip(varied, v, strict=True):
                numbers[k] = x
            return op(*like(first, numbers))

        rows = np.array([[flat(operands)[k] for k in varied] for operands in group])
        which = ("native", "python") if len(groups) < 12 or group is groups[0] else ("python",)
        for backend in which:
            values, gradients = al.compile(f, len(varied), backend=backend).value_and_grad(rows)
            for operands, value, gradient in zip(group, values.tolist(), gradients.tolist(), strict=True):
                wanted, wanted_gradient = eager(op, operands)
                if not agree(value, wanted, VALUE):
                    wrong.append((backend, operands, value, wanted))
                for a, b in zip(gradient, wanted_gradient, strict=True):
                    if not (agree(a + 0.0, b + 0.0, GRADIENT)):  # a gradient's sum begins at 0.0
                        wrong.append((backend, operands, gradient, wanted_gradient))
    assert not wrong, f"{len(wrong)} are wrong: {wrong[:6]}"


@backends
def test_a_dot_whose_products_overflow(backend):
    rows = [[1e200, -1e200, 1e200, 1e200], [1e200, -1.0, 1e200, inf], [1e200, 1.0, 1e200, 2.0], [1.0, 2.0, 3.0, 4.0]]
    for op in (lambda v: al.dot(v[:2], v[2:]), lambda v: al.affine(v[:2], v[2:], v[0])):
        found = al.compile(op, 4, backend=backend)(rows)
        for value, row in zip(found, rows, strict=True):
            assert agree(value, op(row), 0.0)


# ---- random graphs --------------------------------------------------------------------------------------------------


def check(program, backend):
    inputs = program.inputs
    compiled = al.compile(lambda v: graphs.run(program, v), len(inputs), backend=backend)
    xs = list(map(Value, inputs))
    y = graphs.run(program, xs)
    value, gradient = compiled.value_and_grad(inputs)
    wanted = al.gradients(y, xs)
    if not agree(value, y.data, VALUE):  # badly conditioned, it may be off as far as roundings move it
        with graphs.mp.workdps(graphs.DIGITS):
            assert abs(value - y.data) <= VALUE * graphs.motion(program, graphs.result), (program, value, y.data)
    for i, (a, b) in enumerate(zip(gradient, wanted, strict=True)):
        if not agree(a + 0.0, b + 0.0, GRADIENT):
            with graphs.mp.workdps(graphs.DIGITS):
                scale = graphs.motion(program, graphs.slope, program.axis(i)) + graphs.flow(program, i)
                assert abs(a - b) <= GRADIENT * scale, (program, i, a, b)


@settings(max_examples=60)
@given(graphs.programs())
def test_random_graphs_native(program):
    check(program, "native")


@settings(max_examples=250)
@given(graphs.programs())
def test_random_graphs_python(program):
    check(program, "python")


@backends
def test_nodes_that_many_share(backend):
    def f(v):
        x = v[0]
        for _ in range(40):
            x = x * 0.5 + al.sin(x) * x
        return x + x * x

    compiled = al.compile(f, 1, backend=backend)
    X = np.linspace(-1.0, 1.0, 9)[:, None]
    values, gradients = compiled.value_and_grad(X)
    for row, value, gradient in zip(X.tolist(), values, gradients, strict=True):
        assert value == pytest.approx(f(row), rel=1e-12, abs=1e-15)
        assert gradient.tolist() == pytest.approx(al.grad(f)(row), rel=1e-11, abs=1e-13)


# ---- large ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [al.sum, al.mean, al.logsumexp, al.maxout, al.prod, al.dot], ids=lambda op: op.name)
def test_very_many_operands(op):
    n = 200 if op is al.prod else 100_000  # each partial of a product is one of all the others
    rng = random.Random(0)
    point = [rng.uniform(0.5, 1.5) for _ in range(n)]
    xs = list(map(Value, point))
    half = n // 2
    y = op(xs[:half], xs[half:]) if op is al.dot else op(xs)
    compiled = al.compile(y, inputs=xs)
    value, gradient = compiled.value_and_grad(point)
    assert agree(value, y.data, VALUE)
    found = np.array(gradient)
    np.testing.assert_allclose(found, al.gradients(y, xs), rtol=GRADIENT)


def test_a_large_graph_without_any_regularity():
    rng = random.Random(1)
    operations = [al.sin, al.tanh, al.cos, al.sigmoid, al.softsign]
    point = [rng.uniform(-1.0, 1.0) for _ in range(50)]

    def f(v):
        nodes = list(v)
        choose = random.Random(2)
        for _ in range(30_000):
            x, y = choose.choice(nodes[-400:]), choose.choice(nodes[-400:])
            kind = choose.randrange(8)
            nodes.append(
                x + 0.5 * y if kind == 0 else x * y if kind == 1 else al.maximum(x, y) if kind == 2
                else operations[kind - 3](x)
            )  # fmt: skip
        return al.mean(nodes[-400:])

    xs = list(map(Value, point))
    y = f(xs)
    value, gradient = al.compile(y, inputs=xs).value_and_grad(point)
    assert agree(value, y.data, VALUE)
    wanted = al.gradients(y, xs)
    scale = max(map(abs, wanted))
    assert all(agree(a + 0.0, b + 0.0, GRADIENT, scale) for a, b in zip(gradient, wanted, strict=True))


# ---- models ---------------------------------------------------------------------------------------------------------


def assert_same_loss_and_gradient(model, loss, X, y):
    found, gradient = nn.compile(model, loss).loss_and_grad(X, y)
    model.zero_grad()
    wanted = al.mean([loss(model(row), target) for row, target in zip(X, y, strict=True)])
    wanted.backward()
    assert agree(found, wanted.data, GRADIENT)
    expected = [w.grad for w in model.parameters()]
    np.testing.assert_allclose(gradient, expected, rtol=GRADIENT, atol=GRADIENT * max(map(abs, expected)))
    predicted = nn.compile(model, loss).predict(X)
    np.testing.assert_allclose(predicted, nn.predict(model, X), rtol=1e-12, atol=1e-13)


ACTIVATIONS = [al.tanh, al.sigmoid, al.relu, al.leaky_relu, al.elu, al.selu, al.gelu, al.silu, al.softplus, al.softsign,
               al.logsigmoid, al.erf, al.sin, None]  # fmt: skip
X = [[random.Random(k).gauss(0.0, 1.0) + j for j in range(3)] for k in range(11)]
NUMBERS = [math.sin(k) for k in range(11)]


def activation_of(op):
    return (lambda x: op(x, 0.3)) if op in (al.leaky_relu, al.elu) else op


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda op: getattr(op, "name", "linear"))
def test_every_activation(activation):
    try:
        model = nn.MLP(3, [5, 4, 1], activation, seed=0)
    except (TypeError, ValueError):
        pytest.skip("no activation for a layer")
    assert_same_loss_and_gradient(model, nn.losses.mse, X, NUMBERS)


LOSSES = {
    "half_sse": (2, [[math.sin(k), 0.5 * k] for k in range(11)]),
    "mse": (2, [[math.sin(k), 0.5 * k] for k in range(11)]),
    "mae": (2, [[math.sin(k), 0.5 * k] for k in range(11)]),
    "huber": (2, [[math.sin(k), 0.5 * k] for k in range(11)]),
    "hinge": (1, [1 if k % 3 else -1 for k in range(11)]),
    "binary_cross_entropy": (1, [k % 2 for k in range(11)]),
    "cross_entropy": (4, [k % 4 for k in range(11)]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name):
    outputs, y = LOSSES[name]
    assert_same_loss_and_gradient(nn.MLP(3, [6, outputs], al.tanh, seed=1), getattr(nn.losses, name), X, y)


def test_losses_where_the_network_is_all_too_sure():
    for scale in (30.0, 500.0):
        rng = random.Random(0)
        model = nn.MLP(3, [4])
        model.load_state_dict({name: rng.gauss(0.0, scale) for name in model.state_dict()})
        assert_same_loss_and_gradient(model, nn.losses.cross_entropy, X, LOSSES["cross_entropy"][1])


def test_softmax_outputs():
    model = nn.MLP(3, [5, 4], al.tanh, output=al.softmax, seed=0)
    assert_same_loss_and_gradient(model, nn.losses.mse, X, [[float(k % 4 == j) for j in range(4)] for k in range(11)])


class Twice(nn.Module):
    """Apply the same layer twice, and read out by its own first weights."""

    def __init__(self):
        self.layer = nn.Layer(3, 3, al.tanh)

    def named_parameters(self):
        return self.layer.named_parameters()

    def __call__(self, x):
        h = self.layer(self.layer(x))
        return [al.dot(self.layer.neurons[0].w, h)]


class Recurrent(nn.Module):
    """Read the row number by number into a state of two."""

    def __init__(self):
        self.w = [Value(x) for x in (0.3, -0.5, 0.8, 0.1, 0.6, -0.2, 1.1, -0.7)]

    def named_parameters(self):
        return [(f"w{k}", w) for k, w in enumerate(self.w)]

    def __call__(self, x):
        a = b = 0.0
        w = self.w
        for number in x:
            a, b = al.tanh(w[0] * a + w[1] * b + w[2] * number), al.sigmoid(w[3] * a + w[4] * b + w[5] * number)
        return [w[6] * a + w[7] * b]


@pytest.mark.parametrize("model", [Twice, Recurrent])
def test_weights_that_are_used_again_and_again(model):
    assert_same_loss_and_gradient(model(), nn.losses.half_sse, X, NUMBERS)


@pytest.mark.parametrize("rows", [1, 7, 8, 128, 129, 300])
@pytest.mark.parametrize("model", [lambda: nn.MLP(3, [9, 5, 2, 1], al.tanh, seed=0), Twice, Recurrent])
def test_as_many_rows_as_fill_several_tiles(model, rows):
    rng = random.Random(rows)
    many = [[rng.gauss(0.0, 1.0) for _ in range(3)] for _ in range(rows)]
    assert_same_loss_and_gradient(model(), nn.losses.mse, many, [rng.gauss(0.0, 1.0) for _ in range(rows)])
