"""Run a program on a batch of rows: natively, or as generated Python."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .kernels import RUN
from .lowering import lowered
from .module import Context, Module
from .native import Callback, Machine, machine
from .program import Program
from .python_source import function_of
from .schedule import Schedule, scheduled
from .writer import LANES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

__all__ = ["Memory", "NativeKernel", "PythonKernel", "Tiles", "aligned"]

_LARGEST_TILE = 128
_CACHE = 1024 * 1024  # bytes of slots that should stay in a core's second-level cache


class PythonKernel:
    """Run a program row by row, as generated Python."""

    def __init__(self, program: Program) -> None:
        self._function: Callable[[Sequence[float]], list[float]] = function_of(program)

    def __call__(self, row: Sequence[float]) -> list[float]:
        """Return the outputs for a row."""
        return self._function(row)


class Tiles:
    """Hold a schedule with its machine code, and the memory that calls of it work in.

    Memory is kept for each thread, so calls in several threads do not meet.
    """

    def __init__(
        self,
        schedule: Schedule,
        width: int,
        outputs: int,
        weights: int = 0,
        summed: int = 0,
        code: Machine | None = None,
    ) -> None:
        import numpy as np

        self.schedule, self.width, self.outputs = schedule, width, outputs
        self.weights, self.summed = weights, summed
        self.machine = machine(Module(schedule.kinds)) if code is None else code
        self.callback = Callback(schedule.callbacks)
        self.tables = np.array(schedule.tables, dtype=np.int32)
        self.runs = np.array(schedule.runs, dtype=np.int64)
        self.constants = np.array(schedule.uniform, dtype=np.float64)
        self._function = self.machine.function("tiles")
        self._local = threading.local()

    def tile(self, rows: int) -> int:
        """Return how many rows to work on at once: evenly, and so many that their slots stay in the cache."""
        fitting = min(max(LANES, _CACHE // (8 * max(1, self.schedule.slots))), _LARGEST_TILE)
        tiles = -(-rows // fitting)
        return -(-rows // (tiles * LANES)) * LANES

    def memory(self, rows: int) -> Memory:
        """Return this thread's memory for a call with so many rows."""
        tile = self.tile(rows)
        found: Memory | None = getattr(self._local, "memory", None)
        if found is None or found.tile != tile:
            found = self._local.memory = Memory(self, tile)
        return found

    def run(self, rows: Array, memory: Memory) -> Array:
        """Return the outputs for each row of a C-contiguous array of float64."""
        import numpy as np

        out = np.empty((len(rows), self.outputs))
        if len(rows):
            memory.user = None
            memory.set(X=rows.ctypes.data, ROWS=len(rows), OUT=out.ctypes.data)
            self._function(memory.address)
            self.callback.check()
        return out


def aligned(count: int, before: int = 0) -> Array:
    """Return an array of zeros whose element number `before` begins a cache line: vectors then lie in one line each.

    >>> aligned(10, before=3)[3:].ctypes.data % 64
    0
    """
    import numpy as np

    room = np.zeros(count + LANES)
    start = -(room.ctypes.data // 8 + before) % LANES
    return room[start : start + count]


class Memory:
    """What a native call works in.

    Attributes:
        uniform: The constants, then the weights.
        sums: The sums over rows.
        address: Of the context.
        user: Whose inputs are in the slots, if that is known.
    """

    def __init__(self, tiles: Tiles, tile: int) -> None:
        import numpy as np

        schedule = tiles.schedule
        self.tile = tile
        self.user: object = None
        self.tiles = tiles  # keeps tables, runs and code alive
        self.uniform = np.concatenate([tiles.constants, np.zeros(tiles.weights)])
        self.sums = np.zeros(tiles.summed + 1)
        self._scratch = aligned((schedule.slots + schedule.panel) * tile)
        self._context = np.zeros(len(Context), dtype=np.int64)
        self.address: int = self._context.ctypes.data
        slots = self._scratch.ctypes.data
        self.set(
            WIDTH=tiles.width,
            TILE=tile,
            UNIFORM=self.uniform.ctypes.data,
            SLOTS=slots,
            PANEL=slots + 8 * schedule.slots * tile,
            SUMS=self.sums.ctypes.data,
            ZEROS=schedule.zeros,
            ZERO_COUNT=schedule.zero_count,
            OUT_WIDTH=tiles.outputs,
            OUT_SLOTS=schedule.outputs,
            INPUT_SLOTS=schedule.inputs,
            FILLS=schedule.fills,
            FILL_COUNT=schedule.fill_count,
            TABLES=tiles.tables.ctypes.data,
            RUNS=tiles.runs.ctypes.data,
            RUN_COUNT=len(tiles.runs) // RUN,
            FIXED=schedule.fixed,
            WEIGHT_SLOT=tiles.width if tiles.summed else -1,
            CALLBACK=tiles.callback.address,
        )

    def set(self, **fields: int) -> None:
        """Set fields of the context, by their names in `Context`."""
        for name, value in fields.items():
            self._context[Context[name]] = value

    def set_weight(self, weight: float) -> None:
        """Set the weight of each row in sums over rows."""
        self._context.view("f8")[Context.WEIGHT] = weight


class NativeKernel:
    """Run a program on all rows at once, as machine code."""

    def __init__(self, program: Program, width: int) -> None:
        self._tiles = Tiles(scheduled(lowered(program), width), width, len(program.outputs))

    @property
    def ir(self) -> str:
        """The LLVM IR of the code."""
        return self._tiles.machine.module.ir()

    def __call__(self, rows: Array) -> Array:
        """Return the outputs for each row of a C-contiguous array of float64."""
        return self._tiles.run(rows, self._tiles.memory(len(rows)))
