"""Words that drawings, texts and messages share: counts, names on one line, what an operation is called."""

from __future__ import annotations

import inspect
import unicodedata
from collections.abc import Iterator
from typing import Any

import autograd_lite as al
from autograd_lite import Value

__all__ = ["SUBSCRIPTS", "SUPERSCRIPTS", "counted", "isolated", "operation_text", "or_dash", "printable"]

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def printable(text: str, longest: int) -> str:
    r"""Return the text on one line, cut off with … if too long, what has no glyph written as in Python's repr.

    >>> printable("two\nlines", 7)
    'two\\nl…'
    """
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def isolated(name: str) -> str:
    r"""Return a name for a line of arithmetic; one that is read from right to left would take its neighbours along.

    Source: Unicode Standard Annex 9, 2.7 (first strong isolate).

    >>> isolated("w"), isolated("אב")
    ('w', '\u2068אב\u2069')
    """
    from_right = any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in name)
    return f"\u2068{name}\u2069" if from_right else name


def or_dash(grad: object, spec: str = "") -> str:
    """Return a gradient, or several, as text; – where there is none.

    >>> or_dash(0.5), or_dash(None)
    ('0.5', '–')
    """
    return "–" if grad is None else format(grad, spec)


def counted(count: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "node"), counted(5413, "node")
    ('1 node', '5,413 nodes')
    """
    return f"{count:,} {noun}" + "s" * (count != 1)


def operation_text(value: Value) -> str:
    """Return the symbol of the operation that made a value, its constants beside it; of a leaf, nothing.

    >>> operation_text(0.5 * Value(1.0)), operation_text(al.maximum(Value(1.0), 0.0))
    ('× 0.5', 'max(x, 0)')
    """
    op = value.op
    if op is None:
        return ""
    if all(isinstance(x, Value) for x in _flat(value.operands)):
        return op.symbol
    names = _operand_names(op)
    shown = [name if _is_variable(x) else _constants(x) for name, x in zip(names, value.operands, strict=True)]
    if op.symbol.isascii() and op.symbol.isidentifier():
        return op.symbol + (shown[0] if op.arity == 1 else f"({', '.join(shown)})")
    if op.arity == 1:
        return f"{op.symbol} {shown[0]}"
    if len(op.symbol) == 1 and op.arity == 2:
        return f"{op.symbol} {shown[1]}" if _is_variable(value.operands[0]) else f"{shown[0]} {op.symbol} x"
    constants = (f"{n}={s}" for n, s, x in zip(names, shown, value.operands, strict=True) if not _is_variable(x))
    return f"{op.symbol}, {', '.join(constants)}"


def _flat(operands: tuple[Any, ...]) -> Iterator[Any]:
    for x in operands:
        yield from x if isinstance(x, tuple) else (x,)


def _is_variable(operand: Any) -> bool:
    return all(isinstance(x, Value) for x in _flat((operand,)))


def _operand_names(op: al.Op) -> list[str]:
    """Return how the partials' rule calls the operands, which is what the symbols of the table mean: c in xᶜ."""
    try:
        _, *names = inspect.signature(op.partials).parameters
    except ValueError:  # a function written in C
        names = []
    return names if len(names) == op.arity else [f"x{k}" for k in range(1, op.arity + 1)]


def _constants(operand: Any) -> str:
    if not isinstance(operand, tuple):
        return f"{operand:.4g}"
    shown = ["·" if isinstance(x, Value) else f"{x:.4g}" for x in operand[:3]]
    return f"({', '.join(shown)}{f', … {len(operand) - 3} more' if len(operand) > 3 else ''})"
