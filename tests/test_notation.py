"""LaTeX of computations: as on the slides, typeset by mathtext, right for every operation, safe for every name."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

import autograd_lite as al
import nn
from autograd_lite import Value
from nn.expressions import parse
from nn.notation import latex, symbol


def typeset(formulas):
    parser = MathTextParser("path")
    for line in formulas.lines:
        parser.parse(f"${line}$".replace(r"\&", "").replace(r"\#d", ""))  # where mathtext falls short


def test_one_layer_is_written_as_on_the_slides():
    model = nn.MLP(1, [1], output=al.sigmoid, seed=0)
    (o,) = model([Value(2.0, "x[1]")])
    (z,) = o.parents
    o.name, z.name = "o[1]", "z[1]"
    E = 0.5 * al.square(o - Value(1.0, "t[1]"))
    w = model.layers[0].neurons[0].w[0]
    formulas = latex(E, wrt=[w])
    assert str(formulas).splitlines() == [
        r"z_{1} = w_{11}\,x_{1} + w_{10}",
        r"o_{1} = \sigma\left(z_{1}\right)",
        r"E = \frac{1}{2}\,\left(o_{1} - t_{1}\right)^{2}",
        r"\frac{\partial E}{\partial o_{1}} = o_{1} - t_{1}",
        r"\frac{\partial E}{\partial z_{1}} = \frac{\partial E}{\partial o_{1}}\,o_{1}\,\sigma\left(-z_{1}\right)",
        r"\frac{\partial E}{\partial w_{11}} = \frac{\partial E}{\partial z_{1}}\,x_{1}",
    ]
    typeset(formulas)


@pytest.mark.parametrize("op", al.TABLE.values(), ids=al.TABLE)
def test_every_operation_is_written_and_typeset(op):
    operands = []
    for k, domain in enumerate(op.domain):
        x = Value(0.5 if domain.low < 1 else 1.5, f"x[{k}]")
        operands.append(1.0 if domain.constant else [x, Value(0.25, f"y[{k}]")] if domain.many else x)
    y = op(*operands)
    formulas = latex(y)
    typeset(formulas)
    assert len(formulas.lines) == 1 + len(y.parents)


x, a = Value(2.0, "x"), Value(3.0, "a")


@pytest.mark.parametrize(
    ("y", "expression", "derivative"),
    [
        (x * x, "x^{2}", r"2\,x"),
        (x + x, r"2\,x", "2"),
        (x - a, "x - a", "1"),
        (a - (x - a), r"a - \left(x - a\right)", "-1"),
        (0.5**x, r"\left(\frac{1}{2}\right)^{x}", None),
        (al.erf(x), r"\operatorname{erf}\left(x\right)", r"1.12838\,\exp\left(-x^{2}\right)"),
        (al.gelu(x), r"\operatorname{gelu}\left(x\right)", None),
        (-0.5 * x, r"-\frac{1}{2}\,x", r"-\frac{1}{2}"),
        ((x + a) * 3, r"3\,\left(x + a\right)", "3"),
        (-(x + a), r"-\left(x + a\right)", "-1"),
        (-x * a, r"-x\,a", "-a"),
        (a * -x, r"-a\,x", "-a"),
        (x / a, r"\frac{x}{a}", r"\frac{1}{a}"),
        (x / 4, r"0.25\,x", "0.25"),
        (x**3, "x^{3}", r"3\,x^{2}"),
        ((x + a) ** 3, r"\left(x + a\right)^{3}", r"3\,\left(x + a\right)^{2}"),
        (al.tanh(x) ** 2.0, r"\left(\tanh\left(x\right)\right)^{2}", None),
        (2.0**x, "2^{x}", None),
        (x * 1e-7, r"10^{-7}\,x", "10^{-7}"),
        (x + 1e-7, "x + 10^{-7}", "1"),
        (x * 0.0, "0", "0"),
        (al.floor(x), r"\lfloor x \rfloor", "0"),
        (al.sin(x) * a, r"\sin\left(x\right)\,a", r"a\,\cos\left(x\right)"),
    ],
)
def test_small_formulas(y, expression, derivative):
    formulas = latex(y, wrt=[x])
    assert formulas.lines[0] == f"E = {expression}"
    if derivative is not None:
        assert formulas.lines[1] == rf"\frac{{\partial E}}{{\partial x}} = {derivative}"
    typeset(formulas)


def test_shared_parts_are_written_once():
    y = x
    for _ in range(60):
        y = al.sin(y) * y
    formulas = latex(y)
    assert len(formulas.lines) < 130 and len(str(formulas)) < 20_000
    typeset(formulas)


def test_a_deep_graph_is_refused_or_written_but_not_recursed_into():
    y = x
    for _ in range(20_000):
        y = al.sin(y)
    with pytest.raises(ValueError, match="more than 200 lines"):
        latex(y)


def test_names_that_meet():
    one, other, unnamed = Value(1.0, "x"), Value(2.0, "x"), Value(3.0)
    E = Value(4.0, "E")
    text = str(latex(one * other * unnamed * E))
    assert text.splitlines()[0] == r"L = x\,{x}^{(2)}\,x_{1}\,E"


def test_a_rule_that_does_not_run_on_text_is_left_as_a_symbol():
    mine = al.Op("my_op", "m", lambda x, y: x * y, lambda z, x, y: (y, math.fabs(x)))
    text = str(latex(mine(x, a), wrt=[a]))
    assert text.splitlines()[1] == (
        r"\frac{\partial E}{\partial a} = \partial_{2} \operatorname{my\_op}\left(x, a\right)"
    )


def test_a_users_operation_does_not_take_the_spelling_of_the_tables():
    step = al.Op("step", "s", lambda x: x, lambda z, x: (1.0,))
    assert latex(step(x)).lines[0] == r"E = \operatorname{step}\left(x\right)"


def test_derivatives_by_what_is_between():
    h = x * a
    assert latex(al.tanh(h), wrt=[h]).lines == (
        r"a_{1} = x\,a",
        r"E = \tanh\left(a_{1}\right)",
        r"\frac{\partial E}{\partial a_{1}} = \frac{1}{\cosh^{2}\left(a_{1}\right)}",
    )
    assert len(latex(al.tanh(h), wrt=[]).lines) == 1


def test_a_leaf():
    assert latex(x).lines == (r"\frac{\partial x}{\partial x} = 1",)


def test_wrong_input():
    with pytest.raises(TypeError, match="takes a Value"):
        latex(2.0)
    with pytest.raises(TypeError, match="list of Values"):
        latex(x * a, wrt="x")
    with pytest.raises(ValueError, match="does not depend on"):
        latex(x * x, wrt=[a])
    model = nn.MLP(64, [8, 2], seed=0)
    with pytest.raises(ValueError, match="more than 200 lines"):
        latex(nn.losses.half_sse(model([0.5] * 64), [0, 1]))


def test_nothing_is_changed_and_the_same_comes_out():
    y = al.tanh(x * a)
    assert latex(y) == latex(y)
    assert x.grad == a.grad == y.grad == 0.0
    assert latex(y)._repr_latex_().startswith(r"$\displaystyle \begin{aligned}E &= ")


@pytest.mark.parametrize(
    "name", ["</script><b>", "$x$", "\\href{a}{b}", "a&b%c#d_e^f~g", "é\n\x00 z", "'\"`", "a=b", "}{", "x" * 10_000]
)
def test_hostile_names(name):
    formulas = latex(al.tanh(Value(1.0, name) * x))
    typeset(formulas)
    text = formulas._repr_latex_()
    assert "<" not in text and "href{" not in text and "\x00" not in text and len(text) < 2000
    depth = 0
    for character in text.replace(r"\{", "").replace(r"\}", ""):
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize("name", ["w2[1,1]", "h[1](2)"])
def test_a_power_of_what_has_a_superscript(name):
    w = Value(2.0, name)
    formulas = latex(w * w)
    assert formulas.lines[0] == rf"E = \left({symbol(name)}\right)^{{2}}"
    typeset(formulas)


def test_symbols():
    assert symbol("w3[10,2]") == "w^{3}_{10,2}"
    assert symbol("h[2]") == "h_{2}" and symbol("h[12](3)") == "h^{(3)}_{12}" and symbol("x1(2)") == "x^{(2)}_{1}"
    assert symbol("mul#3") == r"\mathrm{mul\#3}"


def test_the_guards_of_floats_are_not_part_of_a_formula():
    assert "clamp" not in latex(al.gelu(x)).lines[1]
    assert "clamp" in latex(al.clamp(x, -1e4, 1e4)).lines[0]


def number(tex, values):
    """Return the number that a formula stands for: rewritten for the package's parser, from the innermost braces on."""
    tex = (
        tex.replace(r"\left", "")
        .replace(r"\right", "")
        .replace(r"\,", "*")
        .replace(r"\cdot", "*")
        .replace(r"\cosh^{2}", "squared")
    )
    before = ""
    while before != tex:
        before = tex
        tex = re.sub(r"\{squared([^{}]*)\}", r"{(cosh\1)**2}", tex)
        tex = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", tex)
        tex = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", tex)
    text = tex.replace(r"\sigma", "sigmoid").replace("\\", "")
    expression = parse(text)
    return expression.evaluate({name: values[name] for name in expression.variables})[0].data


@given(st.data())
def test_what_is_written_is_the_value_and_the_derivative(data):
    values = {"x": 0.75, "y": -1.25, "z": 2.5}
    leaves = [Value(value, name) for name, value in values.items()]
    nodes = list(leaves)
    for _ in range(data.draw(st.integers(1, 4))):
        a, b = (data.draw(st.sampled_from(nodes)) for _ in "ab")
        name = data.draw(
            st.sampled_from(["add", "sub", "mul", "div", "neg", "tanh", "sigmoid", "square", "scale", "cube"])
        )
        if name in ("scale", "cube"):
            nodes.append(a * -0.5 if name == "scale" else a**3)
        else:
            nodes.append(al.TABLE[name](*(a, b)[: al.TABLE[name].arity]))
    y = nodes[-1]
    for leaf in leaves:
        leaf.grad = 0.0
    y.backward()
    if y.op is None or not math.isfinite(y.data) or not all(math.isfinite(leaf.grad) for leaf in leaves):
        return
    lines = dict(line.split(" = ") for line in latex(y).lines)
    if any("a_{" in line for line in lines.values()):
        return
    assert number(lines.pop("E"), values) == pytest.approx(y.data, rel=1e-9, abs=1e-9)
    for leaf in leaves:
        if text := lines.get(rf"\frac{{\partial E}}{{\partial {leaf.name}}}"):
            assert number(text, {**values, "E": y.data}) == pytest.approx(leaf.grad, rel=1e-9, abs=1e-9)
