"""Networks compute the lecture's formulas, name their parameters as it does, and refuse what does not fit."""

import copy
import functools
import math
import pickle
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Value
from nn import init
from nn.modules import MLP, Layer, Module, Neuron, unit_of


def forward(model: MLP, x: list[float], f, g) -> list[float]:
    """The lecture's forward pass, in plain floats, from the parameters' names."""
    state = model.state_dict()
    prefixes = list(dict.fromkeys(name.partition("[")[0] for name in state))
    for prefix in prefixes:
        units = max(int(name[len(prefix) + 1 : -1].split(",")[0]) for name in state if name.startswith(f"{prefix}["))
        z = [
            state[f"{prefix}[{k},0]"] + sum(state[f"{prefix}[{k},{i}]"] * x_i for i, x_i in enumerate(x, 1))
            for k in range(1, units + 1)
        ]
        x = [(g if prefix == prefixes[-1] else f)(z_k) for z_k in z]
    return x


def with_biases(model: MLP, seed: int = 0) -> MLP:
    rng = Random(seed)
    for value in model.parameters():
        value.data = rng.uniform(-1, 1)
    return model


# what a network computes


@pytest.mark.parametrize("sizes", [[1], [3], [4, 2], [4, 4, 1], [2, 3, 4, 5]])
def test_forward_is_the_lectures(sizes):
    model = with_biases(MLP(3, sizes, activation=al.tanh, output=al.sigmoid))
    x = [0.5, -1.0, 2.0]
    outputs = model(x)
    assert type(outputs) is list
    assert all(type(output) is Value for output in outputs)
    wanted = forward(model, x, math.tanh, lambda z: 1 / (1 + math.exp(-z)))
    assert [output.data for output in outputs] == pytest.approx(wanted, rel=1e-12)


def test_defaults_are_relu_and_a_linear_output():
    model = with_biases(MLP(2, [8, 2]))
    assert model.activation is al.relu
    assert model.output is None
    wanted = forward(model, [1.0, 2.0], lambda z: max(0.0, z), lambda z: z)
    assert [output.data for output in model([1, 2])] == pytest.approx(wanted, rel=1e-12)


def test_gradients_are_those_of_finite_differences():
    model = with_biases(MLP(2, [3, 2], activation=al.tanh, output=al.softmax))
    x = [0.3, -0.7]
    model(x)[1].backward()
    for value in model.parameters():
        h, centre = 1e-5, value.data
        value.data = centre + h
        above = model(x)[1].data
        value.data = centre - h
        below = model(x)[1].data
        value.data = centre
        assert value.grad == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-9)


def test_softmax_output_is_the_softmax_of_the_net_inputs():
    model = with_biases(MLP(2, [4, 3], output=al.softmax))
    linear = MLP(2, [4, 3])
    linear.load_state_dict(model.state_dict())
    net_inputs = [z.data for z in linear([1.0, -1.0])]
    assert [p.data for p in model([1.0, -1.0])] == al.softmax(net_inputs)


def test_a_neurons_net_input_is_one_node():
    neuron = Neuron(3, al.tanh, seed=0)
    (output,) = neuron([1.0, 2.0, 3.0])
    assert output.op is al.tanh
    (net_input,) = output.parents
    assert net_input.op is al.affine
    assert net_input.parents == (*neuron.w, neuron.b)


def test_one_tuple_of_inputs_serves_the_whole_layer():
    outputs = Layer(3, 4)([1, 2, 3])
    assert len({id(output.operands[1]) for output in outputs}) == 1


@pytest.mark.parametrize(
    "x",
    [
        [1, 2],
        (1.0, 2),
        [True, 2.0],
        np.array([1.0, 2.0]),
        np.array([1, 2], dtype=np.int8),
        np.array([1, 2], dtype=np.float32),
        [np.float64(1), np.int64(2)],
        (x for x in [1.0, 2.0]),
    ],
    ids=str,
)
def test_inputs_of_any_real_type_become_floats(x):
    layer = Layer(2, 2, seed=0)
    outputs = layer(x)
    assert outputs[0].operands[1] == (1.0, 2.0)
    assert {type(number) for number in outputs[0].operands[1]} == {float}
    assert [output.data for output in outputs] == [output.data for output in layer([1.0, 2.0])]


def test_inputs_may_be_values_and_mixed_with_numbers():
    layer = Layer(3, 1, al.tanh, seed=0)
    x = Value(2.0)
    (output,) = layer([1, x, np.float32(3)])
    (net_input,) = output.parents
    assert net_input.operands[1] == (1.0, x, 3.0)
    output.backward()
    assert x.grad == pytest.approx((1 - output.data**2) * layer.neurons[0].w[1].data, rel=1e-12)
    all_values = layer([Value(1.0), Value(2.0), Value(3.0)])
    assert all_values[0].data == output.data


def test_operations_with_defaults_are_activations():
    for operation in (al.leaky_relu, al.elu):
        neuron = Neuron(1, operation, init=lambda *_: [[1.0]])
        assert neuron([-2.0])[0].data == operation(-2.0)


def test_every_unary_operation_of_the_table_is_an_activation():
    unary = [operation for operation in al.TABLE.values() if operation.arity == 1 and not operation.many]
    assert len(unary) > 30
    for operation in unary:
        neuron = Neuron(1, operation, init=lambda *_: [[1.0]])
        output = neuron([1.5])[0].data
        assert output == operation(1.5) or math.isnan(output)


def test_an_operation_of_ones_own_is_an_activation():
    swish = al.Op("swish", "swish", value=lambda x: x * x, partials=lambda z, x: (2 * x,))
    model = MLP(2, [3, 1], activation=swish, seed=0)
    model([1.0, 2.0])[0].backward()
    assert repr(model) == "MLP(2 inputs -> 3 swish -> 1 linear: a 2-layer network, 13 parameters)"


def test_nothing_is_recorded_in_no_grad():
    with al.no_grad():
        (output,) = MLP(2, [3, 1], seed=0)([1.0, 2.0])
    assert output.op is None


# names and numbers


def test_names_are_the_lectures():
    assert [name for name, _ in MLP(2, [2]).named_parameters()] == [
        *("w[1,1]", "w[1,2]", "w[1,0]"),
        *("w[2,1]", "w[2,2]", "w[2,0]"),
    ]
    assert [name for name, _ in MLP(2, [1, 1]).named_parameters()] == [
        *("v[1,1]", "v[1,2]", "v[1,0]"),
        *("w[1,1]", "w[1,0]"),
    ]
    assert [name for name, _ in MLP(1, [1, 1, 2]).named_parameters()] == [
        *("w1[1,1]", "w1[1,0]"),
        *("w2[1,1]", "w2[1,0]"),
        *("w3[1,1]", "w3[1,0]", "w3[2,1]", "w3[2,0]"),
    ]
    assert [name for name, _ in Neuron(2).named_parameters()] == ["w[1]", "w[2]", "w[0]"]


@pytest.mark.parametrize("module", [Neuron(3), Layer(3, 2), MLP(3, [2]), MLP(3, [2, 4]), MLP(3, [2, 4, 1])], ids=repr)
def test_every_value_bears_its_name(module):
    named = module.named_parameters()
    assert [value.name for _, value in named] == [name for name, _ in named]
    assert len(dict(named)) == len(named)
    assert module.parameters() == [value for _, value in named]


def test_the_bias_of_a_unit_is_its_weight_0():
    model = MLP(2, [3, 1])
    named = dict(model.named_parameters())
    assert named["v[2,0]"] is model.layers[0].neurons[1].b
    assert named["v[2,1]"] is model.layers[0].neurons[1].w[0]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (MLP(2, [16, 16, 1]), "MLP(2 inputs -> 16 relu -> 16 relu -> 1 linear: a 3-layer network, 337 parameters)"),
        (MLP(1, [2], output=al.softmax), "MLP(1 input -> 2 softmax: a 1-layer network, 4 parameters)"),
        (Layer(1, 2, al.tanh), "Layer(1 input -> 2 tanh: 4 parameters)"),
        (Neuron(3), "Neuron(3 inputs -> 1 linear: 4 parameters)"),
    ],
)
def test_repr_counts_layers_and_parameters(module, text):
    assert repr(module) == text


def test_same_seed_same_bits():
    state = MLP(3, [4, 2], seed=7).state_dict()
    assert MLP(3, [4, 2], seed=7).state_dict() == state
    assert MLP(3, [4, 2], seed=np.int64(7)).state_dict() == state
    assert MLP(3, [4, 2], seed=Random(7)).state_dict() == state
    assert MLP(3, [4, 2], seed=8).state_dict() != state
    assert MLP(3, [4, 2]).state_dict() != MLP(3, [4, 2]).state_dict()


@pytest.mark.parametrize("operation", [al.relu, al.leaky_relu, al.elu, al.selu, al.gelu, al.silu])
def test_relu_like_layers_start_by_he(operation):
    layer = Layer(5, 4, operation, seed=3)
    assert [[w.data for w in neuron.w] for neuron in layer.neurons] == init.he(5, 4, 3)
    assert {neuron.b.data for neuron in layer.neurons} == {0.0}


@pytest.mark.parametrize("activation", [None, al.tanh, al.sigmoid, al.softplus, al.softmax])
def test_other_layers_start_by_xavier(activation):
    layer = Layer(5, 4, activation, seed=3)
    assert [[w.data for w in neuron.w] for neuron in layer.neurons] == init.xavier(5, 4, 3)


def test_each_layer_starts_by_its_own_activation():
    model = MLP(5, [4, 3], activation=al.relu, seed=3)
    rng = Random(3)
    rows = [[[w.data for w in neuron.w] for neuron in layer.neurons] for layer in model.layers]
    assert rows == [init.he(5, 4, rng), init.xavier(4, 3, rng)]


def test_init_is_a_function_of_ones_choice():
    model = MLP(2, [2, 1], init=functools.partial(init.constant, value=0.25))
    assert {value.data for name, value in model.named_parameters() if not name.endswith(",0]")} == {0.25}


# what all modules do


def test_zero_grad():
    model = MLP(2, [3, 1], activation=al.tanh, seed=0)
    model([1.0, 2.0])[0].backward()
    assert any(value.grad for value in model.parameters())
    model.zero_grad()
    assert {value.grad for value in model.parameters()} == {0.0}


@given(st.lists(st.floats(), min_size=13, max_size=13))
def test_state_goes_round_bit_for_bit(numbers):
    model = MLP(2, [3, 1], seed=0)
    state = dict(zip(model.state_dict(), numbers, strict=True))
    model.load_state_dict(state)
    assert np.array([*model.state_dict().values()]).tobytes() == np.array(numbers).tobytes()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"w[1,4]": 1.0}, ValueError, r"the state does not fit this MLP: unknown 'w\[1,4\]'$"),
        ({"w[1,1]": None}, TypeError, r"parameter w\[1,1\] must be a real number, but None is of type NoneType"),
        ({"w[1,1]": "1"}, TypeError, r"parameter w\[1,1\] must be a real number, but '1' is of type str"),
        ({"w[1,1]": 10**400}, ValueError, r"parameter w\[1,1\] must fit a float64"),
    ],
)
def test_a_load_that_fails_changes_nothing(change, error, message):
    model = MLP(2, [3, 1], seed=0)
    before = model.state_dict()
    with pytest.raises(error, match=message):
        model.load_state_dict({**MLP(2, [3, 1], seed=1).state_dict(), **change})
    assert model.state_dict() == before


def test_a_load_names_what_is_missing():
    model = MLP(2, [3, 1], seed=0)
    with pytest.raises(ValueError, match=r"missing 'v\[1,1\]', .*, …, unknown 'v'$"):
        model.load_state_dict({"v": 1.0})
    with pytest.raises(TypeError, match=r"a state is a dict of numbers by parameter name, got \[1.0\]"):
        model.load_state_dict([1.0])


def test_copies_are_independent():
    model = MLP(2, [3, 1], activation=al.leaky_relu, output=al.sigmoid, seed=0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.state_dict() == model.state_dict()
        assert other([1.0, 2.0])[0].data == model([1.0, 2.0])[0].data
        other.layers[0].neurons[0].b.data = 5.0
        assert model.layers[0].neurons[0].b.data == 0.0


def test_a_module_of_ones_own_must_name_its_parameters():
    class Nothing(Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define named_parameters\(\)"):
        Nothing().parameters()


# what they refuse

WANT_AN_OPERATION = "an activation must be an operation of one number, such as al.tanh, or None for linear units, got "


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MLP(0, [1]), ValueError, "n_inputs must be at least 1, got 0"),
        (lambda: MLP(2.0, [1]), TypeError, "n_inputs must be an integer, got 2.0"),
        (lambda: MLP(True, [1]), TypeError, "n_inputs must be an integer, got True"),
        (lambda: MLP("2", [1]), TypeError, "n_inputs must be an integer, got '2'"),
        (lambda: MLP(2, []), ValueError, "sizes is empty; give at least the number of output units, such as [1]"),
        (lambda: MLP(2, 4), TypeError, "sizes must be a list of numbers of units, such as [16, 1], got 4"),
        (lambda: MLP(2, "44"), TypeError, "sizes must be a list of numbers of units, such as [16, 1], got '44'"),
        (lambda: MLP(2, None), TypeError, "sizes must be a list of numbers of units, such as [16, 1], got None"),
        (lambda: MLP(2, [4, -1]), ValueError, "each of sizes must be at least 1, got -1"),
        (lambda: MLP(2, [4, 1.5]), TypeError, "each of sizes must be an integer, got 1.5"),
        (lambda: Layer(2, 0), ValueError, "n_outputs must be at least 1, got 0"),
        (lambda: Neuron(-1), ValueError, "n_inputs must be at least 1, got -1"),
        (lambda: MLP(2, [1], seed="x"), TypeError, "a seed must be an integer or a random.Random, got 'x'"),
        (lambda: MLP(2, [1], init="he"), TypeError, "init must be a function such as nn.init.he, got 'he'"),
        (
            lambda: MLP(2, [3], init=lambda *_: [[0.0, 0.0]]),
            ValueError,
            "init must give a list of 3 rows of 2 weights each, got [[0.0, 0.0]]",
        ),
        (
            lambda: MLP(2, [1], init=lambda *_: [0.0]),
            ValueError,
            "init must give a list of 1 rows of 2 weights each, got [0.0]",
        ),
        (lambda: MLP(2, [3, 1], activation="relu"), TypeError, f"{WANT_AN_OPERATION}'relu'"),
        (lambda: MLP(2, [3, 1], output=math.tanh), TypeError, f"{WANT_AN_OPERATION}<built-in function tanh>"),
        (lambda: Neuron(2, al.sum), TypeError, f"{WANT_AN_OPERATION}<operation sum(xs)>"),
        (lambda: Neuron(2, al.atan2), TypeError, f"{WANT_AN_OPERATION}<operation atan2(y, x)>"),
        (lambda: Neuron(2, al.softmax), TypeError, "softmax is for a whole layer, not for one unit"),
        (lambda: MLP(2, [3, 1], activation=al.softmax), TypeError, "softmax is for a whole layer, not for one unit"),
    ],
)
def test_wrong_arguments_are_told(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("module", [Neuron(2), Layer(2, 3), MLP(2, [3, 1])], ids=repr)
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0], ValueError, "want 2 inputs, got 1; give one number per input"),
        ([], ValueError, "want 2 inputs, got 0"),
        (np.ones(3), ValueError, "want 2 inputs, got 3"),
        (1.0, TypeError, "a network takes a sequence of numbers, but 1.0 is of type float"),
        (None, TypeError, "a network takes a sequence of numbers, but None is of type NoneType"),
        (Value(1.0), TypeError, "a network takes a sequence of numbers, but Value"),
        ("12", TypeError, "a network takes a sequence of numbers, but '12' is of type str"),
        ({1.0, 2.0}, TypeError, "a network takes a sequence of numbers, but {1.0, 2.0} is of type set"),
        ([1.0, "2"], TypeError, "an input must be a real number, but '2' is of type str"),
        ([1.0, None], TypeError, "an input must be a real number, but None is of type NoneType"),
        ([1.0, 2j], TypeError, "an input must be a real number, but 2j is of type complex"),
        (np.ones((2, 2)), TypeError, "an input must be a real number, but array"),
        ([Value(1.0), [2.0]], TypeError, "an input must be a real number, but [2.0] is of type list"),
    ],
    ids=str,
)
def test_wrong_inputs_are_told(module, x, error, message):
    with pytest.raises(error) as caught:
        module(x)
    assert str(caught.value).startswith(message)


# ---- scopes: which neuron a node belongs to -------------------------------------------------------------------


def test_parameters_net_input_and_activation_belong_to_their_neuron_and_nothing_else_does():
    model = MLP(2, [3, 1], al.tanh)
    (o,) = model([1.0, -2.0])
    loss = (o - 1.0) ** 2 + 0.1 * al.square(model.layers[0].neurons[2].w[0])
    of = {node: repr(unit_of(node)) for node in al.topological_order(loss)}
    w, h = model.layers[0].neurons[2].w[0], o.operands[1][2]
    assert (of[w], of[h], of[h.parents[0]]) == ("hidden layer/neuron 3",) * 3
    assert of[o] == of[model.layers[1].neurons[0].b] == "output layer/neuron 1"
    assert [node.op.name for node in of if of[node] == "None"] == ["sub", "power", "square", "mul", "add"]


def test_the_loss_of_a_linear_output_is_not_taken_for_its_activation():
    (o,) = MLP(2, [3, 1])([1.0, -2.0])
    assert unit_of(al.relu(o)) is None
    assert unit_of(al.affine([o], [2.0], 1.0)) is None


def test_leaky_relu_with_its_usual_slope_is_an_activation():
    (h,) = Layer(1, 1, al.leaky_relu)([1.0])
    assert repr(unit_of(h)) == "layer/neuron 1"


def test_softmax_is_of_the_layer():
    model = MLP(2, [3, 2], output=al.softmax)
    p, _ = model([1.0, 2.0])
    assert repr(p.scope) == "output layer" and unit_of(p) is None


def test_layers_are_called_as_in_the_lecture():
    def names(model):
        return [layer.neurons[0].b.scope.parent.name for layer in model.layers]

    assert names(MLP(2, [1])) == ["output layer"]
    assert names(MLP(2, [3, 1])) == ["hidden layer", "output layer"]
    assert names(MLP(2, [3, 3, 1])) == ["hidden layer 1", "hidden layer 2", "output layer"]
    assert repr(Neuron(1).b.scope) == "neuron"


def test_a_copied_model_keeps_its_scopes():
    model = copy.deepcopy(MLP(2, [3, 1], al.tanh))
    units = {unit_of(p) for p in model.parameters()}
    assert len(units) == 4 and {unit.activation for unit in units} == {al.tanh, None}
    assert len({unit.parent for unit in units}) == 2
