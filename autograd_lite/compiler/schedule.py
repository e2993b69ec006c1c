"""Arrange a program into runs of like operations: what the native loops of `kernels.py` are fed with.

Results of one level (those whose operands are ready at the same time) and one operation stand in slots next to each
other and are computed in one run. Net inputs of neurons with the same inputs become a product of a matrix of weights
with them, and gradients by such weights a product of two matrices; all that is found in the program, not assumed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, pairwise
from operator import itemgetter, not_
from typing import Any, NamedTuple, cast

from .. import ops
from ..op import Op
from .kernels import RUN, Kind, operands_in
from .primitives import log_of_sum
from .program import Apply, Constant, Input, Program, operands_of, uses_of
from .vector_math import has_code

__all__ = ["Schedule", "scheduled"]

_MOST_FUSED = 300  # groups; fusing makes code of its own for each formula, which must not grow with the program
_WIDEST = 12  # operands of a fused run
_FEWEST_WEIGHTS = 4  # in a row of a matrix, below which single products are as quick
_FEWEST_RESULTS = 2  # of which the gradients are sums with the same inputs: below, these are not worth a panel


@dataclass
class Schedule:
    """Runs, and what they refer to.

    Attributes:
        kinds: The kinds of run, in the order of their numbers.
        runs: RUN numbers for each.
        fixed: How many runs, the first ones, give the same for the same rows of inputs, whatever the weights.
        tables: What runs refer to: slots, mostly.
        slots: How many slots there are.
        panel: How many columns the panel has.
        uniform: The constants, that come before the weights in U.
        inputs, outputs, fills, zeros: Where in the tables they stand.
        callbacks: The operations that Python must be asked for, by number.
    """

    kinds: list[Kind] = field(default_factory=list)
    runs: array[int] = field(default_factory=lambda: array("q"))
    fixed: int = 0
    tables: array[int] = field(default_factory=lambda: array("i"))
    slots: int = 0
    panel: int = 0
    uniform: array[float] = field(default_factory=lambda: array("d"))
    inputs: int = 0
    outputs: int = 0
    fills: int = 0
    fill_count: int = 0
    zeros: int = 0
    zero_count: int = 0
    callbacks: list[Op] = field(default_factory=list)


class _Neuron(NamedTuple):
    place: int
    first: int
    along: int
    bias: int


_Matrices = dict[tuple[int, ...], list[tuple[int, int]]]
"""Factors that several rows share; for each row the sum of its first product, and the other factor."""


@dataclass
class _Group:
    """Results of one kind that are computed in one run: their places and, for each, the operands.

    `number` tells Python which operation it is asked for. For neurons, `inputs` are the places of their net inputs, and
    `operands` what else they need for what they do with those. `uniform` tells which operands are taken from U, if any.
    """

    depth: int
    kind: Kind
    number: int
    places: list[int]
    operands: list[Sequence[int]]
    inputs: list[int] = field(default_factory=list)
    uniform: Sequence[bool] = ()

    def read(self) -> Iterable[int]:
        """Return the places that are read from slots."""
        for operands in self.operands:
            yield from compress(operands, map(not_, self.uniform))


class _Product(NamedTuple):
    total: int
    x: int
    y: int


def scheduled(program: Program, width: int, weights: int | None = None, summed: int = 0) -> Schedule:
    """Arrange a program.

    Args:
        program: What to arrange, lowered.
        width: How many of its inputs stand in a row of the batch.
        weights: How many further inputs are the same for all rows. Between the two, there is then one that is the
            weight of the row in sums over rows.
        summed: How many of the outputs, the last ones, are wanted as sums over all rows.
    """
    return _Scheduler(program, width, weights, summed).run()


class _Scheduler:
    def __init__(self, program: Program, width: int, weights: int | None, summed: int) -> None:
        self.instructions = program.instructions
        self.rows_out = program.outputs[: len(program.outputs) - summed]
        self.sums_out = program.outputs[len(program.outputs) - summed :]
        self.width = width
        self.varying = width + (weights is not None)
        self.result = Schedule()
        self.places_in_u: dict[int, int] = {}
        self.slot: dict[int, int] = {}
        self.weighted: set[int] = set()  # what depends on the weights, or is computed in one run with what does
        self.runs: list[tuple[bool, list[int]]] = []
        self.kind_numbers: dict[Kind, int] = {}

    def run(self) -> Schedule:
        result = self.result
        constants = sum(type(instruction) is Constant for instruction in self.instructions)
        for place, instruction in enumerate(self.instructions):
            match instruction:
                case Input(k) if k < self.varying:
                    self.slot[place] = k
                case Input(k):
                    self.places_in_u[place] = constants + k - self.varying
                    self.weighted.add(place)
                case Constant(x):
                    self.places_in_u[place] = len(result.uniform)
                    result.uniform.append(x)
                case _ if not self.weighted.isdisjoint(operands_of(instruction)):
                    self.weighted.add(place)
        products, singles = self._split_sums()
        wanted = [*self.rows_out, *(place for _, place in singles)]
        wanted += [place for product in products for place in (product.x, product.y)]
        needed = self._needed(wanted)
        neurons = self._neurons(needed)
        groups = self._grouped(needed, neurons, wanted)
        for group in groups:
            self._take_from_u(group)
        self._assign_slots(groups, wanted)
        self._write_runs(groups, neurons)
        self._write_sums(products, singles)
        self._order_runs()
        result.inputs = self._table(range(self.width))
        result.outputs = self._table([self.slot[y] for y in self.rows_out])
        return result

    # ---- what is wanted

    def _split_sums(self) -> tuple[list[_Product], list[tuple[int, int]]]:
        """Take sums over rows apart: into products, which need not be computed row by row, and other terms."""
        if not self.sums_out:
            return [], []
        uses = uses_of(self.instructions)
        for y in (*self.rows_out, *self.sums_out):
            uses[y] += 1
        products: list[_Product] = []
        singles: list[tuple[int, int]] = []
        for total, y in enumerate(self.sums_out):
            todo = [y]
            while todo:
                place = todo.pop()
                op, operands = self._taken_apart(place) if uses[place] == 1 else (None, ())
                if op is ops.add:
                    todo += operands[::-1]
                elif op is ops.mul:
                    products.append(_Product(total, *operands))
                elif op is ops.affine:
                    products += [_Product(total, x, y) for x, y in zip(*operands[:2], strict=True)]
                    todo.append(operands[2])
                elif self.instructions[place] != Constant(0.0):
                    singles.append((total, place))
        return products, singles

    def _taken_apart(self, place: int) -> tuple[Op | None, tuple[Any, ...]]:
        """Return the operation and operands of an instruction that can be summed over rows in parts."""
        instruction = self.instructions[place]
        if type(instruction) is Apply:
            op, operands = instruction
            factors = operands if op is ops.mul else (*operands[0], *operands[1]) if op is ops.affine else ()
            if op is ops.add or (factors and not self._is_uniform(*factors)):
                return op, operands
        return None, ()

    def _is_uniform(self, *places: int) -> bool:
        return any(place in self.places_in_u for place in places)

    def _needed(self, wanted: Iterable[int]) -> list[int]:
        needed = set(wanted)
        for place in range(len(self.instructions) - 1, -1, -1):
            if place in needed:
                needed.update(operands_of(self.instructions[place]))
        return sorted(place for place in needed if type(self.instructions[place]) is Apply)

    # ---- neurons

    def _neurons(self, needed: list[int]) -> dict[int, tuple[tuple[int, ...], _Neuron]]:
        """Find the sums of weights times varying numbers: by place, the numbers and where the weights stand in U."""
        found = {}
        for place in needed:
            op, operands = cast(Apply, self.instructions[place])
            if op is not ops.affine and op is not ops.dot:
                continue
            ws, xs, bias = operands if op is ops.affine else (*operands, None)
            if all(w not in self.places_in_u for w in ws):
                ws, xs = xs, ws
            at = [self.places_in_u.get(w) for w in ws]
            if None in at or self._is_uniform(*xs) or (bias is not None and bias not in self.places_in_u):
                continue
            along = _step(at)  # type: ignore[arg-type]
            if along is not None:
                at_bias = -1 if bias is None else self.places_in_u[bias]
                found[place] = (tuple(xs), _Neuron(place, at[0], along, at_bias))  # type: ignore[arg-type]
        return found

    # ---- groups

    def _grouped(self, needed: list[int], neurons: dict[int, Any], wanted: list[int]) -> list[_Group]:
        """Group what is needed by level and kind."""
        level = [0] * len(self.instructions)
        groups: dict[Any, _Group] = {}
        for place in needed:
            op, _ = cast(Apply, self.instructions[place])
            flat = operands_of(self.instructions[place])
            depth = level[place] = 1 + max([level[x] for x in flat])
            key: Any = (depth, op, len(flat))
            if place in neurons:
                xs, neuron = neurons[place]
                key = (depth, "neurons", xs, neuron.along)
            group = groups.get(key)
            if group is None:
                kind, number = ("neurons", -1) if place in neurons else self._kind(op, len(flat))
                group = groups[key] = _Group(depth, kind, number, [], [])
            group.places.append(place)
            group.operands.append(flat)
        found = []
        for group in groups.values():
            if group.kind != "neurons":
                found.append(group)
                continue
            for part in _evenly_spaced([neurons[place][1] for place in group.places]):
                found.append(_Group(group.depth, "neurons", -1, part, [()] * len(part), part))
        found.sort(key=lambda group: (group.depth, group.places[0]))
        return self._fused(found, wanted) if len(found) <= _MOST_FUSED else found

    def _kind(self, op: Op, arity: int) -> tuple[Kind, int]:
        """Return the kind of run an operation takes, and the number by which Python is to be asked for it, or -1."""
        if _MANY.get(op.name) is op:
            return op.name, -1
        if has_code(op):
            return (op.name, *range(arity)), -1
        if op not in self.result.callbacks:
            self.result.callbacks.append(op)
        return "callback", self.result.callbacks.index(op)

    def _fused(self, groups: list[_Group], wanted: list[int]) -> list[_Group]:
        """Let a run compute what only it needs, slot by slot, without storing it: its kind becomes a longer formula."""
        uses: dict[int, int] = dict.fromkeys(wanted, 2)
        for place in {place for group in groups for place in group.places}:
            for x in operands_of(self.instructions[place]):
                uses[x] = uses.get(x, 0) + 1
        maker = {place: group for group in groups for place in group.places if type(group.kind) is tuple}
        gone: set[int] = set()
        for group in groups:
            while type(group.kind) is tuple and self._absorb(group, maker, uses, gone):
                pass
        by_net_input = {group.places[0]: group for group in groups if group.kind == "neurons"}
        for group in groups:
            if type(group.kind) is tuple and id(group) not in gone:
                self._activate(group, by_net_input, uses, gone)
        return [group for group in groups if id(group) not in gone]

    def _activate(self, group: _Group, by_net_input: dict[int, _Group], uses: dict[int, int], gone: set[int]) -> None:
        """Let a group whose operand k is net inputs, which nothing else needs, compute those itself."""
        for k in range(len(group.operands[0])):
            by_input = {operands[k]: at for at, operands in enumerate(group.operands)}
            neurons = next((by_net_input[x] for x in by_input if x in by_net_input), None)
            if neurons is None or by_input.keys() != set(neurons.inputs) or any(uses[x] != 1 for x in by_input):
                continue
            order = [by_input[x] for x in neurons.inputs]
            group.kind = ("neurons", group.kind, k)
            group.inputs = neurons.inputs
            group.places = [group.places[at] for at in order]
            group.operands = [[*group.operands[at][:k], *group.operands[at][k + 1 :]] for at in order]
            gone.add(id(neurons))
            return

    def _absorb(self, group: _Group, maker: dict[int, _Group], uses: dict[int, int], gone: set[int]) -> bool:
        """Let a group compute one of its operands itself, if another group computes just that for it."""
        for k in range(len(group.operands[0])):
            column = [operands[k] for operands in group.operands]
            inner = maker.get(column[0])
            if inner is None or id(inner) in gone or len(inner.places) != len(column):
                continue
            width = len(inner.operands[0])
            if any(uses[x] != 1 for x in column) or len(group.operands[0]) + width > _WIDEST:
                continue
            read = dict(zip(inner.places, inner.operands, strict=True))
            if any(x not in read for x in column):
                continue
            group.kind = _substituted(group.kind, k, inner.kind, width)
            group.operands = [[*outer[:k], *read[outer[k]], *outer[k + 1 :]] for outer in group.operands]
            gone.add(id(inner))
            return True
        return False

    def _take_from_u(self, group: _Group) -> None:
        """Let a formula take from U itself the operands that are the same for all rows, whichever the result."""
        columns = zip(*group.operands, strict=True)
        if type(group.kind) is not tuple:
            group.uniform = [False] * len(group.operands[0])
            return
        group.uniform = [all(x in self.places_in_u for x in column) for column in columns]
        formula, net_input = group.kind[1:] if group.inputs else (group.kind, None)
        at = [k for k in operands_in(formula) if k != net_input]
        formula = _with_uniform(formula, {k for k, uniform in zip(at, group.uniform, strict=True) if uniform})
        group.kind = formula if net_input is None else ("neurons", formula, net_input)

    def _assign_slots(self, groups: list[_Group], wanted: list[int]) -> None:
        """Give each group slots next to each other, and slots to what is the same for all rows where it is needed."""
        read = [x for group in groups for x in group.read()]
        filled = dict.fromkeys(place for place in (*wanted, *read) if place in self.places_in_u)
        free = self.varying
        for place in (*filled, *(place for group in groups for place in group.places)):
            self.slot[place] = free
            free += 1
        self.result.slots = free
        self.result.fills = self._table([x for place in filled for x in (self.slot[place], self.places_in_u[place])])
        self.result.fill_count = len(filled)

    # ---- runs

    def _table(self, entries: Iterable[int]) -> int:
        start = len(self.result.tables)
        self.result.tables.extend(entries)
        return start

    def _add(self, kind: Kind, *numbers: int, fixed: bool = False) -> None:
        number = self.kind_numbers.setdefault(kind, len(self.kind_numbers))
        if number == len(self.result.kinds):
            self.result.kinds.append(kind)
        self.runs.append((not fixed, [number, *numbers, *[0] * (RUN - 1 - len(numbers))]))

    def _order_runs(self) -> None:
        """Put the runs that do not depend on weights, and so neither on runs that do, before the others."""
        self.runs.sort(key=itemgetter(0))
        self.result.fixed = sum(not weighted for weighted, _ in self.runs)
        for _, run in self.runs:
            self.result.runs.extend(run)

    def _write_runs(self, groups: list[_Group], neurons: dict[int, Any]) -> None:
        slot = self.slot
        for group in groups:
            places = group.places
            where = [self.places_in_u if uniform else slot for uniform in group.uniform]
            table = self._table([at[x] for operands in group.operands for x, at in zip(operands, where, strict=True)])
            fixed = not group.inputs and self.weighted.isdisjoint((*places, *group.read()))
            if not fixed:
                self.weighted.update(places)
            if not group.inputs:
                numbers = len(places), len(group.operands[0]), table, slot[places[0]], group.number
                self._add(group.kind, *numbers, fixed=fixed)
                continue
            xs, first = neurons[group.inputs[0]]
            _, second = neurons[group.inputs[:2][-1]]
            steps = (second.first - first.first, first.along, first.bias, second.bias - first.bias)
            inputs = self._table([slot[x] for x in xs])
            self._add(group.kind, len(places), len(xs), inputs, slot[places[0]], first.first, *steps, table)

    # ---- sums over rows

    def _write_sums(self, products: list[_Product], singles: list[tuple[int, int]]) -> None:
        slot = self.slot
        matrices, alone = _matrices(products)
        several = self._several(matrices, [total for total, *_ in (*alone, *singles)])
        for xs, members in matrices.items():
            self._write_matrix(xs, members, several)
        if alone:
            table = self._table([x for p in alone for x in (p.total, slot[p.x], slot[p.y])])
            self._add("summed_products", len(alone), 0, table)
        if singles:
            table = self._table([x for total, place in singles for x in (total, slot[place])])
            self._add("summed", len(singles), 0, table)
        self.result.zeros = self._table(sorted(several))
        self.result.zero_count = len(several)

    def _several(self, matrices: _Matrices, others: list[int]) -> set[int]:
        """Return the sums that are more than one element of one matrix: those must be 0 before anything is added."""
        elements = Counter(
            first + k for xs, members in matrices.items() for first, _ in members for k in range(len(xs))
        )
        elements.update([*others, *others])  # twice, so that each is more than one
        return {total for total in range(len(self.sums_out)) if elements[total] != 1}

    def _write_matrix(self, xs: Sequence[int], members: list[tuple[int, int]], several: set[int]) -> None:
        """Write the runs of the products of some factors with others; what they must add to joins `several`."""
        stride = -(-len(xs) // 8) * 8
        panel, self.result.panel = self.result.panel, self.result.panel + stride
        table = self._table([self.slot[x] for x in xs])
        self._add("panel", len(xs), 0, table, 0, panel, stride, fixed=self.weighted.isdisjoint(xs))
        for part in _evenly_spaced([_Neuron(k, first, 0, 0) for k, (first, _) in enumerate(members)]):
            firsts = [members[k][0] for k in part]
            totals = [first + k for first in firsts for k in range(len(xs))]
            is_alone = several.isdisjoint(totals)
            if not is_alone:
                several.update(totals)
            table = self._table([self.slot[members[k][1]] for k in part])
            across = firsts[:2][-1] - firsts[0]
            self._add("outer", len(part), len(xs), table, 0, firsts[0], across, panel, stride, int(is_alone))


_MANY = {op.name: op for op in (ops.sum, ops.mean, ops.prod, ops.maxout, ops.dot, ops.affine, log_of_sum)}


def _substituted(formula: Any, k: int, inner: Any, width: int) -> Any:
    """Put a formula of `width` operands in the place of operand k.

    >>> _substituted(("mul", 0, 1), 0, ("step", 0), 1), _substituted(("neg", 0), 0, ("mul", 0, 1), 2)
    (('mul', ('step', 0), 1), ('neg', ('mul', 0, 1)))
    """
    if isinstance(formula, int):
        return _shifted(inner, k) if formula == k else formula + (width - 1) * (formula > k)
    return (formula[0], *(_substituted(part, k, inner, width) for part in formula[1:]))


def _with_uniform(formula: Any, uniform: set[int]) -> Any:
    """Mark operands as the same for all rows.

    >>> _with_uniform(("mul", ("step", 0), 1), {1})
    ('mul', ('step', 0), -2)
    """
    if isinstance(formula, int):
        return ~formula if formula in uniform else formula
    return (formula[0], *(_with_uniform(part, uniform) for part in formula[1:]))


def _shifted(formula: Any, by: int) -> Any:
    if isinstance(formula, int):
        return formula + by
    return (formula[0], *(_shifted(part, by) for part in formula[1:]))


def _step(numbers: Sequence[int]) -> int | None:
    """Return the difference between each number and the next if it is always the same."""
    if len(numbers) < 2:
        return 0
    step = numbers[1] - numbers[0]
    return step if all(b - a == step for a, b in pairwise(numbers)) else None


def _evenly_spaced(neurons: list[_Neuron]) -> list[list[int]]:
    """Cut neurons, in order of their weights, into parts whose weights and biases follow at even steps: their places.

    >>> _evenly_spaced([_Neuron(7, 0, 1, 4), _Neuron(8, 5, 1, 9), _Neuron(9, 99, 1, 0)])
    [[7, 8], [9]]
    """
    parts: list[list[_Neuron]] = []
    for neuron in sorted(neurons, key=lambda neuron: neuron.first):
        part = parts[-1] if parts else []
        if not part or (len(part) > 1 and _steps(part[-1], neuron) != _steps(part[0], part[1])) or _apart(part, neuron):
            parts.append([neuron])
        else:
            part.append(neuron)
    return [[neuron.place for neuron in part] for part in parts]


def _steps(one: _Neuron, other: _Neuron) -> tuple[int, int]:
    return other.first - one.first, other.bias - one.bias


def _apart(part: list[_Neuron], neuron: _Neuron) -> bool:
    """Tell whether a neuron can't be the second of a part: one has a bias and the other has not, or too far away."""
    return (part[-1].bias < 0) != (neuron.bias < 0)


def _matrices(products: list[_Product]) -> tuple[_Matrices, list[_Product]]:
    """Put products that are summed into matrices, as far as it pays; return those and the rest."""
    matrices: _Matrices = {}
    alone: list[_Product] = []
    for xs, y, first in _rows_of_a_matrix(products):
        if len(xs) >= _FEWEST_WEIGHTS:
            matrices.setdefault(xs, []).append((first, y))
        else:
            alone += [_Product(first + k, x, y) for k, x in enumerate(xs)]
    for xs in [xs for xs, members in matrices.items() if len(members) < _FEWEST_RESULTS]:
        alone += [_Product(first + k, x, y) for first, y in matrices.pop(xs) for k, x in enumerate(xs)]
    return matrices, alone


def _rows_of_a_matrix(products: list[_Product]) -> list[tuple[tuple[int, ...], int, int]]:
    """Find products x·y of consecutive totals that share one factor y: the xs, y and the first total.

    >>> _rows_of_a_matrix([_Product(0, 5, 9), _Product(1, 6, 9), _Product(2, 9, 8)])
    [((5, 6, 8), 9, 0)]
    """
    parts: list[tuple[int, int, list[int]]] = []  # the first total, the shared factor, the others
    growing: dict[tuple[int, int], int] = {}  # by the total and the factor that the next product must have
    for total, x, y in sorted(products):
        for shared, other in ((y, x), (x, y)):
            number = growing.pop((total, shared), None)
            if number is None:
                continue
            first, factor, others = parts[number]
            if factor != shared:  # after its first product either factor may be the shared one
                if len(others) > 1:
                    continue
                parts[number] = first, shared, others = first, shared, [factor]
            others.append(other)
            growing[total + 1, shared] = number
            break
        else:
            parts.append((total, y, [x]))
            growing[total + 1, x] = growing[total + 1, y] = len(parts) - 1
    return [(tuple(others), shared, first) for first, shared, others in parts]
