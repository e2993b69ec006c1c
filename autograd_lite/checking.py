"""Check derivatives against differences, and say of each: right, wrong and whose fault, or why nobody can tell.

Three witnesses are heard. The whole function is differenced, clear of kinks and of the borders of domains, which are
looked at, not hoped for. Every operation is differenced by itself, so that a wrong rule is found by name; where each
is right, and the sweep forwards agrees with the sweep backwards, the chain rule does the rest. And the remainder of
the linear approximation must fall with the square of the distance.
"""

from __future__ import annotations

import enum
import math
import reprlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from random import Random
from typing import Any, NamedTuple

from .compiler import CompiledFunction
from .differences import EPSILON
from .evidence import Evidence, Path, examine, passing
from .graph import topological_order
from .op import number
from .ops import TABLE
from .subjects import Subject, foreign, numbers_of, places, recorded, traced
from .value import Value

__all__ = ["Partial", "Report", "Verdict", "gradcheck"]

_MOST_SHOWN = 20
_MOST_ALONE = 256  # operands of one operation that are moved one by one; more are moved together, in blocks


class Verdict(enum.StrEnum):
    """What is to be said of a partial derivative.

    >>> Verdict.KINK
    <Verdict.KINK: 'KINK'>
    """

    CORRECT = "CORRECT"
    WRONG = "WRONG"
    KINK = "KINK"
    DOMAIN = "DOMAIN"
    ILL_CONDITIONED = "ILL_CONDITIONED"


@dataclass(frozen=True)
class Partial:
    """The verdict on one partial derivative, with its evidence.

    Attributes:
        name: which, `∂y/∂x`.
        verdict: what is to be said of it.
        got: what was to be checked.
        expected: what differences give, nan where they give nothing.
        error: the differences' own estimate of their error.
        sides: the slopes on the left and on the right, at a kink.
        node: the node to blame, if there is one: its rule is wrong, or it sits on a kink.
        why: the verdict in words.
    """

    name: str
    verdict: Verdict
    got: float
    expected: float = math.nan
    error: float = math.inf
    sides: tuple[float, float] | None = None
    node: Value | None = None
    why: str = ""

    def __str__(self) -> str:
        seen = f"differences: {self.expected:.9g} ± {self.error:.1g}" if math.isfinite(self.error) else ""
        if self.sides is not None:
            seen = f"slopes: {self.sides[0]:.6g} on the left, {self.sides[1]:.6g} on the right"
        return "; ".join(part for part in (f"{self.name} = {self.got:.9g}  {self.verdict}", seen, self.why) if part)


@dataclass(frozen=True, repr=False)
class Report:
    """What `gradcheck` found; true if every partial is correct, and printed by `assert` if not.

    Attributes:
        partials: the verdict on each partial derivative, output by output.
        rate: how fast the remainder of the linear approximation falls with the distance: 2 for a right gradient of a
            smooth function, 1 for a wrong one; nan where the remainder is too small to be seen.
        sweeps: how far the sweep forwards and the sweep backwards are apart, relative to the terms they add; nan if
            there is no graph to sweep.

    >>> report = gradcheck(lambda x: x * x, 3.0)
    >>> bool(report), report.partials[0].verdict.name
    (True, 'CORRECT')
    """

    partials: tuple[Partial, ...]
    rate: float
    sweeps: float

    def __bool__(self) -> bool:
        return all(partial.verdict is Verdict.CORRECT for partial in self.partials)

    @property
    def wrong(self) -> tuple[Partial, ...]:
        """Those that are certainly wrong.

        >>> gradcheck(lambda x: abs(x), 0.0).wrong
        ()
        """
        return tuple(partial for partial in self.partials if partial.verdict is Verdict.WRONG)

    def __repr__(self) -> str:
        counts = {verdict: sum(p.verdict is verdict for p in self.partials) for verdict in Verdict}
        found = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        worst = [Verdict.WRONG, Verdict.ILL_CONDITIONED, Verdict.DOMAIN, Verdict.KINK, Verdict.CORRECT]
        lines = [str(p) for p in sorted(self.partials, key=lambda p: worst.index(p.verdict))]
        if len(lines) > _MOST_SHOWN:
            lines[_MOST_SHOWN:] = [f"… {len(lines) - _MOST_SHOWN} more"]
        rate = "too small to be seen" if math.isnan(self.rate) else f"falls as distance^{self.rate:.2f}"
        sweeps = "" if math.isnan(self.sweeps) else f"; forwards against backwards: {self.sweeps:.1g}"
        return "\n  ".join([f"gradcheck: {found}", *lines, f"remainder of the linear approximation: {rate}{sweeps}"])


def gradcheck(
    f: Value | Callable[..., Any],
    *xs: Any,
    order: int = 1,
    rtol: float = 1e-8,
    gradient: Callable[..., Any] | None = None,
) -> Report:
    """Check the derivatives of f at a point, and tell of each whether it is right.

    A partial is CORRECT; or WRONG, with the operation whose rule is to blame where there is one; or at a KINK, where
    the slopes on both sides differ; or outside of the DOMAIN, or at its border; or ILL_CONDITIONED, where rounding
    hides it from every method of float64.

    Args:
        f: a function of numbers or of lists of numbers, which gives a number or a list of them; an operation; a
            compiled function; or a recorded Value.
        xs: the point: the arguments of f. For a recorded Value the nodes to differentiate by, by default its leaves.
        order: 1 to 3: which derivatives to check. The derivatives of order 2 are those of the gradient.
        rtol: how right a derivative must be, relatively.
        gradient: the gradient to check, as a function of the same arguments that gives a number, or a list as long as
            there are numbers in them; f is then any function of floats, such as a compiled one with its `f.grad`. By
            default the engine's own.

    Raises:
        TypeError: f is neither, or gives something else than numbers, or so does `gradient`.
        ValueError: order is not 1, 2 or 3, rtol not between 0 and 1, no x is given, or the data of a recorded Value
            was changed.

    >>> import autograd_lite as al
    >>> gradcheck(lambda x, y: al.tanh(x * y), 0.5, 2.0)
    gradcheck: 2 CORRECT
      ∂f/∂x = 0.839948683  CORRECT; differences: 0.839948683 ± 2e-14
      ∂f/∂y = 0.209987171  CORRECT; differences: 0.209987171 ± 6e-15
      remainder of the linear approximation: falls as distance^2.00; forwards against backwards: 5e-17
    >>> cube = al.Op("cube", "x³", lambda x: x**3, lambda z, x: (2 * al.square(x),))
    >>> print(gradcheck(cube, 2.0).wrong[0].why)
    the rule of cube gives 8 for its operand x1; it should give 12
    >>> print(gradcheck(al.relu, 0.0).partials[0].why)
    relu(0) is on its kink
    """
    if order not in (1, 2, 3):
        raise ValueError(f"gradcheck goes from order 1 to order 3, not {reprlib.repr(order)}")
    rtol = number(rtol, "rtol")
    if not 0.0 < rtol < 1.0:
        raise ValueError(f"rtol must lie between 0 and 1, as 1e-8 does, not {rtol}")
    if isinstance(f, CompiledFunction) and gradient is None:
        gradient = f.grad
    if gradient is not None and not callable(gradient):
        raise TypeError(f"gradient= must be a function of the same arguments as f, not {reprlib.repr(gradient)}")
    if isinstance(f, Value):
        if gradient is not None:
            raise TypeError("gradient= is for a function; a recorded Value has its own")
        return _Check(recorded(f, xs, order), rtol).report()
    if not callable(f):
        raise TypeError(f"gradcheck takes a function or a recorded Value, not {reprlib.repr(f)}")
    if not xs:
        raise ValueError("gradcheck needs the point to check at: gradcheck(f, 1.0) or gradcheck(f, [1.0, 2.0])")
    if gradient is not None:
        if order != 1:
            raise ValueError("gradient= is checked itself; to check a second derivative, let f be the gradient")
        return _Check(foreign(f, gradient, xs), rtol).report()
    return _Check(traced(f, xs, order), rtol).report()


# ---- the verdicts ---------------------------------------------------------------------------------------------------


class _Check:
    """Hear the witnesses on a subject, and write the report."""

    def __init__(self, subject: Subject, rtol: float) -> None:
        self.subject, self.rtol = subject, rtol
        self.order = topological_order(*subject.outputs)
        self.sweeps = _Sweeps(subject, self.order)
        self.findings = _findings(subject, self.order, rtol)

    def report(self) -> Report:
        columns = [self._column(k) for k in range(len(self.subject.point))]
        partials = tuple(column[j] for j in range(len(self.subject.claimed)) for column in columns)
        return Report(partials, _rate(self.subject), self.sweeps.apart)

    def _column(self, k: int) -> list[Partial]:
        """Return the verdict on the partial of each output by input k."""
        subject, x = self.subject, self.subject.point[k]
        claimed = [row[k] for row in subject.claimed]
        values, _ = subject.at({})
        evidence = [Evidence("border")] * len(claimed)
        if all(map(math.isfinite, (x, *values))):
            slack = [16.0 * EPSILON * row[k] for row in self.sweeps.sizes]
            opaque = not self.order or any(map(_may_hide_a_kink, self.order))
            evidence = examine(lambda moved: subject.at({k: moved}), x, claimed, slack, self.rtol, opaque)
        return [self._partial(j, k, found) for j, found in enumerate(evidence)]

    def _partial(self, j: int, k: int, evidence: Evidence) -> Partial:
        verdict, why, node = self._verdict(j, k, evidence)
        slope = evidence.slope
        got = self.subject.claimed[j][k]
        return Partial(self.subject.names[j][k], verdict, got, slope.value, slope.error, evidence.sides, node, why)

    def _verdict(self, j: int, k: int, evidence: Evidence) -> tuple[Verdict, str, Value | None]:
        says = evidence.says
        findings = {finding.evidence.says: finding for finding in reversed(self.findings) if (j, k) in finding.concerns}
        if wrong := findings.get("wrong") or findings.get("outside"):
            return Verdict.WRONG, str(wrong), wrong.node
        if says == "border" or not math.isfinite(self.subject.claimed[j][k]):
            node = _first_bad(self.subject, j, k)
            if node is None and says == "wrong":
                return Verdict.WRONG, "the slope is finite here", None
            return Verdict.DOMAIN, _why_bad(node), node
        if says in ("kink", "outside"):
            kink = findings.get("kink")
            node = kink and kink.node
            if says == "outside" and not self.order:
                return Verdict.WRONG, "it lies beside the slopes on the two sides", None
            if says == "outside" and self._is_of_a_rule(node):
                return Verdict.WRONG, *self._blamed_rule()
            return Verdict.KINK, str(kink or "the slopes on the two sides differ"), node
        hidden = findings.get("unresolved")
        if says == "wrong":
            why, node = self._blamed_rule() if self.order else ("", None)
            if node is not None or hidden is None or not self.sweeps.agree:
                return Verdict.WRONG, why, node
            return Verdict.ILL_CONDITIONED, f"{hidden}, and from differences of the whole, too", hidden.node
        if says == "right":
            return Verdict.CORRECT, "", None
        if (
            self.order
            and hidden is None
            and self.sweeps.agree
            and evidence.slope.error <= 1e-3 * self.sweeps.sizes[j][k]
        ):
            return Verdict.CORRECT, "as each of its operations is; differences of the whole are too coarse", None
        seen = f"differences tell it to ± {evidence.slope.error:.1g} only, as rounding drowns the rest"
        return Verdict.ILL_CONDITIONED, f"{hidden}: {seen}" if hidden else seen, hidden and hidden.node

    def _is_of_a_rule(self, node: Value | None) -> bool:
        """Say whether a node was made by a rule, for a derivative: the user's function does not have its kink."""
        return node is not None and node not in set(topological_order(*self.subject.results))

    def _blamed_rule(self) -> tuple[str, Value | None]:
        """Say what is to blame where each operation of the graph is right, and the whole is not."""
        if not self.sweeps.agree:
            return "the sweep backwards does not give what the sweep forwards gives", None
        made = [node for node in topological_order(*self.subject.results) if node.op is not None]
        order = self.subject.order
        for node in made if order > 1 else ():
            op: Any = node.op
            if len(made) == 1 or gradcheck(op, *numbers_of(node.operands), order=order, rtol=self.rtol).wrong:
                return f"the rule of {op.name} has a wrong derivative of order {order - 1}", node
        return "each operation's rule is right, so something is computed that is not recorded (.data, math.…)", None


# ---- the witnesses -----------------------------------------------------------------------------------------------


class _Sweeps:
    """Carry derivatives forwards and sizes backwards, to see how well the sweep is right and conditioned.

    Attributes:
        apart: how far the two sweeps are apart, relative to the sum of the sizes of all paths; nan without a graph.
        sizes: for each output and input, the sum of |product of partials| over all paths between them.
    """

    def __init__(self, subject: Subject, order: list[Value]) -> None:
        if not order:
            self.apart, self.sizes = math.nan, [[0.0] * len(row) for row in subject.claimed]
            return
        direction = dict(zip(subject.inputs, _direction(len(subject.inputs)), strict=True))
        tangents = dict(direction)
        for node in order:
            if node not in direction:
                edges = zip(node.parents, node.partials, strict=True)
                tangents[node] = sum(partial * tangents[parent] for parent, partial in edges)
        self.apart, self.sizes = 0.0, []
        for y, row in zip(subject.outputs, subject.claimed, strict=True):
            sizes = _sizes(y, direction)
            self.sizes.append([sizes.get(x, 0.0) for x in direction])
            backwards = sum(d * v for d, v in zip(row, direction.values(), strict=True))
            apart = abs(backwards - tangents[y]) / (sum(self.sizes[-1]) or 1.0)
            self.apart = max(self.apart, apart if math.isfinite(apart) else 0.0)  # nan is told of as such

    @property
    def agree(self) -> bool:
        return self.apart < 1e-12


def _sizes(y: Value, inputs: Collection[Value]) -> dict[Value, float]:
    sizes = {y: 1.0}
    for node in reversed(topological_order(y)):
        if node not in inputs:
            for parent, partial in zip(node.parents, node.partials, strict=True):
                sizes[parent] = sizes.get(parent, 0.0) + abs(partial) * sizes[node]
    return sizes


def _direction(count: int) -> list[float]:
    """Return a direction that is nearly always in general position, and always the same."""
    rng = Random(count)
    return [rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 1.0) for _ in range(count)]


def _rate(subject: Subject) -> float:
    """Return the exponent with which |f(x + hv) − f(x) − h ∇f·v| falls with h: the median over h and outputs."""
    point = subject.point
    direction = [v * max(abs(x), 1.0) for v, x in zip(_direction(len(point)), point, strict=True)]
    slopes = [sum(d * v for d, v in zip(row, direction, strict=True)) for row in subject.claimed]
    base, _ = subject.at({})
    remainders = []
    for h in [2.0**-p for p in range(4, 12)]:
        try:
            there, _ = subject.at({k: x + h * v for k, (x, v) in enumerate(zip(point, direction, strict=True))})
        except (ArithmeticError, ValueError):
            continue
        remainders.append([abs(a - b - h * slope) for a, b, slope in zip(there, base, slopes, strict=True)])
    noise = [1e4 * EPSILON * max(abs(b), abs(slope) / 64.0) for b, slope in zip(base, slopes, strict=True)]
    rates = [
        math.log2(coarse / fine)
        for before, after in pairwise(remainders)
        for coarse, fine, least in zip(before, after, noise, strict=True)
        if math.isfinite(coarse) and min(coarse, fine) > least
    ]
    return sorted(rates)[len(rates) // 2] if rates else math.nan


# ---- the operations one by one -------------------------------------------------------------------------------------


class _Finding(NamedTuple):
    """What is to be said of the rule of one operation for one of its parents.

    `concerns` are the places of the outputs and inputs between which it lies.
    """

    node: Value
    position: int
    evidence: Evidence
    concerns: Collection[tuple[int, int]]

    def __str__(self) -> str:
        op: Any = self.node.op
        if self.evidence.says == "kink":
            return f"{_call(self.node)} is on its kink"
        if self.evidence.says not in ("wrong", "outside"):
            return f"{_call(self.node)} hides it in its rounding"
        low, high = self.evidence.sides or (self.evidence.slope.value,) * 2
        wanted = f"{low:.9g}" if low == high else f"{low:.6g} to {high:.6g}"
        which = self.node.parents[self.position].name or f"number {self.position + 1}"
        got = self.node.partials[self.position]
        return f"the rule of {op.name} gives {got:.9g} for its operand {which}; it should give {wanted}"


def _findings(subject: Subject, order: list[Value], rtol: float) -> list[_Finding]:
    """Return all operations that depend on an input, and of which there is more to say than that they are right."""
    moving = set(subject.inputs)
    found: list[_Finding] = []
    for node in order:
        if node in moving or moving.isdisjoint(node.parents):
            continue
        moving.add(node)
        positions = [i for i, parent in enumerate(node.parents) if parent in moving]
        for position, evidence in _examine_node(node, positions, rtol):
            if evidence.says != "right":
                inputs, outputs = _ends(subject, node, position)
                found.append(_Finding(node, position, evidence, set(product(outputs, inputs))))
    return found


def _ends(subject: Subject, node: Value, position: int) -> tuple[list[int], list[int]]:
    """Return the places of the inputs before a node, and of the outputs behind it."""
    before = set(topological_order(node.parents[position]))
    inputs = [k for k, x in enumerate(subject.inputs) if x in before]
    return inputs, [j for j, y in enumerate(subject.outputs) if node in set(topological_order(y))]


def _examine_node(node: Value, positions: list[int], rtol: float) -> Iterator[tuple[int, Evidence]]:
    """Compare the partials of one operation with differences of its value rule."""
    size = 1 if len(positions) <= _MOST_ALONE else math.ceil(len(positions) / 64)
    blocks = [positions[i : i + size] for i in range(0, len(positions), size)]
    while blocks:
        block = blocks.pop()
        evidence = _examine_block(node, block, rtol)
        if len(block) == 1:
            yield block[0], evidence
        elif evidence.says != "right":
            blocks += [block[: len(block) // 2], block[len(block) // 2 :]]


def _examine_block(node: Value, block: list[int], rtol: float) -> Evidence:
    """Move one operand, or several together along a direction."""
    op: Any = node.op
    operands, all_places = numbers_of(node.operands), places(node)
    moving = [all_places[p] for p in block]
    start = [operands[k] if i is None else operands[k][i] for k, i in moving]
    if not all(map(math.isfinite, (node.data, *start))):
        return Evidence("border")
    partials = [node.partials[p] for p in block]
    x, direction, claimed = start[0], [1.0], partials[0]
    if len(block) > 1:
        direction = [v * max(abs(s), 1.0) for v, s in zip(_direction(len(block)), start, strict=True)]
        x, claimed = 0.0, sum(v * partial for v, partial in zip(direction, partials, strict=True))

    def at(t: float) -> tuple[list[float], Path]:
        moved = [list(x) if type(x) is tuple else x for x in operands]
        for (k, i), s, v in zip(moving, start, direction, strict=True):
            new = t if len(block) == 1 else s + t * v
            if i is None:
                moved[k] = new
            else:
                moved[k][i] = new
        numbers = [tuple(x) if type(x) is list else x for x in moved]
        return [op.float_from(op.value(*numbers))], [passing(op, numbers)]

    (evidence,) = examine(at, x, [claimed], [0.0], rtol, _may_hide_a_kink(node))
    return evidence if math.isfinite(claimed) or evidence.says == "wrong" else evidence._replace(says="border")


def _may_hide_a_kink(node: Value) -> bool:
    """Say whether an operation is one of the user's that declares no kinks, which is a claim like any other."""
    op = node.op
    return op is not None and op.kinks is None and TABLE.get(op.name) is not op


def _first_bad(subject: Subject, j: int, k: int) -> Value | None:
    """Return the first node from an input to an output with a value or a partial that is not finite."""
    if not subject.outputs:
        return None
    moving = {subject.inputs[k]}
    bad = None
    for node in topological_order(subject.outputs[j]):
        if bad is None and not math.isfinite(node.data):
            bad = node  # it needs not lie between: it spoils what is made of it
        if not moving.isdisjoint(node.parents):
            moving.add(node)
            if not all(math.isfinite(d) for x, d in zip(node.parents, node.partials, strict=True) if x in moving):
                return node if bad is None else bad
    return bad


def _why_bad(node: Value | None) -> str:
    """Say why the point is not one where an operation can be differentiated."""
    if node is None:
        return "the function is defined on one side only, or not at all"
    if node.op is None:
        return f"{node.name or 'an input'} is {node.data}"
    for x, domain in zip(numbers_of(node.operands), node.op.domain, strict=True):
        if not all(domain.low <= part <= domain.high for part in (x if type(x) is tuple else (x,))):
            return f"{_call(node)} is outside of its domain, {domain.low:g} to {domain.high:g}"
    return f"{_call(node)} has an infinite slope" if math.isfinite(node.data) else f"{_call(node)} is {node.data}"


def _call(node: Value) -> str:
    """Write an operation with its operands as numbers."""
    op: Any = node.op
    shown = [
        f"[{', '.join([f'{part:.6g}' for part in x[:4]] + ['…'] * (len(x) > 4))}]" if type(x) is tuple else f"{x:.6g}"
        for x in numbers_of(node.operands)
    ]
    return f"{op.name}({', '.join(shown)})"
