r"""Write a computation and its derivatives as LaTeX, in the manner of the lecture.

The table's own rules write the derivatives: they run on text, as they run on numbers, so an operation needs no
LaTeX of its own beyond a spelling, and one without a spelling is written by its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from reprlib import repr as short
from typing import Any

import autograd_lite as al
from autograd_lite import Op, Value
from autograd_lite.op import carriers

from .naming import names_in
from .wording import printable

__all__ = ["Formulas", "Typeset", "latex", "symbol"]

_INLINE, _LONG = 12, 80  # characters: what is shared and longer than the first gets a name, as does the very long
_MOST_LINES = 200


class Typeset:
    r"""Show `.latex` in a notebook, and the text of `str` everywhere else.

    >>> class Half(Typeset):
    ...     latex = r"\frac{1}{2}"
    ...
    ...     def __str__(self):
    ...         return "1/2"
    >>> Half()
    1/2
    >>> Half()._repr_latex_()
    '$\\displaystyle \\frac{1}{2}$'
    """

    latex: str

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex}$"

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        bundle = {"text/latex": self._repr_latex_(), "text/plain": str(self)}
        return {
            mime: text for mime, text in bundle.items() if mime in (include or bundle) and mime not in (exclude or ())
        }


@dataclass(frozen=True, repr=False)
class Formulas(Typeset):
    r"""Equations in LaTeX, one a line; `latex` makes them.

    Attributes:
        lines: Each equation by itself, without an environment.

    >>> Formulas(("a = b", "b = c")).latex
    '\\begin{aligned}a &= b \\\\ b &= c\\end{aligned}'
    """

    lines: tuple[str, ...]

    @property
    def latex(self) -> str:  # type: ignore[override]
        """All of them, aligned at their equals signs."""
        return aligned(self.lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def aligned(lines: Iterable[str]) -> str:
    r"""Return equations below each other.

    >>> aligned(["a = b"])
    '\\begin{aligned}a &= b\\end{aligned}'
    """
    return r"\begin{aligned}" + r" \\ ".join(line.replace("=", "&=", 1) for line in lines) + r"\end{aligned}"


def latex(y: Value, wrt: Sequence[Value] | None = None, *, notation: str | None = None) -> Formulas:
    r"""Write the expression that y was computed by, and its derivatives ∂E/∂w by the chain rule.

    Values are written by their names, `w[1,2]` as in the lecture w₁₂; y without a name is E, a leaf without one
    x₁, x₂, …. What has a name gets a line of its own, and so does, under the name a₁, a₂, …, what is long, or used
    several times and not short. These are mathematical formulas: equal terms are gathered, and 0·x is 0.

    Args:
        y: What to write.
        wrt: The Values to write the derivative by, which must be in the graph; by default all leaves.
        notation: "lecture" calls nodes without a name as the lecture does: u[j], h[j], z[k], o[k], E.

    Raises:
        TypeError: y is not a Value, or `wrt` is not a list of Values.
        ValueError: One of `wrt` is not in the graph, there would be more than 200 lines, or there is no such notation.

    Source: the lecture, "Computing Gradients: Single Layer Network".

    >>> w, x, b = Value(0.5, "w[1,2]"), Value(2.0, "x[2]"), Value(0.1, "b")
    >>> print(latex(al.tanh(w * x + b), wrt=[w]))
    E = \tanh\left(w_{12}\,x_{2} + b\right)
    \frac{\partial E}{\partial w_{12}} = \frac{1}{\cosh^{2}\left(w_{12}\,x_{2} + b\right)}\,x_{2}
    """
    check_value(y, "latex")
    order = al.topological_order(y)
    wanted = _wanted(wrt, order)
    _check_length(wanted)
    text, named, lines = _expression(y, order, wanted, names_in(order, notation))
    root = _spelt(text[y])
    needed = set(wanted)
    for node in order:
        if _meets(needed, node.parents):
            needed.add(node)
    adjoint: dict[Value, list[_Tex]] = {y: [_constant(1.0)]}
    derivatives: dict[Value, str] = {}
    for node in reversed(order):
        if node not in needed:
            continue
        total = _gather(adjoint.pop(node))
        if node in wanted or (node in named and node is not y):
            of = rf"\frac{{\partial {root}}}{{\partial {_spelt(text[node])}}}"
            derivatives[node] = f"{of} = {_spelt(total)}"
            if node is not y:
                total = _Tex(of, _POWER)
        if node.op is not None and _meets(needed, node.parents):
            for parent, partial in zip(node.parents, _partials(node, text), strict=True):
                if parent in needed:
                    adjoint.setdefault(parent, []).append(_times(total, partial))
        _check_length(lines, derivatives)
    leaves = [node for node in order if node.op is None and node in derivatives]
    between = [node for node in derivatives if node.op is not None]
    return Formulas((*lines, *(derivatives[node] for node in (*between, *leaves))))


def check_value(y: object, function: str, what: str = "a Value") -> None:
    """Raise a TypeError that names the function if y is not a Value.

    >>> check_value(1.0, "latex")
    Traceback (most recent call last):
        ...
    TypeError: latex takes a Value, but 1.0 is of type float; compute it from Values
    """
    if not isinstance(y, Value):
        raise TypeError(
            f"{function} takes {what}, but {short(y)} is of type {type(y).__name__}; compute it from Values"
        )


def _wanted(wrt: Sequence[Value] | None, order: Sequence[Value]) -> set[Value]:
    if wrt is None:
        return {node for node in order if node.op is None}
    if not isinstance(wrt, (list, tuple)) or not all(isinstance(w, Value) for w in wrt):
        raise TypeError(f"wrt must be a list of Values, such as [w], not {short(wrt)}")
    if outside := set(wrt).difference(order):
        names = ", ".join(sorted(short(w.name) for w in outside))
        raise ValueError(f"there is no derivative by what y does not depend on: {names}; take it out of wrt")
    return set(wrt)


def _check_length(lines: Collection[Any], derivatives: Collection[Value] = ()) -> None:
    if len(lines) + len(derivatives) > _MOST_LINES:
        raise ValueError(
            f"this would be more than {_MOST_LINES} lines, which nobody can read; write a part of it: give the "
            "Values to differentiate by as wrt=[...], or take a Value inside the graph"
        )


def _meets(needed: set[Value], parents: tuple[Value, ...]) -> bool:
    return not needed.isdisjoint(parents)


def _expression(
    y: Value, order: Sequence[Value], wanted: set[Value], names: Mapping[Value, str]
) -> tuple[dict[Value, _Tex], set[Value], list[str]]:
    """Return how each node is written where it is used, which have a name, and the lines that define these."""
    uses: dict[Value, int] = {}
    for node in order:
        for parent in node.parents:
            uses[parent] = uses.get(parent, 0) + 1
    symbols = {node: symbol(name) for node, name in names.items()}
    taken = dict.fromkeys(symbols.values(), 0)
    fresh = {letter: _numbered(letter, taken.copy()) for letter in "ax"}
    root = symbols[y] if y in symbols else next(s for s in (*"ELFy", r"\mathrm{result}") if s not in taken)
    text: dict[Value, _Tex] = {}
    named: set[Value] = set()
    lines: list[str] = []

    def call(node: Value, letter: str) -> _Tex:
        named.add(node)
        name = root if node is y else symbols[node] if node in symbols else next(fresh[letter])
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            name = f"{{{name}}}^{{({taken[name]})}}"
        return _Tex(name, _POWER if "^" in name else _ATOM)  # LaTeX has no x^{1}^{2}

    for node in order:
        if node.op is None:
            text[node] = call(node, "x")
            continue
        written = _write(node.op, tuple(_operand(x, text) for x in node.operands))
        shown = _spelt(written)
        reused = uses.get(node, 0) > 1 or node.op is al.affine  # a net input: its derivative goes to all weights
        if node is y or node in symbols or node in wanted or len(shown) > (_INLINE if reused else _LONG):
            text[node] = call(node, "a")
            lines.append(f"{_spelt(text[node])} = {shown}")
            _check_length(lines)
        else:
            text[node] = written
    return text, named, lines


def _numbered(letter: str, taken: Collection[str]) -> Iterator[str]:
    return (name for k in count(1) if (name := f"{letter}_{{{k}}}") not in taken)


def _operand(x: Any, text: dict[Value, _Tex]) -> Any:
    if isinstance(x, tuple):
        return tuple(_operand(each, text) for each in x)
    return text[x] if isinstance(x, Value) else x


def _partials(node: Value, text: dict[Value, _Tex]) -> list[Any]:
    """Run the rule of the operation on text and return ∂node/∂parent for each parent."""
    op: Any = node.op
    operands = tuple(_operand(x, text) for x in node.operands)
    try:
        partials = op.partials(text[node], *operands)
    except Exception:  # a user's rule may do anything with numbers that can't be done with text
        call = _spelt(_write(op, operands))
        numbers = range(1, len(node.parents) + 1)
        return [_Tex(rf"\partial_{{{k}}} {call}", _PRODUCT) for k in numbers]
    flat = zip(_flat(node.operands), _flat(partials), strict=True)
    return [partial for operand, partial in flat if isinstance(operand, Value)]


def _flat(groups: Iterable[Any]) -> list[Any]:
    return [x for group in groups for x in (group if isinstance(group, (tuple, list)) else (group,))]


# ---- names ----------------------------------------------------------------------------------------------------

# fmt: off
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi",
    "Pi", "Sigma", "Phi", "Psi", "Omega",
}
# fmt: on
_NAME = re.compile(r"([A-Za-z]+)(\d*)(?:\[(\d+(?:,\d+)*)\])?(?:\((\d+)\))?")
_ESCAPES = {
    **{c: rf"\{c}" for c in "_%$#&{}"},
    "\\": r"\backslash ", "^": r"\wedge ", "~": r"\sim ", "<": r"\langle ", ">": r"\rangle ", "'": r"\prime ",
    '"': r"\prime\prime ", "`": r"\prime ", "=": r"\equiv ", " ": r"\ ",
}  # fmt: skip


def symbol(name: str) -> str:
    r"""Return a name as LaTeX: indices lowered, layer and example of `h1[j](n)` raised, and anything else escaped.

    No character of a name is taken for LaTeX or HTML; of a name of more than 24 characters the end is left out.

    >>> symbol("w[1,2]"), symbol("w[10,2]"), symbol("x1"), symbol("alpha"), symbol("loss")
    ('w_{12}', 'w_{10,2}', 'x_{1}', '\\alpha', '\\mathrm{loss}')
    >>> symbol("w2[3,1]"), symbol("h[2](5)"), symbol("h1[2](5)")
    ('w^{2}_{31}', 'h^{(5)}_{2}', 'h^{1,(5)}_{2}')
    >>> symbol("$a_b")
    '\\mathrm{\\$a\\_b}'
    """
    if not (match := _NAME.fullmatch(name)) or len(name) > 24:
        return rf"\mathrm{{{escaped(name)}}}"
    word, digits, indices, example = match.groups()
    base = word if len(word) == 1 else rf"\{word}" if word in _GREEK else rf"\mathrm{{{word}}}"
    lowered, raised = (digits, "") if indices is None else (indices, digits)
    if all(len(index) == 1 for index in lowered.split(",")):
        lowered = lowered.replace(",", "")
    raised = ",".join(part for part in (raised, example and f"({example})") if part)
    return base + (f"^{{{raised}}}" if raised else "") + (f"_{{{lowered}}}" if lowered else "")


def escaped(text: str, longest: int = 24) -> str:
    r"""Return any text for use within \mathrm{...}; what has no glyph is written as in Python's repr.

    >>> escaped("50% <b>")
    '50\\%\\ \\langle b\\rangle '
    """
    return "".join(_ESCAPES.get(c, c) for c in printable(text, longest))


def decimal(x: float, digits: int = 6) -> str:
    r"""Return a number as LaTeX.

    >>> decimal(-2.5), decimal(1e-7), decimal(float("inf"))
    ('-2.5', '10^{-7}', '\\infty')
    """
    if not math.isfinite(x):
        return r"\mathrm{nan}" if x != x else r"\infty" if x > 0 else r"-\infty"
    mantissa, _, exponent = f"{x:.{digits}g}".partition("e")
    if not exponent:
        return mantissa
    power = f"10^{{{int(exponent)}}}"
    return {"1": power, "-1": f"-{power}"}.get(mantissa, rf"{mantissa} \cdot {power}")


# ---- text as a carrier ----------------------------------------------------------------------------------------

_SUM, _PRODUCT, _POWER, _ATOM = range(4)  # how tightly a text holds together


@dataclass(frozen=True)
class _Tex:
    """A formula: `factor` times `body`, which is empty for a number."""

    body: str
    level: int
    factor: float = 1.0

    def __add__(self, other: Any) -> Any:
        return al.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return al.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return al.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return al.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return al.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return al.mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return al.div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return al.div(other, self)

    def __pow__(self, other: Any) -> Any:
        return al.pow(self, other)

    def __rpow__(self, other: Any) -> Any:
        return al.pow(other, self)

    def __neg__(self) -> Any:
        return al.neg(self)

    def __bool__(self) -> bool:
        raise TypeError("a formula is neither true nor false")


def _write(op: Op, operands: tuple[Any, ...]) -> _Tex:
    """Apply an operation to texts: what it is on this carrier."""
    texts = [tuple(map(_tex, x)) if isinstance(x, (tuple, list)) else _tex(x) for x in operands]
    if (arithmetic := _ARITHMETIC.get(op)) is not None:
        return arithmetic(*texts)
    if (spelling := _SPELLINGS.get(op.name)) is not None and al.TABLE.get(op.name) is op:
        return _Tex(_filled(spelling, texts), _POWER)
    function = rf"\operatorname{{{escaped(op.name)}}}"
    shown = ", ".join(_spelt(x) for x in _flat(texts))
    return _Tex(rf"{_FUNCTIONS.get(op.name, function)}\left({shown}\right)", _POWER)


def _filled(spelling: str, texts: list[Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        x = texts[int(match[2]) - 1]
        return ", ".join(_spelt(each, _ATOM if match[1] == "@" else _SUM) for each in _flat((x,)))

    return re.sub(r"([#@])(\d)", fill, spelling)


def _write_in_a_rule(op: Op, operands: tuple[Any, ...]) -> _Tex:
    if op is al.TABLE["clamp"] and operands[1:] == (-1e4, 1e4):
        return _tex(operands[0])  # a guard of floats (`tame` in the table), beside a factor that is 0 out there
    return _write(op, operands)


carriers[_Tex] = _write_in_a_rule


def _tex(x: Any) -> _Tex:
    return x if isinstance(x, _Tex) else _constant(x)


def _constant(x: float) -> _Tex:
    return _Tex("", _ATOM, float(x))


def _spelt(x: _Tex, level: int = _SUM) -> str:
    """Return the text, in parentheses if it holds together less tightly than is needed."""
    if not x.body:
        half = abs(x.factor) == 0.5
        text, own = (f"{'-' * (x.factor < 0)}\\frac{{1}}{{2}}", _POWER) if half else (decimal(x.factor), _ATOM)
    elif x.factor == 1.0:
        text, own = x.body, x.level
    elif x.factor == -1.0:
        text, own = f"-{_held(x.body, x.level, _PRODUCT)}", _SUM
    else:
        text, own = _beside(_spelt(_constant(x.factor)), _held(x.body, x.level, _PRODUCT)), _PRODUCT
    if text.startswith("-"):
        own = _SUM
    elif not x.body and "10^" in text:
        own = _PRODUCT
    return _held(text, own, level)


def _held(text: str, own: int, level: int) -> str:
    return rf"\left({text}\right)" if own < level else text


def _beside(left: str, right: str) -> str:
    return rf"{left} \cdot {right}" if right[0].isdigit() else rf"{left}\,{right}"


def _times(x: Any, y: Any) -> _Tex:
    x, y = _tex(x), _tex(y)
    factor = x.factor * y.factor
    if factor == 0.0 or not (x.body and y.body):
        return _Tex(x.body or y.body, x.level if x.body else y.level, factor) if factor else _constant(0.0)
    if x.body == y.body:
        return _Tex(f"{_held(x.body, x.level, _ATOM)}^{{2}}", _POWER, factor)
    return _Tex(_beside(_held(x.body, x.level, _PRODUCT), _held(y.body, y.level, _PRODUCT)), _PRODUCT, factor)


def _gather(terms: Iterable[Any]) -> _Tex:
    """Return the sum, equal terms as one and zeros left out."""
    factors: dict[tuple[str, int], float] = {}
    for term in map(_tex, terms):
        key = (term.body, term.level)
        factors[key] = factors.get(key, 0.0) + term.factor
    gathered = [_Tex(*key, factor) for key, factor in factors.items() if factor]
    if len(gathered) < 2:
        return gathered[0] if gathered else _constant(0.0)
    first, *rest = map(_spelt, gathered)
    return _Tex(first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in rest), _SUM)


def _over(x: _Tex, y: _Tex) -> _Tex:
    if not y.body and y.factor:
        return _times(x, 1.0 / y.factor) if x.body else _constant(x.factor / y.factor)
    over = _Tex(rf"\frac{{{_spelt(_Tex(x.body, x.level, abs(x.factor)))}}}{{{_spelt(y)}}}", _POWER)
    return over if x.factor >= 0 else _times(-1.0, over)


def _raised(x: _Tex, y: _Tex) -> _Tex:
    if not y.body and y.factor in (0.0, 1.0):
        return x if y.factor else _constant(1.0)
    return _Tex(f"{_spelt(x, _ATOM)}^{{{_spelt(y)}}}", _POWER)


def _power_partial(x: _Tex, y: _Tex, k: _Tex, j: _Tex) -> _Tex:
    """Write a first partial of xʸ: by x if k is 1, by y if j is."""
    if k.factor:
        return _times(y, _raised(x, _gather((y, _constant(-1.0)))))
    return _times(_raised(x, y), _write(al.TABLE["log"], (x,)))


def _product(xs: Iterable[_Tex]) -> _Tex:
    product = _constant(1.0)
    for x in xs:
        product = _times(product, x)
    return product


def _dot(w: Sequence[_Tex], x: Sequence[_Tex]) -> _Tex:
    return _gather(map(_times, w, x))


_RULES: dict[str, Callable[..., _Tex]] = {
    "add": lambda x, y: _gather((x, y)),
    "sub": lambda x, y: _gather((x, _times(-1.0, y))),
    "mul": _times,
    "div": _over,
    "neg": lambda x: _times(-1.0, x),
    "pos": lambda x: x,
    "nonnegative": lambda x: x,  # it says where the derivative holds
    "square": lambda x: _times(x, x),
    "reciprocal": lambda x: _over(_constant(1.0), x),
    "power": _raised,
    "pow": _raised,
    "pow_partial": _power_partial,
    "sum": _gather,
    "mean": lambda xs: _Tex(rf"\frac{{{_spelt(_gather(xs))}}}{{{len(xs)}}}", _POWER),
    "prod": _product,
    "dot": _dot,
    "gaussian": lambda x, c: _write(al.TABLE["exp"], (_times(-1.0, _times(c, _times(x, x))),)),
    "affine": lambda w, x, b: _gather((*map(_times, w, x), b)),
}
_ARITHMETIC = {al.TABLE[name]: rule for name, rule in _RULES.items()}

_FUNCTIONS = {
    **{name: rf"\{name}" for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"a{name}": rf"\operatorname{{a{name}}}" for name in ("sinh", "cosh", "tanh")},
    "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan", "log2": r"\log_{2}", "log10": r"\log_{10}",
    "sigmoid": r"\sigma", "logsigmoid": r"\log\sigma", "gamma": r"\Gamma", "lgamma": r"\log\Gamma",
    "digamma": r"\psi", "maximum": r"\max", "minimum": r"\min", "maxout": r"\max", "relu": r"\mathrm{ReLU}",
}  # fmt: skip

_SPELLINGS = {
    "abs": r"\left|#1\right|",
    "floor": r"\lfloor #1 \rfloor",
    "ceil": r"\lceil #1 \rceil",
    "exp2": "2^{#1}",
    "sqrt": r"\sqrt{#1}",
    "cbrt": r"\sqrt[3]{#1}",
    "expm1": r"\left(\exp\left(#1\right) - 1\right)",
    "log1p": r"\log\left(1 + #1\right)",
    "hypot": r"\sqrt{@1^{2} + @2^{2}}",
    "polygamma": r"\psi^{(#1)}\left(#2\right)",
    "logsumexp": r"\log\sum\exp\left(#1\right)",
    "share": r"\frac{\exp\left(#1\right)}{\sum\exp\left(#1, #2\right)}",
    "sech2": r"\frac{1}{\cosh^{2}\left(#1\right)}",
    "one_minus_square": r"\left(1 - @1^{2}\right)",
    "direction": r"\frac{#1}{\sqrt{@1^{2} + @2^{2}}}",
    "turn": r"\frac{#1}{@1^{2} + @2^{2}}",
    "step": r"\left[#1 > 0\right]",
    "nonzero": r"\left[#1 \neq 0\right]",
    "greater": r"\left[#1 > #2\right]",
    "less": r"\left[#2 > #1\right]",
    "within": r"\left[#3 \geq #1 \geq #2\right]",
}
"""Operations not written as a function of their operands; #1 is the first of these, @1 the same as a power's base."""
