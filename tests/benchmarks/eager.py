"""Compare autograd_lite with micrograd, and with xad where it is installed: same numbers, time, memory.

    uv run python -m tests.benchmarks.eager                 # two to three minutes; the machine should be quiet
    uv run --with xad python -m tests.benchmarks.eager      # with xad
    uv run python -m tests.benchmarks.eager --quick         # seconds: does it run, and do the numbers agree?

The engines take turns, a slice each, so that whatever else the machine does hits all of them; a ratio is the median
of the rounds' own ratios. Garbage is collected before every slice, outside the clock, and freeing a graph is not
timed. J1 is recording and backward; J2 and J3 are one whole training step from the same weights: zero the gradients,
record, backward, update. Everyone's values, gradients and new weights must be equal within 1e-9, or the run fails.
"""

from __future__ import annotations

import argparse
import gc
import math
import platform
import sys
import threading
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import version
from statistics import median
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple

from .jobs import OPERATIONS_PER_STEP, digits, two_moons

OURS = "autograd_lite"
PEERS = ("micrograd", "xad")
BYTES_WANTED = 1 / 4


class Job(NamedTuple):
    """One comparison: the function of this name in every engine's module, what it gets, and how to show its time."""

    title: str
    function: str
    task: Any
    unit: str
    units_per_second: float
    wanted: Mapping[bool, float]  # times micrograd's speed, with the garbage collector off and on


class Slice(NamedTuple):
    """The seconds of one run of a job."""

    record: float
    backward: float

    @property
    def total(self) -> float:
        return self.record + self.backward


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.eager", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny jobs: the numbers are checked, the times mean nothing"
    )
    quick = parser.parse_args(argv).quick
    with_deep_recursion(lambda: report(quick))
    return 0


def with_deep_recursion(work: Callable[[], None]) -> None:
    """Do work in a thread where 1e5 nested calls are allowed: micrograd's backward is recursive."""
    limit, stack = sys.getrecursionlimit(), threading.stack_size(256 << 20)
    sys.setrecursionlimit(10**6)
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(work).result()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(stack)


def report(quick: bool) -> None:
    engines = installed_engines()
    print(", ".join(f"{name} {version(name)}" for name in engines), end="; ")
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in PEERS:
        if name not in engines:
            print(f"{name} is absent; to add it: uv run --with {name} python -m tests.benchmarks.eager")
    if quick:
        print("a quick run: its numbers are checked, its times mean nothing")
    steps = 20 if quick else 10_000
    for job in jobs(steps, moons=4 if quick else 100, images=2 if quick else 32):
        print(f"\n{job.title}\n  gc   engine           record  backward     total   {job.unit}")
        for collecting, rounds in ((False, 2 if quick else 15), (True, 2 if quick else 5)):
            show(job, collecting, measure(job, engines, rounds, collecting))
    show_bytes(engines, steps)


def installed_engines() -> dict[str, ModuleType]:
    engines = {}
    for name in (OURS, *PEERS):
        try:
            engines[name] = import_module(f"{__package__}.with_{name}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != name:
                raise
    return engines


def jobs(steps: int, moons: int, images: int) -> list[Job]:
    operations = steps * OPERATIONS_PER_STEP
    return [
        Job(
            f"J1: {operations:,} operations, 4 add or sub, 3 mul, tanh, exp, log in every ten; record and backward",
            "scalar_program", steps, "ns an operation", 1e9 / operations, {False: 4.0, True: 10.0},
        ),
        Job(
            f"J2: a training step of MLP(2, [16, 16, 1]), relu, hinge loss + L2, {moons} points of two moons",
            "moons_step", two_moons(moons), "ms a step", 1e3, {False: 9.0, True: 20.0},
        ),
        Job(
            f"J3: a training step of MLP(64, [32, 10]), relu, softmax cross-entropy, {images} handwritten digits",
            "digits_step", digits(images), "ms a step", 1e3, {False: 32.0, True: 100.0},
        ),
    ]  # fmt: skip


def measure(job: Job, engines: Mapping[str, ModuleType], rounds: int, collecting: bool) -> dict[str, list[Slice]]:
    """Run every engine once a round, check what it computed, and return its slices."""
    slices: dict[str, list[Slice]] = {name: [] for name in engines}
    reference: list[float] = []
    for k in range(rounds):
        for name in sorted(engines, reverse=bool(k % 2)):
            seconds, numbers = run_once(getattr(engines[name], job.function), job.task, collecting)
            slices[name].append(seconds)
            reference = reference or numbers
            check_equal(f"{job.function} in {name}", numbers, reference)
    if job.function == "scalar_program":
        check_sizes(reference[1:])
    return slices


def run_once(function: Callable[[Any], Any], task: Any, collecting: bool) -> tuple[Slice, list[float]]:
    was_collecting = gc.isenabled()
    stages = function(task)
    next(stages)
    gc.collect()
    (gc.enable if collecting else gc.disable)()
    try:
        start = perf_counter()
        next(stages)
        recorded = perf_counter()
        next(stages)
        end = perf_counter()
    finally:
        (gc.enable if was_collecting else gc.disable)()
    numbers = next(stages)
    stages.close()
    return Slice(recorded - start, end - recorded), numbers


def check_equal(what: str, numbers: Sequence[float], reference: Sequence[float]) -> None:
    """Raise an ArithmeticError unless the numbers are those of the reference, each within 1e-9 of it."""
    if len(numbers) != len(reference):
        raise ArithmeticError(f"{what}: {len(numbers)} numbers, but {OURS} computed {len(reference)}")
    for place, (number, wanted) in enumerate(zip(numbers, reference, strict=True)):
        if not math.isclose(number, wanted, rel_tol=1e-9):
            raise ArithmeticError(f"{what}: number {place} is {number!r}, but {OURS} computed {wanted!r}")


def check_sizes(gradients: Sequence[float]) -> None:
    """Raise an ArithmeticError where a gradient has died away or blown up, and comparing it would prove nothing."""
    for gradient in gradients:
        if not 1e-3 < abs(gradient) < 1e6:
            raise ArithmeticError(f"the gradient {gradient!r} of J1 is out of the range 1e-3 to 1e6")


def show(job: Job, collecting: bool, slices: Mapping[str, list[Slice]]) -> None:
    ours = slices[OURS]
    for name, theirs in slices.items():
        columns = ([s.record for s in theirs], [s.backward for s in theirs], [s.total for s in theirs])
        times = "".join(f"{median(column) * job.units_per_second:10,.1f}" for column in columns)
        ratio = median(their.total / our.total for their, our in zip(theirs, ours, strict=True))
        verdict = "" if name == OURS else f"   {ratio:.2f} × ours"
        if name == "micrograd":
            verdict += f", wanted ≥ {job.wanted[collecting]:g}: {reached(ratio >= job.wanted[collecting])}"
        print(f"  {'on ' if collecting else 'off'}  {name:13}{times}{verdict}")


def show_bytes(engines: Mapping[str, ModuleType], steps: int) -> None:
    """Show what J1's recorded graph weighs.

    The first column shares its bytes out over the operations of the program, which are the same for all; the second
    over the Values the engine made of them: to micrograd a constant is one too, and a subtraction is three.
    """
    operations = steps * OPERATIONS_PER_STEP
    weights = {name: weigh(engine, steps) for name, engine in engines.items()}
    ours, our_values = weights[OURS]
    print("\nJ1: bytes of the recorded graph\n       engine         an operation     a Value")
    for name, (size, values) in weights.items():
        line = f"  {size / operations:17.0f}" + (f"{size / values:12.0f}" if values else "")
        if name == "micrograd":
            share, share_of_value = ours / size, ours * values / our_values / size
            line += f"   ours is {share:.2f} an operation, wanted ≤ {BYTES_WANTED:g}: {reached(share <= BYTES_WANTED)}"
            line += f" ({share_of_value:.2f} a Value)"
        print(f"       {name:13}{line}")


def weigh(engine: ModuleType, steps: int) -> tuple[int, int]:
    """Return the bytes that recording J1 allocates and keeps, as Python's allocator counts them, and its Values.

    An engine with memory of its own says how much in `tape_bytes`.
    """
    gc.collect()
    stages = engine.scalar_program(steps)
    next(stages)
    values = count_values()
    tracemalloc.start()
    try:
        next(stages)
        gc.collect()
        traced, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    untraced = engine.tape_bytes() if hasattr(engine, "tape_bytes") else 0
    values = count_values() - values
    stages.close()
    return traced + untraced, values


def count_values() -> int:
    return sum(type(x).__name__ == "Value" for x in gc.get_objects())


def reached(condition: bool) -> str:
    return "reached" if condition else "NOT reached"


if __name__ == "__main__":
    sys.exit(main())
