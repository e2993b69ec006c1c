"""Value: a number that remembers how it was computed."""

from __future__ import annotations

import contextlib
import math
import reprlib
from collections.abc import Iterator
from itertools import islice
from operator import mul
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import ops
from .graph import backpropagate
from .op import Op, carrier, carriers, number

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Scope",
    "Value",
    "Watch",
    "in_mode",
    "is_recording",
    "no_grad",
    "recording",
    "scope",
    "stop_gradient",
    "watching",
]

_new = object.__new__


class Value:
    """Make a number that remembers how it was computed.

    Args:
        data: any real number; it is kept as a float.
        name: what drawings and explanations call it.

    Attributes:
        data: the number. Changing it later changes neither what was recorded from it nor those partials.
        grad: ∂y/∂self after `y.backward()`, 0.0 before.
        op: the operation that made it, None for a leaf.

    `==` and `hash` are by identity, `<` compares data. A Value made by an operation is a node of a graph that
    holds its operands; it is freed as soon as nobody refers to it.

    Raises:
        TypeError: data is not a real number.
        ValueError: data is an integer too large for a float64.

    >>> x = Value(3.0, "x")
    >>> y = x * x + 2 * x
    >>> y.backward()
    >>> y.data, x.grad
    (15.0, 8.0)
    """

    # One object a node, no tuples for one or two operands (measured: objects per node decide the speed).
    #   leaf:          _a is None
    #   one operand:   _a the operand, _da the partial
    #   two operands:  also _b, and _db, which is None where _b is a constant
    #   any others:    _a and _da are the tuples of parents and partials; _b the tuple of operands, or None where
    #                  they are just the parents
    #   w·x + b with a constant x:  _a is w, _da is x, _b is b and _db is 1.0
    #   _scope is set in a scope only
    __slots__ = ("__weakref__", "_a", "_b", "_da", "_data", "_db", "_scope", "grad", "name", "op")

    grad: float
    name: str | None
    op: Op | None
    _data: float
    _scope: Scope | None
    _a: Any
    _da: Any
    _b: Any
    _db: float | None

    def __init__(self, data: float, name: str | None = None) -> None:
        self._data = number(data, "the data of a Value")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"the name of a Value must be a text, not {reprlib.repr(name)}")
        self.grad = 0.0
        self.name = name
        self.op = self._a = self._da = self._b = self._db = None
        if _modes and (mode := _modes.get(get_ident())):
            self._scope = mode.scope

    @property
    def data(self) -> float:
        """The number itself."""
        if _modes and (watch := watching()) is not None:
            watch.read(self)
        return self._data

    @data.setter
    def data(self, new: float) -> None:
        self._data = new if type(new) is float else number(new, "the data of a Value")

    @property
    def operands(self) -> tuple[Any, ...]:
        """What the operation was applied to, constants included; a sequence operand is a tuple.

        >>> (Value(2.0, "x") * 3).operands
        (Value(2.0, grad=0.0, name='x'), 3.0)
        """
        if self._a is None:
            return ()
        if type(self._a) is not tuple:
            return (self._a,) if self._b is None else (self._a, self._b)
        if self._db is not None:
            return (self._a, self._da, self._b)
        return _regrouped(self._a, self.op) if self._b is None else self._b  # type: ignore[arg-type]

    @property
    def parents(self) -> tuple[Value, ...]:
        """The Values among the operands, in order, repeats kept.

        >>> x = Value(2.0)
        >>> (x * x).parents == (x, x)
        True
        """
        if self._a is None:
            return ()
        first = self._a if type(self._a) is tuple else (self._a,)
        return first if self._db is None else (*first, self._b)

    @property
    def partials(self) -> tuple[float, ...]:
        """∂self/∂parent for each of the parents, as recorded.

        >>> (Value(2.0) * Value(5.0)).partials
        (5.0, 2.0)
        """
        if self._a is None:
            return ()
        first = self._da if type(self._a) is tuple else (self._da,)
        return first if self._db is None else (*first, self._db)

    @property
    def scope(self) -> Scope | None:
        """The part of the program it belongs to: the innermost `al.scope` it was made in, None outside of any.

        >>> with scope("first"), scope("second"):
        ...     Value(1.0).scope
        first/second
        """
        return getattr(self, "_scope", None)

    @scope.setter
    def scope(self, new: Scope | None) -> None:
        if new is not None and not isinstance(new, Scope):
            raise TypeError(f"the scope of a Value is a Scope or None, not {reprlib.repr(new)}")
        self._scope = new

    def backward(self, grad: float = 1.0) -> None:
        """Add ∂self/∂leaf · grad to the `.grad` of every leaf, and set that of every node in between.

        Leaves accumulate from call to call; interior gradients are those of this sweep. If the sweep is
        interrupted, the leaves are as they were.

        >>> w = Value(2.0)
        >>> (w * w).backward()
        >>> (w * 3).backward()
        >>> w.grad
        7.0
        """
        grad = number(grad, "the gradient to start from")
        if (watch := watching()) is not None:
            watch.sweep(self, grad)
            watch.read(self)
        backpropagate(self, grad)

    # ---- arithmetic: the rows of the table, inlined for two Values or a Value and a float; a test holds them to it

    def __add__(self, other: Any) -> Value:
        if type(other) is Value:
            return _node(self._data + other._data, _ADD, self, 1.0, other, 1.0)
        if type(other) is int:
            other = number(other)
        if type(other) is float:
            return _node(self._data + other, _ADD, self, 1.0, other)
        return _other(_ADD, self, other)

    def __mul__(self, other: Any) -> Value:
        x = self._data
        if type(other) is Value:
            y = other._data
            return _node(x * y, _MUL, self, y, other, x)
        if type(other) is int:
            other = number(other)
        if type(other) is float:
            return _node(x * other, _MUL, self, other, other)
        return _other(_MUL, self, other)

    __radd__ = __add__
    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Value:
        if type(other) is Value:
            return _node(self._data - other._data, _SUB, self, 1.0, other, -1.0)
        if type(other) is int:
            other = number(other)
        if type(other) is float:
            return _node(self._data - other, _SUB, self, 1.0, other)
        return _other(_SUB, self, other)

    def __rsub__(self, other: Any) -> Value:
        if type(other) is int:
            other = number(other)
        if type(other) is float:
            return _node(other - self._data, _SUB, (self,), (-1.0,), (other, self))
        return _other(_SUB, other, self)

    def __truediv__(self, other: Any) -> Value:
        if type(other) is int:
            other = number(other)
        x = self._data
        y = other._data if type(other) is Value else other
        if type(y) is not float or y == 0.0:
            return _other(_DIV, self, other)
        z = x / y
        return _node(z, _DIV, self, 1.0 / y, other, None if y is other else -(z / y))

    def __rtruediv__(self, other: Any) -> Value:
        return _other(_DIV, other, self)

    def __pow__(self, other: Any) -> Value:
        return _other(ops.power if carrier(other) is None else ops.pow, self, other)

    def __rpow__(self, other: Any) -> Value:
        return _other(ops.pow, other, self)

    def __neg__(self) -> Value:
        return _node(-self._data, _NEG, self, -1.0)

    def __pos__(self) -> Value:
        return _node(self._data, _POS, self, 1.0)

    def __abs__(self) -> Value:
        return _record(ops.abs, (self,))

    def __floor__(self) -> Value:
        return _record(ops.floor, (self,))

    def __ceil__(self) -> Value:
        return _record(ops.ceil, (self,))

    def __lt__(self, other: Any) -> bool:
        return _seen(self, "<", other, self._data < _number_in(other))

    def __le__(self, other: Any) -> bool:
        return _seen(self, "<=", other, self._data <= _number_in(other))

    def __gt__(self, other: Any) -> bool:
        return _seen(self, ">", other, self._data > _number_in(other))

    def __ge__(self, other: Any) -> bool:
        return _seen(self, ">=", other, self._data >= _number_in(other))

    # ---- what a Value refuses to be

    def __bool__(self) -> NoReturn:
        raise TypeError("a Value is neither true nor false; compare it, or use its .data")

    def __float__(self) -> NoReturn:
        raise TypeError(
            "float() of a Value would drop its gradient; use its .data for the number, and functions of "
            "autograd_lite (al.exp, al.log, …) in place of those of math"
        )

    __int__ = __complex__ = __index__ = __float__

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if self.op is not None:
            raise TypeError(
                f"a Value made by {self.op.name} is part of a graph and can't be pickled or copied alone; "
                "pickle or copy the leaves and record again, or take its .data"
            )
        return _leaf, (type(self), self._data, self.name, self.grad, self.scope)

    # ---- how it shows itself

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        made_by = "" if self.op is None else f", op={self.op.name}"
        return f"Value({self._data!r}, grad={self.grad!r}{name}{made_by})"

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else repr(self)

    if TYPE_CHECKING:
        # Every row of the table whose first operand is one number is a method: x.tanh(), y.atan2(x), x.clamp(0, 1).
        def __getattr__(self, name: str) -> Callable[..., Value]: ...


def _node(data: float, op: Op, a: Any, da: Any, b: Any = None, db: float | None = None) -> Value:
    """Make the Value that `op` gave; the layout of its slots is told in the class."""
    node = _new(Value)
    node._data = data
    node.grad = 0.0
    node.name = None
    node.op = op
    node._a = a
    node._da = da
    node._b = b
    node._db = db
    if _modes and (mode := _modes.get(get_ident())):
        is_recording, node._scope, watch = mode
        if watch is not None:
            watch.made(node)
        if not is_recording:
            node.op = node._a = node._da = node._b = node._db = None
    return node


def _regrouped(parents: tuple[Value, ...], op: Op) -> tuple[Any, ...]:
    """Cut the parents into the operands of `op`: its sequences are equally long."""
    sequences = sum(d.many for d in op.domain)
    length = (len(parents) - (op.arity - sequences)) // sequences
    rest = iter(parents)
    return tuple(tuple(islice(rest, length)) if d.many else next(rest) for d in op.domain)


def _leaf(kind: type[Value], data: float, name: str | None, grad: float, scope: Scope | None) -> Value:
    leaf = kind(data, name)
    leaf.grad = grad
    leaf.scope = scope
    return leaf


_ADD, _SUB, _MUL, _DIV, _NEG, _POS = ops.add, ops.sub, ops.mul, ops.div, ops.neg, ops.pos
_AFFINE = ops.affine
_sumprod = getattr(math, "sumprod", None)  # Python 3.12; what `ieee.sumprod` does, without its frame


def _number_in(x: Any) -> float:
    return x._data if isinstance(x, Value) else number(x, "what a Value is compared with")


def _seen(x: Value, sign: str, y: Any, outcome: bool) -> bool:
    """Show a comparison to whoever watches, and give its outcome."""
    if _modes and (watch := watching()) is not None:
        watch.compared(x, sign, y, outcome)
    return outcome


# ---- recording: what applying a row to Values means ---------------------------------------------------------


def _other(op: Op, x: Any, y: Any) -> Value:
    """Record a binary operator on operands that are not the usual two."""
    apply = carrier(y if isinstance(x, Value) else x) or _record
    result: Value = apply(op, (x, y))
    return result


def _record(op: Op, operands: tuple[Any, ...]) -> Value:
    """Apply the value rule to the data, the partials rule to the result, and make the node."""
    if op.many:
        return _record_many(op, operands)
    numbers = []
    for x, domain in zip(operands, op.domain, strict=True):
        if not isinstance(x, Value):
            numbers.append(number(x, f"an operand of {op.name}"))
        elif domain.constant:
            raise TypeError(f"{op.name} needs a constant here, a plain number, but got {x!r}")
        else:
            numbers.append(x._data)
    z = op.float_from(op.value(*numbers))
    partials = _checked_partials(op, op.float_partials(z, *numbers), len(numbers))
    constant_or_value = [x if isinstance(x, Value) else n for x, n in zip(operands, numbers, strict=True)]
    if isinstance(operands[0], Value) and len(operands) <= 2:
        a, b = (*constant_or_value, None)[:2]
        db = op.float_from(partials[1]) if isinstance(b, Value) else None
        return _node(z, op, a, op.float_from(partials[0]), b, db)
    kept = [(x, op.float_from(d)) for x, d in zip(operands, partials, strict=True) if isinstance(x, Value)]
    return _node(z, op, tuple(x for x, _ in kept), tuple(d for _, d in kept), tuple(constant_or_value))


def _record_many(op: Op, groups: tuple[Any, ...]) -> Value:
    """Record an operation with sequences among its operands: tuples in `groups`, beside single ones."""
    what = f"an operand of {op.name}"
    operands = [
        tuple(x if isinstance(x, Value) else number(x, what) for x in group) if domain.many
        else group if isinstance(group, Value) else number(group, what)
        for group, domain in zip(groups, op.domain, strict=True)
    ]  # fmt: skip
    numbers = [
        tuple(x._data if isinstance(x, Value) else x for x in group) if type(group) is tuple
        else group._data if isinstance(group, Value) else group
        for group in operands
    ]  # fmt: skip
    z = op.float_from(op.value(*numbers))
    kept: list[tuple[Value, float]] = []
    count_all = 0
    for group, ds in zip(operands, _checked_partials(op, op.float_partials(z, *numbers), len(numbers)), strict=True):
        if type(group) is tuple and not (type(ds) in _SEQUENCES and len(ds) == len(group)):
            raise TypeError(f"the partials rule of {op.name} must give a list of {len(group)} here, not {ds!r}")
        pairs = list(zip(group, ds, strict=True)) if type(group) is tuple else [(group, ds)]
        count_all += len(pairs)
        kept += [(x, op.float_from(d)) for x, d in pairs if isinstance(x, Value)]
    parents, partials = zip(*kept, strict=True)
    return _node(z, op, parents, partials, None if len(parents) == count_all else tuple(operands))


def _checked_partials(op: Op, partials: Any, wanted: int) -> tuple[Any, ...]:
    if type(partials) is not tuple or len(partials) != wanted:
        raise TypeError(f"the partials rule of {op.name} must return a tuple of {wanted}, not {partials!r}")
    return partials


# ---- shortcuts: the same, by hand, for the rows that most nodes are made of; a test holds them to `_record` ----


def _unary_shortcut(op: Op) -> Callable[[Any], Any]:
    value, partials = op.float_value, op.float_partials

    def record(x: Any) -> Any:
        if type(x) is not Value:
            return NotImplemented
        data = x._data
        try:
            z = value(data)
        except (ValueError, OverflowError):
            z = op.value(data)
        (partial,) = partials(z, data)
        return _node(z, op, x, partial)

    record.__name__ = record.__qualname__ = op.name  # what a wrong number of operands is told of
    return record


_floats: Any = None  # the last tuple that was found to be all floats: every neuron of a layer gets the same one


def _record_affine(w: Any, x: Any, b: Any) -> Any:
    """Record w·x + b for Values w and b and all of x either Values or floats: the net input of a neuron."""
    global _floats
    if type(x) not in _SEQUENCES or type(w) not in _SEQUENCES or len(w) != len(x):
        return NotImplemented
    try:
        weights = [v._data for v in w]
        if type(x[0]) is Value:
            inputs = [v._data for v in x]
        elif x is _floats or {*map(type, x)} == {float}:
            inputs = x
            if type(x) is tuple:
                _floats = x
        else:
            return NotImplemented
        z = (sum(map(mul, weights, inputs)) if _sumprod is None else _sumprod(weights, inputs)) + b._data
    except (AttributeError, IndexError):  # not all of them are Values
        return NotImplemented
    if inputs is x:
        return _node(z, _AFFINE, tuple(w), tuple(x), b, 1.0)
    return _node(z, _AFFINE, (*w, *x, b), (*inputs, *weights, 1.0))


_record_affine.__name__ = _record_affine.__qualname__ = "affine"
_SEQUENCES = (list, tuple)
carriers[Value] = _record
_AFFINE.shortcut = _record_affine


def _method(op: Op) -> Callable[..., Value]:
    def method(self: Value, *operands: Any, **named: Any) -> Value:
        return op(self, *operands, **named)  # type: ignore[no-any-return]

    return method


for _op in ops.TABLE.values():
    if _op.arity == 1 and not _op.many:
        _op.shortcut = _unary_shortcut(_op)
        setattr(Value, _op.name, _op.shortcut)
    elif not _op.domain[0].many and not _op.domain[0].constant:
        setattr(Value, _op.name, _method(_op))
for _numpy_name in ("arcsin", "arccos", "arctan", "arctan2", "arcsinh", "arccosh", "arctanh"):
    # NumPy calls these methods on the elements of an object array.
    setattr(Value, _numpy_name, getattr(Value, _numpy_name.replace("arc", "a")))


# ---- modes: what a block of the program says of the nodes made in it ------------------------------------------


class Scope:
    """Name a part of a program, and the part that it lies in; `scope` opens one.

    Two scopes of one name are two parts: the second turn of a loop is not the first.

    Attributes:
        name: What drawings call it.
        parent: The scope around it, or None.

    >>> Scope("neuron 3", Scope("layer 1"))
    layer 1/neuron 3
    """

    __slots__ = ("name", "parent")

    def __init__(self, name: str, parent: Scope | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of a scope must be a text that is not empty, not {reprlib.repr(name)}")
        if parent is not None and not isinstance(parent, Scope):
            raise TypeError(f"a scope lies in another Scope or in None, not in {reprlib.repr(parent)}")
        self.name = name
        self.parent = parent

    @property
    def path(self) -> tuple[Scope, ...]:
        """The scopes from the outermost to this one.

        >>> Scope("neuron 3", Scope("layer 1")).path
        (layer 1, layer 1/neuron 3)
        """
        inner: list[Scope] = []
        here: Scope | None = self
        while here is not None:
            inner.append(here)
            here = here.parent
        return tuple(reversed(inner))

    def __repr__(self) -> str:
        return "/".join(part.name for part in self.path)


class Watch:
    """Look at what a block does, and raise an error to stop it: `detect_anomaly` and the compiler's tracer do.

    >>> class Count(Watch):
    ...     nodes = 0
    ...
    ...     def made(self, node):
    ...         self.nodes += 1
    >>> count = Count()
    >>> with in_mode(watch=count):
    ...     y = Value(2.0) * 3.0 + 1.0
    >>> count.nodes
    2
    """

    def made(self, node: Value) -> None:
        """Look at a node just made, before anyone else can."""

    def sweep(self, y: Value, grad: float) -> None:
        """Look at a sweep back from y before it is done."""

    def compared(self, x: Value, sign: str, y: Any, outcome: bool) -> None:
        """Look at a comparison of x with y, a Value or a number."""

    def read(self, x: Value) -> None:
        """Look at x before its number, or those of its gradient, are read."""

    def stopped(self, x: Value, leaf: Value) -> None:
        """Look at the leaf that `stop_gradient` has made of x."""


class _Mode(NamedTuple):
    recording: bool
    scope: Scope | None
    watch: Watch | None


_USUAL = _Mode(True, None, None)
_modes: dict[int, _Mode] = {}  # by thread, where it is not the usual one: mostly empty, which is quickly asked
_blocks: dict[int, list[dict[str, Any]]] = {}  # by thread: what the blocks that are open in it change, in their order


@contextlib.contextmanager
def in_mode(**changes: Any) -> Iterator[None]:
    """Change the mode of this thread for a block: what its names, those of `_Mode`, are to be.

    >>> with in_mode(recording=False):
    ...     Value(1.0).exp().op
    """
    thread = get_ident()
    blocks = _blocks.setdefault(thread, [])
    blocks.append(changes)
    _renew_mode(thread)
    try:
        yield
    finally:
        # Not always the last one: two generators with a block in each may end in the order in which they began.
        blocks[:] = [block for block in blocks if block is not changes]
        _renew_mode(thread)


def _renew_mode(thread: int) -> None:
    """Let the mode of a thread be what its open blocks make of the usual one."""
    mode = _USUAL
    for changes in _blocks[thread]:
        mode = mode._replace(**changes)
    if mode == _USUAL:
        _modes.pop(thread, None)
    else:
        _modes[thread] = mode
    if not _blocks[thread]:
        del _blocks[thread]


def is_recording() -> bool:
    """Tell whether what this thread computes now is recorded.

    >>> with no_grad():
    ...     is_recording()
    False
    """
    return _modes.get(get_ident(), _USUAL).recording


def watching() -> Watch | None:
    """Return what watches this thread, None as a rule.

    >>> watching()
    """
    return _modes.get(get_ident(), _USUAL).watch


@contextlib.contextmanager
def scope(name: str | Scope) -> Iterator[Scope]:
    """Let the Values made in this block and thread belong to a part of the program, which drawings can fold.

    Args:
        name: Of a new scope within the one that is open; or a Scope, which is used as it is.

    Raises:
        TypeError: The name is not a text, or is empty.

    >>> x = Value(2.0, "x")
    >>> with scope("layer 1"):
    ...     with scope("neuron 1"):
    ...         h = (0.5 * x).tanh()
    >>> h.scope, x.scope
    (layer 1/neuron 1, None)
    """
    opened = name if isinstance(name, Scope) else Scope(name, _modes.get(get_ident(), _USUAL).scope)
    with in_mode(scope=opened):
        yield opened


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Record nothing in this block and thread: results are leaves, which costs less memory.

    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.data, y.op
    (9.0, None)
    """
    return in_mode(recording=False)


def recording() -> contextlib.AbstractContextManager[None]:
    """Record in this block even within `no_grad`, as derivatives must.

    >>> with no_grad(), recording():
    ...     Value(1.0).exp().op
    <operation exp(x)>
    """
    return in_mode(recording=True)


def stop_gradient(x: Any) -> Any:
    """Return x as a new leaf: the same number, through which no gradient flows; a plain number stays one.

    >>> x = Value(3.0)
    >>> (x * stop_gradient(x)).backward()
    >>> x.grad
    3.0
    """
    if not isinstance(x, Value):
        return number(x)
    leaf = Value(x._data, x.name)
    if (watch := watching()) is not None:
        watch.stopped(x, leaf)
    return leaf
