"""A graph comes back bit for bit; whatever else is in the file, one line says so; the texts are for people to read."""

import json
import math
import os
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Op, Value
from nn import exports
from nn.exports import graph_json, mermaid, read_graph, save_graph, tree
from nn.losses import cross_entropy
from nn.modules import MLP, unit_of


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property, where `tmp_path` may not be used."""
    return tmp_path_factory.mktemp("graphs")


def neuron() -> Value:
    """A graph with a shared node, a constant, a sequence, names and gradients."""
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(0.1, "b")
    h = al.affine([w], [x], b).tanh()
    y = al.sum([h * h, 3.0, w])
    y.name = "y"
    y.backward()
    return y


def bits(number: float) -> bytes:
    return struct.pack("<d", math.nan if math.isnan(number) else number)  # JSON tells no nan from another


def described(y: Value) -> list:
    """All there is to know of a graph."""
    order = al.topological_order(y)
    index = {node: i for i, node in enumerate(order)}

    def operand(x):
        return index[x] if isinstance(x, Value) else tuple(map(operand, x)) if isinstance(x, tuple) else bits(x)

    return [
        (
            bits(node.data),
            bits(node.grad),
            node.name,
            node.op,
            tuple(map(operand, node.operands)),
            [index[parent] for parent in node.parents],
            [bits(partial) for partial in node.partials],
        )
        for node in order
    ]


def chain(length: int) -> Value:
    y = Value(0.5, "x")
    for _ in range(length):
        y = y.sin()
    return y


# ---- what is saved comes back


def test_the_file_is_as_documented(tmp_path):
    save_graph(Value(3.0, "x") * math.inf, tmp_path / "graph.json")
    assert json.loads((tmp_path / "graph.json").read_text(encoding="utf-8")) == {
        "format": "autograd_lite graph",
        "version": 2,
        "scopes": [],
        "nodes": [
            {"data": 3.0, "grad": 0.0, "name": "x", "scope": None},
            {
                "data": "inf",
                "grad": 0.0,
                "name": None,
                "scope": None,
                "op": "mul",
                "operands": [{"node": 0}, "inf"],
                "partials": ["inf"],
            },
        ],
    }


def test_a_graph_comes_back(tmp_path):
    y = neuron()
    save_graph(y, tmp_path / "graph.json")
    for source in (tmp_path / "graph.json", str(tmp_path / "graph.json"), graph_json(y)):
        again = read_graph(source)
        assert again is not y
        assert described(again) == described(y)
        assert graph_json(again) == graph_json(y)


def test_a_graph_that_came_back_goes_on_as_the_first():
    y = neuron()
    again = read_graph(graph_json(y))
    for root in (y, again):
        (root * 0.1).backward()
    assert described(again) == described(y)


def test_a_leaf_is_a_graph():
    leaf = Value(-0.0, "")
    leaf.grad = -0.0
    assert described(read_graph(graph_json(leaf))) == described(leaf)


def test_the_loss_of_a_network_comes_back():
    model = MLP(3, [4, 3], activation=al.gelu, output=al.softmax, seed=0)
    loss = al.mean([cross_entropy(model([0.1, k, -2.0]), k) for k in range(3)])
    loss.backward()
    assert described(read_graph(graph_json(loss))) == described(loss)


def test_second_derivatives_come_back():
    x, y = Value(1.5, "x"), Value(2.5, "y")
    (slope,) = al.gradients(x**y + al.digamma(x) + al.softmax([x, y])[0], [x], create_graph=True)
    assert described(read_graph(graph_json(slope))) == described(slope)


@pytest.mark.parametrize("name", al.TABLE)
def test_every_operation_comes_back(name):
    op = al.TABLE[name]
    operands = [
        [Value(0.3, "a"), 0.25, Value(0.4)] if d.many else 2.0 if d.constant else Value(0.5 + k)
        for k, d in enumerate(op.domain)
    ]
    y = op(*operands)
    assert described(read_graph(graph_json(y))) == described(y)


NUMBERS = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, math.inf, math.nan])
ROWS = [op for name, op in al.TABLE.items() if name not in ("polygamma", "pow_partial")]  # orders are limited


@st.composite
def graphs(draw: st.DrawFn) -> Value:
    """Any operations on any numbers: values, gradients and names mean nothing here."""
    values = [Value(draw(NUMBERS), draw(st.none() | st.text())) for _ in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 8))):
        op = draw(st.sampled_from(ROWS))
        length = draw(st.integers(1, 3))
        either = st.sampled_from(values) | NUMBERS
        operands = [
            [draw(either) for _ in range(length)] if d.many else draw(NUMBERS if d.constant else either)
            for d in op.domain
        ]
        result = op(*operands)
        if isinstance(result, Value):
            result.name, result.grad = draw(st.none() | st.text()), draw(NUMBERS)
            values.append(result)
    return values[-1]


@given(graphs())
def test_any_graph_comes_back(y):
    text = graph_json(y)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not strict JSON"))
    assert text.isascii()
    assert described(read_graph(text)) == described(y)
    assert graph_json(read_graph(text)) == text
    assert tree(y) and mermaid(y)


def test_reading_records_even_within_no_grad():
    y = neuron()
    with al.no_grad():
        assert described(read_graph(graph_json(y))) == described(y)


def test_a_deep_and_a_wide_graph_come_back():
    for y in (chain(20_000), al.prod([Value(1.0) for _ in range(20_000)])):
        y.backward()
        assert described(read_graph(graph_json(y))) == described(y)


# ---- operations of one's own

cube = al.Op("cube", "x³", lambda x: x * x * x, lambda z, x: (3.0 * al.square(x),))


def test_an_operation_of_ones_own_must_be_given():
    y = cube(Value(2.0)) + 1
    with pytest.raises(
        ValueError, match=r"<operation cube\(x\)> is not an operation of the table, and a file holds no"
    ):
        graph_json(y)
    text = graph_json(y, operations=[cube])
    with pytest.raises(
        ValueError, match=r"^node 1: unknown operation 'cube'; if it is one of your own, give operations"
    ):
        read_graph(text)
    assert described(read_graph(text, operations=[cube])) == described(y)


def test_an_operation_of_ones_own_that_is_another_now_is_refused():
    text = graph_json(cube(Value(2.0)), operations=[cube])
    for rule, slope in (
        (lambda x: x, lambda z, x: (1.0,)),
        (cube.value, lambda z, x: (1.0,)),
        (math.log, cube.partials),
    ):
        other = al.Op("cube", "x³", rule, slope, (al.REAL,))
        with pytest.raises(ValueError, match=r"^node 1: (data|partials) "):
            read_graph(text, operations=[other])
    broken = al.Op("cube", "x³", lambda x: "?", cube.partials)
    with pytest.raises(ValueError, match=r"^node 1: cube can't be applied: what a rule of cube returns must be"):
        read_graph(text, operations=[broken])


def test_names_are_for_one_operation():
    relu = al.Op("relu", "r", lambda x: x, lambda z, x: (1.0,))
    with pytest.raises(ValueError, match=r"<operation relu\(x\)> is not an operation of the table"):
        graph_json(relu(Value(1.0)))
    with pytest.raises(ValueError, match="there are two operations called 'relu'; give yours another name"):
        graph_json(relu(Value(1.0)), operations=[relu])
    with pytest.raises(
        TypeError, match=r"operations= takes a list of your own operations, made with al.Op, not 'cube'"
    ):
        read_graph("{}", operations=["cube"])


# ---- scopes


def scoped() -> Value:
    """Return a value from two turns of a loop, each with a network in it."""
    model = MLP(1, [2, 1], al.tanh, seed=0)
    y = Value(1.0, "x")
    for _ in range(2):
        with al.scope("turn"), al.scope('</script> "\\" 漢字'):
            (y,) = model([y])
            y = y * 0.5
    return y


def scopes(y: Value) -> list[list[tuple[str, int, object]]]:
    """Return the path of each node: name, which scope of that name it is, activation."""
    met: dict[al.Scope, int] = {}
    return [
        [
            (scope.name, met.setdefault(scope, len(met)), getattr(scope, "activation", "none"))
            for scope in (node.scope.path if node.scope else ())
        ]
        for node in al.topological_order(y)
    ]


def test_scopes_come_back():
    y = scoped()
    again = read_graph(graph_json(y))
    assert scopes(again) == scopes(y)
    assert graph_json(again) == graph_json(y)
    units = [str(unit_of(node)) for node in al.topological_order(y)]
    assert [str(unit_of(node)) for node in al.topological_order(again)] == units
    assert "hidden layer/neuron 2" in units


def test_reading_is_not_of_the_scope_it_happens_in():
    text = graph_json(Value(2.0).tanh())
    with al.scope("outside"):
        again = read_graph(text)
    assert [node.scope for node in al.topological_order(again)] == [None, None]


def test_files_of_version_1_still_read():
    text = (
        '{"format": "autograd_lite graph", "version": 1, "nodes": [\n{"data": 3.0, "grad": 0.0, "name": "x"},\n'
        '{"data": 6.0, "grad": 1.0, "name": null, "op": "mul", "operands": [{"node": 0}, 2.0], "partials": [2.0]}\n]}'
    )
    y = read_graph(text)
    assert (y.data, y.grad, y.parents[0].name, y.scope) == (6.0, 1.0, "x", None)


def test_scopes_in_scopes_in_scopes():
    scope = None
    for _ in range(20_000):
        scope = al.Scope("s", scope)
    x = Value(1.0)
    x.scope = scope
    again = read_graph(graph_json(x))
    assert again.scope is not None
    assert len(again.scope.path) == 20_000


def test_a_scope_with_an_operation_of_your_own():
    cube = Op("cube", "x³", lambda x: x * x * x, lambda z, x: (3 * x * x,))
    (y,) = MLP(1, [1], output=cube)([2.0])
    with pytest.raises(ValueError, match="is not an operation of the table"):
        graph_json(y)
    again = read_graph(graph_json(y, operations=[cube]), operations=[cube])
    assert unit_of(again) is not None


# ---- what save refuses


def test_data_changed_after_they_were_used_are_refused(tmp_path):
    path = tmp_path / "graph.json"
    path.write_bytes(b"before")
    x = Value(2.0)
    y = x * x
    x.data = 3.0
    with pytest.raises(
        ValueError, match=r"would not read back; record it again, then save: node 1: data 4.0 is stored"
    ):
        save_graph(y, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["graph.json"]


def test_too_large_a_graph_is_refused(monkeypatch):
    text = graph_json(neuron())
    monkeypatch.setattr(exports, "_MAX_BYTES", len(text))
    assert read_graph(graph_json(neuron())).name == "y"
    monkeypatch.setattr(exports, "_MAX_BYTES", len(text) - 1)
    with pytest.raises(ValueError, match="the graph is too large: "):
        graph_json(neuron())
    with pytest.raises(ValueError, match="the text is longer than "):
        read_graph(text)


@pytest.mark.parametrize("export", [graph_json, mermaid, tree])
@pytest.mark.parametrize("wrong", [1.0, None, "x", [Value(1.0)], MLP(1, [1])])
def test_only_values_have_graphs(export, wrong):
    with pytest.raises(TypeError, match=f"^{export.__name__} takes a Value, but .* is of type {type(wrong).__name__}$"):
        export(wrong)


# ---- what read_graph refuses


def document() -> dict:
    return json.loads(graph_json(Value(3.0, "x") * 2 + 1))


def changed(**changes: object) -> dict:
    return {**document(), **changes}


def node(i: int, **changes: object) -> dict:
    content = document()
    content["nodes"][i].update(changes)
    return content


def applied(op: object, *operands: object) -> dict:
    return node(1, op=op, operands=[*operands])


X = {"node": 0}
S = {"name": "s", "parent": None}
BAD_FILES = {
    "scopes object": (changed(scopes={}), '"scopes" must be a list, found {}'),
    "scope text": (changed(scopes=["s"]), "scope 0: it must be a JSON object, found 's'"),
    "scope with more": (changed(scopes=[{**S, "op": "exp"}]), "scope 0: it must have 'name', 'parent', found"),
    "scope without": (changed(scopes=[{"name": "s"}]), "scope 0: it must have 'name', 'parent', found 'name'"),
    "scope unnamed": (changed(scopes=[{**S, "name": ""}]), 'scope 0: "name" must be a text that is not empty'),
    "scope number": (changed(scopes=[{**S, "name": 1}]), 'scope 0: "name" must be a text that is not empty, found 1'),
    "own parent": (changed(scopes=[{**S, "parent": 0}]), 'scope 0: "parent" must be the place of a scope before it'),
    "parent true": (changed(scopes=[S, {**S, "parent": False}]), 'scope 1: "parent" must be the place of a scope'),
    "activation": (changed(scopes=[{**S, "activation": "os.system"}]), "scope 0: unknown operation 'os.system'"),
    "no such scope": (node(0, scope=0), 'node 0: "scope" must be the place of a scope before it, or null, found 0'),
    "scope of a text": (node(1, scope="s"), 'node 1: "scope" must be the place of a scope before it, or null'),
    "version 1 with scopes": (changed(version=1), "the file must have 'format', 'version', 'nodes', found 'format'"),
    "empty": ("", "not a graph file: it is not JSON: Expecting value: line 1 column 1 (char 0)"),
    "text": ("hello", "not a graph file: it is not JSON: Expecting value"),
    "cut short": (json.dumps(document())[:-20], "not a graph file: it is not JSON: "),
    "more behind": (json.dumps(document()) + "}", "not a graph file: it is not JSON: Extra data"),
    "not UTF-8": (b'{"format": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 12"),
    "a list": ([], "the file must be a JSON object, found []"),
    "a model": (changed(format="autograd_lite model"), "not a graph file: \"format\" must be 'autograd_lite graph'"),
    "newer": (changed(version=3), "the file is of version 3, this autograd_lite reads 2; upgrade it"),
    "version true": (changed(version=True), '"version" must be 1, found True'),
    "unknown key": (
        changed(code="import os"),
        "the file must have 'format', 'version', 'scopes', 'nodes', found 'format'",
    ),
    "key twice": (json.dumps(document())[:-1] + ', "version": 2}', "the key 'version' is there twice"),
    "name twice": (
        json.dumps(document()).replace('"name": "x"', '"name": "x", "name": "y"'),
        "the key 'name' is there twice",
    ),
    "deep": ("[" * 1_000_000, "not a graph file: it is nested too deeply"),
    "deep nodes": ('{"nodes": ' + "[" * 1_000_000, "not a graph file: it is nested too deeply"),
    "no nodes": (changed(nodes=[]), '"nodes" must be a list of at least one node, found []'),
    "nodes object": (changed(nodes={"0": {}}), '"nodes" must be a list of at least one node, found {'),
    "node list": (changed(nodes=[[]]), "node 0: it must be a JSON object, found []"),
    "node empty": (changed(nodes=[{}]), "node 0: it must have 'data', 'grad', 'name', 'scope', found nothing"),
    "leaf with more": (node(0, partials=[]), "node 0: it must have 'data', 'grad', 'name', 'scope', found 'data'"),
    "no operands": (
        changed(nodes=[{"data": 1, "grad": 0, "name": None, "scope": None, "op": "exp"}]),
        "node 0: it must have 'data', 'grad', 'name', 'scope', 'op', 'operands', 'partials', found",
    ),
    "name number": (node(0, name=1), '"name" must be a text or null, found 1'),
    "data text": (node(0, data="3.0"), "node 0: data must be a number, found '3.0'"),
    "data true": (node(0, data=True), "node 0: data must be a number, found True"),
    "data NaN": (node(0, data=math.nan), "NaN is not JSON"),
    "data too large": (node(0, data=10**400), "node 0: data is beyond the range of a float64"),
    "grad null": (node(0, grad=None), "node 0: grad must be a number, found None"),
    "unknown operation": (applied("os.system", X), "node 1: unknown operation 'os.system'"),
    "operation number": (applied(1, X), "node 1: unknown operation 1"),
    "operation list": (applied(["mul"], X), "node 1: unknown operation ['mul']"),
    "operation null": (applied(None, X), "node 1: unknown operation None"),
    "softmax": (applied("softmax", [X, X]), "node 1: unknown operation 'softmax'"),
    "operands object": (node(1, operands={}), "node 1: operands must be a list, found {}"),
    "too few operands": (applied("mul", X), "node 1: mul takes 2 operands, found 1"),
    "default left out": (applied("leaky_relu", X), "node 1: leaky_relu takes 2 operands, found 1"),
    "too many operands": (applied("exp", X, X), "node 1: exp takes 1 operand, found 2"),
    "no sequence": (applied("sum", X), "node 1: an operand of sum must be a list, found {'node': 0}"),
    "empty sequence": (applied("sum", []), "node 1: sum can't be applied: sum of nothing is not defined"),
    "unequal sequences": (applied("dot", [X, X], [X]), "node 1: dot can't be applied: dot pairs its operands, but"),
    "sequence of lists": (applied("sum", [[X]]), "node 1: an operand must be a number, found [{'node': 0}]"),
    "list operand": (applied("mul", [X], 2), "node 1: an operand must be a number, found [{'node': 0}]"),
    "text operand": (applied("mul", X, "2"), "node 1: an operand must be a number, found '2'"),
    "only constants": (applied("mul", 3, 2), "node 1: mul has no node among its operands"),
    "variable exponent": (applied("power", X, X), "node 1: power can't be applied: power needs a constant here"),
    "itself": (applied("mul", X, {"node": 1}), "node 1: an operand must be a node before this one, found 1"),
    "later node": (applied("mul", X, {"node": 2}), "node 1: an operand must be a node before this one, found 2"),
    "node -1": (applied("mul", {"node": -1}, 2), "node 1: an operand must be a node before this one, found -1"),
    "node true": (applied("mul", {"node": False}, 2), "node 1: an operand must be a node before this one, found False"),
    "node float": (applied("mul", {"node": 0.0}, 2), "node 1: an operand must be a node before this one, found 0.0"),
    "node NaN": (applied("mul", {"node": math.nan}, 2), "NaN is not JSON"),
    "node nan": (applied("mul", {"node": "nan"}, 2), "node 1: an operand must be a node before this one, found 'nan'"),
    "node inf": (
        json.dumps(document()).replace('"node": 0', '"node": 1e999'),
        "node 1: an operand must be a node before this one, found inf",
    ),
    "node huge": (applied("mul", {"node": 10**30}, 2), "node 1: an operand must be a node before this one, found 1000"),
    "reference with more": (
        applied("mul", {"node": 0, "x": 1}, 2),
        "node 1: an operand must have 'node', found 'node'",
    ),
    "other data": (node(1, data=6.5), "node 1: data 6.5 is stored, but mul of its operands gives 6.0: a number was"),
    "other leaf": (node(0, data=4), "node 1: data 6.0 is stored, but mul of its operands gives 8.0: a number was"),
    "next float": (node(1, data=6.000000000000001), "node 1: data 6.000000000000001 is stored, but mul of"),
    "other partial": (node(1, partials=[3.0]), "node 1: partials 3.0 is stored, but mul of its operands gives 2.0"),
    "more partials": (node(1, partials=[2.0, 3.0]), "node 1: partials [2.0, 3.0] is stored, but mul of its operands"),
    "partials number": (node(1, partials=2.0), "node 1: partials must be a list, found 2.0"),
    "partial text": (node(1, partials=["x"]), "node 1: partials must be a number, found 'x'"),
    "node unused": (
        changed(nodes=[*document()["nodes"][:2], document()["nodes"][0], document()["nodes"][2]]),
        "node 2: no later node uses it, so it is not of this graph",
    ),
    "order without end": (applied("pow_partial", X, 2.5, 0.0, 1e15), "node 1: pow_partial of orders [10000000000"),
    "order of 1e308": (applied("pow_partial", X, 2.5, 1e308, 1e308), "node 1: pow_partial of orders [1e+308, 1e+308]"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_one_line_says_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "graph.json"
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_graph(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < len(str(path)) + 320
    if content.startswith((b"{", b"[")) and b"\xff" not in content:
        with pytest.raises(ValueError) as of_text:
            read_graph(content.decode())
        assert str(caught.value) == f"{path}: {of_text.value}"


def test_the_documents_above_are_right_but_for_one_thing():
    assert read_graph(json.dumps(document())).data == 7.0
    assert read_graph(json.dumps(node(0, data=3, grad="nan", name=None))).data == 7.0
    signed = json.loads(graph_json(Value(1.0) * 0.0))
    signed["nodes"][1]["data"] = -0.0
    with pytest.raises(ValueError, match=r"^node 1: data -0.0 is stored, but mul of its operands gives 0.0"):
        read_graph(json.dumps(signed))


def test_derivatives_of_high_order_have_a_budget():
    x = Value(2.5)
    y = al.sum([al.polygamma(150.0, x) for _ in range(400)])
    assert described(read_graph(graph_json(y))) == described(y)
    with pytest.raises(ValueError, match=r"polygamma of orders \[150.0\] is more work than a graph may be"):
        graph_json(al.sum([al.polygamma(150.0, x) for _ in range(500)]))


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        read_graph(tmp_path / "missing.json")
    with pytest.raises(OSError, match=tmp_path.name):
        read_graph(tmp_path)
    for wrong in (None, 3, b"{}", Value(1.0)):
        with pytest.raises(TypeError, match="read_graph takes a path or the text of graph_json, not "):
            read_graph(wrong)


def check_hostile(path: Path, content: bytes) -> None:
    """Whatever the bytes, the outcome is a graph that can be saved again or a one-line ValueError."""
    path.write_bytes(content)
    try:
        y = read_graph(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")
        assert len(str(error).splitlines()) == 1
    else:
        assert described(read_graph(graph_json(y))) == described(y)


@given(st.binary())
def test_hostile_bytes(folder, content):
    check_hostile(folder / "bytes.json", content)


@given(st.data())
def test_damaged_files(folder, data):
    content = bytearray(graph_json(neuron()).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 20))
        content[place : place + length] = data.draw(st.binary(max_size=5) | st.sampled_from([b"}", b"9", b"1e", b'"']))
    check_hostile(folder / "damaged.json", bytes(content))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([X, "nan", *al.TABLE]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.integers(0, 2), st.sampled_from(["data", "grad", "name", "op", "operands", "partials"]), json_values)
def test_any_json_in_any_place(folder, i, key, value):
    check_hostile(folder / "place.json", json.dumps(node(i, **{key: value})).encode())


@given(st.sampled_from([*al.TABLE]), st.lists(json_values | st.just(X) | st.lists(st.just(X)), max_size=4))
def test_any_operation_of_anything(folder, op, operands):
    check_hostile(folder / "operation.json", json.dumps(applied(op, *operands)).encode())


# ---- Mermaid


def test_mermaid_says_names_symbols_data_and_gradients():
    assert (
        mermaid(neuron())
        == """\
```mermaid
flowchart LR
    n0(["w<br>data 0.5<br>grad 2.15"])
    n1(["x<br>data 2<br>grad 0.2875"])
    n2(["b<br>data 0.1<br>grad 0.5751"])
    n3["w·x#43;b<br>data 1.1<br>grad 0.5751"]
    n4["tanh<br>data 0.8005<br>grad 1.601"]
    n5["×<br>data 0.6408<br>grad 1"]
    n6["y Σ #40;·, 3, ·#41;<br>data 4.141<br>grad 1"]
    n0 --> n3
    n1 --> n3
    n2 --> n3
    n3 --> n4
    n4 --> n5
    n4 --> n5
    n5 --> n6
    n0 --> n6
    style n6 stroke-width:3px
```
"""
    )


HOSTILE = [
    "</script><script>alert(1)</script>", '"]; click n0 href "javascript:alert(1)"', "```\n# no", "`**x**`", "1. x",
    "- x", "1) x", "%% x", "end", "#35;", "&lt;", "a\\nb", "ﬂ°°60¶ß", "\x00\x1b[31m", "\u202eevil", "x" * 10_000, " ",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_means_anything_to_mermaid(name):
    lines = mermaid(Value(1.0, name)).splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("```mermaid", "```", 5)
    label = re.fullmatch(r' {4}n0\(\["(.*)"\]\)', lines[2])[1]
    assert re.fullmatch(r"(([^\x00-\x7f°¶]|[A-Za-z0-9 ,]|(?<=\d)\.(?=\d)|#\d+;)+<br>)?data 1<br>grad –", label)
    assert len(label) < 250
    assert label.isprintable()
    assert "#92;n" not in label  # Mermaid 11.17 makes a line break of it


def test_mermaid_refuses_what_mermaid_does_not_draw():
    assert mermaid(chain(500)).count(" --> ") == 500
    with pytest.raises(
        ValueError, match="the graph has 501 edges, and Mermaid draws no more than 500 edges and 50,000 c"
    ):
        mermaid(chain(501))
    with pytest.raises(
        ValueError, match=r"the graph has 1?\d\d,\d\d\d characters, and Mermaid draws no more than 500 e"
    ):
        mermaid(al.sum([Value(1.0, "<" * 30) for _ in range(500)]))


# ---- a tree


def test_a_tree_shows_a_node_once_and_refers_to_it():
    assert (
        tree(neuron())
        == """\
y Σ (·, 3, ·)  data 4.141, grad 1
├── ×  data 0.6408, grad 1
│   ├── #1 tanh  data 0.8005, grad 1.601
│   │   └── w·x+b  data 1.1, grad 0.5751
│   │       ├── #2 w  data 0.5, grad 2.15
│   │       ├── x  data 2, grad 0.2875
│   │       └── b  data 0.1, grad 0.5751
│   └── #1 tanh: see above
└── #2 w: see above"""
    )


def test_a_tree_names_shared_nodes_that_have_no_name():
    x = Value(2.0)
    assert tree(x * x) == "×  data 4, grad –\n├── #1  data 2, grad –\n└── #1: see above"
    assert tree(x) == "data 2, grad –"


def test_a_tree_says_what_it_hides():
    y = neuron()
    assert tree(y, limit=9) == tree(y)
    assert tree(y, limit=3).splitlines() == [
        *tree(y).splitlines()[:3],
        "… cut after limit=3 lines; not shown: 4 of 7 nodes",
    ]
    assert tree(y, limit=8).splitlines()[-1] == "… cut after limit=8 lines; not shown: 0 of 7 nodes"
    assert tree(y, limit=math.inf) == tree(y)


def test_a_deep_tree_is_cut():
    lines = tree(chain(100), limit=math.inf).splitlines()
    assert len(lines) == 42
    assert lines[-2].endswith(" …")
    assert lines[-1] == "… cut 40 levels deep; not shown: 60 of 101 nodes"
    y = chain(41)
    assert tree(al.sum([y, *al.topological_order(y)])).endswith("\n… cut 40 levels deep; not shown: 0 of 43 nodes")
    assert len(tree(chain(40)).splitlines()) == 41
    assert "…" not in tree(chain(40))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_on_its_line(name):
    lines = tree(Value(1.0, name) * 2.0).splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 100 for line in lines)


def test_wrong_limits():
    for limit in (0, -1, math.nan):
        with pytest.raises(ValueError, match=f"limit= must be at least 1 line, not {limit}"):
            tree(Value(1.0), limit=limit)
    with pytest.raises(TypeError, match=r"limit= must be a real number, but '3' is of type str"):
        tree(Value(1.0), limit="3")
