"""Measure cold starts: a fresh process compiles J2 or J3 and takes one step, with an empty and with a filled cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from statistics import median
from time import perf_counter

from .eager import reached

WANTED = {"empty": 0.5, "filled": 0.02}  # seconds


def show_starts(peers: Sequence[str], repeats: int) -> None:
    print(
        f"\nCold start: a fresh process imports, compiles and takes the first step; medians of {repeats}\n"
        f"  job  {'engine':24}{'imports, s':>12}{'first step, s':>15}{'all, s':>10}"
    )
    for job in ("J2", "J3"):
        with tempfile.TemporaryDirectory() as root:
            for cache in ("empty", "filled"):
                folders = [os.path.join(root, str(k if cache == "empty" else 0)) for k in range(repeats)]
                _show(job, "autograd_lite", f", {cache} cache", folders, WANTED[cache])
            for peer in peers:
                _show(job, peer, "", [root] * repeats, None)


def _show(job: str, engine: str, note: str, folders: Sequence[str], wanted: float | None) -> None:
    runs = [_start(job, engine, folder) for folder in folders]
    imports, first, whole = (median(column) for column in zip(*runs, strict=True))
    line = f"  {job}   {engine + note:24}{imports:12.3f}{first:15.4f}{whole:10.3f}"
    print(line if wanted is None else f"{line}   wanted < {wanted:g} s: {reached(first < wanted)}", flush=True)


def _start(job: str, engine: str, folder: str) -> tuple[float, float, float]:
    """Return the seconds of a process: for imports, for the first step with all that is compiled for it, and all."""
    command = [sys.executable, "-m", f"{__package__}.compiled_starts", job, engine]
    start = perf_counter()
    done = subprocess.run(
        command, env={**os.environ, "AUTOGRAD_LITE_CACHE": folder}, check=True, capture_output=True, text=True
    )
    whole = perf_counter() - start
    imports, first = map(float, done.stdout.split())
    return imports, first, whole


def _child(job: str, engine: str) -> None:
    from importlib import import_module

    start = perf_counter()
    steppers = import_module(f"{__package__}.steps_with_{engine}").steppers
    if engine == "autograd_lite":
        import_module("llvmlite.binding")
    imports = perf_counter() - start
    from .steps import digits_task, moons_task

    task = moons_task(100, 10) if job == "J2" else digits_task(32, 10)
    start = perf_counter()
    _, stepper = next(iter(steppers(task)))
    stepper.run(1)
    print(imports, perf_counter() - start)


if __name__ == "__main__":
    _child(*sys.argv[1:])
