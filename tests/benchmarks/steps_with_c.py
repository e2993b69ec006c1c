"""The steps in C written by hand (`blocked.c`), compiled for this machine and for the sizes of the task."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import LEARNING_RATE
from .steps import Array, Layers, Stepper, Task, state_of

_COMPILER = shutil.which("cc")
_LANES, _TILE, _BYTES = 8, 16, 64

if _COMPILER is None:
    raise ModuleNotFoundError("there is no C compiler", name="cc")


def steppers(task: Task) -> Iterator[tuple[str, Stepper]]:
    if max(task.sizes) > 100:
        return  # it is not blocked for what the first cache does not hold
    try:
        yield "C", _stepper(task, 1)
        yield "C, loop", _stepper(task, task.loop)
    except subprocess.CalledProcessError:
        print("  the C compiler does not compile blocked.c")


def _stepper(task: Task, times: int) -> Stepper:
    library = _library(task)
    rows, sizes = len(task.X), task.sizes
    targets = task.y[:, None] if task.is_hinge else np.eye(sizes[-1])[task.y]
    weights = _aligned(np.concatenate([part for layer in task.layers for part in _padded(*layer)]))
    arrays = (weights, _aligned(np.zeros_like(weights)))
    tables = [_tiled(table) for table in (task.X, targets, np.full((rows, 1), 1.0 / rows))]
    tables[2] = _aligned(tables[2].reshape(-1, 4, _TILE * _LANES)[:, 0].copy())
    pointers = [each.ctypes.data_as(ctypes.c_void_p) for each in (*arrays, *tables)]
    vectors = -(-rows // _LANES)
    arguments = (
        *pointers[:2], ctypes.c_long(len(weights)), *pointers[2:], ctypes.c_long(vectors),
        ctypes.c_double(LEARNING_RATE), ctypes.c_double(task.decay), ctypes.c_long(times),
    )  # fmt: skip
    last = [0.0]

    def run(calls: int) -> None:
        steps = library.steps
        for _ in range(calls):
            last[0] = steps(*arguments)

    def state(kept: Any = (arrays, tables)) -> Array:
        return state_of(last[0], _unpadded(weights, task))

    return Stepper(run, state, times)


def _library(task: Task) -> Any:
    sizes = task.sizes
    macros = {
        "LAYERS": len(sizes) - 1, "SIZES": "{" + ",".join(map(str, sizes)) + "}", "WIDEST": max(sizes),
        "HINGE": int(task.is_hinge),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.so"
        flags = ["-O3", "-march=native", "-shared", "-fPIC", *(f"-D{name}={text}" for name, text in macros.items())]
        source = Path(__file__).with_name("blocked.c")
        subprocess.run([str(_COMPILER), *flags, str(source), "-o", str(path), "-lm"], check=True, capture_output=True)
        library = ctypes.CDLL(str(path))
    library.steps.restype = ctypes.c_double
    return library


def _pad(n: int) -> int:
    return -(-n // 4) * 4


def _padded(w: Array, b: Array) -> tuple[Array, Array]:
    n_out, n_in = w.shape
    more = _pad(n_out) - n_out
    return np.pad(w, ((0, more), (0, _pad(n_in) - n_in))).ravel(), np.pad(b, (0, more))


def _unpadded(weights: Array, task: Task) -> Layers:
    layers, at = [], 0
    for w, _ in task.layers:
        n_out, n_in = w.shape
        rows, columns = _pad(n_out), _pad(n_in)
        end = at + rows * columns
        layers.append((weights[at:end].reshape(rows, columns)[:n_out, :n_in], weights[end : end + n_out]))
        at = end + rows
    return layers


def _tiled(table: Array) -> Array:
    """Return rows as tiles by feature, padded with zeros."""
    rows, features = table.shape
    tile = _TILE * _LANES
    tiles = -(-rows // tile)
    padded = np.pad(table, ((0, tiles * tile - rows), (0, _pad(features) - features)))
    return _aligned(padded.reshape(tiles, tile, -1).transpose(0, 2, 1).copy())


def _aligned(array: Array) -> Array:
    """Return a copy that starts at a multiple of what a vector takes."""
    space = np.zeros(array.size + _BYTES // 8)
    first = -space.ctypes.data % _BYTES // 8
    aligned = space[first : first + array.size].reshape(array.shape)
    aligned[...] = array
    return aligned
