"""The native module: the loop over tiles that does the runs of `kernels.py` in turn, and the loop that trains.

What it works on is told by a `Context`, how it trains by a `Plan`: numbers and addresses, read where they are needed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import IntEnum
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from . import kernels, vector_math, writer
from .kernels import RUN, Kind, name_of, operations_of, run_of
from .program import Apply, Constant, Input, Program
from .vector_math import definitions, has_code
from .writer import LANES, VECTOR, ZERO, Writer

__all__ = ["Context", "Module", "Plan", "Rule", "fingerprint"]


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
            for q, column in enumerate(w.transposed(rows)):
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


def _operations_in(rule: Rule) -> set[str]:
    """Return the names of a rule's operations.

    Raises:
        ValueError: There is no code for one of them here.
    """
    names = set()
    for instruction in rule.program.instructions:
        if type(instruction) is Apply:
            op = instruction.op
            if not has_code(op):
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
        beyond = w.let(f"icmp sge <{LANES} x i64> {w.lane_numbers(lane)}, {w.splat_of_integers('%count')}")
        for part, y in zip(parts, rule.program.outputs, strict=True):
            new = w.let(f"select {flags} {beyond}, {VECTOR} {ZERO}, {VECTOR} {xs[y]}")
            w.put(new, "%to", w.sum(lane, part))
            if part == "0":
                found = w.let(f"or {flags} {w.let(f'load {flags}, ptr {wrong}')}, {w.not_finite(new)}")
                w.do(f"store {flags} {found}, ptr {wrong}")
    bad = w.let(f"sext i1 {w.any(w.let(f'load {flags}, ptr {wrong}'))} to i64")
    body = "\n".join(w.lines)
    return f"define internal i64 @moved({_MOVE_ARGUMENTS}) #1 {{\nentry:\n{body}\n  ret i64 {bad}\n}}\n"


_MOVE_ARGUMENTS = (
    "ptr noalias readonly %from, ptr noalias %to, ptr noalias readonly %gradient, ptr noalias readonly %constants, "
    "ptr noalias readonly %numbers, i64 %count, i64 %stride"
)


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


class Module:
    """Describe the code for some kinds of run: the function `tiles`, and with the rule of an optimiser also `train`.

    Attributes:
        key: What tells it from other modules: the same key, the same code.

    >>> "define void @tiles" in Module([("mul", 0, 1), "sum"]).ir()
    True
    """

    def __init__(self, kinds: Iterable[Kind], rule: Rule | None = None) -> None:
        self._kinds = list(kinds)
        self._operations = set().union(*map(operations_of, self._kinds))
        self._moved = ""
        if rule is not None:
            self._operations |= _operations_in(rule)
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
            *map(run_of, self._kinds),
            _tiles(names),
            *trained,
            'attributes #1 = { nounwind "prefer-vector-width"="512" }',
        ])  # fmt: skip


@cache
def fingerprint() -> bytes:
    """Return what tells this version of the code that writes modules from others; nothing where it can't be read."""
    specs: Any = [module.__spec__ for module in (sys.modules[__name__], kernels, writer, vector_math)]
    try:
        sources = [spec.loader.get_data(spec.origin) for spec in specs]
    except (AttributeError, OSError):  # packed by a tool into a single program, say
        return b""
    return sha256(b"".join(sources)).digest()
