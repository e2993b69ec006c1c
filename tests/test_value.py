"""A Value holds a number, records what is done to it, and refuses what would lose a gradient."""

import contextlib
import copy
import math
import operator
import pickle
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.op import carriers
from autograd_lite.value import is_recording

BINARY = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}
NOT_NUMBERS = {
    "text": "2",
    "None": None,
    "complex": 2j,
    "bytes": b"2",
    "list": [2.0],
    "tuple": (2.0,),
    "dict": {2.0: 2.0},
    "set": {2.0},
    "function": math.exp,
    "type": float,
    "Decimal": Decimal(2),
    "object": object(),
}
not_a_number = pytest.mark.parametrize("bad", NOT_NUMBERS.values(), ids=NOT_NUMBERS.keys())


def bits(x: float) -> bytes:
    """The bits of a float, so that -0.0 differs from 0.0 and a nan equals itself; all nans are one."""
    assert type(x) is float
    return b"nan" if x != x else struct.pack("<d", x)


def record(node: Value) -> tuple[object, ...]:
    """Everything that a node remembers, for comparison."""
    operands = [bits(x) if isinstance(x, float) else x for x in node.operands]
    return bits(node.data), node.op, operands, node.parents, [bits(d) for d in node.partials]


# Attributes


def test_a_leaf():
    x = Value(3, "x")
    assert (x.data, x.grad, x.name, x.op) == (3.0, 0.0, "x", None)
    assert type(x.data) is float and type(x.grad) is float
    assert x.operands == x.parents == x.partials == ()
    assert Value(1.0).name is None


def test_a_node():
    x, w = Value(3.0, "x"), Value(-2.0, "w")
    y = x * w
    assert (y.data, y.grad, y.name, y.op) == (-6.0, 0.0, None, al.mul)
    assert y.operands == y.parents == (x, w)
    assert y.partials == (-2.0, 3.0)
    y.name = "y"
    assert y.name == "y"


def test_parents_keep_their_order_and_their_repeats():
    x, w = Value(3.0), Value(-2.0)
    assert (w - x).parents == (w, x)
    assert (x * x).parents == (x, x)
    assert (x * x).partials == (3.0, 3.0)
    assert al.sum([x, w, x]).parents == (x, w, x)
    assert al.dot([x, w], [w, w]).parents == (x, w, w, w)
    assert al.affine([x, w], [w, x], w).parents == (x, w, w, x, w)
    assert al.affine([x, w], [w, x], w).partials == (-2.0, 3.0, 3.0, -2.0, 1.0)


def test_constants_are_operands_and_not_parents():
    x, w = Value(3.0), Value(-2.0)
    assert (x - 1).operands == (x, 1.0) and (x - 1).parents == (x,)
    assert (1 - x).operands == (1.0, x) and (1 - x).partials == (-1.0,)
    assert (x**2).operands == (x, 2.0) and (x**2).partials == (6.0,)
    assert (2**x).operands == (2.0, x) and (2**x).parents == (x,)
    assert al.sum([1, x, 2]).operands == ((1.0, x, 2.0),)
    assert al.affine([x, w], [4.0, 5.0], x).operands == ((x, w), (4.0, 5.0), x)
    assert al.affine([x, w], [4.0, 5.0], x).partials == (4.0, 5.0, 1.0)


@pytest.mark.parametrize("inputs", [[4, 5], [True, 5], [Fraction(4), 5.0]], ids=repr)
def test_constants_are_kept_as_floats(inputs):
    x, w = Value(3.0), Value(-2.0)
    for node in (al.affine([x, w], inputs, x), al.dot([x, w], inputs), x * inputs[0], al.atan2(x, inputs[0])):
        assert {type(d) for d in node.partials} == {float}
        flat = [v for operand in node.operands for v in (operand if isinstance(operand, tuple) else (operand,))]
        assert {type(v) for v in flat} <= {float, Value}


def test_a_list_changed_after_recording_changes_nothing():
    w, x = [Value(1.0), Value(2.0)], [3.0, 4.0]
    y = al.affine(w, x, w[0])
    weights = tuple(w)
    x[0], w[1] = 99.0, Value(99.0)
    assert y.operands == (weights, (3.0, 4.0), weights[0])
    assert y.partials == (3.0, 4.0, 1.0)


@given(st.floats())
def test_data_is_the_very_float(x):
    assert bits(Value(x).data) == bits(x)


@pytest.mark.parametrize("number", [2, True, Fraction(1, 2), 2.5, -0.0, math.inf, 2**53 + 1], ids=repr)
def test_every_real_number_is_data(number):
    x = Value(number)
    assert bits(x.data) == bits(float(number))
    x.data = number
    assert bits(x.data) == bits(float(number))


def test_a_float_of_another_class_becomes_a_plain_one():
    class Metres(float):
        pass

    x = Value(Metres(2.0))
    assert type(x.data) is float
    assert {type(d) for d in (x * Metres(3.0)).partials} == {float}
    assert {type(d) for d in al.affine([x, x], [Metres(3.0), Metres(4.0)], x).partials} == {float}


# Operators


@pytest.mark.parametrize("other", [2, True, 0.5, Fraction(3, 2)], ids=repr)
@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
def test_operators_with_numbers_on_both_sides(symbol, other):
    function = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}
    x = Value(3.0)
    for node, expected in (
        (function[symbol](x, other), function[symbol](3.0, float(other))),
        (function[symbol](other, x), function[symbol](float(other), 3.0)),
    ):
        assert node.data == pytest.approx(expected, rel=1e-15)
        assert node.parents == (x,)


@given(st.floats(), st.floats())
def test_inlined_operators_do_what_their_rows_do(x, y):
    a, b = Value(x), Value(y)
    for name, function in BINARY.items():
        row, apply = al.TABLE[name], carriers[Value]
        assert record(function(a, b)) == record(apply(row, (a, b))), name
        assert record(function(a, y)) == record(apply(row, (a, y))), name
        assert record(function(a, a)) == record(apply(row, (a, a))), name
        reflected = record(function(y, a))
        if name in ("sub", "div"):
            assert reflected == record(apply(row, (y, a)))
        assert reflected[0] == bits(row(y, x)), name
    assert record(-a) == record(carriers[Value](al.neg, (a,)))
    assert record(+a) == record(carriers[Value](al.pos, (a,)))
    assert record(abs(a)) == record(carriers[Value](al.abs, (a,)))


@given(st.floats())
def test_shortcuts_of_one_operand_do_what_their_rows_do(x):
    a = Value(x)
    for row in al.TABLE.values():
        if row.arity == 1 and not row.many:
            assert record(row(a)) == record(carriers[Value](row, (a,))), row.name


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1, max_size=4), st.floats())
def test_the_shortcut_of_affine_does_what_its_row_does(pairs, bias):
    w, b = tuple(Value(v) for v, _ in pairs), Value(bias)
    numbers = tuple(x for _, x in pairs)
    values = tuple(Value(x) for x in numbers)
    for x in (numbers, values):
        fast, slow = al.affine(w, x, b), carriers[Value](al.affine, (w, x, b))
        assert (bits(fast.data), fast.operands, fast.parents) == (bits(slow.data), slow.operands, slow.parents)
        assert list(map(bits, fast.partials)) == list(map(bits, slow.partials))


def test_signs_and_rounding():
    x = Value(-1.5)
    assert ((-x).data, (+x).data, abs(x).data) == (1.5, -1.5, 1.5)
    assert +x is not x
    assert (math.floor(x).data, math.ceil(x).data) == (-2.0, -1.0)


def test_an_exponent_that_is_a_number_is_a_constant():
    x = Value(-3.0)
    y = x**2
    y.backward()
    assert (y.op, y.data, x.grad) == (al.power, 9.0, -6.0)


def test_a_value_to_the_power_of_a_value():
    x, y = Value(2.0), Value(3.0)
    z = x**y
    z.backward()
    assert (z.op, z.data, x.grad) == (al.pow, 8.0, 12.0)
    assert y.grad == pytest.approx(8.0 * math.log(2.0), rel=1e-15)


def test_augmented_assignment_makes_a_new_node():
    for augment in (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow):
        x = before = Value(3.0)
        x = augment(x, 2.0)
        assert x is not before
        assert (before.data, before.op, x.parents) == (3.0, None, (before,))


def test_python_sum_and_max_work():
    xs = [Value(1.0), Value(3.0), Value(2.0)]
    assert sum(xs).data == 6.0
    assert max(xs) is xs[1] and min(xs) is xs[0]
    assert sorted(xs) == [xs[0], xs[2], xs[1]]


def test_rows_are_methods():
    x = Value(0.5)
    assert x.tanh().op is al.tanh and x.tanh().data == math.tanh(0.5)
    assert x.atan2(2.0).op is al.atan2
    assert x.clamp(0.0, 0.25).data == 0.25
    assert x.clamp(lower=0.0, upper=0.25).data == 0.25
    assert x.leaky_relu(slope=0.1).data == 0.5
    assert all(hasattr(x, row.name) for row in al.TABLE.values() if row.arity == 1 and not row.many)


def test_a_subclass_of_value_is_a_value():
    class Weight(Value):
        __slots__ = ()

    w = Weight(2.0, "w")
    for node in (w * w, w * 3.0, 3.0 * w, al.tanh(w), al.sum([w, 1.0]), al.affine([w], [3.0], w), Value(1.0) - w):
        assert type(node) is Value and w in node.parents
    (w * w).backward()
    assert w.grad == 4.0


# Comparison and identity


def test_order_is_that_of_the_data():
    x, y = Value(1.0), Value(2.0)
    assert x < y and x <= y and y > x and y >= x and x <= Value(1.0) and x >= Value(1.0)
    assert x < 2 and x <= 1.0 and 2 > x and 0.5 < x and x > Fraction(1, 2) and x >= True  # noqa: SIM300
    assert not x < math.nan and not x >= math.nan


def test_equality_and_hash_are_identity():
    x, twin = Value(1.0), Value(1.0)
    assert x == x and x != twin and not x == twin and x != 1.0 and x != "1.0"  # noqa: SIM201
    assert len({x, twin, x}) == 2
    assert hash(x) == hash(x)
    assert x in [twin, x] and x not in [twin, 1.0]
    before = hash(x)
    x.data = 5.0
    assert hash(x) == before


# How it shows itself


def test_repr_tells_the_node_and_not_its_graph():
    x = Value(2.0, "x")
    y = x * x
    assert repr(x) == "Value(2.0, grad=0.0, name='x')"
    assert repr(y) == "Value(4.0, grad=0.0, op=mul)"
    assert str(x) == repr(x) == f"{x}"
    assert repr(Value(math.nan, "it's")) == 'Value(nan, grad=0.0, name="it\'s")'


def test_repr_of_a_deep_graph_is_short():
    y = Value(1.0)
    for _ in range(20_000):
        y = y + 1.0
    assert repr(y) == "Value(20001.0, grad=0.0, op=add)"


@pytest.mark.parametrize("spec", [".3f", "10.2e", "+.1%", ">12", "g", ",.2f", "08.3f"])
def test_format_specs_are_those_of_a_float(spec):
    assert format(Value(1234.5678), spec) == format(1234.5678, spec)


def test_a_wrong_format_spec_is_an_error():
    with pytest.raises(ValueError, match="format"):
        format(Value(1.0), "d")


# What it refuses


@not_a_number
def test_data_must_be_a_number(bad):
    with pytest.raises(TypeError, match=f"data of a Value must be a real number.*{type(bad).__name__}"):
        Value(bad)
    x = Value(1.0)
    with pytest.raises(TypeError, match=f"data of a Value must be a real number.*{type(bad).__name__}"):
        x.data = bad
    assert x.data == 1.0


def test_a_value_in_a_value_is_told_to_use_data():
    with pytest.raises(TypeError, match=r"Value.*use its \.data"):
        Value(Value(1.0))
    with pytest.raises(TypeError, match=r"Value.*use its \.data"):
        Value(1.0).data = Value(2.0)


def test_a_complex_number_is_told_why():
    with pytest.raises(TypeError, match=r"real functions.*\.real and \.imag"):
        Value(1j)


@not_a_number
@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
def test_operands_must_be_numbers(symbol, bad):
    function = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}
    x = Value(1.0)
    for operands in ((x, bad), (bad, x)):
        with pytest.raises(TypeError, match=f"must be a real number.*{type(bad).__name__}"):
            function[symbol](*operands)


@not_a_number
def test_operands_of_rows_must_be_numbers(bad):
    x = Value(1.0)
    for call in (
        lambda: al.tanh(bad),
        lambda: al.atan2(x, bad),
        lambda: al.atan2(bad, x),
        lambda: al.sum([x, bad]),
        lambda: al.dot([x], [bad]),
        lambda: al.dot([1.0], [bad]),
        lambda: al.affine([x], [bad], x),
        lambda: al.affine([x], [1.0], bad),
        lambda: al.affine([bad], [1.0], x),
        lambda: al.softmax([x, bad]),
        lambda: al.softmax([1.0, bad]),
    ):
        with pytest.raises(TypeError, match=f"must be a real number.*{type(bad).__name__}"):
            call()


@not_a_number
def test_only_numbers_are_compared(bad):
    x = Value(1.0)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        for operands in ((x, bad), (bad, x)):
            with pytest.raises(TypeError, match="compared with must be a real number"):
                compare(*operands)


@pytest.mark.parametrize("digits", [400, 5000])  # Python won't write an integer of more than 4300 digits
def test_an_integer_too_large_for_a_float_is_told_so(digits):
    huge, x = 10**digits, Value(1.0)
    for call in (
        lambda: Value(huge),
        lambda: setattr(x, "data", huge),
        lambda: x + huge,
        lambda: huge * x,
        lambda: x**huge,
        lambda: -huge / x,
        lambda: x < huge,
        lambda: al.sum([x, huge]),
        lambda: al.affine([x], [huge], x),
        lambda: Value(Fraction(huge)),
        lambda: x.backward(huge),
    ):
        with pytest.raises(ValueError, match=r"must fit a float64.*too large"):
            call()


@not_a_number
def test_a_name_is_a_text(bad):
    if bad is None or isinstance(bad, str):
        assert Value(1.0, bad).name == bad
    else:
        with pytest.raises(TypeError, match="name of a Value must be a text"):
            Value(1.0, bad)


def test_a_value_is_neither_true_nor_false():
    x = Value(1.0)
    for ask in (lambda: bool(x), lambda: not x, lambda: x and x, lambda: 1.0 if x else 0.0):
        with pytest.raises(TypeError, match=r"neither true nor false.*\.data"):
            ask()


@pytest.mark.parametrize("convert", [float, int, complex, math.exp, math.log, math.isnan, "%f".__mod__, range])
def test_a_value_is_not_converted_behind_your_back(convert):
    with pytest.raises(TypeError, match=r"drop its gradient.*use its \.data.*al\.exp"):
        convert(Value(1.0))


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "logsumexp", "maxout"])
def test_a_reduction_of_nothing_is_an_error(name):
    with pytest.raises(ValueError, match=f"{name} of nothing.*empty"):
        al.TABLE[name]([])


def test_pairs_of_nothing_are_an_error():
    with pytest.raises(ValueError, match=r"dot of nothing.*empty"):
        al.dot([], [])
    with pytest.raises(ValueError, match=r"affine of nothing.*empty"):
        al.affine([], [], Value(1.0))
    with pytest.raises(ValueError, match=r"softmax of nothing.*empty"):
        al.softmax([])


def test_mismatched_lengths_are_both_named():
    x = Value(1.0)
    for call in (
        lambda: al.dot([x, x], [1.0, 2.0, 3.0]),
        lambda: al.dot([1.0, 2.0], [1.0, 2.0, 3.0]),
        lambda: al.affine([x, x], [1.0, 2.0, 3.0], x),
        lambda: al.affine([x, x], [x, x, x], x),
        lambda: al.affine([x, x], (1.0, 2.0, 3.0), 0.0),
    ):
        with pytest.raises(ValueError, match="lengths are 2 and 3"):
            call()


@pytest.mark.parametrize("bad", ["ab", b"ab", None, 1.0, Value(1.0), {1.0: 2.0}, {1.0}], ids=lambda bad: repr(bad)[:20])
def test_a_reduction_takes_a_sequence(bad):
    for call in (lambda: al.sum(bad), lambda: al.softmax(bad), lambda: al.dot([Value(1.0)], bad)):
        with pytest.raises(TypeError, match="takes a sequence of numbers"):
            call()


def test_a_reduction_takes_any_iterable_of_numbers():
    xs = [Value(1.0), Value(2.0)]
    assert al.sum(x for x in xs).data == 3.0
    assert al.dot((x for x in xs), (x for x in xs)).data == 5.0
    assert al.affine((x for x in xs), [1.0, 2.0], xs[0]).data == 6.0
    assert al.affine(xs, (x for x in xs), xs[0]).data == 6.0
    assert sum(p.data for p in al.softmax(x for x in xs)) == pytest.approx(1.0)


def test_a_wrong_number_of_operands_names_the_operation():
    x = Value(1.0)
    for call, name in (
        (lambda: al.tanh(x, x), "tanh"),
        (lambda: al.tanh(), "tanh"),
        (lambda: x.tanh(x), "tanh"),
        (lambda: al.atan2(x), "atan2"),
        (lambda: al.sum(x, x), "sum"),
        (lambda: al.affine([x], [1.0]), r"\baffine"),
        (lambda: al.elu(x, beta=1.0), "elu.*beta"),
    ):
        with pytest.raises(TypeError, match=name) as caught:
            call()
        assert "_record" not in str(caught.value)


def test_a_constant_operand_is_not_a_value():
    with pytest.raises(TypeError, match="needs a constant"):
        al.power(Value(2.0), Value(3.0))


def test_nothing_raises_where_ieee_754_has_an_answer():
    zero, huge = Value(0.0), Value(1e308)
    assert (1.0 / zero).data == math.inf and (-1.0 / zero).data == -math.inf and math.isnan((zero / zero).data)
    assert (huge * huge).data == math.inf and math.isnan((Value(math.inf) - math.inf).data)
    assert al.log(zero).data == -math.inf and al.exp(Value(710.0)).data == math.inf
    assert (
        math.isnan((Value(-2.0) ** 0.5).data) and (zero**-1).data == math.inf and (Value(1e200) ** 2).data == math.inf
    )


# no_grad and stop_gradient


def test_nothing_is_recorded_within_no_grad():
    x = Value(3.0, "x")
    with al.no_grad():
        results = [
            x * x, x + 1.0, 1.0 - x, -x, x.tanh(), x**2, abs(x),
            al.sum([x, x]), al.affine([x], [2.0], x), *al.softmax([x, x]),
        ]  # fmt: skip
    assert results[0].data == 9.0
    for y in results:
        assert y.op is None and y.operands == y.parents == y.partials == ()
    y = x * results[0]
    assert y.parents == (x, results[0])
    y.backward()
    assert (x.grad, results[0].grad) == (9.0, 3.0)


def test_no_grad_nests_and_ends():
    x = Value(3.0)
    with al.no_grad():
        with al.no_grad():
            assert (x * x).op is None
        assert (x * x).op is None
    assert (x * x).op is al.mul


def test_no_grad_ends_with_an_exception():
    x = Value(3.0)
    with contextlib.suppress(KeyError), al.no_grad():
        raise KeyError
    assert (x * x).op is al.mul


def test_blocks_in_generators_may_end_in_the_order_in_which_they_began():
    def numbers():
        with al.no_grad():
            yield 1.0

    first, second = numbers(), numbers()
    next(first)
    next(second)
    first.close()
    assert not is_recording()
    second.close()
    assert is_recording()


def test_no_grad_decorates_a_function():
    @al.no_grad()
    def double(x):
        return 2 * x

    x = Value(3.0)
    assert double(x).op is None and double(x).data == 6.0
    assert (2 * x).op is al.mul


def test_no_grad_holds_for_its_own_thread():
    x, entered, leave, seen = Value(3.0), threading.Event(), threading.Event(), []

    def pause():
        with al.no_grad():
            entered.set()
            leave.wait(10)
            seen.append((x * x).op)

    thread = threading.Thread(target=pause)
    thread.start()
    assert entered.wait(10)
    mine = x * x
    leave.set()
    thread.join(10)
    assert seen == [None]
    assert mine.op is al.mul


def test_derivatives_work_within_no_grad():
    with al.no_grad():
        assert al.grad(lambda x: x**3)(2.0) == 12.0
        assert al.hessian(lambda x: x**3, 2.0) == 12.0
        assert al.jvp(lambda x: x**3, 2.0, 1.0) == 12.0
        assert Value(1.0).exp().op is None


def test_no_gradient_flows_through_a_no_grad_block_inside_a_function():
    def f(x):
        with al.no_grad():
            y = x * x
        return x * y

    assert al.grad(f)(3.0) == 9.0


def test_stop_gradient():
    x = Value(3.0, "x")
    y = x * x
    stopped = al.stop_gradient(y)
    assert (stopped.data, stopped.op, stopped.parents) == (9.0, None, ())
    (x * stopped).backward()
    assert (x.grad, y.grad) == (9.0, 0.0)
    assert al.stop_gradient(2) == 2.0
    with pytest.raises(TypeError, match="must be a real number"):
        al.stop_gradient("2")


def test_stop_gradient_within_derivatives():
    assert al.grad(lambda x: x * al.stop_gradient(x))(3.0) == 3.0
    assert al.hessian(lambda x: x * x * al.stop_gradient(x), 3.0) == 6.0


# Pickling and copying

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda x, n=n: pickle.loads(pickle.dumps(x, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
}
copied = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())


@copied
@pytest.mark.parametrize("data", [0.1, -0.0, math.inf, math.nan, 5e-324])
def test_a_leaf_can_be_copied(copied, data):
    x = Value(data, "x")
    x.grad = 0.3
    twin = copied(x)
    assert twin is not x and type(twin) is Value
    assert (bits(twin.data), twin.grad, twin.name, twin.op) == (bits(data), 0.3, "x", None)
    twin.data = 7.0
    assert bits(x.data) == bits(data)


@copied
def test_a_copied_leaf_starts_graphs_of_its_own(copied):
    x = Value(2.0)
    y = x * 3.0
    twin = copied(x)
    z = y * twin
    z.backward()
    assert (x.grad, twin.grad) == (6.0, 6.0)


def test_leaves_within_containers_stay_the_same_leaf():
    x = Value(2.0, "x")
    for copied in (copy.deepcopy, COPIES["pickle 5"]):
        model = copied({"w": [x, x], "b": Value(1.0)})
        assert model["w"][0] is model["w"][1]
        assert model["w"][0] is not x
    assert copy.copy([x])[0] is x


@copied
def test_a_graph_is_not_copied(copied):
    x = Value(2.0)
    for node in (x * x, al.tanh(x), al.sum([x, 1.0])):
        for given_away in (node, *([] if copied is copy.copy else [[node], {"y": node}])):
            with pytest.raises(TypeError, match=rf"made by {node.op.name}.*can't be pickled or copied.*\.data"):
                copied(given_away)


def test_a_result_of_no_grad_is_a_leaf_and_can_be_copied():
    x = Value(2.0)
    with al.no_grad():
        y = x * x
    assert copy.deepcopy(y).data == 4.0


@copied
def test_an_operation_of_the_table_stays_itself(copied):
    assert copied(al.tanh) is al.tanh


def test_an_operation_of_the_users_own_is_copied_with_its_model_but_not_pickled():
    cube = al.Op("cube", "x³", value=lambda x: x * x * x, partials=lambda z, x: (3 * al.square(x),))
    assert copy.deepcopy({"activation": cube})["activation"] is cube
    assert copy.copy(cube) is cube
    with pytest.raises(TypeError, match=r"cube is not in the table.*can't be pickled"):
        pickle.dumps(cube)


# ---- scopes -------------------------------------------------------------------------------------------------


def test_a_scope_is_of_the_nodes_made_in_it_and_of_no_others():
    x = Value(2.0)
    with al.scope("outer") as outer:
        y = x * x
        with al.scope("inner"):
            z = al.affine([y], [1.0], x).tanh()
            leaf = Value(1.0)
        after = -y
    assert [v.scope and repr(v.scope) for v in (x, y, z, z.parents[0], leaf, after, x + 1)] == [
        None, "outer", "outer/inner", "outer/inner", "outer/inner", "outer", None,
    ]  # fmt: skip
    assert z.scope.path == (outer, z.scope)


def test_each_opening_is_a_scope_of_its_own_unless_one_is_given():
    with al.scope("turn") as first:
        pass
    with al.scope("turn") as second:
        pass
    with al.scope(first) as again:
        assert Value(1.0).scope is first
    assert first is again is not second


def test_a_scope_as_a_decorator_opens_at_each_call():
    @al.scope("block")
    def block(x):
        return x.exp()

    with al.scope("net"):
        y, z = block(Value(1.0)), block(Value(1.0))
    assert repr(y.scope) == "net/block" and y.scope is not z.scope


def test_a_scope_ends_with_an_error_and_leaves_no_grad_as_it_was():
    with al.no_grad():
        with pytest.raises(ZeroDivisionError), al.scope("broken"):
            raise ZeroDivisionError
        y = Value(1.0).exp()
        with al.scope("kept"):
            z = Value(1.0).exp()
    assert y.op is None and y.scope is None
    assert z.op is None and z.scope.name == "kept"


def test_a_scope_is_of_one_thread():
    with al.scope("here"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: Value(1.0).exp().scope).result() is None


def test_a_leaf_is_copied_and_pickled_with_its_scope():
    with al.scope("a"), al.scope("b"):
        leaf = Value(1.0)
    assert copy.deepcopy(leaf).scope.path[0].name == "a"
    assert repr(pickle.loads(pickle.dumps(leaf)).scope) == "a/b"


@pytest.mark.parametrize("name", ["", None, 3, b"x"])
def test_a_scope_wants_a_name(name):
    with pytest.raises(TypeError, match="name of a scope must be a text"), al.scope(name):
        pass


def test_a_scope_of_a_value_is_a_scope():
    with pytest.raises(TypeError, match="a Scope or None, not 'layer'"):
        Value(1.0).scope = "layer"
    with pytest.raises(TypeError, match="lies in another Scope"):
        al.Scope("x", "y")
