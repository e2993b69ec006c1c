"""Laying out DOT, with the Graphviz inside pygraphviz or with `dot` on PATH."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator

import graphviz

__all__ = ["lay_out", "lay_out_with_fonts"]

# Graphviz is not thread-safe, and file descriptor 2 is the whole process's.
_one_at_a_time = threading.Lock()
_NOISE = re.compile(r"Fontconfig |.*layout may take a long time")


def lay_out(dot: str, form: str) -> bytes:
    """Lay out with the Graphviz inside pygraphviz, or with `dot` on PATH."""
    try:
        from pygraphviz import AGraph
    except ImportError:
        AGraph = None
    if AGraph is None and shutil.which("dot") is None:
        raise ImportError(
            "drawing needs Graphviz: `pip install pygraphviz`, which brings it along, or install Graphviz itself, "
            "so that its command `dot` is on PATH"
        )
    with _complaints_as_warnings():
        if AGraph is None:
            return bytes(graphviz.pipe("dot", form, dot.encode()))
        return bytes(AGraph(string=dot).draw(format=form, prog="dot"))


@contextlib.contextmanager
def _complaints_as_warnings() -> Iterator[None]:
    """Turn what Graphviz writes to the standard error into one warning, and keep quiet about fontconfig's."""
    with _one_at_a_time, tempfile.TemporaryFile() as caught:
        try:
            stderr = os.dup(2)
        except OSError:  # a process without a standard error
            yield
            return
        by_python = io.StringIO()  # never closed: another thread may have got hold of it
        try:
            os.dup2(caught.fileno(), 2)
            with contextlib.redirect_stderr(by_python):
                yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            lines = (caught.read().decode(errors="replace") + by_python.getvalue()).splitlines()
            if complaints := [line for line in lines if line.strip() and not _NOISE.match(line)]:
                warnings.warn(f"Graphviz: {'; '.join(complaints)}", stacklevel=2)


def lay_out_with_fonts(dot: str, form: str) -> bytes:
    """Lay out for a form that holds glyphs, not text, and warn if there are no fonts to take them from."""
    no_character = "\ufdd0"  # by Unicode's word; its width is that of the box that stands for a missing glyph
    sizes = lay_out(f"digraph {{ node [shape=plain]; i; W; {no_character} }}", "plain").decode()
    if len({line.split()[4] for line in sizes.splitlines() if line.startswith("node")}) == 1:
        warnings.warn(
            f"this machine has no fonts, so the text in the {form.upper()} is empty boxes; install a font, or save as "
            ".svg, which is drawn with the fonts of whoever looks at it",
            stacklevel=3,
        )
    return lay_out(dot, form)
