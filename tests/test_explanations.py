"""A gradient explained: paths against enumeration, deltas against `.grad`, every form in text and LaTeX."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

import autograd_lite as al
import nn
from autograd_lite import Value
from nn.explanations import deltas, explain


def every_product(node, w):
    """Return the product of each path, by walking them all."""
    if node is w:
        return [1.0]
    edges = zip(node.parents, node.partials, strict=True)
    return [partial * product for parent, partial in edges for product in every_product(parent, w)]


def gradient(w, loss):
    for node in al.topological_order(loss):
        node.grad = 0.0
    loss.backward()
    return w.grad


@st.composite
def graphs(draw):
    w = Value(draw(st.sampled_from([-2.0, -0.5, 0.0, 1.5])), "w")
    nodes = [w, Value(0.75, "x")]
    for _ in range(draw(st.integers(1, 8))):
        a, b = (nodes[draw(st.integers(max(0, len(nodes) - 4), len(nodes) - 1))] for _ in "ab")
        op = draw(st.sampled_from(["add", "mul", "sub", "tanh", "relu", "affine"]))
        if op in ("tanh", "relu"):
            nodes.append(al.TABLE[op](a))
        elif op == "affine":
            nodes.append(al.affine([a, b], [b, w], a))
        else:
            nodes.append(al.TABLE[op](a, b))
    return w, nodes[-1]


@given(graphs(), st.integers(0, 6))
def test_the_paths_are_those_of_enumeration_and_the_rest_is_their_sum(graph, top):
    w, loss = graph
    explanation = explain(w, loss, top=top)
    products = sorted(every_product(loss, w), key=abs, reverse=True)
    assert explanation.n_paths == len(products)
    assert len(explanation.paths) == min(top, len(products))
    shown = [path.product for path in explanation.paths]
    assert [abs(p) for p in shown] == pytest.approx([abs(p) for p in products[:top]], rel=1e-12)
    assert [abs(p) for p in shown] == sorted(map(abs, shown), reverse=True)
    assert explanation.gradient == math.fsum([*shown, explanation.remainder])
    scale = sum(map(abs, products)) + 1e-300
    assert abs(explanation.gradient - gradient(w, loss)) <= 1e-12 * scale
    for path in explanation.paths:
        assert path.product == math.prod(path.partials)
        assert path.names[-1] == "w" and len(path.names) == len(path.partials) + 1


@given(graphs(), st.sets(st.integers(0, 9)))
def test_in_a_notation_paths_lead_from_name_to_name(graph, numbers):
    w, loss = graph
    order = al.topological_order(loss)
    for k in numbers:
        if k < len(order) and order[k].op is not None:
            order[k].name = f"n{k}"
    explanation = explain(w, loss, top=10_000, notation="lecture")
    named = {node.name for node in order if node.name}
    assert all({*path.names[1:-1]} <= named for path in explanation.paths)
    assert len({path.names for path in explanation.paths}) == explanation.n_paths == len(explanation.paths)
    scale = sum(map(abs, every_product(loss, w))) + 1e-300
    assert abs(explanation.gradient - gradient(w, loss)) <= 1e-12 * scale


def test_the_chain_of_the_slides():
    model = nn.MLP(2, [3, 2], al.tanh, output=al.sigmoid, seed=0)
    x, t = [1.0, 2.0], [0.0, 1.0]
    E = nn.losses.half_sse(model(x), t)
    table = deltas(model, x, t)
    v = model.layers[0].neurons[1].w[0]
    explanation = explain(v, E, notation="lecture")
    assert {path.names for path in explanation.paths} == {
        ("E", f"o[{k}]", f"z[{k}]", "h[2]", "u[2]", "v[2,1]") for k in (1, 2)
    }
    assert sorted(path.partials[0] for path in explanation.paths) == pytest.approx(sorted(table["o"]))
    assert explanation.gradient == pytest.approx(table.gradients["v[2,1]"])


def test_two_to_the_sixtieth_paths():
    w = Value(0.9, "w")
    y = w
    for _ in range(60):
        y = al.add(al.mul(y, 1 / 3), al.mul(y, 1 / 3))  # every path is as large as every other
    explanation = explain(w, y, top=7)
    assert explanation.n_paths == 2**60 and explanation.n_hidden == 2**60 - 7
    assert explanation.gradient == pytest.approx(gradient(w, y), rel=1e-12)
    assert [path.product for path in explanation.paths] == pytest.approx([3.0**-60] * 7)
    assert len({path.names for path in explanation.paths}) == 7
    assert "sum over 1,152,921,504,606,846,976 paths" in str(explanation)


def test_the_remainder_is_not_a_difference():
    w = Value(1.0, "w")
    assert explain(w, al.sum([w * 1e20, w * 1e-20, w * 1e-21]), top=1).remainder == pytest.approx(1.1e-20)


def test_a_deep_graph():
    w = Value(1.0, "w")
    y = w
    for _ in range(20_000):
        y = y * 0.9 + y * 0.1
    explanation = explain(w, y, top=2)
    assert explanation.n_paths == 2**20_000
    assert explanation.gradient == pytest.approx(1.0)
    assert "about 10^6020 paths" in str(explanation)
    assert len(str(explanation)) < 2000


def test_dead_paths_come_last_and_nan_first():
    w = Value(1.0, "w")
    alive, dead = w * 3.0, al.relu(-w) * 5.0
    explanation = explain(w, alive + dead)
    assert [path.product for path in explanation.paths] == [3.0, 0.0]
    born = al.sqrt(w - 1.0) * 0.0  # ∞ · 0
    explanation = explain(w, alive + born)
    assert [str(path.product) for path in explanation.paths] == ["nan", "3.0"]
    assert math.isnan(explanation.gradient) and math.isnan(explain(w, alive + born, top=0).remainder)
    both = al.sqrt(w - 1.0) - al.sqrt(w - 1.0)
    assert math.isnan(explain(w, both).gradient)


def test_the_ends():
    w, x = Value(2.0, "w"), Value(1.0)
    alone = explain(w, w)
    assert (alone.gradient, alone.n_paths, alone.paths[0].partials) == (1.0, 1, ())
    assert "1 path" in str(alone) and alone.latex
    none = explain(w, x * x)
    assert (none.gradient, none.n_paths, none.paths) == (0.0, 0, ())
    assert str(none) == "∂E/∂w = 0: no path leads from w to E" and none.latex
    h = w * x
    assert explain(h, h * h).n_paths == 2
    assert w.grad == h.grad == 0.0


def test_wrong_input():
    w = Value(2.0, "w")
    with pytest.raises(TypeError, match="two Values"):
        explain(2.0, w)
    with pytest.raises(TypeError, match="two Values"):
        explain(w, [w])
    with pytest.raises(TypeError, match="integer"):
        explain(w, w, top=1.5)
    with pytest.raises(ValueError, match="0 or more"):
        explain(w, w, top=-1)


def test_an_explanation_is_frozen_and_the_same_every_time():
    model = nn.MLP(2, [3, 1], activation=al.tanh, seed=0)
    loss = nn.losses.half_sse(model([1.0, 2.0]), 0.5)
    w = model.layers[0].neurons[0].w[0]
    one, other = explain(w, loss), explain(w, loss)
    assert one == other and str(one) == str(other) == repr(one)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.gradient = 0.0
    assert one._repr_mimebundle_() == {"text/latex": one._repr_latex_(), "text/plain": str(one)}
    assert set(one._repr_mimebundle_(exclude=["text/latex"])) == {"text/plain"}


def test_a_single_partial_is_no_product():
    x = Value(3.0, "x")
    derivative = r"\frac{\partial E}{\partial x}"
    assert explain(x, x * x).lines == (f"{derivative} = 3", f"{derivative} = 3")
    assert explain(x, x).lines == (r"\frac{\partial x}{\partial x} = 1",)


@pytest.mark.parametrize(
    "name", ["</script><b>", "$x$", "\\href{a}{b}", "a&b%c#d_e^f~g", "é\n\x00", "'\"", "x" * 10_000]
)
def test_hostile_names(name):
    w = Value(2.0, name)
    explanation = explain(w, al.tanh(w) * w)
    assert "<" not in explanation.latex and "href{" not in explanation.latex
    assert len(str(explanation)) < 600 and "\x00" not in str(explanation)
    for line in explanation.lines:
        MathTextParser("path").parse(f"${line}$".replace(r"\&", "").replace(r"\#d", ""))  # where mathtext falls short


ACTIVATIONS = [None, al.tanh, al.sigmoid, al.relu, al.leaky_relu, al.elu, al.gelu, al.softplus]


@pytest.mark.parametrize(
    ("sizes", "activation", "output"),
    [
        *(([3, 2], f, g) for f, g in itertools.product(ACTIVATIONS, [None, al.sigmoid, al.softmax])),
        *(([2], None, g) for g in [*ACTIVATIONS, al.softmax]),
        ([4, 3, 2], al.tanh, al.sigmoid),
        ([2, 3, 4, 1], al.silu, None),
    ],
)
def test_the_gradients_from_the_deltas_are_those_of_backward(sizes, activation, output):
    model = nn.MLP(2, sizes, activation=activation, output=output, seed=5)
    x, t = [0.5, -1.25], [0.25, 1.0][: sizes[-1]]
    nn.losses.half_sse(model(x), t).backward()
    table = deltas(model, x, t)
    assert list(table.gradients) == [name for name, _ in model.named_parameters()]
    for name, value in model.named_parameters():
        assert table.gradients[name] == pytest.approx(value.grad, rel=1e-12, abs=1e-15)
    for line in table.lines:
        MathTextParser("path").parse(f"${line}$")


def test_each_delta_is_the_derivative_by_its_unit():
    model = nn.MLP(3, [4, 2], activation=al.tanh, output=al.sigmoid, seed=1)
    x, t = [1.0, 2.0, -1.0], [0.0, 1.0]
    hidden, output = model.layers
    u = [al.affine(neuron.w, x, neuron.b) for neuron in hidden.neurons]
    h = [al.tanh(each) for each in u]
    z = [al.affine(neuron.w, h, neuron.b) for neuron in output.neurons]
    o = [al.sigmoid(each) for each in z]
    loss = nn.losses.half_sse(o, t)
    loss.backward()
    table = deltas(model, x, t)
    assert table.error == pytest.approx(loss.data)
    for key, units in {"o": o, "z": z, "h": h, "u": u}.items():
        assert table[key] == pytest.approx([unit.grad for unit in units])
    assert [row.key for row in table.rows] == ["o", "z", "h", "u"]
    assert [row.key for row in table.weights] == ["w", "v"]


def test_the_formulas_of_the_lecture():
    model = nn.MLP(2, [3, 1], activation=al.tanh, output=al.sigmoid, seed=0)
    table = deltas(model, [1.0, 2.0], 0.5)
    assert [row.latex for row in table.rows] == [
        r"\delta_k^{o} = o_k - t_k",
        r"\delta_k^{z} = \delta_k^{o}\,g^{\prime}(z_k)",
        r"\delta_j^{h} = \sum_k \delta_k^{z}\,w_{kj}",
        r"\delta_j^{u} = \delta_j^{h}\,f^{\prime}(u_j)",
    ]
    assert table.weights[1].formula == "∂E/∂v_ji = δᵘ_j · x_i, ∂E/∂v_j0 = δᵘ_j"
    single = deltas(nn.MLP(2, [1], seed=0), [1.0, 2.0], 0.5)
    assert [row.key for row in single.rows] == ["o", "z"]
    assert single.weights[0].formula == "∂E/∂w_ki = δᶻ_k · x_i, ∂E/∂w_k0 = δᶻ_k"
    deep = deltas(nn.MLP(2, [2, 3, 1], seed=0), [1.0, 2.0], 0.5)
    assert [row.key for row in deep.rows] == ["o", "z", "h2", "u2", "h1", "u1"]
    assert deep.rows[4].formula == "δʰ¹_j = Σ_k δᵘ²_k · w2_kj"
    assert deep.weights[1].formula == "∂E/∂w2_ji = δᵘ²_j · h¹_i, ∂E/∂w2_j0 = δᵘ²_j"


def test_deltas_without_recording_and_of_wrong_input():
    model = nn.MLP(2, [3, 1], activation=al.tanh, seed=0)
    table = deltas(model, [1.0, 2.0], 0.5)
    with al.no_grad():
        assert deltas(model, [Value(1.0), 2.0], [0.5]) == table
    assert all(value.grad == 0.0 for value in model.parameters())
    with pytest.raises(TypeError, match="an MLP"):
        deltas(model.layers[0], [1.0, 2.0], 0.5)
    with pytest.raises(ValueError, match="2 inputs"):
        deltas(model, [1.0], 0.5)
    with pytest.raises(ValueError, match="one target per output"):
        deltas(model, [1.0, 2.0], [0.5, 0.5])
    with pytest.raises(KeyError, match="there are o, z, h, u"):
        table["q"]
    with pytest.raises(TypeError):
        table.gradients["w[1,1]"] = 0.0
