"""Explain a gradient: as the sum over paths of products of partials, and as the deltas of the lecture.

A graph of n nodes can have 2ⁿ paths. They are counted and summed by dynamic programming; only the paths that are
shown are ever walked, the largest first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from heapq import heappop, heappush
from numbers import Integral
from reprlib import repr as short
from types import MappingProxyType
from typing import Any, NamedTuple

import autograd_lite as al
from autograd_lite import Value

from .losses import _errors
from .modules import MLP, Activation, Layer, _inputs, _name
from .naming import names_in
from .notation import Typeset, aligned, check_value, decimal, escaped, symbol
from .wording import SUPERSCRIPTS, isolated, printable

__all__ = ["Delta", "Deltas", "Explanation", "Path", "deltas", "explain"]

_FIRST, _LAST = 4, 3  # of a longer path or row these many are shown


# ---- paths ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Path:
    """One way from the loss down to w, and what it adds to the gradient.

    Attributes:
        names: What the nodes are called, the loss first and w last.
        partials: ∂node/∂next along it.
        product: Of all the partials.

    >>> Path(("E", "w"), (2.0,), 2.0).product
    2.0
    """

    names: tuple[str, ...]
    partials: tuple[float, ...]
    product: float


@dataclass(frozen=True, repr=False)
class Explanation(Typeset):
    """A gradient as a sum over paths; `explain` makes it. Printed it is a text, in a notebook a formula.

    Attributes:
        loss, w: What the two ends are called.
        gradient: ∂loss/∂w: the sum of the products shown and the remainder.
        paths: Those shown, the largest |product| first.
        n_paths: How many there are altogether, an exact integer.
        remainder: The sum over the others, computed from these alone: no subtraction spoils a small one.

    >>> w = Value(3.0, "w")
    >>> explain(w, w * w).n_paths
    2
    """

    loss: str
    w: str
    gradient: float
    paths: tuple[Path, ...]
    n_paths: int
    remainder: float

    @property
    def n_hidden(self) -> int:
        """How many paths are not shown."""
        return self.n_paths - len(self.paths)

    @property
    def latex(self) -> str:  # type: ignore[override]
        """The sum as LaTeX: each path as a product of derivatives and of numbers."""
        left = _derivative_in_latex(self.loss, self.w)
        return aligned([f"{left} = {decimal(self.gradient)}", *self.lines])

    @property
    def lines(self) -> tuple[str, ...]:
        """An equation in LaTeX for each path shown, and for the remainder."""
        lines = [_product_in_latex(path) for path in self.paths]
        if self.n_hidden:
            lines.append(rf"\mathrm{{{escaped(_more(self.n_hidden), 80)}}} = {decimal(self.remainder)}")
        return tuple(lines)

    def __str__(self) -> str:
        head = f"∂{_shown(self.loss)}/∂{_shown(self.w)} = {self.gradient:.6g}"
        if not self.n_paths:
            return f"{head}: no path leads from {_shown(self.w)} to {_shown(self.loss)}"
        rows = [f"  {path.product:< 12.6g} = {_product_in_text(path)}" for path in self.paths]
        if self.n_hidden:
            rows.append(f"  {self.remainder:< 12.6g} = {_more(self.n_hidden)}")
        return "\n".join([f"{head}, the sum over {_counted(self.n_paths)}", *rows])


class _Part(NamedTuple):
    """The upper part of a path: its last edge, the product and the log₂|product| so far, the part before."""

    node: Value
    partial: float
    product: float
    size: float
    before: _Part | None

    def then(self, parent: Value, partial: float) -> _Part:
        return _Part(parent, partial, self.product * partial, _plus(self.size, _size(partial)), self)


def explain(w: Value, loss: Value, *, top: int = 5, notation: str | None = None) -> Explanation:
    """Explain ∂loss/∂w as the sum over all paths from loss to w of the products of the partials on them.

    That is the chain rule written out. The paths with the largest |product| are shown, the others counted and summed,
    so 2⁶⁰ paths are no difficulty: the time grows with the edges of the graph, and with `top` times the length of
    a path. Paths through a partial of 0 (a dead relu) come last; those whose product is nan or ∞ come first, as they
    are what one looks for. `.grad` of w after `loss.backward()` is the
    same within rounding: it adds in another order. Nothing is changed; a Value without a name is called by its
    operation and its place in topological order, the number of its node in a drawing of loss.

    Args:
        w: A leaf, or any Value between.
        loss: The Value to differentiate.
        top: How many paths to show.
        notation: "lecture" calls nodes without a name as the lecture does: u[j], h[j], z[k], o[k], E. Paths then lead
            from name to name, as on the slides: what lies between is in one derivative.

    Raises:
        TypeError: w or loss is not a Value, or `top` not an integer.
        ValueError: `top` is negative, or there is no such notation.

    >>> w, x = Value(0.5, "w"), Value(2.0, "x")
    >>> h = al.square(w * x)
    >>> h.name = "h"
    >>> E = h * w
    >>> E.name = "E"
    >>> print(explain(w, E))
    ∂E/∂w = 3, the sum over 2 paths
       2           = ∂E/∂h · ∂h/∂mul#2 · ∂mul#2/∂w = 0.5 × 2 × 2
       1           = ∂E/∂w = 1
    >>> print(explain(w, E, top=1))
    ∂E/∂w = 3, the sum over 2 paths
       2           = ∂E/∂h · ∂h/∂mul#2 · ∂mul#2/∂w = 0.5 × 2 × 2
       1           = 1 more path
    """
    check_value(w, "explain", "two Values, w and the loss")
    check_value(loss, "explain", "two Values, w and the loss")
    if not isinstance(top, Integral):
        raise TypeError(f"top must be a number of paths, an integer, not {short(top)}")
    if top < 0:
        raise ValueError(f"top must be 0 or more, not {top}")
    order = al.topological_order(loss)
    called = names_in(order, notation)
    names = _names(order, w, loss, called)
    edges = _edges(order) if notation is None else _from_name_to_name(order, {w, loss, *called})
    counts, sums, largest = _below(edges, w)
    paths: list[Path] = []
    rest: list[float] = []
    if loss in counts:
        found, others = _largest_first(loss, w, edges, largest, int(top))
        found.sort(key=lambda part: math.inf if math.isnan(part.product) else abs(part.product), reverse=True)
        paths = [_path(part, names) for part in found]
        rest = [part.product * sums[part.node] for part in others]
    remainder = _sum(rest)
    return Explanation(
        names[loss],
        names[w],
        _sum([*(path.product for path in paths), remainder]),
        tuple(paths),
        counts.get(loss, 0),
        remainder,
    )


_Edges = Mapping[Value, Sequence[tuple[Value, float]]]  # ∂node/∂parent for each parent; the nodes in topological order


def _edges(order: Sequence[Value]) -> _Edges:
    return {node: [*zip(node.parents, node.partials, strict=True)] for node in order}


def _from_name_to_name(order: Sequence[Value], named: Set[Value]) -> _Edges:
    """Return the derivative of each of these nodes by those of them that it reaches through others only."""
    place = {node: i for i, node in enumerate(order)}
    edges: dict[Value, list[tuple[Value, float]]] = {}
    for node in order:
        if node in named:
            terms = {node: [1.0]}
            others = [-place[node]]  # a heap, the last in topological order on top
            while others:
                other = order[-heappop(others)]
                adjoint = _sum(terms.pop(other))
                for parent, partial in zip(other.parents, other.partials, strict=True):
                    if parent not in terms and parent not in named:
                        heappush(others, -place[parent])
                    terms.setdefault(parent, []).append(partial * adjoint)
            edges[node] = [(parent, _sum(each)) for parent, each in terms.items()]
    return edges


def _below(edges: _Edges, w: Value) -> tuple[dict[Value, int], dict[Value, float], dict[Value, float]]:
    """Return for each node above w: how many paths lead to w, the sum of their products, the largest as a log₂."""
    counts, sums, largest = {w: 1}, {w: 1.0}, {w: 0.0}
    for node in edges:
        down = [(parent, partial) for parent, partial in edges[node] if parent in counts]
        if down and node is not w:
            counts[node] = sum(counts[parent] for parent, _ in down)
            sums[node] = _sum([partial * sums[parent] for parent, partial in down])
            largest[node] = max(_plus(_size(partial), largest[parent]) for parent, partial in down)
    return counts, sums, largest


def _largest_first(
    loss: Value, w: Value, edges: _Edges, largest: Mapping[Value, float], top: int
) -> tuple[list[_Part], list[_Part]]:
    """Return the `top` largest paths, and parts of paths that lead to all the others, each to some of them.

    A part is followed down its largest continuation, which is known, all the way to w; the edges that are left aside
    on the way begin new parts. So nothing is walked in vain, however many paths are equally large. Sizes are
    logarithms: they neither overflow nor vanish.
    """
    heap = [(-largest[loss], 0, _Part(loss, 1.0, 1.0, 0.0, None))]
    born = 0
    found: list[_Part] = []
    while heap and len(found) < top:
        part = heappop(heap)[2]
        while part.node is not w:
            parts = [part.then(parent, partial) for parent, partial in edges[part.node] if parent in largest]
            bounds = [_plus(each.size, largest[each.node]) for each in parts]
            best = bounds.index(max(bounds))
            for k, (each, bound) in enumerate(zip(parts, bounds, strict=True)):
                if k != best:
                    born += 1
                    heappush(heap, (-bound, born, each))
            part = parts[best]
        found.append(part)
    return found, [part for _, _, part in heap]


def _size(partial: float) -> float:
    """Return log₂|partial|; that of nan is ∞, for it comes first."""
    if math.isnan(partial):
        return math.inf
    return math.log2(abs(partial)) if partial else -math.inf


def _plus(a: float, b: float) -> float:
    total = a + b
    return math.inf if math.isnan(total) else total  # 0 times ∞ is nan


def _path(part: _Part, names: Mapping[Value, str]) -> Path:
    product, partials, nodes = part.product, [part.partial], [part.node]
    while part.before is not None:
        part = part.before
        partials.append(part.partial)
        nodes.append(part.node)
    return Path(tuple(names[node] for node in reversed(nodes)), tuple(partials[-2::-1]), product)


def _sum(terms: Sequence[float]) -> float:
    """Return the sum, rounded once; where it is ∞ or nan or overflows, as + gives it."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return sum(terms)


def _names(order: Sequence[Value], w: Value, loss: Value, called: dict[Value, str]) -> dict[Value, str]:
    places = {node: f"{'leaf' if node.op is None else node.op.name}#{i}" for i, node in enumerate(order)}
    names = {w: w.name or "w"} | places | called
    if loss not in called and "E" not in names.values() and loss is not w:
        names[loss] = "E"
    return names


def _shown(name: str) -> str:
    return isolated(printable(name, 24))


def _middle_out(parts: Sequence[Any], gap: str) -> list[Any]:
    return [*parts] if len(parts) <= _FIRST + _LAST + 1 else [*parts[:_FIRST], gap, *parts[-_LAST:]]


def _product_in_text(path: Path) -> str:
    steps = _middle_out([*zip(path.names, path.names[1:], strict=False)], "…")
    symbols = " · ".join(s if s == "…" else f"∂{_shown(s[0])}/∂{_shown(s[1])}" for s in steps)
    if len(path.names) == 1:
        return f"∂{_shown(path.names[0])}/∂{_shown(path.names[0])}"
    return f"{symbols} = {' × '.join(_middle_out([f'{p:.6g}' for p in path.partials], '…'))}"


def _derivative_in_latex(above: str, below: str) -> str:
    return rf"\frac{{\partial {symbol(above)}}}{{\partial {symbol(below)}}}"


def _product_in_latex(path: Path) -> str:
    if len(path.partials) < 2:  # there is nothing to multiply
        return f"{_derivative_in_latex(path.names[0], path.names[-1])} = {decimal(path.product)}"
    pairs = _middle_out([*zip(path.names, path.names[1:], strict=False)], "")
    symbols = [_derivative_in_latex(*p) if p else r"\ldots" for p in pairs]
    numbers = _middle_out([decimal(p) for p in path.partials], r"\ldots")
    factors = [rf"\left({n}\right)" if n.startswith("-") else n for n in numbers]
    return r"\,".join(symbols) + " = " + r" \cdot ".join(factors) + f" = {decimal(path.product)}"


def _more(n: int) -> str:
    return f"{_count(n)} more path" + "s" * (n != 1)


def _counted(n: int) -> str:
    return f"{_count(n)} path" + "s" * (n != 1)


def _count(n: int) -> str:
    """Return the number with commas, or a power of ten for one that nobody would read (n_paths has it in full)."""
    if n.bit_length() <= 100:
        return f"{n:,}"
    return f"about 10^{math.floor(math.log10(2) * (n.bit_length() - 1))}"


# ---- deltas ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Delta:
    r"""One row of the lecture's table: the derivatives of the error by the units of a layer.

    Attributes:
        key: "o", "z", "h" or "u"; in a deeper network the hidden layers are told apart, as in "h1".
        formula: As text.
        latex: The same as LaTeX.
        values: A number a unit.

    >>> Delta("o", "δᵒ_k = o_k − t_k", r"\delta_k^{o} = o_k - t_k", (0.5,)).values
    (0.5,)
    """

    key: str
    formula: str
    latex: str
    values: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Deltas(Typeset):
    """The lecture's table of deltas, and the weight gradients from it; `deltas` makes it.

    Attributes:
        error: E.
        rows: The deltas, from the output back.
        weights: The formulas of the gradients by the weights of each layer, from the output back, as rows whose
            values are in the order of the layer's parameters.
        gradients: ∂E/∂parameter by its name, in the order of the model's `named_parameters`.

    Raises:
        KeyError: There are no deltas of the key, as in `table["z"]`.

    >>> table = deltas(MLP(1, [1], init=lambda n_in, n_out, rng: [[1.0]]), [0.5], 0.0)
    >>> table["z"], table.gradients["w[1,1]"]
    ((0.5,), 0.25)
    """

    error: float
    rows: tuple[Delta, ...]
    weights: tuple[Delta, ...]
    gradients: Mapping[str, float]

    def __getitem__(self, key: str) -> tuple[float, ...]:
        for row in self.rows:
            if row.key == key:
                return row.values
        raise KeyError(f"no deltas {key!r}; there are {', '.join(row.key for row in self.rows)}")

    @property
    def latex(self) -> str:  # type: ignore[override]
        """The table as LaTeX: formula and numbers of each row."""
        return aligned(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """Each equation in LaTeX by itself."""
        head = rf"E = \frac{{1}}{{2}}\,\sum_k \left(o_k - t_k\right)^{{2}} = {decimal(self.error)}"
        return head, *(rf"{row.latex} = \left({_vector(row.values)}\right)" for row in (*self.rows, *self.weights))

    def __str__(self) -> str:
        rows = [*self.rows, *self.weights]
        width = max(len(row.formula) for row in rows)
        head = f"E = ½ Σ_k (o_k − t_k)² = {self.error:.6g}"
        numbers = ("  ".join(_middle_out([f"{v:.6g}" for v in row.values], "…")) for row in rows)
        return "\n".join([head, *(f"{row.formula:<{width}} : {n}" for row, n in zip(rows, numbers, strict=True))])


def _vector(values: Sequence[float]) -> str:
    return ", ".join(_middle_out([decimal(v) for v in values], r"\ldots"))


def deltas(model: MLP, x: Sequence[float], t: float | Sequence[float]) -> Deltas:
    """Return the lecture's deltas for one example, with E = ½ Σ (o − t)², and the weight gradients from them.

    They are computed as on the slides, layer by layer from the output back, and not by the graph: that both agree is
    the point. g and f are the activations of the output and of the hidden units. In an N-layer network with N ≥ 3
    the hidden layers are counted from 1: u¹, h¹, u², …; with softmax each output depends on every net input.

    Args:
        model: A network of any depth.
        x: Its inputs, one number each.
        t: The targets; for a single output the number itself will do.

    Raises:
        TypeError: The model is not an `MLP`, or something is not a number.
        ValueError: x or t has another length than the network.

    Source: the lecture, "Gradient Descent for Multi-layer Network".

    >>> model = MLP(1, [1, 1], activation=al.tanh, init=lambda n_in, n_out, rng: [[1.0]])
    >>> print(deltas(model, [0.5], 0.0))
    E = ½ Σ_k (o_k − t_k)² = 0.106776
    δᵒ_k = o_k − t_k                       : 0.462117
    δᶻ_k = δᵒ_k · g′(z_k), g linear        : 0.462117
    δʰ_j = Σ_k δᶻ_k · w_kj                 : 0.462117
    δᵘ_j = δʰ_j · f′(u_j), f tanh          : 0.363431
    ∂E/∂w_kj = δᶻ_k · h_j, ∂E/∂w_k0 = δᶻ_k : 0.213552  0.462117
    ∂E/∂v_ji = δᵘ_j · x_i, ∂E/∂v_j0 = δᵘ_j : 0.181715  0.363431
    """
    if not isinstance(model, MLP):
        raise TypeError(f"deltas takes a network, an MLP, not {short(model)}")
    inputs = [float(each.data) if isinstance(each, Value) else each for each in _inputs(x, model.n_inputs)]
    units, net_inputs = _forward(model, inputs)
    delta: list[float] = [float(e) for e in _errors("deltas", units[-1], t)]  # type: ignore[arg-type]
    error = 0.5 * _sum([e * e for e in delta])
    rows = [Delta("o", "δᵒ_k = o_k − t_k", r"\delta_k^{o} = o_k - t_k", tuple(delta))]
    weights: list[Delta] = []
    gradients: list[list[float]] = []
    last = len(model.layers)
    for n in range(last, 0, -1):
        layer, spelling = model.layers[n - 1], _Spelling(n, last)
        delta = _by_net_input(layer, delta, net_inputs[n - 1], units[n])
        rows.append(spelling.net_input(layer.activation, delta))
        gradients.append([each for d in delta for each in (*(d * h for h in units[n - 1]), d)])
        weights.append(spelling.weights(gradients[-1]))
        if n > 1:
            columns = zip(*([w.data for w in neuron.w] for neuron in layer.neurons), strict=True)
            delta = [_sum([d * w for d, w in zip(delta, column, strict=True)]) for column in columns]
            rows.append(spelling.below(delta))
    flat = [each for layer_gradients in reversed(gradients) for each in layer_gradients]
    by_name = {name: g for (name, _), g in zip(model.named_parameters(), flat, strict=True)}
    return Deltas(error, tuple(rows), tuple(weights), MappingProxyType(by_name))


def _forward(model: MLP, inputs: list[float]) -> tuple[list[list[float]], list[list[float]]]:
    """Return the numbers of each layer's units, the inputs first, and of each layer's net inputs."""
    units, net_inputs = [inputs], []
    for layer in model.layers:
        z = [al.affine([w.data for w in neuron.w], units[-1], neuron.b.data) for neuron in layer.neurons]
        f: Any = layer.activation
        net_inputs.append(z)
        units.append(z if f is None else f(z) if f is al.softmax else [f(each) for each in z])
    return units, net_inputs


def _by_net_input(layer: Layer, delta: list[float], z: list[float], o: list[float]) -> list[float]:
    """Return δ by the net inputs from δ by the units."""
    f: Any = layer.activation
    if f is None:
        return delta
    if f is al.softmax:
        return [o_k * _sum([o_l * (d_k - d_l) for d_l, o_l in zip(delta, o, strict=True)])
                for d_k, o_k in zip(delta, o, strict=True)]  # fmt: skip
    slope = al.derivative(f)
    return [d * slope(each) for d, each in zip(delta, z, strict=True)]


class _Spelling(NamedTuple):
    """How the lecture calls what belongs to layer n of `last`."""

    n: int
    last: int

    def net_input(self, activation: Activation, values: list[float]) -> Delta:
        """Return the row of δᶻ, or of δᵘ in a hidden layer."""
        unit, z, k, f = ("o", "z", "k", "g") if self.n == self.last else ("h", "u", "j", "f")
        above, here = self._delta(unit, k), self._delta(z, k)
        if activation is al.softmax:
            return self._row(
                z, f"{here[0]} = Σ_l {self._delta(unit, 'l')[0]} · ∂o_l/∂z_k, softmax",
                rf"{here[1]} = \sum_l {self._delta(unit, 'l')[1]}\,\frac{{\partial o_l}}{{\partial z_k}}", values,
            )  # fmt: skip
        argument = f"{z}{self._raised_text()}_{k}", f"{z}{self._raised()}_{k}"
        return self._row(
            z, f"{here[0]} = {above[0]} · {f}′({argument[0]}), {f} {printable(_name(activation), 24)}",
            rf"{here[1]} = {above[1]}\,{f}^{{\prime}}({argument[1]})", values,
        )  # fmt: skip

    def below(self, values: list[float]) -> Delta:
        """Return the row of δʰ of the layer below this one."""
        lower, z = self._replace(n=self.n - 1), self._z()
        here, w = lower._delta("h", "j"), self._weight()
        text = f"{here[0]} = Σ_k {self._delta(z, 'k')[0]} · {w[0]}_kj"
        return lower._row("h", text, rf"{here[1]} = \sum_k {self._delta(z, 'k')[1]}\,{w[1]}_{{kj}}", values)

    def weights(self, values: list[float]) -> Delta:
        """Return the formulas of ∂E/∂weight and ∂E/∂bias of this layer."""
        k, i = ("k", "j") if self.n == self.last and self.last > 1 else ("k" if self.last == 1 else "j", "i")
        lower = self._replace(n=self.n - 1)
        d, w = self._delta(self._z(), k), self._weight()
        h = ("x", "x") if self.n == 1 else (f"h{lower._raised_text()}", f"h{lower._raised()}")
        return Delta(
            w[0],
            f"∂E/∂{w[0]}_{k}{i} = {d[0]} · {h[0]}_{i}, ∂E/∂{w[0]}_{k}0 = {d[0]}",
            rf"\frac{{\partial E}}{{\partial {w[1]}_{{{k}{i}}}}} = {d[1]}\,{h[1]}_{i},\ "
            rf"\frac{{\partial E}}{{\partial {w[1]}_{{{k}0}}}} = {d[1]}",
            tuple(values),
        )

    def _row(self, unit: str, text: str, latex: str, values: list[float]) -> Delta:
        return Delta(unit + self._number(), text, latex, tuple(values))

    def _number(self) -> str:
        """Return which hidden layer it is, where there are several."""
        return str(self.n) if self.n < self.last and self.last > 2 else ""

    def _raised(self) -> str:
        return f"^{{{self._number()}}}" if self._number() else ""

    def _raised_text(self) -> str:
        return self._number().translate(SUPERSCRIPTS)

    def _z(self) -> str:
        return "z" if self.n == self.last else "u"

    def _delta(self, unit: str, k: str) -> tuple[str, str]:
        number = self._number()
        text = f"δ{_RAISED[unit]}{self._raised_text()}_{k}"
        return text, rf"\delta_{k}^{{{unit}{',' + number if number else ''}}}"

    def _weight(self) -> tuple[str, str]:
        if self.last > 2:
            return f"w{self.n}", f"w^{{{self.n}}}"
        letter = "v" if self.n < self.last else "w"
        return letter, letter


_RAISED = {"o": "ᵒ", "z": "ᶻ", "h": "ʰ", "u": "ᵘ"}
