"""What an engine of the micrograd kind is checked for: each check is a program of a few lines, and its right answer.

Such an engine has a class `Value(data)` with `.data`, `.grad`, `.backward()` and operators; what else it has is its
own choice. What counts as right is, in this order: mathematics; IEEE 754; what PyTorch promises (leaves accumulate
gradients over calls of `backward`, kinks take the subgradient of least norm). Where engines differ for good reasons,
the other answers are listed with who gives them, and are reported as a note.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import cleandoc

__all__ = ["CHECKS", "Check"]


@dataclass(frozen=True)
class Check:
    """Declare what is asked of an engine, and the answer.

    Attributes:
        topic: the group it is shown in.
        name: what is checked, in a few words; unique.
        program: the lines to run, with the class in scope as `Value`. The last line that it prints is its answer, or
            the type of what it raises.
        right: the right answer, numbers to within 1e-12; None if the answer is free, but must be the same in every
            process.
        meaning: why this is right, and what goes wrong otherwise.
        needs: a harmless line that uses the same feature; if that is refused too, the engine doesn't have the feature.
        others: further answers that documented engines give, and why.

    >>> check = Check("arithmetic", "one and one", "print(1 + 1)", "2", "Adding is the first thing one learns.")
    >>> check.right, check.needs
    ('2', '')
    """

    topic: str
    name: str
    program: str
    right: str | None
    meaning: str
    needs: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "program", cleandoc(self.program))


def _at(
    topic: str,
    expression: str,
    right: str,
    meaning: str,
    needs: str = "",
    others: Mapping[str, str] | None = None,
    **point: float,
) -> Check:
    """Declare a check of the value and the gradients of an expression at a point, in the order they are given in."""
    values = ", ".join(f"Value({x!r})" if math.isfinite(x) else f'Value(float("{x!r}"))' for x in point.values())
    program = f"""
        {", ".join(point)} = {values}
        y = {expression}
        y.backward()
        print(y.data, {", ".join(f"{name}.grad" for name in point)})
        """
    where = ", ".join(f"{name} = {x!r}" for name, x in point.items())
    return Check(topic, f"{expression} at {where}", program, right, meaning, needs, others or {})


_SUB, _DIV, _POW = "Value(2.0) - Value(3.0)", "Value(2.0) / Value(4.0)", "Value(2.0) ** 2"
_PYTHON = "as Python's own floats do; IEEE 754 has an answer, with which one can go on"
_REFUSES = "refuses, as Python's math does; IEEE 754 answers nan"
_RESET = "every backward first sets all gradients to 0, so they never accumulate"

_ARITHMETIC = (
    _at("arithmetic", "a + b", "5 1 1", "Both partials of a sum are 1.", a=2.0, b=3.0),
    _at("arithmetic", "a - b", "-1 1 -1", "The partials of a difference are 1 and −1.", _SUB, a=2.0, b=3.0),
    _at("arithmetic", "a * b", "6 3 2", "Each partial of a product is the other factor.", a=2.0, b=3.0),
    _at("arithmetic", "a / b", "1.5 0.5 -0.75", "The partials of a/b are 1/b and −a/b².", _DIV, a=3.0, b=2.0),
    _at("arithmetic", "-a", "-2 -1", "The partial of −a is −1.", "-Value(1.0)", a=2.0),
    _at("arithmetic", "+a", "2 1", "The partial of +a is 1.", "+Value(1.0)", a=2.0),
    _at("arithmetic", "abs(a)", "2 -1", "The partial of |a| is the sign of a.", "abs(Value(1.0))", a=-2.0),
    _at("arithmetic", "(a + 2) + (a + 0.5)", "8.5 2", "An int or a float on the right is a constant.", a=3.0),
    _at("arithmetic", "(a - 2) + (a - 0.5)", "3.5 2", "An int or a float on the right is a constant.", _SUB, a=3.0),
    _at("arithmetic", "(a * 2) + (a * 0.5)", "7.5 2.5", "An int or a float on the right is a constant.", a=3.0),
    _at("arithmetic", "(a / 2) + (a / 0.5)", "7.5 2.5", "An int or a float on the right is a constant.", _DIV, a=3.0),
    _at("arithmetic", "(2 + a) + (0.5 + a)", "8.5 2", "An int or a float on the left needs __radd__.", a=3.0),
    _at("arithmetic", "(2 - a) + (0.5 - a)", "-3.5 -2", "2 − a is not a − 2: __rsub__ turns it round.", _SUB, a=3.0),
    _at("arithmetic", "(2 * a) + (0.5 * a)", "7.5 2.5", "An int or a float on the left needs __rmul__.", a=3.0),
    _at(
        "arithmetic", "(6 / a) + (1.5 / a)", "2.5 -0.8333333333333334",
        "6/a is not a/6: __rtruediv__ turns it round.", _DIV, a=3.0,
    ),
    _at("arithmetic", "a / 2", "1.5 0.5", "Value of an int is a number like any other.", _DIV, a=3),
    _at("arithmetic", "sum([a, b, a])", "7 2 1", "Python's sum begins with 0 + a.", a=2.0, b=3.0),
)  # fmt: skip

_POWERS = (
    _at("powers", "a**2", "9 6", "The partial of a^n is n·a^(n−1).", _POW, a=3.0),
    _at("powers", "a**3", "-8 12", "A negative base has integer powers.", _POW, a=-2.0),
    _at("powers", "a**2.0", "9 -6", "The exponent may be a float, if it is whole.", _POW, a=-3.0),
    _at("powers", "a**-1", "0.25 -0.0625", "The partial of 1/a is −1/a².", _POW, a=4.0),
    _at("powers", "a**0.5", "2 0.25", "The partial of √a is 1/(2√a).", _POW, a=4.0),
    _at("powers", "a**1", "0 1", "The partial of a^1 is 1 everywhere, at 0 too.", _POW, a=0.0),
    _at("powers", "a**2", "0 0", "The partial of a² is 2a, at 0 too.", _POW, a=0.0),
    _at("powers", "a**0", "1 0", "a^0 is the constant 1; n·a^(n−1) would divide by 0 for nothing.", _POW, a=0.0),
    _at(
        "powers", "a**0.5", "0 inf", "√a is vertical at 0.", _POW, {"ZeroDivisionError": _PYTHON}, a=0.0,
    ),
    _at(
        "powers", "a**(1/3)", "nan nan", "A root of a negative number is not real; a complex number is never right.",
        _POW, {"ValueError": _REFUSES}, a=-8.0,
    ),
    _at(
        "powers", "a**2", "inf 2e200", "Overflow is inf; the gradient is still a number.", _POW,
        {"OverflowError": _PYTHON}, a=1e200,
    ),
    _at(
        "powers", "a**b", "8 12 5.545177444479562", "The partials of a^b are b·a^(b−1) and a^b·ln a.",
        "Value(2.0) ** Value(2.0)", a=2.0, b=3.0,
    ),
    _at(
        "powers", "a**b", "-8 12 nan", "a^b is −8 and its slope along a is 12; along b it is not defined.",
        "Value(2.0) ** Value(2.0)", {"ValueError": _REFUSES, "-8 12 0": "takes a slope that is not defined for 0"},
        a=-2.0, b=3.0,
    ),
    _at("powers", "2**a", "8 5.545177444479562", "The partial of 2^a is 2^a·ln 2.", "2 ** Value(1.0)", a=3.0),
)  # fmt: skip

_EACH_RULE = "Every operation's own rule has to add to what is there: one that sets it loses the other use."
_REUSE = (
    _at("reuse", "a + a", "6 2", "Each use of a value adds to its gradient; += in the rule, not =.", a=3.0),
    _at("reuse", "a * a", "9 6", "Both operands may be one and the same object.", a=3.0),
    _at("reuse", "a - a", "0 0", "Both operands may be one and the same object.", _SUB, a=3.0),
    _at("reuse", "a / a", "1 0", "Both operands may be one and the same object.", _DIV, a=3.0),
    _at("reuse", "(a * 2) * (a + 1)", "24 14", "Two paths lead back to a: their products add up.", a=3.0),
    _at("reuse", "(-a) + (-a)", "-6 -2", _EACH_RULE, "-Value(1.0)", a=3.0),
    _at("reuse", "abs(a) + abs(a)", "6 -2", _EACH_RULE, "abs(Value(1.0))", a=-3.0),
    _at("reuse", "a**2 + a**3", "36 33", _EACH_RULE, _POW, a=3.0),
    _at("reuse", "a.relu() + a.relu()", "6 2", _EACH_RULE, "Value(1.0).relu()", a=3.0),
    _at("reuse", "a.exp() + a.exp()", "2 2", _EACH_RULE, "Value(1.0).exp()", a=0.0),
    _at("reuse", "a.log() + a.log()", "0 2", _EACH_RULE, "Value(1.0).log()", a=1.0),
    _at("reuse", "a.sqrt() + a.sqrt()", "4 0.5", _EACH_RULE, "Value(1.0).sqrt()", a=4.0),
    _at("reuse", "a.sin() + a.sin()", "0 2", _EACH_RULE, "Value(1.0).sin()", a=0.0),
    _at("reuse", "a.tanh() + a.tanh()", "0 2", _EACH_RULE, "Value(1.0).tanh()", a=0.0),
    _at("reuse", "a.sigmoid() + a.sigmoid()", "1 0.5", _EACH_RULE, "Value(1.0).sigmoid()", a=0.0),
    _at(
        "reuse", "(a * 2) + (b * 2)", "8 2 2",
        "Nodes with equal numbers are different nodes; a set of visited ones that goes by number drops the second.",
        a=2.0, b=2.0,
    ),
    Check(
        "reuse", "a short way and a long way",
        """
        x = Value(1.0)
        h = x * 2.0
        y = h * (h * 3.0)
        y.backward()
        print(y.data, x.grad)
        """,
        "12 24", "h passes its gradient on only when all of it has arrived: topological order, not breadth first.",
    ),
    Check(
        "reuse", "a random graph of 200 operations, against the derivative carried forwards",
        """
        import random
        rng = random.Random(0)
        x = Value(0.7)
        nodes = [(x, 1.0)]
        for _ in range(200):
            (a, da), (b, db) = rng.choice(nodes), rng.choice(nodes[-5:])
            nodes.append((a * b, da * b.data + a.data * db) if rng.random() < 0.5 else (a + b * 0.5, da + db * 0.5))
        y, dy = nodes[-1]
        y.backward()
        print(abs(x.grad / dy - 1) < 1e-9)
        """,
        "True", "Forwards and backwards give the same derivative on any graph without circles.",
    ),
    Check(
        "reuse", "a ladder of 60 steps, each used twice",
        """
        x = Value(1.0)
        y = x
        for _ in range(60):
            y = y + y
        y.backward()
        print(y.data, x.grad)
        """,
        "1152921504606846976 1152921504606846976",
        "There are 2^60 paths but 61 nodes: backward visits every node once.",
    ),
)  # fmt: skip

_BACKWARD = (
    Check(
        "backward", "the gradient before backward", "print(Value(2.0).grad)",
        "0", "Nothing has been differentiated yet.", others={"None": "as in torch"},
    ),
    Check(
        "backward", "a leaf that has no part in it",
        """
        x, other = Value(2.0), Value(3.0)
        (x * x).backward()
        print(other.grad)
        """,
        "0", "What is not used has the gradient 0.", others={"None": "as in torch"},
    ),
    Check(
        "backward", "backward of a leaf",
        """
        x = Value(2.0)
        x.backward()
        print(x.grad)
        """,
        "1", "∂x/∂x is 1.",
    ),
    Check(
        "backward", "the gradients in between",
        """
        x = Value(3.0)
        h = x * x
        y = h * 2.0
        y.backward()
        print(y.grad, h.grad, x.grad)
        """,
        "1 2 12", "Every node has ∂y/∂node.",
    ),
    Check(
        "backward", "backward changes no data",
        """
        x = Value(3.0)
        y = x * x
        y.backward()
        print(x.data, y.data)
        """,
        "3 9", "Only gradients change.",
    ),
    Check(
        "backward", "a leaf in two graphs",
        """
        w = Value(2.0)
        (w * w).backward()
        (w * 3.0).backward()
        print(w.grad)
        """,
        "7", "Leaves accumulate: the losses of a batch add up.", others={"3": _RESET},
    ),
    Check(
        "backward", "a second backward",
        """
        x = Value(3.0)
        y = (x * x) * 2.0
        y.backward()
        y.backward()
        print(x.grad)
        """,
        "24",
        "It adds the same gradient, 12, once more to the leaf. A node in between must begin at 0 again, or what it had "
        "is passed on twice, and the result is neither the sum nor the gradient.",
        others={"12": _RESET, "RuntimeError": "a graph can be used once, as in torch"},
    ),
    Check(
        "backward", "two results that share a node",
        """
        x = Value(3.0)
        h = x * x
        (h * 2.0).backward()
        (h * 5.0).backward()
        print(x.grad)
        """,
        "42", "The gradient of (h·2) + (h·5) with h = x². A node in between must begin at 0 again.",
        others={"30": _RESET, "RuntimeError": "a graph can be used once, as in torch"},
    ),
    Check(
        "backward", "backward again after the leaf's gradient is set to 0",
        """
        x = Value(3.0)
        y = (x * x) * 2.0
        y.backward()
        x.grad = 0.0
        y.backward()
        print(x.grad)
        """,
        "12", "Setting the gradients of the parameters to 0 is all that training does between two steps.",
        others={"RuntimeError": "a graph can be used once, as in torch"},
    ),
    Check(
        "backward", "zero_grad",
        """
        x = Value(3.0)
        (x * x).backward()
        x.zero_grad()
        print(x.grad)
        """,
        "0", "zero_grad undoes what has accumulated.", needs="Value(1.0).zero_grad()", others={"None": "as in torch"},
    ),
)  # fmt: skip

_HALVES = {"1 1 0": "the first operand gets all of it", "1 0 1": "the second operand gets all of it"}
_KINKS = (
    _at("kinks and poles", "a.relu()", "3 1", "The partial of relu is 1 above 0.", "Value(1.0).relu()", a=3.0),
    _at("kinks and poles", "a.relu()", "0 0", "The partial of relu is 0 below 0.", "Value(1.0).relu()", a=-3.0),
    _at(
        "kinks and poles", "a.relu()", "0 0", "At the kink the subgradient of least norm is 0.", "Value(1.0).relu()",
        {"0 0.5": "the mean of both slopes, as in HIPS autograd", "0 1": "the slope above"}, a=0.0,
    ),
    Check(
        "kinks and poles", "relu of nan", 'print(Value(float("nan")).relu().data)',
        "nan", "relu must not hide that a number went wrong.", needs="Value(1.0).relu()",
    ),
    _at(
        "kinks and poles", "abs(a)", "0 0", "At the kink the subgradient of least norm is 0.", "abs(Value(1.0))",
        {"0 1": "the slope above, as in jax", "0 -1": "the slope below"}, a=0.0,
    ),
    _at(
        "kinks and poles", "a.maximum(b)", "1 0.5 0.5", "At a tie, by symmetry, each gets a half.",
        "Value(1.0).maximum(Value(2.0))", _HALVES, a=1.0, b=1.0,
    ),
    _at(
        "kinks and poles", "a.minimum(b)", "1 0.5 0.5", "At a tie, by symmetry, each gets a half.",
        "Value(1.0).minimum(Value(2.0))", _HALVES, a=1.0, b=1.0,
    ),
    _at(
        "kinks and poles", "a.maximum(a)", "1 1", "maximum(a, a) is a.",
        "Value(1.0).maximum(Value(2.0))", a=1.0,
    ),
    _at(
        "kinks and poles", "a / b", "inf inf -inf", "1/0 is inf.", _DIV, {"ZeroDivisionError": _PYTHON}, a=1.0, b=0.0,
    ),
    _at(
        "kinks and poles", "a / b", "1 1e200 -1e200",
        "The slope along b is −(a/b)/b, which is a number; −a/b² overflows on the way.", _DIV,
        {"1 1e200 -inf": "the slope by −a/b², as in jax and HIPS autograd"}, a=1e-200, b=1e-200,
    ),
    _at(
        "kinks and poles", "a * b", "inf 1e200 1e200", "Overflow is inf; the gradients are still numbers.",
        a=1e200, b=1e200,
    ),
    _at(
        "kinks and poles", "a - a", "nan 0", "inf − inf is nan, but the slope 1 − 1 is 0.", _SUB, a=float("inf"),
    ),
    _at(
        "kinks and poles", '(a * float("inf")) * 0.0', "nan nan",
        "0·inf is nan: a zero gradient is carried on like any other, or a wrong graph looks healthy.", "",
        {"nan 0": "a gradient of 0 is not carried on"}, a=1.0,
    ),
    _at(
        "kinks and poles", "a.log()", "-inf inf", "The logarithm has a pole at 0.", "Value(1.0).log()",
        {"ValueError": _PYTHON}, a=0.0,
    ),
    _at(
        "kinks and poles", "a.log()", "nan nan", "A negative number has no real logarithm.", "Value(1.0).log()",
        {"ValueError": _REFUSES, "nan -1": "the rule 1/a goes on, as in torch and jax"}, a=-1.0,
    ),
    _at(
        "kinks and poles", "a.sqrt()", "0 inf", "√a is vertical at 0.", "Value(1.0).sqrt()",
        {"ZeroDivisionError": _PYTHON}, a=0.0,
    ),
    _at(
        "kinks and poles", "a.sqrt()", "nan nan", "A negative number has no real root.", "Value(1.0).sqrt()",
        {"ValueError": _REFUSES}, a=-1.0,
    ),
    _at(
        "kinks and poles", "a.exp()", "inf inf", "Overflow is inf.", "Value(1.0).exp()",
        {"OverflowError": _PYTHON}, a=710.0,
    ),
)  # fmt: skip


def _function(name: str, point: float, right: str, meaning: str, others: Mapping[str, str] | None = None) -> Check:
    return _at("functions", f"a.{name}()", right, meaning, f"Value(0.5).{name}()", others, a=point)


_FUNCTIONS = (
    _function("exp", 1.0, "2.718281828459045 2.718281828459045", "The derivative of e^a is e^a."),
    _function("log", 2.0, "0.6931471805599453 0.5", "The derivative of ln a is 1/a."),
    _function("sqrt", 4.0, "2 0.25", "The derivative of √a is 1/(2√a)."),
    _function("sin", 1.0, "0.8414709848078965 0.5403023058681398", "The derivative of sin is cos."),
    _function("cos", 1.0, "0.5403023058681398 -0.8414709848078965", "The derivative of cos is −sin."),
    _function("tanh", 0.5, "0.46211715726000973 0.7864477329659274", "The derivative of tanh is 1 − tanh²."),
    _function("sigmoid", 0.5, "0.6224593312018546 0.2350037122015945", "The derivative of σ is σ(a)·σ(−a)."),
    _function("softplus", 0.5, "0.9740769841801067 0.6224593312018546", "The derivative of softplus is σ."),
    _function("tanh", 1000.0, "1 0", "tanh is 1 here; a rule by way of e^(2a) overflows."),
    _function("tanh", -1000.0, "-1 0", "tanh is −1 here; a rule by way of e^(−2a) overflows."),
    _function(
        "tanh", 20.0, "1 1.6993417021166355e-17", "1/cosh²(a) is small, but not 0.",
        {"1 0": "1 − tanh² rounds to 0, as in torch and jax"},
    ),
    _function("sigmoid", -40.0, "4.248354255291589e-18 4.248354255291589e-18", "σ is small here, but not 0."),
    _function("sigmoid", -1000.0, "0 0", "σ is 0 here; a rule by way of e^(−a) overflows."),
    _function("sigmoid", 1000.0, "1 0", "σ is 1 here; a rule by way of e^a overflows."),
    _function(
        "sigmoid", 40.0, "1 4.248354255291589e-18", "σ(a)·σ(−a) is small, but not 0.",
        {"1 0": "σ·(1 − σ) rounds to 0, as in torch and jax"},
    ),
    _function("softplus", 1000.0, "1000 1", "ln(1 + e^a) is a here; e^a overflows."),
    _function(
        "softplus", -40.0, "4.248354255291589e-18 4.248354255291589e-18", "ln(1 + e^a) is small here, but not 0.",
        {"0 4.248354255291589e-18": "the value by way of 1 + e^a rounds to 0"},
    ),
)  # fmt: skip

_SIZE = (
    Check(
        "size", "a chain of 1,200 operations",
        """
        x = Value(1.0)
        y = x
        for _ in range(1200):
            y = y + 1.0
        y.backward()
        print(y.data, x.grad)
        """,
        "1201 1", "Networks in time and long sums are this deep. A walk that recurses ends at Python's limit of 1,000.",
    ),
    Check(
        "size", "a chain of 100,000 operations, and its end",
        """
        x = Value(1.0)
        y = x
        for _ in range(100_000):
            y = y + 1.0
        y.backward()
        grad = x.grad
        del x, y
        print(grad)
        """,
        "1", "Recording, the walk and freeing the nodes are all linear in their number, and none of them recurses.",
    ),
    Check(
        "size", "one leaf used 10,000 times",
        """
        x = Value(1.0)
        terms = [x * i for i in range(10_000)]
        while len(terms) > 1:
            terms = [a + b for a, b in zip(terms[::2], terms[1::2])] + terms[len(terms) // 2 * 2:]
        terms[0].backward()
        print(x.grad)
        """,
        "49995000", "10,000 paths, none of them long.",
    ),
    Check(
        "size", "repr at the end of a long chain",
        """
        y = Value(1.0)
        for _ in range(5000):
            y = y * 1.0
        print(len(repr(y)) < 1000)
        """,
        "True", "repr shows one number, and doesn't walk the graph: a debugger calls it all the time.",
    ),
)  # fmt: skip

_OBJECTS = (
    Check(
        "objects", "+= makes a new node",
        """
        a = Value(2.0)
        b = a
        b += 1.0
        print(a.data, b.data, a is b)
        """,
        "2 3 False", "A number that was recorded with must not change under other names.",
    ),
    Check(
        "objects", "y += y * x in a loop",
        """
        x = Value(2.0)
        y = x
        for _ in range(3):
            y += y * x
        y.backward()
        print(y.data, x.grad)
        """,
        "54 81", "The gradient of x·(1 + x)³.",
    ),
    Check(
        "objects", "changing data after it was used",
        """
        x = Value(3.0)
        y = (x * x) * x
        x.data = 10.0
        y.backward()
        print(y.data, x.grad)
        """,
        "27 27",
        "Partials belong to the numbers they were recorded from. Rules that read .data in backward mix old and new "
        "numbers, and give the gradient at neither point.",
        others={
            "AttributeError": "data can't be changed",
            "27 300": "the whole graph is computed anew for the gradient",
            "RuntimeError": "says that it was changed, as torch does",
        },
    ),
    Check(
        "objects", "the operands of a + a",
        """
        a = Value(3.0)
        y = a + a
        print(len(y.parents if hasattr(y, "parents") else y._prev))
        """,
        "2", "A graph has two edges here; a set keeps one, and a drawing or a count made from it is wrong.",
        needs='y = Value(1.0) + Value(2.0); len(y.parents if hasattr(y, "parents") else y._prev)',
    ),
    Check(
        "objects", "the order of operands",
        """
        values = [Value(float(i)) for i in range(100)]
        products = [a * b for a, b in zip(values, values[1:])]
        kept = [list(y.parents if hasattr(y, "parents") else y._prev) for y in products]
        print(all(p[0] is a and p[1] is b for p, a, b in zip(kept, values, values[1:])))
        """,
        "True", "Operands come in the order they were written in.",
        needs='y = Value(1.0) + Value(2.0); len(y.parents if hasattr(y, "parents") else y._prev)',
        others={"False": "a set keeps no order; nobody can draw or replay the expression as it was written"},
    ),
    Check(
        "objects", "nodes die with their last reference",
        """
        import gc
        gc.collect()
        gc.disable()
        x = Value(2.0)
        y = (x * x + x) * 3.0
        y.backward()
        gc.collect()
        del y
        print("objects that only the cycle collector finds:", gc.collect())
        """,
        "objects that only the cycle collector finds: 0",
        "Reference cycles keep every graph in memory until the collector runs, which then costs more than backward.",
    ),
    Check(
        "objects", "nobody else keeps nodes",
        """
        import gc
        x = Value(2.0)
        for _ in range(100):
            (x * x + x).backward()
        gc.collect()
        print("Values left:", sum(isinstance(o, Value) for o in gc.get_objects()))
        """,
        "Values left: 1", "A list of all nodes somewhere grows until the memory is full.",
        others={"Values left: 0": "Values can't be seen by the collector"},
    ),
    Check(
        "objects", "the same bits every time, in every process",
        """
        kept = []
        def gradients():
            xs = [Value(0.1 * 1.7**i) for i in range(20)]
            terms = [xs[i % 20] * xs[i * 7 % 19] * (0.3 + 1e-3 * i) for i in range(256)]
            while len(terms) > 1:
                terms = [a * 0.7 + b for a, b in zip(terms[::2], terms[1::2])]
            (terms[0] * terms[0]).backward()
            kept.append(terms)
            return " ".join(float(x.grad).hex() for x in xs)
        print(*{gradients() for _ in range(20)})
        """,
        None, "Sums in the order of a set depend on addresses or hash seeds; then no run can be repeated.",
    ),
    Check(
        "objects", "nothing is printed",
        """
        import contextlib, io
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            x = Value(2.0)
            y = x * x + 1.0
            y.backward()
        print(ascii(printed.getvalue()))
        """,
        "''", "What an engine prints gets mixed up with what its user prints.",
    ),
    Check(
        "objects", "equal numbers are different Values", "print(len({Value(1.0), Value(1.0)}))",
        "2", "Values are variables, not numbers; a set of visited nodes must tell them apart.",
        others={"TypeError": "Values can't be in a set or be keys"},
    ),
    Check(
        "objects", "comparison",
        "print(Value(1.0) < Value(2.0), Value(1.0) < 0.5, 3 > Value(1.0))",
        "True False True", "Comparing compares data.", needs="Value(1.0) < Value(2.0)",
    ),
    Check(
        "objects", "the truth of a Value",
        """
        try:
            print(bool(Value(0.0)))
        except TypeError:
            print("refused")
        """,
        "refused", "`if loss:` is hardly ever what was meant.",
        others={"True": "every Value is true, Value(0.0) too", "False": "the number decides"},
    ),
    Check(
        "objects", "float() of a Value",
        """
        try:
            print(float(Value(2.0)))
        except TypeError:
            print("refused")
        """,
        "refused", "math.exp(v) calls float(v), and would drop the gradient without a word.",
        others={"2": "math.exp(v) and the like work, and drop the gradient"},
    ),
)  # fmt: skip

_BAD_INPUT = (
    Check(
        "bad input", "Value of what is no number",
        """
        taken = []
        for bad in ("2", None, 1j, [1.0], {}, len):
            try:
                Value(bad)
                taken.append(bad)
            except (TypeError, ValueError):
                pass
        print(taken)
        """,
        "[]", "TypeError or ValueError here, where the mistake is; else it shows far away, or never.",
    ),
    Check(
        "bad input", "+ and * with what is no number",
        """
        taken = []
        for bad in ("2", None, 1j, [1.0], {}, len):
            for operation in (lambda: Value(2) + bad, lambda: Value(2) * bad, lambda: bad * Value(2)):
                try:
                    operation()
                    taken.append(bad)
                except (TypeError, ValueError):
                    pass
        print(taken)
        """,
        "[]", "TypeError or ValueError here, where the mistake is; else it shows far away, or never.",
    ),
    Check(
        "bad input", "** with what is no number",
        """
        taken = []
        for bad in ("2", None, 1j, [1.0], {}, len):
            try:
                Value(2.0) ** bad
                taken.append(bad)
            except (TypeError, ValueError):
                pass
        print(taken)
        """,
        "[]", "TypeError or ValueError here; an assert is gone under python -O.", needs=_POW,
    ),
)  # fmt: skip

CHECKS = _ARITHMETIC + _POWERS + _REUSE + _BACKWARD + _KINKS + _FUNCTIONS + _SIZE + _OBJECTS + _BAD_INPUT
"""All of them, in the order they are reported in."""
