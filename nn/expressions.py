"""Read an expression such as `tanh(w*x + b)` from text, safely, and compute it on Values.

Python's own parser makes a syntax tree of the text, and nothing of that is ever run. Reading takes from it what
`parse` lists, refuses the rest, and gives a tree of plain data; one function says what such a tree means.
"""

import ast
import math
import operator
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from reprlib import repr as short
from typing import Any, TypeAlias

import autograd_lite as al

__all__ = ["Expression", "parse"]

_MAX_LENGTH = 2000  # more than anyone draws, less than overflows the stack of Python's parser in a small thread
_GRAMMAR = "numbers, names, + - * / ** (power), brackets and operations: tanh(x), sum([x, y]), where(x > 0, x, y), ..."
_TOO_DEEP = "the expression is nested too deeply; a long sum is better written sum([x, y, ...])"
_CONSTANTS = {"pi": math.pi, "e": math.e}
_RELATIONS = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class _Apply:
    """A function applied to operands, the last of them by name; `column` is where that stands in the text."""

    function: Callable[..., Any]
    operands: tuple["_Term", ...]
    column: int
    names: tuple[str, ...] = ()


_Term: TypeAlias = float | str | tuple["_Term", ...] | _Apply  # a number, a variable, a list, an operation


@dataclass(frozen=True)
class Expression:
    """Hold an expression that `parse` has read.

    Attributes:
        text: What was read.
        variables: The names in it, constants and operations aside, in order of appearance.

    >>> parse("tanh(w*x + b)").variables
    ('w', 'x', 'b')
    """

    text: str
    variables: tuple[str, ...]
    _term: _Term = field(repr=False)

    def evaluate(self, values: Mapping[str, float]) -> tuple[al.Value, dict[str, al.Value]]:
        """Compute the expression; return its Value, and the Value of each variable by its name.

        Raises:
            TypeError: If a value is not a number.
            ValueError: If a variable has no value, or a value is for no variable.

        >>> y, variables = parse("x*x + 1").evaluate({"x": 3})
        >>> y.backward()
        >>> y.data, variables["x"].grad
        (10.0, 6.0)
        """
        given = {
            unicodedata.normalize("NFKC", name): value for name, value in values.items()
        }  # as Python's parser does
        missing = [name for name in self.variables if name not in given]
        if missing:
            raise ValueError(f"no value is given for {', '.join(missing)}")
        unknown = [name for name in given if name not in self.variables]
        if unknown:
            raise ValueError(
                f"the expression has no variable {short(unknown[0])}; "
                f"its variables are {', '.join(self.variables) or 'none'} (pi and e are constants)"
            )
        variables = {name: al.Value(given[name], name) for name in self.variables}
        try:
            result = _evaluated(self._term, variables)
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        return (result if isinstance(result, al.Value) else al.Value(result)), variables


def parse(text: str) -> Expression:
    """Read an expression: numbers, variables, `+ - * / **` and every operation of `autograd_lite.TABLE` by name.

    An operation on a sequence takes a list, `logsumexp([x, y])`. An operand may be given by its name,
    `leaky_relu(x, slope=0.1)`. The condition of `where` may be a comparison. `pi` and `e` are constants. Every
    number is a float, so `9**9**9` is inf.

    Raises:
        TypeError: If `text` is not a str.
        ValueError: If it is no such expression; one line says in which column, and what was found.

    >>> y, _ = parse("where(x > 0, x, 0.5*x)").evaluate({"x": -2})
    >>> y.data
    -1.0
    >>> parse("tahn(x)")
    Traceback (most recent call last):
        ...
    ValueError: column 1: there is no operation 'tahn'; did you mean tan or tanh or atan?
    """
    if not isinstance(text, str):
        raise TypeError(f"an expression is a str, not {short(text)}")
    reader = _Reader(text)
    try:
        term = reader.term(_syntax_tree(text))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    expression = Expression(text, reader.variables(), term)
    # What an operation refuses, such as lists of two lengths, it refuses whatever the numbers: let it do so now.
    expression.evaluate(dict.fromkeys(expression.variables, 1.0))
    return expression


def _evaluated(term: _Term, variables: Mapping[str, al.Value]) -> Any:
    match term:
        case float():
            return term
        case str():
            return variables[term]
        case tuple():
            return tuple(_evaluated(part, variables) for part in term)
        case _Apply(function, operands, column, names):
            values = [_evaluated(operand, variables) for operand in operands]
            count = len(values) - len(names)
            try:
                return function(*values[:count], **dict(zip(names, values[count:], strict=True)))
            except (TypeError, ValueError, ArithmeticError) as error:
                raise ValueError(f"column {column}: {error}") from None


def _syntax_tree(text: str) -> ast.expr:
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"the expression has {len(text)} characters; at most {_MAX_LENGTH} are read")
    if not text.strip():
        raise ValueError(f"the expression is empty; write {_GRAMMAR}")
    for column, character in enumerate(text, 1):
        if not character.isprintable() or character == "#":
            raise ValueError(f"column {column}: found {character!r}, but an expression is one line without comments")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's opinion of `1if`, which is refused anyway
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        column = _indent(text) + error.offset if error.offset else len(text) + 1  # 0 is the end
        raise ValueError(f"column {column}: {error.msg}") from None
    except MemoryError:  # how Python's parser says that its stack is full
        raise ValueError(_TOO_DEEP) from None


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


class _Reader:
    """Makes a term of the syntax tree of a text, and keeps the variables it meets."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._names: list[ast.Name] = []

    def variables(self) -> tuple[str, ...]:
        in_order = sorted(self._names, key=lambda name: name.col_offset)  # operands given by name may change it
        return tuple(dict.fromkeys(name.id for name in in_order))

    def term(self, node: ast.expr) -> _Term:
        """Read what stands for one number."""
        match node:
            case ast.Constant(value=bool()):
                raise self._unexpected(node)
            case ast.Constant(value=int() | float() as number):
                return self._number(node, number)
            case ast.Name():
                return self._constant_or_variable(node)
            case ast.UnaryOp(op=sign, operand=x) if type(sign) in _OPERATORS:
                return _Apply(_OPERATORS[type(sign)], (self.term(x),), self._column(node))
            case ast.BinOp(left=x, op=sign, right=y) if type(sign) in _OPERATORS:
                return _Apply(_OPERATORS[type(sign)], (self.term(x), self.term(y)), self._column(node))
            case ast.Call(func=ast.Name(id=name)):
                return self._operation(node, name)
            case ast.List() | ast.Tuple():
                raise self._error(node, f"found {self._source(node)}, but one number is wanted here, not a list")
            case _:
                raise self._unexpected(node)

    def _number(self, node: ast.Constant, number: float) -> float:
        try:
            return float(number)
        except OverflowError:
            raise self._error(node, f"{self._source(node)} is too large for a float64; write it as 1e300") from None

    def _constant_or_variable(self, node: ast.Name) -> float | str:
        if node.id in _CONSTANTS:
            return _CONSTANTS[node.id]
        if node.id.startswith("_"):
            raise self._error(node, f"a name begins with a letter, not as {short(node.id)}")
        self._names.append(node)
        return node.id

    def _operation(self, node: ast.Call, name: str) -> _Apply:
        if name not in al.TABLE:
            raise self._error(node, _no_such_operation(name))
        op = al.TABLE[name]
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
        if len(named) < len(node.keywords):  # **x, which has no name, or one name twice
            raise self._error(node, f"{name} takes each operand once, as it is or by its name")
        places: list[tuple[int | str, ast.expr]] = [*enumerate(node.args), *named.items()]
        operands = tuple(self._operand(op, place, operand) for place, operand in places)
        return _Apply(op, operands, self._column(node), tuple(named))

    def _operand(self, op: al.Op, place: int | str, node: ast.expr) -> _Term:
        """Read what is given to an operation; `place` is its number or its name."""
        if isinstance(place, int) and place < op.arity and op.domain[place].many:
            return self._list(op, node)
        if op is al.where and place in (0, "condition") and isinstance(node, ast.Compare):
            return self._comparison(node)
        return self.term(node)

    def _list(self, op: al.Op, node: ast.expr) -> tuple[_Term, ...]:
        if not isinstance(node, ast.List | ast.Tuple):
            raise self._error(node, f"{op.name} takes a list here, as in [x, y], but found {self._source(node)}")
        return tuple(self.term(element) for element in node.elts)

    def _comparison(self, node: ast.Compare) -> _Apply:
        try:
            relations = [_RELATIONS[type(relation)] for relation in node.ops]
        except KeyError:
            raise self._error(node, f"found {self._source(node)}, but the comparisons are < <= > >= == !=") from None
        operands = tuple(self.term(x) for x in (node.left, *node.comparators))
        return _Apply(partial(_compared, relations), operands, self._column(node))

    def _unexpected(self, node: ast.expr) -> ValueError:
        return self._error(node, f"found {self._source(node)}, but an expression is made of {_GRAMMAR}")

    def _error(self, node: ast.expr, message: str) -> ValueError:
        return ValueError(f"column {self._column(node)}: {message}")

    def _column(self, node: ast.expr) -> int:
        before = self._text.strip().encode()[: node.col_offset].decode()  # Python counts bytes
        return _indent(self._text) + len(before) + 1

    def _source(self, node: ast.expr) -> str:
        return short(ast.get_source_segment(self._text.strip(), node))


def _power(x: Any, y: Any) -> Any:
    return al.pow(x, y) if isinstance(y, al.Value) else al.power(x, y)  # as the operator of Value does


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.UAdd: al.pos, ast.USub: al.neg, ast.Add: al.add, ast.Sub: al.sub, ast.Mult: al.mul, ast.Div: al.div,
    ast.Pow: _power,
}  # fmt: skip


def _compared(relations: Sequence[Callable[[float, float], Any]], *operands: Any) -> float:
    numbers = [x.data if isinstance(x, al.Value) else x for x in operands]
    return float(all(holds(x, y) for holds, x, y in zip(relations, numbers, numbers[1:], strict=False)))


def _no_such_operation(name: str) -> str:
    if name == "softmax":
        return "softmax gives a list, not one number; share(x, [y, z]) is the part of x in softmax([x, y, z])"
    close = get_close_matches(name, al.TABLE)
    advice = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(al.TABLE)}"
    return f"there is no operation {short(name)}; {advice}"
