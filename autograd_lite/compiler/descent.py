"""Descend along a gradient natively: step after step in one call, without the GIL.

What is descended is a program, from the numbers of an example and from weights, to a loss; how the weights move is a
program too, from a weight, its gradient and what is remembered of it, to the new ones.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .kernel import Memory, Tiles, aligned
from .lowering import lowered
from .module import Module, Plan, Rule
from .native import machine
from .program import Constant, Program
from .schedule import scheduled
from .writer import LANES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Descent", "Steps"]


class Descent:
    """Hold weights, and move them.

    There are two sides, each with the weights and what is remembered of them: a step reads one and writes the other,
    so that a step that would fail has changed nothing.

    Args:
        gradient: A program from an example's numbers, the weight of the example, and the weights; its last outputs are
            the gradient by each weight and the loss, each times the weight of the example; those before are outputs.
        width: How many numbers an example has.
        count: How many weights there are.
        rule: How they move.

    Attributes:
        gradient: The gradient measured last.
    """

    def __init__(self, gradient: Program, width: int, count: int, rule: Rule) -> None:
        import numpy as np

        self._lanes = -(-(count + 1) // LANES) * LANES  # the loss stands after the gradient
        schedule = scheduled(lowered(gradient, width + 1), width, self._lanes, count + 1)
        code = machine(Module(schedule.kinds, rule))
        self._train = code.function("train", ctypes.c_int64)
        outputs = len(gradient.outputs) - count - 1
        self._tiles = Tiles(schedule, width, outputs, self._lanes, count + 1, code)
        self._constants = np.array([x.number for x in rule.program.instructions if type(x) is Constant])
        self._sums = aligned(self._lanes)
        self.gradient, self._loss = self._sums[:count], self._sums[count:]
        shared = len(self._tiles.constants)
        self._blocks: dict[int, Array] = {}
        for _ in range(2):
            block = aligned(shared + (1 + rule.remembers) * self._lanes, before=shared)
            block[:shared] = self._tiles.constants
            self._blocks[block.ctypes.data] = block[shared:].reshape(-1, self._lanes)[:, :count]
        self._sides = np.array(list(self._blocks), dtype=np.int64)

    @property
    def weights(self) -> Array:
        """The weights as they are now; a view that the next step but one writes to."""
        weights: Array = self._here[0]
        return weights

    @property
    def state(self) -> Array:
        """What is remembered of the weights, a row for each thing."""
        return self._here[1:]

    @property
    def _here(self) -> Array:
        return self._blocks[int(self._sides[0])]

    def put(self, weights: Any, state: Sequence[Any]) -> None:
        """Go on from these weights, and from what is remembered of them."""
        self.weights[:] = weights
        for part, given in zip(self.state, state, strict=True):
            part[:] = given

    def check(self) -> None:
        """Raise what a rule raised when it was asked."""
        self._tiles.callback.check()

    def _memory(self, rows: int) -> Memory:
        memory = self._tiles.memory(rows)
        memory.set(UNIFORM=int(self._sides[0]), SUMS=self._sums.ctypes.data)
        return memory

    def measure(self, examples: Array) -> tuple[float, Array]:
        """Return the mean loss of examples and their outputs; their gradient is then in `gradient`."""
        memory = self._memory(len(examples))
        memory.set(INDEX=0, OUT_WIDTH=self._tiles.outputs)
        memory.set_weight(1.0 / len(examples))
        out = self._tiles.run(examples, memory)
        return float(self._loss[0]), out

    def prepared(self, examples: Array, outputs: bool = True) -> Steps:
        """Make ready to take steps on some examples, an array with a row for each, with their outputs or without."""
        return Steps(self, examples, outputs)


class Steps:
    """Steps on some examples: `take` takes them.

    Attributes:
        losses: Of the steps taken last.
        last_loss: The last of them.
        outputs: For each example of the index, from the last step it was in.
    """

    def __init__(self, descent: Descent, examples: Array, outputs: bool) -> None:
        import numpy as np

        self._descent, self._examples, self._train = descent, examples, descent._train
        self._asks = bool(descent._tiles.schedule.callbacks)
        self._width = descent._tiles.outputs if outputs else 0
        self._plan = np.zeros(len(Plan), dtype=np.int64)
        self._address = self._plan.ctypes.data
        self._set(
            SIDES=descent._sides.ctypes.data,
            WEIGHTS=len(descent._tiles.constants),
            COUNT=len(descent.gradient),
            STRIDE=descent._lanes,
            CONSTANTS=descent._constants.ctypes.data,
            X=examples.ctypes.data,
            OUT_WIDTH=self._width,
        )
        self.losses: Array = np.empty(0)
        self.last_loss = ctypes.c_double()
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
        memory = self._memory = descent._memory(int((ranges[:, 1] - ranges[:, 0]).max()))
        memory.user = None
        if len(self.losses) != steps:
            self.losses = np.empty(steps)
            self.last_loss = ctypes.c_double.from_address(self.losses.ctypes.data + 8 * (steps - 1))
        if len(self.outputs) != len(index):
            self.outputs = np.empty((len(index), self._width))
        self._kept = index, ranges, numbers
        self._set(
            TILES=memory.address,
            STEPS=steps,
            RANGES=ranges.ctypes.data,
            RANGE_STRIDE=2 if len(ranges) > 1 else 0,
            INDEX=index.ctypes.data,
            NUMBERS=numbers.ctypes.data,
            NUMBER_STRIDE=numbers.shape[1] if len(numbers) > 1 else 0,
            LOSSES=self.losses.ctypes.data,
            OUT=self.outputs.ctypes.data,
        )

    def take(self) -> int:
        """Take the steps, and return how many were taken.

        It ends before a step whose loss, or which would make a weight, infinite or nan.
        """
        if self._memory.user is not self:
            self._memory.user = self
            self._set(PACKED=0)
        taken: int = self._train(self._address)
        if self._asks:
            self._descent.check()
        return taken
