"""Traces as JSON: what a compiled function is saved and pickled as. Reading one runs no code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import ops
from ..op import Op
from .primitives import detach, log_of_sum, shifted_exp
from .program import Apply, Builder, Constant, Input, operands_of, renumbered
from .tracing import Guard, Trace

__all__ = ["MOST_BYTES", "Saved", "saved_from", "text_of"]

MOST_BYTES = 2**30
_FORMAT, _VERSION = "autograd_lite program", 1
_KNOWN = {**ops.TABLE, **{op.name: op for op in (detach, shifted_exp, log_of_sum)}}
_SIGNS = ("<", "<=", ">", ">=")


class Saved(NamedTuple):
    """What is kept of a compiled function: its name, how many numbers it takes, and the ways through it."""

    name: str
    n: int
    guards: str
    traces: Sequence[Trace]


def text_of(saved: Saved) -> str:
    """Write a compiled function as JSON.

    Raises:
        TypeError: It has an operation that is not the table's, and so is code.
    """
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "name": saved.name,
        "n": saved.n,
        "guards": saved.guards,
        "traces": [_written(trace) for trace in saved.traces],
    }
    return json.dumps(document, separators=(",", ":"))


def _written(trace: Trace) -> dict[str, Any]:
    compared = [x for guard in trace.guards for x in (guard.left, guard.right)]
    program = trace.build.program([*trace.outputs, *trace.inputs, *compared])
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
    return {
        "instructions": instructions,
        "outputs": program.outputs,
        "names": program.names,
        "list": trace.gives_list,
        "guards": [[guard.sign, guard.outcome, guard.where] for guard in trace.guards],
        "point": [x.hex() for x in trace.point],
    }


def saved_from(text: str | bytes) -> Saved:
    """Read what `text_of` wrote.

    Raises:
        ValueError: The text is something else.

    >>> saved_from("{}")
    Traceback (most recent call last):
        ...
    ValueError: this is no compiled function that was saved whole: 'format'
    """
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT or document["version"] != _VERSION:
            raise ValueError(f"this is no {_FORMAT} of version {_VERSION}")
        n, guards = document["n"], document["guards"]
        if type(n) is not int or n < 1 or guards not in ("retrace", "error"):
            raise ValueError("n or guards is not what it can be")
        return Saved(str(document["name"]), n, guards, [_trace(each, n) for each in document["traces"]])
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError, UnicodeError) as error:
        raise ValueError(f"this is no compiled function that was saved whole: {error}") from None


def _trace(document: Any, n: int) -> Trace:
    if len(document["point"]) != n:
        raise ValueError("the numbers of inputs do not agree")
    build = Builder()
    inputs = [build.input(k) for k in range(n)]
    places: list[int] = []
    for item in document["instructions"]:
        instruction = _instruction(item, n)
        if any(type(x) is not int or not 0 <= x < len(places) for x in operands_of(instruction)):
            raise ValueError(f"instruction {len(places)} reads what does not come before it")
        places.append(build.keep(renumbered(instruction, places)))
    for place, name in document["names"].items():
        build.named(places[int(place)], str(name))
    guards = document["guards"]
    if any(type(y) is not int or not 0 <= y < len(places) for y in document["outputs"]):
        raise ValueError("an output is none of the instructions")
    outputs = [places[y] for y in document["outputs"]]
    count = len(outputs) - n - 2 * len(guards)
    if count < 1 or outputs[count : count + n] != inputs:
        raise ValueError("the outputs are not as many as they should be")
    if any(sign not in _SIGNS for sign, _, _ in guards):
        raise ValueError("a comparison is none of <, <=, > and >=")
    compared = outputs[count + n :]
    return Trace(
        build,
        inputs,
        outputs[:count],
        [
            Guard(x, y, sign, bool(outcome), str(where))
            for x, y, (sign, outcome, where) in zip(compared[::2], compared[1::2], guards, strict=True)
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
    if 0 in lengths or len(lengths) > 1:
        raise ValueError(f"{name} has sequences of lengths that do not fit")
    return Apply(op, given)
