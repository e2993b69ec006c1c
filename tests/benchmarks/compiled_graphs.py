"""Compile irregular random graphs, of no shape to exploit: the time by number of nodes, and what a node then takes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import autograd_lite as al

from .eager import reached

INPUTS = 8
ROWS = 64
LANES = 8
MOST_SECONDS, MOST_NANOSECONDS = 3.0, 20.0  # wanted for this many nodes:
JUDGED = 100_000


def random_graph(nodes: int) -> tuple[al.Value, list[al.Value]]:
    """Record a graph of so many operations on nodes drawn at random from the last tenth, and their sum.

    All of it matters: the sum is of the nodes that nothing else uses. Its numbers stay small.
    """
    rng = Random(nodes)
    inputs = [al.Value(rng.uniform(-1.0, 1.0)) for _ in range(INPUTS)]
    values, used = list(inputs), set()
    while len(values) < nodes + INPUTS - 1:
        reach = max(INPUTS, len(values) // 10)
        x, y = (values[-1 - rng.randrange(reach)] for _ in range(2))
        values.append(_operation(rng, x, y))
        used.update(values[-1].parents)
    return al.sum([x for x in values if x not in used]), inputs


def _operation(rng: Random, x: al.Value, y: al.Value) -> al.Value:
    draw = rng.random()
    if abs(x.data) + abs(y.data) > 2.0 or draw < 0.1:
        return al.tanh(x)
    if draw < 0.2:
        return al.sin(x)
    if draw < 0.45:
        return x - y
    return x * y if draw < 0.7 else x + y


def show_compile_times(sizes: Sequence[int], quick: bool) -> None:
    print(
        f"\nIrregular random graphs of {INPUTS} inputs, on {ROWS} rows; "
        f"a run is in ns per node of the program and {LANES} rows\n"
        f"  {'nodes':>10}  task          first call, s   in the program     a run"
    )
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("AUTOGRAD_LITE_CACHE")
        os.environ["AUTOGRAD_LITE_CACHE"] = folder
        try:
            for nodes in sizes:
                _show(nodes, repeats=2 if quick else 15)
        finally:
            if before is None:
                del os.environ["AUTOGRAD_LITE_CACHE"]
            else:
                os.environ["AUTOGRAD_LITE_CACHE"] = before


def _show(nodes: int, repeats: int) -> None:
    y, inputs = random_graph(nodes)
    X = np.random.default_rng(7).uniform(-1.0, 1.0, (ROWS, INPUTS))
    X[0] = [x.data for x in inputs]
    for task in ("value", "gradient"):
        start = perf_counter()
        f = al.compile(y, inputs=inputs, backend="native")
        call = f if task == "value" else f.value_and_grad
        found = call(X)
        compiling = perf_counter() - start
        _check(y, inputs, found)
        operations = count_of(f, task)
        each = median(_seconds(call, X) for _ in range(repeats)) / operations / (ROWS / LANES) * 1e9
        line = f"  {nodes:10,}  {task:9}{compiling:18.3f}{operations:17,}{each:10.1f}"
        if nodes == JUDGED:
            line += f"   wanted < {MOST_SECONDS:g} s: {reached(compiling < MOST_SECONDS)}"
            line += f", < {MOST_NANOSECONDS:g} ns: {reached(each < MOST_NANOSECONDS)}"
        print(line, flush=True)


def count_of(f: Any, task: str) -> int:
    """Return how many operations the program of a task has."""
    program = f.program if task == "gradient" else f._first().program("value")
    return sum(hasattr(each, "op") for each in program.instructions)


def _check(y: al.Value, inputs: list[al.Value], found: Any) -> None:
    """Compare with the recorded graph, within 1e-9 of 1 or of the largest gradient: so much do large graphs magnify."""
    gradient = al.gradients(y, inputs)
    wanted, given = [y.data], [found[0][0] if isinstance(found, tuple) else found[0]]
    if isinstance(found, tuple):
        wanted, given = wanted + gradient, [*given, *found[1][0]]
    close = 1e-9 * max(1.0, *map(abs, gradient))
    if any(not abs(a - b) <= close for a, b in zip(given, wanted, strict=True)):
        raise ArithmeticError(f"a random graph: compiled code gives {found!r}")


def _seconds(call: Any, X: Any) -> float:
    start = perf_counter()
    call(X)
    return perf_counter() - start
