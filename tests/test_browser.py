"""The stepper's page in a real browser: clicks, keys and slider light the right node, and nothing leaves the page."""

import json
import re
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

import autograd_lite as al
import nn
from autograd_lite import Value
from nn.pages import script_of, style_of
from nn.step_page import _compact
from nn.stepping import Stepper, stepper

SIZES = [(1100, 520), (390, 800)]

Open = Callable[..., Any]


def neuron() -> Value:
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(0.1, "b")
    return (w * x + b).tanh()


def hidden_layer() -> Value:
    model = nn.MLP(2, [3, 2], activation=al.tanh, seed=1)
    loss = nn.losses.half_sse(model([0.5, -1.0]), [1.0, 0.0])
    loss.name = "E"
    return loss


def html_of(s: Stepper) -> str:
    return s._page.html(s.position)


def framed(s: Stepper) -> str:
    return s._repr_mimebundle_()["text/html"]


def lit(root: Any) -> list[str]:
    return root.locator(".lit").evaluate_all("parts => parts.map(part => part.id)")


def press(root: Any, label: str) -> None:
    root.get_by_role("button", name=label, exact=True).click()


def count(root: Any) -> str:
    return root.locator(".count").inner_text()


def numbers(root: Any, node: int) -> list[str]:
    """Return the data and the gradient in a node's box."""
    texts = root.locator(f'[id="node-{node}"] text').all_text_contents()
    return [texts[-3], texts[-1]]


def test_buttons_move_the_lit_node(visit: Open):
    page = visit(html_of(stepper(neuron())))
    assert lit(page) == ["node-0"]
    press(page, "next")
    press(page, "next")
    assert set(lit(page)) == {"node-2", "edge-2-0", "edge-2-1"}
    press(page, "back")
    assert lit(page) == ["node-1"]
    press(page, "last step")
    assert set(lit(page)) == {"node-2", "edge-2-1"}
    assert page.locator(".receiving").get_attribute("id") == "node-1"
    assert page.get_by_role("button", name="next", exact=True).is_disabled()
    press(page, "first step")
    assert (lit(page), count(page)) == (["node-0"], "1 / 11")


def test_keys_go_on_to_work_when_a_button_can_no_longer_be_pressed(visit: Open):
    page = visit(html_of(stepper(neuron())))
    for button, key, then in (("last step", "ArrowLeft", "10 / 11"), ("first step", "ArrowRight", "2 / 11")):
        press(page, button)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.keyboard.press(key)
        assert count(page) == then


def test_keys_move_the_lit_node_at_once(visit: Open):
    page = visit(html_of(stepper(neuron())))
    places = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowLeft"):
        page.keyboard.press(key)
        places.append(count(page).split()[0])
    assert places == ["2", "3", "2", "11", "11", "1", "1"]


def test_the_slider_moves_the_lit_node(visit: Open):
    page = visit(html_of(stepper(neuron())))
    slider = page.get_by_role("slider", name="step")
    slider.fill("6")
    assert set(lit(page)) == {"node-5", "edge-5-0"}
    slider.press("ArrowLeft")
    assert count(page) == "6 / 11"
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    assert count(page) == "11 / 11"


def test_it_plays_and_pauses(visit: Open):
    page = visit(html_of(stepper(neuron())))
    page.clock.install()
    page.keyboard.press(" ")
    page.clock.run_for(2000)
    assert count(page) == "3 / 11"
    assert page.locator(".story").get_attribute("aria-live") == "off"
    press(page, "pause")
    page.clock.run_for(5000)
    assert count(page) == "3 / 11"
    press(page, "play")
    page.clock.run_for(20_000)
    assert count(page) == "11 / 11"
    press(page, "play")
    assert count(page) == "1 / 11"


def test_every_product_is_told_and_gradients_add_up(visit: Open):
    x = Value(3.0, "x")
    s = stepper(x * x)
    page = visit(html_of(s))
    assert (numbers(page, 0), numbers(page, 1)) == (["3", "–"], ["–", "–"])
    page.keyboard.press("ArrowRight")
    assert numbers(page, 1) == ["9", "–"]
    page.keyboard.press("ArrowRight")
    assert (numbers(page, 0), numbers(page, 1)) == (["3", "3"], ["9", "1"])
    page.keyboard.press("ArrowRight")
    assert numbers(page, 0) == ["3", "6"]
    assert page.get_by_role("listitem").all_inner_texts() == [s.text(2), s.text(3)]
    assert page.locator("[aria-current=step]").inner_text() == s.text(3)
    assert page.get_by_role("heading").inner_text() == "Backward through y: ∂y/∂y = 1"
    page.keyboard.press("Home")
    assert (numbers(page, 0), numbers(page, 1)) == (["3", "–"], ["–", "–"])


def test_what_is_told_in_the_end_is_what_backward_gives(visit: Open):
    loss = hidden_layer()
    page = visit(html_of(stepper(loss).goto(-1)))
    loss.backward()
    for k, node in enumerate(al.topological_order(loss)):
        assert numbers(page, k) == [f"{node.data:.4g}", f"{node.grad:.4g}"]


def test_it_opens_where_the_stepper_is(visit: Open):
    assert count(visit(html_of(stepper(neuron()).goto(4)))) == "5 / 11"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_everything_is_in_sight_and_nothing_overlaps(visit: Open, width: int, height: int, scheme: str):
    page = visit(html_of(stepper(hidden_layer())), width, height, color_scheme=scheme)
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
        width,
        height,
    ]
    boxes = [page.locator(part).bounding_box() for part in (".picture", ".story", ".bar")]
    for above, below in pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"]
    assert boxes[0]["height"] > 200
    for control in page.locator(".bar > *").all():
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height
    for button in page.get_by_role("button").all():
        assert min(button.bounding_box()["width"], button.bounding_box()["height"]) >= 44
    for position in range(0, 62, 7):
        page.get_by_role("slider").fill(str(position))
        changing = page.locator(".node.receiving").or_(page.locator(".node.lit.forward"))
        node, line = changing.bounding_box(), page.locator("[aria-current=step]").bounding_box()
        for inner, outer in ((node, boxes[0]), (line, boxes[1])):
            assert outer["x"] - 1 <= inner["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1
            assert outer["y"] - 1 <= inner["y"] and inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_what_is_beyond_the_rim_is_told_and_a_click_goes_there(visit: Open, width: int, height: int):
    names = [f"x{i}" for i in range(60)]
    page = visit(html_of(stepper(al.sum([Value(1.0, name) for name in names])).goto(60)), width, height)

    def hints() -> list[str]:
        return page.locator(".hint:visible").all_inner_texts()

    def seen(node: int) -> bool:
        frame, box = page.locator(".picture").bounding_box(), page.locator(f'[id="node-{node}"]').bounding_box()
        return frame["y"] <= box["y"] and box["y"] + box["height"] <= frame["y"] + frame["height"]

    assert seen(60)
    assert [re.sub("[0-9]+", "N", hint) for hint in hints()] == ["↑ N operands", "↓ N operands"]
    beyond = sum(int(hint.split()[1]) for hint in hints())
    assert 40 < beyond < 60
    page.keyboard.press("ArrowRight")
    assert (seen(0), seen(60), hints()) == (True, False, ["↓ y"])
    page.locator(".hint.bottom").click()
    assert (seen(0), seen(60), hints()) == (False, True, ["↑ x0"])
    page.keyboard.press("End")
    assert (seen(59), hints()) == (True, ["↑ y"])
    page.locator(".picture").evaluate("picture => { picture.scrollTop -= 50; }")
    page.keyboard.press("Home")
    assert (seen(0), hints()) == (True, [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(visit: Open, scheme: str):
    page = visit(html_of(stepper(neuron()).goto(8)), color_scheme=scheme)
    contrast = """element => {
      const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => linear(c / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const paper = getComputedStyle(document.querySelector(".stepper")).backgroundColor;
      const [a, b] = [light(getComputedStyle(element).color), light(paper)];
      return Math.max(a, b) / Math.min(a, b);
    }"""
    for part in page.locator("h1, li, .count").all():
        assert part.evaluate(contrast) >= 4.5  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize(
    "name",
    ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'`&lt;\\\u2028", "Ω𝛿 ∂", "x" * 10_000],
)
def test_hostile_names_are_only_text(visit: Open, name: str):
    y = Value(1.0, name) * Value(2.0, "x")
    y.name = name
    s = stepper(y).goto(-1)
    page = visit(html_of(s), 390, 800)
    page.keyboard.press("ArrowLeft")
    assert page.locator("[aria-current=step]").inner_text().split() == s.back().text(s.position).split()
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_two_in_a_notebook_do_not_disturb_each_other(visit: Open):
    page = visit("<!DOCTYPE html><title>two</title>" + framed(stepper(neuron())) + framed(stepper(neuron())))
    one, other = (page.frame_locator("iframe >> nth=0"), page.frame_locator("iframe >> nth=1"))
    press(one, "next")
    press(one, "next")
    press(other, "last step")
    other.locator(".stepper").press("ArrowLeft")
    assert (count(one), count(other)) == ("3 / 11", "10 / 11")
    assert one.locator(".node.lit").get_attribute("id") == "node-2"
    page.wait_for_function("document.querySelectorAll('img').length === 0")


def test_two_in_one_document_do_not_disturb_each_other(visit: Open):
    page = html_of(stepper(neuron()))
    element = page[page.index("<main") : page.index("</main>") + 7]
    module, style = script_of("stepper"), style_of("stepper")
    every = 'for (const root of document.querySelectorAll(".stepper")) start(root, mount);'
    two = visit(
        f'<!DOCTYPE html><style>{style}</style>{element}{element}<script type="module">{module}{every}</script>'
    )
    one, other = two.locator(".stepper").all()
    press(one, "next")
    other.press("End")
    assert (count(one), count(other)) == ("2 / 11", "11 / 11")
    assert lit(one) == ["node-1"]
    assert set(lit(other)) == {"node-2", "edge-2-1"}


def test_the_box_of_the_current_node_is_lit(visit: Open):
    loss = hidden_layer()
    s = stepper(loss, depth=1)
    page = visit(html_of(s))
    boxes = [f"node-{s._folded.index[event.node]}" for event in s.steps]
    for position in range(0, len(s), 5):
        page.get_by_role("slider").fill(str(position))
        assert page.locator(".node.lit").get_attribute("id") == boxes[position]
        assert page.locator("[aria-current=step]").inner_text() == s.text(position)
    assert page.locator(".note").inner_text() == s._folded.note


def test_a_box_tells_its_numbers_when_all_of_it_is_known(visit: Open):
    s = stepper(hidden_layer(), depth=1)
    hidden = s._page.story["labels"].index("hidden layer")
    node = s._folded.boxes[hidden].members
    positions = [i for i, event in enumerate(s.steps.forward) if event.node in node]
    page = visit(html_of(s))
    seen = {}
    for position in (positions[0], positions[-1], len(s) - 1):
        page.get_by_role("slider").fill(str(position))
        seen[position] = numbers(page, hidden)
    assert seen[positions[0]] == ["…", "–"]
    assert [grad for _, grad in seen.values()][:2] == ["–", "–"]
    low, _, high = seen[positions[-1]][0].partition(" … ")
    assert float(low) < float(high)
    assert " … " in seen[len(s) - 1][1]


def test_a_batch_of_digits_is_a_page_that_can_be_used(visit: Open):
    digits, model = nn.data.digits(), nn.MLP(64, [32, 10], seed=0)
    losses = [nn.losses.cross_entropy(model(digits.X[i]), digits.y[i]) for i in range(32)]
    s = stepper(al.mean(losses))
    page = visit(html_of(s), 390, 800)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    told = []
    for _ in range(len(s._page.events) - 1):
        told.append(page.locator("[aria-current=step]").inner_text())
        press(page, "next")
    assert told[0].startswith("hidden layer: 2,080 leaf values, ")
    assert any("products to hidden layer, " in line for line in told)
    assert numbers(page, s._page.story["root"])[1] == "1"
    assert page.locator(".node.waiting").count() == 0
    assert "box by box" in page.locator(".note").inner_text()


WIDGETS = """
const model = {
  state: %s, called: [], sent: 0,
  get(key) { return this.state[key]; },
  set(key, value) {
    const changed = this.state[key] !== value;
    this.state[key] = value;
    if (changed) this.called.forEach((call) => call());
  },
  save_changes() { this.sent += 1; },
  on(event, call) { this.called.push(call); },
  off(event, call) { this.called = this.called.filter((other) => other !== call); },
};
window.model = model;
window.ends = [...document.querySelectorAll(".cell")].map((el) => widget.render({ model, el }));
"""


def test_widgets_of_one_stepper_agree(visit: Open):
    s = stepper(Value(2.0, "<img src=x onerror=alert(1)>") * Value(3.0, "x")).goto(1)
    module, style = script_of("stepper"), style_of("stepper")
    state = {"step": s.position, "story": {**s._page.story, "svg": s._page.svg, "height": s._page.height}}
    module = module.replace("export default", "const widget =") + WIDGETS % json.dumps(state).replace("<", "\\u003c")
    page = visit(
        f"<!DOCTYPE html><style>{style}</style><h1>mine</h1><div class=cell></div><div class=cell></div>"
        f'<script type="module">{module}</script>'
    )
    one, other = page.locator(".stepper").all()
    assert (count(one), count(other)) == ("2 / 5", "2 / 5")
    press(one, "next")
    other.press("ArrowRight")
    assert (count(one), count(other), page.evaluate("[model.state.step, model.sent]")) == ("4 / 5", "4 / 5", [3, 2])
    page.evaluate("model.set('step', 0)")  # as Python does
    assert (count(one), lit(other), page.evaluate("model.sent")) == ("1 / 5", ["node-0"], 2)
    page.evaluate("ends.forEach((end) => end())")
    assert page.evaluate("model.called.length") == 0
    assert page.locator("img").count() == 0
    assert page.locator("body > h1").evaluate("h1 => getComputedStyle(h1).fontSize") == "32px"  # not ours, not styled


def test_without_frames_there_is_the_picture(visit: Open):
    html = re.sub("<iframe.*?</iframe>", "", framed(stepper(neuron())), flags=re.DOTALL)
    image = visit(f"<!DOCTYPE html>{html}").get_by_role("img")
    assert image.get_attribute("alt") == "y, step by step: 11 steps"
    assert image.evaluate("image => image.naturalWidth") > 200


@pytest.mark.parametrize("policy", [True, False])
def test_a_script_that_is_not_ours_would_not_run(browser: Any, policy: bool):
    content = html_of(stepper(neuron())).replace("<main", "<script>document.title = 'it ran'</script><main", 1)
    page = browser.new_page()
    page.set_content(content if policy else re.sub("<meta http-equiv[^>]*>", "", content))
    assert (page.title() == "it ran") is not policy
    page.close()


def test_a_page_of_300_nodes_is_quick(visit: Open):
    s = stepper(nn.MLP(8, [14, 8, 1], seed=0)([0.1 * i for i in range(8)])[0])
    content, start = html_of(s), time.perf_counter()
    page = visit(content)
    page.locator(".bar").wait_for()
    assert time.perf_counter() - start < 3  # 0.4 s by itself; other work on the machine is allowed for
    took = page.evaluate("""() => {
      const next = document.querySelector('[aria-label="next"]'), start = performance.now();
      for (let i = 0; i < 100; i += 1) { next.click(); document.body.getBoundingClientRect(); }
      return (performance.now() - start) / 100;
    }""")
    assert took < 50  # milliseconds a click


def test_what_the_picture_has_is_not_altered(visit: Open):
    x = Value(0.5, "x")
    with al.scope("cell"):
        y = al.sum([(x * k).tanh() for k in range(400)])
    for s in (stepper(neuron()), stepper(y), stepper(y, depth=1)):
        svg = s._page.picture.svg
        pictures = "".join(f"<main><div class=picture>{each}</div></main>" for each in (svg, _compact(svg)))
        page = visit(f"<!DOCTYPE html><style>{style_of('stepper')}</style>{pictures}")
        page.evaluate("for (const main of document.querySelectorAll('main')) main.className = 'stepper'")
        whole, small = (main.evaluate(LOOKS) for main in page.locator("main").all())
        assert whole == small


LOOKS = """main => [...main.querySelectorAll(".graph :is(text, path, polygon)")].map((part) => {
  const { fill, stroke, fontWeight, fontSize, strokeWidth, strokeDasharray } = getComputedStyle(part);
  return [part.tagName, part.textContent.trim(), fill, stroke, fontWeight, fontSize, strokeWidth, strokeDasharray];
})"""


def fill(root: Any, node: int) -> str:
    """Return the colour of a box as it is painted."""
    shape = root.locator(f'[id="node-{node}"]').locator("path, polygon").first
    return str(shape.evaluate("shape => getComputedStyle(shape).fill"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_heat_comes_with_the_gradients(visit: Open, scheme: str):
    page = visit(html_of(stepper(neuron(), heat=True)), color_scheme=scheme)
    white = "rgb(255, 255, 255)"
    assert [fill(page, k) for k in range(1, 6)] == [white] * 5  # the first is lit
    press(page, "last step")
    assert white not in [fill(page, k) for k in range(6)]
    ink = page.locator("[id='node-5'] text").first.evaluate("text => getComputedStyle(text).fill")
    assert ink == white  # on the darkest
    press(page, "first step")
    assert fill(page, 5) == white
    ink = page.locator("[id='node-5'] text").first.evaluate("text => getComputedStyle(text).fill")
    assert ink == "rgb(0, 0, 0)"


def test_names_from_right_to_left_leave_the_arithmetic_as_it_is(visit: Open):
    a = Value(-0.5, "אב")
    place = """(line, part) => {
        const [text, range] = [line.firstChild, document.createRange()];
        range.setStart(text, text.data.indexOf(part));
        range.setEnd(text, text.data.indexOf(part) + part.length);
        return range.getBoundingClientRect().x;
    }"""
    for position, parts in ((0, ("אב", "=", "-", "0.5")), (-1, ("∂v2", "אב", "·", "= 2", "→"))):
        page = visit(html_of(stepper((a * 2.0).tanh()).goto(position)))
        places = [page.locator("[aria-current=step]").evaluate(place, part) for part in parts]
        assert places == sorted(places)


def test_what_scrolls_is_reached_by_keys(visit: Open):
    page = visit(html_of(stepper(hidden_layer()).goto(-1)), *SIZES[1])
    shown = page.locator(".picture").evaluate("part => [part.tabIndex, part.scrollWidth > part.clientWidth]")
    assert shown == [0, True]
    page.keyboard.press("Tab")
    assert page.locator(".picture:focus").evaluate("part => getComputedStyle(part).outlineWidth") == "2px"
    before = count(page)
    page.keyboard.press("ArrowLeft")
    assert count(page) != before
    page = visit(html_of(stepper(neuron())), *SIZES[0])
    assert page.locator(".picture").get_attribute("tabindex") is None


def test_gradients_on_the_way_stay_within_their_boxes(visit: Open):
    x = Value(0.5, "x")
    page = visit(html_of(stepper(x * 0.0008201 - x * 0.0008201).goto(-2)))
    assert numbers(page, 0) == ["0.5", "-0.0008201"]
    right = "part => part.getBoundingClientRect().right"
    box = page.locator('[id="node-0"]')
    assert box.locator("text").last.evaluate(right) + 2 < box.locator("path").evaluate(right)


def test_names_stay_within_their_boxes(visit: Open):
    names = ["x" * 24, "0123456789" * 2, "a_rather_long_name_of_a_value", "price_per_square_meter", "L" * 30, "w[1,12]"]
    page = visit(nn.draw([Value(1.0, name) * 2.0 for name in names]).svg)
    right = """name => {
        const box = name.closest(".node").querySelector("path").getBoundingClientRect();
        return box.right - name.getBoundingClientRect().right;
    }"""
    for name in page.locator('[font-weight="bold"]').all():
        assert name.evaluate(right) > 2


def test_from_top_to_bottom_a_phone_shows_the_whole_graph(visit: Open):
    page = visit(html_of(stepper(neuron(), orientation="TB")), *SIZES[1])
    frame = page.locator(".picture").bounding_box()
    for node in page.locator(".node").all():
        box = node.bounding_box()
        assert frame["x"] <= box["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"]


@pytest.mark.parametrize("width", [1100, 700, 390])
def test_a_drawing_in_a_notebook_is_fitted_or_scrolled(visit: Open, width: int):
    w, x = Value(0.5, "w"), Value(2.0, "x")
    drawing = nn.draw(((w * x).tanh() * w + x).sigmoid() * x)
    page = visit(f"<!DOCTYPE html><body style='margin: 0'>{drawing._repr_mimebundle_()['text/html']}", width=width)
    frame = page.locator("iframe").bounding_box()
    svg = page.frame_locator("iframe").locator("svg").bounding_box()
    assert svg["height"] <= frame["height"] <= svg["height"] + 45
    assert svg["width"] <= frame["width"] or svg["width"] == pytest.approx(0.7 * whole_width(drawing), abs=1)


def whole_width(drawing: Any) -> float:
    points = re.search(r'width="([\d.]+)pt"', drawing.svg)
    assert points
    return float(points[1]) * 4 / 3
