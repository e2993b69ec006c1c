"""Step through a computation, forwards and then backwards: as text, in a terminal, and as a page for a browser.

A step is one event of `autograd_lite.steps`: an operation forwards, or one product of the chain rule backwards.
"""

from __future__ import annotations

import contextlib
import operator
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from reprlib import repr as short
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.files import write_atomically
from autograd_lite.steps import Backward, Event, events

from .folding import Folded, fold
from .naming import names_in
from .step_page import Page, fits, page_of
from .wording import counted, isolated, printable

if TYPE_CHECKING:
    from .widget import StepperWidget

__all__ = ["Stepper", "stepper"]

_LONGEST_NAME = 24
_INFIX = {al.add: "+", al.sub: "−", al.mul: "×", al.div: "÷", al.power: "**", al.pow: "**"}


def stepper(
    y: Value,
    *,
    depth: float | None = None,
    between: tuple[Value, Value] | None = None,
    heat: bool = False,
    orientation: str = "LR",
    notation: str | None = None,
) -> Stepper:
    """Step through how y was computed, and then through every product of the chain rule, back to the leaves.

    Nothing is changed by it: the gradients are those of this walk, which starts from ∂y/∂y = 1.

    Its page shows a large graph folded into boxes, as `draw` does, and lights the box of the current node; where there
    are more than 2000 steps, the page goes box by box. Steps in Python are always one operation or one product.

    Args:
        y: The Value to explain.
        depth: How many scopes deep the picture is opened; `math.inf` opens everything.
        between: Open what lies on the paths from the first Value to the second, and fold what else feeds them.
        heat: Colour the picture by |grad| as the walk comes back through it, on the scale that `draw` has.
        orientation: Of the picture: "LR" from left to right, "TB" from top to bottom, which suits a phone.
        notation: "lecture" calls nodes without a name as the lecture does: u[j], h[j], z[k], o[k], E.

    Raises:
        TypeError: y is not a Value, the depth not a whole number, or `between` not a pair of Values.
        ValueError: The depth is below 1, there is no such path, no such orientation, or no such notation.

    >>> x, w = Value(2.0, "x"), Value(0.5, "w")
    >>> s = stepper(w * x)
    >>> s
    step 1 of 5, forward: w = 0.5
    >>> s.goto("y")
    step 3 of 5, forward: y = w × x = 0.5 × 2 = 1
    >>> s.next()
    step 4 of 5, backward: ∂y/∂w · ∂y/∂y = 2 × 1 = 2 → grad so far 2
    """
    if orientation not in ("LR", "TB"):
        raise ValueError(f'orientation must be "LR" or "TB", not {short(orientation)}')
    return Stepper(y, depth, between, heat, orientation, notation)


class Stepper:
    """A place in the events of a computation; `stepper` makes it.

    A Value without a name is called by its place in the computation, `v3`, and the last of them y. What moves it
    returns the stepper, so that a notebook shows the new step.

    Attributes:
        steps: All events, as `autograd_lite.events` gives them.
        position: The number of the current one; the first is 0.
    """

    def __init__(
        self,
        y: Value,
        depth: float | None,
        between: tuple[Value, Value] | None,
        heat: bool,
        orientation: str,
        notation: str | None,
    ) -> None:
        self.steps = events(y)
        self._position = 0
        self._widgets: WeakSet[StepperWidget] = WeakSet()
        self._order = [event.node for event in self.steps.forward]
        self._labels = _labels(self._order, notation)
        self._depth, self._between = depth, between
        self._heat, self._orientation = heat, orientation
        if depth is not None or between is not None:
            _ = self._folded  # says at once what is wrong with them

    @property
    def position(self) -> int:
        """The number of the current event; setting it is `goto`.

        >>> s = stepper(Value(2.0, "x").tanh())
        >>> s.position = 2
        >>> s.event.contribution == s.event.partial
        True
        """
        return self._position

    @position.setter
    def position(self, where: int) -> None:
        self._position = self._numbered(where)
        for widget in self._widgets:
            widget.step = self._page.steps[self._position]

    @property
    def event(self) -> Event:
        """The current event.

        >>> stepper(Value(2.0, "x")).event.result
        2.0
        """
        return self.steps[self.position]

    def __len__(self) -> int:
        return len(self.steps)

    def next(self) -> Stepper:
        """Go one step on; at the end, stay there.

        >>> stepper(Value(2.0, "x").tanh()).next().position
        1
        """
        self.position = min(self.position + 1, len(self) - 1)
        return self

    def back(self) -> Stepper:
        """Go one step back; at the start, stay there.

        >>> stepper(Value(2.0, "x").tanh()).next().back().position
        0
        """
        self.position = max(self.position - 1, 0)
        return self

    def goto(self, where: int | str) -> Stepper:
        """Go to the step of this number (-1 is the last), or to where the node of this name gets its value.

        Raises:
            TypeError: It is neither.
            ValueError: There is no such step, no node of this name, or more than one.

        >>> stepper(Value(2.0, "x").tanh()).goto(-1).position
        2
        """
        self.position = self._named(where) if isinstance(where, str) else where
        return self

    def until(self, predicate: Callable[[Event], object]) -> Stepper:
        """Go on to the next event of which the predicate is true.

        Raises:
            TypeError: The predicate is not a function.
            ValueError: There is none after the current one; the position stays.

        >>> x = Value(3.0, "x")
        >>> stepper(x * x).until(lambda event: isinstance(event, Backward) and event.parent is x).position
        2
        """
        if not callable(predicate):
            raise TypeError(f"until takes a function of an event, not {short(predicate)}")
        for position in range(self.position + 1, len(self)):
            if predicate(self.steps[position]):
                self.position = position
                return self
        raise ValueError(f"no event after step {self.position + 1} of {len(self)} is such; goto(0) goes to the start")

    def text(self, position: int) -> str:
        """Return the line of arithmetic of an event, given by its number.

        >>> stepper(Value(2.0, "x") * 3.0).text(1)
        'y = x × 3 = 2 × 3 = 6'
        """
        event = self.steps[self._numbered(position)]
        root = self._in_a_line(self._order[-1])
        if isinstance(event, Backward):
            node, parent = self._in_a_line(event.node), self._in_a_line(event.parent)
            so_far = _number(event.after)
            if event.before != 0.0:
                so_far = f"{_number(event.before)} + {_factor(event.contribution)} = {so_far}"
            return (
                f"∂{node}/∂{parent} · ∂{root}/∂{node} = {_factor(event.partial)} × {_factor(event.upstream)} "
                f"= {_number(event.contribution)} → grad so far {so_far}"
            )
        terms = [self._in_a_line(event.node), _number(event.result)]
        if event.op is not None:
            shows = (self._in_a_line, lambda x: _number(x.data))
            terms[1:1] = [_formula(event.op, event.operands, show) for show in shows]
        return " = ".join(terms)

    def play(self) -> None:
        """Step by the keys of a terminal, ← → home end and q to leave; print all steps where there is no terminal.

        >>> stepper(Value(2.0, "x") * 3.0).play()
        forward
          1  x = 2
          2  y = x × 3 = 2 × 3 = 6
        backward
          3  ∂y/∂x · ∂y/∂y = 3 × 1 = 3 → grad so far 3
        """
        a_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        if a_terminal and os.environ.get("TERM") != "dumb":  # which can't move its cursor
            _play(self)
            return
        for position in range(len(self)):
            if position in (0, len(self._order)):
                print(self._pass(position))
            print(f"{position + 1:3}  {self.text(position)}")

    def widget(self) -> StepperWidget:
        """Return a widget for a notebook: it follows this stepper, and a click in it moves this stepper.

        There may be several, which then agree.

        Raises:
            ImportError: anywidget is not installed, or there is no Graphviz.
            ValueError: The graph is too large for a picture.

        >>> s = stepper(Value(2.0, "x").tanh())
        >>> widget = s.widget()
        >>> s.next().position == widget.step
        True
        """
        try:
            from .widget import StepperWidget
        except ImportError as error:
            raise ImportError(
                "a widget needs anywidget; install it with: pip install 'autograd_lite[notebook]'"
            ) from error
        widget = StepperWidget(self)
        self._widgets.add(widget)
        return widget

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a page to step through in a browser; it needs nothing but itself, and opens at the current step.

        Raises:
            ImportError: There is no Graphviz, neither that of pygraphviz nor `dot` on PATH.
            OSError: The file can't be written.
            ValueError: The suffix is not .html, or the graph is too large for a picture.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     stepper(Value(2.0, "x").tanh()).save(f"{folder}/steps.html")
        """
        if not str(path).lower().endswith((".html", ".htm")):
            raise ValueError(f"a stepper is saved as .html, but {str(path)!r} ends otherwise")
        write_atomically(path, self._page.html(self.position))

    def __repr__(self) -> str:
        return f"step {self.position + 1} of {len(self)}, {self._pass(self.position)}: {self.text(self.position)}"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        makers: dict[str, Callable[[], str]] = {"text/plain": self.__repr__}
        if fits(self._folded):
            makers["text/html"] = lambda: self._page.framed(self.position)
            makers["image/svg+xml"] = lambda: self._page.picture.svg
        wanted = set(include or makers) - set(exclude or ())
        return {mime: make() for mime, make in makers.items() if mime in wanted}

    def _mime_(self) -> tuple[str, str]:  # what marimo asks for; it shows every frame, and would keep the image, too
        return ("text/html", self._page.frame(self.position)) if fits(self._folded) else ("text/plain", repr(self))

    @cached_property
    def _folded(self) -> Folded:
        return fold(self._order, {self._order[-1]}, depth=self._depth, between=self._between)

    @cached_property
    def _page(self) -> Page:
        """What is seen of it in a browser or in a notebook; it is laid out on first use."""
        title = f"{self._called(self._order[-1])}, step by step: {counted(len(self), 'step')}"
        names = {node: self._called(node) for node in self._order}
        return page_of(
            self.steps, self._folded, names, self.text, title, orientation=self._orientation, heat=self._heat
        )

    def _pass(self, position: int) -> str:
        return "forward" if position < len(self._order) else "backward"

    def _called(self, node: Value) -> str:
        return printable(self._labels[node], _LONGEST_NAME)

    def _in_a_line(self, node: Value) -> str:
        return isolated(self._called(node))

    def _numbered(self, where: int) -> int:
        try:
            position = operator.index(where)
        except TypeError:
            raise TypeError(f"want the number of a step or the name of a node, not {short(where)}") from None
        if not -len(self) <= position < len(self):
            raise ValueError(f"there is no step {position}; the numbers are 0 to {len(self) - 1}")
        return position % len(self)

    def _named(self, name: str) -> int:
        found = [i for i, node in enumerate(self._order) if self._labels[node] == name]
        if len(found) > 1:
            raise ValueError(f"{len(found)} nodes are named {short(name)}, at steps {short(found)}; give a number")
        if not found:
            names = ", ".join(self._called(node) for node in self._order[:8])
            raise ValueError(f"no node is named {short(name)}; there are {names}{', …' * (len(self._order) > 8)}")
        return found[0]


# ---- text -----------------------------------------------------------------------------------------------------


def _labels(order: Sequence[Value], notation: str | None) -> dict[Value, str]:
    """Give a name to each node that has none, and none of them twice."""
    labels = names_in(order, notation)
    taken = set(labels.values())
    for i, node in enumerate(order):
        if node not in labels:
            label = "y" if i == len(order) - 1 else f"v{i + 1}"
            while label in taken:
                label += "'"
            labels[node] = label
    return labels


def _number(x: float) -> str:
    return f"{x:.4g}"


def _factor(x: float) -> str:
    return f"({x:.4g})" if str(x).startswith("-") else f"{x:.4g}"


def _formula(op: al.Op, operands: tuple[Any, ...], show: Callable[[Value], str]) -> str:
    """Write an operation with its operands, as they are called or as numbers."""

    def shown(x: Any) -> str:
        if isinstance(x, tuple):
            return f"[{', '.join(_few([shown(part) for part in x]))}]"
        return show(x) if isinstance(x, Value) else _number(x)

    def term(x: Any) -> str:  # what stands next to a sign
        return f"({shown(x)})" if shown(x).startswith("-") else shown(x)

    if op in _INFIX:
        return f" {_INFIX[op]} ".join(map(term, operands))
    if op is al.TABLE["neg"]:
        return f"−{term(operands[0])}"
    if op is al.TABLE["sum"]:
        return " + ".join(_few([term(x) for x in operands[0]]))
    if op in (al.TABLE["dot"], al.TABLE["affine"]):
        w, x, *bias = operands
        products = _few([f"{term(a)}·{term(b)}" for a, b in zip(w, x, strict=True)])
        return " + ".join([*products, *map(term, bias)])
    return f"{op.name}({', '.join(map(shown, operands))})"


def _few(terms: list[str]) -> list[str]:
    return terms if len(terms) <= 4 else [*terms[:2], "…", terms[-1]]


# ---- the terminal ---------------------------------------------------------------------------------------------

_KEYS: dict[str, Callable[[Stepper], object]] = {
    "right": Stepper.next,
    "left": Stepper.back,
    "home": lambda s: s.goto(0),
    "end": lambda s: s.goto(-1),
}
_ESCAPES = {
    "\x1b[C": "right", "\x1bOC": "right", "\x1b[D": "left", "\x1bOD": "left", " ": "right",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[7~": "home",
    "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end", "\x1b[8~": "end",
}  # fmt: skip
_KEY = re.compile(r"\x1b[\[O][\d;]*.|.", re.DOTALL)
_QUIT = ("q", "Q", "\x04", "")  # "" is the end of the input


def _play(s: Stepper) -> None:
    """Show the steps around the current one, and move by keys until q."""
    try:
        print("\x1b[?1049h\x1b[?25l", end="")  # the other screen, no cursor
        with _keys() as read_key:
            while True:
                columns, lines = shutil.get_terminal_size()
                print("\x1b[H\x1b[2J" + "\n".join(_screen(s, columns, lines)), end="", flush=True)
                key = read_key()
                if key in _QUIT:
                    break
                _KEYS.get(_ESCAPES.get(key, ""), id)(s)
    finally:
        print("\x1b[?25h\x1b[?1049l", end="", flush=True)
    print(s)


def _screen(s: Stepper, columns: int, lines: int) -> list[str]:
    """Return what fits: the current step in full, if need be on several rows, and as many as there is room for."""
    room, width = max(lines - 4, 1), columns - 1
    current = _rows(f"→ {s.position + 1:3}  {s.text(s.position)}", width, " " * 7)[:room]
    others = room - len(current)
    first = max(min(s.position - others // 2, len(s) - 1 - others), 0)
    listed = []
    for i in range(first, min(first + others + 1, len(s))):
        listed += current if i == s.position else [f"  {i + 1:3}  {s.text(i)}"]
    title = f"{s._pass(s.position)}, step {s.position + 1} of {len(s)}"
    return [_cut(line, width) for line in (title, "", *listed, "", "← → one step   home end   q leaves")]


def _rows(line: str, width: int, indent: str = "") -> list[str]:
    """Return a line as rows of a terminal, where an East Asian letter takes two columns and an accent none."""
    rows, used = [""], 0
    for letter in line:
        columns = 0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        if used + columns > width:
            rows.append(indent)
            used = len(indent)
        rows[-1] += letter
        used += columns
    return rows


def _cut(line: str, width: int) -> str:
    return line if len(_rows(line, width)) == 1 else (_rows(line, width - 1)[0] + "…")[:width]


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Let keys be read as they are pressed, and put the terminal back."""
    if sys.platform == "win32":
        import msvcrt

        os.system("")  # turns escape sequences on in an old console
        codes = {"M": "\x1b[C", "K": "\x1b[D", "G": "\x1b[H", "O": "\x1b[F"}

        def read_from_console() -> str:
            key = msvcrt.getwch()
            if key == "\x03":
                raise KeyboardInterrupt
            return codes.get(msvcrt.getwch(), "?") if key in "\x00\xe0" else key

        yield read_from_console
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)  # Ctrl-C still interrupts
        waiting: list[str] = []  # a key that is held down sends faster than the screen is drawn

        def read_from_terminal() -> str:
            if not waiting:
                waiting.extend(_KEY.findall(os.read(terminal, 1024).decode(errors="replace")))
            return waiting.pop(0) if waiting else ""

        yield read_from_terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
