"""Rewrite a program into what is quick to run: shared sums of exponentials, and dot products where they are spelt out.

Rows that speak of many operands at once (`logsumexp`, and its derivatives `share`) become sums of exponentials that
are computed once for all of them. Chains of `w·x + …` written by hand, or by the chain rule, become one `dot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..op import Op
from .primitives import detach, log_of_sum, shifted_exp
from .program import Apply, Builder, Constant, Input, Program, operands_of

__all__ = ["lowered"]

_FEWEST_PRODUCTS = 4  # shorter chains stay as they are, so that their roundings are those of the recorded graph


def lowered(program: Program, uniform: int | None = None) -> Program:
    """Return a program that gives the same numbers, rewritten.

    Args:
        program: What to rewrite.
        uniform: Inputs from this one on are the same for all rows: weights. Two products with them are a dot.

    >>> build = Builder()
    >>> xs = tuple(build.input(k) for k in range(8))
    >>> total = build.constant(0.0)
    >>> for w, x in zip(xs[:4], xs[4:]):
    ...     total = build.apply(ops.add, (total, build.apply(ops.mul, (w, x))))
    >>> print(lowered(build.program([total])).instructions[-1])
    Apply(op=<operation affine(w, x, b)>, operands=((0, 1, 2, 3), (4, 5, 6, 7), 8))
    """
    return _Lowering(program, uniform).run()


class _Lowering:
    def __init__(self, program: Program, uniform: int | None) -> None:
        self.program, self.uniform = program, uniform
        self.build = Builder()
        self.uses = _uses(program)
        self.new: dict[int, int] = {}

    def run(self) -> Program:
        inner = self._inside_chains()
        for place, instruction in enumerate(self.program.instructions):
            if place in inner:
                continue
            match instruction:
                case Input(k):
                    new = self.build.input(k)
                case Constant(x):
                    new = self.build.constant(x)
                case Apply(op, operands):
                    new = self._chain(place) if op is ops.add else self._apply(op, operands)
            self.new[place] = self.build.named(new, self.program.names.get(place))
        return self.build.program([self.new[y] for y in self.program.outputs])

    def _apply(self, op: Op, operands: tuple[Any, ...]) -> int:
        mapped = tuple([tuple([self.new[i] for i in x]) if type(x) is tuple else self.new[x] for x in operands])
        match op.name, mapped:
            case "detach", (x,) if op is detach:
                return x  # type: ignore[no-any-return]
            case "logsumexp", (xs,) if op is ops.logsumexp:
                m, es, _ = self._exponentials(xs)
                return self.build.apply(log_of_sum, (m, es))
            case "share", (x, rest) if op is ops.share:
                m, _, total = self._exponentials((x, *rest))
                return self.build.apply(ops.div, (self.build.apply(shifted_exp, (x, m)), total))
            case "lead", (x, rest) if op is ops.lead:
                xs = tuple(sorted((x, *rest)))
                m = self.build.apply(ops.maxout, (xs,))
                ties = tuple([self.build.apply(ops.within, (each, m, m)) for each in xs])
                leads = self.build.apply(ops.within, (x, m, m))
                return self.build.apply(ops.div, (leads, self.build.apply(ops.sum, (ties,))))
        return self.build.apply(op, mapped)

    def _exponentials(self, xs: Sequence[int]) -> tuple[int, tuple[int, ...], int]:
        """Return their largest, e^(x − largest) for each, and the sum of those: the same for any order of the xs."""
        xs = tuple(sorted(xs))
        m = self.build.apply(ops.maxout, (xs,))
        es = tuple([self.build.apply(shifted_exp, (x, m)) for x in xs])
        return m, es, self.build.apply(ops.sum, (es,))

    # ---- chains of additions

    def _inside_chains(self) -> set[int]:
        """Return the additions and products that are used once, by an addition that becomes part of a dot."""
        inner: set[int] = set()
        for place in range(len(self.program.instructions) - 1, -1, -1):
            if place not in inner and self._is(place, ops.add) and (terms := self._terms(place)) is not None:
                inner.update(terms[1])
        return inner

    def _terms(self, place: int) -> tuple[list[int], list[int]] | None:
        """Return the terms of the sum that ends here, first to last, and what is inside; None if it is no dot."""
        terms: list[int] = []
        inside: list[int] = []
        here = place
        while True:
            left, right = self.program.instructions[here].operands  # type: ignore[union-attr]
            if self._is(right, ops.add) and self.uses[right] == 1 and not self._is_chain_link(left):
                left, right = right, left  # what is added first is the chain, whichever side it stands on
            terms.append(right)
            if not self._is_chain_link(left):
                terms.append(left)
                break
            inside.append(left)
            here = left
        products = [term for term in terms if self._is_product(term)]
        others = len(terms) - len(products)
        enough = 2 if products and all(map(self._has_weight, products)) else _FEWEST_PRODUCTS
        if others > 1 or len(products) < enough:
            return None
        return terms[::-1], inside + products

    def _chain(self, place: int) -> int:
        found = self._terms(place)
        if found is None:
            return self._apply(ops.add, self.program.instructions[place].operands)  # type: ignore[union-attr]
        terms, _ = found
        bias = next((self.new[term] for term in terms if not self._is_product(term)), self.build.constant(0.0))
        pairs = [self._factors(term) for term in terms if self._is_product(term)]
        return self.build.apply(ops.affine, (tuple([w for w, _ in pairs]), tuple([x for _, x in pairs]), bias))

    def _factors(self, product: int) -> tuple[int, int]:
        w, x = self.program.instructions[product].operands  # type: ignore[union-attr]
        if self._is_weight(x) and not self._is_weight(w):
            w, x = x, w
        return self.new[w], self.new[x]

    def _is(self, place: int, op: Op) -> bool:
        instruction = self.program.instructions[place]
        return type(instruction) is Apply and instruction.op is op

    def _is_chain_link(self, place: int) -> bool:
        return self.uses[place] == 1 and self._is(place, ops.add)

    def _is_product(self, place: int) -> bool:
        return self.uses[place] == 1 and self._is(place, ops.mul)

    def _is_weight(self, place: int) -> bool:
        instruction = self.program.instructions[place]
        return self.uniform is not None and type(instruction) is Input and instruction.place >= self.uniform

    def _has_weight(self, product: int) -> bool:
        return any(map(self._is_weight, self.program.instructions[product].operands))  # type: ignore[union-attr]


def _uses(program: Program) -> list[int]:
    uses = [0] * len(program.instructions)
    for instruction in program.instructions:
        for operand in operands_of(instruction):
            uses[operand] += 1
    for y in program.outputs:
        uses[y] += 2  # an output is kept for itself
    return uses
