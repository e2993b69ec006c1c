"""A stepper tells every event with its numbers, moves either way, and writes pages that no name can break."""

import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

import autograd_lite as al
import nn
from autograd_lite import Value
from autograd_lite.steps import Backward
from nn.stepping import Stepper, _screen, stepper

HOSTILE = ["</script><script>alert(1)</script>", "<!--<script>", "\"'`&amp;\\", "\u2028Ω𝛿\u202e", "x" * 10_000, "]]>"]


def neuron() -> Value:
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(0.1, "b")
    return (w * x + b).tanh()


def html_of(s: Stepper) -> str:
    return s._page.html(s.position)


def story(page: str) -> dict:
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(data)


def test_it_walks_both_ways_and_stays_within():
    s = stepper(neuron())
    assert (len(s), s.position, s.event) == (11, 0, s.steps[0])
    assert s.back().position == 0
    assert [s.next().position for _ in range(12)] == [*range(1, 11), 10, 10]
    assert s.back().position == 9
    assert s.event is s.steps[9]


def test_goto_takes_a_number_or_a_name():
    s = stepper(neuron())
    assert s.goto(4).position == 4
    assert s.goto(-1).position == 10
    assert s.goto("b").event.node.name == "b"
    assert s.goto("v3").event.op is al.mul
    assert s.goto("y").event.node is s.steps.forward[-1].node
    hidden = nn.MLP(2, [3, 1], seed=0)
    assert stepper(hidden([1.0, 2.0])[0]).goto("v[2,1]").event.node is hidden.layers[0].neurons[1].w[0]


@pytest.mark.parametrize("where", [11, -12, "nobody"])
def test_goto_somewhere_that_is_not_there(where):
    s = stepper(neuron()).goto(3)
    with pytest.raises(
        ValueError, match=r"there is no step -?1\d; the numbers are 0 to 10|no node is named 'nobody'; "
    ):
        s.goto(where)
    assert s.position == 3


@pytest.mark.parametrize("where", [1.0, None, [1]])
def test_goto_wants_a_number_or_a_name(where):
    with pytest.raises(TypeError, match="the number of a step or the name of a node"):
        stepper(neuron()).goto(where)


def test_the_position_can_be_set():
    s = stepper(neuron())
    s.position = -1
    assert s.position == 10
    for wrong, error in ((11, ValueError), (1.0, TypeError), ("w", TypeError)):
        with pytest.raises(error, match=r"there is no step 11|want the number of a step"):
            s.position = wrong
    assert s.position == 10


def test_goto_a_name_that_two_nodes_have():
    with pytest.raises(ValueError, match=r"2 nodes are named 'a', at steps \[0, 1\]; give a number"):
        stepper(Value(1.0, "a") * Value(2.0, "a")).goto("a")


def test_until_goes_on_to_the_next_such_event():
    s = stepper(neuron())
    assert s.until(lambda event: isinstance(event, Backward)).position == 6
    assert s.until(lambda event: event.parent.name == "x").position == 10
    with pytest.raises(ValueError, match="no event after step 11 of 11"):
        s.until(lambda event: True)
    assert s.position == 10


def test_until_wants_a_function():
    with pytest.raises(TypeError, match="until takes a function of an event, not 'h'"):
        stepper(neuron()).until("h")


def test_only_a_value_has_steps():
    with pytest.raises(TypeError, match="is of type float"):
        stepper(3.0)


def test_a_leaf_alone():
    assert str(stepper(Value(2.0))) == "step 1 of 1, forward: y = 2"


def test_every_product_has_a_line():
    s = stepper(neuron())
    assert s.text(5) == "y = tanh(v5) = tanh(1.1) = 0.8005"
    assert s.text(6) == "∂y/∂v5 · ∂y/∂y = 0.3592 × 1 = 0.3592 → grad so far 0.3592"
    assert repr(s.goto(9)) == "step 10 of 11, backward: ∂v3/∂w · ∂y/∂v3 = 2 × 0.3592 = 0.7184 → grad so far 0.7184"


def test_both_edges_of_a_square_and_what_they_add_up_to():
    x = Value(-3.0, "x")
    s = stepper(x * x)
    assert [s.text(i) for i in (1, 2, 3)] == [
        "y = x × x = (-3) × (-3) = 9",
        "∂y/∂x · ∂y/∂y = (-3) × 1 = -3 → grad so far -3",
        "∂y/∂x · ∂y/∂y = (-3) × 1 = -3 → grad so far -3 + (-3) = -6",
    ]


def test_formulas():
    a, b, c = Value(1.0, "a"), Value(2.0, "b"), Value(3.0, "c")
    formulas = {
        "a − b": a - b, "a ÷ 2": a / 2, "−a": -a, "b ** 2": b**2, "b ** c": b**c, "a + b + c": al.sum([a, b, c]),
        "a·0.5 + b·(-1) + c": al.affine([a, b], [0.5, -1.0], c), "a·b + b·c": al.dot([a, b], [b, c]),
        "clamp(a, 0, 2)": al.clamp(a, 0.0, 2.0), "logsumexp([a, b])": al.logsumexp([a, b]),
        "a + b + … + c": al.sum([a, b, a, b, c]),
    }  # fmt: skip
    for formula, y in formulas.items():
        assert stepper(y).text(len(al.topological_order(y)) - 1).startswith(f"y = {formula} = ")


def test_brackets_only_where_a_minus_would_stand_beside_a_sign():
    a, b = Value(-1.0, "a"), Value(-2.0, "b")
    formulas = {
        "tanh(-1)": al.tanh(a), "maximum(-1, -3)": al.maximum(a, -3.0), "logsumexp([-1, -2])": al.logsumexp([a, b]),
        "(-1) × (-2)": a * b, "−(-1)": -a, "(-1) + (-2)": al.sum([a, b]), "(-1)·(-2) + (-3)": al.affine([a], [b], -3.0),
    }  # fmt: skip
    for formula, y in formulas.items():
        assert f" = {formula} = " in stepper(y).text(len(al.topological_order(y)) - 1)


def test_names_it_gives_are_nobodys():
    v2, y = Value(1.0, "v2"), Value(1.0, "y")
    s = stepper((v2 * y).tanh() + 1.0)
    labels = story(html_of(s))["labels"]
    assert len(set(labels)) == len(labels)
    assert s.goto("y").event.node is y


def test_nothing_is_changed_by_it():
    y = neuron()
    html_of(stepper(y))
    assert all(node.grad == 0.0 for node in al.topological_order(y))
    assert all(not node.op or node.name is None for node in al.topological_order(y))


def test_not_a_number():
    x = Value(math.nan, "x")
    assert stepper(x * math.inf).text(2) == "∂y/∂x · ∂y/∂y = inf × 1 = inf → grad so far inf"


# The page


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, and the text in each kind of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag


def test_the_page_has_all_steps_and_opens_at_the_current_one(tmp_path: Path):
    s = stepper(neuron()).goto(7)
    s.save(tmp_path / "steps.html")
    page = (tmp_path / "steps.html").read_text("utf-8")
    told = story(page)
    assert told["position"] == 7
    assert told["labels"] == ["w", "x", "v3", "b", "v5", "y"]
    assert [text for _, text, *_ in told["events"]] == [s.text(i) for i in range(len(s))]
    assert [len(event) for event in told["events"]] == [3] * 6 + [5] * 5
    assert os.listdir(tmp_path) == ["steps.html"]


def test_the_page_asks_for_nothing():
    page = html_of(stepper(neuron()))
    elements = Reader(page).elements
    policy = next(a["content"] for tag, a in elements if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not any({"src", "href", "xlink:href"} & set(attributes) for _, attributes in elements)
    namespaces = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
    assert set(re.findall(r"https?://[^\s\"']+", page)) == set(namespaces)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_the_page(name):
    y = Value(1.0, name) * Value(2.0, "x")
    y.name = name + "!"
    page = html_of(stepper(y))
    tame = html_of(stepper(Value(1.0, "w") * Value(2.0, "x")))
    assert [tag for tag, _ in Reader(page).elements] == [tag for tag, _ in Reader(tame).elements]
    assert len(page) < len(tame) + 3000
    assert len(story(page)["events"]) == 5
    ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert len(str(stepper(y).goto(4))) < 250
    assert stepper(y).goto(name).event.node.name == name


def test_the_picture_in_the_page_has_what_the_script_looks_for():
    x, k = Value(3.0, "x"), Value(2.0)
    page = html_of(stepper((x * x + k).sigmoid() * 0.5))
    picture = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    groups = {g.get("id"): g for g in picture.iter("{http://www.w3.org/2000/svg}g")}
    assert [i for i in groups if i.startswith("node")] and len([i for i in groups if i.startswith("edge")]) == 6
    for event in story(page)["events"]:
        texts = list(groups[f"node-{event[0]}"].iter("{http://www.w3.org/2000/svg}text"))
        assert [texts[-4].text, texts[-2].text] == ["data", "grad"]
        if len(event) > 3:
            assert f"edge-{event[0]}-{event[4]}" in groups


def test_a_page_of_300_nodes_is_small():
    y = nn.MLP(8, [14, 8, 1], seed=0)([0.1 * i for i in range(8)])[0]
    assert len(al.topological_order(y)) == 300
    assert len(html_of(stepper(y)).encode()) < 400_000


def test_too_large_for_a_page(tmp_path: Path):
    s = stepper(al.sum([Value(float(i)) for i in range(1500)]), depth=math.inf)
    with pytest.raises(ValueError, match=r"too large for a picture \(1,501 boxes and 1,500 lines; the most is 2,000"):
        s.save(tmp_path / "steps.html")
    assert os.listdir(tmp_path) == []
    assert list(s._repr_mimebundle_()) == ["text/plain"]
    assert s._mime_() == ("text/plain", repr(s))
    assert s.goto(-1).position == 3000


# Large graphs


@pytest.fixture(scope="module")
def batch() -> Stepper:
    digits = nn.data.digits()
    model = nn.MLP(64, [32, 10], seed=0)
    losses = [nn.losses.cross_entropy(model(digits.X[i]), digits.y[i]) for i in range(32)]
    return stepper(al.mean(losses))


def test_a_page_goes_box_by_box_and_python_event_by_event(batch: Stepper):
    told = story(html_of(batch))
    assert len(batch) > 90_000
    assert len(told["events"]) < 50
    assert told["note"].startswith(f"{len(batch):,} steps as {len(told['events'])}, box by box; ")
    assert "hidden layer" in told["labels"]
    texts = [text for _, text, *_ in told["events"]]
    assert any(text.startswith("hidden layer: 2,080 leaf values, ") and "2,048 operations" in text for text in texts)
    operations, products = (
        sum(int(n.replace(",", "")) for text in texts for n in re.findall(rf"([\d,]+) {what}", text))
        for what in ("(?:operation|leaf value)", "product")
    )
    assert (operations, products) == (len(batch.steps.forward) - 1, len(batch.steps.backward))  # y has its own line
    assert batch.goto(0).next().position == 1
    assert batch.until(lambda event: isinstance(event, Backward)).position == len(batch.steps.forward)
    batch.goto(0)


def test_a_page_of_a_large_graph_is_small_and_quick(batch: Stepper):
    start = time.perf_counter()
    page = html_of(stepper(batch.steps.forward[-1].node))
    assert time.perf_counter() - start < 5  # 0.4 s by itself; other work on the machine is allowed for
    assert len(page.encode()) < 100_000


def test_boxes_are_computed_before_what_is_computed_from_them(batch: Stepper):
    events = story(html_of(batch))["events"]
    computed = [event[0] for event in events if len(event) == 3]
    gone_back = [(event[0], event[3]) for event in events if len(event) > 3]
    assert len(set(computed)) == len(computed)
    assert all(computed.index(source) <= computed.index(target) for target, source in gone_back)
    turns = [computed.index(target) for target, _ in gone_back]
    assert turns == sorted(turns, reverse=True)


def test_what_goes_from_box_to_box_adds_up():
    xs = [Value(i / 8.0, f"x[{i}]") for i in range(1500)]
    y = al.sum([x * x for x in xs])
    *_, squares, leaves = story(html_of(stepper(y)))["events"]
    assert squares[1] == "1,500 products to × ×1500, each 1, in sum 1500"
    assert leaves[1] == f"3,000 products to x ×1500, 0 … {1499 / 8:.4g}, in sum {sum(2 * x.data for x in xs):.4g}"


def test_the_page_opens_at_the_step_that_has_the_event(batch: Stepper):
    page = batch._page
    assert len(page.events) == len(page.story["events"]) and len(page.steps) == len(batch)
    assert [page.steps[event] for event in page.events] == list(range(len(page.events)))
    assert story(html_of(batch.goto(0)))["position"] == 0
    assert story(html_of(batch.goto(-1)))["position"] == page.steps[-1]
    some_weight = next(e.node for e in batch.steps.forward if e.node.name == "v[3,5]")
    batch.goto("v[3,5]")
    assert page.story["labels"][page.story["events"][page.steps[batch.position]][0]] == "hidden layer"
    assert batch.event.node is some_weight
    batch.goto(0)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_of_a_box_breaks_the_page(name):
    def layer(name: str) -> Value:
        with al.scope(name):
            return al.sum([Value(float(i), f"{name}{i}") * 2.0 for i in range(5)])

    pages = [html_of(stepper(layer(called) * layer(called + "b"), depth=1)) for called in (name, "a")]
    assert [tag for tag, _ in Reader(pages[0]).elements] == [tag for tag, _ in Reader(pages[1]).elements]
    assert len(pages[0]) < len(pages[1]) + 5000
    ET.fromstring(pages[0][pages[0].index("<svg") : pages[0].index("</svg>") + 6])


@pytest.mark.parametrize("make", [neuron, lambda: Value(2.0), lambda: (x := Value(3.0)) * x, lambda: two_layers()])
@pytest.mark.parametrize("depth", [None, 1])
def test_every_step_of_a_page_leads_to_an_event_in_it(make, depth, monkeypatch):
    monkeypatch.setattr("nn.step_page._MOST_STEPS", 0)
    s = stepper(make(), depth=depth)
    page = s._page
    assert [page.steps[event] for event in page.events] == list(range(len(page.events)))
    for position, step in enumerate(page.steps):
        box = page.story["events"][step][0]
        assert box == s._folded.index[s.steps[position].node] or position == 0


def two_layers() -> Value:
    return nn.losses.half_sse(nn.MLP(2, [3, 2], activation=al.tanh, seed=1)([0.5, -1.0]), [1.0, 0.0])


def test_depth_folds_the_picture_but_not_the_steps():
    y = two_layers()
    s, flat = stepper(y, depth=1), stepper(y)
    told, of_nodes = story(html_of(s)), story(html_of(flat))
    assert {"hidden layer", "output layer"} < set(told["labels"])
    assert len(told["labels"]) < len(of_nodes["labels"]) == len(s.steps.forward)
    assert [text for _, text, *_ in told["events"]] == [text for _, text, *_ in of_nodes["events"]]
    assert told["note"] and not of_nodes["note"]
    hidden = told["labels"].index("hidden layer")
    within = [event for event in told["events"] if len(event) > 3 and event[0] == event[3] == hidden]
    assert within and all(number is None and place is None for _, _, number, _, place in within)
    assert all(number is not None for node, _, number, *_ in told["events"] if told["labels"][node] == "y")


def test_between_opens_the_paths_from_one_value_to_another():
    model = nn.MLP(2, [3, 2], activation=al.tanh, seed=1)
    y = nn.losses.half_sse(model([0.5, -1.0]), [1.0, 0.0])
    w = model.layers[0].neurons[1].w[0]
    told = story(html_of(stepper(y, between=(w, y))))
    assert w.name in told["labels"]
    assert len(told["labels"]) < len(al.topological_order(y))
    inner = model.layers[0].neurons[1]([0.5, -1.0])[0]
    y = inner * 2.0 + Value(1.0, "elsewhere")
    told = story(html_of(stepper(y, between=(w, inner)).goto("elsewhere")))
    assert "elsewhere" not in told["labels"] and told["root"] is None
    assert told["position"] == max(i for i, event in enumerate(told["events"]) if len(event) == 3)


def test_notation_calls_nodes_as_the_lecture_does():
    labels = story(html_of(stepper(two_layers(), notation="lecture")))["labels"]
    assert {"u[3]", "h[1]", "o[2]", "E"} < set(labels)
    assert ": h[1] = tanh(u[1]) = " in repr(stepper(two_layers(), notation="lecture").goto("h[1]"))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"depth": 0}, ValueError, "depth= must be at least 1"),
        ({"depth": "all"}, TypeError, "depth= must be a whole number"),
        ({"between": Value(1.0)}, TypeError, "between= takes a pair of Values"),
        ({"between": (Value(1.0), Value(2.0))}, ValueError, "is not in this graph"),
        ({"notation": "slides"}, ValueError, "there is no notation 'slides'"),
        ({"orientation": "up"}, ValueError, 'orientation must be "LR" or "TB"'),
    ],
)
def test_wrong_options(options, error, says):
    with pytest.raises(error, match=says):
        stepper(neuron(), **options)


def test_other_suffixes():
    with pytest.raises(ValueError, match=r"saved as \.html, but 'steps.svg' ends otherwise"):
        stepper(neuron()).save("steps.svg")


def test_same_input_same_bytes():
    assert stepper(neuron())._repr_mimebundle_() == stepper(neuron())._repr_mimebundle_()


def test_a_notebook_gets_a_frame_an_image_and_text():
    s = stepper(neuron())
    bundle = s._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "text/html", "image/svg+xml"]
    assert bundle["text/plain"] == repr(s)
    frame, image = (a for tag, a in Reader(bundle["text/html"]).elements if tag in ("iframe", "img"))
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == html_of(s)
    assert "remove()" in frame["onload"]
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert list(s._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]
    assert "text/html" not in s._repr_mimebundle_(exclude=["text/html"])


def test_marimo_gets_the_frame_alone():
    mime, html = stepper(neuron())._mime_()
    assert mime == "text/html"
    assert [tag for tag, _ in Reader(html).elements] == ["iframe"]
    assert html in stepper(neuron())._repr_mimebundle_()["text/html"]


# The terminal


def test_a_listing_where_there_is_no_terminal(capsys):
    stepper(neuron()).play()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert (lines[0], lines[1], lines[7]) == ("forward", "  1  w = 0.5", "backward")
    assert lines[-1] == " 11  ∂v3/∂x · ∂y/∂v3 = 0.5 × 0.3592 = 0.1796 → grad so far 0.1796"


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (20, 6), (1, 1)])
@pytest.mark.parametrize("position", [0, 5, -1])
def test_a_screen_shows_the_current_step_within_its_size(columns, lines, position):
    s = stepper(neuron()).goto(position)
    screen = _screen(s, columns, lines)
    assert all(len(line) < columns for line in screen)
    assert len(screen) <= max(lines, 5)
    if columns > 1:
        assert [line for line in screen[2:-2] if line.startswith("→")] == [
            f"→ {s.position + 1:3}  {s.text(s.position)}"[: columns - 1]
        ]


def test_a_narrow_screen_shows_all_of_the_current_step():
    s = stepper(neuron()).goto(-1)
    listed = _screen(s, 40, 24)[2:-2]
    assert listed[10:] == ["→  11  ∂v3/∂x · ∂y/∂v3 = 0.5 × 0.3592 =", "        0.1796 → grad so far 0.1796"]
    assert listed[9] == "   10  ∂v3/∂w · ∂y/∂v3 = 2 × 0.3592 = …"


def test_a_screen_knows_how_wide_letters_are():
    s = stepper(Value(2.0, "漢字") * Value(3.0, "e\u0301e\u0301")).goto(2)
    assert _screen(s, 24, 24)[4:6] == ["→   3  y = 漢字 × e\u0301e\u0301 = ", "       2 × 3 = 6"]


class Terminal:
    """The command `step` in a terminal of its own."""

    def __init__(self, term: str = "xterm") -> None:
        pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX's")
        self.main, self.end = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nn", "step", "tanh(w*x+b)", "--at", "w=0.5,x=2,b=0.1"],
            stdin=self.end, stdout=self.end, stderr=self.end, start_new_session=True,
            env=os.environ | {"COLUMNS": "100", "LINES": "24", "PYTHONIOENCODING": "utf-8", "TERM": term},
        )  # fmt: skip

    def read(self, until: str) -> str:
        shown, end = b"", time.monotonic() + 30
        while until not in shown.decode(errors="replace"):
            assert time.monotonic() < end, shown
            if select.select([self.main], [], [], 0.1)[0]:
                shown += os.read(self.main, 65536)
        return shown.decode(errors="replace")

    def press(self, key: str) -> None:
        os.write(self.main, key.encode())

    def mode(self) -> list:
        import termios

        return termios.tcgetattr(self.end)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.main)
        os.close(self.end)


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_keys_move_and_q_leaves_the_terminal_as_it_was(terminal: Terminal):
    before = terminal.mode()
    terminal.read("step 1 of 11")
    assert terminal.mode() != before
    for key, step in (("\x1b[C", 2), ("\x1b[C", 3), ("\x1b[D", 2), ("\x1b[F", 11), ("\x1b[H", 1), ("?", 1), (" ", 2)):
        terminal.press(key)
        terminal.read(f"step {step} of 11")
    terminal.press("q")
    assert "step 2 of 11, forward: x = 2" in terminal.read("x = 2\r\n")
    assert terminal.process.wait(10) == 0
    assert terminal.mode() == before


def test_keys_that_come_at_once_are_told_apart(terminal: Terminal):
    terminal.read("step 1 of 11")
    terminal.press("\x1b[C" * 3 + "\x1b[Dq")
    terminal.read("step 3 of 11, forward: v3 = w × x = 0.5 × 2 = 1\r\n")
    assert terminal.process.wait(10) == 0


def test_a_terminal_that_can_not_move_its_cursor_gets_the_listing():
    terminal = Terminal("dumb")
    try:
        assert "\x1b" not in terminal.read("grad so far 0.1796\r\n")
        assert terminal.process.wait(10) == 0
    finally:
        terminal.close()


def test_ctrl_c_leaves_the_terminal_as_it_was(terminal: Terminal):
    before = terminal.mode()
    terminal.read("q leaves")
    terminal.process.send_signal(signal.SIGINT)
    assert "\x1b[?1049l" in terminal.read("interrupted")
    assert terminal.process.wait(10) == 130
    assert terminal.mode() == before
