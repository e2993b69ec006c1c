"""The progress of a training: a bar on a terminal and in a notebook, a line for each epoch elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from reprlib import repr as short
from shutil import get_terminal_size
from time import perf_counter
from typing import TextIO

from .history import measured_texts
from .tasks import Record

__all__ = ["Progress", "Report", "reporting"]

Progress = Callable[[Record], object] | bool | None
Report = Callable[[float, Record | None], object]


@contextmanager
def reporting(progress: Progress, epochs: int) -> Iterator[Report]:
    """Give the function that takes the epochs done so far, a fraction, and the record of one just finished."""
    stream = sys.stdout
    if callable(progress):
        yield lambda done, record: progress(record) if record else None
    elif progress is False:
        yield lambda done, record: None
    elif progress not in (None, True):
        raise TypeError(f"progress must be None, False or a function of a record, got {short(progress)}")
    elif type(stream).__module__.startswith("ipykernel"):
        yield _Bar(_notebook_line(), epochs)
    elif stream is not None and stream.isatty():
        try:
            yield _Bar(_terminal_line(stream), epochs)
        finally:
            stream.write("\n")
    else:
        yield lambda done, record: _print_line(record, epochs) if record else None


def _print_line(record: Record, epochs: int) -> None:
    print(f"epoch {record['epoch']:{len(str(epochs))}}/{epochs}", *measured_texts(record), sep="  ", flush=True)


def _terminal_line(stream: TextIO) -> Callable[[str], object]:
    """Give the function that rewrites the last line of a terminal."""
    width = 0

    def rewrite(line: str) -> None:
        nonlocal width
        line = line[: get_terminal_size().columns - 1]  # what wraps can't be rewritten
        stream.write("\r" + line.ljust(width))
        stream.flush()
        width = len(line)

    return rewrite


def _notebook_line() -> Callable[[str], object]:
    """Give the function that rewrites one output of a notebook's cell, so that the notebook keeps only the last."""
    from IPython.display import display  # only here: a notebook has it

    handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return lambda line: handle.update({"text/plain": line}, raw=True)


class _Bar:
    """A line that is rewritten as training goes on, at most ten times a second."""

    def __init__(self, rewrite: Callable[[str], object], epochs: int) -> None:
        self.rewrite = rewrite
        self.epochs = epochs
        self.start = perf_counter()
        self.drawn = -inf
        self.measured = ""

    def __call__(self, done: float, record: Record | None) -> None:
        now = perf_counter()
        if record is None and now - self.drawn < 0.1:
            return
        self.drawn = now
        if record is not None:
            first, *_, last = measured_texts(record)
            self.measured = f"  {first}  {last}"
        epoch = min(int(done) + 1, self.epochs)
        bar = f"epoch {epoch}/{self.epochs} [{'#' * int(10 * done / self.epochs):.<10}]"
        minutes, seconds = divmod(round((now - self.start) * (self.epochs - done) / done), 60)
        left = f" {minutes}:{seconds:02} left" if done < self.epochs else ""
        self.rewrite(bar + left + self.measured)
