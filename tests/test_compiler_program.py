"""From a function to its program: what tracing notes and refuses, and what the program becomes before it is run."""

import itertools
import json
import math
import re
from math import inf, nan

import pytest

import autograd_lite as al
from autograd_lite import Value, ops
from autograd_lite.compiler import TraceError
from autograd_lite.compiler.lowering import lowered
from autograd_lite.compiler.primitives import detach, log_of_sum, shifted_exp
from autograd_lite.compiler.program import Apply, Builder, Constant, Input, Program, Symbol
from autograd_lite.compiler.python_source import function_of, source_of
from autograd_lite.compiler.storage import Saved, saved_from, text_of
from autograd_lite.compiler.tracing import from_graph, trace, watched
from tests.test_ops import same

# ---- helpers --------------------------------------------------------------------------------------------------------


def program_of(f, *point) -> Program:
    traced = trace(f, list(point))
    return traced.build.program(traced.outputs)


def gradient_of(f, *point) -> Program:
    traced = trace(f, list(point))
    return traced.build.program(traced.build.gradient(traced.outputs[0], traced.inputs))


def count(program: Program, op: al.Op) -> int:
    return sum(type(each) is Apply and each.op is op for each in program.instructions)


def evaluated(f, point):
    """Return what the traced program gives, where f's own comparisons have been settled."""
    return function_of(program_of(f, *point))(point)


# ---- tracing --------------------------------------------------------------------------------------------------------


def test_a_comparison_becomes_a_guard_with_its_line():
    def f(v):
        if v[0] > v[1]:  # here
            return v[0]
        return v[1] if v[1] <= 3.0 else 3.0

    first = f.__code__.co_firstlineno
    guards = trace(f, [1.0, 2.0]).guards
    assert [(g.sign, g.outcome) for g in guards] == [(">", False), ("<=", True)]
    assert [g.where for g in guards] == [f"test_compiler_program.py:{first + k}" for k in (1, 3)]


@pytest.mark.parametrize(
    "f",
    [lambda v: max(v), lambda v: sorted(v)[-1], lambda v: min(v), lambda v: 3.0 - v[0] if v[0] < 3.0 else v[0]],
    ids=["max", "sorted", "min", "reflected"],
)
def test_comparisons_within_builtins_are_seen(f):
    traced = trace(f, [1.0, 2.0, 0.5])
    assert traced.guards
    assert all(guard.where.startswith("test_compiler_program.py:") for guard in traced.guards)


def test_a_comparison_of_constants_is_no_guard():
    def f(v):
        c = Value(2.0)
        return v[0] if c > 1.0 and Value(1.0) < c else -v[0]

    assert trace(f, [1.0]).guards == []


def test_the_same_comparison_again_is_one_guard():
    def f(v):
        total = v[0]
        for _ in range(10):
            total = total + (v[0] if v[0] > 0.0 else -v[0])
        return total

    assert len(trace(f, [1.0]).guards) == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.data,
        lambda x: float(x),
        lambda x: x.backward(),
        lambda x: al.gradients(x, [x]),
        lambda x: (x * 2.0 + 1.0).data,
        lambda x: al.stop_gradient(x).data,
    ],
    ids=["data", "float", "backward", "gradients", "of a result", "detached"],
)
def test_reading_a_traced_number_is_refused_with_the_line(read):
    def f(v):
        read(v[0] * v[0])
        return v[0]

    line = read.__code__.co_firstlineno
    with pytest.raises(TypeError) as caught:
        trace(f, [1.0])
    if isinstance(caught.value, TraceError):  # float() of a Value is refused always
        assert f"test_compiler_program.py:{line}" in str(caught.value)


def test_a_number_read_without_recording_is_refused_too():
    def f(v):
        with al.no_grad():
            half = v[0] * 0.5
        return v[0] * half.data

    with pytest.raises(TraceError, match=r"test_compiler_program\.py:\d+"):
        trace(f, [1.0])


def test_what_is_no_traced_number_may_be_read():
    w = Value(3.0)
    assert evaluated(lambda v: v[0] * w.data + Value(1.0).data, [2.0]) == [7.0]


def test_what_is_no_number_is_refused():
    with pytest.raises(TraceError, match="what a compiled function gives"):
        trace(lambda v: "text", [1.0])
    with pytest.raises(TraceError):
        trace(lambda v: None, [1.0])
    with pytest.raises(TraceError):
        trace(lambda v: [v[0], [v[0]]], [1.0])


def test_constants_are_what_a_function_may_give():
    assert evaluated(lambda v: 3, [1.0]) == [3.0]
    assert evaluated(lambda v: [v[0], 2.0, True], [1.0]) == [1.0, 2.0, 1.0]
    assert evaluated(lambda v: v, [1.0, 2.0]) == [1.0, 2.0]


def test_no_gradient_flows_through_stop_gradient():
    def f(v):
        return v[0] * al.stop_gradient(v[0] * v[1])

    assert function_of(program_of(f, 1.0, 1.0))([3.0, 5.0]) == [45.0]
    assert function_of(gradient_of(f, 1.0, 1.0))([3.0, 5.0]) == [15.0, 0.0]


def test_what_is_computed_without_recording_varies_but_has_no_gradient():
    def f(v):
        with al.no_grad():
            scale = al.exp(v[0]) + v[1]
        return v[0] * scale

    wanted = math.exp(2.0) + 5.0
    assert function_of(program_of(f, 1.0, 1.0))([2.0, 5.0]) == [2.0 * wanted]
    assert function_of(gradient_of(f, 1.0, 1.0))([2.0, 5.0]) == [wanted, 0.0]


def test_derivatives_within_are_part_of_the_program():
    def f(v):
        return al.grad(lambda x: x**3 * v[1])(v[0]) + al.derivative(al.exp, 2)(v[1])

    assert function_of(program_of(f, 1.0, 1.0))([2.0, 0.5]) == [pytest.approx(6.0 + math.exp(0.5), rel=1e-15)]
    gradient = function_of(gradient_of(f, 1.0, 1.0))([2.0, 0.5])
    assert gradient == pytest.approx([6.0, 12.0 + math.exp(0.5)], rel=1e-15)


def test_a_failed_trace_leaves_nothing_behind():
    with pytest.raises(ZeroDivisionError):
        trace(lambda v: 1 // 0, [1.0])
    assert Value(2.0).data == 2.0  # reading is free again
    x = Value(3.0)
    (x * x).backward()
    assert x.grad == 6.0


def test_names_are_kept_and_inputs_are_shared():
    x, w = Value(2.0, "x"), Value(3.0, "w")
    program = from_graph([x * w + x], [x, w])
    assert set(program.build.names.values()) == {"x", "w"}
    assert sum(type(each) is Input for each in program.build.instructions) == 2


def test_an_intermediate_result_may_be_the_input():
    x = Value(2.0)
    h = al.exp(x)
    traced = from_graph([h * h + x], [h])
    assert function_of(traced.build.program(traced.outputs))([3.0]) == [11.0]  # x is a constant now
    gradient = traced.build.program(traced.build.gradient(traced.outputs[0], traced.inputs))
    assert function_of(gradient)([3.0]) == [6.0]


def test_what_is_watched_may_be_used_twice():
    w = Value(2.0)
    traced = watched(lambda: [w * w, w], [w])
    assert function_of(traced.build.program(traced.outputs))([5.0]) == [25.0, 5.0]


# ---- building -------------------------------------------------------------------------------------------------------


def test_what_is_the_same_is_written_once():
    program = program_of(lambda v: al.exp(v[0] * v[1]) + al.exp(v[1] * v[0]) * al.exp(v[0] * v[1]), 1.0, 2.0)
    assert count(program, ops.exp) == 1
    assert count(program, ops.mul) == 2


def test_the_two_zeros_are_two_constants():
    build = Builder()
    assert build.constant(0.0) != build.constant(-0.0)
    assert build.constant(0.0) == build.constant(0.0)
    assert function_of(program_of(lambda v: [v[0] / 0.0, v[0] / -0.0], 1.0))([2.0]) == [inf, -inf]


def test_constants_are_folded_but_never_across_nan_or_infinity():
    build = Builder()
    two, none, infinite = build.constant(2.0), build.constant(nan), build.constant(inf)

    def folded(op, *operands):
        return type(build.instructions[build.apply(op, operands)]) is Constant

    assert folded(ops.exp, two) and folded(ops.add, two, two)
    assert not folded(ops.mul, two, none)
    assert not folded(ops.sub, infinite, infinite)
    assert not folded(ops.exp, build.constant(1000.0))  # finite, but its exp is not
    assert not folded(ops.log, build.constant(-1.0))
    assert not folded(ops.div, build.constant(0.0), build.constant(0.0))
    assert not folded(ops.exp, build.constant(-inf))


def test_nothing_is_left_out_that_could_make_a_difference():
    cases = [
        lambda v: v[0] * 0.0, lambda v: v[0] - v[0], lambda v: v[0] + 0.0, lambda v: v[0] - 0.0, lambda v: 0.0 + v[0],
        lambda v: v[0] / v[0], lambda v: v[0] * 1.0, lambda v: al.neg(al.neg(v[0])), lambda v: v[0] * -1.0,
        lambda v: v[0] / -1.0,
        lambda v: v[0] ** 2, lambda v: v[0] ** 3, lambda v: v[0] ** -1, lambda v: v[0] ** 1, lambda v: v[0] ** 0,
        lambda v: +v[0], lambda v: 0.0 - v[0], lambda v: v[0] * inf, lambda v: v[0] + nan,
    ]  # fmt: skip
    for f in cases:
        for x in (0.0, -0.0, 1.5, -2.0, inf, -inf, nan, 5e-324, 1e308):
            value = f([Value(x)])
            xs = [Value(x)]
            y = f(xs)
            y.backward()
            assert same(evaluated(f, [x])[0], value.data), (f, x)
            found = function_of(gradient_of(f, x))([x])[0]  # .grad, which begins at 0.0, is never -0.0
            assert same(found + 0.0, xs[0].grad), (f, x)


def test_dead_code_is_dropped():
    def f(v):
        al.exp(v[0])
        return v[0] + 1.0

    assert count(program_of(f, 1.0), ops.exp) == 0


def test_symbols_refuse_to_be_numbers_or_to_be_compared():
    build = Builder()
    x = Symbol(build, build.input(0))
    for use in (bool, float, int, lambda x: x < 1.0, lambda x: x >= x):
        with pytest.raises(TypeError, match="a rule that is compiled has no numbers"):
            use(x)
    with pytest.raises(TypeError, match="another trace"):
        x + Symbol(Builder(), 0)


def test_a_rule_of_ones_own_that_compares_is_called_as_it_is():
    op = al.Op("kink", "kink", lambda x: abs(x), lambda z, x: (1.0 if x > 0 else -1.0,))
    gradient = function_of(gradient_of(lambda v: 3.0 * op(v[0]), 1.0))
    assert gradient([2.0]) == [3.0] and gradient([-2.0]) == [-3.0]  # not frozen where it was traced


# ---- gradients ------------------------------------------------------------------------------------------------------


def test_gradients_are_program_and_can_be_differentiated_again():
    traced = trace(lambda v: al.tanh(v[0] * v[1]), [0.3, 0.7])
    build = traced.build
    first = build.gradient(traced.outputs[0], traced.inputs)
    second = [y for place in first for y in build.gradient(place, traced.inputs)]
    wanted = al.hessian(lambda v: al.tanh(v[0] * v[1]), [0.3, 0.7])
    assert function_of(build.program(second))([0.3, 0.7]) == pytest.approx([*wanted[0], *wanted[1]], rel=1e-13)


def test_the_gradient_by_what_does_not_matter_is_zero():
    assert function_of(gradient_of(lambda v: v[0] * 2.0, 1.0, 1.0))([3.0, 4.0]) == [2.0, 0.0]
    assert function_of(gradient_of(lambda v: 5.0, 1.0, 1.0))([3.0, 4.0]) == [0.0, 0.0]
    assert function_of(gradient_of(lambda v: v[1], 1.0, 1.0))([3.0, 4.0]) == [0.0, 1.0]


@pytest.mark.parametrize("op", [al.logsumexp, al.maxout, al.prod, al.sum, al.mean], ids=lambda op: op.name)
def test_gradients_of_long_sequences_grow_with_their_length_only(op):
    sizes = [len(gradient_of(lambda v: op(v), *[0.1 * k for k in range(n)]).instructions) for n in (100, 200)]
    if op is not al.prod:  # each of whose partials is a product of all the others
        assert sizes[1] < 2.1 * sizes[0]


def test_maxout_of_many_shares_its_gradient_among_the_first_ones():
    n = 40
    point = [1.0 if k in (3, 8) else 0.0 for k in range(n)]
    gradient = function_of(gradient_of(al.maxout, *point))(point)
    assert gradient == [0.5 if k in (3, 8) else 0.0 for k in range(n)]


# ---- lowering -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["w*x + rest", "rest + w*x", "bias first", "bias last"])
def test_a_chain_of_products_becomes_a_dot(order):
    def f(v):
        total = v[8] if order == "bias first" else 0.0
        for w, x in zip(v[:4], v[4:8], strict=True):
            total = w * x + total if order == "w*x + rest" else total + w * x
        return total + v[8] if order == "bias last" else total

    point = [0.5, -1.0, 2.0, 3.0, 1.5, 0.25, -0.75, 4.0, 10.0]
    program = program_of(f, *point)
    low = lowered(program)
    assert count(low, ops.affine) == 1 and count(low, ops.mul) == 0
    assert function_of(low)(point) == pytest.approx(function_of(program)(point), rel=1e-15)


def test_short_chains_and_shared_products_stay_as_they_are():
    low = lowered(program_of(lambda v: v[0] * v[1] + v[2] * v[3], 1.0, 2.0, 3.0, 4.0))
    assert count(low, ops.affine) == 0

    def shared(v):
        products = [v[k] * v[k + 1] for k in range(5)]
        total = products[0]
        for product in products[1:]:
            total = total + product
        return [total, *products]

    point = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    low = lowered(program_of(shared, *point))
    assert count(low, ops.affine) == 0
    assert function_of(low)(point) == [70.0, 2.0, 6.0, 12.0, 20.0, 30.0]


def test_two_products_with_weights_are_a_dot():
    program = program_of(lambda v: v[0] * v[2] + v[1] * v[3], 1.0, 2.0, 3.0, 4.0)
    assert count(lowered(program, 2), ops.affine) == 1


def test_sums_with_many_other_terms_between_are_kept_whole():
    def f(v):
        total = v[0]
        for k in range(1, 12):
            total = total + (v[k] * v[k - 1] if k % 3 else al.sin(v[k]))
        return total

    point = [0.1 * k - 0.4 for k in range(12)]
    program = program_of(f, *point)
    assert function_of(lowered(program))(point) == pytest.approx(function_of(program)(point), rel=1e-14)


def test_one_sum_of_exponentials_serves_logsumexp_and_its_shares():
    def f(v):
        shares = ops.softmax(v)
        return [al.logsumexp(v), *shares]

    point = [0.3, -1.0, 2.0, 0.5]
    program = program_of(f, *point)
    low = lowered(program)
    assert count(low, ops.logsumexp) == count(low, ops.share) == 0
    assert (count(low, ops.maxout), count(low, shifted_exp), count(low, log_of_sum)) == (1, 4, 1)
    assert function_of(low)(point) == pytest.approx(function_of(program)(point), rel=1e-15)


@pytest.mark.parametrize("special", [0.0, 1e308, -1e308, inf, -inf, nan, -745.0])
def test_what_is_lowered_is_the_same_at_the_edges(special):
    def f(v):
        return [al.logsumexp(v), *ops.softmax(v), al.maxout(v), *ops.leads(tuple(v))]

    for others in itertools.product((0.0, special, 1.0), repeat=2):
        point = [special, *others]
        program = program_of(f, *point)
        wanted, found = function_of(program)(point), function_of(lowered(program))(point)
        for a, b in zip(wanted, found, strict=True):
            assert same(a, b) or a == pytest.approx(b, rel=1e-14, abs=1e-320), (point, wanted, found)


def test_detach_leaves_no_trace_once_lowered():
    assert count(lowered(program_of(lambda v: al.stop_gradient(v[0]) * v[0], 1.0)), detach) == 0


# ---- storage --------------------------------------------------------------------------------------------------------


def stored(f, *point) -> str:
    return text_of(Saved("f", len(point), "retrace", [trace(f, list(point))]))


def branching(v):
    y = al.logsumexp([v[0], v[1], al.stop_gradient(v[0])]) if v[0] > v[1] else v[0]
    return [y * 0.1, al.affine([v[0], 1e-320], [v[1], 2.0], -0.0), inf * v[0]]


def test_what_was_saved_is_what_is_read():
    text = stored(branching, 2.0, 1.0)
    (again,) = saved_from(text).traces
    original = trace(branching, [2.0, 1.0])
    assert [(g.sign, g.outcome, g.where) for g in again.guards] == [
        (g.sign, g.outcome, g.where) for g in original.guards
    ]
    assert again.gives_list and again.point == [2.0, 1.0]
    for point in ([3.0, 0.5], [2.0, -1e300], [0.1, -0.0]):
        found = function_of(again.build.program(again.outputs))(point)
        assert all(map(same, found, function_of(original.build.program(original.outputs))(point)))
    assert again.build.gradient(again.outputs[0], again.inputs)


def test_an_operation_of_ones_own_is_not_saved():
    op = al.Op("sin", "sin", math.sin, lambda z, x: (al.cos(x),))  # not the table's, whatever its name
    with pytest.raises(TypeError, match="can't be saved"):
        stored(lambda v: op(v[0]), 1.0)


GOOD = json.loads(stored(lambda v: al.exp(v[0]) if v[0] > 0.5 else v[0], 1.0))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "else"}, {"version": 2}, {"guards": "else"}, {"traces": None},
        {"n": 0}, {"n": -1}, {"n": 2}, {"n": True}, {"n": 10**9}, {"n": None},
        {"instructions": []}, {"instructions": None}, {"instructions": [0, ["exec", 0]]},
        {"instructions": [0, ["exp", 1]]}, {"instructions": [0, ["exp", -1]]}, {"instructions": [0, ["exp", 0, 0]]},
        {"instructions": [0, ["exp", [0]]]}, {"instructions": [0, ["sum", 0]]}, {"instructions": [0, ["sum", []]]},
        {"instructions": [0, ["dot", [0, 0], [0]]]}, {"instructions": [0, ["exp", True]]}, {"instructions": [1]},
        {"instructions": [0, "0x1p99999"]}, {"instructions": [0, "text"]}, {"instructions": [0, []]},
        {"instructions": [0, {"exp": 0}]}, {"instructions": [0, ["sum", [[0]]]]}, {"instructions": [0, [["exp"], 0]]},
        {"instructions": [0, 0.5]}, {"instructions": [0, None]},
        {"outputs": []}, {"outputs": [0]}, {"outputs": [99, 0]}, {"outputs": [-1, 0]}, {"outputs": ["0", 0]},
        {"outputs": None}, {"names": {"x": "y"}}, {"names": []},
        {"guards": [["==", True, "f.py:1"]]}, {"guards": [[">", True]]}, {"guards": [1]}, {"guards": []},
        {"guards": None}, {"point": []}, {"point": ["0x1p0", "0x1p0"]}, {"point": [1.0]}, {"point": ["0x1p99999"]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_program_is_refused(change):
    assert saved_from(json.dumps(GOOD)).traces[0].guards
    (traced,) = GOOD["traces"]
    if {*change} & {*traced} and change.get("guards") != "else":
        change = {"traces": [{**traced, **change}]}
    with pytest.raises(ValueError):
        saved_from(json.dumps({**GOOD, **change}))


@pytest.mark.parametrize("missing", [*GOOD, *GOOD["traces"][0]])
def test_what_is_missing_is_missed(missing):
    def without(document):
        return {name: x for name, x in document.items() if name != missing}

    document = {**GOOD, "traces": [without(GOOD["traces"][0])]} if missing in GOOD["traces"][0] else without(GOOD)
    with pytest.raises(ValueError):
        saved_from(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"text"', "[" * 100_000, "{}", b"\xff"])
def test_what_is_no_document_is_refused(text):
    with pytest.raises(ValueError):
        saved_from(text)


# ---- as text --------------------------------------------------------------------------------------------------------


def test_the_python_source_can_be_read():
    x, w = Value(2.0, "x"), Value(-3.0, "slope")
    y = al.tanh(w * x + 1.0)
    y.name = "activation"
    traced = from_graph([y], [x])
    assert source_of(traced.build.program(traced.outputs)) == (
        "def program(x):\n    v2 = x[0] * (-3.0)\n    v4 = v2 + 1.0\n    v5 = tanh(v4)  # activation\n    return [v5]"
    )


HOSTILE = [
    "two\nlines", "carriage\rreturn", "form\x0cfeed", "next\x85line", "line\u2028separator", "\x00nul", "\x1b[31mred",
    "'''\"\"\"", "\\\nimport os", "σ → ω", "\ud800", "right\u202eleft", "a" * 10_000, "#", "{x}", "%s",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_hostile_names_stay_in_their_comments(name):
    x = Value(2.0, name)
    y = al.exp(x * 2.0)
    y.name = name
    traced = from_graph([y], [x])
    program = traced.build.program(traced.outputs)
    source = source_of(program)
    assert len(source.splitlines()) == 4
    assert max(map(len, source.splitlines())) < 120
    assert source.replace("\n", "").isprintable()
    assert function_of(program)([1.5]) == [math.exp(3.0)]
    shown = str(program)
    assert len(shown.splitlines()) == len(program.instructions) + 1
    assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["__import__('os')", "x", "program", "v2", "return 1", "a\n    import os"])
def test_an_operations_name_is_never_code(name):
    op = al.Op(name, name, lambda x: x + 1.0, lambda z, x: (1.0,))
    program = program_of(lambda v: al.exp(op(v[0])), 0.0)
    assert re.search(r"v\d = operation_\d\(x\[0\]\)  # ", source_of(program))
    assert function_of(program)([1.0]) == [math.exp(2.0)]


def test_constants_are_written_so_that_they_are_read_back():
    numbers = [0.1, -0.1, 5e-324, 1.7976931348623157e308, -0.0, inf, -inf, nan]
    found = function_of(program_of(lambda v: [v[0], *numbers], 1.0))([1.0])[1:]
    assert all(map(same, found, numbers))
    found = function_of(program_of(lambda v: [al.atan2(x, v[0]) for x in numbers], 1.0))([-1.0])
    assert all(map(same, found, [math.atan2(x, -1.0) for x in numbers]))


def test_long_programs_run_instruction_by_instruction():
    def f(v):
        x = v[0]
        for _ in range(12_000):
            x = al.sin(x) + v[1]
        return x

    program = program_of(f, 0.5, 0.25)
    x = 0.5
    for _ in range(12_000):
        x = math.sin(x) + 0.25
    assert function_of(program)([0.5, 0.25]) == [x]
