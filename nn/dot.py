"""DOT: its text, escaped, and the colours and fonts that all drawings share."""

from __future__ import annotations

import html

import graphviz

from .wording import printable

__all__ = ["LINE", "PALE", "PAPER", "SMALL_TEXT", "STYLES", "TEXT", "label_text", "tooltip_text"]

_FONT = "Helvetica,Arial,sans-serif"
PALE = "#6b7280"
LINE = "#8b8b87"
TEXT = {"fontname": _FONT, "fontsize": "11"}
SMALL_TEXT = {"fontname": _FONT, "fontsize": "9", "fontcolor": PALE}
# pygraphviz takes the first text that looks like a charset for one, and a user's name may look so: ours comes first.
PAPER = {"bgcolor": "white", "charset": "UTF-8", "pad": "0.15"}
_BLUE, _GREY, _ORANGE = ("#e0edfb", "#5b8ec4"), ("#f5f5f4", LINE), ("#fdeccb", "#d98e0b")  # fill and border
_GREEN = ("#e6f4ea", "#5c9a70")
STYLES = {
    "leaf": _BLUE, "node": _GREY, "run": _GREY, "scope": _GREEN, "chain": _GREY, "rest": _GREY, "root": _ORANGE,
    "input": _BLUE, "hidden": _GREY, "output": _ORANGE,
}  # fmt: skip


def label_text(text: str, longest: int = 24) -> str:
    """Return the text for an HTML-like label; backslashes are escapes there too."""
    return html.escape(printable(text, longest)).replace("\\", r"\\")


def tooltip_text(*lines: str) -> str:
    """Return the lines as a tooltip, in which Graphviz undoes escapes twice, and knows HTML's entities."""
    text = "\n".join(printable(line, 200) for line in lines if line)
    tooltip: str = graphviz.nohtml(text.replace("&", "&amp;").replace("\\", r"\\\\"))
    return tooltip
