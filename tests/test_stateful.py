"""Any sequence of recording, sweeps, changes, copies, modes and deletions, against a model in exact fractions.

The model is plain data: what every node must hold. It knows the partials of a few operations by heart, sums over the
graph as the definition says, and shares nothing with the engine. Numbers are small dyadic fractions, so that floats
are exact and everything is compared with ==.
"""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import autograd_lite as al
from autograd_lite import Value

LARGEST = 64  # of a result
LARGEST_ADJOINT = 2**30  # that floats are sure to add exactly
HALF = Fraction(1, 2)

# For each operation, by x and y: how it is recorded; and its value, and its parents (0 is x, 1 is y) with partials.
OPERATIONS: dict[str, tuple[Callable[[Value, Value], Value], Callable[[Fraction, Fraction], tuple[Any, list[Any]]]]] = {
    "x + y": (lambda x, y: x + y, lambda x, y: (x + y, [(0, 1), (1, 1)])),
    "x - y": (lambda x, y: x - y, lambda x, y: (x - y, [(0, 1), (1, -1)])),
    "x * y": (lambda x, y: x * y, lambda x, y: (x * y, [(0, y), (1, x)])),
    "x * x": (lambda x, y: x * x, lambda x, y: (x * x, [(0, x), (0, x)])),
    "-x": (lambda x, y: -x, lambda x, y: (-x, [(0, -1)])),
    "+x": (lambda x, y: +x, lambda x, y: (x, [(0, 1)])),
    "x + 2": (lambda x, y: x + 2, lambda x, y: (x + 2, [(0, 1)])),
    "3 - x": (lambda x, y: 3 - x, lambda x, y: (3 - x, [(0, -1)])),
    "0 * x": (lambda x, y: 0 * x, lambda x, y: (Fraction(0), [(0, 0)])),
    "x / 2": (lambda x, y: x / 2, lambda x, y: (x / 2, [(0, HALF)])),
    "x ** 2": (lambda x, y: x**2, lambda x, y: (x * x, [(0, 2 * x)])),
    "x.square()": (lambda x, y: x.square(), lambda x, y: (x * x, [(0, 2 * x)])),
    "x.relu()": (lambda x, y: x.relu(), lambda x, y: (max(x, Fraction(0)), [(0, int(x > 0))])),
    "abs(x)": (lambda x, y: abs(x), lambda x, y: (abs(x), [(0, (x > 0) - (x < 0))])),
    "maximum(x, y)": (
        lambda x, y: al.maximum(x, y),
        lambda x, y: (max(x, y), [(0, HALF if x == y else int(x > y)), (1, HALF if x == y else int(y > x))]),
    ),
    "where(x, 1, y)": (
        lambda x, y: al.where(x.data, 1, y),
        lambda x, y: (Fraction(1) if x else y, [(1, int(x == 0))]),
    ),
    "clamp(x, y, 2)": (
        lambda x, y: al.clamp(x, y, 2),
        lambda x, y: (min(max(x, y), Fraction(2)), [(0, int(y <= x <= 2)), (1, int(x < y <= 2))]),
    ),
    "sum([x, y, x, 1])": (lambda x, y: al.sum([x, y, x, 1]), lambda x, y: (2 * x + y + 1, [(0, 1), (1, 1), (0, 1)])),
    "prod([x, y])": (lambda x, y: al.prod([x, y]), lambda x, y: (x * y, [(0, y), (1, x)])),
    "affine([x, y], [1, 2], x)": (
        lambda x, y: al.affine([x, y], (1.0, 2.0), x),
        lambda x, y: (2 * x + 2 * y, [(0, 1), (1, 2), (0, 1)]),
    ),
    "affine([x], [y], y)": (
        lambda x, y: al.affine([x], [y], y),
        lambda x, y: (x * y + y, [(0, y), (1, x), (1, 1)]),
    ),
}


@dataclass(eq=False)
class Node:
    """What a Value must hold; it does not keep it alive."""

    data: Fraction
    name: str | None
    scope: tuple[str, ...]
    parents: tuple["Node", ...] = ()
    partials: tuple[Fraction, ...] = ()
    is_leaf: bool = True
    grad: Fraction = Fraction(0)
    value: Callable[[], Value | None] = field(default=lambda: None)


def order(node: Node) -> list[Node]:
    """Return the nodes below one, itself last, operands first."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node not in found:
            for parent in node.parents:
                visit(parent)
            found[node] = None

    visit(node)
    return list(found)


def adjoints(y: Node, seed: Fraction) -> dict[Node, Fraction]:
    """Return ∂y/∂node · seed for every node, by adding over its users."""
    found: dict[Node, Fraction] = {}
    nodes = order(y)
    for node in reversed(nodes):
        found[node] = seed if node is y else Fraction(0)
        for user in nodes[nodes.index(node) + 1 :]:
            edges = zip(user.parents, user.partials, strict=True)
            found[node] += sum(partial * found[user] for parent, partial in edges if parent is node)
    return found


which = st.integers(0, 40)  # one of the values that are held, round and round
numbers = st.sampled_from([Fraction(n, 2) for n in (2, 4, -2, 0, 1, -3, 6)])


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Value, Node]] = []
        self.nodes: list[Node] = []
        self.modes: list[tuple[Any, bool, tuple[str, ...]]] = []  # what was entered, and what to go back to
        self.recording, self.scope = True, ()
        gc.disable()  # reference counts must do

    def teardown(self) -> None:
        while self.modes:
            self.leave_the_innermost_block(False)
        gc.enable()

    def hold(self, value: Value, node: Node) -> None:
        node.value = weakref.ref(value)
        self.held.append((value, node))
        self.nodes.append(node)

    def pick(self, which: int) -> tuple[Value, Node]:
        return self.held[-1 - which % len(self.held)]

    # ---- making

    @initialize()
    def begin(self):
        self.make_a_leaf(Fraction(1), "x")

    @rule(data=numbers, name=st.sampled_from([None, "x", "w"]))
    def make_a_leaf(self, data, name):
        self.hold(Value(data, name), Node(data, name, self.scope))

    @rule(operation=st.sampled_from(list(OPERATIONS)), x=which, y=which)
    def record(self, operation, x, y):
        on_values, on_fractions = OPERATIONS[operation]
        (x, x_node), (y, y_node) = self.pick(x), self.pick(y)
        data, edges = on_fractions(x_node.data, y_node.data)
        if abs(data) > LARGEST or data.denominator > 64:
            return
        node = Node(data, None, self.scope)
        if self.recording:
            node.is_leaf = False
            node.parents = tuple((x_node, y_node)[i] for i, _ in edges)
            node.partials = tuple(Fraction(d) for _, d in edges)
        self.hold(on_values(x, y), node)

    @rule(x=which)
    def stop_the_gradient(self, x):
        value, node = self.pick(x)
        self.hold(al.stop_gradient(value), Node(node.data, node.name, self.scope))

    @rule(x=which, how=st.sampled_from([copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]))
    def copy_or_refuse(self, x, how):
        value, node = self.pick(x)
        try:
            copied = how(value)
        except TypeError:
            assert not node.is_leaf
        else:
            assert node.is_leaf and copied is not value
            self.hold(copied, Node(node.data, node.name, node.scope, grad=node.grad))

    @rule(x=which, wrong=st.sampled_from(["1", None, 1j, [1.0]]))
    def refuse_a_wrong_operand(self, x, wrong):
        value, _ = self.pick(x)
        for attempt in (
            lambda: value * wrong,
            lambda: al.affine([value], [wrong], value),
            lambda: value.backward(wrong),
        ):
            try:
                attempt()
            except TypeError:
                continue
            raise AssertionError(f"{wrong!r} was taken")

    # ---- sweeping

    @rule(x=which, seed=st.sampled_from([1, 1, -2, HALF, 0]))
    def sweep_back(self, x, seed):
        value, node = self.pick(x)
        found = adjoints(node, Fraction(seed))
        if max(map(abs, found.values())) > LARGEST_ADJOINT:
            return
        value.backward() if seed == 1 else value.backward(float(seed))
        for each, adjoint in found.items():
            each.grad = each.grad + adjoint if each.is_leaf else adjoint

    @rule(y=which, x=which)
    def ask_for_gradients(self, y, x):
        (y, y_node), (x, x_node) = self.pick(y), self.pick(x)
        found = adjoints(y_node, Fraction(1))
        if max(map(abs, found.values())) <= LARGEST_ADJOINT:
            assert al.gradients(y, [x, y]) == [found.get(x_node, 0), 1]

    # ---- changing

    @rule(x=which, data=numbers)
    def change_the_data(self, x, data):
        value, node = self.pick(x)
        value.data = node.data = data

    @rule(x=which, grad=st.sampled_from([0, 0, 3]))
    def set_the_gradient(self, x, grad):
        value, node = self.pick(x)
        value.grad = float(grad)
        node.grad = Fraction(grad)

    @rule(x=which, name=st.sampled_from([None, "y"]))
    def change_the_name(self, x, name):
        value, node = self.pick(x)
        value.name = node.name = name

    # ---- modes

    def enter(self, block: Any, recording: bool, scope: tuple[str, ...]) -> None:
        self.modes.append((block, self.recording, self.scope))
        block.__enter__()
        self.recording, self.scope = recording, scope

    @precondition(lambda self: len(self.modes) < 4)
    @rule()
    def enter_no_grad(self):
        self.enter(al.no_grad(), False, self.scope)

    @precondition(lambda self: len(self.modes) < 4)
    @rule(name=st.sampled_from(["layer 1", "unit"]))
    def enter_a_scope(self, name):
        self.enter(al.scope(name), self.recording, (*self.scope, name))

    @precondition(lambda self: self.modes)
    @rule(raising=st.booleans())
    def leave_the_innermost_block(self, raising):
        block, self.recording, self.scope = self.modes.pop()
        error = KeyError("of the user")
        try:
            block.__exit__(*((KeyError, error, None) if raising else (None, None, None)))
        except KeyError as passed_on:
            assert raising and passed_on is error

    # ---- forgetting

    @precondition(lambda self: len(self.held) > 1)
    @rule(x=which)
    def let_go(self, x):
        del self.held[-1 - x % len(self.held)]

    # ---- what must hold after every step

    @invariant()
    def values_are_as_the_model_has_them(self):
        for node in self.needed():
            value = node.value()
            assert value is not None, "a node that is needed has died"
            assert value.data == node.data and type(value.data) is float
            assert value.grad == node.grad and type(value.grad) is float
            assert (value.op is None) == node.is_leaf
            assert [p.value() for p in node.parents] == list(value.parents)
            assert value.partials == node.partials
            assert value.name == node.name
            assert (tuple(part.name for part in value.scope.path) if value.scope else ()) == node.scope

    @invariant()
    def nodes_that_nobody_needs_are_gone(self):
        needed = self.needed()
        assert not [node for node in self.nodes if node not in needed and node.value() is not None]
        self.nodes = [node for node in self.nodes if node in needed]

    def needed(self) -> set[Node]:
        return {below for _, node in self.held for below in order(node)}


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
