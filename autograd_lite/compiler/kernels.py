"""The native loops over like operations, in LLVM IR.

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

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .writer import LANES, VECTOR, ZERO, Writer

__all__ = ["RUN", "Formula", "Kind", "name_of", "operands_in", "operations_of", "run_of"]

Formula = tuple[Any, ...]
"""An operation's name and what it is applied to: formulas, or operands.

Operand k is the number k if it is a slot, and ~k if it is the same for all rows, a number of U.
"""

Kind = str | Formula
"""What a run does: a formula, slot by slot; what has a name below; or `("neurons", formula, k)`, a formula of which
operand k is the net input of a neuron."""

RUN = 11
"""How many int64 a run has: kind, count, width, table, out, and six more that depend on the kind."""

TABLE, OUT, FIRST = 3, 4, 5


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


def operations_of(kind: Kind | int) -> set[str]:
    """Return the names of the operations on 8 rows that a kind of run uses."""
    if isinstance(kind, int):
        return set()
    if isinstance(kind, str):
        return {_USED[kind]} if kind in _USED else set()
    name, *parts = kind
    inside: set[str] = set().union(*map(operations_of, parts))
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


def _any_not_finite(w: Writer, x: str) -> str:
    return w.any(w.not_finite(x))


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
            block = w.transposed([w.vector("%slots", w.sum(source, lane)) for source in sources])
            for q, row in enumerate(block):
                w.put(row, to, w.sum(w.product(w.sum(lane, str(q)), stride), j))
    with w.loop(whole, stride) as j, w.loop("0", "%T") as lane:
        w.do(f"store double 0.0, ptr {w.at(to, w.sum(w.product(lane, stride), j))}")
    with w.loop(whole, "%count") as j:
        source = w.slot("%table", j)
        with w.loop("0", "%T") as lane:
            x = w.number("%slots", w.sum(source, lane))
            w.do(f"store double {x}, ptr {w.at(to, w.sum(w.product(lane, stride), j))}")


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
        mask = w.let(f"icmp slt <{LANES} x i64> {w.lane_numbers(j)}, {w.splat_of_integers('%width')}")
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


def run_of(kind: Kind) -> str:
    """Return the function that does a kind of run.

    >>> '@"run.sum"' in run_of("sum")
    True
    """
    if isinstance(kind, str):
        return _run(kind, _MANY[kind])
    if kind[0] == "neurons":
        return _run(name_of(kind), lambda w: neurons(w, kind[1], kind[2]))
    return elementwise(kind)
