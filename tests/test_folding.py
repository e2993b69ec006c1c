"""Any graph folds to few boxes, in which every node has its place; what is alike is one, and what is not is not."""

import contextlib
import math
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
import nn
from autograd_lite import Value
from nn.folding import MOST_BOXES, MOST_LINES, Box, Folded, fold


def folded(*roots: Value, **options: object) -> Folded:
    """Fold, and check what holds for every folded graph."""
    order = al.topological_order(*roots)
    found = fold(order, roots, **options)
    placed = {value: k for k, box in enumerate(found.boxes) for value in box.members}
    assert placed == found.index
    assert len({(line.target, line.position) for line in found.lines}) == len(found.lines)
    by_id = {f"edge-{line.target}-{line.position}": line for line in found.lines}
    met = dict.fromkeys(by_id, 0)
    for node in found.index:
        for k, parent in enumerate(node.parents):
            if (id := found.edge(node, k)) is not None:
                line = by_id[id]
                assert (line.source, line.target) == (found.index[parent], found.index[node])
                met[id] += 1
            else:
                assert found.index[parent] == found.index[node]
    lines = [line for line in found.lines if line.edge is not None and line.source != line.target]
    assert [met[f"edge-{line.target}-{line.position}"] for line in lines] == [line.n_edges for line in lines]
    return found


def said(found: Folded) -> list[str]:
    """Return title, operation and count of each box, those of scopes in brackets."""
    return [one(box) for box in found.boxes]


def one(box: Box) -> str:
    if box.kind == "scope":
        text = f"[{box.title}]"
    else:
        op = box.members[0].op if box.members else None
        text = " ".join(filter(None, (box.kind.replace("node", ""), box.title, op.name if op else "")))
    return text + f" ×{box.count}" * (box.count > 1)


def lines(found: Folded) -> set[tuple[str, str, int]]:
    names = said(found)
    return {(names[line.source], names[line.target], line.n_edges) for line in found.lines}


def digits(n: int = 32) -> tuple[nn.MLP, Value]:
    X, y = nn.data.digits()
    model = nn.MLP(64, [32, 10], seed=0)
    return model, al.mean([nn.losses.cross_entropy(model(x), t) for x, t in zip(X[:n], y[:n], strict=True)])


def recurrent(turns: int, in_scopes: bool = True) -> Value:
    w, u, b, h = Value(0.5, "w"), Value(0.4, "u"), Value(0.1, "b"), Value(0.0, "h0")
    losses = []
    for t in range(turns):
        with al.scope("cell") if in_scopes else contextlib.nullcontext():
            h = (w * (t / 10) + u * h + b).tanh()
        losses.append(al.square(h - 0.3))
    return al.mean(losses)


def at_random(seed: int, n: int, reach: int = 500) -> Value:
    rng = random.Random(seed)
    values = [Value(rng.random()) for _ in range(20)]
    operations = [al.add, al.mul, al.sub, al.maximum, lambda a, b: al.tanh(a), lambda a, b: al.sin(b * 0.5)]
    for _ in range(n):
        scope = al.scope(rng.choice("ab")) if rng.random() < 0.05 else contextlib.nullcontext()
        with scope:
            values.append(rng.choice(operations)(*rng.choices(values[-reach:], k=2)))
    return values[-1]


# ---- what is small stays open


def test_a_small_graph_is_open():
    x = Value(2.0, "x")
    with al.scope("s"):
        y = x * x + 1.0
    found = folded(y)
    assert found.is_open
    assert found.note == ""
    assert said(found) == ["x", "mul", "add"]
    assert [tuple(line[:4]) for line in found.lines] == [(0, 1, 0, 1), (0, 1, 1, 1), (1, 2, 0, 1)]
    assert found.edge(y, 0) == "edge-2-0"


def test_everything_is_opened_at_will():
    y = recurrent(200)
    assert not folded(y).is_open
    assert folded(y, depth=math.inf).is_open


def test_a_depth_folds_a_small_graph_too():
    assert said(folded(recurrent(5), depth=1)) == ["[cell] ×5", "sub ×5", "square ×5", "mean"]


def test_few_nodes_with_many_edges_are_folded():
    leaves = [Value(float(i), f"x{i}") for i in range(40)]
    y = al.sum([al.affine(leaves, leaves, b) for b in leaves])
    assert said(folded(y)) == ["x ×40", "affine ×40", "sum"]


# ---- scopes


def test_a_network_on_a_batch():
    _, loss = digits()
    found = folded(loss)
    assert sorted(said(found)) == sorted(
        ["[hidden layer]", "[output layer]", "logsumexp ×32", "sub ×32", "softplus ×32", "mean", "input 64 numbers"]
    )
    assert lines(found) == {
        ("input 64 numbers", "[hidden layer]", 64),
        ("[hidden layer]", "[output layer]", 10240),
        ("[output layer]", "logsumexp ×32", 288),
        ("[output layer]", "sub ×32", 32),
        ("logsumexp ×32", "sub ×32", 32),
        ("sub ×32", "softplus ×32", 32),
        ("softplus ×32", "mean", 32),
    }
    assert {box.times for box in found.boxes if box.kind == "scope"} == {32}
    assert found.note == (
        "4,875 nodes in 7 boxes; depth=2 or between=(w, loss) opens a part, depth=math.inf everything"
    )
    assert {"[hidden layer / neuron] ×32", "[output layer / neuron] ×10"} <= set(said(folded(loss, depth=2)))
    assert {"v ×2048", "v ×32", "affine ×1024", "relu ×1024"} <= set(said(folded(loss, depth=3)))


def test_layers_of_one_kind_are_not_one():
    model = nn.MLP(4, [4, 4, 4, 4], al.tanh, seed=0)
    found = folded(al.sum(model([1.0, 2.0, 3.0, 4.0])), depth=1)
    names = ["[hidden layer 1]", "[hidden layer 2]", "[hidden layer 3]", "[output layer]", "sum", "input 4 numbers"]
    assert said(found) == names
    assert {"[hidden layer 2 / neuron] ×4", "[hidden layer 3 / neuron] ×4"} <= set(
        said(folded(al.sum(model([1.0, 2.0, 3.0, 4.0])), depth=2))
    )


def test_inputs_that_are_values_stay_outside():
    xs = [Value(float(i), f"x{i}") for i in range(3)]
    model = nn.MLP(3, [4, 1], seed=0)
    assert said(folded(*model(xs), depth=1)) == ["x ×3", "[hidden layer]", "[output layer]"]


def test_the_turns_of_a_loop_are_one_box_that_leads_to_itself():
    found = folded(recurrent(50))
    assert said(found) == ["[cell] ×50", "sub ×50", "square ×50", "mean"]
    assert ("[cell] ×50", "[cell] ×50", 49) in lines(found)
    assert len(found.boxes[0].members) == 4 + 5 * 50


def test_another_first_turn_is_another_box():
    h, out, w = 0.0, [], Value(0.5, "w")
    for t in range(100):
        with al.scope("cell"):
            h = (w * h + float(t)).tanh()
        out.append(h * h)
    assert said(folded(al.sum(out))) == ["w", "[cell]", "mul", "[cell] ×99", "mul ×99", "sum"]


def test_a_network_within_a_loop():
    model = nn.MLP(2, [8, 2], al.tanh, seed=0)
    h, outs = [0.1, 0.2], []
    for _ in range(30):
        with al.scope("cell"):
            h = model(h)
        outs.append(al.square(h[0] - 1.0))
    loss = al.mean(outs)
    assert {"[cell]", "[cell] ×29"} <= set(said(folded(loss)))
    assert len(folded(loss).boxes) < 12
    assert len(folded(loss, depth=2).boxes) < 16


def test_what_hides_everything_is_opened_further():
    with al.scope("all"):
        _, loss = digits(8)
        found = folded(loss)
    assert "[all / hidden layer]" in said(found) or "[hidden layer]" in said(found)
    assert len(found.boxes) >= 4


def test_scopes_nested_deeply():
    y = Value(1.0)
    with contextlib.ExitStack() as stack:
        for _ in range(3000):
            stack.enter_context(al.scope("s"))
            y = y.tanh()
    assert len(folded(y).boxes) <= MOST_BOXES
    assert len(folded(y, depth=10**9).boxes) <= MOST_BOXES


# ---- alike nodes, runs, chains


def test_examples_are_alike():
    y = al.sum([al.square(Value(float(i))) for i in range(1000)])
    assert said(folded(y)) == [" ×1000", "square ×1000", "sum"]


@pytest.mark.parametrize("total", [sum, lambda xs: al.sum(list(xs))])
def test_however_they_are_summed(total):
    xs = [Value(float(i), f"x[{i}]") for i in range(400)]
    found = folded(total(x * x * 0.5 for x in xs))
    assert said(found)[:3] == ["x ×400", "mul ×400", "mul ×400"]
    assert len(found.boxes) == 4


def test_names_tell_what_is_not_alike():
    xs = [Value(float(i), "x") for i in range(200)]
    ws = [Value(float(i), "w") for i in range(200)]
    y = al.sum([w + x for w, x in zip(ws, xs, strict=True)])
    assert said(folded(y)) == ["w ×200", "x ×200", "add ×200", "sum"]


def test_a_long_chain():
    y = Value(1.0, "x")
    for i in range(100_000):
        y = y.sin() if i % 3 else y * 0.5
    assert said(folded(y)) == ["x", "chain mul", "mul"]


def test_a_loop_without_scopes_goes_round():
    found = folded(recurrent(400, in_scopes=False))
    assert len(found.boxes) < 30
    assert {"tanh ×399", "square ×399"} <= set(said(found))


def test_many_roots():
    xs = [Value(float(i)) for i in range(500)]
    found = folded(*(x.tanh() for x in xs))
    assert [(box.count, box.is_root) for box in found.boxes] == [(500, False), (500, True)]


# ---- any graph


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("reach", [3, 30, 2000])
def test_any_graph_fits(seed, reach):
    y = at_random(seed, 3000, reach)
    found = folded(y)
    if found.is_open:
        return
    assert len(found.boxes) <= MOST_BOXES
    assert len(found.lines) <= MOST_LINES
    assert fold(al.topological_order(y), [y]).boxes == found.boxes
    w = next(iter(found.index))
    folded(y, between=(w, y))


@given(st.integers(0, 10**9), st.integers(1, 80), st.integers(1, 4))
def test_small_graphs_at_any_depth(seed, n, depth):
    folded(at_random(seed, n, 10), depth=depth)


def test_a_large_graph_takes_seconds():
    values: Sequence[Value] = [Value(float(i)) for i in range(300)]
    for _ in range(300):
        values = [al.tanh(a * b) for a, b in zip(values, [*values[1:], values[0]], strict=True)]
    y = al.sum(values)
    start = time.perf_counter()
    assert len(folded(y).boxes) <= MOST_BOXES
    assert time.perf_counter() - start < 30


def test_a_dense_graph():
    values = [Value(0.1)]
    for _ in range(400):
        values.append(al.mean(values).tanh())
    found = folded(values[-1])
    assert len(found.boxes) <= MOST_BOXES
    assert len(found.lines) <= MOST_LINES


# ---- between


def test_between_opens_the_paths():
    w, x, b, v = Value(0.5, "w"), Value(2.0, "x"), Value(0.1, "b"), Value(1.0, "v")
    z = w * x + b
    y = z.tanh() + v.exp().sin().exp()
    found = folded(y, between=(w, y))
    assert said(found) == ["w", "x", "mul", "b", "add", "tanh", "[]", "add"]
    assert [value.op.name for value in found.boxes[6].members if value.op] == ["exp", "sin", "exp"]


def test_between_on_a_batch():
    model, loss = digits()
    found = folded(loss, between=(model.layers[0].neurons[3].w[7], loss))
    assert {"v[4,8]", "[rest of hidden layer]", "[rest of output layer]", "affine ×288", "relu ×32"} <= set(said(found))
    (example,) = [nn.losses.cross_entropy(model([0.5] * 64), 3)]
    found = folded(example, between=(model.layers[0].neurons[3].w[7], example))
    assert [text for text in said(found) if "×" in text] == []
    assert said(found).count("affine") == 11


def test_between_leaves_out_what_comes_after():
    x = Value(2.0, "x")
    h = x * x
    y = h.exp()
    found = folded(y, between=(x, h))
    assert y not in found.index
    assert [box.is_root for box in found.boxes] == [False, True]


def test_between_a_value_and_itself():
    x = Value(2.0, "x")
    assert said(folded(x * x, between=(x, x))) == ["x"]


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (TypeError, r"depth= must be a whole number, math.inf or None, not 1.5", {"depth": 1.5}),
        (TypeError, r"depth= must be a whole number", {"depth": "1"}),
        (TypeError, r"depth= must be a whole number", {"depth": math.nan}),
        (ValueError, r"depth= must be at least 1", {"depth": 0}),
        (ValueError, r"depth= must be at least 1", {"depth": -1}),
        (TypeError, r"between= takes a pair of Values, such as \(w, loss\), not 3", {"between": 3}),
        (TypeError, r"between= takes a pair", {"between": (Value(1.0), 2.0)}),
        (TypeError, r"between= takes a pair", {"between": (Value(1.0),)}),
        (ValueError, r"not in this graph: Value\(5.0", {"between": (Value(1.0), Value(5.0))}),
    ],
)
def test_options_that_do_not_fit(error, match, options):
    x = Value(2.0, "x")
    y = x * x
    with pytest.raises(error, match=match):
        fold([x, y], [y], **options)


def test_what_does_not_reach():
    x, other = Value(2.0, "x"), Value(1.0, "other")
    y = x * x
    with pytest.raises(ValueError, match=r"there is no path from Value\(1.0.*'other'\) to Value\(4.0"):
        fold([x, y], [y], between=(other, y))
    with pytest.raises(ValueError, match="there is no path"):
        fold([x, y], [y], between=(y, x))
