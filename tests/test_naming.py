"""The lecture's names: on every kind of layer, on batches, beside the user's own, and in all that shows them."""

import pytest

import autograd_lite as al
import nn
from autograd_lite import Value
from nn.naming import lecture_names, names_in


def named(*roots):
    """Return the names that nodes other than parameters have, and the nodes by name."""
    order = al.topological_order(*roots)
    names = names_in(order, "lecture")
    parameters = {node for node in order if node.scope is not None and node.op is None}
    nodes = {name: node for node, name in names.items() if node not in parameters}
    assert len(nodes) == len(names.keys() - parameters), "a name is given twice"
    return nodes


def test_a_network_of_two_layers_has_the_names_of_the_lecture():
    model = nn.MLP(2, [2, 1], al.tanh, output=al.sigmoid, seed=0)
    x = [Value(1.0), Value(-1.0)]
    (o,) = model(x)
    E = nn.losses.half_sse([o], 1.0)
    nodes = named(E)
    assert set(nodes) == {"x[1]", "x[2]", "u[1]", "u[2]", "h[1]", "h[2]", "z[1]", "o[1]", "E"}
    assert [nodes["x[1]"], nodes["x[2]"]] == x and nodes["o[1]"] is o and nodes["E"] is E
    assert nodes["z[1]"] is o.parents[0]
    assert nodes["h[2]"].parents == (nodes["u[2]"],)
    assert model.layers[0].neurons[1].w[0] in nodes["u[2]"].parents


@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [
        ([2], {}, {"o[1]", "o[2]"}),  # linear: the net input is the value
        ([2], {"output": al.sigmoid}, {"z[1]", "z[2]", "o[1]", "o[2]"}),
        ([2], {"output": al.softmax}, {"z[1]", "z[2]", "o[1]", "o[2]"}),
        ([1, 1], {"activation": None}, {"h[1]", "o[1]"}),
        ([1, 1, 1, 1], {}, {"u1[1]", "h1[1]", "u2[1]", "h2[1]", "u3[1]", "h3[1]", "o[1]"}),
        ([10, 1], {"activation": al.leaky_relu}, {f"{s}[{j}]" for s in "uh" for j in range(1, 11)} | {"o[1]"}),
    ],
)
def test_networks_of_every_depth_and_kind(sizes, options, expected):
    outputs = nn.MLP(3, sizes, seed=0, **options)([1.0, 2.0, 3.0])
    nodes = named(*outputs)
    assert set(nodes) == expected
    assert [nodes[f"o[{k}]"] for k in range(1, len(outputs) + 1)] == outputs
    loss = al.sum([al.square(o) for o in outputs])
    assert set(named(loss)) == expected | {"E"}


def test_a_layer_and_a_neuron_alone():
    assert set(named(*nn.Layer(2, 2, al.tanh, seed=0)([1.0, 2.0]))) == {"z[1]", "z[2]", "o[1]", "o[2]"}
    assert set(named(*nn.Neuron(2, al.tanh, seed=0)([1.0, 2.0]))) == {"z", "o"}
    assert set(named(*nn.Neuron(2, seed=0)([1.0, 2.0]))) == {"o"}


def test_one_output_of_a_softmax_layer():
    loss = -al.log(nn.MLP(2, [3], output=al.softmax, seed=0)([1.0, 2.0])[1])
    assert set(named(loss)) == {"z[1]", "z[2]", "z[3]", "o[2]", "E"}


def test_softmax_outside_of_a_layer_is_no_unit():
    model = nn.MLP(2, [2], seed=0)
    shares = al.softmax(model([1.0, 2.0]))
    assert set(named(*shares)) == {"o[1]", "o[2]"}
    neurons = [nn.Neuron(2, seed=k) for k in range(2)]
    shares = al.softmax([neuron([1.0, 2.0])[0] for neuron in neurons])
    assert not set(shares) & lecture_names(al.topological_order(*shares)).keys()
    assert set(named(*al.softmax([1.0, Value(2.0)])[:1])) == set()


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[1.0, 2.0]] * 3])
@pytest.mark.parametrize("as_values", [False, True])
def test_the_examples_of_a_batch_are_told_apart(rows, as_values):
    model = nn.MLP(2, [2, 1], al.tanh, seed=0)
    outputs = [model([Value(x) for x in row] if as_values else row)[0] for row in rows]
    nodes = named(al.mean([al.square(o - 1.0) for o in outputs]))
    units = ["u[1]", "u[2]", "h[1]", "h[2]", "o[1]", *["x[1]", "x[2]"] * as_values]
    assert set(nodes) == {f"{unit}({n})" for unit in units for n in (1, 2, 3)} | {"E"}
    for n, o in enumerate(outputs, 1):
        assert nodes[f"o[1]({n})"] is o
        assert {nodes[f"h[1]({n})"], nodes[f"h[2]({n})"]} < set(o.parents)


def test_outputs_of_different_examples_keep_their_numbers():
    model = nn.MLP(1, [2], seed=0)
    o = [model([float(n)])[k] for n, k in enumerate((0, 1, 0))]
    nodes = named(al.sum(o))
    assert [nodes["o[1](1)"], nodes["o[2](2)"], nodes["o[1](3)"]] == o


def test_a_layer_that_is_fed_with_its_own_outputs():
    layer = nn.Layer(2, 2, al.tanh, seed=0)
    nodes = named(al.sum(layer(layer([1.0, 2.0]))))
    assert set(nodes) == {f"{unit}[{k}]({n})" for unit in "zo" for k in (1, 2) for n in (1, 2)} | {"E"}
    assert nodes["o[1](1)"] in nodes["z[1](2)"].parents


def test_names_of_ones_own_win():
    model = nn.MLP(2, [2, 1], al.tanh, seed=0)
    loss = nn.losses.half_sse(model([Value(1.0, "height"), 2.0]), 0.5)
    loss.name = "loss"
    hidden = named(loss)["h[2]"]
    hidden.name = "mine"
    assert set(named(loss)) == {"height", "u[1]", "u[2]", "h[1]", "mine", "o[1]", "loss"}
    weight, o = Value(2.0, "E"), model([1.0, 2.0])[0]
    assert "E" in named(weight * o) and named(weight * o)["E"] is weight


def test_what_is_no_error_is_not_called_so():
    x = Value(2.0, "x")
    assert set(named(x * x)) == {"x"}
    o = nn.MLP(1, [1], seed=0)([1.0])[0]
    assert set(named(al.square(o), al.exp(o))) == {"o[1]"}  # two of them
    assert names_in([x * x]) == {}


def test_the_names_are_in_formulas():
    model = nn.MLP(1, [1, 1], al.tanh, output=al.sigmoid, seed=0)
    E = 0.5 * al.square(model([Value(2.0)])[0] - 1.0)
    assert nn.latex(E, wrt=[model.layers[0].neurons[0].w[0]], notation="lecture").lines == (
        r"u_{1} = v_{11}\,x_{1} + v_{10}",
        r"h_{1} = \tanh\left(u_{1}\right)",
        r"z_{1} = w_{11}\,h_{1} + w_{10}",
        r"o_{1} = \sigma\left(z_{1}\right)",
        r"E = \frac{1}{2}\,\left(o_{1} - 1\right)^{2}",
        r"\frac{\partial E}{\partial o_{1}} = o_{1} - 1",
        r"\frac{\partial E}{\partial z_{1}} = \frac{\partial E}{\partial o_{1}}\,o_{1}\,\sigma\left(-z_{1}\right)",
        r"\frac{\partial E}{\partial h_{1}} = \frac{\partial E}{\partial z_{1}}\,w_{11}",
        r"\frac{\partial E}{\partial u_{1}} = "
        r"\frac{\partial E}{\partial h_{1}}\,\frac{1}{\cosh^{2}\left(u_{1}\right)}",
        r"\frac{\partial E}{\partial v_{11}} = \frac{\partial E}{\partial u_{1}}\,x_{1}",
    )


def test_the_names_are_in_explanations():
    model = nn.MLP(1, [1, 1], al.tanh, output=al.sigmoid, seed=0)
    E = al.square(model([2.0])[0])
    (path,) = nn.explain(model.layers[0].neurons[0].w[0], E, notation="lecture").paths
    assert path.names == ("E", "o[1]", "z[1]", "h[1]", "u[1]", "v[1,1]")
    assert path.partials[0] == 2 * E.parents[0].data
    (path,) = nn.explain(model.layers[0].neurons[0].w[0], E).paths
    assert [name.partition("#")[0] for name in path.names] == ["E", "sigmoid", "affine", "tanh", "affine", "v[1,1]"]


def test_the_names_are_in_drawings_and_steps():
    model = nn.MLP(1, [2, 1], al.tanh, output=al.sigmoid, seed=0)
    E = al.square(model([Value(2.0)])[0])
    dot = nn.draw(E, notation="lecture").dot
    assert all(f"<b>{name}</b>" in dot for name in ("x[1]", "u[1]", "h[2]", "z[1]", "o[1]", "E", "v[2,1]"))
    assert "<b>h[2]</b>" not in nn.draw(E).dot
    stepper = nn.stepper(E, notation="lecture").goto("h[2]")
    assert stepper.event.node is named(E)["h[2]"]
    assert "h[2] = tanh(u[2])" in str(stepper)
    with pytest.raises(ValueError, match="notation= are for the graph of a Value"):
        nn.draw(model, notation="lecture")


@pytest.mark.parametrize("notation", ["textbook", "", 3])
@pytest.mark.parametrize(
    "use", [nn.draw, nn.stepper, nn.latex, lambda x, notation: nn.explain(x, x, notation=notation)]
)
def test_an_unknown_notation(use, notation):
    with pytest.raises(ValueError, match=r'no notation .*; give "lecture"'):
        use(Value(2.0, "x"), notation=notation)
