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
from .program import Apply, Builder, Input, Program, renumbered, uses_of

__all__ = ["lowered"]

_REWRITTEN = (detach, ops.logsumexp, ops.share, ops.lead)
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
        self.uses = uses_of(program.instructions)
        for y in program.outputs:
            self.uses[y] += 2  # an output is kept for itself
        self.new: dict[int, int] = {}

    def run(self) -> Program:
        chains, inside = self._chains()
        if not chains and not any(type(each) is Apply and each.op in _REWRITTEN for each in self.program.instructions):
            return self.program
        new, names = self.new, self.program.names
        for place, instruction in enumerate(self.program.instructions):
            if place in inside:
                continue
            if place in chains:
                at = self._sum(chains[place])
            elif type(instruction) is Apply and instruction.op in _REWRITTEN:
                at = self._rewritten(instruction.op, renumbered(instruction, new).operands)  # type: ignore[union-attr]
            else:
                at = self.build.keep(renumbered(instruction, new))
            new[place] = self.build.named(at, names.get(place)) if names else at
        return Program(self.build.instructions, tuple([new[y] for y in self.program.outputs]), self.build.names)

    def _rewritten(self, op: Op, operands: tuple[Any, ...]) -> int:
        build = self.build
        if op is detach:
            place: int = operands[0]
            return place
        if op is ops.logsumexp:
            m, es, _ = self._exponentials(operands[0])
            return build.apply(log_of_sum, (m, es))
        x, rest = operands
        if op is ops.share:
            m, _, total = self._exponentials((x, *rest))
            return build.apply(ops.div, (build.apply(shifted_exp, (x, m)), total))
        xs = tuple(sorted((x, *rest)))
        m = build.apply(ops.maxout, (xs,))
        count = build.apply(ops.sum, (tuple([build.apply(ops.within, (each, m, m)) for each in xs]),))
        return build.apply(ops.div, (build.apply(ops.within, (x, m, m)), count))

    def _exponentials(self, xs: Sequence[int]) -> tuple[int, tuple[int, ...], int]:
        """Return their largest, e^(x − largest) for each, and the sum of those: the same for any order of the xs."""
        xs = tuple(sorted(xs))
        m = self.build.apply(ops.maxout, (xs,))
        es = tuple([self.build.apply(shifted_exp, (x, m)) for x in xs])
        return m, es, self.build.apply(ops.sum, (es,))

    # ---- chains of additions

    def _chains(self) -> tuple[dict[int, list[int]], set[int]]:
        """Find the sums that are worth a dot: their terms, first to last, by the last addition; and what is inside."""
        chains: dict[int, list[int]] = {}
        inside: set[int] = set()
        seen: set[int] = set()
        instructions = self.program.instructions
        for place in range(len(instructions) - 1, -1, -1):
            instruction = instructions[place]
            if type(instruction) is not Apply or instruction.op is not ops.add or place in seen:
                continue
            terms, links = self._terms(place)
            seen.update(links)
            products = [term for term in terms if self._is_product(term)]
            if len(products) >= self._fewest(products):
                chains[place] = terms
                inside.update(links, products)
        return chains, inside

    def _fewest(self, products: list[int]) -> int:
        return 2 if all(map(self._has_weight, products)) else _FEWEST_PRODUCTS

    def _terms(self, place: int) -> tuple[list[int], list[int]]:
        """Return the terms of the sum that ends here, first to last, and the additions on the way to it."""
        terms: list[int] = []
        links: list[int] = []
        here = place
        while True:
            left, right = self.program.instructions[here].operands  # type: ignore[union-attr]
            if self._is_link(right) and not self._is_link(left):
                left, right = right, left  # operands stand in the order of their places, not of the chain
            terms.append(right)
            if not self._is_link(left):
                terms.append(left)
                if self._is_product(left) and not self._is_product(right):
                    terms[-2:] = terms[:-3:-1]  # what is first does not matter to a sum of two, and a bias is first
                return terms[::-1], links
            links.append(left)
            here = left

    def _sum(self, terms: list[int]) -> int:
        """Write a sum as a dot with one other term as its bias, or, for each further such term, as a dot of dots."""
        bias: int | None = None
        products: list[int] = []
        for term in terms:
            if self._is_product(term):
                products.append(term)
            else:
                bias = self.new[term] if bias is None and not products else self._closed(products, bias, self.new[term])
                products = []
        return self._closed(products, bias, None)

    def _closed(self, products: list[int], bias: int | None, last: int | None) -> int:
        """Write bias + Σ products + last, where one of bias and last may be the bias of a dot."""
        if products and len(products) >= self._fewest(products):
            start = bias if bias is not None else last if last is not None else self.build.constant(0.0)
            last = last if bias is not None else None
            pairs = [self._factors(product) for product in products]
            total = self.build.apply(ops.affine, (tuple([w for w, _ in pairs]), tuple([x for _, x in pairs]), start))
        else:
            each = [self.build.apply(ops.mul, self._factors(product)) for product in products]
            total, *rest = ([] if bias is None else [bias]) + each
            for term in rest:
                total = self.build.apply(ops.add, (total, term))
        return total if last is None else self.build.apply(ops.add, (total, last))

    def _factors(self, product: int) -> tuple[int, int]:
        w, x = self.program.instructions[product].operands  # type: ignore[union-attr]
        if self._is_weight(x) and not self._is_weight(w):
            w, x = x, w
        return self.new[w], self.new[x]

    def _is(self, place: int, op: Op) -> bool:
        instruction = self.program.instructions[place]
        return type(instruction) is Apply and instruction.op is op

    def _is_link(self, place: int) -> bool:
        return self.uses[place] == 1 and self._is(place, ops.add)

    def _is_product(self, place: int) -> bool:
        return self.uses[place] == 1 and self._is(place, ops.mul)

    def _is_weight(self, place: int) -> bool:
        instruction = self.program.instructions[place]
        return self.uniform is not None and type(instruction) is Input and instruction.place >= self.uniform

    def _has_weight(self, product: int) -> bool:
        return any(map(self._is_weight, self.program.instructions[product].operands))  # type: ignore[union-attr]
