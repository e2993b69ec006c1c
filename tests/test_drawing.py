"""A drawing shows every number, survives any name, and needs no Graphviz but that of pygraphviz."""

import base64
import math
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Value
from nn import drawing, layout, network_picture, wording
from nn.drawing import Drawing, draw
from nn.modules import MLP, Layer, Neuron

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"


@dataclass
class Part:
    """A node or an edge as it is in the SVG."""

    title: str
    texts: list[str]
    tooltip: str
    shapes: list[ET.Element]

    @property
    def style(self) -> dict[str, str]:
        return dict(self.shapes[0].attrib)

    @property
    def shape(self) -> str:
        return self.shapes[0].tag.removeprefix(SVG)


def plain(text: str | None) -> str:
    """Undo what Graphviz does to keep spaces in a row apart, and what is put around the partials."""
    return (text or "").replace("\xa0", " ").strip()


def parts(picture: Drawing, kind: str = "node") -> dict[str, Part]:
    """Read the nodes (or the edges) from the SVG, by id, in the order of the numbers in it."""
    found = {}
    for group in ET.fromstring(picture.svg).iter(f"{SVG}g"):
        if group.get("class") == kind:
            links = [plain(a.get(f"{XLINK}title")) for a in group.iter(f"{SVG}a")]
            shapes = [e for e in group.iter() if e.tag.removeprefix(SVG) in ("path", "polygon", "ellipse")]
            texts = [plain(text.text) for text in group.iter(f"{SVG}text")]
            found[group.get("id", "")] = Part(group.findtext(f"{SVG}title", ""), texts, (links or [""])[0], shapes)
    return dict(sorted(found.items(), key=lambda item: [int(n) for n in re.findall(r"\d+", item[0])]))


def box(value: Value) -> list[str]:
    """Return what is written in the box of a value."""
    *_, last = parts(draw(value)).values()
    return last.texts


def neuron() -> tuple[Value, ...]:
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(0.1, "b")
    y = (w * x + b).tanh()
    y.name = "y"
    return w, x, b, y


# The graph of a Value


def test_each_value_is_one_box():
    *_, y = neuron()
    nodes = parts(draw(y))
    assert {id: part.texts for id, part in nodes.items()} == {
        "node-0": ["w", "data", "0.5", "grad", "–"],
        "node-1": ["x", "data", "2", "grad", "–"],
        "node-2": ["×", "data", "1", "grad", "–"],
        "node-3": ["b", "data", "0.1", "grad", "–"],
        "node-4": ["+", "data", "1.1", "grad", "–"],
        "node-5": ["y", "tanh", "data", "0.8005", "grad", "–"],
    }
    assert [part.title for part in parts(draw(y), "edge").values()] == [
        "node-0->node-2", "node-1->node-2", "node-2->node-4", "node-3->node-4", "node-4->node-5",
    ]  # fmt: skip
    assert list(parts(draw(y), "edge")) == ["edge-2-0", "edge-2-1", "edge-4-0", "edge-4-1", "edge-5-0"]


def test_gradients_show_after_backward():
    *_, y = neuron()
    y.backward()
    assert [part.texts[-1] for part in parts(draw(y)).values()] == [
        "0.7184",
        "0.1796",
        "0.3592",
        "0.3592",
        "0.3592",
        "1",
    ]


def test_a_gradient_of_0_is_a_number_once_there_was_a_backward():
    x = Value(-1.0, "x")
    y = x.relu()
    assert [part.texts[-1] for part in parts(draw(y)).values()] == ["–", "–"]
    y.backward()
    assert [part.texts[-1] for part in parts(draw(y)).values()] == ["0", "1"]


def test_partials_on_demand():
    *_, y = neuron()
    labelled = parts(draw(y, partials=True), "edge")
    assert [part.texts for part in labelled.values()] == [["2"], ["0.5"], ["1"], ["1"], ["0.3592"]]
    assert all(part.texts == [] for part in parts(draw(y), "edge").values())


def test_tooltips_hold_the_full_numbers():
    _, x, _, y = neuron()
    y.backward()
    picture = draw(y)
    assert parts(picture)["node-1"].tooltip == f"x\ndata 2.0\ngrad {x.grad!r}"
    assert parts(picture)["node-5"].tooltip == f"y\ntanh\ndata {y.data!r}\ngrad 1.0"
    assert parts(picture, "edge")["edge-5-0"].tooltip == f"∂y/∂(+) = {y.partials[0]!r}"
    assert parts(draw(-Value(1.0)), "edge")["edge-1-0"].tooltip == "∂(−)/∂(leaf) = -1.0"


def test_a_repeated_operand_has_an_edge_for_each():
    x = Value(3.0, "x")
    edges = parts(draw(x * x, partials=True), "edge")
    assert {id: part.title for id, part in edges.items()} == {
        "edge-1-0": "node-0->node-1",
        "edge-1-1": "node-0->node-1",
    }
    first, second = (part.style["d"] for part in edges.values())
    assert first != second


def test_operands_are_drawn_in_their_order():
    a, b = Value(1.0, "a"), Value(2.0, "b")
    for quotient in (a / b, b / a):
        nodes, edges = parts(draw(quotient)), parts(draw(quotient), "edge")
        first, second = (nodes[edges[f"edge-2-{k}"].title.split("->")[0]] for k in (0, 1))
        assert height(first) < height(second)


def height(part: Part) -> float:
    return min(float(y) for y in re.findall(r",(-?[\d.]+)", part.style.get("points") or part.style["d"]))


def test_leaves_results_and_the_root_look_different():
    w, *_, y = neuron()
    nodes = parts(draw(y))
    leaf, result, root = nodes["node-0"], nodes["node-2"], nodes["node-5"]
    assert (leaf.shape, result.shape, root.shape) == ("path", "polygon", "polygon")  # only round corners need a path
    assert len({part.style["fill"] for part in (leaf, result, root)}) == 3
    assert len({part.style["stroke"] for part in (leaf, result, root)}) == 3
    assert root.style["stroke-width"] == "2"
    assert parts(draw(w))["node-0"].style["stroke-width"] == "2"


x = Value(3.0, "x")
CONSTANTS = {
    "× 0.5": x * 0.5,
    "+ 1": 1 + x,
    "− 2": x - 2,
    "2 − x": 2 - x,
    "÷ 3": x / 3,
    "1 ÷ x": 1 / x,
    "xᶜ, c=2": x**2,
    "xʸ, x=2": 2**x,
    "max(x, 0)": al.maximum(x, 0.0),
    "max(0, y)": al.maximum(0.0, x),
    "clamp(x, -1, inf)": al.clamp(x, -1, math.inf),
    "leaky(x, 0.01)": al.leaky_relu(x),
    "where(1, x, y)": al.where(1.0, x, Value(2.0)),
    "atan2(1, x)": al.atan2(1.0, x),
    "ψ⁽ⁿ⁾, n=1": al.polygamma(1.0, x),
    "Σ (·, 1, 2)": al.sum([x, 1.0, 2.0]),
    "Σ (1, ·, 1, … 2 more)": al.sum([1.0, x, 1.0, 1.0, 1.0]),
    "mean(·, 0)": al.mean([x, 0]),
    "w·x, x=(1, 2)": al.dot([x, x], [1.0, 2.0]),
    "w·x+b, x=(1, 2)": al.affine([x, x], [1.0, 2.0], x),
    "w·x+b, b=0": al.affine([x, x], [x, x], 0.0),
    "w·x+b, x=(·, 2), b=-1": al.affine([x, x], [x, 2.0], -1.0),
    "softmax(x, (1, 2))": al.softmax([x, 1.0, 2.0])[0],
    "softmax(1, rest)": al.softmax([1.0, x, x])[0],
}


@pytest.mark.parametrize("text", CONSTANTS)
def test_constants_are_written_in_the_box_of_the_operation(text):
    assert box(CONSTANTS[text])[0] == text


def test_an_operation_of_your_own():
    between = al.Op("between", "⊕", lambda x, y: (x + y) / 2, lambda z, x, y: (0.5, 0.5))
    assert box(between(x, 1.0))[0] == "⊕ 1"
    assert box(between(x, x))[0] == "⊕"
    power = al.Op(
        "mod", "x|y", math.fmod, divmod, domain=(al.REAL, al.CONSTANT)
    )  # whose rule does not name its operands
    assert wording._operand_names(power) == ["x1", "x2"]


def test_every_row_of_the_table_can_be_drawn():
    for op in al.TABLE.values():
        operands = [1.0 if d.constant else [x, x] if d.many else x for d in op.domain]
        assert op.symbol in box(op(*operands))[0] or op.symbol == "ψ⁽ⁿ⁾"


@pytest.mark.parametrize(
    ("number", "text"),
    [(1 / 3, "0.3333"), (-0.0, "-0"), (1e-300, "1e-300"), (12345.678, "1.235e+04"), (math.inf, "inf")],
)
def test_numbers_are_short(number, text):
    assert box(Value(number))[1] == text


def test_a_list_of_values_has_many_roots():
    logits = [Value(v, name) for v, name in ((1.0, "cat"), (2.0, "dog"), (-1.0, "bird"))]
    picture = draw(al.softmax(logits))
    assert picture.summary == "computation graph: 6 nodes, 9 edges"
    assert [part.style.get("stroke-width") for part in parts(picture).values()].count("2") == 3
    assert draw([x, x]).dot == draw(x).dot


def test_a_network_can_be_drawn_as_the_graph_it_computes():
    (output,) = MLP(2, [2, 1], al.tanh, seed=0)([1.0, -2.0])
    nodes = list(parts(draw(output)).values())
    assert [part.texts[0] for part in nodes if "w·x+b" in part.texts[0]] == ["w·x+b, x=(1, -2)"] * 2 + ["w·x+b"]
    assert {"v[1,1]", "w[1,2]"} <= {part.texts[0] for part in nodes}


def test_orientation():
    def size(picture):
        root = ET.fromstring(picture.svg)
        return [float(root.get(side).removesuffix("pt")) for side in ("width", "height")]

    chain = x.tanh().tanh().tanh()
    assert size(draw(chain))[0] > size(draw(chain))[1]
    assert size(draw(chain, orientation="TB"))[0] < size(draw(chain, orientation="TB"))[1]


def test_a_large_graph_says_what_it_hides():
    y = x
    for _ in range(100_000):
        y = y + x
    drawing = draw(y)
    assert "100,001 nodes in 2 boxes" in drawing.summary
    assert "100,001 nodes in 2 boxes; " in drawing.svg


def test_a_large_graph_is_drawn_at_will():
    y = x
    for _ in range(1200):  # beyond 1,000 nodes pygraphviz itself has something to say, which is no news to anybody
        y = y.tanh()
    assert len(parts(draw(y, depth=math.inf))) == 1201


def test_a_loop_that_shares_its_weights_is_laid_out_in_time():
    w, b, y = Value(0.5, "w"), Value(0.1, "b"), Value(2.0, "x")
    for i in range(140):
        y = y.sin() if i % 2 else y * w + b
    start = time.perf_counter()
    assert draw(y).svg
    assert time.perf_counter() - start < 20  # 0.8 s by itself; at Graphviz's own pace it is minutes


def fills(drawing):
    """Return the colour of each box by its id."""
    groups = ET.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}g")
    shapes = {g.get("id"): [*g.iter("{http://www.w3.org/2000/svg}polygon"), *g.iter("{http://www.w3.org/2000/svg}path")]
              for g in groups if g.get("class") == "node"}  # fmt: skip
    return {name: next(shape.get("fill") for shape in found if shape.get("fill") != "none")
            for name, found in shapes.items()}  # fmt: skip


def test_heat():
    small, large, none = Value(1e-3, "small"), Value(1.0, "large"), Value(1.0, "none")
    y = small * large + none * 0.0
    y.backward()
    found = fills(draw(y, heat=True))
    order = [node.name for node in al.topological_order(y)]
    shade = {name: found[f"node-{order.index(name)}"] for name in ("small", "large", "none")}
    assert shade["none"] in ("#ffffff", "white")
    luminance = {name: sum(bytes.fromhex(colour[1:])) for name, colour in shade.items() if colour[0] == "#"}
    assert luminance["small"] < luminance["large"]  # as ∂y/∂small is 1, and ∂y/∂large is 0.001
    assert "|grad|" in draw(y, heat=True).svg and "white: 0" in draw(y, heat=True).svg
    assert len(set(fills(draw(y)).values())) == 3  # leaf, node, root


def test_heat_before_any_backward_is_refused():
    with pytest.raises(ValueError, match="no backward has reached this graph"):
        draw(Value(2.0) * 3.0, heat=True)


def test_heat_shows_what_is_not_finite():
    w = Value(0.0, "w")
    y = w.log() * 2.0
    y.backward()
    assert w.grad == math.inf
    drawing = draw(y, heat=True)
    assert "#000000" in [colour.replace("black", "#000000") for colour in fills(drawing).values()]
    assert "black: nan or inf" in drawing.svg.replace("&#160;", " ")


def test_same_input_same_bytes():
    def dot():
        *_, y = neuron()
        y.backward()
        return draw(y, partials=True).dot, draw(MLP(3, [20, 2], seed=1), outputs=["a", "b"]).dot

    assert dot() == dot()


def test_a_drawing_is_of_the_moment():
    v = Value(1.0, "v")
    picture = draw(v)
    v.data = 2.0
    assert parts(picture)["node-0"].texts == ["v", "data", "1", "grad", "–"]


# A network


def circles(picture: Drawing) -> list[tuple[float, float]]:
    """Return the centres of the units, from left to right and from top to bottom."""
    found = parts(picture).values()
    return sorted((float(p.style["cx"]), float(p.style["cy"])) for p in found if p.shape == "ellipse")


def written(picture: Drawing) -> set[str]:
    return {text for part in parts(picture).values() for text in part.texts}


def test_a_network_is_the_lectures_figure():
    picture = draw(MLP(3, [4, 2], seed=0))
    assert picture.summary == "network: 3 input units, 4 hidden units, 2 output units"
    assert {"input units", "hidden units", "output units", "3", "4 relu", "2 linear"} <= written(picture)
    units = [part.texts for id, part in parts(picture).items() if re.fullmatch(r"node-\d", id)]
    assert sorted(units) == sorted([[f"x{k}"] for k in "₁₂₃"] + [[f"h{k}"] for k in "₁₂₃₄"] + [[f"o{k}"] for k in "₁₂"])
    columns: dict[float, list[float]] = {}
    for cx, cy in circles(picture):
        columns.setdefault(cx, []).append(cy)
    assert [len(column) for column in columns.values()] == [3, 4, 2]
    assert len({round(sum(column) / len(column), 1) for column in columns.values()}) == 1
    assert {round(b - a, 1) for column in columns.values() for a, b in pairwise(column)} == {38.0}
    gaps = sorted(columns)
    assert gaps[1] - gaps[0] == pytest.approx(gaps[2] - gaps[1], abs=0.1)


def test_every_weight_is_a_straight_line():
    edges = parts(draw(MLP(3, [4, 2], seed=0)), "edge")
    expected = [f"edge-{3 + k}-{i}" for k in range(4) for i in range(3)] + [
        f"edge-{7 + k}-{j}" for k in range(2) for j in range(4)
    ]
    assert sorted(edges) == sorted(expected)
    assert edges["edge-7-3"].title == "node-6->node-7"
    for part in edges.values():
        (x0, y0), *between, (x1, y1) = [
            tuple(map(float, point.split(","))) for point in re.findall(r"-?[\d.]+,-?[\d.]+", part.style["d"])
        ]
        assert all(abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) < 0.05 * (x1 - x0) for x, y in between)


def test_colour_is_the_sign_and_width_the_size():
    layer = Layer(5, 1, seed=0)
    for w, data in zip(layer.neurons[0].w, [2.0, -1.0, 0.0, math.nan, -math.inf], strict=True):
        w.data = data
    picture = draw(layer)
    styles = [part.style for part in parts(picture, "edge").values()]
    colours = [style["stroke"] for style in styles]
    assert colours == [
        network_picture._POSITIVE,
        network_picture._NEGATIVE,
        network_picture.LINE,
        network_picture._NO_NUMBER,
        network_picture._NEGATIVE,
    ]
    widths = [float(style["stroke-width"]) for style in styles]
    assert widths == [2.75, 1.5, 0.25, 2.75, 2.75]
    assert "the widest line: |w| = 2" in written(picture)
    for w in layer.parameters():
        w.data = 0.0
    assert {part.style["stroke-width"] for part in parts(draw(layer), "edge").values()} == {"0.25"}


def test_a_unit_tells_its_bias_and_a_line_its_weight():
    model = MLP(2, [2, 1], al.tanh, seed=0)
    bias, weight = model.layers[0].neurons[1].b, model.layers[1].neurons[0].w[1]
    assert parts(draw(model))["node-0"].tooltip == "x₁"
    assert parts(draw(model))["node-3"].tooltip == "h₂\ntanh\nv[2,0] = 0.0, grad –"
    model([1.0, 2.0])[0].backward()
    assert parts(draw(model))["node-3"].tooltip == f"h₂\ntanh\nv[2,0] = 0.0, grad {bias.grad!r}"
    assert (
        parts(draw(model), "edge")["edge-4-1"].tooltip
        == f"from h₂ to o₁\nw[1,2] = {weight.data!r}, grad {weight.grad!r}"
    )


def test_of_several_hidden_layers_each_has_its_number():
    assert {"h¹₁", "h²₁₀", "o₁"} <= written(draw(MLP(1, [1, 10, 1])))


def test_a_large_layer_is_shortened_and_says_so():
    picture = draw(MLP(64, [32, 10], seed=0), outputs=list("0123456789"))
    assert picture.summary == "network: 64 input units, 32 hidden units, 10 output units"
    assert len(circles(picture)) == 7 + 7 + 10
    assert {"57 more", "25 more", "x₁", "x₆", "x₆₄", "h₃₂", "o₁₀"} <= written(picture)
    assert "x₇" not in written(picture)
    edges = parts(picture, "edge")
    assert len(edges) == 7 * 7 + 7 * 10
    assert {"edge-64-0", "edge-64-63", "edge-96-31"} <= set(edges)
    assert len(circles(draw(MLP(16, [1])))) == 17


def test_a_layer_and_a_neuron_are_networks_too():
    assert draw(Layer(2, 3, al.softmax)).summary == "network: 2 input units, 3 output units"
    assert draw(Neuron(2, al.sigmoid)).summary == "network: 2 input units, 1 output unit"
    assert "1 sigmoid" in written(draw(Neuron(2, al.sigmoid)))


def test_names_stand_beside_the_units():
    picture = draw(Layer(2, 1), inputs=("sepal length", "a name that is longer than there is room"), outputs=["class"])
    nodes = {text: part for part in parts(picture).values() for text in part.texts}
    left, right = nodes["sepal length"], nodes["class"]
    assert right.tooltip == "class"
    assert "a name that is longer t…" in nodes
    svg = ET.fromstring(picture.svg)
    at = {text.text: (text.get("text-anchor"), float(text.get("x"))) for text in svg.iter(f"{SVG}text")}
    assert left is not right
    assert at["sepal length"][0] == "end"
    assert at["sepal length"][1] < at["x₁"][1] - 15
    assert at["class"][0] == "start"
    assert at["class"][1] > at["o₁"][1] + 15
    assert parts(picture)["node-0"].tooltip == "x₁\nsepal length"


# Names of any kind

HOSTILE = [
    "</script><b>", "<b>", "<", ">", "&", "&lt;", "&amp;", "&#45;", "]]>", "-->", '"', "'", "\\", "\\\\", "tail\\",
    "\\N", "\\G", "\\E", "\\L \\T \\H \\l \\r", "\\n", "{a|b}", "a:b", "charset=", 'x charset="utf-16"', "node", "",
    " ", "  a  b ", "%1", "é 漢字 😀 \U0001f469\u200d\U0001f52c", "\u202etxt.exe", "\x00", "a\nb\r\nc\td", "\x1b[31m",
    "\ud800", "\ufffe", "\u2028", "</title></svg><img src=x onerror=alert(1)>", "javascript:alert(1)", "name\u0301",
]  # fmt: skip


def as_printed(name: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def check_name(name: str) -> None:
    v = Value(1.0, name)
    graph, network = draw(v * v, partials=True), draw(Layer(1, 1), inputs=[name], outputs=[name])
    assert list(parts(graph)) == ["node-0", "node-1"]
    assert list(parts(graph, "edge")) == ["edge-1-0", "edge-1-1"]
    assert {"node-0", "node-1"} <= set(parts(network))
    shown = as_printed(name)
    if shown.strip() and len(shown) <= 24:
        assert parts(graph)["node-0"].texts[0] == shown.strip()
        assert shown.strip() in written(network)
    if shown.strip() and len(shown) <= 60:
        assert parts(graph)["node-0"].tooltip.split("\n")[0].strip() == shown.strip()
        assert parts(graph, "edge")["edge-1-0"].tooltip == f"∂(×)/∂{shown} = 1.0"
    for picture in (graph, network):
        check_html(picture)


class Tags(HTMLParser):
    """The start tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_html(picture: Drawing) -> None:
    (_, _), (iframe, frame), (img, image) = Tags(picture._repr_mimebundle_()["text/html"]).found
    assert (iframe, img) == ("iframe", "img")
    assert frame["sandbox"] in (None, "")
    assert frame["onload"] == "this.nextElementSibling?.remove()"
    page = frame["srcdoc"] or ""
    assert page.endswith(picture.svg)
    tags = Tags(page).found
    assert {tag for tag, _ in tags} <= {"meta", "title", "style", "svg", "g", "a", "path", "polygon", "ellipse", "text"}
    assert not [key for _, attributes in tags for key in attributes if key.startswith("on") or key.endswith("href")]
    prefix, _, data = (image["src"] or "").partition(",")
    assert prefix == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == picture.svg


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name):
    check_name(name)


@given(st.text(st.characters(codec=None) | st.sampled_from("\\<>&\"'{}|;#NGEn\n"), max_size=30))
def test_any_name(name):
    check_name(name)


def test_long_names_are_shortened():
    name = "n" * 10_000
    node = parts(draw(Value(1.0, name)))["node-0"]
    assert node.texts[0] == "n" * 23 + "…"
    assert node.tooltip.split("\n")[0] == "n" * 199 + "…"
    assert len(draw(Layer(1, 1), inputs=[name]).dot) < 4000


def test_hostile_symbols():
    for symbol in filter(None, HOSTILE):
        op = al.Op("own", symbol, lambda x, y: x, lambda z, x, y: (1.0, 0.0))
        for value in (op(x, x), op(x, 1.0)):
            picture = draw(value, partials=True)
            assert list(parts(picture)) == ["node-0", "node-1"]
            check_html(picture)


# Files and notebooks


@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<svg"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("A.DOT", b"digraph")]
)
def test_files(tmp_path, name, start):
    picture = draw(x * x)
    picture.save(tmp_path / name)
    picture.save(str(tmp_path / f"again-{name}"))
    content = (tmp_path / name).read_bytes()
    assert content.startswith(start)
    assert content == (tmp_path / f"again-{name}").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, f"again-{name}"])


def test_a_pdf_has_no_date(tmp_path):
    draw(x).save(tmp_path / "a.pdf")
    assert time.strftime("(D:%Y").encode() not in (tmp_path / "a.pdf").read_bytes()


def test_a_saved_svg_stands_alone(tmp_path):
    draw(Value(1.0, "é漢")).save(tmp_path / "a.svg")
    assert ET.parse(tmp_path / "a.svg").getroot().tag == f"{SVG}svg"


@pytest.mark.parametrize("name", ["a.jpg", "a", ".svg", "a.svg.gz"])
def test_an_unknown_suffix_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.pdf or \.dot"):
        draw(x).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_can_not_be_written(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        draw(x).save(tmp_path / "nowhere" / "a.svg")


def test_a_failed_layout_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    path.write_text("before")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImportError):
        draw(x).save(path)
    assert path.read_text() == "before"


def test_notebooks_get_html_an_image_and_text():
    picture = draw(x * x)
    bundle, _ = pytest.importorskip("IPython.core.formatters").DisplayFormatter().format(picture)
    assert bundle["image/svg+xml"] == picture.svg
    assert bundle["text/plain"] == "Drawing(computation graph: 2 nodes, 2 edges)"
    assert bundle["text/html"].count("<iframe") == bundle["text/html"].count("<img") == 1
    check_html(picture)
    assert set(picture._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert set(picture._repr_mimebundle_(exclude=["text/html"])) == {"text/plain", "image/svg+xml"}


def test_the_frame_is_as_high_as_the_picture():
    picture = draw(MLP(2, [16, 1], seed=0))
    points = float(ET.fromstring(picture.svg).get("height").removesuffix("pt"))
    pixels = int(re.search(r"max-height:(\d+)px", picture._repr_mimebundle_()["text/html"])[1])
    assert points * 4 / 3 <= pixels <= points * 4 / 3 + 25


# Laying out


def test_the_layout_is_made_when_needed_and_once(monkeypatch):
    calls = []
    lay_out = drawing.lay_out
    monkeypatch.setattr(drawing, "lay_out", lambda dot, form: calls.append(form) or lay_out(dot, form))
    picture = draw(x)
    assert (repr(picture), picture.dot[:7], calls) == ("Drawing(computation graph: 1 node, 0 edges)", "digraph", [])
    assert picture.svg is picture.svg
    picture._repr_mimebundle_()
    assert calls == ["svg"]


@pytest.fixture
def only_a_dot_command(tmp_path, monkeypatch):
    """Take pygraphviz away and put a command `dot` on PATH, which complains a little."""
    command = tmp_path / "bin" / "dot"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\n"
        "import sys, pygraphviz\n"
        "form = next(a[2:] for a in sys.argv if a.startswith('-T'))\n"
        "sys.stderr.write('Fontconfig warning: nothing new\\nWarning: something odd\\n' if form == 'svg' else '')\n"
        "drawn = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode()).draw(format=form, prog='dot')\n"
        "sys.stdout.buffer.write(drawn)\n"
    )
    command.chmod(0o755)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(command.parent))


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for dot is a script")
def test_dot_on_path_is_the_second_choice(only_a_dot_command, tmp_path, capfd):
    for picture in (draw(x * x), draw(MLP(3, [4, 2], seed=0))):
        with pytest.warns(UserWarning, match=r"^Graphviz: Warning: something odd$"):
            assert "node-1" in parts(picture)
        picture.save(tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert capfd.readouterr().err == ""


def test_without_any_graphviz_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", "")
    picture = draw(x)
    with pytest.raises(ImportError, match=r"`pip install pygraphviz`.*`dot` is on PATH"):
        picture.svg  # noqa: B018
    assert set(picture._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}


def stand_in(write: str, fail: bool = False) -> SimpleNamespace:
    """Return a module like pygraphviz, which writes to file descriptor 2 while it draws."""

    class AGraph:
        def __init__(self, string: str) -> None:
            pass

        def draw(self, format: str, prog: str) -> bytes:
            os.write(2, write.encode())
            if fail:
                raise ValueError("Graphviz raised a layout error.")
            return b"<svg></svg>"

    return SimpleNamespace(AGraph=AGraph)


def test_noise_about_fonts_is_not_passed_on(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "pygraphviz", stand_in("Fontconfig error: Cannot load\n\nFontconfig warning: x\n"))
    assert draw(x).svg == "<svg></svg>"
    os.write(2, b"mine")
    assert capfd.readouterr().err == "mine"


def test_complaints_of_graphviz_are_warnings(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "pygraphviz", stand_in("Fontconfig error: x\nWarning: a\nWarning: \xff b\n"))
    with pytest.warns(UserWarning, match=r"^Graphviz: Warning: a; Warning: \xff b$"):
        assert draw(x).svg == "<svg></svg>"
    assert capfd.readouterr().err == ""


def test_what_graphviz_said_is_told_when_it_fails(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "pygraphviz", stand_in("Error: why\n", fail=True))
    with pytest.warns(UserWarning, match="Error: why"), pytest.raises(ValueError, match="layout error"):
        draw(x).svg  # noqa: B018
    os.write(2, b"mine")
    assert capfd.readouterr().err == "mine"


def test_threads_can_draw():
    pictures = [draw(Value(float(k), f"v{k}") * 2.0) for k in range(24)]
    with ThreadPoolExecutor(8) as pool:
        svgs = list(pool.map(lambda picture: picture.svg, pictures))
    assert all(f">v{k}<" in svg for k, svg in enumerate(svgs))


def test_threads_take_turns(monkeypatch):
    drawing_now = []

    class AGraph:
        def __init__(self, string: str) -> None:
            pass

        def draw(self, format: str, prog: str) -> bytes:
            drawing_now.append(1)
            time.sleep(0.01)
            assert len(drawing_now) == 1
            drawing_now.pop()
            return b"<svg></svg>"

    monkeypatch.setitem(sys.modules, "pygraphviz", SimpleNamespace(AGraph=AGraph))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda form: layout.lay_out("digraph {}", form), ["svg"] * 8)) == [b"<svg></svg>"] * 8


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)


def test_a_process_without_a_standard_error_can_draw():
    code = "import os; os.close(2)\nfrom nn.drawing import draw, Value\nprint(draw(Value(1.0)).svg[:4])"
    assert run(code).stdout == "<svg\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no system without fonts")
def test_without_fonts_a_png_warns_and_an_svg_is_whole(tmp_path):
    (tmp_path / "fonts.conf").write_text(f"<fontconfig><cachedir>{tmp_path}/cache</cachedir></fontconfig>")
    code = (
        "import sys, warnings\nfrom nn.drawing import draw, Value\nfrom nn.modules import MLP\n"
        "picture = draw(MLP(2, [20, 2]), inputs=['left of it', 'wwwwwwwwww'])\nprint(picture.svg[:4])\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n    picture.save(sys.argv[0] + '.png' if 0 else 'TMP/a.png')\n"
        "print(*[w.message for w in caught])"
    ).replace("TMP", str(tmp_path))
    done = run(code, FONTCONFIG_FILE=str(tmp_path / "fonts.conf"), FONTCONFIG_PATH=str(tmp_path))
    assert done.stdout.startswith("<svg\nthis machine has no fonts, so the text in the PNG is empty boxes")
    assert done.stdout.count("\n") == 2
    assert done.stderr == ""


# Bad input


@pytest.mark.parametrize("thing", [3.0, "x", None, [1.0], [x, None], {"x": x}, x.tanh, Value, (value for value in [x])])
def test_what_can_not_be_drawn(thing):
    with pytest.raises(TypeError, match="draw takes a Value, a list of Values, a Neuron, a Layer or an MLP, not"):
        draw(thing)


@pytest.mark.parametrize(
    ("error", "match", "thing", "options"),
    [
        (ValueError, "nothing to draw", [], {}),
        (ValueError, '"LR" or "TB", not \'RL\'', x, {"orientation": "RL"}),
        (ValueError, "inputs= and outputs= name the units of a network", x, {"inputs": ["a"]}),
        (ValueError, "inputs= and outputs= name the units of a network", x, {"outputs": []}),
        (ValueError, "heat= and notation= are for the graph of a Value", Neuron(1), {"partials": True}),
        (ValueError, "heat= and notation= are for the graph of a Value", Neuron(1), {"orientation": "TB"}),
        (ValueError, "heat= and notation= are for the graph of a Value", Neuron(1), {"heat": True}),
        (TypeError, "depth= must be a whole number", x, {"depth": "2"}),
        (TypeError, "between= takes a pair of Values", x, {"between": x}),
        (ValueError, "there is no notation", x, {"notation": "slides"}),
        (ValueError, "the network has 2 inputs, but inputs= has 1 name", Neuron(2), {"inputs": ["a"]}),
        (ValueError, "the network has 1 output, but outputs= has 2 names", Neuron(2), {"outputs": ["a", "b"]}),
        (TypeError, "inputs= takes a list of texts, one per input unit, not 'ab'", Neuron(2), {"inputs": "ab"}),
        (TypeError, "outputs= takes a list of texts", Layer(1, 2), {"outputs": [0, 1]}),
        (TypeError, "outputs= takes a list of texts", Layer(1, 2), {"outputs": 2}),
    ],
)
def test_options_that_do_not_fit(error, match, thing, options):
    with pytest.raises(error, match=match):
        draw(thing, **options)
