"""The loop of training: epochs, mini-batches, measurements and progress, whoever takes the steps."""

from array import array
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from reprlib import repr as short
from time import perf_counter
from typing import Any, Protocol

import autograd_lite as al
from autograd_lite.collecting import collecting_rarely
from autograd_lite.value import recording

from .data import _integer
from .history import DivergenceError, History
from .init import generator
from .modules import Module
from .optim import Optimizer
from .progress import Progress, Report, reporting
from .tasks import Example, Loss, Record, Tally, Task, examples_of, held_out_of, optimizer_for, task_of

__all__ = ["Diverged", "Trainer", "run"]


class Diverged(Exception):
    """Say what a step can't be taken for, and after how many others that were."""

    def __init__(self, why: str, after: int = 0) -> None:
        super().__init__(why)
        self.after = after


class Trainer(Protocol):
    """What takes the steps."""

    def steps(self, batches: list[list[int]], tally: Tally) -> int:
        """Take the first of these steps, or more, each on the examples of a list; return how many were taken."""

    def measure(self, examples: list[Example]) -> Tally:
        """Measure the model on examples."""

    def numbers(self) -> "array[float]":
        """Return the parameters' numbers."""

    def close(self) -> None:
        """Bring what was learnt back to the model."""

    def open(self) -> None:
        """Go on from what the model has now."""


def run(
    trainer: Callable[[Module, Task, Optimizer, list[Example]], Trainer],
    model: Module,
    X: Iterable[Iterable[float]],
    y: Iterable[Any],
    *,
    loss: Loss | None,
    optimizer: Optimizer | None,
    epochs: int,
    batch_size: int,
    validation: Iterable[Any] | None,
    seed: int,
    progress: Progress,
    record: bool,
    watched: bool = False,
) -> History:
    """Train a model; arguments, result and errors are those of `fit`."""
    epochs, batch_size = _integer("epochs", epochs, minimum=1), _integer("batch_size", batch_size, minimum=1)
    examples = examples_of(X, y)
    task = task_of(model, examples, loss)
    held_out = held_out_of(model, validation, task)
    optimizer = optimizer_for(model, optimizer)
    rng = generator(seed)
    if not isinstance(record, bool):
        raise TypeError(f"record must be True or False, got {short(record)}")
    history = History(task.metric, validated=bool(held_out), model=repr(model))
    taking = trainer(model, task, optimizer, examples)
    order = list(range(len(examples)))
    if record:
        history.weights.append(taking.numbers())
    watch = al.detect_anomaly() if watched else nullcontext()
    try:
        with recording(), watch, collecting_rarely(100_000), reporting(progress, epochs) as report:
            for epoch in range(1, epochs + 1):
                start = perf_counter()
                rng.shuffle(order)
                learning_rate = optimizer.learning_rate
                tally = _epoch(taking, task, optimizer, order, batch_size, history, report)
                measured: Record = {"epoch": epoch, **tally.summary()}
                if held_out:
                    measured |= {f"validation_{name}": x for name, x in taking.measure(held_out).summary().items()}
                if record:
                    history.weights.append(taking.numbers())
                measured |= {"learning_rate": learning_rate, "seconds": perf_counter() - start}
                history.records.append(measured)
                if callable(progress):  # which may look at the model, and even change it
                    taking.close()
                report(epoch, measured)
                if callable(progress):
                    taking.open()
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        taking.close()
    return history


def _epoch(
    taking: Trainer,
    task: Task,
    optimizer: Optimizer,
    order: list[int],
    batch_size: int,
    history: History,
    report: Report,
) -> Tally:
    """Take a step for each mini-batch."""
    tally = Tally(task)
    batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    done = 0
    while done < len(batches):
        try:
            done += taking.steps(batches[done:] if done else batches, tally)
        except (al.AnomalyError, Diverged) as problem:
            when = f"epoch {len(history) + 1}, batch {done + 1 + getattr(problem, 'after', 0)}"
            unchanged = "the parameters are as before this batch"
            if isinstance(problem, al.AnomalyError):
                problem.add_note(f"This was in {when}; {unchanged}.")
                raise
            advice = f"lower the learning rate (now {optimizer.learning_rate:g}) or scale the inputs"
            raise DivergenceError(f"{when}: {problem}; {unchanged}; {advice}", history) from None
        report(len(history) + min(done * batch_size, len(order)) / len(order), None)
    return tally
