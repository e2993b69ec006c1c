"""An operation is declared once, refuses a bad declaration, and runs on anything that registers as a carrier."""

import copy
import functools
import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import CONSTANT, REAL, REALS, Domain, Op, Value
from autograd_lite import op as op_module
from autograd_lite.op import carrier, carriers, number, sequence


def identity(z, x):
    return (1.0,)


def gaussian_bump() -> Op:
    """exp(−x²), which the table has no public row for."""
    return Op("bump", "bump", lambda x: math.exp(-x * x), lambda z, x: (-2.0 * x * z,))


# ---- declaring ------------------------------------------------------------------------------------------------------


def test_a_declaration_says_what_it_is():
    op = Op("scaled", "k·x", lambda x, k=2.0: k * x, lambda z, x, k: (k, x))
    assert (op.name, op.symbol, op.arity, op.many, op.kinks) == ("scaled", "k·x", 2, False, None)
    assert op.domain == (REAL, REAL)
    assert repr(op) == "<operation scaled(x, k)>"
    assert op(3.0) == 6.0
    assert op(3.0, 5.0) == op(3.0, k=5.0) == op(x=3.0, k=5.0) == 15.0


def test_custom_is_the_class_the_table_is_made_of():
    assert al.custom is al.Op
    assert all(type(op) is al.custom for op in al.TABLE.values())


def test_a_function_without_a_signature_needs_a_domain():
    with pytest.raises(ValueError, match="say the domain of larger"):
        Op("larger", "max", max, lambda z, x, y: (0.0, 0.0))
    op = Op("larger", "max", max, lambda z, x, y: (0.0, 0.0), (REAL, REAL))
    assert op(1.0, 2.0) == 2.0
    assert repr(op) == "<operation larger(x1, x2)>"


@pytest.mark.parametrize("name", ["", None, 3, b"cube"])
def test_name_and_symbol_are_texts(name):
    with pytest.raises(TypeError, match="name of an operation must be a non-empty text"):
        Op(name, "x³", math.sin, identity)
    with pytest.raises(TypeError, match="symbol of an operation must be a non-empty text"):
        Op("cube", name, math.sin, identity)


@pytest.mark.parametrize("rule", [None, 3.0, "x * x", (1.0,)])
def test_rules_are_functions(rule):
    with pytest.raises(TypeError, match="the value rule of cube must be a function"):
        Op("cube", "x³", rule, identity)
    with pytest.raises(TypeError, match="the partials rule of cube must be a function"):
        Op("cube", "x³", math.sin, rule)


def test_kinks_are_a_function():
    with pytest.raises(TypeError, match="kinks"):
        Op("cube", "x³", math.sin, identity, kinks=3.0)


@pytest.mark.parametrize(
    "rule", [lambda *xs: 1.0, lambda x, *, k: 1.0, lambda **named: 1.0, lambda x, *rest: x], ids=["*", "k=", "**", "x*"]
)
def test_the_value_rule_takes_a_fixed_number_of_operands(rule):
    with pytest.raises(ValueError, match="fixed number of positional operands"):
        Op("odd", "odd", rule, identity)


def test_the_value_rule_takes_at_least_one_operand():
    with pytest.raises(ValueError, match="the value rule of one takes 0 operands"):
        Op("one", "1", lambda: 1.0, identity)


@pytest.mark.parametrize("domain", [(), (REAL, REAL)])
def test_the_domain_states_each_operand(domain):
    with pytest.raises(ValueError, match=f"takes 1 operands, but must take the {len(domain)} of its domain"):
        Op("cube", "x³", lambda x: x**3, identity, domain)


@pytest.mark.parametrize("domain", [("real",), [0.0], REAL, (0.0, 1.0), "R", 3])
def test_the_domain_is_made_of_domains(domain):
    with pytest.raises((TypeError, ValueError), match="domain"):
        Op("cube", "x³", lambda x: x**3, identity, domain)


def test_a_domain_may_be_a_list():
    assert Op("cube", "x³", lambda x: x**3, identity, [REAL]).domain == (REAL,)


def test_domains():
    assert Domain(-math.inf, math.inf, constant=False, many=False) == REAL
    assert CONSTANT.constant and not CONSTANT.many
    assert REALS.many and not REALS.constant


# ---- bad rules are found when they run ------------------------------------------------------------------------------


@pytest.mark.parametrize("partials", [1.0, [1.0], (), (1.0, 2.0), None], ids=repr)
def test_the_partials_rule_gives_a_tuple_with_an_entry_an_operand(partials):
    op = Op("odd", "odd", lambda x: x, lambda z, x: partials)
    with pytest.raises(TypeError, match="the partials rule of odd must return a tuple of 1"):
        op(Value(1.0))


@pytest.mark.parametrize("partial", ["one", None, 1j, [1.0]], ids=repr)
def test_a_partial_is_a_number(partial):
    op = Op("odd", "odd", lambda x: x, lambda z, x: (partial,))
    with pytest.raises(TypeError, match="what a rule of odd returns must be a real number"):
        op(Value(1.0))


@pytest.mark.parametrize("partials", [1.0, [1.0], [1.0, 2.0, 3.0], None], ids=repr)
def test_a_sequence_has_a_list_of_partials_as_long(partials):
    op = Op("odd", "odd", math.fsum, lambda z, xs: (partials,), (REALS,))
    with pytest.raises(TypeError, match="the partials rule of odd"):
        op([Value(1.0), Value(2.0)])


@pytest.mark.parametrize("result", ["one", None, 1j], ids=repr)
def test_a_value_is_a_number(result):
    op = Op("odd", "odd", lambda x: result, identity)
    with pytest.raises(TypeError, match="what a rule of odd returns must be a real number"):
        op(Value(1.0))
    with pytest.raises(TypeError, match="what a rule of odd returns must be a real number"):
        op(1.0)


def test_whatever_real_number_a_rule_gives_becomes_a_float():
    op = Op("odd", "odd", lambda x: Fraction(1, 2), lambda z, x: (3,))
    x = Value(1.0)
    node = op(x)
    assert (node.data, node.partials) == (0.5, (3.0,))
    assert type(node.data) is type(node.partials[0]) is type(op(1.0)) is float


def test_a_rule_that_reaches_for_math_is_told_so_by_the_second_derivative():
    op = Op("e", "e", math.exp, lambda z, x: (math.exp(x),))
    x = Value(1.0)
    y = op(x)
    assert al.gradients(y, [x]) == [math.e]
    with pytest.raises(TypeError, match=r"float\(\) of a Value would drop its gradient"):
        al.gradients(y, [x], create_graph=True)


def test_an_error_in_a_rule_is_the_users_to_see():
    op = Op("odd", "odd", lambda x: 1.0 / x, identity)
    with pytest.raises(ZeroDivisionError):
        op(Value(0.0))


def test_a_decorated_rule_is_used_as_decorated():
    def halved(rule):
        @functools.wraps(rule)
        def half(x):
            return rule(x) / 2.0

        return half

    op = Op("half_exp", "e", halved(math.exp), lambda z, x: (z,))
    assert op(0.0) == op(Value(0.0)).data == op.float_value(0.0) == 0.5


# ---- one's own operations are as good as the table's ----------------------------------------------------------------


def test_a_custom_operation_has_derivatives_of_every_order():
    bump = gaussian_bump()
    x = 0.7
    e = math.exp(-x * x)
    hermite = [1.0, -2 * x, 4 * x**2 - 2, -8 * x**3 + 12 * x, 16 * x**4 - 48 * x**2 + 12]
    for n, h in enumerate(hermite):
        assert al.derivative(bump, n)(x) == pytest.approx(h * e, rel=1e-14)


def test_a_custom_operation_beside_those_of_the_table():
    bump = gaussian_bump()
    x, y = Value(0.3, "x"), Value(-1.2, "y")
    (bump(x * y) + al.tanh(bump(y))).backward()
    inner = math.exp(-((0.3 * 1.2) ** 2))
    assert x.grad == pytest.approx(-2 * 0.3 * 1.2**2 * inner, rel=1e-14)
    assert al.hessian(lambda v: bump(v[0] * v[1]), [0.3, -1.2])[0][1] == pytest.approx(
        (4 * 0.36**3 - 4 * 0.36) * -inner, rel=1e-13
    )


def test_a_custom_operation_of_two_operands_and_a_constant():
    op = Op(
        "blend", "blend",
        value=lambda x, y, c: x * x * y + c * y,
        partials=lambda z, x, y, c: (2.0 * x * y, x * x + c, 0.0),
        domain=(REAL, REAL, CONSTANT),
    )  # fmt: skip
    x, y = Value(3.0), Value(5.0)
    node = op(x, y, 2)
    assert (node.data, node.partials, node.parents, node.operands) == (55.0, (30.0, 11.0), (x, y), (x, y, 2.0))
    dx, dy = al.gradients(node, [x, y], create_graph=True)
    assert al.gradients(dx, [x, y]) == [10.0, 6.0]
    assert al.gradients(dy, [x, y]) == [6.0, 0.0]
    with pytest.raises(TypeError, match="blend needs a constant here, a plain number, but got Value"):
        op(x, y, Value(2.0))


def test_a_custom_operation_of_a_sequence():
    op = Op("energy", "Σx²", lambda xs: math.fsum(x * x for x in xs), lambda z, xs: ([2.0 * x for x in xs],), (REALS,))
    xs = [Value(1.0), 5.0, Value(3.0)]
    node = op(xs)
    assert (node.data, node.partials, node.parents) == (35.0, (2.0, 6.0), (xs[0], xs[2]))
    assert al.hessian(op, [1.0, 2.0]) == [[2.0, 0.0], [0.0, 2.0]]
    assert op([1, 2]) == 5.0


def test_a_partial_that_is_a_constant_ends_the_derivatives():
    op = Op("double", "2x", lambda x: 2.0 * x, lambda z, x: (2.0,))
    assert [al.derivative(op, n)(3.0) for n in range(4)] == [6.0, 2.0, 0.0, 0.0]


# ---- calling --------------------------------------------------------------------------------------------------------


def test_defaults_are_operands_like_any_other():
    x = Value(-2.0)
    assert al.leaky_relu(x).operands == (x, 0.01)
    assert al.leaky_relu(x, slope=0.5).data == -1.0
    slope = Value(0.5)
    assert al.gradients(al.leaky_relu(x, slope), [slope]) == [-2.0]
    assert al.clamp(Value(1.0), upper=0.0, lower=-1.0).data == 0.0
    assert al.tanh(x=0.0) == 0.0
    assert al.tanh(x=x).op is al.tanh


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: al.clamp(1.0), r"clamp takes \(x, lower, upper\), got 1 operands; missing: lower, upper"),
        (lambda: al.atan2(1.0, 2.0, 3.0), r"atan2 takes \(y, x\), got 3 operands"),
        (lambda: al.atan2(1.0, 2.0, y=3.0), r"atan2 takes \(y, x\), got 2 operands and y by name"),
        (lambda: al.tanh(1.0, 2.0), "tanh.* takes 1 positional argument but 2 were given"),
        (lambda: al.tanh(), "tanh"),
        (lambda: al.tanh(depth=1.0), r"tanh takes \(x\), got 0 operands and depth by name; missing: x"),
    ],
)
def test_a_wrong_number_of_operands(call, message):
    with pytest.raises(TypeError, match=message):
        call()


NOT_NUMBERS = ["2", None, 1j, b"2", [1.0], (1.0,), {}, math.sin, np.array([1.0, 2.0]), object()]


@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=lambda x: type(x).__name__)
def test_what_is_not_a_number_is_refused_by_name(bad):
    name = type(bad).__name__
    for call in (
        lambda: al.tanh(bad),
        lambda: al.hypot(1.0, bad),
        lambda: al.hypot(Value(1.0), bad),
        lambda: al.hypot(bad, Value(1.0)),
        lambda: al.sum([1.0, bad]),
        lambda: al.sum([Value(1.0), bad]),
        lambda: al.affine([Value(1.0)], [bad], Value(1.0)),
        lambda: al.affine([Value(1.0)], [1.0], bad),
        lambda: al.softmax([Value(1.0), bad]),
        lambda: al.softmax([1.0, bad]),
    ):
        with pytest.raises(TypeError, match=f"must be a real number, but .* is of type {name}"):
            call()


def test_too_large_an_integer_is_refused():
    for call in (
        lambda: al.tanh(10**400),
        lambda: al.hypot(Value(1.0), 10**400),
        lambda: al.affine([Value(1.0)], [10**400], Value(1.0)),
        lambda: Value(1.0) * 10**400,
        lambda: 10**400 - Value(1.0),
    ):
        with pytest.raises(ValueError, match=r"must fit a float64, but .* is too large"):
            call()


@pytest.mark.parametrize("bad", ["12", b"12", 3.0, None, {1.0: 2.0}, {1.0, 2.0}, Value(1.0)], ids=repr)
def test_a_sequence_is_no_text_and_no_set(bad):
    for row in (al.sum, al.logsumexp, al.softmax):
        with pytest.raises(TypeError, match="takes a sequence of numbers"):
            row(bad)
    with pytest.raises(TypeError, match="affine takes a sequence of numbers"):
        al.affine(bad, [1.0], Value(0.0))


@pytest.mark.parametrize("row", [al.sum, al.mean, al.prod, al.logsumexp, al.maxout, al.softmax])
def test_nothing_has_no_reduction(row):
    for nothing in ([], (), iter(())):
        with pytest.raises(ValueError, match="of nothing is not defined: the sequence is empty"):
            row(nothing)


def test_paired_operands_are_equally_long():
    for one in (1.0, Value(1.0)):
        with pytest.raises(ValueError, match="dot pairs its operands, but their lengths are 1 and 2"):
            al.dot([one], [1.0, 2.0])
        with pytest.raises(ValueError, match="affine pairs its operands, but their lengths are 2 and 1"):
            al.affine([one, one], [1.0], one)
    with pytest.raises(ValueError, match="affine of nothing is not defined"):
        al.affine([], [], Value(1.0))


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array], ids=["list", "tuple", "iterator", "array"])
def test_any_iterable_is_a_sequence(kind):
    w, x = [Value(2.0), Value(3.0)], [5.0, 7.0]
    assert al.affine(kind(w), kind(x), 1.0).data == 32.0
    assert al.affine(kind(w), kind(x), Value(1.0)).operands[:2] == (tuple(w), tuple(x))
    assert al.affine(kind(w), x, Value(1.0)).data == al.affine(w, kind(x), Value(1.0)).data == 32.0
    assert al.dot(kind(w), kind(x)).parents == tuple(w)
    assert al.sum(kind(x)) == 12.0
    assert [type(p) for p in al.softmax(kind(x))] == [float, float]


def test_a_list_may_change_between_calls():
    """Whatever a shortcut remembers of a list, it must not be what was in it."""
    w, b, x = [Value(2.0), Value(3.0)], Value(1.0), [5.0, 7.0]
    first = al.affine(w, x, b)
    x[1] = 10
    second = al.affine(w, x, b)
    assert (first.operands[1], second.operands[1]) == ((5.0, 7.0), (5.0, 10.0))
    assert {type(d) for d in second.partials} == {float}
    x[1] = Value(20.0)
    third = al.affine(w, x, b)
    assert (third.data, third.parents) == (71.0, (*w, x[1], b))
    x[1] = "text"
    with pytest.raises(TypeError, match="must be a real number"):
        al.affine(w, x, b)


def test_numbers_of_other_kinds():
    for one in (1, True, Fraction(1), np.float64(1.0), np.float32(1.0), np.int64(1), np.bool_(True)):
        assert number(one) == 1.0
        assert type(number(one)) is type(al.exp(one)) is float
        y = al.affine([Value(2.0)], [one], Value(3.0))
        assert type(y.data) is type(y.partials[0]) is type(y.operands[1][0]) is float


@settings(deadline=None)
@given(st.floats())
def test_a_float_is_its_own_number(x):
    assert number(x) is x
    assert carrier(x) is None


@pytest.mark.parametrize(
    ("given_", "advice"),
    [(Value(1.0), "use its .data"), (1j, "pass .real and .imag"), (np.zeros(2), "take one element")],
    ids=["Value", "complex", "array"],
)
def test_number_gives_advice(given_, advice):
    with pytest.raises(TypeError, match=f"the width must be a real number.*; .*{advice}"):
        number(given_, "the width")


def test_sequence_names_the_operation():
    assert sequence(iter([1.0, 2.0]), "sum") == (1.0, 2.0)
    with pytest.raises(TypeError, match="sum takes a sequence of numbers, but 'ab' is of type str"):
        sequence("ab", "sum")


# ---- any carrier ----------------------------------------------------------------------------------------------------


class Text:
    """A carrier that writes down what is applied to it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __mul__(self, other: Any) -> "Text":
        return Text(f"({shown(self)} * {shown(other)})")

    def __rmul__(self, other: Any) -> "Text":
        return Text(f"({shown(other)} * {shown(self)})")

    def __neg__(self) -> "Text":
        return Text(f"-{shown(self)}")


class Emphatic(Text):
    pass


def shown(x: Any) -> str:
    if isinstance(x, tuple):
        return f"[{', '.join(map(shown, x))}]"
    return x.text if isinstance(x, Text) else str(x)


@pytest.fixture
def writes(monkeypatch):
    monkeypatch.setitem(carriers, Text, lambda op, operands: Text(f"{op.name}({', '.join(map(shown, operands))})"))


def test_a_registered_type_is_a_carrier(writes):
    x = Text("x")
    assert al.tanh(x).text == "tanh(x)"
    assert al.hypot(3.0, x).text == "hypot(3.0, x)"
    assert al.clamp(x, upper=1.0, lower=0.0).text == "clamp(x, 0.0, 1.0)"
    assert al.leaky_relu(x).text == "leaky_relu(x, 0.01)"
    assert al.affine([1.0, x], (x, 2.0), 0.5).text == "affine([1.0, x], [x, 2.0], 0.5)"
    assert [s.text for s in al.softmax([x, 0.0])] == ["share(x, [0.0])", "share(0.0, [x])"]
    assert al.exp(Emphatic("y")).text == "exp(y)"


def test_rules_run_on_a_carrier(writes):
    x = Text("x")
    assert al.sin.partials(al.sin(x), x)[0].text == "cos(x)"
    assert al.sigmoid.partials(Text("z"), x)[0].text == "(z * sigmoid(-x))"
    assert shown(al.logsumexp.partials(Text("z"), (x, 1.0))[0][0]) == "share(x, [1.0])"
    assert shown(al.mul.partials(Text("z"), x, 3.0)) == "[3.0, x]"


def test_carrier_finds_the_type_or_a_base_of_it(writes):
    assert carrier(Text("x")) is carrier(Emphatic("y")) is carriers[Text]
    assert carrier("x") is None


# ---- copies ---------------------------------------------------------------------------------------------------------


def test_a_row_pickles_to_itself():
    for op in al.TABLE.values():
        assert pickle.loads(pickle.dumps(op)) is copy.copy(op) is copy.deepcopy(op) is op


@pytest.mark.parametrize("name", ["bump", "tanh", "math", "TABLE"])
def test_a_custom_operation_refuses_to_be_pickled(name):
    op = Op(name, "f", math.tanh, identity)
    with pytest.raises(TypeError, match=f"{name} is not in the table, and its rules are code: it can't be pickled"):
        pickle.dumps(op)


def test_a_custom_operation_is_shared_by_copies():
    op = gaussian_bump()
    assert copy.copy(op) is copy.deepcopy([op])[0] is op


def test_an_operation_takes_no_stray_attributes():
    with pytest.raises(AttributeError):
        al.tanh.colour = "red"


def test_the_module_exports_what_it_says():
    assert all(hasattr(op_module, name) for name in op_module.__all__)
