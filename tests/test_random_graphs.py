"""Random graphs with shared nodes, over the rows of the table, against differences of their definitions.

The reference knows no derivative rule and no chain rule: it evaluates the whole expression with 80 digits at points a
little apart. The engine may be off by 1e-12 of the answer or, where the problem itself is worse conditioned, of its
scale: how far the answer moves, to first order, when the intermediate results are off by a part of themselves, as
rounding makes them, plus the sum over all paths of the absolute product of partials, which may cancel in the answer.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Value
from tests.reference import REFERENCES, flat, like, mp

RTOL = 1e-12
DIGITS = 80
STEP = mp.mpf("1e-20")  # of a difference: leaves 40 digits in a second one
REFERENCE_ERROR = mp.mpf("1e-30")
WOBBLE = mp.mpf("1e-10")  # of an intermediate result; the scale need not be known better
MARGIN = 0.05  # how far operands keep from kinks and from the ends of domains
LARGEST_RESULT = 1e3

OPERATORS = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "pos": operator.pos, "abs": operator.abs, "power": operator.pow, "pow": operator.pow,
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """The number of an input or of an earlier result; any other operand is a constant."""

    index: int


class Step(NamedTuple):
    """One operation; its operands are nodes and floats, or tuples of them."""

    name: str
    operands: tuple[Any, ...]


class Program(NamedTuple):
    """Inputs, and the steps after them; the last step gives the result."""

    inputs: list[Any]
    steps: list[Step]

    def moved(self, direction: list[float], by: Any) -> "Program":
        return self._replace(inputs=[mp.mpf(x) + by * d for x, d in zip(self.inputs, direction, strict=True)])

    def axis(self, i: int) -> list[float]:
        return [float(k == i) for k in range(len(self.inputs))]


def operands_of(step: Step, values: list[Any], convert: Callable[[float], Any] = mp.mpf) -> list[Any]:
    return [values[v.index] if isinstance(v, Node) else convert(v) for v in flat(step.operands)]


# ---- the reference ------------------------------------------------------------------------------------------


def define(step: Step, numbers: list[Any]) -> Any:
    """Return the result of one step on flat operands, by its definition."""
    return REFERENCES[step.name].value(*like(step.operands, numbers))


def result(program: Program, wobbling: int | None = None) -> Any:
    """Return the result; if asked, with one of the intermediate results off by a part of itself."""
    values = list(map(mp.mpf, program.inputs))
    for step in program.steps:
        values.append(define(step, operands_of(step, values)))
        if wobbling == len(values) - 1:
            values[-1] *= 1 + WOBBLE
    return values[-1]


def slope(program: Program, direction: list[float], wobbling: int | None = None) -> Any:
    """Return the derivative of the result along a direction of the inputs."""
    ahead, behind = (result(program.moved(direction, by), wobbling) for by in (STEP, -STEP))
    return (ahead - behind) / (2 * STEP)


def curvature(program: Program, first: list[float], second: list[float], wobbling: int | None = None) -> Any:
    """Return the derivative along one direction of the slope along another."""
    ahead, behind = (slope(program.moved(first, by), second, wobbling) for by in (STEP, -STEP))
    return (ahead - behind) / (2 * STEP)


def motion(program: Program, answer: Callable[..., Any], *args: Any) -> Any:
    """Return how far an answer moves when every intermediate result is off by a part of itself."""
    right = answer(program, *args)
    nodes = range(len(program.inputs), len(program.inputs) + len(program.steps))
    return mp.fsum(abs(answer(program, *args, wobbling=k) - right) / WOBBLE for k in nodes)


def flow(program: Program, i: int) -> Any:
    """Return the sum, over all paths from an input to the result, of the absolute product of partials."""
    values, flows = list(map(mp.mpf, program.inputs)), list(map(mp.mpf, program.axis(i)))
    for step in program.steps:
        numbers = operands_of(step, values)
        total = mp.mpf(0)
        for k, operand in enumerate(flat(step.operands)):
            if isinstance(operand, Node):
                ahead, behind = (
                    define(step, [*numbers[:k], numbers[k] + by, *numbers[k + 1 :]]) for by in (STEP, -STEP)
                )
                total += abs(ahead - behind) / (2 * STEP) * flows[operand.index]
        flows.append(total)
        values.append(define(step, numbers))
    return flows[-1]


# ---- drawing programs -----------------------------------------------------------------------------------------


def shape(row: al.Op) -> str:
    """Spell a row's operands: x a number, c a constant, m many."""
    return "".join("c" if d.constant else "m" if d.many else "x" for d in row.domain)


# Every row but pow_partial (xxcc), which takes part in second derivatives and is itself defined by a difference.
SHAPES = [s for s, often in {"x": 8, "xx": 6, "m": 3, "mm": 2, "mmx": 2, "xc": 2, "cx": 1, "xm": 1, "xxx": 1}.items()
          for _ in range(often)]  # fmt: skip
ROWS = {s: [row.name for row in al.TABLE.values() if shape(row) == s and row.name in REFERENCES] for s in SHAPES}


def fits(row: al.Op, operands: tuple[Any, ...]) -> bool:
    """Say whether operands are within the row's domain and off its kinks, by a margin.

    The derivative by the exponent is not real where the base is negative.
    """
    if row is al.pow and operands[0] < MARGIN:
        return False
    for x, d in zip(operands, row.domain, strict=True):
        if not d.constant and not all(d.low + MARGIN <= v <= d.high - MARGIN for v in (x if d.many else (x,))):
            return False
    return row.kinks is None or all(abs(distance) > MARGIN for distance in row.kinks(*operands))


@st.composite
def programs(draw: st.DrawFn, max_steps: int = 12) -> Program:
    """Draw programs that mostly use recent results, often more than once, and whose every step is defined."""
    inputs = draw(st.lists(st.floats(0.1, 3.0) | st.floats(-3.0, -0.1), min_size=1, max_size=4))
    values, steps = list(map(mp.mpf, inputs)), []
    for _ in range(draw(st.integers(2, max_steps))):
        recent = [Node(k) for k in range(len(values))][:-7:-1]
        node = st.sampled_from(recent)
        operand = st.sampled_from([*recent, *recent, 2.0, 0.5, -1.5])
        constant = st.sampled_from([2.0, 1.0, 3.0])
        spelling = draw(st.sampled_from(SHAPES))
        more = draw(st.integers(0, 2))
        operands = tuple(
            draw(constant) if c == "c"
            else draw(st.tuples(node, *[operand] * more)) if c == "m"
            else draw(operand if "x" in spelling[:k] else node)
            for k, c in enumerate(spelling)
        )  # fmt: skip
        numbers = like(operands, map(float, operands_of(Step("", operands), values)))
        fitting = [name for name in ROWS[spelling] if fits(al.TABLE[name], numbers)]
        step = Step("atan", (draw(node),))  # where nothing else is defined or small enough
        if fitting:
            wanted = Step(draw(st.sampled_from(fitting)), operands)
            z = define(wanted, operands_of(wanted, values))
            if not mp.im(z) and abs(z) <= LARGEST_RESULT:
                step = wanted
        steps.append(step)
        values.append(mp.re(define(step, operands_of(step, values))))
    return Program(inputs, steps)


# ---- the engine ---------------------------------------------------------------------------------------------


def run(program: Program, inputs: list[Any]) -> Any:
    """Return the result by the engine, with operators where there are any."""
    values = list(inputs)
    for step in program.steps:
        operation = OPERATORS.get(step.name, al.TABLE[step.name])
        values.append(operation(*like(step.operands, operands_of(step, values, float))))
    return values[-1]


def agree(got: float, wanted: Any, scale: Callable[[], Any]) -> bool:
    """Say whether got is as near as rounding allows; the scale is costly, and asked only if need be."""
    error = abs(mp.mpf(got) - wanted)
    return bool(error <= RTOL * abs(wanted) + REFERENCE_ERROR or error <= RTOL * scale())


def test_the_reference_is_right():
    x = Node(0)
    program = Program(
        [0.5], [Step("mul", (x, x)), Step("exp", (Node(1),)), Step("sum", ((x, Node(2), x),))]
    )  # e^x² + 2x
    with mp.workdps(DIGITS):
        e = mp.exp(mp.mpf("0.25"))
        assert mp.almosteq(result(program), e + 1, 1e-70)
        assert mp.almosteq(slope(program, [1.0]), e + 2, 1e-35)
        assert mp.almosteq(curvature(program, [1.0], [2.0]), 6 * e, 1e-30)
        assert mp.almosteq(flow(program, 0), e + 2, 1e-35)
        assert mp.almosteq(motion(program, result), 0.25 * e + e + (e + 1), 1e-8)


def test_a_rule_that_is_wrong_in_the_tenth_digit_is_found(monkeypatch):
    program = Program([0.5], [Step("mul", (Node(0), Node(0))), Step("sin", (Node(1),)), Step("exp", (Node(2),))])
    wrong = al.Op("sin", "sin", al.sin.value, lambda z, x: ((1.0 + 1e-10) * al.cos(x),))
    with mp.workdps(DIGITS):
        wanted = slope(program, [1.0])
        scale = motion(program, slope, [1.0]) + flow(program, 0)
        assert agree(al.grad(lambda x: run(program, [x]))(0.5), wanted, lambda: scale)
        monkeypatch.setitem(al.TABLE, "sin", wrong)
        assert not agree(al.grad(lambda x: run(program, [x]))(0.5), wanted, lambda: scale)


@settings(max_examples=250)
@given(programs())
def test_values(program):
    got = run(program, program.inputs)
    assert run(program, list(map(Value, program.inputs))).data == got
    with mp.workdps(DIGITS):
        assert agree(got, result(program), lambda: motion(program, result))


@settings(max_examples=500)
@given(programs())
def test_gradients(program):
    xs = list(map(Value, program.inputs))
    y = run(program, xs)
    y.backward()
    assert al.gradients(y, xs) == [x.grad for x in xs]
    with mp.workdps(DIGITS):
        for i, x in enumerate(xs):
            axis = program.axis(i)
            assert agree(x.grad, slope(program, axis), lambda: motion(program, slope, axis) + flow(program, i)), i  # noqa: B023


@settings(max_examples=200)
@given(programs(max_steps=8), st.lists(st.sampled_from([1.0, -0.5, 2.0]), min_size=4, max_size=4))
def test_products_with_a_direction(program, direction):
    direction = direction[: len(program.inputs)]
    forward = al.jvp(lambda v: run(program, v), program.inputs, direction)
    product = al.hvp(lambda v: run(program, v), program.inputs, direction)
    with mp.workdps(DIGITS):
        axes = [program.axis(i) for i in range(len(program.inputs))]
        paths = [abs(d) * flow(program, i) for i, d in enumerate(direction)]
        assert agree(forward, slope(program, direction), lambda: motion(program, slope, direction) + mp.fsum(paths))
        for got, axis in zip(product, axes, strict=True):
            args = (program, curvature, direction, axis)
            scale = lambda: motion(*args) + mp.fsum(paths)  # noqa: B023, E731 (x/x is 1 whatever x: nothing moves)
            assert agree(got, curvature(program, direction, axis), scale), axis
