"""Find where the first nan or infinity is born, and say how to cure it.

A nan is *born* where an operation gives one though none of its operands is nan; an infinity, where every operand is
finite. Going back, the same holds of each product partial · upstream of the chain rule and of each sum of those. What
an operation makes of a nan that it was given is *passed on*, and no fault of it.

Inside `detect_anomaly`, `Value` shows every node and every sweep to a detector. Elsewhere there is nothing to pay.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from itertools import islice
from math import inf, isfinite, isinf, isnan, prod
from pathlib import Path
from reprlib import repr as short
from textwrap import fill, indent
from threading import get_ident
from traceback import FrameSummary, format_list
from types import CodeType, TracebackType
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from .cures import cure, data_of, flat, operation
from .graph import adjoints, topological_order
from .steps import Backward, Event, Forward, events
from .value import Value, Watch, _node, in_mode, watching

__all__ = ["AnomalyError", "detect_anomaly"]

P = ParamSpec("P")
R = TypeVar("R")


class AnomalyError(FloatingPointError):
    """Say where a nan or an infinity was born; `detect_anomaly` raises it.

    Attributes:
        event: The `Forward` or `Backward` event of `al.events` that bore it: node, operands, numbers.
        source: The line of the user's program that made the node, a `traceback.FrameSummary` with `filename`,
            `lineno`, `name` and `line`; None if the node was not made in the block.
        cure: What usually helps, or None.
        tree: The part of the graph around the birth, as text.
        excerpt: The same part as a Value with a small graph of its own, to be drawn: `nn.draw(error.excerpt)`.

    >>> import autograd_lite as al
    >>> try:
    ...     with al.detect_anomaly():
    ...         al.log(al.Value(0.0, "p"))
    ... except al.AnomalyError as error:
    ...     print(error.event.op, error.event.result, error.source.line)
    ...     print(error.tree)
    <operation log(x)> -inf al.log(al.Value(0.0, "p"))
    log = -inf   <- -inf is born here
    └─ p = 0.0
    """

    def __init__(
        self, message: str, event: Event, source: FrameSummary | None, cure: str | None, tree: str, excerpt: Value
    ) -> None:
        super().__init__(message)
        self.event = event
        self.source = source
        self.cure = cure
        self.tree = tree
        self.excerpt = excerpt

    @property
    def node(self) -> Value:
        """The node that bore it: its `op`, `operands` and `partials` tell the rest.

        >>> with detect_anomaly():
        ...     try:
        ...         1.0 / Value(0.0, "x")
        ...     except AnomalyError as error:
        ...         print(error.node, error.node.operands)
        Value(inf, grad=0.0, op=div) (1.0, Value(0.0, grad=0.0, name='x'))
        """
        return self.event.node

    def __reduce__(self) -> tuple[Any, ...]:
        return FloatingPointError, self.args  # to another process only the message can go, not the graph


def detect_anomaly(*, inf: bool = True) -> Detection:
    """Stop at the first nan or infinity that is born in this block and thread, forwards or backwards.

    It is a context manager, and a decorator for functions. Values that were recorded before the block are looked at
    when a sweep goes back over them. A sweep that is stopped leaves every gradient as it was. A nan that is given, as
    data or as a constant, is passed on, with a RuntimeWarning. Neither `jvp` nor compiled code is watched.

    Args:
        inf: Whether to stop at infinities too; False stops at nan alone, for programs that mean their infinities.

    Raises:
        AnomalyError: A nan or an infinity is born.
        TypeError: `inf` is not a bool, or what is to be decorated is not a function, or is a generator or coroutine,
            whose body runs after it is called.

    >>> import autograd_lite as al
    >>> x = al.Value(0.0, "x")
    >>> with al.detect_anomaly():
    ...     y = al.where(x, al.sqrt(x), 0.0)
    ...     y.backward()
    Traceback (most recent call last):
        ...
    autograd_lite.anomaly.AnomalyError: nan is born going back from sqrt(x = 0.0) to x = 0.0:
    partial · upstream = inf · 0.0 = nan
      File "...", line 2, in <module>
        y = al.where(x, al.sqrt(x), 0.0)
    ...
      where = 0.0, gradient 1.0
      ├─ x = 0.0, gradient nan
      ├─ sqrt = 0.0, gradient 0.0   <- nan is born here
      │  └─ x = 0.0, gradient nan
      └─ 0.0
    <BLANKLINE>
    The gradient 0 comes from where, but 0·inf is nan. All operands of where are computed, the unused
    ones too: choose what sqrt is given, as x in where(condition, f(where(condition, x, 1.0)), other),
    or clamp it, so that the slope is finite there too.
    """
    if not isinstance(inf, bool):
        raise TypeError(f"inf= must be True or False, not {short(inf)}")
    return Detection(inf)


class Detection(contextlib.AbstractContextManager[None]):
    """A block that `detect_anomaly` opens, or a decorator.

    >>> @detect_anomaly()
    ... def ratio(x, y):
    ...     return x / y
    >>> ratio(Value(1.0), Value(2.0))
    Value(0.5, grad=0.0, op=div)
    """

    def __init__(self, inf: bool) -> None:
        self.inf = inf
        self._open: dict[int, list[contextlib.AbstractContextManager[None]]] = {}  # by thread

    def __enter__(self) -> None:
        block = in_mode(watch=_Detector(self.inf, watching()))
        block.__enter__()
        self._open.setdefault(get_ident(), []).append(block)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open[get_ident()].pop().__exit__(kind, error, at)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Watch every call of a function."""
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"detect_anomaly() decorates a function, not {short(function)}")
        for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction):
            if kind(function):
                raise TypeError(
                    f"detect_anomaly() can't watch {function.__name__}, whose body runs after the call, a part at a "
                    "time; write `with al.detect_anomaly():` around what uses it"
                )

        @functools.wraps(function)
        def watched(*args: P.args, **kwargs: P.kwargs) -> R:
            with Detection(self.inf):
                return function(*args, **kwargs)

        return watched


# ---- looking ---------------------------------------------------------------------------------------------------


class _Detector(Watch):
    """Look at every node that a block makes and every sweep that it begins."""

    def __init__(self, inf: bool, outer: Watch | None) -> None:
        known = outer.made_at if isinstance(outer, _Detector) else None
        self.made_at: MutableMapping[Value, Place] = WeakKeyDictionary() if known is None else known
        self.inf = inf
        self.has_warned = False

    def made(self, node: Value) -> None:
        self.made_at[node] = _place()
        if not isfinite(node.data):
            self._look_forward(Forward(node, node.op, node.operands, node.data))

    def sweep(self, y: Value, grad: float) -> None:
        """Look at the numbers of a sweep that is to be done, those recorded elsewhere first."""
        order = topological_order(y)
        gradients = adjoints(order, {y: grad}, lambda node: zip(node.parents, node.partials, strict=True))
        if all(map(isfinite, gradients.values())) and all(isfinite(node.data) for node in order):
            return  # a sum that is once infinite or nan never becomes finite again, so nothing was
        told = events(y, grad)
        for k, event in enumerate(told):
            if isinstance(event, Forward):
                if not isfinite(event.result) and event.node not in self.made_at:
                    self._look_forward(event)
            elif not (isfinite(event.contribution) and isfinite(event.after)):
                self._look_backward(event, told, k)

    def _look_forward(self, event: Forward) -> None:
        operands = flat(event.operands)
        if operands and self._is_born(event.result, map(data_of, operands)):
            raise _forward_error(event, self._source(event.node))
        given = [x for x in operands if isnan(data_of(x)) and x not in self.made_at]
        if given and not self.has_warned:
            self.has_warned = True
            self._warn(event.node, given[0])

    def _look_backward(self, event: Backward, told: Sequence[Event], k: int) -> None:
        operands = map(data_of, flat(event.node.operands))
        if self._is_born(event.contribution, [event.upstream, *operands]):
            born = event.contribution
            how = f"partial · upstream = {event.partial} · {event.upstream} = {born}"
        elif self._is_born(event.after, [event.before, event.contribution]):
            born = event.after
            how = f"the sum of gradients {event.before} + {event.contribution} = {born}"
        else:
            return
        raise _backward_error(event, born, how, told[:k], self._source(event.node))

    def _is_born(self, result: float, given: Iterable[float]) -> bool:
        if isnan(result):
            return not any(map(isnan, given))
        return self.inf and isinf(result) and all(map(isfinite, given))

    def _source(self, node: Value) -> FrameSummary | None:
        return _summary(self.made_at[node]) if node in self.made_at else None

    def _warn(self, node: Value, operand: Value | float) -> None:
        origin = "made before the block" if isinstance(operand, Value) and operand.op else "given"
        message = f"no nan is born in {_call(node)}: {_shown(operand)}, {origin}, is passed on"
        at = _summary(_place())
        warnings.warn_explicit(message, RuntimeWarning, at.filename, at.lineno or 1)


# ---- the line of the user's program ----------------------------------------------------------------------------

Place = tuple[CodeType, int]  # the code and the instruction in it: quickly noted, a line and a column when asked

_OURS = tuple(f"{Path(__file__).parents[1] / package}{os.sep}" for package in ("autograd_lite", "nn"))


def _place() -> Place:
    """Return where the program is, in the innermost frame that is not of these packages."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_OURS) and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _summary(place: Place) -> FrameSummary:
    code, instruction = place
    line, end_line, column, end_column = next(islice(code.co_positions(), instruction // 2, None))
    return FrameSummary(
        code.co_filename, line or code.co_firstlineno, code.co_name,
        end_lineno=end_line, colno=column, end_colno=end_column,
    )  # fmt: skip


# ---- the error -------------------------------------------------------------------------------------------------

_MOST_NODES, _MOST_OPERANDS, _LONGEST_NAME = 5, 6, 40


def _forward_error(event: Forward, source: FrameSummary | None) -> AnomalyError:
    headline = f"{event.result} is born: {_call(event.node)} = {event.result}"
    return _error(headline, event, event.result, source, [event.node], {}, cure(event))


def _backward_error(
    event: Backward, born: float, how: str, past: Sequence[Event], source: FrameSummary | None
) -> AnomalyError:
    headline = f"{born} is born going back from {_call(event.node)} to {_shown(event.parent)}:\n{how}"
    gradients: dict[Value, float] = {}
    for earlier in (*past, event):
        if isinstance(earlier, Backward):
            gradients |= {earlier.node: earlier.upstream, earlier.parent: earlier.after}
    path = _path_to_gate(event, past)
    remedy = cure(event, gate=path[-1] if path else None)
    shown = [event.node, *path] if len(path) < _MOST_NODES else [event.node]
    return _error(headline, event, born, source, shown, gradients, remedy)


def _path_to_gate(event: Backward, past: Sequence[Event]) -> list[Value]:
    """Return the nodes by which a gradient of 0 came, up to the one whose partial is 0; none if there is no such."""
    path: list[Value] = []
    here = event.node
    for earlier in reversed(past):
        if isinstance(earlier, Backward) and earlier.parent is here and earlier.contribution == event.upstream == 0.0:
            here = earlier.node
            path.append(here)
            if earlier.partial == 0.0:
                return path
    return []


def _error(
    headline: str,
    event: Event,
    born: float,
    source: FrameSummary | None,
    path: Sequence[Value],
    gradients: Mapping[Value, float],
    remedy: str | None,
) -> AnomalyError:
    """Tell it all; `path` leads from the node up to the one at the top of what is shown."""
    tree = "\n".join(_branches(path[::-1], gradients, f"   <- {born} is born here"))
    where = "  in a line not known: it was recorded before the block, or as part of a derivative\n"
    if source is not None:
        where = "".join(format_list([source]))
    message = f"{headline}\n{where}\n{indent(tree, '  ')}" + (f"\n\n{fill(remedy, 100)}" if remedy else "")
    return AnomalyError(message, event, source, remedy, tree, _excerpt(path, gradients, born))


def _branches(downwards: Sequence[Value], gradients: Mapping[Value, float], mark: str) -> list[str]:
    """Return the lines of a tree: a node above its operands, of which the next node shows its own in turn."""
    node, *below = downwards
    title = f"{_printable(node.name)} = {operation(node)}" if node.name else operation(node)
    lines = [f"{title} = {node.data}{_gradient(node, gradients)}{'' if below else mark}"]
    shown = flat(_telling(node.operands, *below[:1]))
    branches = [
        _branches(below, gradients, mark) if below and x is below[0] else [_shown(x) + _gradient(x, gradients)]
        for x in shown
    ]
    if hidden := len(flat(node.operands)) - len(shown):
        branches.append([f"… {hidden} more"])
    for k, (first, *rest) in enumerate(branches, 1):
        is_last = k == len(branches)
        lines.append(f"{'└─' if is_last else '├─'} {first}")
        lines += [f"{'  ' if is_last else '│ '} {line}" for line in rest]
    return lines


def _telling(operands: tuple[Any, ...], needed: Value | None = None) -> tuple[Any, ...]:
    """Cut long sequences down to the few places that tell most: the one needed, nan and inf, and the largest terms."""
    sequences = [x for x in operands if isinstance(x, tuple)]
    if not sequences or len(sequences[0]) <= _MOST_OPERANDS:
        return operands
    terms = [inf if needed in pair else abs(prod(map(data_of, pair))) for pair in zip(*sequences, strict=True)]
    by_size = sorted(range(len(terms)), key=lambda k: -inf if isnan(terms[k]) else -terms[k])
    places = sorted(by_size[:_MOST_OPERANDS])
    return tuple(tuple(x[k] for k in places) if isinstance(x, tuple) else x for x in operands)


def _gradient(x: Value | float, gradients: Mapping[Value, float]) -> str:
    return f", gradient {gradients[x]}" if isinstance(x, Value) and x in gradients else ""


def _shown(x: Value | float) -> str:
    """Write an operand: `x = 0.0`, `p = sigmoid(z = -800.0) = 0.0`, `3.0`."""
    if not isinstance(x, Value):
        return str(x)
    return " = ".join([_printable(x.name)] * bool(x.name) + [_call(x)] * bool(x.op) + [str(x.data)])


def _call(node: Value) -> str:
    """Write an operation with the numbers it was given: `sqrt(x = 0.0)`, `sum([1.0, 2.0])`."""
    return f"{operation(node)}({', '.join(map(_named, node.operands))})"


def _named(x: Any) -> str:
    if isinstance(x, tuple):
        return f"[{', '.join(map(_named, x))}]" if len(x) <= 3 else f"[{len(x)} numbers]"
    return f"{_printable(x.name)} = {x.data}" if isinstance(x, Value) and x.name else str(data_of(x))


def _printable(name: str | None) -> str:
    shown = name if name and name.isprintable() else repr(name)
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"


def _excerpt(path: Sequence[Value], gradients: Mapping[Value, float], born: float) -> Value:
    """Return copies of the nodes on the path and of their operands, which are leaves in it; the names say the rest."""
    copies: dict[Value, Value] = {}

    def copy(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(map(copy, x))
        if isinstance(x, Value) and x not in copies:
            copies[x] = Value(x.data, x.name or operation(x) or None)
            copies[x].grad = gradients.get(x, 0.0)
        return copies[x] if isinstance(x, Value) else x

    with in_mode(recording=True, watch=None):
        for needed, node in zip([None, *path], path, strict=False):
            operands = _telling(node.operands, needed)
            parents = [x for x in flat(operands) if isinstance(x, Value)]
            partial = dict(zip(node.parents, node.partials, strict=True))
            partials = node.partials if operands is node.operands else tuple(partial[x] for x in parents)
            copied = _node(node.data, node.op, tuple(map(copy, parents)), partials, copy(operands))  # type: ignore[arg-type]
            hidden = len(flat(node.operands)) - len(flat(operands))
            copied.name = _title(node.name, born if node is path[0] else None, hidden)
            copied.grad = gradients.get(node, 0.0)
            copies[node] = copied
    return copies[path[-1]]


def _title(name: str | None, born: float | None, hidden: int) -> str | None:
    """Return what the copy of a node is called; short, as a drawing has little room."""
    birth = "" if born is None else f"{born} born" if hidden else f"{born} is born here"
    return ", ".join(filter(None, [name, birth, f"{hidden} not shown" if hidden else ""])) or None
