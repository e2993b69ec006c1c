"""Compare compiled code with jax, torch, NumPy, scikit-learn and hand-written C: same numbers, time, compile time.

    uv run --group bench python -m tests.benchmarks.compiled          # ten minutes; the machine should be quiet
    uv run --group bench python -m tests.benchmarks.compiled --quick  # seconds: does it run, do the numbers agree?

Peers that are not installed are reported as absent; the C needs a compiler. Everyone has one thread and numbers of
64 bits. The engines take turns, a slice of some milliseconds each, and a ratio is the median of the rounds' own
ratios; a call is compared with a call for each step, a native loop with a native loop. Before that, everyone takes the
same steps from the same weights, and the new weights and the loss must be equal within 1e-9, or the run fails.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from .eager import reached

if TYPE_CHECKING:
    from .steps import Stepper, Task

OURS = "autograd_lite"
LOOP = ", loop"
PEERS = {"jax": "jax", "torch": "torch", "numpy": "numpy", "sklearn": "scikit-learn", "c": "cc"}
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
WANTED = {
    "J2": {"jax jit": 5, "jax scan": 3, "torch eager": 40, "NumPy by hand": 10, "C": 1, "C, loop": 1},
    "J3": {"jax jit": 4, "jax scan": 2, "torch eager": 10, "NumPy by hand": 5, "C": 1, "C, loop": 1},
    "784-256-128-10": {"jax jit": 1, "torch eager": 3},
}


class Size(NamedTuple):
    """How much is measured."""

    rounds: int = 25
    slice_seconds: float = 0.01
    loop: int = 100
    rows: Sequence[int] = (1, 10, 100, 1_000, 10_000)
    networks: Sequence[Sequence[int]] = ((784, 128, 10), (784, 256, 128, 10))
    nodes: Sequence[int] = (100, 1_000, 10_000, 100_000)
    trainings: int = 5
    starts: int = 5


QUICK = Size(2, 0.0, 3, (1, 10), ((20, 12, 10),), (100, 1_000), 1, 1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.compiled", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny jobs: the numbers are checked, the times mean nothing"
    )
    parser.add_argument("--million", action="store_true", help="compile 1e6 nodes too")
    parser.add_argument("--plot", metavar="PATH", help="save a chart of J2 and J3, as .svg, .png or .pdf")
    parser.add_argument("--only", metavar="PART", choices=PARTS, help=f"one part: {', '.join(PARTS)}")
    options = parser.parse_args(argv)
    os.environ.update({name: value for name, value in ONE_THREAD.items() if name not in os.environ})
    size = QUICK if options.quick else Size()
    if options.million:
        size = size._replace(nodes=(*size.nodes, 1_000_000))
    engines = installed_engines()
    show_machine(engines, options.quick)
    times: dict[str, dict[str, float]] = {}
    for name, part in PARTS.items():
        if options.only in (None, name):
            times |= part(engines, size) or {}
    if options.plot:
        from .compiled_plot import plot

        plot(times, options.plot)
    return 0


def installed_engines() -> dict[str, ModuleType]:
    engines = {}
    for name in (OURS, *PEERS):
        try:
            engines[name] = import_module(f"{__package__}.steps_with_{name}")
        except ModuleNotFoundError as error:
            if name == OURS or error.name is None or error.name.partition(".")[0] not in (name, "cc"):
                raise
    return engines


def show_machine(engines: Mapping[str, ModuleType], quick: bool) -> None:
    found = []
    for name in (OURS, "llvmlite", *PEERS.values()):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    print(", ".join(found), end="; ")
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}; one thread, float64")
    for name, package in PEERS.items():
        if name not in engines:
            print(f"{package} is absent")
    if quick:
        print("a quick run: its numbers are checked, its times mean nothing")


# ---- steps -----------------------------------------------------------------------------------------------------------


def small_steps(engines: Mapping[str, ModuleType], size: Size) -> dict[str, dict[str, float]]:
    """Measure J2 and J3."""
    from .steps import digits_task, moons_task

    moons = "J2: a training step of MLP(2, [16, 16, 1]), relu, hinge loss, weight decay, 100 points of two moons"
    images = "J3: a training step of MLP(64, [32, 10]), relu, softmax cross-entropy, 32 digits"
    tasks = {moons: moons_task(100, size.loop), images: digits_task(32, size.loop)}
    return {task.name: compare(title, task, engines, size, slow=size is not QUICK) for title, task in tasks.items()}


def growing_batches(engines: Mapping[str, ModuleType], size: Size) -> None:
    from .steps import moons_task

    for rows in size.rows:
        task = moons_task(rows, max(2, min(size.loop, 100_000 // rows)))
        compare(
            f"J2 with {rows:,} rows", task._replace(name="rows"), engines, size._replace(rounds=(size.rounds + 1) // 2)
        )


def large_networks(engines: Mapping[str, ModuleType], size: Size) -> None:
    from .steps import random_task

    for sizes in size.networks:
        task = random_task(sizes, 64, min(size.loop, 20))
        title = f"{task.name}: a training step on 64 rows of random numbers, softmax cross-entropy"
        compare(title, task, engines, size)


def compare(
    title: str, task: Task, engines: Mapping[str, ModuleType], size: Size, slow: bool = False
) -> dict[str, float]:
    """Check and measure the steppers of all engines, show them, and return the microseconds of a step of each."""
    print(f"\n{title}\n  {'engine':24}{'µs a step':>12}   {'× ours':>8}")
    steppers: dict[str, Stepper] = {}
    for engine in engines.values():
        steppers |= dict(getattr(engine, "steppers", _none)(task))
        if slow:
            steppers |= dict(getattr(engine, "slow_steppers", _none)(task))
    check(task, steppers)
    times = measure(steppers, size)
    for stepper in steppers.values():
        stepper.close()
    for name, taken in times.items():
        ours = times[OURS + LOOP if steppers[name].steps > 1 else OURS]
        print(f"  {name:24}{median(taken) * 1e6:12,.2f}" + verdict(task.name, name, taken, ours))
    return {name: median(taken) * 1e6 for name, taken in times.items()}


def _none(task: Any) -> Sequence[Any]:
    return ()


def verdict(task: str, name: str, taken: Sequence[float], ours: Sequence[float]) -> str:
    if name.startswith(OURS):
        return ""
    ratio = median(their / our for their, our in zip(taken, ours, strict=True))
    wanted = WANTED.get(task, {}).get(name)
    return f"   {ratio:8.2f}" + ("" if wanted is None else f"   wanted ≥ {wanted:g}: {reached(ratio >= wanted)}")


def check(task: Task, steppers: Mapping[str, Stepper]) -> None:
    """Take the steps of one loop with every engine, and compare the loss and the weights."""
    wanted: Any = None
    for name, stepper in steppers.items():
        stepper.run(task.loop // stepper.steps)
        numbers = stepper.state()
        wanted = numbers if wanted is None else wanted
        check_close(f"{task.name} in {name}", numbers, wanted)


def check_close(what: str, numbers: Any, wanted: Any) -> None:
    """Raise an ArithmeticError unless all numbers are those wanted, within 1e-9 of 1 or of their size."""
    import numpy as np

    if numbers.shape != wanted.shape:
        raise ArithmeticError(f"{what}: {len(numbers)} numbers, but {OURS} computed {len(wanted)}")
    wrong = np.flatnonzero(~(abs(numbers - wanted) <= 1e-9 * np.maximum(1.0, abs(wanted))))
    if len(wrong):
        k = wrong[0]
        raise ArithmeticError(f"{what}: number {k} is {float(numbers[k])!r}, but {OURS} computed {float(wanted[k])!r}")


def measure(steppers: Mapping[str, Stepper], size: Size) -> dict[str, list[float]]:
    """Return the seconds a step of each stepper in each round."""
    calls = {name: calls_for(stepper, size.slice_seconds) for name, stepper in steppers.items()}
    times: dict[str, list[float]] = {name: [] for name in steppers}
    with no_garbage_collection():
        for k in range(size.rounds):
            for name in sorted(steppers, reverse=bool(k % 2)):
                stepper, n = steppers[name], calls[name]
                start = perf_counter()
                stepper.run(n)
                times[name].append((perf_counter() - start) / n / stepper.steps)
    return times


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def calls_for(stepper: Stepper, seconds: float) -> int:
    """Return how many calls fill a slice."""
    stepper.run(1)  # the first after `state` may bring numbers back to where it computes
    calls = 1
    while True:
        start = perf_counter()
        stepper.run(calls)
        taken = perf_counter() - start
        if taken >= seconds / 2:
            return max(1, round(calls * seconds / max(taken, 1e-9)))
        calls *= 2


# ---- training --------------------------------------------------------------------------------------------------------


def digits_trainings(engines: Mapping[str, ModuleType], size: Size) -> None:
    """Measure how long the digits take until so many of the held-out ones are right."""
    from .steps import digits_training

    task = digits_training(size is QUICK)
    print(
        f"\nDigits: MLP(64, [32, 10]) trained by Adam until {task.accuracy:.0%} of those held out are right\n"
        f"  {'engine':24}{'epochs':>8}{'first, ms':>12}{'again, ms':>12}   {'× ours':>8}"
    )
    trainings: dict[str, Callable[[], Any]] = {}
    for engine in engines.values():
        trainings |= dict(getattr(engine, "trainings", _none)(task))
    times: dict[str, list[float]] = {name: [] for name in trainings}
    epochs: dict[str, int] = {}
    wanted: Any = None
    for _ in range(1 + size.trainings):
        for name, train in trainings.items():
            start = perf_counter()
            trained = train()
            times[name].append(perf_counter() - start)
            epochs[name] = trained.epochs
            wanted = trained.weights if wanted is None else wanted
            if len(trained.weights):  # scikit-learn goes another way
                check_close(f"the digits in {name}", trained.weights, wanted)
    for name, (first, *again) in times.items():
        ratio = median(their / our for their, our in zip(again, times[OURS][1:], strict=True))
        line = f"  {name:24}{epochs[name]:8}{first * 1e3:12,.1f}{median(again) * 1e3:12,.1f}"
        print(line if name == OURS else f"{line}   {ratio:8.2f}")


# ---- compiling -------------------------------------------------------------------------------------------------------


def compile_times(engines: Mapping[str, ModuleType], size: Size) -> None:
    from .compiled_graphs import show_compile_times

    show_compile_times(size.nodes, quick=size is QUICK)


def cold_starts(engines: Mapping[str, ModuleType], size: Size) -> None:
    from .compiled_starts import show_starts

    show_starts([name for name in ("jax", "torch") if name in engines], size.starts)


PARTS: dict[str, Callable[[Mapping[str, ModuleType], Size], Any]] = {
    "steps": small_steps,
    "batches": growing_batches,
    "networks": large_networks,
    "digits": digits_trainings,
    "graphs": compile_times,
    "starts": cold_starts,
}


if __name__ == "__main__":
    sys.exit(main())
