"""Look for reference cycles less often, while many small objects are made that have none."""

import contextlib
import gc
import threading
from collections.abc import Iterator

__all__ = ["collecting_rarely"]

_lock = threading.Lock()
_inside = 0
_before = gc.get_threshold()


@contextlib.contextmanager
def collecting_rarely(threshold: int) -> Iterator[None]:
    """Let the garbage collector look again only after so many new objects; blocks may overlap in several threads.

    >>> before = gc.get_threshold()
    >>> with collecting_rarely(1_000_000):
    ...     assert gc.get_threshold()[0] >= 1_000_000 or not before[0]
    >>> gc.get_threshold() == before
    True
    """
    global _inside, _before
    with _lock:
        if not _inside:
            _before = gc.get_threshold()
        _inside += 1
        now = gc.get_threshold()
        if now[0]:  # 0 is never
            gc.set_threshold(max(now[0], threshold), *now[1:])
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                gc.set_threshold(*_before)
