"""Descend along a gradient natively: step after step in one call, without the GIL.

What is descended is a program, from the numbers of an example and from weights, to a loss; how the weights move is a
program too, from a weight, its gradient and what is remembered of it, to the new ones. Both run as everything does:
in the second, the lanes are the weights.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .kernel import Memory, Tiles, aligned
from .kernels import LANES, Plan, ir
from .lowering import lowered
from .native import machine
from .program import Input, Program
from .schedule import scheduled

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Descent", "Steps"]


class Descent:
    """Hold weights, and move them.

    Args:
        gradient: A program from an example's numbers, the weight of the example, and the weights; its last outputs are
            the gradient by each weight and the loss, each times the weight of the example; those before are outputs.
        width: How many numbers an example has.
        weights: The weights to start from.
        update: A program from a weight, its gradient, what is remembered of it, one number that is not used, and the
            numbers of the step; its outputs are the new weight and what is to be remembered.
        state: What is remembered, an array each.
        numbers: How many numbers a step has.

    Attributes:
        weights, gradient, state: Arrays as they are now; what is written to them counts.
    """

    def __init__(
        self, gradient: Program, width: int, weights: Array, update: Program, state: Sequence[Array], numbers: int
    ) -> None:

        count = len(weights)
        self._lanes = -(-(count + 1) // LANES) * LANES  # the loss stands after the gradient
        first = scheduled(lowered(gradient, width + 1), width, self._lanes, count + 1)
        update, changed = _changing(update)
        second = scheduled(lowered(update, 3 + len(state)), 2 + len(state), numbers, kinds=first.kinds)
        copied_to = len(second.tables)
        second.tables.extend(changed)
        code = machine(ir(second.kinds, training=True))
        self._train = code.function("train", ctypes.c_int64)
        outputs = len(gradient.outputs) - count - 1
        self._tiles = Tiles(first, width, outputs, self._lanes, count + 1, code)
        self._update = Tiles(second, 2 + len(state), len(changed), numbers, code=code)
        self._moving = Memory(self._update, self._lanes)
        constants = len(self._tiles.constants)
        self._block = aligned(constants + second.slots * self._lanes, before=constants)
        self._block[:constants] = self._tiles.constants
        slots = self._block[constants:].reshape(-1, self._lanes)
        self.weights, self.gradient = slots[0, :count], slots[1, :count]
        self.state = [slots[2 + k, :count] for k in range(len(state))]
        self._loss = slots[1, count : count + 1]
        self.weights[:] = weights
        for mine, given in zip(self.state, state, strict=True):
            mine[:] = given
        self._moving.set(SLOTS=slots.ctypes.data, ROWS=count, INPUT_SLOTS=copied_to)
        self._slots = slots

    @property
    def asks(self) -> bool:
        """Whether Python is asked for operations without native code."""
        return bool(self._tiles.schedule.callbacks or self._update.schedule.callbacks)

    def check(self) -> None:
        """Raise what a rule raised when it was asked."""
        self._tiles.callback.check()
        self._update.callback.check()

    def _memory(self, rows: int) -> Memory:
        memory = self._tiles.memory(rows)
        memory.set(UNIFORM=self._block.ctypes.data, SUMS=self._slots[1].ctypes.data)
        return memory

    def measure(self, examples: Array) -> tuple[float, Array]:
        """Return the mean loss of examples and their outputs; their gradient is then in `gradient`."""
        memory = self._memory(len(examples))
        memory.set(INDEX=0)
        memory.set_weight(1.0 / len(examples))
        out = self._tiles.run(examples, memory)
        return float(self._loss[0]), out

    def prepared(self, examples: Array) -> Steps:
        """Make ready to take steps on some examples, an array with a row for each."""
        return Steps(self, examples)


def _changing(update: Program) -> tuple[Program, list[int]]:
    """Return the program without what it hands on unchanged, and the slots that its outputs belong in."""
    slots = [0, *range(2, 1 + len(update.outputs))]  # the weight, then what is remembered; the gradient is between
    pairs = list(zip(update.outputs, slots, strict=True))
    changed = [(y, slot) for y, slot in pairs if slot == 0 or update.instructions[y] != Input(slot)]
    return Program(update.instructions, tuple([y for y, _ in changed]), update.names), [slot for _, slot in changed]


class Steps:
    """Steps on some examples: `take` takes them.

    Attributes:
        losses: Of the steps taken last.
        outputs: For each example of the index, from the last step it was in.
    """

    def __init__(self, descent: Descent, examples: Array) -> None:
        import numpy as np

        self._descent, self._examples, self._asks = descent, examples, descent.asks
        self._plan = np.zeros(len(Plan), dtype=np.int64)
        self._address = self._plan.ctypes.data
        self._set(
            X=examples.ctypes.data,
            UPDATE=descent._moving.address,
            NUMBERS_AT=len(descent._update.constants),
            LOSS=len(descent.weights),
        )
        self.losses: Array = np.empty(0)
        self.outputs: Array = np.empty((0, 0))

    def _set(self, **fields: int) -> None:
        for name, value in fields.items():
            self._plan[Plan[name]] = value

    def plan(self, index: Array, ranges: Array, numbers: Array, steps: int) -> None:
        """Say which steps to take.

        Args:
            index: Which examples, one batch after the other (int64).
            ranges: Where in the index the batch of each step begins and ends, a row for each (int64); a single row
                if it is always the same.
            numbers: The numbers of each step, a row for each; a single row if they are always the same.
            steps: How many.
        """
        import numpy as np

        descent = self._descent
        memory = descent._memory(int((ranges[:, 1] - ranges[:, 0]).max()))
        if len(self.losses) != steps:
            self.losses = np.empty(steps)
            self._last = ctypes.c_double.from_address(self.losses.ctypes.data + 8 * (steps - 1))
        if len(self.outputs) != len(index):
            self.outputs = np.empty((len(index), descent._tiles.outputs))
        self._kept = memory, index, ranges, numbers
        self._set(
            TILES=memory.address,
            STEPS=steps,
            RANGES=ranges.ctypes.data,
            RANGE_STRIDE=2 if len(ranges) > 1 else 0,
            INDEX=index.ctypes.data,
            NUMBERS=numbers.ctypes.data,
            NUMBER_COUNT=numbers.shape[1],
            NUMBER_STRIDE=numbers.shape[1] if len(numbers) > 1 else 0,
            LOSSES=self.losses.ctypes.data,
            OUT=self.outputs.ctypes.data,
        )

    @property
    def last_loss(self) -> float:
        """The loss of the last step."""
        return self._last.value

    def take(self) -> int:
        """Take the steps, and return how many were taken.

        It ends before a step whose loss, or which would make a weight, infinite or nan.
        """
        taken: int = self._descent._train(self._address)
        if self._asks:
            self._descent.check()
        return taken
