"""Compiled functions: `compile` makes them, from a function of Values or from a recorded graph."""

from __future__ import annotations

import pickle
import reprlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from .. import ops
from ..collecting import collecting_rarely
from ..files import read_at_most, write_atomically
from ..op import number
from ..value import Value
from .kernel import NativeKernel, PythonKernel
from .native import missing
from .program import Program
from .python_source import source_of
from .storage import MOST_BYTES, Saved, saved_from, text_of
from .tracing import Guard, Trace, from_graph, trace

if TYPE_CHECKING:
    from .export import Result

__all__ = ["Backend", "BranchError", "CompiledFunction", "backend_of", "compile"]

Backend = Literal["native", "python"]
Guards = Literal["retrace", "error"]

_MOST_TRACES = 256  # of one function: a branch that depends on all digits of its input is not worth compiling
_DEFAULT = 0.5  # where a function is traced that was not called yet


class BranchError(ValueError):
    """Say on which line a row would have gone another way than what was compiled."""


def compile(
    f: Callable[[list[Any]], Any] | Value | Sequence[Value],
    n: int | None = None,
    *,
    inputs: Iterable[Value] | None = None,
    backend: Backend | None = None,
    guards: Guards = "retrace",
) -> CompiledFunction:
    """Compile a function of numbers, or a recorded Value, so that it runs fast on many rows.

    The function is run once on Values, as always, and what it did becomes a program; so do its derivatives, by the
    same rules. A branch on a number (`if x > 0`) is checked for every row: rows that go another way are traced and
    compiled for that way. Python is called for an operation without native code (the gamma family, your own).

    Args:
        f: A function from a list of n numbers to a number, or to a list of them; or a recorded Value, or several.
        n: How many numbers f takes.
        inputs: For recorded Values: the nodes of their graph that are the inputs. All else is constant.
        backend: "native" for machine code, "python" for generated Python; by default native code if the extra
            `compile` is installed, else Python, with a warning.
        guards: "retrace", or "error" to raise a BranchError where a row goes another way than the row traced first.

    Raises:
        TypeError: An argument is not of its kind; when it is called, f does what can't be compiled.
        ValueError: n is below 1, an input is given twice, or the data of the graph was changed.
        ImportError: The backend is "native", and the extra `compile` is not installed.

    >>> f = compile(lambda v: v[0] * v[0] + v[1], 2, backend="python")
    >>> f([3.0, 1.0]), f.value_and_grad([3.0, 1.0]), f.hessian([3.0, 1.0])
    (10.0, (10.0, [6.0, 1.0]), [[2.0, 0.0], [0.0, 0.0]])
    """
    chosen = backend_of(backend)
    if guards not in ("retrace", "error"):
        raise ValueError(f'guards must be "retrace" or "error", not {reprlib.repr(guards)}')
    recorded = isinstance(f, Value) or (isinstance(f, (list, tuple)) and any(isinstance(y, Value) for y in f))
    if not recorded:
        if inputs is not None:
            raise TypeError("inputs= is for recorded Values; give a function the number of its inputs, compile(f, n)")
        if not callable(f):
            raise TypeError(f"compile takes a function or a recorded Value, not {reprlib.repr(f)}")
        if isinstance(n, bool) or not isinstance(n, Integral):
            raise TypeError(f"n must be the number of inputs, an integer, as in compile(f, 2); not {reprlib.repr(n)}")
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        return CompiledFunction(f, int(n), chosen, guards)
    if n is not None or inputs is None:
        raise TypeError("a recorded Value is compiled with its inputs: compile(y, inputs=[x, ...])")
    outputs = [f] if isinstance(f, Value) else list(f)  # type: ignore[arg-type]
    recorded_trace = _from_recorded(outputs, list(inputs))
    recorded_trace.gives_list = not isinstance(f, Value)
    return CompiledFunction(None, len(recorded_trace.inputs), chosen, guards, [recorded_trace])


def backend_of(backend: Any) -> Backend:
    """Return the backend that is asked for, or, for None, the best one here; errors as for `compile`.

    >>> backend_of("python")
    'python'
    """
    if backend not in (None, "native", "python"):
        raise ValueError(f'backend must be "native" or "python", not {reprlib.repr(backend)}')
    if backend == "python":
        return "python"
    package = missing()
    if package is None:
        return "native"
    remedy = f"{package} is not installed; pip install 'autograd_lite[compile]' brings it"
    if backend == "native":
        raise ImportError(f"native code needs the extra `compile`: {remedy}")
    warnings.warn(f"compiling to Python, as native code needs the extra `compile`: {remedy}", stacklevel=3)
    return "python"


def _from_recorded(outputs: list[Any], inputs: list[Any]) -> Trace:
    for value in (*outputs, *inputs):
        if not isinstance(value, Value):
            raise TypeError(f"inputs and outputs of a recorded graph are Values, not {reprlib.repr(value)}")
    if not inputs:
        raise ValueError("inputs is empty; name the Values of the graph that vary")
    if len(set(inputs)) < len(inputs):
        raise ValueError("an input is given twice; give each once")
    with _unhurried_garbage_collection():
        return from_graph(outputs, inputs)


def _unhurried_garbage_collection() -> AbstractContextManager[None]:
    return collecting_rarely(1_000_000)


class CompiledFunction:
    """Evaluate a compiled function and its derivatives, at a point or on a batch of rows.

    A point is a list (or a one-dimensional array) of n numbers, a batch a list of such or an array (rows, n); any
    real dtype will do. From an array come arrays; from a batch in lists too, if numpy is there.

    Attributes:
        n: How many numbers it takes.
        backend: "native" or "python".
    """

    def __init__(
        self, f: Callable[..., Any] | None, n: int, backend: Backend, guards: Guards, traces: Sequence[Trace] = ()
    ) -> None:
        self.n = n
        self.backend: Backend = backend
        self._f, self._guards = f, guards
        self._traces = [_Traced(each, n, backend) for each in traces]
        self._lock = threading.RLock()
        self._name = getattr(f, "__name__", "f") if f is not None else "recorded"

    # ---- what it computes

    def __call__(self, X: Any) -> Any:
        """Return f at a point, as a float, or at each row of a batch, as an array (rows,).

        Where f gives a list of k numbers, that is a list, or an array (rows, k).

        >>> compile(lambda v: v[0] * v[1], 2, backend="python")([2.0, 5.0])
        10.0
        """
        rows, shape = _rows(X, self.n)
        table = self._table(rows, "value")
        many = self._traces[0].gives_list
        return _given(table, shape, lambda row: row if many else row[0], lambda t: t if many else t[:, 0])

    def value_and_grad(self, X: Any) -> tuple[Any, Any]:
        """Return f and its gradient: a float and n numbers, or arrays (rows,) and (rows, n).

        Raises:
            TypeError: f gives a list; take the gradient of one number.

        >>> compile(lambda v: v[0] * v[1], 2, backend="python").value_and_grad([2.0, 5.0])
        (10.0, [5.0, 2.0])
        """
        rows, shape = _rows(X, self.n)
        table = self._table(rows, "gradient")
        values = _given(table, shape, lambda row: row[0], lambda t: t[:, 0])
        return values, _given(table, shape, lambda row: row[1:], lambda t: t[:, 1:])

    def grad(self, X: Any) -> Any:
        """Return the gradient alone, as `value_and_grad` has it.

        >>> compile(lambda v: v[0] * v[1], 2, backend="python").grad([2.0, 5.0])
        [5.0, 2.0]
        """
        return self.value_and_grad(X)[1]

    def hessian(self, X: Any) -> Any:
        """Return the matrix of second derivatives: n lists of n numbers, or an array (rows, n, n).

        >>> compile(lambda v: v[0] * v[0] * v[1], 2, backend="python").hessian([3.0, 2.0])
        [[4.0, 6.0], [6.0, 0.0]]
        """
        rows, shape = _rows(X, self.n)
        n = self.n
        table = self._table(rows, "hessian")
        cut = [slice(k * n, (k + 1) * n) for k in range(n)]
        return _given(table, shape, lambda row: [row[part] for part in cut], lambda t: t.reshape(len(t), n, n))

    # ---- what it is

    def __repr__(self) -> str:
        traces = f", {len(self._traces)} ways" if len(self._traces) > 1 else ""
        return f"<{self._name} of {self.n}, compiled to {self.backend} code{traces}>"

    @property
    def program(self) -> Program:
        """The program of f and its gradient, as traced first."""
        return self._first().program("gradient")

    @property
    def python_source(self) -> str:
        """The program as Python."""
        return source_of(self.program)

    @property
    def llvm_ir(self) -> str:
        """The loops that run it, in LLVM's language.

        Raises:
            ImportError: The extra `compile` is not installed.
        """
        backend_of("native")
        return NativeKernel(self.program, self.n).ir

    def to_jax(self, gradient: bool = False) -> Callable[[Any], Any]:
        """Return the function as one of a jax array (n,), for `jax.jit`, `jax.vmap` and the rest.

        Derivatives that jax takes of it are jax's own, and jax decides at kinks.

        Args:
            gradient: Give f and its gradient by the rules of the table, arrays () and (n,), instead of f.

        Raises:
            ImportError: jax is not installed.
            NotImplementedError: f uses an operation of your own.
            TypeError: f gives a list, and its gradient is asked for.
            ValueError: f branches on a number; write `al.where`.
        """
        from .export import to_jax

        return to_jax(*self._exported(gradient))

    def to_torch(self, gradient: bool = False) -> Callable[[Any], Any]:
        """Return the function as one of a torch tensor (n,), for `torch.func` and the rest.

        Derivatives that torch takes of it are torch's own, and torch decides at kinks.

        Args:
            gradient: Give f and its gradient by the rules of the table, arrays () and (n,), instead of f.

        Raises:
            ImportError: torch is not installed.
            NotImplementedError: f uses an operation of your own.
            TypeError: f gives a list, and its gradient is asked for.
            ValueError: f branches on a number; write `al.where`.
        """
        from .export import to_torch

        return to_torch(*self._exported(gradient))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the program to a file, as JSON, for `load`: the ways through the function that were compiled.

        Raises:
            OSError: The file can't be written.
            TypeError: An operation is not the table's, and so is code.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     compile(lambda v: v[0] * v[0], 1, backend="python").save(f"{folder}/square.json")
        ...     CompiledFunction.load(f"{folder}/square.json", backend="python")([3.0])
        9.0
        """
        write_atomically(path, self._text())

    @classmethod
    def load(cls, path: str | PathLike[str], backend: Backend | None = None) -> CompiledFunction:
        """Read a file that `save` wrote; no code in it is run.

        Rows that would go another way than those compiled then raise a BranchError: the function is not here.

        Raises:
            OSError: The file can't be read.
            ValueError: It is something else.
        """
        data = read_at_most(path, MOST_BYTES)
        if len(data) > MOST_BYTES:
            raise ValueError(f"{path} is larger than {MOST_BYTES:,} bytes")
        return _restored(None, saved_from(data), backend)

    def _text(self) -> str:
        first = self._first()
        return text_of(Saved(self._name, self.n, self._guards, [t.trace for t in self._traces or [first]]))

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            f = pickle.dumps(self._f)
        except Exception:  # a lambda, say: its program will do
            f = pickle.dumps(None)
        try:
            text = self._text()
        except TypeError:  # an operation of one's own: the function will be traced again, if it came along
            if pickle.loads(f) is None:
                raise
            text = text_of(Saved(self._name, self.n, self._guards, []))
        return _unpickled, (f, text, self.backend)

    # ---- ways through the function

    def _first(self) -> _Traced:
        with self._lock:
            return self._traces[0] if self._traces else self._traced([_DEFAULT] * self.n)

    def _exported(self, gradient: bool) -> tuple[Program, int, Result]:
        """Return what `export` takes, if the function is the same program for every row."""
        first = self._first()
        if first.guards:
            raise ValueError(f"the function branches on a number, at {first.guards[0].where}; write al.where instead")
        many = first.gives_list
        if gradient and many:
            raise TypeError("derivatives here are of a function that gives one number; this one gives a list")
        return (
            first.program("gradient" if gradient else "value"),
            self.n,
            "gradient" if gradient else "list" if many else "number",
        )

    def _traced(self, point: Sequence[float]) -> _Traced:
        """Trace the function at a point, unless it was traced there by now."""
        if self._f is None:
            raise BranchError(
                "a row goes another way than those compiled, and the function itself is not here to be traced again"
            )
        if self._guards == "error" and self._traces:
            self._raise(point)
        with _unhurried_garbage_collection():
            traced = _Traced(trace(self._f, point), self.n, self.backend)
        if len(self._traces) < _MOST_TRACES:
            self._traces.append(traced)
        return traced

    def _raise(self, point: Sequence[float]) -> None:
        first = self._traces[0]
        went = first.went(point)
        guard = next(g for g, as_traced in zip(first.guards, went, strict=True) if not as_traced)
        raise BranchError(f"{guard}, for the row traced first, is {not guard.outcome} for the row {list(point)}")

    def _table(self, rows: Any, task: str) -> Any:
        """Return the outputs of a task for every row: an array if the rows are one, else a list of lists."""
        if not len(rows):
            return _empty(rows, self._first().width(task))
        with self._lock:
            if not self._traces:
                self._traced([float(x) for x in rows[0]])
        traces = list(self._traces)
        if task != "value" and traces[0].gives_list:
            raise TypeError("derivatives here are of a function that gives one number; this one gives a list")
        if self.backend == "native":
            return self._native(rows, task)
        return [self._row(row, task) for row in (rows if isinstance(rows, list) else rows.tolist())]

    def _row(self, row: Sequence[float], task: str) -> list[float]:
        for traced in list(self._traces):
            result = traced.row(row, task)
            if result is not None:
                return result
        with self._lock:
            traced = self._traced(row)
        return traced.row(row, task, unchecked=True)  # type: ignore[return-value]

    def _native(self, rows: Any, task: str) -> Any:
        import numpy as np

        traces = list(self._traces)
        out = traces[0].kernel(task)(rows)
        if not traces[0].guards:
            return out
        result, other = out[:, :-1], np.flatnonzero(out[:, -1] != 1.0)
        if not len(other):
            return result
        result = np.ascontiguousarray(result)
        k = 1
        while len(other):
            if k >= len(self._traces):
                row = self._row(rows[other[0]].tolist(), task)
                if k >= len(self._traces):
                    # No new way, or too many: a comparison so close that native code, right to the last digit but one,
                    # sees it otherwise than Python, whose word counts.
                    result[other[0]] = row
                    other = other[1:]
                continue
            traced, k = self._traces[k], k + 1
            found = traced.kernel(task)(np.ascontiguousarray(rows[other]))
            if traced.guards:
                ok = found[:, -1] == 1.0
                result[other[ok]] = found[ok, :-1]
                other = other[~ok]
            else:
                result[other] = found
                other = other[:0]
        return result


class _Traced:
    """One way through the function: its trace, and for each task its program and what runs it."""

    def __init__(self, traced: Trace, n: int, backend: Backend) -> None:
        self.trace, self._n, self._backend = traced, n, backend
        self.guards: list[Guard] = traced.guards
        self.gives_list = traced.gives_list
        self.point = traced.point
        self._programs: dict[str, Program] = {}
        self._kernels: dict[str, Any] = {}
        self._rows: dict[str, PythonKernel] = {}
        self._lock = threading.RLock()

    def program(self, task: str) -> Program:
        with self._lock, _unhurried_garbage_collection():
            if task not in self._programs:
                self._programs[task] = self.trace.build.program(self._outputs(task))
            return self._programs[task]

    def _outputs(self, task: str) -> list[int]:
        build, inputs, outputs = self.trace.build, self.trace.inputs, self.trace.outputs
        if task == "value":
            return outputs
        gradient = build.gradient(outputs[0], inputs)
        if task == "gradient":
            return [outputs[0], *gradient]
        return [second for first in gradient for second in build.gradient(first, inputs)]

    def guarded(self, task: str) -> Program:
        """Return the program with one more output: 1 where every comparison comes out as it did."""
        if not self.guards:
            return self.program(task)
        build = self.trace.build
        return build.program([*self._outputs(task), build.apply(ops.prod, (tuple(self._checks()),))])

    def _checks(self) -> list[int]:
        build = self.trace.build
        checks = []
        for guard in self.guards:
            x, y = (guard.left, guard.right) if guard.sign[0] == "<" else (guard.right, guard.left)
            seen = build.apply(ops.less, (x, y)) if len(guard.sign) == 1 else build.apply(ops.within, (x, x, y))
            checks.append(seen if guard.outcome else build.apply(ops.sub, (build.constant(1.0), seen)))
        return checks

    def width(self, task: str) -> int:
        return len(self.program(task).outputs)

    def kernel(self, task: str) -> NativeKernel:
        with self._lock, _unhurried_garbage_collection():
            if task not in self._kernels:
                self._kernels[task] = NativeKernel(self.guarded(task), self._n)
            return self._kernels[task]  # type: ignore[no-any-return]

    def row(self, row: Sequence[float], task: str, unchecked: bool = False) -> list[float] | None:
        """Return the outputs for a row, by Python; None if it goes another way."""
        with self._lock:
            if task not in self._rows:
                self._rows[task] = PythonKernel(self.guarded(task))
        result = self._rows[task](row)
        if not self.guards:
            return result
        return result[:-1] if unchecked or result[-1] == 1.0 else None

    def went(self, point: Sequence[float]) -> list[bool]:
        """Tell of each comparison whether it comes out at a point as it was traced."""
        with self._lock:
            checks = self.trace.build.program(self._checks())
        seen = PythonKernel(checks)(point)
        return [each == 1.0 for each in seen]


def _unpickled(f: bytes, text: str, backend: str) -> CompiledFunction:
    return _restored(pickle.loads(f), saved_from(text), "python" if backend == "python" else None)


def _restored(f: Callable[..., Any] | None, saved: Saved, backend: Backend | None) -> CompiledFunction:
    guards: Guards = "error" if saved.guards == "error" else "retrace"
    compiled = CompiledFunction(f, saved.n, backend_of(backend), guards, saved.traces)
    compiled._name = saved.name
    return compiled


# ---- numbers in and out ----------------------------------------------------------------------------------------------


def _rows(X: Any, n: int) -> tuple[Any, str]:
    """Return a batch as rows of floats, checked, and what it came as: "point" or "points", of "array" or "list"."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(X, numpy.ndarray):
        return _array(X, n, numpy)
    if isinstance(X, (str, bytes, dict, set)) or not isinstance(X, Iterable):
        raise TypeError(f"give a list of {n} numbers, or rows of them, not {reprlib.repr(X)}")
    items = X if isinstance(X, (list, tuple)) else list(X)
    is_batch = not items or (isinstance(items[0], Iterable) and not isinstance(items[0], (str, bytes)))
    rows = [_row(row, n, k) for k, row in enumerate(items)] if is_batch else [_row(items, n, None)]
    if missing() is None:
        import numpy as np

        return np.array(rows, dtype=np.float64).reshape(len(rows), n), "list of rows" if is_batch else "list"
    return rows, "rows" if is_batch else "list"


def _row(row: Any, n: int, k: int | None) -> list[float]:
    what = "the point" if k is None else f"row {k}"
    if isinstance(row, (str, bytes, dict, set)) or not isinstance(row, Iterable):
        raise TypeError(f"{what} must be a list of {n} numbers, not {reprlib.repr(row)}")
    numbers = [x if type(x) is float else number(x, f"{what}[{j}]") for j, x in enumerate(row)]
    if len(numbers) != n:
        raise ValueError(f"{what} has {len(numbers)} numbers, but the function takes {n}")
    return numbers


def _array(X: Any, n: int, numpy: Any) -> tuple[Any, str]:
    if X.dtype.kind not in "fiub":
        raise TypeError(f"the array must hold real numbers, not dtype {X.dtype}")
    if X.ndim not in (1, 2) or X.shape[-1] != n:
        raise ValueError(f"the array must be of shape ({n},) or (rows, {n}), not {X.shape}")
    rows = numpy.ascontiguousarray(X, dtype=numpy.float64)
    return (rows, "array of rows") if X.ndim == 2 else (rows.reshape(1, n), "array")


def _empty(rows: Any, width: int) -> Any:
    if isinstance(rows, list):
        return []
    import numpy as np

    return np.empty((0, width))


def _given(table: Any, shape: str, one: Callable[[Any], Any], all_rows: Callable[[Any], Any]) -> Any:
    """Return a table of outputs in the form in which the inputs came."""
    if shape == "list":
        return one(table[0] if isinstance(table, list) else table[0].tolist())
    if shape == "rows":
        return [one(row) for row in table]
    import numpy as np

    result = all_rows(np.asarray(table, dtype=np.float64))
    if shape == "array":
        return float(result[0]) if result.ndim == 1 else result[0]
    return result
