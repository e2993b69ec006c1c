"""What an operation is: a name, a value rule, a partial-derivative rule, and where they hold.

An `Op` says *what* is computed and never *on what*. Calling it on plain numbers evaluates the value rule.
Any other kind of operand is a *carrier*: its type registers one function in `carriers`, which says what
applying an operation to it means. `Value` records a graph; a tracer would write a program. The rules are
written with operations and operators only, so the same rule runs on every carrier, and the derivative of a
derivative is simply the rule run on carriers once more.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable
from math import inf
from numbers import Real
from typing import Any, NamedTuple

__all__ = ["CONSTANT", "REAL", "REALS", "Domain", "Op", "carrier", "carriers", "number", "sequence"]


class Domain(NamedTuple):
    """Say what one operand may be: an interval, a constant of the node, or a sequence of numbers.

    Outside `low <= x <= high` the value is nan. A `constant` operand is a plain number that is never
    differentiated (an exponent, an order). A `many` operand is a non-empty sequence.

    >>> Domain(0.0, inf)
    Domain(low=0.0, high=inf, constant=False, many=False)
    """

    low: float = -inf
    high: float = inf
    constant: bool = False
    many: bool = False


REAL = Domain()
CONSTANT = Domain(constant=True)
REALS = Domain(many=True)

carriers: dict[type, Callable[[Op, tuple[Any, ...]], Any]] = {}
"""For each type of operand that is not a plain number: what applying an operation to it means."""


def number(x: object, what: str = "an operand") -> float:
    """Return x as a float, or raise an error that says what was given and what is wanted.

    Ints, bools, fractions and NumPy's real scalars are numbers; text, None, complex numbers, lists and
    arrays are not.

    Raises:
        TypeError: x is not a real number.
        ValueError: x is an integer beyond the range of a float64.

    >>> number(2)
    2.0
    >>> number("2")
    Traceback (most recent call last):
        ...
    TypeError: an operand must be a real number, but '2' is of type str
    """
    if type(x) is float:
        return x
    if isinstance(x, Real) or (type(x).__module__, type(x).__name__) in _NUMPY_BOOLS:
        try:
            return float(x)  # type: ignore[arg-type]
        except OverflowError:
            size = f"an integer of {x.bit_length()} bits" if isinstance(x, int) else reprlib.repr(x)
            raise ValueError(f"{what} must fit a float64, but {size} is too large") from None
    advice = {
        "Value": "; use its .data",
        "complex": "; autograd_lite differentiates real functions: pass .real and .imag",
        "ndarray": "; take one element, or put the Values into the array (dtype=object) and apply NumPy to it",
    }.get(type(x).__name__, "")
    raise TypeError(f"{what} must be a real number, but {reprlib.repr(x)} is of type {type(x).__name__}{advice}")


_NUMPY_BOOLS = {("numpy", "bool"), ("numpy", "bool_")}  # real to everyone but numbers.Real


class Op:
    """Declare an operation: one row of the table, or one of your own.

    Args:
        name: what it is called in Python, `tanh`.
        symbol: what a drawing shows, `×`.
        value: the float result from the float operands. It must not raise where IEEE 754 has an answer.
        partials: from the result z and the operands, the tuple of ∂z/∂operand, one entry an operand (a list
            for a `many` operand; anything, say 0.0, for a `constant` one). Written with operations and
            operators, it works on floats and on Values alike, and so gives derivatives of every order.
        domain: what each operand may be; by default every parameter of `value` is any real number.
        kinks: from the float operands, numbers that are 0 exactly where the operation has a kink or a jump,
            and measure how far away that is elsewhere; None for a smooth operation.

    The result z is an argument of the rule so that nothing is computed twice, as in ChainRules' `@scalar_rule`.

    >>> import autograd_lite as al
    >>> cube = al.Op("cube", "x³", value=lambda x: x * x * x, partials=lambda z, x: (3 * al.square(x),))
    >>> cube(2.0)
    8.0
    >>> x = al.Value(2.0)
    >>> al.gradients(cube(x), [x])
    [12.0]
    """

    __slots__ = (
        "_defaults", "_names", "arity", "domain", "float_partials", "float_value", "kinks", "many", "name", "partials",
        "shortcut", "symbol", "value",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        symbol: str,
        value: Callable[..., float],
        partials: Callable[..., tuple[Any, ...]],
        domain: tuple[Domain, ...] | None = None,
        kinks: Callable[..., tuple[float, ...]] | None = None,
    ) -> None:
        for what, given in (("name", name), ("symbol", symbol)):
            if not isinstance(given, str) or not given:
                raise TypeError(f"{what} of an operation must be a non-empty text, not {given!r}")
        for what, rule in (("value", value), ("partials", partials), ("kinks", kinks)):
            if not callable(rule) and (what, rule) != ("kinks", None):
                raise TypeError(f"the {what} rule of {name} must be a function, not {reprlib.repr(rule)}")
        if domain is not None and not (
            isinstance(domain, (tuple, list)) and all(isinstance(d, Domain) for d in domain)
        ):
            raise TypeError(
                f"the domain of {name} must be a tuple of Domains such as (REAL,), not {reprlib.repr(domain)}"
            )
        self.name = name
        self.symbol = symbol
        self.value = value
        self.partials = partials
        self._names, self._defaults = _parameters(value, name, domain)
        self.domain = (REAL,) * len(self._names) if domain is None else tuple(domain)
        self.kinks = kinks
        self.many = any(d.many for d in self.domain)
        self.arity = len(self.domain)
        # What follows is for speed, and set by those who know better than the declaration: the rules as they are on
        # floats, and a hand-written way to apply the operation, which answers NotImplemented where it can't.
        self.float_value = value
        self.float_partials = partials
        self.shortcut: Callable[..., Any] = _no_shortcut

    def __call__(self, *operands: Any, **named: Any) -> Any:
        """Apply the operation to numbers (the result is a float) or to carriers (the result is theirs)."""
        if not named and (result := self.shortcut(*operands)) is not NotImplemented:
            return result
        if named or len(operands) != self.arity:
            operands = self._bind(operands, named)
        if self.many:
            operands = tuple(
                sequence(xs, self.name) if d.many else xs for xs, d in zip(operands, self.domain, strict=True)
            )
            _check_lengths(self, operands)
            for group in operands:
                for x in group if type(group) is tuple else (group,):
                    if (apply := carriers.get(type(x)) or carrier(x)) is not None:
                        return apply(self, operands)
            pairs = zip(operands, self.domain, strict=True)
            return self.float_from(self.value(*(tuple(map(number, xs)) if d.many else number(xs) for xs, d in pairs)))
        for x in operands:
            if type(x) is not float and (apply := carriers.get(type(x)) or carrier(x)) is not None:
                return apply(self, operands)
        return self.float_from(self.value(*map(number, operands)))

    def float_from(self, result: Any) -> float:
        """Return what a rule gave as a float, or say which rule gave something else."""
        return result if type(result) is float else number(result, f"what a rule of {self.name} returns")

    def __repr__(self) -> str:
        return f"<operation {self.name}({', '.join(self._names)})>"

    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Op:
        return self  # a declaration, as a function is

    def _bind(self, operands: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        given = dict(zip(self._names, operands, strict=False))
        unknown = [name for name in named if name not in self._names]
        twice = [name for name in named if name in given]
        given = {**self._defaults, **given, **named}
        missing = [name for name in self._names if name not in given]
        if unknown or twice or missing or len(operands) > len(self._names):
            raise TypeError(
                f"{self.name} takes ({', '.join(self._names)}), got {len(operands)} operands"
                + (f" and {', '.join(named)} by name" if named else "")
                + (f"; missing: {', '.join(missing)}" if missing else "")
                + (f"; given twice: {', '.join(twice)}" if twice else "")
            )
        return tuple(given[name] for name in self._names)


def _no_shortcut(*operands: Any) -> Any:
    return NotImplemented


def _parameters(
    value: Callable[..., float], name: str, domain: tuple[Domain, ...] | None
) -> tuple[tuple[str, ...], dict[str, float]]:
    """Read the operands' names and defaults off the value rule; C functions without a signature get x1, x2."""
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except ValueError:
        if domain is None:
            raise ValueError(f"say the domain of {name}: its value rule does not tell its operands") from None
        return tuple(f"x{k}" for k in range(1, len(domain) + 1)), {}
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY) for p in parameters):
        raise ValueError(f"the value rule of {name} must take a fixed number of positional operands")
    if not parameters or (domain is not None and len(domain) != len(parameters)):
        wanted = "at least one" if domain is None else f"the {len(domain)} of its domain"
        raise ValueError(f"the value rule of {name} takes {len(parameters)} operands, but must take {wanted}")
    return (
        tuple(p.name for p in parameters),
        {p.name: p.default for p in parameters if p.default is not p.empty},
    )


def carrier(x: object) -> Callable[[Op, tuple[Any, ...]], Any] | None:
    """Return what applying an operation to x means, or None if x is a plain number (or nothing we know).

    >>> carrier(1.0) is None
    True
    """
    if type(x) is float:
        return None
    return next((carriers[t] for t in type(x).__mro__ if t in carriers), None)


def sequence(xs: Any, name: str) -> tuple[Any, ...]:
    """Return the operands of a `many` operation as a tuple, or raise a TypeError that names the operation.

    >>> sequence([1.0, 2.0], "sum")
    (1.0, 2.0)
    """
    if type(xs) is tuple:
        return xs
    if isinstance(xs, (str, bytes, dict, set, frozenset)) or not isinstance(xs, Iterable):
        raise TypeError(f"{name} takes a sequence of numbers, but {reprlib.repr(xs)} is of type {type(xs).__name__}")
    return tuple(xs)


def _check_lengths(op: Op, operands: tuple[Any, ...]) -> None:
    lengths = [len(xs) for xs, d in zip(operands, op.domain, strict=True) if d.many]
    if len(set(lengths)) > 1:
        raise ValueError(f"{op.name} pairs its operands, but their lengths are {' and '.join(map(str, lengths))}")
    if 0 in lengths:
        raise ValueError(f"{op.name} of nothing is not defined: the sequence is empty")
