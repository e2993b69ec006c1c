"""A computation as a list of instructions: what a recorded graph becomes before it is run elsewhere.

A program is plain data. A `Builder` writes it and, as it goes, shares what is the same, folds what is constant and
leaves out what changes nothing. Gradients are more program: `Symbol` is a carrier, so the rules of the table run on
instructions as they run on Values, and `graph.adjoints` is the chain rule here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from inspect import Parameter, Signature
from math import copysign, isfinite
from typing import Any, NamedTuple, NoReturn

from .. import ops
from ..graph import adjoints
from ..op import Op, carriers, number
from .primitives import detach, shares, ties

__all__ = ["Apply", "Builder", "Constant", "Input", "Instruction", "Program", "Symbol", "operands_of", "uses_of"]


class Input(NamedTuple):
    """Take the number at this place of the inputs."""

    place: int


class Constant(NamedTuple):
    """Be this number."""

    number: float


class Apply(NamedTuple):
    """Apply an operation to the results of earlier instructions, given by their places; a `many` operand is a tuple."""

    op: Op
    operands: tuple[Any, ...]


Instruction = Input | Constant | Apply


@dataclass(frozen=True, eq=False)
class Program:
    """Hold instructions, operands before results, and the places of the outputs among them.

    Attributes:
        instructions: The list of them.
        outputs: The places of the results, in the order they are wanted.
        names: What some of the results are called, by place.

    >>> build = Builder()
    >>> x = Symbol(build, build.input(0, "x"))
    >>> print(build.program([(x * x + 1.0).place]))
    %0 = input 0                ; x
    %1 = mul(%0, %0)
    %2 = 1.0
    %3 = add(%1, %2)
    return %3
    """

    instructions: list[Instruction]
    outputs: tuple[int, ...]
    names: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<program of {len(self.instructions):,} instructions, {len(self.outputs):,} outputs>"

    def lines(self) -> Iterator[str]:
        """Write the instructions, a line each.

        >>> build = Builder()
        >>> list(build.program([build.input(1)]).lines())
        ['%0 = input 1', 'return %0']
        """
        for place, instruction in enumerate(self.instructions):
            match instruction:
                case Input(k):
                    text = f"%{place} = input {k}"
                case Constant(x):
                    text = f"%{place} = {x!r}"
                case Apply(op, operands):
                    text = f"%{place} = {op.name}({', '.join(map(_shown, operands))})"
            name = self.names.get(place)
            yield f"{text:27} ; {printable(name)}" if name else text
        yield "return " + ", ".join(f"%{place}" for place in self.outputs)


def printable(name: str) -> str:
    r"""Return a name as a comment may hold it: no line breaks of any kind, nothing that can't be printed, not long.

    >>> printable("two\nlines")
    'two lines'
    """
    return "".join(c if c.isprintable() else " " for c in name[:60])


def _shown(operand: Any) -> str:
    return f"[{', '.join(map(_shown, operand))}]" if type(operand) is tuple else f"%{operand}"


def operands_of(instruction: Instruction) -> Sequence[int]:
    """Return the places an instruction reads, sequences flattened.

    >>> operands_of(Apply(ops.dot, ((0, 1), (2, 3))))
    [0, 1, 2, 3]
    """
    if type(instruction) is not Apply:
        return ()
    if not instruction.op.many:
        return instruction.operands
    flat: list[int] = []
    for operand in instruction.operands:
        if type(operand) is tuple:
            flat += operand
        else:
            flat.append(operand)
    return flat


def uses_of(instructions: Sequence[Instruction]) -> list[int]:
    """Count for each instruction how often others read it.

    >>> uses_of([Input(0), Apply(ops.mul, (0, 0))])
    [2, 0]
    """
    uses = [0] * len(instructions)
    for instruction in instructions:
        for operand in operands_of(instruction):
            uses[operand] += 1
    return uses


class Builder:
    """Write a program, instruction by instruction.

    What is the same is written once; an operation on finite constants that gives a finite number is done at once
    (never across nan or infinity); x·1, x/1 and +x are x, and −(−x) too, which is exact for every x.

    >>> build = Builder()
    >>> x = build.input(0)
    >>> build.apply(ops.exp, (x,)) == build.apply(ops.exp, (x,))
    True
    >>> build.instructions[build.apply(ops.add, (build.constant(1.0), build.constant(2.0)))]
    Constant(number=3.0)
    """

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.names: dict[int, str] = {}
        self._places: dict[Any, int] = {}
        self._numbers: dict[int, float] = {}  # of the constants, by place

    def input(self, k: int, name: str | None = None) -> int:
        """Return the place of input k."""
        return self.named(self._place(Input(k), Input(k)), name)

    def constant(self, x: float) -> int:
        """Return the place of a number."""
        place = self._place((x, copysign(1.0, x)), Constant(x))
        self._numbers[place] = x
        return place

    def named(self, place: int, name: str | None) -> int:
        """Give the result at a place a name, if it has none yet, and return the place."""
        if name is not None:
            self.names.setdefault(place, name)
        return place

    def apply(self, op: Op, operands: tuple[Any, ...]) -> int:
        """Return the place of an operation's result."""
        if op in _COMMUTATIVE and operands[0] > operands[1]:
            operands = operands[::-1]
        key = Apply(op, operands)
        place = self._places.get(key)
        if place is None:
            place = self._simplified(op, operands)
            if place is None:
                return self._place(key, key)
            self._places[key] = place
        return place

    def keep(self, instruction: Instruction) -> int:
        """Return the place of an instruction that is written as it is: it was looked at before."""
        if type(instruction) is Constant:
            return self.constant(instruction.number)
        return self._place(instruction, instruction)

    def _place(self, key: Any, instruction: Instruction) -> int:
        """Return the place of an instruction, which is written unless it was."""
        here = len(self.instructions)
        place = self._places.setdefault(key, here)
        if place == here:
            self.instructions.append(instruction)
        return place

    def _simplified(self, op: Op, operands: tuple[Any, ...]) -> int | None:
        """Return the place of what the operation comes to without being applied, if there is one."""
        if op.many:
            return None
        known = self._numbers
        for place in operands:
            if place in known:
                break
        else:
            return operands[0] if op is ops.pos else self._negated(operands[0]) if op is ops.neg else None
        numbers = [known.get(place) for place in operands]
        if None not in numbers:
            result = number(op.value(*numbers)) if all(map(isfinite, numbers)) else None  # type: ignore[arg-type]
            return self.constant(result) if result is not None and isfinite(result) else None
        first, *rest = operands
        match op.name, numbers:
            case ("mul", [1.0, None]):
                return rest[0]  # type: ignore[no-any-return]
            case ("mul" | "div" | "power", [None, 1.0]):
                return first  # type: ignore[no-any-return]
            case ("mul", [-1.0, None]):
                return self.apply(ops.neg, (rest[0],))
            case ("mul" | "div", [None, -1.0]):
                return self.apply(ops.neg, (first,))
            case ("power", [None, 2.0]):
                return self.apply(ops.square, (first,))
            case ("power", [None, 3.0]):
                return self.apply(ops.mul, (self.apply(ops.square, (first,)), first))
            case ("power", [None, -1.0]):
                return self.apply(ops.reciprocal, (first,))
        return None

    def _negated(self, place: int) -> int | None:
        match self.instructions[place]:
            case Apply(ops.neg, (inner,)):
                return inner  # type: ignore[no-any-return]
        return None

    def operand(self, x: Any) -> Any:
        """Return the place of a carrier or a number, or the tuple of places of a sequence of them."""
        if type(x) is Symbol:
            if x.build is not self:
                raise TypeError("a traced number was used in another trace than its own")
            return x.place
        if type(x) in (tuple, list):
            return tuple([self.operand(each) for each in x])
        return self.constant(number(x))

    def gradient(self, y: int, xs: Sequence[int]) -> list[int]:
        """Write the program of ∂y/∂x for each x, and return its places: the table's rules, run on symbols."""
        matters = {*xs}
        order = [place for place in self._reached([y]) if place in matters or self._depends(place, matters)]
        found = adjoints(order, {y: 1.0}, lambda place: self._edges(place, matters))
        return [self.operand(found.get(x, 0.0)) for x in xs]

    def _depends(self, place: int, matters: set[int]) -> bool:
        """Tell whether an instruction reads what matters, which is then noted of itself too."""
        instruction = self.instructions[place]
        if type(instruction) is not Apply or instruction.op is detach:
            return False
        if any(operand in matters for operand in operands_of(instruction)):
            matters.add(place)
            return True
        return False

    def _edges(self, place: int, matters: set[int]) -> list[tuple[int, Any]]:
        """Pair the operands that matter with the partials by them."""
        instruction = self.instructions[place]
        if type(instruction) is not Apply:
            return []
        op, operands = instruction
        if op is ops.power and operands[1] in matters:
            raise TypeError("the exponent of power is a constant; use ** or pow for one that varies")
        if not op.many:
            partials = self._partials(op, place, tuple(map(self._carried, operands)))
            return [(x, d) for x, d in zip(operands, partials, strict=True) if x in matters]
        carried = tuple(
            tuple(map(self._carried, operand)) if type(operand) is tuple else self._carried(operand)
            for operand in operands
        )
        edges = []
        for operand, partial in zip(operands, self._partials(op, place, carried), strict=True):
            if type(operand) is tuple:
                edges += [(x, d) for x, d in zip(operand, partial, strict=True) if x in matters]
            elif operand in matters:
                edges.append((operand, partial))
        return edges

    def _partials(self, op: Op, place: int, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the partials of an instruction by its operands, as carriers or numbers: the rule of its operation."""
        rule = _LINEAR[op] if op in _LINEAR and len(operands[0]) > _FEW else op.partials
        try:
            return rule(Symbol(self, place), *operands)
        except _NotSymbolicError:
            if op.many:
                raise
        # A rule of the user's own may hold on floats only. Then it is called as it is, and has no derivatives itself.
        return tuple([_applied(_partial(op, k), operands) for k in range(op.arity)])

    def _carried(self, place: int) -> Symbol | float:
        x = self._numbers.get(place)
        return Symbol(self, place) if x is None else x

    def _reached(self, places: Sequence[int]) -> list[int]:
        """Return, in order, the places of what is needed for some."""
        reached = bytearray(max(places, default=-1) + 1)
        for place in places:
            reached[place] = True
        for place in range(len(reached) - 1, -1, -1):
            if reached[place]:
                for operand in operands_of(self.instructions[place]):
                    reached[operand] = True
        return [place for place, is_reached in enumerate(reached) if is_reached]

    def program(self, outputs: Sequence[int]) -> Program:
        """Return what the outputs need, in order, as a program of its own."""
        kept = self._reached(outputs)
        if len(kept) == len(self.instructions):
            return Program(list(self.instructions), tuple(outputs), dict(self.names))
        new = {old: place for place, old in enumerate(kept)}
        instructions = [renumbered(self.instructions[old], new) for old in kept]
        names = {new[old]: name for old, name in self.names.items() if old in new}
        return Program(instructions, tuple([new[y] for y in outputs]), names)


def renumbered(instruction: Instruction, new: Any) -> Instruction:
    """Return the instruction with its operands at new places.

    >>> renumbered(Apply(ops.exp, (3,)), {3: 1}).operands
    (1,)
    """
    if type(instruction) is not Apply:
        return instruction
    op, operands = instruction
    if not op.many:
        return Apply(op, tuple(map(new.__getitem__, operands)))
    return Apply(op, tuple([tuple([new[i] for i in x]) if type(x) is tuple else new[x] for x in operands]))


class Symbol:
    """Stand for the result of an instruction while rules run: a carrier that writes instructions.

    >>> build = Builder()
    >>> x = Symbol(build, build.input(0))
    >>> build.instructions[ops.tanh(x).place].op
    <operation tanh(x)>
    """

    __slots__ = ("build", "place")

    def __init__(self, build: Builder, place: int) -> None:
        self.build = build
        self.place = place

    def __add__(self, other: Any) -> Symbol:
        return self._made(ops.add, (self.place, self.build.operand(other)))

    def __radd__(self, other: Any) -> Symbol:
        return self._made(ops.add, (self.build.operand(other), self.place))

    def __sub__(self, other: Any) -> Symbol:
        return self._made(ops.sub, (self.place, self.build.operand(other)))

    def __rsub__(self, other: Any) -> Symbol:
        return self._made(ops.sub, (self.build.operand(other), self.place))

    def __mul__(self, other: Any) -> Symbol:
        return self._made(ops.mul, (self.place, self.build.operand(other)))

    def __rmul__(self, other: Any) -> Symbol:
        return self._made(ops.mul, (self.build.operand(other), self.place))

    def __truediv__(self, other: Any) -> Symbol:
        return self._made(ops.div, (self.place, self.build.operand(other)))

    def __rtruediv__(self, other: Any) -> Symbol:
        return self._made(ops.div, (self.build.operand(other), self.place))

    def __pow__(self, other: Any) -> Symbol:
        return self._made(ops.pow if type(other) is Symbol else ops.power, (self.place, self.build.operand(other)))

    def __rpow__(self, other: Any) -> Symbol:
        return self._made(ops.pow, (self.build.operand(other), self.place))

    def __neg__(self) -> Symbol:
        return self._made(ops.neg, (self.place,))

    def __pos__(self) -> Symbol:
        return self

    def __abs__(self) -> Symbol:
        return self._made(ops.abs, (self.place,))

    def _made(self, op: Op, operands: tuple[int, ...]) -> Symbol:
        return Symbol(self.build, self.build.apply(op, operands))

    def _refuse(self, *_: Any) -> NoReturn:
        raise _NotSymbolicError(
            "a rule that is compiled has no numbers to compare or to read; write it with operations only, such as "
            "al.where, al.step or al.maximum"
        )

    __bool__ = __float__ = __int__ = __index__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


class _NotSymbolicError(TypeError):
    """Say that a rule does with a symbol what only a number can."""


@cache
def _partial(op: Op, k: int) -> Op:
    """Return a partial of an operation, whose rule holds on floats only, as an operation."""

    def value(*operands: float) -> float:
        return op.float_from(op.partials(op.float_from(op.value(*operands)), *operands)[k])

    def partials(z: Any, *operands: Any) -> tuple[Any, ...]:
        raise TypeError(
            f"the partials rule of {op.name} has no derivative itself, as it reads numbers; write it with operations "
            "such as al.where and al.exp"
        )

    names = [Parameter(f"x{i}", Parameter.POSITIONAL_ONLY) for i in range(op.arity)]
    value.__signature__ = Signature(names)  # type: ignore[attr-defined]
    return Op(f"partial {k + 1} of {op.name}", f"∂{op.symbol}", value, partials, op.domain)


def _applied(op: Op, operands: tuple[Any, ...]) -> Symbol:
    build: Builder = next(x.build for x in _flat(operands) if type(x) is Symbol)
    return Symbol(build, build.apply(op, tuple(map(build.operand, operands))))


def _flat(operands: Iterable[Any]) -> Iterator[Any]:
    for x in operands:
        if type(x) in (tuple, list):
            yield from x
        else:
            yield x


carriers[Symbol] = _applied

_COMMUTATIVE = (ops.add, ops.mul)
_FEW = 32
_LINEAR: dict[Op, Callable[..., Any]] = {
    ops.logsumexp: lambda z, xs: (shares(xs),),
    ops.maxout: lambda z, xs: (ties(xs),),
}
"""Rules for long sequences whose row gives each partial as a node of all operands: these grow with the length only."""
