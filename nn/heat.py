"""Colours for magnitudes: from light to dark on a logarithmic scale, with ink that can be read on them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Heat"]

# Each is darker than the one before, so that the order shows without the hues, too.
_COLOURS = ((0xFF, 0xF7, 0xC4), (0xFE, 0xC9, 0x4D), (0xF2, 0x7A, 0x1D), (0xC4, 0x2A, 0x1C), (0x67, 0x0A, 0x2A))
_ZERO, _NOT_FINITE = ("#ffffff", "black"), ("#000000", "#ffffff")  # fill and ink
_MOST_DECADES = 8.0  # what is smaller than a hundred-millionth of the largest is as light as that
_STEPS = 12  # of the legend


@dataclass(frozen=True)
class Heat:
    """A scale from the smallest to the largest magnitude; `of` makes it.

    >>> scale = Heat.of([0.0, 1e-3, 1.0])
    >>> scale.colours(1.0)
    ('#670a2a', '#ffffff')
    """

    low: float
    high: float
    has_zero: bool
    has_others: bool

    @classmethod
    def of(cls, magnitudes: Iterable[float]) -> Heat:
        """Make the scale on which these magnitudes have their places; nan and ∞ have a colour of their own."""
        found = list(magnitudes)
        finite = [x for x in found if 0.0 < x < math.inf]
        high = max(finite, default=1.0)
        low = max(min(finite, default=1.0), high * 10**-_MOST_DECADES)
        return cls(low, high, 0.0 in found, not all(map(math.isfinite, found)))

    def colours(self, magnitude: float) -> tuple[str, str]:
        """Return the colour of a box, and of the ink on it."""
        if not math.isfinite(magnitude):
            return _NOT_FINITE
        if magnitude == 0.0:
            return _ZERO
        low, high = math.log(self.low), math.log(self.high)
        share = 1.0 if low == high else (math.log(magnitude) - low) / (high - low)
        return _coloured(min(max(share, 0.0), 1.0))

    @property
    def legend(self) -> str:
        """The scale as an HTML-like table of Graphviz."""
        steps = (_coloured(i / (_STEPS - 1))[0] for i in range(_STEPS))
        bar = "".join(f'<td bgcolor="{colour}" width="12" height="10"></td>' for colour in steps)
        cells = [f"<td>|grad|  {self.low:.2g}</td>{bar}<td>{self.high:.2g}</td>"]
        cells += ["<td>   white: 0</td>"] * self.has_zero + ["<td>   black: nan or inf</td>"] * self.has_others
        return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="1"><tr>{"".join(cells)}</tr></table>'


def _coloured(share: float) -> tuple[str, str]:
    """Return the colour at a place between 0 and 1, and black or white ink, whichever is read better on it."""
    at = min(int(share * (len(_COLOURS) - 1)), len(_COLOURS) - 2)
    before, after = list(pairwise(_COLOURS))[at]
    part = share * (len(_COLOURS) - 1) - at
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(before, after, strict=True))
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    return f"#{red:02x}{green:02x}{blue:02x}", "black" if luminance > 120 else "#ffffff"
