"""Traces as JSON: what a compiled function is pickled and saved as. Reading one runs no code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..op import Op
from .primitives import detach, log_of_sum, shifted_exp
from .program import Apply, Builder, Constant, Input, Program, operands_of
from .tracing import Guard, Trace

__all__ = ["program_from", "text_of"]

_FORMAT, _VERSION = "autograd_lite program", 1
_KNOWN = {**ops.TABLE, **{op.name: op for op in (detach, shifted_exp, log_of_sum)}}


def text_of(program: Program, n: int, guards: Sequence[Guard], point: Sequence[float], gives_list: bool) -> str:
    """Write a program as JSON: its outputs are those of the function, its inputs, and the operands of its guards.

    Raises:
        TypeError: It has an operation that is not the table's, and so is code.
    """
    instructions: list[Any] = []
    for instruction in program.instructions:
        match instruction:
            case Input(k):
                instructions.append(k)
            case Constant(x):
                instructions.append(x.hex())
            case Apply(op, operands):
                if _KNOWN.get(op.name) is not op:
                    raise TypeError(f"{op.name} is not in the table, and its rules are code: it can't be saved")
                instructions.append([op.name, *operands])
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "n": n,
        "list": gives_list,
        "instructions": instructions,
        "outputs": program.outputs,
        "names": program.names,
        "guards": [[guard.sign, guard.outcome, guard.where] for guard in guards],
        "point": [x.hex() for x in point],
    }
    return json.dumps(document, separators=(",", ":"))


def program_from(text: str) -> Trace:
    """Read what `text_of` wrote.

    Raises:
        ValueError: The text is something else.
    """
    try:
        return _read(json.loads(text))
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is no program that was saved whole: {error}") from None


def _read(document: Any) -> Trace:
    if document["format"] != _FORMAT or document["version"] != _VERSION:
        raise ValueError(f"this is no {_FORMAT} of version {_VERSION}")
    n, guards = document["n"], document["guards"]
    build = Builder()
    for place, item in enumerate(document["instructions"]):
        instruction = _instruction(item, n)
        if any(type(x) is not int or not 0 <= x < place for x in operands_of(instruction)):
            raise ValueError(f"instruction {place} reads what does not come before it")
        if build.keep(instruction) != place:
            raise ValueError(f"instruction {place} is there twice")
    places = document["outputs"]
    if any(type(place) is not int or not 0 <= place < len(build.instructions) for place in places):
        raise ValueError("an output is none of the instructions")
    count = len(places) - n - 2 * len(guards)
    if count < 1 or any(build.instructions[place] != Input(k) for k, place in enumerate(places[count : count + n])):
        raise ValueError("the outputs are not as many as they should be")
    pairs = places[count + n :]
    for place, name in document["names"].items():
        build.named(int(place), str(name))
    return Trace(
        build,
        places[count : count + n],
        places[:count],
        [
            Guard(x, y, sign, bool(outcome), str(where))
            for x, y, (sign, outcome, where) in zip(pairs[::2], pairs[1::2], guards, strict=True)
            if sign in ("<", "<=", ">", ">=")
        ],
        [float.fromhex(x) for x in document["point"]],
        bool(document["list"]),
    )


def _instruction(item: Any, n: int) -> Any:
    if type(item) is int and 0 <= item < n:
        return Input(item)
    if type(item) is str:
        return Constant(float.fromhex(item))
    name, *operands = item
    op: Op = _KNOWN[name]
    given = tuple([tuple(x) if type(x) is list else x for x in operands])
    if len(given) != op.arity or any((type(x) is tuple) != d.many for x, d in zip(given, op.domain, strict=True)):
        raise ValueError(f"{name} has not the operands it takes")
    lengths = {len(x) for x in given if type(x) is tuple}
    if 0 in lengths or (len(lengths) > 1):
        raise ValueError(f"{name} has sequences of lengths that do not fit")
    return Apply(op, given)
