"""Networks: a neuron, a layer of them, and the multi-layer perceptron of the lecture.

Names follow the lecture: `w[k,i]` is the weight from unit i to unit k, counted from 1, and `w[k,0]` is the bias of
unit k. In a 2-layer network the hidden layer's are `v[j,i]`; in a deeper one `w1[j,i]`, `w2[k,j]`, … tell the layers.
"""

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from random import Random
from reprlib import repr as short
from typing import Any

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.op import number, sequence

from .init import _units, generator, he, xavier

__all__ = ["MLP", "Layer", "Module", "Neuron"]

Activation = Callable[..., Any] | None  # a unary operation, softmax over a layer, or None for a linear unit
Initialisation = Callable[[int, int, Random], list[list[float]]]  # a function as in nn/init.py

_RELU_LIKE = (al.relu, al.leaky_relu, al.elu, al.selu, al.gelu, al.silu)


class Module:
    """Hold parameters: the base of everything that learns.

    A module of your own needs `named_parameters`; the rest follows from it.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope = Value(2.0)
    ...
    ...     def named_parameters(self):
    ...         return [("slope", self.slope)]
    >>> Line().state_dict()
    {'slope': 2.0}
    """

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return every parameter beside its name, always in the same order.

        >>> [name for name, _ in Layer(2, 1).named_parameters()]
        ['w[1,1]', 'w[1,2]', 'w[1,0]']
        """
        raise NotImplementedError(f"{type(self).__name__} must define named_parameters()")

    def parameters(self) -> list[Value]:
        """Return every parameter, in the order of `named_parameters`.

        >>> len(MLP(2, [16, 16, 1]).parameters())
        337
        """
        return [value for _, value in self.named_parameters()]

    def zero_grad(self) -> None:
        """Set every parameter's gradient to 0, as `backward` adds to what is there.

        >>> neuron = Neuron(2)
        >>> neuron([1, 2])[0].backward()
        >>> neuron.zero_grad()
        >>> neuron.w[0].grad
        0.0
        """
        for value in self.parameters():
            value.grad = 0.0

    def state_dict(self) -> dict[str, float]:
        """Return every parameter's number by its name.

        >>> Neuron(1, init=lambda n_in, n_out, rng: [[0.5]]).state_dict()
        {'w[1]': 0.5, 'w[0]': 0.0}
        """
        return {name: value.data for name, value in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Set every parameter from numbers by name, as `state_dict` gave them; a failed load changes nothing.

        Raises:
            TypeError: `state` is not a mapping, or something in it is not a number.
            ValueError: Names are missing or unknown.

        >>> neuron = Neuron(1)
        >>> neuron.load_state_dict({"w[1]": 2.0, "w[0]": -1.0})
        >>> neuron([3.0])[0].data
        5.0
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"a state is a dict of numbers by parameter name, got {short(state)}")
        parameters = dict(self.named_parameters())
        missing = [name for name in parameters if name not in state]
        unknown = [name for name in state if name not in parameters]
        if missing or unknown:
            raise ValueError(
                f"the state does not fit this {type(self).__name__}:"
                + (f" missing {_listed(missing)}" if missing else "")
                + ("," if missing and unknown else "")
                + (f" unknown {_listed(unknown)}" if unknown else "")
            )
        numbers = {name: number(state[name], f"parameter {name}") for name in parameters}
        for name, value in parameters.items():
            value.data = numbers[name]


class Unit(al.Scope):
    """Be the scope that the parameters of a neuron carry; `unit_of` tells what else belongs to it.

    Recording opens no scope for each neuron, which would cost time.

    Attributes:
        activation: That of the neuron.

    >>> Neuron(2, al.tanh).b.scope.activation
    <operation tanh(x)>
    """

    __slots__ = ("activation",)

    def __init__(self, name: str, parent: al.Scope | None, activation: Activation) -> None:
        super().__init__(name, parent)
        self.activation = activation


def unit_of(node: Value) -> Unit | None:
    """Return the neuron that a node belongs to: as a parameter, as the net input or as the activation of that.

    >>> unit_of(MLP(2, [3, 1], al.tanh)([1.0, 2.0])[0])
    output layer/neuron 1
    """
    if node.op is None:
        return node.scope if isinstance(node.scope, Unit) else None
    if node.op is al.affine:
        bias = node.operands[-1]
        return unit_of(bias) if isinstance(bias, Value) and bias.op is None else None
    if len(node.parents) != 1:
        return None
    net_input = node.parents[0]
    unit = unit_of(net_input) if net_input.op is al.affine else None
    return unit if unit is not None and node.op is unit.activation else None


class Neuron(Module):
    """Make one unit: f(w·x + b), its net input a single node of the graph.

    Args:
        n_inputs: How many numbers it takes.
        activation: f, an operation of one number such as `al.tanh`; None for a linear unit.
        init: Gives the initial weights, as the functions of `nn.init` do; by default `he` for relu-like
            activations and `xavier` for others. The bias starts at 0.
        seed: The same integer gives the same weights; None draws from the system's randomness. A `random.Random`
            is used as it is.

    Attributes:
        w: The weights, a list of Values.
        b: The bias, a Value.
        activation: As given.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: `n_inputs` is below 1, or `init` gives weights of another shape.

    >>> neuron = Neuron(3, al.tanh, seed=0)
    >>> neuron
    Neuron(3 inputs -> 1 tanh: 4 parameters)
    >>> [round(output.data, 4) for output in neuron([1.0, 2.0, 3.0])]
    [-0.9919]
    """

    def __init__(
        self,
        n_inputs: int,
        activation: Activation = None,
        *,
        init: Initialisation | None = None,
        seed: int | Random | None = None,
    ) -> None:
        _check_activation(activation)
        (row,) = _initial_weights(_units("n_inputs", n_inputs), 1, activation, init, _rng(seed))
        self.w = [Value(weight) for weight in row]
        self.b = Value(0.0)
        self.activation = activation
        _give_names(self)
        _give_scope(self, "neuron")

    def __call__(self, x: Iterable[Any]) -> list[Value]:
        """Return the output for numbers or Values, as a list of one.

        Raises:
            TypeError: `x` is not a sequence of numbers and Values.
            ValueError: It is not one number per input.
        """
        return [self._output(_inputs(x, len(self.w)))]

    def _output(self, x: tuple[Any, ...]) -> Value:
        net_input: Value = al.affine(self.w, x, self.b)
        return net_input if self.activation is None else self.activation(net_input)

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the weights `w[i]` and the bias `w[0]`."""
        return [*((f"w[{i}]", w) for i, w in enumerate(self.w, 1)), ("w[0]", self.b)]

    def __repr__(self) -> str:
        return f"Neuron({_counted(len(self.w), 'input')} -> 1 {_name(self.activation)}: {_size(self)})"


class Layer(Module):
    """Make a layer: neurons that all see the same inputs.

    Arguments and errors are as for `Neuron`; `n_outputs` is the number of neurons. The activation may also be
    `al.softmax`, which turns the net inputs of the whole layer into probabilities.

    Attributes:
        neurons: The list of them.
        n_inputs, activation: As given.

    >>> layer = Layer(2, 3, al.softmax, seed=0)
    >>> layer
    Layer(2 inputs -> 3 softmax: 9 parameters)
    >>> round(sum(output.data for output in layer([0.5, -1.0])), 12)
    1.0
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        activation: Activation = None,
        *,
        init: Initialisation | None = None,
        seed: int | Random | None = None,
    ) -> None:
        _check_activation(activation, or_softmax=True)
        self.n_inputs = _units("n_inputs", n_inputs)
        self.activation = activation
        rng = _rng(seed)
        rows = _initial_weights(self.n_inputs, _units("n_outputs", n_outputs), activation, init, rng)
        each = None if activation is al.softmax else activation
        self.neurons = [Neuron(self.n_inputs, each, init=lambda *_, row=row: [row], seed=rng) for row in rows]
        _give_names(self)
        self._scope = _give_scopes(self, "layer")

    def __call__(self, x: Iterable[Any]) -> list[Value]:
        """Return the output of every neuron for numbers or Values; errors as for a neuron."""
        inputs = _inputs(x, self.n_inputs)  # once, and the same tuple for every neuron
        outputs = [neuron._output(inputs) for neuron in self.neurons]
        if self.activation is al.softmax:
            with al.scope(self._scope):
                outputs = al.softmax(outputs)
        return outputs

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the weights `w[k,i]` and the bias `w[k,0]` of each neuron k."""
        return _layer_parameters("w", self)

    def __repr__(self) -> str:
        return f"Layer({_counted(self.n_inputs, 'input')} -> {_units_of(self)}: {_size(self)})"


class MLP(Module):
    """Make a multi-layer perceptron: layers in a row, each fed by the one before.

    A network of N layers has N-1 hidden layers and an output layer; the inputs are not counted.

    Args:
        n_inputs: How many numbers it takes.
        sizes: How many units each layer has, the output layer last.
        activation: Of the hidden units, an operation of one number; None for linear ones.
        output: Of the output units, likewise, or `al.softmax`; linear by default, as the losses of `nn` want it.
        init: As for `Neuron`; by default each layer by its own activation.
        seed: As for `Neuron`.

    Attributes:
        layers: The list of layers; those of the lecture's h and o.
        n_inputs, activation, output: As given.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: A number of units is below 1, there is no layer, or `init` gives weights of another shape.

    >>> model = MLP(2, [16, 16, 1], activation=al.relu, seed=0)
    >>> model
    MLP(2 inputs -> 16 relu -> 16 relu -> 1 linear: a 3-layer network, 337 parameters)
    >>> len(model([1.0, -2.0]))
    1
    >>> model.layers[0].neurons[4].w[1].name
    'w1[5,2]'
    """

    def __init__(
        self,
        n_inputs: int,
        sizes: Iterable[int],
        activation: Activation = al.relu,
        output: Activation = None,
        init: Initialisation | None = None,
        seed: int | Random | None = None,
    ) -> None:
        if isinstance(sizes, (str, bytes, Integral)) or not isinstance(sizes, Iterable):
            raise TypeError(f"sizes must be a list of numbers of units, such as [16, 1], got {short(sizes)}")
        units = [_units("n_inputs", n_inputs), *(_units("each of sizes", size) for size in sizes)]
        if len(units) == 1:
            raise ValueError("sizes is empty; give at least the number of output units, such as [1]")
        _check_activation(activation)
        _check_activation(output, or_softmax=True)
        self.n_inputs = units[0]
        self.activation = activation
        self.output = output
        rng = _rng(seed)
        activations = [activation] * (len(units) - 2) + [output]
        self.layers = [
            Layer(n_in, n_out, f, init=init, seed=rng)
            for n_in, n_out, f in zip(units[:-1], units[1:], activations, strict=True)
        ]
        _give_names(self)
        for layer, name in zip(self.layers, _layer_scopes(len(self.layers)), strict=True):
            layer._scope = _give_scopes(layer, name)

    def __call__(self, x: Iterable[Any]) -> list[Value]:
        """Return the outputs for numbers or Values, one Value per output unit; errors as for a neuron."""
        outputs = self.layers[0](x)
        for layer in self.layers[1:]:
            outputs = layer(outputs)
        return outputs

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Return the weights and biases of each layer, in order, under the lecture's names."""
        count = len(self.layers)
        letters = {1: ["w"], 2: ["v", "w"]}.get(count) or [f"w{n}" for n in range(1, count + 1)]
        layers = zip(letters, self.layers, strict=True)
        return [pair for letter, layer in layers for pair in _layer_parameters(letter, layer)]

    def __repr__(self) -> str:
        units = [_counted(self.n_inputs, "input"), *map(_units_of, self.layers)]
        return f"MLP({' -> '.join(units)}: a {len(self.layers)}-layer network, {_size(self)})"


def _inputs(x: Iterable[Any], wanted: int) -> tuple[Any, ...]:
    """Return the inputs of a layer as a tuple of floats and Values."""
    inputs = sequence(x, "a network")
    if len(inputs) != wanted:
        raise ValueError(f"want {_counted(wanted, 'input')}, got {len(inputs)}; give one number per input")
    if {*map(type, inputs)} <= {float, Value}:
        return inputs
    return tuple(x if isinstance(x, Value) else number(x, "an input") for x in inputs)


def _rng(seed: int | Random | None) -> Random:
    return Random() if seed is None else generator(seed)


def _initial_weights(
    n_in: int, n_out: int, activation: Activation, init: Initialisation | None, rng: Random
) -> list[list[float]]:
    if init is None:
        init = he if activation in _RELU_LIKE else xavier
    if not callable(init):
        raise TypeError(f"init must be a function such as nn.init.he, got {short(init)}")
    rows = init(n_in, n_out, rng)
    try:
        lengths = [len(row) for row in rows]
    except TypeError:
        lengths = []
    if lengths != [n_in] * n_out:
        raise ValueError(f"init must give a list of {n_out} rows of {n_in} weights each, got {short(rows)}")
    return rows


def _check_activation(activation: Activation, or_softmax: bool = False) -> None:
    if activation is None or (or_softmax and activation is al.softmax):
        return
    if activation is al.softmax:
        raise TypeError("softmax is for a whole layer, not for one unit; for the output layer give output=al.softmax")
    if not isinstance(activation, al.Op) or activation.many or not _takes_one_operand(activation):
        raise TypeError(
            "an activation must be an operation of one number, such as al.tanh, or None for linear units, "
            f"got {short(activation)}"
        )


def _takes_one_operand(op: al.Op) -> bool:
    if op.arity == 1:
        return True
    try:
        op(0.5)  # leaky_relu and its like have defaults for the others
    except TypeError:
        return False
    return True


def _give_names(module: Module) -> None:
    for name, value in module.named_parameters():
        value.name = name


def _give_scope(neuron: Neuron, name: str, parent: al.Scope | None = None) -> None:
    unit = Unit(name, parent, neuron.activation)
    for value in neuron.parameters():
        value.scope = unit


def _give_scopes(layer: Layer, name: str) -> al.Scope:
    scope = al.Scope(name)
    for k, neuron in enumerate(layer.neurons, 1):
        _give_scope(neuron, f"neuron {k}", scope)
    return scope


def _layer_scopes(count: int) -> list[str]:
    """Return what the lecture calls the layers of a network of so many."""
    hidden = ["hidden layer"] if count == 2 else [f"hidden layer {n}" for n in range(1, count)]
    return [*hidden, "output layer"]


def _layer_parameters(letter: str, layer: Layer) -> list[tuple[str, Value]]:
    return [
        (f"{letter}[{k},{i}]", value)
        for k, neuron in enumerate(layer.neurons, 1)
        for i, value in [*enumerate(neuron.w, 1), (0, neuron.b)]
    ]


def _name(activation: Activation) -> str:
    if activation is None:
        return "linear"
    return activation.name if isinstance(activation, al.Op) else "softmax"


def _units_of(layer: Layer) -> str:
    return f"{len(layer.neurons)} {_name(layer.activation)}"


def _size(module: Module) -> str:
    return _counted(len(module.parameters()), "parameter")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


def _listed(names: list[str]) -> str:
    """Join names for a message, at most five of them."""
    return ", ".join([*map(short, names[:5])] + ["…"] * (len(names) > 5))
