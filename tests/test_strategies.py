"""The strategies draw what they promise: inside domains, clear of kinks or on them, shared, printable, minimal."""

import builtins
import math
import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Unsatisfiable

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.checking import gradcheck
from autograd_lite.strategies import Expression, Graph, Step, datasets, expressions, graphs, mlps, points, values
from tests.reference import flat, like

ROWS = list(al.TABLE.values())
WITH_KINKS = [op for op in ROWS if op.kinks is not None]


def drawn(strategy: st.SearchStrategy, count: int = 100) -> list:
    """Return examples of a strategy, the same on every run; none of them may fail a health check."""
    found = []

    @settings(max_examples=count, phases=[Phase.generate], database=None)
    @given(strategy)
    def draw(example):
        found.append(example)

    draw()
    return found


def recorded(op: al.Op, point: tuple) -> Value:
    """Record an operation on Values, constants aside."""
    leaf = [x if d.constant else tuple(map(Value, x)) if d.many else Value(x) for x, d in zip(point, op.domain)]  # noqa: B905
    return op(*leaf)


def results_of(step: Step) -> list[int]:
    return [x for x in flat(step.operands) if isinstance(x, int)]


def is_shared(e: Expression) -> bool:
    return max(Counter(x for step in e.steps for x in results_of(step)).values(), default=0) > 1


def run_source(e: Expression) -> float:
    """Run the source of a program, which may import the engine and nothing else; return the result it ends with."""

    def import_the_engine(name: str, *_: object) -> object:
        assert name == "autograd_lite"
        return al

    *lines, call = repr(e).splitlines()
    namespace: dict = {"__builtins__": {"__import__": import_the_engine}}
    exec("\n".join([*lines, f"result = {call}"]), namespace)
    return namespace["result"]


def same(x: float, y: float) -> bool:
    return x.hex() == y.hex()


# ---- numbers ------------------------------------------------------------------------------------------------------


@given(st.data(), st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_values_are_leaves_between_the_bounds(data, a, b):
    low, high = sorted([a, b])
    x = data.draw(values(low, high))
    assert low <= x.data <= high and x.op is None and x.grad == 0.0
    assert data.draw(values(min_value=low)).data >= low
    assert data.draw(values(max_value=high)).data <= high


def test_values_are_mostly_ordinary_and_sometimes_hard():
    sizes = [abs(x.data) for x in drawn(values(), 300)]
    ordinary = sum(0.1 <= size <= 3.0 for size in sizes)
    assert 150 < ordinary < 290
    assert min(sizes) < 1e-3 and max(sizes) > 30.0
    assert all(map(math.isfinite, sizes))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: values("1"), TypeError, "min_value must be a real number"),
        (lambda: values(3, 2), ValueError, "no number from min_value=3 to max_value=2"),
        (lambda: values(math.nan), ValueError, "no number from min_value=nan"),
        (lambda: values(math.inf), ValueError, "no number from min_value=inf"),
        (lambda: points(3), TypeError, "for an operation or a function, not 3"),
        (lambda: points(al.exp, kinks=True), ValueError, "exp has no kinks"),
        (lambda: points(al.log, max_value=-1), ValueError, "to max_value=-1 is in the domain of <operation log"),
        (lambda: points(lambda *xs: xs[0]), TypeError, "how many operands"),
        (lambda: points(math.hypot), TypeError, "how many operands"),
        (lambda: points(al.exp, max_value="1"), TypeError, "max_value must be a real number"),
        (lambda: expressions([al.softmax]), TypeError, "an operation such as al.exp is wanted"),
        (lambda: expressions(al.exp), TypeError, "give a list of operations"),
        (lambda: expressions([]), ValueError, "the list of operations is empty"),
        (lambda: expressions(max_nodes=0), ValueError, "max_nodes must be at least 1, not 0"),
        (lambda: graphs(max_nodes=1.5), TypeError, "max_nodes must be an integer, not 1.5"),
        (lambda: mlps([al.dot]), TypeError, "an activation is an operation on one number"),
        (lambda: mlps(max_units=0), ValueError, "max_units must be at least 1"),
        (lambda: datasets(max_rows=0), ValueError, "max_rows must be at least 1"),
        (lambda: datasets(classes=-1), ValueError, "classes must be at least 1"),
    ],
)
def test_bad_arguments_are_told_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_without_hypothesis_the_extra_is_named():
    program = "import sys; sys.modules['hypothesis'] = None; import autograd_lite; import autograd_lite.strategies"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last == "ImportError: autograd_lite.strategies needs hypothesis: pip install 'autograd_lite[test]'"


def test_the_engine_does_not_import_it():
    program = "import sys, autograd_lite; print('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


# ---- points -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_points_are_in_the_domain_and_clear_of_kinks(op):
    found = drawn(points(op), 25)
    assert len(set(found)) > 7
    for point in found:
        z = recorded(op, point)
        assert z.data == op(*point)
        assert all(map(math.isfinite, (z.data, *z.partials)))
        for x, d in zip(point, op.domain, strict=True):
            assert d.constant or all(d.low < v < d.high for v in (x if d.many else (x,)))
        assert op.kinks is None or all(abs(distance) > 0.0 for distance in op.kinks(*point))


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_no_kink_is_met_on_the_way_to_points_nearby(op):
    if op.kinks is None:
        pytest.skip("it has none")
    for point in drawn(points(op), 25):
        numbers = flat(point)
        places = [i for i, d in enumerate(d for x, d in zip(point, op.domain) for _ in flat((x,))) if not d.constant]  # noqa: B905
        for i in places:
            by = 0.04 * min(abs(numbers[i]), 1.0)
            for moved in (numbers[i] - by, numbers[i] + by):
                there = op.kinks(*like(point, [*numbers[:i], moved, *numbers[i + 1 :]]))
                for before, after in zip(op.kinks(*point), there, strict=True):
                    assert (before > 0) == (after > 0) or abs(before - after) > 0.9  # half way between whole numbers


@pytest.mark.parametrize("op", WITH_KINKS, ids=lambda op: op.name)
def test_points_on_kinks_are_on_them(op):
    found = drawn(points(op, kinks=True), 20)
    assert all(min(abs(distance) for distance in op.kinks(*point)) <= 1e-12 for point in found)


def test_points_of_a_function_are_clear_of_every_kink_in_it():
    def f(x, y):
        return al.relu(3 * x - 6) * al.log(y)

    for x, y in drawn(points(f)):
        assert abs(3 * x - 6) > 0.1 * min(abs(x), 1.0) and y > 0.0
    for x, _ in drawn(points(f, kinks=True), 20):
        assert x == 2.0


def test_points_of_a_function_keep_to_the_bounds():
    for (x,) in drawn(points(lambda x: x * x, min_value=1.5, max_value=1.75)):
        assert 1.5 <= x <= 1.75


def test_points_of_a_function_that_refuses_values_are_where_it_is_finite():
    for (x,) in drawn(points(math.acosh)):
        assert x > 1.0
    for x, y in drawn(points(lambda x, y: math.log(x) / (y - 1.0))):
        assert x > 0.0 and y != 1.0


def test_errors_of_a_function_are_its_own():
    with pytest.raises(AttributeError, match="no attribute 'foo'"):
        drawn(points(lambda x: x.foo()))
    with pytest.raises(TypeError, match="what the function gives must be a real number"):
        drawn(points(lambda x: [x]))


def test_what_has_no_point_is_unsatisfiable():
    with pytest.raises((Unsatisfiable, FailedHealthCheck)):
        drawn(points(lambda x: al.log(-al.square(x))))


def test_differences_can_tell_at_a_point():
    """The slope of points is never lost: neither at an extremum, nor behind a large number."""
    with pytest.raises((Unsatisfiable, FailedHealthCheck)):
        drawn(points(lambda x: 1e9 + x))
    with pytest.raises((Unsatisfiable, FailedHealthCheck)):
        drawn(points(lambda x: (x + 1.0) - x))
    assert all(x != 0.0 for (x,) in drawn(points(al.square), 300))
    assert any(x == 0.0 for (x,) in drawn(points(al.sin), 300))


def test_points_of_an_operation_of_ones_own():
    cap = al.Op(
        "cap", "cap", lambda x: min(x, 7.0), lambda z, x: (1.0 if x < 7.0 else 0.0,), kinks=lambda x: (x - 7.0,)
    )
    assert all(x != 7.0 for (x,) in drawn(points(cap)))
    assert all(point == (7.0,) for point in drawn(points(cap, kinks=True), 20))


@pytest.mark.parametrize("op", [al.log, al.acosh, al.maximum, al.power, al.affine, al.share], ids=lambda op: op.name)
def test_points_shrink_to_simple_numbers(op):
    least = find(points(op), lambda point: True, settings=settings(database=None))
    assert set(flat(least)) <= {0.5, 1.0, 2.0} and len(flat(least)) <= 3


# ---- programs -----------------------------------------------------------------------------------------------------


@given(expressions(max_nodes=30))
def test_programs_are_well_posed_on_floats_and_on_values(e):
    xs = [Value(x) for x in e.point]
    y = e(*xs)
    assert same(y.data, e(*e.point))
    nodes = al.topological_order(y)
    assert len(nodes) == len(e.point) + len(e.steps) <= 30 and set(xs) <= set(nodes)
    for node in nodes:
        assert all(map(math.isfinite, (node.data, *node.partials)))
        if node.op is not None and node.op.kinks is not None:
            numbers = like(node.operands, [getattr(x, "data", x) for x in flat(node.operands)])
            assert all(distance != 0.0 for distance in node.op.kinks(*numbers))


@given(expressions(max_nodes=30) | mlps())
def test_the_source_of_a_program_runs_to_the_same_bits(e):
    assert same(run_source(e), e(*e.point))


@given(expressions())
def test_gradients_of_programs_are_right(e):
    assert gradcheck(e, *e.point)


def test_results_are_mostly_shared_and_never_in_a_tree():
    programs = [e for e in drawn(expressions(max_nodes=30)) if len(e.steps) > 2]
    assert len(programs) > 60
    assert sum(map(is_shared, programs)) > 0.8 * len(programs)
    trees = [e for e in drawn(expressions(max_nodes=30, shared=False)) if len(e.steps) > 2]
    assert len(trees) > 60 and not any(map(is_shared, trees))


def test_squares_and_diamonds_are_drawn():
    programs = drawn(expressions())
    assert any(step.op is al.mul and step.operands[0] == step.operands[1] for e in programs for step in e.steps)

    def is_diamond(e: Expression) -> bool:
        users: dict[int, list[Step]] = {}
        for step in e.steps:
            for x in set(results_of(step)):
                users.setdefault(x, []).append(step)
        return any(len(steps) > 1 for steps in users.values())

    assert sum(map(is_diamond, programs)) > 40


def test_programs_are_as_large_as_asked():
    sizes = [len(e.point) + len(e.steps) for e in drawn(expressions(max_nodes=60), 50)]
    assert max(sizes) > 35 and sorted(sizes)[25] > 10


def test_every_row_is_reached():
    for op in ROWS:
        assert any(e.steps for e in drawn(expressions([op], max_nodes=4), 15)), op
    reached = {step.op.name for e in drawn(expressions(max_nodes=60), 200) for step in e.steps}
    assert len(reached) > 0.85 * len(ROWS), sorted(set(al.TABLE) - reached)


def test_programs_are_made_of_the_operations_given():
    cube = al.Op("cube", "x³", lambda x: x * x * x, lambda z, x: (3 * al.square(x),))
    used = {step.op for e in drawn(expressions([cube, al.sin, al.dot])) for step in e.steps}
    assert used == {cube, al.sin, al.dot}
    found = find(expressions([cube]), lambda e: bool(e.steps))
    assert "    return cube(x1)" in repr(found).splitlines()  # a name of the user's, not one of al


@pytest.mark.parametrize(
    ("condition", "body"),
    [
        (lambda e: True, ["return x1"]),
        (lambda e: any(step.op is al.tanh for step in e.steps), ["return al.tanh(x1)"]),
        (lambda e: any(step.op is al.mul and is_shared(e) for step in e.steps), ["return x1 * x1"]),
        (lambda e: len(e.point) == 2, ["return x2 + x1"]),
        (lambda e: any(step.op is al.logsumexp for step in e.steps), ["return al.logsumexp([x1])"]),
    ],
)
def test_programs_shrink_to_the_least(condition, body):
    least = find(expressions(), condition, settings=settings(max_examples=500, database=None), random=Random(0))
    assert [line.strip() for line in repr(least).splitlines()[2:-1]] == body
    assert set(map(abs, least.point)) == {1.0}


def test_a_wrong_rule_shrinks_to_one_call_of_it():
    wrong = al.Op("sinh", "sinh", al.sinh.value, lambda z, x: ((1.0 + 1e-6) * al.cosh(x),))
    programs = expressions([wrong, al.mul, al.add, al.exp, al.sum], max_nodes=8)
    least = find(programs, lambda e: not gradcheck(e, *e.point), settings=settings(database=None), random=Random(0))
    assert [step.op for step in least.steps] == [wrong]


def test_a_program_says_how_many_numbers_it_takes():
    e = Expression(("x", "y"), (1.0, 2.0), (Step(al.mul, (0, 1)),))
    with pytest.raises(TypeError, match=r"takes 2 numbers \(x, y\), got 1"):
        e(1.0)


def test_programs_are_the_same_on_every_run():
    assert list(map(repr, drawn(expressions(), 30))) == list(map(repr, drawn(expressions(), 30)))


# ---- graphs, networks, data -----------------------------------------------------------------------------------------


@given(graphs())
def test_graphs_are_recorded_programs(graph):
    y, leaves = graph
    assert isinstance(graph, Graph) and repr(graph) == repr(graph.expression)
    assert {node for node in al.topological_order(y) if node.op is None} == set(leaves)
    assert tuple(x.name for x in leaves) == graph.expression.names
    assert same(y.data, run_source(graph.expression))


@given(graphs())
def test_graphs_are_recorded_even_within_no_grad(graph):
    with al.no_grad():
        y, leaves = Graph.of(graph.expression)
    assert y is leaves[-1] or y.op is not None


@given(mlps([al.tanh, al.relu], max_layers=2))
def test_networks_are_layers_of_affine_and_activation(network):
    ops = [step.op for step in network.steps]
    assert ops[-1] is al.affine and set(ops[1::2]) <= {al.tanh, al.relu}
    assert ops[:-1:2] == [al.affine] * (len(ops) // 2)
    assert gradcheck(network, *network.point)


def test_networks_have_up_to_as_many_layers_as_asked():
    deepest = {max(int(name[1]) for name in e.names if name[0] == "w") for e in drawn(mlps(max_layers=3))}
    assert deepest == {1, 2, 3}


def test_the_names_in_a_network_are_those_of_the_lecture():
    net = find(mlps([al.relu], max_layers=2), lambda e: "w2_12" in e.names and "w1_22" in e.names)
    assert net.names == ("x1", "x2", "w1_11", "w1_12", "b1_1", "w1_21", "w1_22", "b1_2", "w2_11", "w2_12", "b2_1")


@given(datasets() | datasets(max_rows=3, max_features=1, classes=2))
def test_data_are_rows_of_one_width_with_a_target_each(data):
    X, y = data
    assert 1 <= len(X) == len(y) <= 8
    assert len({len(row) for row in X}) == 1
    assert all(math.isfinite(x) for row in X for x in row)
    assert all(isinstance(t, float) for t in y) or set(y) <= {0, 1}


def test_the_names_in_a_program_hide_no_builtin():
    assert not {name for e in drawn(mlps(), 50) for name in e.names} & set(dir(builtins))
