"""What a check looks at: numbers that depend on numbers, in a recorded graph, in a function, or in a stranger's."""

from __future__ import annotations

import inspect
import math
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .derivatives import gradients
from .evidence import Passing, Path, passing
from .graph import topological_order
from .op import Op, number
from .value import Value, recording

__all__ = ["Subject", "foreign", "numbers_of", "places", "recorded", "traced"]


class Subject(NamedTuple):
    """What is checked, in one form.

    Attributes:
        names: what the partials are called, one row an output, one column an input.
        claimed: the partials to check, likewise.
        point: the inputs.
        at: from new numbers for some inputs, by their places, the outputs and the path to them.
        inputs, outputs: the recorded nodes, none for a function that is not ours.
        results: what the outputs are derivatives of, which are the outputs themselves at order 1.
        order: the order of the partials.
    """

    names: list[list[str]]
    claimed: list[list[float]]
    point: list[float]
    at: Callable[[dict[int, float]], tuple[list[float], Path]]
    inputs: Sequence[Value] = ()
    outputs: Sequence[Value] = ()
    results: Sequence[Value] = ()
    order: int = 1


def recorded(y: Value, xs: Sequence[Any], order: int) -> Subject:
    """Look at a recorded Value: its graph is computed again with other leaves.

    Raises:
        ValueError: an x is not in the graph, or the data of a leaf was changed since.

    >>> x = Value(3.0, "x")
    >>> subject = recorded(x * x, [], 1)
    >>> subject.names, subject.claimed, subject.at({0: 5.0})
    ([['∂y/∂x']], [[6.0]], ([25.0], []))
    """
    nodes = topological_order(y)
    known = set(nodes)
    for x in xs:
        if not isinstance(x, Value) or x not in known:
            raise ValueError(f"a recorded Value is checked by nodes of its own graph, and {reprlib.repr(x)} is none")
    inputs = list(xs) or [node for node in nodes if node.op is None]
    outputs = _derivatives([y], inputs, order)
    names = [x.name or f"x{k}" for k, x in enumerate(inputs, 1)]
    return _subject(y.name or "y", names, inputs, [y], outputs, _Replay(inputs, outputs).at, order)


def traced(f: Callable[..., Any], xs: Sequence[Any], order: int) -> Subject:
    """Look at a function: it is called again with other numbers.

    Raises:
        TypeError: the point or what f gives is not made of numbers.

    >>> traced(lambda x, v: x * v[0], [2.0, [5.0, 7.0]], 1).names
    [['∂f/∂x', '∂f/∂v[0]', '∂f/∂v[1]']]
    """
    fixed = {k for k, domain in enumerate(f.domain) if domain.constant} if isinstance(f, Op) else set()
    point = [number(x.data if isinstance(x, Value) else x, "the point") for x in _flat(xs, fixed)]
    names = _argument_names(f, xs, fixed)

    def run(numbers: Sequence[float]) -> tuple[list[Value], list[Value], list[Value]]:
        inputs = [Value(x, name) for x, name in zip(numbers, names, strict=True)]
        with recording():
            results = _outputs(f(*_like(xs, fixed, iter(inputs))))
            return inputs, results, _derivatives(results, inputs, order)

    def at(changes: dict[int, float]) -> tuple[list[float], Path]:
        _, _, outputs = run([changes.get(k, x) for k, x in enumerate(point)])
        return [y.data for y in outputs], _path(topological_order(*outputs))

    return _subject(getattr(f, "__name__", "f").replace("<lambda>", "f"), names, *run(point), at, order)


def foreign(f: Callable[..., Any], gradient: Callable[..., Any], xs: Sequence[Any]) -> Subject:
    """Look at somebody else's gradient of somebody else's function, on plain floats.

    Raises:
        TypeError: the point or what f or the gradient gives is not made of numbers.
        ValueError: the gradient has not one number for each of the point.

    >>> foreign(lambda x: x * x, lambda x: 2 * x, [3.0]).claimed
    [[6.0]]
    """
    point = [number(x, "the point") for x in _flat(xs)]
    claimed = [number(d, "the gradient") for d in _parts(gradient(*_like(xs, (), iter(point))))]
    if len(claimed) != len(point):
        raise ValueError(f"gradient= gave {len(claimed)} numbers for {len(point)} inputs; one for each is wanted")

    def at(changes: dict[int, float]) -> tuple[list[float], Path]:
        numbers = (changes.get(k, x) for k, x in enumerate(point))
        return [number(f(*_like(xs, (), numbers)), "what the function gives")], []

    return Subject([[f"∂f/∂{name}" for name in _argument_names(f, xs)]], [claimed], point, at)


def _subject(
    name: str,
    names: Sequence[str],
    inputs: Sequence[Value],
    results: Sequence[Value],
    outputs: Sequence[Value],
    at: Callable[[dict[int, float]], tuple[list[float], Path]],
    order: int,
) -> Subject:
    rows = [name] if len(results) == 1 else [f"{name}[{j}]" for j in range(len(results))]
    for _ in range(order - 1):
        rows = [_partial(row, x) for row in rows for x in names]
    claimed = [gradients(y, inputs) for y in outputs]
    named = [[_partial(row, x) for x in names] for row in rows]
    return Subject(named, claimed, [x.data for x in inputs], at, inputs, outputs, results, order)


def _partial(y: str, x: str) -> str:
    return f"∂({y})/∂{x}" if "∂" in y else f"∂{y}/∂{x}"


def _derivatives(outputs: list[Value], inputs: Sequence[Value], order: int) -> list[Value]:
    for _ in range(order - 1):
        outputs = [d for y in outputs for d in gradients(y, inputs, create_graph=True)]
    return outputs


def _outputs(result: Any) -> list[Value]:
    """Return what a function gave as Values; a plain number depends on nothing."""
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    if not results:
        raise TypeError("the function to check gave an empty list; a number or a list of numbers is wanted")
    return [y if isinstance(y, Value) else Value(number(y, "what the function to check gives")) for y in results]


def _flat(xs: Sequence[Any], fixed: Collection[int] = ()) -> list[Any]:
    """Lay the arguments flat, without those that stay as they are."""
    return [part for k, x in enumerate(xs) if k not in fixed for part in (x if _is_list(x) else (x,))]


def _parts(x: Any) -> list[Any]:
    """Lay lists of lists flat, as the gradient by several arguments is, some of them lists."""
    return [part for inner in x for part in _parts(inner)] if _is_list(x) else [x]


def _like(xs: Sequence[Any], fixed: Collection[int], parts: Iterator[Any]) -> list[Any]:
    """Arrange flat parts as the arguments are."""
    return [x if k in fixed else [next(parts) for _ in x] if _is_list(x) else next(parts) for k, x in enumerate(xs)]


def _is_list(x: Any) -> bool:
    return isinstance(x, Collection) and not isinstance(x, (str, bytes, dict))


def _argument_names(f: Callable[..., Any], xs: Sequence[Any], fixed: Collection[int] = ()) -> list[str]:
    """Call the numbers as f calls its arguments, except where they have names of their own."""
    try:
        arguments = [p.name for p in inspect.signature(f).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    except (TypeError, ValueError):
        arguments = []
    if len(arguments) < len(xs):
        arguments = [f"x{k}" for k in range(1, len(xs) + 1)]
    called = [
        [f"{name}[{i}]" for i in range(len(x))] if _is_list(x) else name for x, name in zip(xs, arguments, strict=False)
    ]
    parts = zip(_flat(xs, fixed), _flat(called, fixed), strict=True)
    return [(x.name if isinstance(x, Value) else None) or name for x, name in parts]


class _Replay:
    """Compute a recorded graph again, with other numbers for some of its inputs."""

    def __init__(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        self.inputs, self.outputs = inputs, outputs
        order = [node for node in topological_order(*outputs) if node.op is not None]
        self.rank = {node: rank for rank, node in enumerate(order)}
        self.consumers: dict[Value, list[Value]] = {}
        for node in order:
            for parent in dict.fromkeys(node.parents):
                self.consumers.setdefault(parent, []).append(node)
        for node in order:
            op: Any = node.op
            again = op.float_from(op.value(*numbers_of(node.operands)))
            if again != node.data and not (math.isnan(again) and math.isnan(node.data)):
                raise ValueError(
                    f"the data of a leaf was changed after {reprlib.repr(node)} was recorded; record again to check it"
                )
        self._key: tuple[int, ...] = ()
        self._plan: list[_Step] = []

    def at(self, changes: dict[int, float]) -> tuple[list[float], Path]:
        if tuple(changes) != self._key:
            self._key, self._plan = tuple(changes), self._downstream(changes)
        now: dict[Value, float] = {self.inputs[k]: x for k, x in changes.items()}
        path: Path = []
        for node, recorded_numbers, moving in self._plan:
            numbers = list(recorded_numbers)
            for k, i, parent in moving:
                if i is None:
                    numbers[k] = now[parent]
                else:
                    numbers[k] = (*numbers[k][:i], now[parent], *numbers[k][i + 1 :])
            op: Any = node.op
            now[node] = op.float_from(op.value(*numbers))
            if op.kinks is not None:
                path.append(passing(op, numbers))
        return [now.get(y, y.data) for y in self.outputs], path

    def _downstream(self, inputs: Iterable[int]) -> list[_Step]:
        """Return the operations that depend on some inputs, in order, and which of their operands do."""
        ends = {self.inputs[k] for k in inputs}
        todo, found = list(ends), set(ends)
        while todo:
            for node in self.consumers.get(todo.pop(), ()):
                if node not in found:
                    found.add(node)
                    todo.append(node)
        return [
            (
                node,
                numbers_of(node.operands),
                [(*place, x) for place, x in zip(places(node), node.parents, strict=True) if x in found],
            )
            for node in sorted(found - ends, key=self.rank.__getitem__)
        ]


_Step = tuple[Value, list[Any], list[tuple[int, int | None, Value]]]


def places(node: Value) -> list[tuple[int, int | None]]:
    """Return where each parent is among the operands: the place of the operand, and in it if it is a sequence.

    >>> import autograd_lite as al
    >>> places(al.affine([Value(1.0)], [2.0], Value(3.0)))
    [(0, 0), (2, None)]
    """
    found: list[tuple[int, int | None]] = []
    for k, x in enumerate(node.operands):
        if type(x) is tuple:
            found += [(k, i) for i, part in enumerate(x) if isinstance(part, Value)]
        elif isinstance(x, Value):
            found.append((k, None))
    return found


def numbers_of(operands: Sequence[Any]) -> list[Any]:
    """Return operands as numbers.

    >>> numbers_of((Value(2.0) * 3.0).operands)
    [2.0, 3.0]
    """
    return [tuple(map(_data, x)) if type(x) is tuple else _data(x) for x in operands]


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Value) else x


def _path(order: Sequence[Value]) -> Path:
    return [Passing(None) if node.op is None else passing(node.op, numbers_of(node.operands)) for node in order]
