"""The graph of a Value as text: Mermaid for Markdown, a tree for a terminal, JSON that reads back in.

A JSON file is `{"format": "autograd_lite graph", "version": 2, "scopes": [...], "nodes": [...]}`, one node a line,
operands before results, the Value itself last. A leaf is `{"data": 2.0, "grad": 0.0, "name": "x", "scope": null}`;
what an operation made has also its `"op"`, its `"operands"` and its `"partials"`. An operand is a number,
`{"node": 0}` for an earlier node, or a list of these; a number that is not finite is one of the texts "nan", "inf" and
"-inf". A scope is `{"name": "cell", "parent": null}`, that of a neuron has also its `"activation"`, an operation's
name or null; parents and the scopes of nodes are places in the list. Version 1 had no scopes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from os import PathLike
from reprlib import repr as short
from typing import Any

import autograd_lite as al
from autograd_lite import Op, Scope, Value
from autograd_lite.files import write_atomically
from autograd_lite.op import number
from autograd_lite.value import recording

from .modules import Unit
from .strict_json import check_header, check_keys, decode, from_json, json_object, read_text, to_json
from .wording import counted, operation_text, or_dash, printable

__all__ = ["graph_json", "mermaid", "read_graph", "save_graph", "tree"]

# ---- Mermaid --------------------------------------------------------------------------------------------------

_MERMAID_EDGES, _MERMAID_CHARACTERS = 500, 50_000  # its own limits, maxEdges and maxTextSize: it draws nothing beyond


def mermaid(y: Value) -> str:
    """Return the graph that y was computed by as a Mermaid flowchart, fenced for Markdown.

    Boxes say what those of `draw` do; leaves are rounded, y has a thick border. Where Markdown is shown with Mermaid
    (GitHub, GitLab, Jupyter), it is a drawing.

    Raises:
        TypeError: y is not a Value.
        ValueError: The graph is beyond what Mermaid draws: 500 edges, 50,000 characters.

    >>> x = Value(3.0, "x")
    >>> print(mermaid(x * 2))
    ```mermaid
    flowchart LR
        n0(["x<br>data 3<br>grad –"])
        n1["× 2<br>data 6<br>grad –"]
        n0 --> n1
        style n1 stroke-width:3px
    ```
    <BLANKLINE>
    """
    order = _order(y, "mermaid")
    n_edges = sum(len(node.parents) for node in order)
    if n_edges > _MERMAID_EDGES:
        raise ValueError(_too_large_for_mermaid(counted(n_edges, "edge")))
    index = {node: i for i, node in enumerate(order)}
    lines = ["```mermaid", "flowchart LR"]
    for i, (node, numbers) in enumerate(zip(order, _numbers(order), strict=True)):
        label = "<br>".join([*filter(None, [_in_mermaid(_title(node))]), *numbers])
        lines.append(f'    n{i}["{label}"]' if node.op else f'    n{i}(["{label}"])')
    lines += [f"    n{index[parent]} --> n{i}" for i, node in enumerate(order) for parent in node.parents]
    text = "\n".join([*lines, f"    style n{index[y]} stroke-width:3px", "```", ""])
    if len(text) > _MERMAID_CHARACTERS:
        raise ValueError(_too_large_for_mermaid(counted(len(text), "character")))
    return text


def _too_large_for_mermaid(size: str) -> str:
    return (
        f"the graph has {size}, and Mermaid draws no more than {_MERMAID_EDGES} edges and {_MERMAID_CHARACTERS:,} "
        "characters; export a part of it (one example, one Value inside it), or use draw or tree"
    )


# All of ASCII but letters, digits, space, comma and the point inside a number; and what Mermaid has for itself.
_SPECIAL = re.compile(r"(?!(?<=\d)\.(?=\d))[^A-Za-z0-9 ,\u0080-\U0010ffff]|[°¶]")


def _in_mermaid(text: str) -> str:
    """Return a text in which no character means anything to Mermaid, to its Markdown or to HTML."""
    apart = text.replace(r"\n", "⧵n")  # U+29F5 for a backslash: before n, even an escaped one would break the line
    return _SPECIAL.sub(lambda special: f"#{ord(special[0])};", apart)


# ---- what is said of a node -----------------------------------------------------------------------------------


def _order(y: Value, what: str) -> list[Value]:
    if not isinstance(y, Value):
        raise TypeError(f"{what} takes a Value, but {short(y)} is of type {type(y).__name__}")
    return al.topological_order(y)


def _title(node: Value) -> str:
    """Return the name of a node and its operation, as in a drawing."""
    return " ".join(filter(None, [printable(node.name or "", 24).strip(), printable(operation_text(node), 48)]))


def _numbers(order: Sequence[Value]) -> Iterable[list[str]]:
    """Say data and gradient of each node; before any backward, the gradients are dashes."""
    swept = any(node.grad != 0.0 for node in order)
    for node in order:
        yield [f"data {node.data:.4g}", f"grad {or_dash(node.grad if swept else None, '.4g')}"]


# ---- a tree ---------------------------------------------------------------------------------------------------

_DEEPEST = 40  # levels; further to the right nobody reads, and the lines of a long chain would grow without end


def tree(y: Value, *, limit: float = 200) -> str:
    """Return the graph that y was computed by as a tree of text, operands below their result.

    A node that is used more than once is shown once, with a number such as #1, and referred to after.

    Args:
        y: The Value.
        limit: How many lines there may be. If there would be more, or there is more below a line that ends in …,
            because it is 40 levels deep, one more line says so, and how many nodes are not shown.

    Raises:
        TypeError: y is not a Value, or the limit is not a number.
        ValueError: The limit is below 1.

    >>> x, w = Value(2.0, "x"), Value(0.5, "w")
    >>> h = (w * x).tanh()
    >>> print(tree(h * h + w))
    +  data 1.08, grad –
    ├── ×  data 0.58, grad –
    │   ├── #1 tanh  data 0.7616, grad –
    │   │   └── ×  data 1, grad –
    │   │       ├── #2 w  data 0.5, grad –
    │   │       └── x  data 2, grad –
    │   └── #1 tanh: see above
    └── #2 w: see above
    """
    order = _order(y, "tree")
    if not number(limit, "limit=") >= 1:
        raise ValueError(f"limit= must be at least 1 line, not {limit!r}")
    said = {node: ", ".join(numbers) for node, numbers in zip(order, _numbers(order), strict=True)}
    shared = _shared(order)
    marks: dict[Value, str] = {}
    lines: list[str] = []
    shown: set[Value] = set()
    is_cut = False
    todo = [(y, "", "", 0)]  # a node, what stands before it and before what is below it, and its level
    while todo and len(lines) < limit:
        node, before, below, level = todo.pop()
        if node in shared and node not in marks:
            marks[node] = f"#{len(marks) + 1}"
        called = f"{marks.get(node, '')} {_title(node)}".strip()
        if node in shown:
            lines.append(f"{before}{called}: see above")
            continue
        shown.add(node)
        has_more = level == _DEEPEST and node.op is not None
        lines.append(f"{before}{called}{'  ' if called else ''}{said[node]}{' …' if has_more else ''}")
        if has_more:
            is_cut = True
        else:
            ends = [("├── ", "│   ")] * (len(node.parents) - 1) + [("└── ", "    ")]
            todo += [
                (parent, below + branch, below + trunk, level + 1)
                for parent, (branch, trunk) in reversed([*zip(node.parents, ends, strict=False)])
            ]
    if todo or is_cut:
        why = f"cut after limit={limit} lines" if todo else f"cut {_DEEPEST} levels deep"
        lines.append(f"… {why}; not shown: {len(order) - len(shown):,} of {counted(len(order), 'node')}")
    return "\n".join(lines)


def _shared(order: Iterable[Value]) -> set[Value]:
    """Return the nodes that are operands more than once."""
    once: set[Value] = set()
    more: set[Value] = set()
    for node in order:
        for parent in node.parents:
            (more if parent in once else once).add(parent)
    return more


# ---- JSON -----------------------------------------------------------------------------------------------------

_WHAT, _FORMAT, _VERSION = "a graph file", "autograd_lite graph", 2
_KEYS = {1: ("format", "version", "nodes"), 2: ("format", "version", "scopes", "nodes")}
_LEAF = {1: ("data", "grad", "name"), 2: ("data", "grad", "name", "scope")}
_RESULT = ("op", "operands", "partials")
_SCOPE = ("name", "parent")
_MAX_BYTES = 2**26  # 64 MiB: some 400,000 nodes
_MAX_WORK = 10**7  # what derivatives of high order may cost together: they are the only rules that take long
_ORDERS = {"polygamma": slice(0, 1), "pow_partial": slice(2, 4)}


def graph_json(y: Value, *, operations: Iterable[Op] = ()) -> str:
    """Return the graph that y was computed by as JSON, from which `read_graph` makes it again to the last bit.

    The same graph gives the same text. What is returned has been read back first.

    Args:
        y: The Value.
        operations: Your own operations in the graph; `read_graph` must be given them too, for no code is stored.

    Raises:
        TypeError: y is not a Value.
        ValueError: An operation is neither of the table nor given, data were changed after they were used, or the
            graph is too large.

    >>> print(graph_json(-Value(3.0, "x")))
    {"format": "autograd_lite graph", "version": 2, "scopes": [], "nodes": [
    {"data": 3.0, "grad": 0.0, "name": "x", "scope": null},
    {"data": -3.0, "grad": 0.0, "name": null, "scope": null, "op": "neg", "operands": [{"node": 0}], "partials": [-1.0]}
    ]}
    <BLANKLINE>
    """
    order = _order(y, "graph_json")
    table = _table(operations)
    index = {node: i for i, node in enumerate(order)}
    places = _places(order)
    scopes = [_describe_scope(scope, places, table) for scope in places]
    nodes = [_describe(node, index, places, table) for node in order]
    try:
        _record_again(nodes, _Recorder(table, _VERSION, _read_scopes(scopes, table)))
    except ValueError as error:
        raise ValueError(f"this graph would not read back; record it again, then save: {error}") from None
    head = json.dumps({"format": _FORMAT, "version": _VERSION, "scopes": scopes})[:-1]
    text = head + ', "nodes": [\n' + ",\n".join(json.dumps(node, allow_nan=False) for node in nodes) + "\n]}\n"
    if len(text) > _MAX_BYTES:
        raise ValueError(f"the graph is too large: {len(text):,} bytes of JSON, where {_MAX_BYTES:,} can be read back")
    return text


def save_graph(y: Value, path: str | PathLike[str], *, operations: Iterable[Op] = ()) -> None:
    """Write `graph_json` to a file; errors as there, and OSError if the file can't be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_graph(Value(3.0, "x") * 2, f"{folder}/graph.json")
    ...     read_graph(f"{folder}/graph.json")
    Value(6.0, grad=0.0, op=mul)
    """
    write_atomically(path, graph_json(y, operations=operations))


def read_graph(path_or_text: str | PathLike[str], *, operations: Iterable[Op] = ()) -> Value:
    """Read a graph from a file or a text of `graph_json`, and return the Value that it was made from.

    The graph is recorded again through the operations of the table, and what they give must be what is stored, bit
    for bit: a file whose numbers do not follow from its operations is refused. So is one from a machine whose
    mathematical functions round otherwise. Reading runs no code but that of operations.

    Args:
        path_or_text: A path, or a text, which begins with { (a path that does so is given as a `Path`).
        operations: Your own operations in the graph, as `graph_json` was given them.

    Raises:
        OSError: The file can't be read.
        TypeError: This is neither a path nor a text.
        ValueError: The file is damaged, hostile, or from a newer version; one line says what is wrong.

    >>> y = read_graph(graph_json(Value(3.0, "x") * 2))
    >>> y, y.parents
    (Value(6.0, grad=0.0, op=mul), (Value(3.0, grad=0.0, name='x'),))
    """
    if not isinstance(path_or_text, (str, PathLike)):
        raise TypeError(f"read_graph takes a path or the text of graph_json, not {short(path_or_text)}")
    table = _table(operations)
    if isinstance(path_or_text, str) and path_or_text.lstrip().startswith(("{", "[")):
        if len(path_or_text) > _MAX_BYTES:
            raise ValueError(f"the text is longer than {_MAX_BYTES:,} characters")
        return _parse(path_or_text, table)
    try:
        return _parse(read_text(path_or_text, _MAX_BYTES), table)
    except ValueError as error:
        raise ValueError(f"{path_or_text}: {error}") from None


def _table(operations: Iterable[Op]) -> dict[str, Op]:
    """Return the table and the user's own operations by name."""
    table = dict(al.TABLE)
    for op in operations:
        if not isinstance(op, Op):
            raise TypeError(f"operations= takes a list of your own operations, made with al.Op, not {short(op)}")
        if table.setdefault(op.name, op) is not op:
            raise ValueError(f"there are two operations called {short(op.name)}; give yours another name")
    return table


def _places(order: Iterable[Value]) -> dict[Scope, int]:
    """Number the scopes of a graph, those around others before them."""
    places: dict[Scope, int] = {}
    for node in order:
        new = []
        scope = node.scope
        while scope is not None and scope not in places:
            new.append(scope)
            scope = scope.parent
        for scope in reversed(new):
            places[scope] = len(places)
    return places


def _describe_scope(scope: Scope, places: dict[Scope, int], table: dict[str, Op]) -> dict[str, Any]:
    """Return a scope as JSON has it."""
    shown = {"name": scope.name, "parent": None if scope.parent is None else places[scope.parent]}
    if not isinstance(scope, Unit):
        return shown
    activation = scope.activation
    return {**shown, "activation": _op_name(activation, table) if isinstance(activation, Op) else None}


def _op_name(op: Op, table: dict[str, Op]) -> str:
    """Return the name by which an operation is found again."""
    if table.get(op.name) is not op:
        raise ValueError(
            f"{op!r} is not an operation of the table, and a file holds no code; give operations=[...] here, and to "
            "read_graph"
        )
    return op.name


def _describe(node: Value, index: dict[Value, int], places: dict[Scope, int], table: dict[str, Op]) -> dict[str, Any]:
    """Return a node as JSON has it."""
    scope = None if node.scope is None else places[node.scope]
    leaf = {"data": to_json(node.data), "grad": to_json(node.grad), "name": node.name, "scope": scope}
    if node.op is None:
        return leaf
    name = _op_name(node.op, table)
    operands = [
        [_operand(x, index) for x in operand] if isinstance(operand, tuple) else _operand(operand, index)
        for operand in node.operands
    ]
    return {**leaf, "op": name, "operands": operands, "partials": [to_json(partial) for partial in node.partials]}


def _operand(operand: Any, index: dict[Value, int]) -> Any:
    return {"node": index[operand]} if isinstance(operand, Value) else to_json(operand)


def _parse(text: str, table: dict[str, Op]) -> Value:
    document = json_object(decode(text, _WHAT), "the file")
    version = 1 if document.get("version") == 1 else _VERSION
    check_header(document, _WHAT, _FORMAT, version, _KEYS[version])
    scopes = _read_scopes(document["scopes"], table) if version > 1 else []
    return _record_again(document["nodes"], _Recorder(table, version, scopes))


def _read_scopes(stored: Any, table: dict[str, Op]) -> list[Scope]:
    """Make the scopes, or raise a ValueError that says which one is wrong and how."""
    scopes: list[Scope] = []
    for i, each in enumerate(_list('"scopes"', stored)):
        try:
            check_keys(json_object(each, "it"), (*_SCOPE, "activation") if "activation" in each else _SCOPE, "it")
            if not isinstance(each["name"], str) or not each["name"]:
                raise ValueError(f'"name" must be a text that is not empty, found {short(each["name"])}')
            parent = _scope_at("parent", each["parent"], scopes)
            if "activation" in each:
                named = each["activation"]
                activation = None if named is None else _operation_called(named, table)
                scopes.append(Unit(each["name"], parent, activation))
            else:
                scopes.append(Scope(each["name"], parent))
        except ValueError as error:
            raise ValueError(f"scope {i}: {error}") from None
    return scopes


def _scope_at(what: str, stored: Any, scopes: Sequence[Scope]) -> Scope | None:
    if stored is None:
        return None
    if type(stored) is not int or not 0 <= stored < len(scopes):
        raise ValueError(f'"{what}" must be the place of a scope before it, or null, found {short(stored)}')
    return scopes[stored]


def _operation_called(name: Any, table: dict[str, Op]) -> Op:
    op = table.get(name) if isinstance(name, str) else None
    if op is None:
        raise ValueError(f"unknown operation {short(name)}; if it is one of your own, give operations=[...]")
    return op


def _record_again(nodes: Any, recorder: _Recorder) -> Value:
    """Make the last of the nodes, or raise a ValueError that says which one is wrong and how."""
    if not isinstance(nodes, list) or not nodes:
        raise ValueError(f'"nodes" must be a list of at least one node, found {short(nodes)}')
    with recording():
        for i, node in enumerate(nodes):
            try:
                recorder.add(node)
            except ValueError as error:
                raise ValueError(f"node {i}: {error}") from None
    if unused := [i for i, used in enumerate(recorder.used[:-1]) if not used]:
        raise ValueError(f"node {unused[0]}: no later node uses it, so it is not of this graph")
    return recorder.values[-1]


class _Recorder:
    """Makes Values from what a file says of them, operands before results."""

    def __init__(self, table: dict[str, Op], version: int, scopes: Sequence[Scope]) -> None:
        self.table = table
        self.leaf = _LEAF[version]
        self.scopes = scopes
        self.values: list[Value] = []
        self.used: list[bool] = []
        self.work = 0.0

    def add(self, node: Any) -> None:
        """Make one more Value, and check that it is what the file says."""
        check_keys(json_object(node, "it"), (*self.leaf, *_RESULT) if "op" in node else self.leaf, "it")
        name, data, grad = node["name"], _number("data", node["data"]), _number("grad", node["grad"])
        if name is not None and not isinstance(name, str):
            raise ValueError(f'"name" must be a text or null, found {short(name)}')
        if "op" in node:
            value = self._apply(node["op"], node["operands"])
            _check_follows("data", [data], [value.data], value)
            stored = _list("partials", node["partials"])
            _check_follows("partials", [_number("partials", d) for d in stored], value.partials, value)
            value.name = name
        else:
            value = Value(data, name)
        value.grad = grad
        value.scope = _scope_at("scope", node.get("scope"), self.scopes)
        self.values.append(value)
        self.used.append(False)

    def _apply(self, name: Any, stored: Any) -> Value:
        """Apply an operation to its operands as the file has them."""
        op = _operation_called(name, self.table)
        operands = _list("operands", stored)
        if len(operands) != op.arity:
            raise ValueError(f"{op.name} takes {counted(op.arity, 'operand')}, found {len(operands)}")
        found = [
            tuple(map(self._operand, _list(f"an operand of {op.name}", operand))) if domain.many
            else self._operand(operand)
            for operand, domain in zip(operands, op.domain, strict=True)
        ]  # fmt: skip
        self._check_work(op, found)
        try:
            result = op(*found)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{op.name} can't be applied: {error}") from None
        if not isinstance(result, Value):
            raise ValueError(f"{op.name} has no node among its operands")
        return result

    def _operand(self, stored: Any) -> Any:
        if not isinstance(stored, dict):
            return _number("an operand", stored)
        check_keys(stored, ("node",), "an operand")
        i = stored["node"]
        if type(i) is not int or not 0 <= i < len(self.values):
            raise ValueError(f"an operand must be a node before this one, found {short(i)}")
        self.used[i] = True
        return self.values[i]

    def _check_work(self, op: Op, operands: Sequence[Any]) -> None:
        """Refuse orders so high that their derivatives would take long to compute."""
        if op.name in _ORDERS:
            orders = [x for x in operands[_ORDERS[op.name]] if isinstance(x, float) and 0.0 < x < float("inf")]
            self.work += min(sum(orders, 1.0), 1e4) ** 2
            if self.work > _MAX_WORK:
                raise ValueError(f"{op.name} of orders {short(orders)} is more work than a graph may be")


def _number(what: str, stored: Any) -> float:
    try:
        return from_json(stored)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None


def _list(what: str, stored: Any) -> list[Any]:
    if not isinstance(stored, list):
        raise ValueError(f"{what} must be a list, found {short(stored)}")
    return stored


def _check_follows(what: str, stored: Sequence[float], now: Sequence[float], value: Value) -> None:
    """Check that numbers are those of the file bit for bit; one nan is as good as another."""
    if [*map(repr, stored)] != [*map(repr, now)]:
        raise ValueError(
            f"{what} {short(_one_or_all(stored))} is stored, but {getattr(value.op, 'name', '')} of its operands gives "
            f"{short(_one_or_all(now))}: a number was changed after it was used, or functions round otherwise here"
        )


def _one_or_all(numbers: Sequence[float]) -> Any:
    return numbers[0] if len(numbers) == 1 else [*numbers]
