"""A program as Python source: what one reads to see what was compiled, and what runs where there is no native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..op import Op
from .program import Apply, Constant, Input, Program, printable

__all__ = ["function_of", "source_of"]

_INFIX = {ops.add: "+", ops.sub: "-", ops.mul: "*", ops.neg: "-"}
_LONGEST = 20_000  # instructions in one function; Python takes more than linear time for longer ones


def source_of(program: Program) -> str:
    """Write a program as the source of a Python function from a list of numbers to the list of its outputs.

    The names in it are the operations of the table, as functions of floats; what a Value was called is a comment.

    >>> from .tracing import trace
    >>> traced = trace(lambda v: v[0] * v[1] + 1.0, [1.0, 2.0])
    >>> print(source_of(traced.build.program(traced.outputs)))
    def program(x):
        v2 = x[0] * x[1]
        v4 = v2 + 1.0
        return [v4]
    """
    return "\n".join(["def program(x):", *_lines(program, _names_of(program))])


def _names_of(program: Program) -> dict[Op, str]:
    """Name the operations: the table's by their names, others by a number."""
    names: dict[Op, str] = {}
    for instruction in program.instructions:
        if type(instruction) is Apply and instruction.op not in names:
            op = instruction.op
            names[op] = op.name if ops.TABLE.get(op.name) is op else f"operation_{len(names)}"
    return names


def _lines(program: Program, names: dict[Op, str]) -> list[str]:
    texts: list[str] = []
    lines = []
    for place, instruction in enumerate(program.instructions):
        match instruction:
            case Input(k):
                texts.append(f"x[{k}]")
            case Constant(x):
                texts.append(repr(x) if x >= 0.0 or x != x else f"({x!r})")
            case Apply(op, operands):
                texts.append(f"v{place}")
                shown = [
                    f"[{', '.join([texts[i] for i in x])}]" if type(x) is tuple else texts[x] for x in operands
                ]  # fmt: skip
                text = f"{names[op]}({', '.join(shown)})"
                if op in _INFIX:
                    text = f" {_INFIX[op]} ".join(shown) if len(shown) > 1 else _INFIX[op] + shown[0]
                note = program.names.get(place) or ("" if names[op] == op.name else op.name)
                lines.append(f"    v{place} = {text}" + (f"  # {printable(note)}" if note else ""))
    lines.append(f"    return [{', '.join([texts[y] for y in program.outputs])}]")
    return lines


def function_of(program: Program) -> Callable[[Sequence[float]], list[float]]:
    """Return a program as a Python function of floats.

    >>> from .tracing import trace
    >>> traced = trace(lambda v: v[0] * v[1] + 1.0, [1.0, 2.0])
    >>> function_of(traced.build.program(traced.outputs))([2.0, 5.0])
    [11.0]
    """
    if len(program.instructions) > _LONGEST:
        return lambda x: _interpreted(program, x)
    names = _names_of(program)
    known: dict[str, Any] = {name: _checked(op) for op, name in names.items()}
    known |= {"__builtins__": {}, "inf": float("inf"), "nan": float("nan")}
    exec(compile(source_of(program), "<compiled program>", "exec"), known)  # our own text: names are numbers and rows
    function: Callable[[Sequence[float]], list[float]] = known["program"]
    return function


def _checked(op: Op) -> Callable[..., float]:
    """Return the value rule; that of an operation which is not the table's may give anything, and is looked at."""
    if ops.TABLE.get(op.name) is op:
        return op.value
    return lambda *operands: op.float_from(op.value(*operands))


def _interpreted(program: Program, x: Sequence[float]) -> list[float]:
    """Run a program instruction by instruction."""
    results: list[float] = []
    for instruction in program.instructions:
        match instruction:
            case Apply(op, operands):
                given = [[results[i] for i in p] if type(p) is tuple else results[p] for p in operands]
                results.append(op.float_from(op.value(*given)))
            case Input(k):
                results.append(x[k])
            case Constant(number):
                results.append(number)
    return [results[y] for y in program.outputs]
