"""The native program in LLVM IR: loops over like operations, and the one loop that calls them in turn.

A program is not translated operation by operation; it is *scheduled* into runs of like operations (`schedule.py`), and
a run is data: how often, from which slots, into which. So any program compiles in time linear in its size, and the
code depends only on which operations occur.

Memory, all of it float64. Rows of the batch are the lanes: a tile of `T` rows, T a multiple of 8, is worked on at once.

    X       the inputs, row by row as the caller has them
    slots   T numbers for each result of the program: slot s begins at s·T
    U       what is the same for all rows: constants, then weights
    panel   a copy of some slots with the rows outermost, for gradients by weights
    G       sums over all rows: gradients by weights
    out     the outputs, row by row

Names in the IR: `al.NAME` is an operation on 8 rows, `run.NAME` a loop over a run of it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from .. import ops
from . import vector_math
from .program import Apply, Constant, Input, Program
from .vector_math import available, definitions

__all__ = ["LANES", "RUN", "Context", "Kind", "Module", "Plan", "Rule", "fingerprint", "name_of", "operands_in"]

LANES = 8
VECTOR = f"<{LANES} x double>"
ZERO = "zeroinitializer"


Formula = tuple[Any, ...]
"""An operation's name and what it is applied to: formulas, or operands.

Operand k is the number k if it is a slot, and ~k if it is the same for all rows, a number of U.
"""

Kind = str | Formula
"""What a run does: a formula, slot by slot; what has a name below; or `("neurons", formula, k)`, a formula of which
operand k is the net input of a neuron."""


class Context(IntEnum):
    """Name the 64-bit fields of what a native call is given."""

    X = 0  # address of the inputs
    WIDTH = 1  # numbers in a row of X
    INDEX = 2  # address of the rows' numbers (int64), 0 for one after the other
    ROWS = 3  # how many rows
    TILE = 4  # T
    UNIFORM = 5  # address of U
    SLOTS = 6  # address of the slots
    PANEL = 7  # address of the panel
    SUMS = 8  # address of G
    ZEROS = 9  # where in the tables the places in G stand that begin at 0; the others are written before they are read
    OUT = 10  # address of the outputs
    OUT_WIDTH = 11  # numbers in a row of the outputs
    OUT_SLOTS = 12  # where in the tables the slots of the outputs stand
    INPUT_SLOTS = 13  # where in the tables the slots of the inputs stand
    FILLS = 14  # where in the tables the pairs (slot, place in U) stand
    FILL_COUNT = 15
    TABLES = 16  # address of the tables (int32)
    RUNS = 17  # address of the runs
    RUN_COUNT = 18
    WEIGHT_SLOT = 19  # slot that holds the weight of each row, -1 if there is none
    WEIGHT = 20  # the weight of each row (a float64)
    CALLBACK = 21  # address of a function (operation, address of operands) -> result, for what has no code here
    PACKED = 22  # 1 if the inputs are in their slots already, as one tile, and the fixed runs were done with them
    ZERO_COUNT = 23
    FIXED = 24  # how many of the runs, the first ones, are fixed: they depend on the inputs alone


RUN = 11
"""How many int64 a run has: kind, count, width, table, out, and six more that depend on the kind."""

TABLE, OUT, FIRST = 3, 4, 5


class Writer:
    """Write the body of a function: values, loops, loads and stores, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def let(self, text: str) -> str:
        """Name the result of an instruction."""
        self.count += 1
        self.lines.append(f"  %v{self.count} = {text}")
        return f"%v{self.count}"

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {text}")

    def variable(self, kind: str, start: str) -> str:
        """Make a variable; LLVM keeps it in a register."""
        self.count += 1
        self.lines.insert(0, f"  %v{self.count} = alloca {kind}")
        self.do(f"store {kind} {start}, ptr %v{self.count}")
        return f"%v{self.count}"

    @contextlib.contextmanager
    def loop(self, start: str, stop: str, step: int | str = 1) -> Iterator[str]:
        """Count from start by step while below stop; give the counter."""
        counter = self.variable("i64", start)
        self.count += 1
        label = f"L{self.count}"
        self.lines += [f"  br label %{label}", f"{label}:"]
        i = self.let(f"load i64, ptr {counter}")
        goes_on = self.let(f"icmp slt i64 {i}, {stop}")
        self.lines += [f"  br i1 {goes_on}, label %{label}.do, label %{label}.end", f"{label}.do:"]
        yield i
        self.do(f"store i64 {self.let(f'add nsw i64 {i}, {step}')}, ptr {counter}")
        self.lines += [f"  br label %{label}", f"{label}.end:"]

    @contextlib.contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Do what follows only if a condition holds."""
        self.count += 1
        label = f"I{self.count}"
        self.lines += [f"  br i1 {condition}, label %{label}, label %{label}.end", f"{label}:"]
        yield
        self.lines += [f"  br label %{label}.end", f"{label}.end:"]

    def sum(self, *terms: str) -> str:
        """Add integers."""
        total, *rest = terms
        for term in rest:
            total = self.let(f"add nsw i64 {total}, {term}")
        return total

    def product(self, x: str, y: str) -> str:
        """Multiply integers."""
        return self.let(f"mul nsw i64 {x}, {y}")

    def at(self, base: str, index: str, kind: str = "double") -> str:
        """Return the address of an element."""
        return self.let(f"getelementptr inbounds {kind}, ptr {base}, i64 {index}")

    def vector(self, base: str, index: str) -> str:
        """Load 8 numbers."""
        return self.let(f"load {VECTOR}, ptr {self.at(base, index)}, align 8")

    def put(self, vector: str, base: str, index: str) -> None:
        """Store 8 numbers."""
        self.do(f"store {VECTOR} {vector}, ptr {self.at(base, index)}, align 8")

    def number(self, base: str, index: str) -> str:
        """Load a number."""
        return self.let(f"load double, ptr {self.at(base, index)}")

    def splat(self, number: str) -> str:
        """Return 8 times the same number."""
        one = self.let(f"insertelement {VECTOR} poison, double {number}, i64 0")
        return self.let(f"shufflevector {VECTOR} {one}, {VECTOR} poison, <{LANES} x i32> zeroinitializer")

    def splat_of_integers(self, number: str) -> str:
        """Return 8 times the same integer."""
        one = self.let(f"insertelement <{LANES} x i64> poison, i64 {number}, i64 0")
        return self.let(f"shufflevector <{LANES} x i64> {one}, <{LANES} x i64> poison, <{LANES} x i32> zeroinitializer")

    def entry(self, table: str, *place: str) -> str:
        """Return an entry of a table as an i64."""
        small = self.let(f"load i32, ptr {self.at(table, self.sum(*place), 'i32')}")
        return self.let(f"sext i32 {small} to i64")

    def slot(self, table: str, *place: str) -> str:
        """Return where the slot that a table names begins."""
        return self.product(self.entry(table, *place), "%T")

    def arithmetic(self, name: str, *vectors: str) -> str:
        """Apply fadd, fsub, fmul or fdiv."""
        return self.let(f"{name} {VECTOR} {', '.join(vectors)}")

    def call(self, name: str, *vectors: str) -> str:
        """Call a function of vectors."""
        return self.let(f"call {VECTOR} @{name}({', '.join(f'{VECTOR} {x}' for x in vectors)})")

    def fma(self, x: str, y: str, z: str) -> str:
        """Return x·y + z, rounded once."""
        return self.call(f"llvm.fma.v{LANES}f64", x, y, z)

    def load(self, variable: str) -> str:
        """Load a vector variable."""
        return self.let(f"load {VECTOR}, ptr {variable}")

    def store(self, vector: str, variable: str) -> None:
        """Store a vector variable."""
        self.do(f"store {VECTOR} {vector}, ptr {variable}")


_RUN_ARGUMENTS = (
    "ptr noalias %slots, ptr noalias readonly %U, ptr noalias %G, ptr noalias %panel, ptr noalias readonly %tables, "
    "ptr noalias readonly %run, i64 %T, i1 %first, ptr %callback"
)


def _run(name: str, write: Callable[[Writer], None]) -> str:
    """Return the function that does a run; `%count`, `%width`, `%table` and `%out` are read for it."""
    w = Writer()
    for place, field in ((1, "count"), (2, "width"), (TABLE, "table.at"), (OUT, "out.slot")):
        w.do(f"%{field}.p = getelementptr inbounds i64, ptr %run, i64 {place}")
        w.do(f"%{field} = load i64, ptr %{field}.p")
    w.do("%table = getelementptr inbounds i32, ptr %tables, i64 %table.at")
    w.do("%out = mul nsw i64 %out.slot, %T")
    write(w)
    body = "\n".join(w.lines)
    return f'define internal void @"run.{name}"({_RUN_ARGUMENTS}) #1 {{\nentry:\n{body}\n  ret void\n}}\n'


def _field(w: Writer, place: int) -> str:
    return w.let(f"load i64, ptr {w.at('%run', str(FIRST + place), 'i64')}")


# ---- runs of operations on a fixed number of operands -----------------------------------------------------------


def elementwise(formula: Formula) -> str:
    """Return the run that computes a formula of operations from operands, slot by slot.

    >>> "call <8 x double> @al.exp" in elementwise(("exp", 0))
    True
    """
    operands = operands_in(formula)

    def write(w: Writer) -> None:
        with w.loop("0", "%count") as i:
            sources = _sources(w, operands, "%table", w.product(i, str(len(operands))))
            to = w.sum("%out", w.product(i, "%T"))
            with w.loop("0", "%T", LANES) as lane:
                xs = _loaded(w, operands, sources, lane)
                w.put(_computed(w, formula, xs), "%slots", w.sum(to, lane))

    return _run(name_of(formula), write)


def _sources(w: Writer, operands: Sequence[int], table: str, first: str) -> list[str]:
    """Return where the slots begin that a table names for operands, and the numbers, 8 times, that it names in U."""
    return [
        w.slot(table, first, str(at)) if k >= 0 else w.splat(w.number("%U", w.entry(table, first, str(at))))
        for at, k in enumerate(operands)
    ]


def _loaded(w: Writer, operands: Sequence[int], sources: Sequence[str], lane: str) -> dict[int, str]:
    """Return the operands of 8 rows."""
    return {
        k: w.vector("%slots", w.sum(source, lane)) if k >= 0 else source
        for k, source in zip(operands, sources, strict=True)
    }


def _computed(w: Writer, formula: Formula | int, xs: Mapping[int, str]) -> str:
    if isinstance(formula, int):
        return xs[formula]
    return w.call(f"al.{formula[0]}", *(_computed(w, part, xs) for part in formula[1:]))


def operands_in(formula: Formula | int) -> list[int]:
    """Return the operands of a formula, in their order.

    >>> operands_in(("mul", ("step", 0), ~1))
    [0, -2]
    """
    if isinstance(formula, int):
        return [formula]
    return [k for part in formula[1:] for k in operands_in(part)]


def _operations(kind: Kind | int) -> set[str]:
    """Return the names of the operations on 8 rows that a kind of run uses."""
    if isinstance(kind, int):
        return set()
    if isinstance(kind, str):
        return {_USED[kind]} if kind in _USED else set()
    name, *parts = kind
    inside: set[str] = set().union(*map(_operations, parts))
    return inside if name == "neurons" else {name, *inside}


def name_of(kind: Kind) -> str:
    """Return what a kind of run is called.

    >>> name_of(("mul", ("step", 0), 1)), name_of("sum"), name_of(("exp", 0)), name_of(("neurons", ("relu", 0), 0))
    ('mul(step,)', 'sum', 'exp', 'relu(neurons)')
    >>> name_of(("mul", 0, ~1))
    'mul(,u)'
    """
    if isinstance(kind, str):
        return kind
    return _called(kind[1], kind[2]) if kind[0] == "neurons" else _called(kind)


def _called(formula: Formula | int, net_input: int | None = None) -> str:
    if isinstance(formula, int):
        return "neurons" if formula == net_input else "" if formula >= 0 else "u"
    name: str = formula[0]
    inside = [_called(part, net_input) for part in formula[1:]]
    return name + (f"({','.join(inside)})" if any(inside) else "")


def called_back(w: Writer) -> None:
    """Write the run of an operation that has no code here: Python is asked, row by row."""
    operation, arity = _field(w, 0), "%width"
    operands = w.let(f"alloca double, i64 {arity}")
    with w.loop("0", "%count") as i:
        first = w.product(i, arity)
        to = w.sum("%out", w.product(i, "%T"))
        with w.loop("0", "%T") as lane:
            with w.loop("0", arity) as k:
                x = w.number("%slots", w.sum(w.slot("%table", first, k), lane))
                w.do(f"store double {x}, ptr {w.at(operands, k)}")
            z = w.let(f"call double %callback(i64 {operation}, ptr {operands})")
            w.do(f"store double {z}, ptr {w.at('%slots', w.sum(to, lane))}")


# ---- runs of operations on many operands ------------------------------------------------------------------------


def _over_many(reduce: Callable[[Writer, Callable[[str], str], str], str], extra: int = 0) -> Callable[[Writer], None]:
    """Return what writes a run of an operation on `%width` operands, of which `extra` come before the sequence."""

    def write(w: Writer) -> None:
        with w.loop("0", "%count") as i:
            first = w.product(i, "%width")
            to = w.sum("%out", w.product(i, "%T"))
            with w.loop("0", "%T", LANES) as lane:

                def operand(k: str, first: str = first, lane: str = lane) -> str:
                    return w.vector("%slots", w.sum(w.slot("%table", first, k), lane))

                w.put(reduce(w, operand, str(extra)), "%slots", w.sum(to, lane))

    return write


def _fold(w: Writer, start: str, begin: str, step: Callable[[str, str], str], stop: str = "%width") -> str:
    """Return the result of carrying a vector through a loop."""
    total = w.variable(VECTOR, start)
    with w.loop(begin, stop) as k:
        w.store(step(w.load(total), k), total)
    return w.load(total)


def _exact_sum(
    w: Writer, operand: Callable[[str], str], begin: str, start: str = ZERO, scale: str | None = None
) -> str:
    """Return a sum whose roundings are summed beside it (Neumaier 1974): nearly as if rounded once."""
    total, lost = w.variable(VECTOR, start), w.variable(VECTOR, ZERO)
    with w.loop(begin, "%width") as k:
        x = operand(k) if scale is None else w.arithmetic("fmul", operand(k), scale)
        old = w.load(total)
        new = w.arithmetic("fadd", old, x)
        back = w.arithmetic("fsub", new, old)  # Knuth's two-sum: no need to know which is larger
        rest = w.arithmetic(
            "fadd", w.arithmetic("fsub", old, w.arithmetic("fsub", new, back)), w.arithmetic("fsub", x, back)
        )
        w.store(w.arithmetic("fadd", w.load(lost), rest), lost)
        w.store(new, total)
    plain = w.load(total)
    corrected = w.arithmetic("fadd", plain, w.load(lost))
    return _finite_or(w, corrected, plain)


def _finite_or(w: Writer, x: str, otherwise: str) -> str:
    """Return x where it is finite, else the other: where sums pass through infinity their corrections are nan."""
    size = w.call(f"llvm.fabs.v{LANES}f64", x)
    finite = w.let(f"fcmp olt {VECTOR} {size}, splat (double 0x7FF0000000000000)")
    return w.let(f"select <{LANES} x i1> {finite}, {VECTOR} {x}, {VECTOR} {otherwise}")


_DOWN, _UP = "splat (double 0x39B0000000000000)", "splat (double 0x4630000000000000)"  # 2⁻¹⁰⁰ and 2¹⁰⁰


def _sum(w: Writer, operand: Callable[[str], str], begin: str) -> str:
    plain = _exact_sum(w, operand, begin)
    result = w.variable(VECTOR, ZERO)
    w.store(plain, result)
    with w.when(_any_not_finite(w, plain)):  # it may overflow on the way only: once more, scaled down
        scaled = w.arithmetic("fmul", _exact_sum(w, operand, begin, scale=_DOWN), _UP)
        w.store(_finite_or(w, plain, scaled), result)
    return w.load(result)


def _not_finite(w: Writer, x: str) -> str:
    size = w.call(f"llvm.fabs.v{LANES}f64", x)
    return w.let(f"fcmp uge {VECTOR} {size}, splat (double 0x7FF0000000000000)")


def _any(w: Writer, flags: str) -> str:
    return w.let(f"call i1 @llvm.vector.reduce.or.v{LANES}i1(<{LANES} x i1> {flags})")


def _any_not_finite(w: Writer, x: str) -> str:
    return _any(w, _not_finite(w, x))


def _mean(w: Writer, operand: Callable[[str], str], begin: str) -> str:
    count = w.splat(w.let("sitofp i64 %width to double"))
    plain = _exact_sum(w, operand, begin)
    result = w.variable(VECTOR, ZERO)
    w.store(w.arithmetic("fdiv", plain, count), result)
    with w.when(_any_not_finite(w, plain)):
        shared = _exact_sum(w, lambda k: w.arithmetic("fdiv", operand(k), count), begin)
        w.store(_finite_or(w, w.load(result), shared), result)
    return w.load(result)


def _prod(w: Writer, operand: Callable[[str], str], begin: str) -> str:
    return _fold(w, "splat (double 1.0)", begin, lambda total, k: w.arithmetic("fmul", total, operand(k)))


def _maxout(w: Writer, operand: Callable[[str], str], begin: str) -> str:
    return _fold(w, operand("0"), "1", lambda top, k: w.call("al.maximum", top, operand(k)))


def _log_of_sum(w: Writer, operand: Callable[[str], str], begin: str) -> str:
    m = operand("0")
    beyond = _exact_sum(w, operand, begin, start="splat (double -1.0)")
    return _finite_or(w, w.arithmetic("fadd", m, w.call("al.log1p", beyond)), m)


def _dot(w: Writer, operand: Callable[[str], str], begin: str) -> str:
    half = w.let("lshr i64 %width, 1")

    def term(k: str) -> tuple[str, str]:
        return operand(k), operand(w.sum(k, half))

    fused = _fold(w, ZERO, "0", lambda total, k: w.fma(*term(k), total), half)
    result = w.variable(VECTOR, ZERO)
    w.store(fused, result)
    with w.when(_any_not_finite(w, fused)):  # products that overflow, as they do by themselves, may cancel to nan
        plain = _fold(w, ZERO, "0", lambda total, k: w.arithmetic("fadd", total, w.arithmetic("fmul", *term(k))), half)
        w.store(_finite_or(w, fused, plain), result)
    return w.load(result)


def _affine(w: Writer, operand: Callable[[str], str], begin: str) -> str:
    return w.arithmetic("fadd", _dot(w, operand, begin), operand(w.let("sub nsw i64 %width, 1")))


# ---- runs with weights ------------------------------------------------------------------------------------------


_BLOCKS = {8: (2, 1), 4: (4, 2, 1), 1: (4, 2, 1)}
"""How many results, and how many vectors of each, a matrix product holds in registers at once."""


def neurons(w: Writer, formula: Formula | int = 0, net_input: int = 0) -> None:
    """Write the run of f(Σⱼ U[first + i·across + j·along] · slot(table[j]) + U[bias + i·each], …) for each i.

    The sum is operand `net_input` of the formula; the others are slots, named for each i in another table. It is a
    matrix product: 8 results for 16 rows, or 4 for 32, are held in registers at once, so that each weight that is
    loaded is used for so many rows, and each input for so many results.
    """
    first, across, along, bias, each, more = (_field(w, k) for k in range(6))
    others = [k for k in operands_in(formula) if k != net_input]
    more_table = w.at("%tables", more, "i32")
    has_bias = w.let(f"icmp sge i64 {bias}, 0")

    def prepared(i: str, results: int) -> list[_Neuron]:
        """Return what is the same for all rows."""
        ready = []
        for q in range(results):
            row = w.sum(i, str(q))
            start = w.variable("double", "-0.0")  # what leaves every number as it is when added
            with w.when(has_bias):
                w.do(f"store double {w.number('%U', w.sum(bias, w.product(row, each)))}, ptr {start}")
            ready.append(
                _Neuron(
                    w.at("%U", w.sum(first, w.product(row, across))),
                    w.splat(w.let(f"load double, ptr {start}")),
                    _sources(w, others, more_table, w.product(row, str(len(others)))),
                    w.sum("%out", w.product(row, "%T")),
                )
            )
        return ready

    def block(results: list[_Neuron], lane: str, vectors: int) -> None:
        totals = [[w.variable(VECTOR, ZERO) for _ in range(vectors)] for _ in results]
        with w.loop("0", "%width") as j:
            start = w.sum(w.slot("%table", j), lane)
            xs = [w.vector("%slots", w.sum(start, str(LANES * r))) for r in range(vectors)]
            step = w.product(j, along)
            for neuron, total in zip(results, totals, strict=True):
                weight = w.splat(w.number(neuron.weights, step))
                for r in range(vectors):
                    w.store(w.fma(weight, xs[r], w.load(total[r])), total[r])
        for neuron, total in zip(results, totals, strict=True):
            for r in range(vectors):
                at = w.sum(lane, str(LANES * r))
                terms = _loaded(w, others, neuron.sources, at)
                terms[net_input] = w.arithmetic("fadd", w.load(total[r]), neuron.bias)
                w.put(_computed(w, formula, terms), "%slots", w.sum(neuron.to, at))

    _in_two_ways(w, "%T", prepared, block)


class _Neuron(NamedTuple):
    """Name what a neuron's sum is made of, for 8 rows at a time."""

    weights: str
    bias: str
    sources: list[str]
    to: str


def _in_two_ways(
    w: Writer, length: str, prepared: Callable[[str, int], Any], block: Callable[[Any, str, int], object]
) -> None:
    """Go through the results of a run, `%count` of some length each, in blocks; what a block shares is prepared."""

    def rows(i: str, results: int) -> None:
        ready = prepared(i, results)
        widths = tuple(LANES * vectors for vectors in _BLOCKS[results])
        _in_blocks(w, length, widths, lambda at, width: block(ready, at, width // LANES))

    _in_blocks(w, "%count", tuple(_BLOCKS), rows)


def _in_blocks(w: Writer, count: str, sizes: tuple[int, ...], body: Callable[[str, int], object]) -> None:
    """Go through a range in blocks of the first size, what remains of it in blocks of the next, and so on."""
    start = "0"
    for size in sizes:
        left = w.let(f"sub nsw i64 {count}, {start}")
        stop = w.sum(start, w.product(w.let(f"udiv i64 {left}, {size}"), str(size)))
        with w.loop(start, stop, size) as i:
            body(i, size)
        start = stop


def panel(w: Writer) -> None:
    """Write the run that copies slots into the panel: row by row, each row padded with zeros to whole vectors."""
    start, stride = _field(w, 0), _field(w, 1)
    to = w.at("%panel", w.product(start, "%T"))
    whole = w.product(w.let(f"udiv i64 %count, {LANES}"), str(LANES))
    with w.loop("0", whole, LANES) as j:
        sources = [w.slot("%table", j, str(q)) for q in range(LANES)]
        with w.loop("0", "%T", LANES) as lane:
            block = _transposed(w, [w.vector("%slots", w.sum(source, lane)) for source in sources])
            for q, row in enumerate(block):
                w.put(row, to, w.sum(w.product(w.sum(lane, str(q)), stride), j))
    with w.loop(whole, stride) as j, w.loop("0", "%T") as lane:
        w.do(f"store double 0.0, ptr {w.at(to, w.sum(w.product(lane, stride), j))}")
    with w.loop(whole, "%count") as j:
        source = w.slot("%table", j)
        with w.loop("0", "%T") as lane:
            x = w.number("%slots", w.sum(source, lane))
            w.do(f"store double {x}, ptr {w.at(to, w.sum(w.product(lane, stride), j))}")


def _transposed(w: Writer, rows: list[str]) -> list[str]:
    """Turn 8 vectors, the rows of a block, into its columns: halves, quarters and eighths change places in turn."""
    for size in (4, 2, 1):
        low = [k if k & size == 0 else k - size + LANES for k in range(LANES)]
        high = [k + size if k & size == 0 else k + LANES for k in range(LANES)]
        mixed = list(rows)
        for k in range(LANES):
            if k & size == 0:
                for at, picked in ((k, low), (k + size, high)):
                    mask = ", ".join(f"i32 {x}" for x in picked)
                    pair = f"{VECTOR} {rows[k]}, {VECTOR} {rows[k + size]}"
                    mixed[at] = w.let(f"shufflevector {pair}, <{LANES} x i32> <{mask}>")
        rows = mixed
    return rows


def outer(w: Writer) -> None:
    """Write the run of G[first + i·across + j] += Σ over rows of slot(table[i]) · panel[j]: gradients by weights.

    If no other run adds to these sums, they are not read for the first tile, and need not be 0 then.
    """
    first, across, start, stride, alone = (_field(w, k) for k in range(5))
    fresh = w.let(f"and i1 %first, {w.let(f'icmp ne i64 {alone}, 0')}")
    source = w.at("%panel", w.product(start, "%T"))

    def prepared(i: str, results: int) -> list[tuple[str, str]]:
        """Return for each result where its gradients are, and where in G its sums."""
        places = [w.sum(i, str(q)) for q in range(results)]
        return [(w.at("%slots", w.slot("%table", q)), w.sum(first, w.product(q, across))) for q in places]

    def block(results: list[tuple[str, str]], j: str, vectors: int) -> None:
        totals = [[w.variable(VECTOR, ZERO) for _ in range(vectors)] for _ in results]
        with w.loop("0", "%T") as lane:
            begin = w.sum(w.product(lane, stride), j)
            xs = [w.vector(source, w.sum(begin, str(LANES * r))) for r in range(vectors)]
            for (gradients, _), total in zip(results, totals, strict=True):
                gradient = w.splat(w.number(gradients, lane))
                for r in range(vectors):
                    w.store(w.fma(gradient, xs[r], w.load(total[r])), total[r])
        for (_, to), total in zip(results, totals, strict=True):
            for r in range(vectors):
                at = w.sum(j, str(LANES * r))
                add_to_sums(w.load(total[r]), w.sum(to, at), at)

    def add_to_sums(total: str, to: str, j: str) -> None:
        """Add to as many sums as there are: the last vector may be cut short."""
        left = w.splat_of_integers(w.let(f"sub nsw i64 %width, {j}"))
        ramp = f"<{', '.join(f'i64 {k}' for k in range(LANES))}>"
        mask = w.let(f"icmp slt <{LANES} x i64> {ramp}, {left}")
        read = w.let(f"select i1 {fresh}, <{LANES} x i1> {ZERO}, <{LANES} x i1> {mask}")
        at = w.at("%G", to)
        old = w.let(
            f"call {VECTOR} @llvm.masked.load.v{LANES}f64.p0(ptr {at}, i32 8, <{LANES} x i1> {read}, {VECTOR} {ZERO})"
        )
        new = w.arithmetic("fadd", old, total)
        w.do(f"call void @llvm.masked.store.v{LANES}f64.p0({VECTOR} {new}, ptr {at}, i32 8, <{LANES} x i1> {mask})")

    _in_two_ways(w, stride, prepared, block)


def summed(w: Writer) -> None:
    """Write the run of G[table[i]] += Σ over rows of a slot."""
    _summed(w, 2)


def summed_products(w: Writer) -> None:
    """Write the run of G[table[i]] += Σ over rows of a product of two slots."""
    _summed(w, 3)


def _summed(w: Writer, entries: int) -> None:
    def block(i: str, results: int) -> None:
        at = [w.product(w.sum(i, str(q)), str(entries)) for q in range(results)]
        slots = [[w.slot("%table", first, str(k)) for k in range(1, entries)] for first in at]
        totals = [w.variable(VECTOR, ZERO) for _ in at]
        with w.loop("0", "%T", LANES) as lane:
            for total, sources in zip(totals, slots, strict=True):
                x, *rest = (w.vector("%slots", w.sum(source, lane)) for source in sources)
                old = w.load(total)
                w.store(w.fma(x, rest[0], old) if rest else w.arithmetic("fadd", x, old), total)
        for total, first in zip(totals, at, strict=True):
            sum_of_lanes = w.let(
                f"call reassoc double @llvm.vector.reduce.fadd.v{LANES}f64(double -0.0, {VECTOR} {w.load(total)})"
            )
            to = w.at("%G", w.entry("%table", first))
            old_sum = w.let(f"load double, ptr {to}")
            w.do(f"store double {w.let(f'fadd double {old_sum}, {sum_of_lanes}')}, ptr {to}")

    _in_blocks(w, "%count", (4, 1), block)


_MANY: dict[str, Callable[[Writer], None]] = {
    "sum": _over_many(_sum),
    "mean": _over_many(_mean),
    "prod": _over_many(_prod),
    "maxout": _over_many(_maxout),
    "log_of_sum": _over_many(_log_of_sum, 1),
    "dot": _over_many(_dot),
    "affine": _over_many(_affine),
    "callback": called_back,
    "neurons": neurons,
    "panel": panel,
    "outer": outer,
    "summed": summed,
    "summed_products": summed_products,
}
"""What is run otherwise than slot by slot."""

_USED = {"maxout": "maximum", "log_of_sum": "log1p"}


# ---- tiles -------------------------------------------------------------------------------------------------------


Fields = dict[Context, str]


def _read_context(w: Writer, context: str) -> tuple[Fields, Fields]:
    """Return the fields of a context, and those of them that are addresses as pointers; `%T` is the tile."""
    field = {f: w.let(f"load i64, ptr {w.at(context, str(int(f)), 'i64')}") for f in Context}
    pointer = {f: w.let(f"inttoptr i64 {field[f]} to ptr") for f in _ADDRESSES}
    w.do(f"%T = add i64 {field[Context.TILE]}, 0")
    return field, pointer


def _fill(w: Writer, field: Fields, pointer: Fields) -> None:
    """Fill the slots that hold a weight or a constant."""
    tables = pointer[Context.TABLES]
    with w.loop("0", field[Context.FILL_COUNT]) as k:
        pair = w.sum(field[Context.FILLS], w.product(k, "2"))
        to = w.slot(tables, pair)
        number = w.splat(w.number(pointer[Context.UNIFORM], w.entry(tables, pair, "1")))
        with w.loop("0", "%T", LANES) as lane:
            w.put(number, pointer[Context.SLOTS], w.sum(to, lane))


def _do_runs(w: Writer, field: Fields, pointer: Fields, kinds: list[str], first: str) -> None:
    """Go through the runs, each by the function of its kind, for the first tile or another."""
    packed = w.let(f"icmp ne i64 {field[Context.PACKED]}, 0")
    with w.loop(w.let(f"select i1 {packed}, i64 {field[Context.FIXED]}, i64 0"), field[Context.RUN_COUNT]) as k:
        run = w.at(pointer[Context.RUNS], w.product(k, str(RUN)), "i64")
        memory = (Context.SLOTS, Context.UNIFORM, Context.SUMS, Context.PANEL, Context.TABLES)
        arguments = [*(f"ptr {pointer[f]}" for f in memory), f"ptr {run}", "i64 %T", f"i1 {first}"]
        arguments.append(f"ptr {pointer[Context.CALLBACK]}")
        _switch(w, w.let(f"load i64, ptr {run}"), kinds, f"({', '.join(arguments)})")


def _pack(w: Writer, field: Fields, pointer: Fields, row: str) -> None:
    """Put a tile of the inputs into their slots, eight rows by eight columns at a time where there are as many."""
    slots, tables = pointer[Context.SLOTS], pointer[Context.TABLES]
    weight = w.let(f"bitcast i64 {field[Context.WEIGHT]} to double")
    last = w.let(f"sub nsw i64 {field[Context.ROWS]}, 1")
    indexed = w.let(f"icmp ne i64 {field[Context.INDEX]}, 0")
    weighted = w.let(f"icmp sge i64 {field[Context.WEIGHT_SLOT]}, 0")
    with w.loop("0", "%T", LANES) as lane:
        starts = []
        for q in range(LANES):
            wanted = w.sum(row, lane, str(q))
            beyond = w.let(f"icmp sgt i64 {wanted}, {last}")
            here = w.let(f"select i1 {beyond}, i64 {last}, i64 {wanted}")  # beyond the end the last row is repeated
            place = w.variable("i64", here)
            with w.when(indexed):
                entry = w.at(pointer[Context.INDEX], here, "i64")
                w.do(f"store i64 {w.let(f'load i64, ptr {entry}')}, ptr {place}")
            starts.append(w.product(w.let(f"load i64, ptr {place}"), field[Context.WIDTH]))
            with w.when(weighted):
                its = w.let(f"select i1 {beyond}, double 0.0, double {weight}")
                to = w.sum(w.product(field[Context.WEIGHT_SLOT], "%T"), lane, str(q))
                w.do(f"store double {its}, ptr {w.at(slots, to)}")
        inputs = w.at(tables, field[Context.INPUT_SLOTS], "i32")
        whole = w.product(w.let(f"udiv i64 {field[Context.WIDTH]}, {LANES}"), str(LANES))
        with w.loop("0", whole, LANES) as k:
            rows = [w.vector(pointer[Context.X], w.sum(start, k)) for start in starts]
            for q, column in enumerate(_transposed(w, rows)):
                w.put(column, slots, w.sum(w.slot(inputs, k, str(q)), lane))
        with w.loop(whole, field[Context.WIDTH]) as k:
            to = w.sum(w.slot(inputs, k), lane)
            for q, start in enumerate(starts):
                x = w.number(pointer[Context.X], w.sum(start, k))
                w.do(f"store double {x}, ptr {w.at(slots, w.sum(to, str(q)))}")


def _tiles(kinds: list[str]) -> str:
    """Return the function that goes through the batch, tile by tile, and through the runs for each tile."""
    w = Writer()
    field, pointer = _read_context(w, "%context")
    slots, tables = pointer[Context.SLOTS], pointer[Context.TABLES]

    unpacked = w.let(f"icmp eq i64 {field[Context.PACKED]}, 0")
    _fill(w, field, pointer)
    with w.loop("0", field[Context.ZERO_COUNT]) as k:
        place = w.entry(tables, field[Context.ZEROS], k)
        w.do(f"store double 0.0, ptr {w.at(pointer[Context.SUMS], place)}")

    with w.loop("0", field[Context.ROWS], "%T") as row:
        with w.when(unpacked):
            _pack(w, field, pointer, row)
        _do_runs(w, field, pointer, kinds, w.let(f"icmp eq i64 {row}, 0"))
        left = w.let(f"sub nsw i64 {field[Context.ROWS]}, {row}")
        full = w.let(f"icmp slt i64 {left}, %T")
        valid = w.let(f"select i1 {full}, i64 {left}, i64 %T")
        with w.loop("0", field[Context.OUT_WIDTH]) as k:
            source = w.slot(tables, field[Context.OUT_SLOTS], k)
            with w.loop("0", valid) as lane:
                x = w.number(slots, w.sum(source, lane))
                to = w.sum(w.product(w.sum(row, lane), field[Context.OUT_WIDTH]), k)
                w.do(f"store double {x}, ptr {w.at(pointer[Context.OUT], to)}")
    body = "\n".join(w.lines)
    return f"define void @tiles(ptr noalias readonly %context) #1 {{\nentry:\n{body}\n  ret void\n}}\n"


_ADDRESSES = (
    Context.X, Context.INDEX, Context.UNIFORM, Context.SLOTS, Context.PANEL, Context.SUMS, Context.OUT, Context.TABLES,
    Context.RUNS, Context.CALLBACK,
)  # fmt: skip


def _switch(w: Writer, kind: str, kinds: list[str], arguments: str) -> None:
    w.count += 1
    label = f"S{w.count}"
    cases = " ".join(f"i64 {k}, label %{label}.{k}" for k in range(len(kinds)))
    w.lines.append(f"  switch i64 {kind}, label %{label}.end [ {cases} ]")
    for k, name in enumerate(kinds):
        w.lines += [f"{label}.{k}:", f'  call void @"run.{name}"{arguments}', f"  br label %{label}.end"]
    w.lines.append(f"{label}.end:")


# ---- training ---------------------------------------------------------------------------------------------------


class Plan(IntEnum):
    """Name the 64-bit fields of what a native training call is given."""

    TILES = 0  # address of the context that gives gradients
    SIDES = 1  # address of the addresses of two U: the one with the weights as they are, the other to be written
    WEIGHTS = 2  # where in U the weights are; what is remembered of them follows
    COUNT = 3  # how many weights
    STRIDE = 4  # from the weights to the first thing remembered of them, and from each of those to the next
    CONSTANTS = 5  # address of the constants of the rule
    STEPS = 6  # how many steps to take
    RANGES = 7  # address of where each step's examples begin and end (two int64)
    RANGE_STRIDE = 8  # from the range of a step to that of the next: 0 if it is the same
    INDEX = 9  # address of the examples' numbers (int64)
    X = 10  # address of all examples
    NUMBERS = 11  # address of the numbers that each step has for all weights, step by step
    NUMBER_STRIDE = 12  # from the numbers of a step to those of the next: 0 if they are the same
    LOSSES = 13  # address of the loss of each step, to be written
    OUT = 14  # address of the outputs of each example
    OUT_WIDTH = 15  # how many of them are wanted
    PACKED = 16  # 1 if the examples of the first step are in their slots from the last call; is set for the next


_PLAN_ADDRESSES = (
    Plan.TILES, Plan.SIDES, Plan.CONSTANTS, Plan.RANGES, Plan.INDEX, Plan.NUMBERS, Plan.LOSSES, Plan.OUT,
)  # fmt: skip


class Rule(NamedTuple):
    """Hold how weights move: a program from a weight, its gradient, what is remembered of it, and a step's numbers.

    Its outputs are the new weight and what is to be remembered.
    """

    program: Program
    remembers: int


def _operations_of(rule: Rule) -> set[str]:
    """Return the names of a rule's operations.

    Raises:
        ValueError: There is no code for one of them here.
    """
    known = available()
    names = set()
    for instruction in rule.program.instructions:
        if type(instruction) is Apply:
            op = instruction.op
            if op.name not in known or ops.TABLE.get(op.name) is not op:
                raise ValueError(f"{op.name} is not for an optimiser that is compiled: its rule has operators and sqrt")
            names.add(op.name)
    return names


def _moved(rule: Rule) -> str:
    """Return the function that writes the weights of the other side; -1 if one of them would be infinite or nan."""
    w = Writer()
    remembers = rule.remembers
    parts = ["0", *(w.product("%stride", str(k)) for k in range(1, 1 + remembers))]
    shared: dict[int, str] = {}
    constants = 0
    for place, instruction in enumerate(rule.program.instructions):
        match instruction:
            case Constant(_):
                shared[place] = w.splat(w.number("%constants", str(constants)))
                constants += 1
            case Input(k) if k >= 2 + remembers:
                shared[place] = w.splat(w.number("%numbers", str(k - 2 - remembers)))
    flags = f"<{LANES} x i1>"
    wrong = w.variable(flags, ZERO)
    with w.loop("0", "%count", LANES) as lane:
        xs = dict(shared)
        for place, instruction in enumerate(rule.program.instructions):
            match instruction:
                case Input(1):
                    xs[place] = w.vector("%gradient", lane)
                case Input(k) if k < 2 + remembers:
                    xs[place] = w.vector("%from", w.sum(lane, parts[max(0, k - 1)]))
                case Apply(op, operands):
                    xs[place] = w.call(f"al.{op.name}", *(xs[x] for x in operands))
        # The last vector may reach beyond the last weight: the loss stands there, and what a rule makes of it is no
        # weight's.
        beyond = w.let(f"icmp sge <{LANES} x i64> {_lane_numbers(w, lane)}, {w.splat_of_integers('%count')}")
        for part, y in zip(parts, rule.program.outputs, strict=True):
            new = w.let(f"select {flags} {beyond}, {VECTOR} {ZERO}, {VECTOR} {xs[y]}")
            w.put(new, "%to", w.sum(lane, part))
            if part == "0":
                found = w.let(f"or {flags} {w.let(f'load {flags}, ptr {wrong}')}, {_not_finite(w, new)}")
                w.do(f"store {flags} {found}, ptr {wrong}")
    bad = w.let(f"sext i1 {_any(w, w.let(f'load {flags}, ptr {wrong}'))} to i64")
    body = "\n".join(w.lines)
    return f"define internal i64 @moved({_MOVE_ARGUMENTS}) #1 {{\nentry:\n{body}\n  ret i64 {bad}\n}}\n"


_MOVE_ARGUMENTS = (
    "ptr noalias readonly %from, ptr noalias %to, ptr noalias readonly %gradient, ptr noalias readonly %constants, "
    "ptr noalias readonly %numbers, i64 %count, i64 %stride"
)


def _lane_numbers(w: Writer, lane: str) -> str:
    ramp = f"<{', '.join(f'i64 {k}' for k in range(LANES))}>"
    return w.let(f"add <{LANES} x i64> {w.splat_of_integers(lane)}, {ramp}")


def _train() -> str:
    """Return the function that takes steps; it gives how many, and stops before one that is no number."""
    w = Writer()
    field = {f: w.let(f"load i64, ptr {w.at('%plan', str(int(f)), 'i64')}") for f in Plan}
    pointer = {f: w.let(f"inttoptr i64 {field[f]} to ptr") for f in _PLAN_ADDRESSES}
    tiles, sides = pointer[Plan.TILES], pointer[Plan.SIDES]
    address = {f: w.at(tiles, str(int(f)), "i64") for f in Context}

    def give(f: Context, value: str) -> None:
        w.do(f"store i64 {value}, ptr {address[f]}")

    sums = w.let(f"inttoptr i64 {w.let(f'load i64, ptr {address[Context.SUMS]}')} to ptr")
    one_tile = w.let(f"load i64, ptr {address[Context.TILE]}")
    there_at = w.at(sides, "1", "i64")
    taken = w.variable("i64", "0")
    going = w.variable("i1", "true")
    give(Context.X, field[Plan.X])
    give(Context.OUT_WIDTH, field[Plan.OUT_WIDTH])
    give(Context.PACKED, field[Plan.PACKED])
    with w.loop("0", field[Plan.STEPS]) as step, w.when(w.let(f"load i1, ptr {going}")):
        here, there = w.let(f"load i64, ptr {sides}"), w.let(f"load i64, ptr {there_at}")
        give(Context.UNIFORM, here)
        span = w.product(step, field[Plan.RANGE_STRIDE])
        start = w.let(f"load i64, ptr {w.at(pointer[Plan.RANGES], span, 'i64')}")
        stop = w.let(f"load i64, ptr {w.at(pointer[Plan.RANGES], w.sum(span, '1'), 'i64')}")
        rows = w.let(f"sub nsw i64 {stop}, {start}")
        give(Context.ROWS, rows)
        each = w.let(f"fdiv double 1.0, {w.let(f'sitofp i64 {rows} to double')}")
        w.do(f"store double {each}, ptr {address[Context.WEIGHT]}")
        give(Context.INDEX, w.let(f"ptrtoint ptr {w.at(pointer[Plan.INDEX], start, 'i64')} to i64"))
        out = w.at(pointer[Plan.OUT], w.product(start, field[Plan.OUT_WIDTH]))
        give(Context.OUT, w.let(f"ptrtoint ptr {out} to i64"))
        w.do(f"call void @tiles(ptr {tiles})")
        same = w.let(f"icmp eq i64 {field[Plan.RANGE_STRIDE]}, 0")
        fits = w.let(f"icmp sle i64 {rows}, {one_tile}")
        give(Context.PACKED, w.let(f"zext i1 {w.let(f'and i1 {same}, {fits}')} to i64"))
        loss = w.number(sums, field[Plan.COUNT])  # after the gradient
        w.do(f"store double {loss}, ptr {w.at(pointer[Plan.LOSSES], step)}")
        size = w.let(f"call double @llvm.fabs.f64(double {loss})")
        finite = w.let(f"fcmp olt double {size}, 0x7FF0000000000000")
        w.do(f"store i1 {finite}, ptr {going}")
        with w.when(finite):
            old, new = (w.at(w.let(f"inttoptr i64 {side} to ptr"), field[Plan.WEIGHTS]) for side in (here, there))
            numbers = w.at(pointer[Plan.NUMBERS], w.product(step, field[Plan.NUMBER_STRIDE]))
            pointers = ", ".join(f"ptr {x}" for x in (old, new, sums, pointer[Plan.CONSTANTS], numbers))
            sizes = f"i64 {field[Plan.COUNT]}, i64 {field[Plan.STRIDE]}"
            good = w.let(f"icmp eq i64 {w.let(f'call i64 @moved({pointers}, {sizes})')}, 0")
            w.do(f"store i1 {good}, ptr {going}")
            with w.when(good):
                w.do(f"store i64 {there}, ptr {sides}")
                w.do(f"store i64 {here}, ptr {there_at}")
                w.do(f"store i64 {w.sum(step, '1')}, ptr {taken}")
    packed = w.let(f"load i64, ptr {address[Context.PACKED]}")
    w.do(f"store i64 {packed}, ptr {w.at('%plan', str(int(Plan.PACKED)), 'i64')}")
    give(Context.PACKED, "0")
    value = w.let(f"load i64, ptr {taken}")
    body = "\n".join(w.lines)
    return f"define i64 @train(ptr %plan) #1 {{\nentry:\n{body}\n  ret i64 {value}\n}}\n"


def _run_of(kind: Kind) -> str:
    if isinstance(kind, str):
        return _run(kind, _MANY[kind])
    if kind[0] == "neurons":
        return _run(name_of(kind), lambda w: neurons(w, kind[1], kind[2]))
    return elementwise(kind)


class Module:
    """Describe the code for some kinds of run: the function `tiles`, and with the rule of an optimiser also `train`.

    Attributes:
        key: What tells it from other modules: the same key, the same code.

    >>> "define void @tiles" in Module([("mul", 0, 1), "sum"]).ir()
    True
    """

    def __init__(self, kinds: Iterable[Kind], rule: Rule | None = None) -> None:
        self._kinds = list(kinds)
        self._operations = set().union(*map(_operations, self._kinds))
        self._moved = ""
        if rule is not None:
            self._operations |= _operations_of(rule)
            self._moved = _moved(rule)
        self.key = "\n".join((repr(self._kinds), self._moved))

    def ir(self) -> str:
        """Write it, in LLVM's language."""
        names = [name_of(kind) for kind in self._kinds]
        trained = [self._moved, _train(), "declare double @llvm.fabs.f64(double)"] if self._moved else []
        return "\n".join([
            definitions(sorted(self._operations), LANES),
            f"declare double @llvm.vector.reduce.fadd.v{LANES}f64(double, {VECTOR})",
            f"declare i1 @llvm.vector.reduce.or.v{LANES}i1(<{LANES} x i1>)",
            f"declare {VECTOR} @llvm.masked.load.v{LANES}f64.p0(ptr, i32, <{LANES} x i1>, {VECTOR})",
            f"declare void @llvm.masked.store.v{LANES}f64.p0({VECTOR}, ptr, i32, <{LANES} x i1>)",
            "",
            *map(_run_of, self._kinds),
            _tiles(names),
            *trained,
            'attributes #1 = { nounwind "prefer-vector-width"="512" }',
        ])  # fmt: skip


@cache
def fingerprint() -> bytes:
    """Return what tells this version of the code that writes modules from others."""
    sources = []
    for module in (__name__, vector_math.__name__):
        spec = sys.modules[module].__spec__
        sources.append(spec.loader.get_data(spec.origin))  # type: ignore[union-attr]
    return sha256(b"".join(sources)).digest()
