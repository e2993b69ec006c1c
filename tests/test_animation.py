"""An animation tells the computation step by step, stands still complete, and needs no script."""

import base64
import http.server
import os
import re
import shutil
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

import autograd_lite as al
from autograd_lite import Value
from nn.animation import Animation, animate
from nn.drawing import draw
from nn.losses import half_sse
from nn.modules import MLP

SVG = "{http://www.w3.org/2000/svg}"
BLUE, RED = "#1d4ed8", "#c2410c"
PAUSE = 4  # steps, after the way back
HOSTILE = [
    "</script><script>alert(1)</script>",
    "]]>",
    "\"'<&>",
    "</style>",
    "\\N",
    "a\nb",
    "é×∂😀",
    "n" * 10_000,
    "-->",
]


def neuron() -> Value:
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(0.1, "b")
    y = al.tanh(w * x + b)
    y.name = "y"
    return y


def shared() -> Value:
    """x reaches y by four edges; its gradient grows in three steps, and is longest before the end."""
    x = Value(3.0, "x")
    return x * x + al.exp(x / 3.0) * x


class Film:
    """A viewer that plays the CSS: what each part looks like at a time, counted in steps."""

    def __init__(self, animation: Animation, seconds_per_step: float = 0.8) -> None:
        self.root = ET.fromstring(animation.svg)
        self.css = self.root.findtext(f"{SVG}style", "")
        self.duration = float(re.findall(r"animation-duration:([\d.]+)s", self.css)[0]) / seconds_per_step
        self.frames = {
            name: [(float(at), dict(p.split(":") for p in style.split(";"))) for at, style in frames]
            for name, frames in (
                (name, re.findall(r"([\d.]+)%\{([^}]*)\}", body))
                for name, body in re.findall(r"@keyframes (a\w+-\d+)\{((?:[\d.]+%\{[^}]*\})+)\}", self.css)
            )
        }
        self.groups = {g.get("id", ""): g for g in self.root.iter(f"{SVG}g")}

    def style(self, element: ET.Element, step: float) -> dict[str, str]:
        """Return the style that is in force: `step-end`, so each frame holds until the next."""
        style = dict(element.attrib)
        for name in element.get("class", "").split():
            for at, frame in self.frames.get(name, []):
                if 100.0 * step / self.duration >= at:
                    style |= frame
        return style

    def texts(self, group: str, step: float) -> list[str]:
        """Return the texts that can be seen."""
        found = self.groups[group].iter(f"{SVG}text")
        return [(text.text or "").strip() for text in found if self.style(text, step).get("opacity") != "0"]

    def lit(self, step: float) -> dict[str, str]:
        """Return the colour of each node and edge that is lit."""
        colours = {}
        for id, group in self.groups.items():
            if id.startswith("node"):
                colours[id] = self.style(group[0], step)["stroke"]
            elif id.startswith("edge"):
                colours[id] = self.style(group, step)["color"]
        return {id: colour for id, colour in colours.items() if colour in (BLUE, RED)}

    def still(self, group: str) -> list[str]:
        """Return the texts that a viewer without CSS shows."""
        found = self.groups[group].iter(f"{SVG}text")
        return [(text.text or "").strip() for text in found if text.get("opacity") != "0"]


def edges_of(i: int, node: Value) -> list[str]:
    return [f"edge-{i}-{k}" for k in range(len(node.parents))]


# What happens when


@pytest.mark.parametrize("make", [neuron, shared, lambda: Value(2.0, "x")])
def test_forwards_each_node_lights_up_in_its_turn_and_its_data_appears(make):
    y = make()
    order, film = al.topological_order(y), Film(animate(y))
    assert film.lit(0.5) == {}
    for now, node in enumerate(order):
        assert film.lit(1.5 + now) == dict.fromkeys([f"node-{now}", *edges_of(now, node)], BLUE)
        for i, other in enumerate(order):
            title = [text for text in film.still(f"node-{i}")[:-4]]
            data = [f"{other.data:.4g}"] if i <= now else []
            assert film.texts(f"node-{i}", 1.5 + now) == [*title, "data", *data, "grad", "–"]
            assert float(film.style(film.groups[f"node-{i}"], 1.5 + now)["opacity"]) == (1.0 if i <= now else 0.35)


@pytest.mark.parametrize("make", [neuron, shared, lambda: Value(2.0, "x")])
def test_backwards_each_result_lights_up_in_reverse_order_and_hands_on_its_gradient(make):
    y = make()
    order, film = al.topological_order(y), Film(animate(y))
    turn = len(order) + 2.0
    assert film.lit(turn - 0.5) == {}
    assert film.lit(turn + 0.2) == {f"node-{len(order) - 1}": RED}
    gradient = {y: 1.0}
    now = turn + 1.0
    for i, node in reversed([*enumerate(order)]):
        if not node.parents:
            continue
        assert film.lit(now + 0.2) == dict.fromkeys([f"node-{i}", *edges_of(i, node)], RED)
        for edge, partial in zip(edges_of(i, node), node.partials, strict=True):
            assert film.texts(edge, now - 0.1) == []
            assert film.texts(edge, now + 0.1) == [f"{partial:.4g}"]
        for when in (now + 0.1, now + 0.7):
            for k, other in enumerate(order):
                assert film.texts(f"node-{k}", when)[-1] == (f"{gradient[other]:.4g}" if other in gradient else "–")
            if when < now + 0.5:
                for parent, partial in zip(node.parents, node.partials, strict=True):
                    gradient[parent] = gradient.get(parent, 0.0) + partial * gradient[node]
        now += 1.0
    assert film.lit(now + 0.5) == {}
    assert film.duration == pytest.approx(now + PAUSE, rel=1e-5)


def test_it_ends_as_the_still_picture_and_that_has_every_number():
    y = shared()
    film = Film(animate(y))
    y.backward()
    for i, node in enumerate(al.topological_order(y)):
        numbers = film.still(f"node-{i}")[-4:]
        assert numbers == ["data", f"{node.data:.4g}", "grad", f"{node.grad:.4g}"]
        for edge, partial in zip(edges_of(i, node), node.partials, strict=True):
            assert film.still(edge) == [f"{partial:.4g}"] == film.texts(edge, film.duration - 0.1)
        assert sorted(film.texts(f"node-{i}", film.duration - 0.1)) == sorted(film.still(f"node-{i}"))
    for element in film.root.iter():
        end = film.style(element, film.duration - 0.1)
        assert end.get("opacity", "1") == element.get("opacity", "1")
        if "stroke" in element.attrib:
            assert end["stroke"] == element.get("stroke")


def test_a_strip_says_which_way_it_goes():
    film = Film(animate(neuron()))
    words = [text for text in film.root.findall(f"{SVG}text")]

    def seen(step):
        return [text.text for text in words if film.style(text, step)["opacity"] != "0"]

    assert [seen(step) for step in (0.0, 7.9, 8.1, 11.9, 12.1)] == [["forward"]] * 2 + [["backward"]] * 2 + [[]]


def test_gradients_are_those_of_one_sweep_whatever_the_values_hold():
    y = neuron()
    fresh = animate(y).svg
    y.backward()
    y.backward()
    grads = [node.grad for node in al.topological_order(y)]
    assert animate(y).svg == fresh
    assert [node.grad for node in al.topological_order(y)] == grads


def test_special_numbers_are_shown():
    x = Value(0.0, "x")
    film = Film(animate(al.log(x) * Value(0.0, "c")))
    assert film.still("node-0")[-4:] == ["data", "0", "grad", "nan"]


def test_nan_is_wider_than_inf():
    x = Value(0.0, "x")
    widths = []
    for y in (al.log(x) + 1.0 / x, x * float("nan") + x):  # ∂y/∂x becomes inf, then nan; it is nan from the first
        outline = Film(animate(y)).groups["node-0"][0].get("d", "")
        numbers = [float(n) for n in re.findall(r"(-?[\d.]+),", outline)]
        widths.append(max(numbers) - min(numbers))
    assert widths[0] == widths[1]


def test_boxes_are_wide_enough_for_every_sum_on_the_way():
    x = Value(1.0, "x")
    film = Film(animate((x * 0.123456 + x * 0.4) + (x * 1e-5 + x * (1.0 - 0.523466))))
    box = film.groups["node-0"]
    outline = [float(n) for n in re.findall(r"(-?[\d.]+),", box[0].get("d", ""))]
    frames = [text for text in box.iter(f"{SVG}text") if text.get("x") == box[-1].get("x")]
    widest = max(len(text.text or "") for text in frames)
    assert widest > len(film.still("node-0")[-1])
    assert float(box[-1].get("x", "")) + 5.2 * widest < max(outline) + 4


# The file


def test_it_is_the_drawing_with_the_same_parts_and_no_script():
    y = neuron()
    film, drawn = Film(animate(y)), ET.fromstring(draw(y).svg)
    ids = {g.get("id") for g in drawn.iter(f"{SVG}g") if g.get("class") in ("node", "edge")}
    assert ids <= film.groups.keys()
    assert {e.tag.removeprefix(SVG) for e in film.root.iter()} == {
        "svg", "title", "style", "rect", "g", "path", "polygon", "text",
    }  # fmt: skip
    assert not [name for e in film.root.iter() for name in e.attrib if name.startswith("on") or "href" in name]
    assert "url(" not in film.css and "@import" not in film.css


def test_all_motion_is_for_screens_of_those_who_do_not_ask_for_less():
    css = Film(animate(neuron())).css
    assert css.startswith("@media screen and (prefers-reduced-motion:no-preference){") and css.endswith("}}")
    depth = [css[:k].count("{") - css[:k].count("}") for k in range(css.index("{") + 1, len(css))]
    assert min(depth) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_only_text(name):
    y = Value(1.0, name) * Value(2.0, "x")
    y.name = name
    animation = animate(y)
    film = Film(animation)
    assert sum(element.tag == f"{SVG}style" for element in film.root.iter()) == 1
    assert not [element for element in film.root.iter() if element.tag == f"{SVG}script"]
    assert re.findall(r"</?script", animation.svg) == []
    assert len(animation.svg) < 20_000


def test_same_input_same_bytes_and_two_pictures_on_a_page_do_not_meet():
    assert animate(neuron()).svg == animate(neuron()).svg
    one, other = Film(animate(neuron())), Film(animate(neuron(), seconds_per_step=0.5), 0.5)
    assert not one.frames.keys() & other.frames.keys()
    assert one.root.get("class") != other.root.get("class")
    assert one.root.get("class") in one.css and other.root.get("class") not in one.css


def test_time_is_told_in_seconds_per_step():
    slow = Film(animate(neuron(), seconds_per_step=2), 2.0)
    assert slow.duration == Film(animate(neuron())).duration
    assert repr(animate(neuron(), seconds_per_step=2)) == "Animation(computation graph: 6 nodes, 5 edges; 32 s)"


def test_orientation_turns_the_drawing():
    sizes = []
    for orientation in ("LR", "TB"):
        root = ET.fromstring(animate(neuron(), orientation=orientation).svg)
        _, _, width, height = map(float, root.get("viewBox", "").split())
        sizes.append(width > height)
    assert sizes == [True, False]


def test_a_network_is_small_and_quick():
    model = MLP(2, [6, 4, 1], activation=al.tanh, seed=0)
    loss = half_sse(model([1.0, -1.0]), [1.0])
    start = time.perf_counter()
    animation = animate(loss)
    assert time.perf_counter() - start < 5.0
    assert len(al.topological_order(loss)) > 70
    assert len(animation.svg) < 250_000


def test_a_notebook_gets_the_picture_and_a_text():
    animation = animate(neuron())
    html = animation._repr_mimebundle_()["text/html"]
    everything = {"text/html": html, "image/svg+xml": animation.svg, "text/plain": repr(animation)}
    assert animation._repr_mimebundle_() == everything
    assert animation._mime_() == ("text/html", html)
    kind, image = re.findall(r'^<img alt="[^"]*" src="data:([^;]*);base64,([^"]*)" style="[^"]*">$', html)[0]
    assert (kind, base64.b64decode(image).decode()) == ("image/svg+xml", animation.svg)
    assert animation._repr_mimebundle_(include=["text/plain"]) == {"text/plain": repr(animation)}
    assert animation._repr_mimebundle_(exclude=["text/plain", "text/html"]) == {"image/svg+xml": animation.svg}


def test_save_writes_all_of_it_or_nothing(tmp_path, monkeypatch):
    animation, path = animate(neuron()), tmp_path / "steps.SVG"
    animation.save(path)
    assert path.read_text(encoding="utf-8") == animation.svg
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        animate(shared()).save(path)
    assert path.read_text(encoding="utf-8") == animation.svg
    assert os.listdir(tmp_path) == ["steps.SVG"]


# Wrong input


def test_too_large_a_graph_is_refused_before_it_is_laid_out():
    x = Value(1.0, "x")
    y = x
    for _ in range(99):
        y = y + x
    with pytest.raises(ValueError, match=r"too large to be watched \(101 nodes, 200 edges; the limit is 100 nodes"):
        animate(y + x)
    with pytest.raises(ValueError, match=r"\(2 nodes, 301 edges;.*animate a part of it"):
        animate(al.sum([x] * 301))


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"y": 1.0}, TypeError, "animate takes a Value, but 1.0 is of type float"),
        ({"y": [Value(1.0)]}, TypeError, "of type list"),
        ({"seconds_per_step": "1"}, TypeError, "seconds_per_step= must be a real number"),
        ({"seconds_per_step": 0}, ValueError, "from 0.05 to 60, not 0"),
        ({"seconds_per_step": float("nan")}, ValueError, "not nan"),
        ({"seconds_per_step": float("inf")}, ValueError, "not inf"),
        ({"orientation": "RL"}, ValueError, '"LR" or "TB", not \'RL\''),
    ],
)
def test_wrong_input_is_told(wrong, error, says):
    with pytest.raises(error, match=re.escape(says)):
        animate(**{"y": neuron(), **wrong})


@pytest.mark.parametrize("name", ["steps.gif", "steps.html", "steps"])
def test_only_svg_can_be_saved(tmp_path, name):
    with pytest.raises(ValueError, match=r"saved as \.svg"):
        animate(neuron()).save(tmp_path / name)
    assert not os.listdir(tmp_path)


# In a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--window-size=700,400",
]  # fmt: skip


def screenshot(folder: Path, svg: str, seconds: float = 0.0, *flags: str) -> bytes:
    """Return what Chromium shows of the picture in an <img>, so many seconds after it was loaded."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/late.js":  # the screenshot waits for it
                time.sleep(seconds)
            kind, body = {
                "/": ("text/html", '<body style="margin:0"><img src="a.svg"><script async src="late.js"></script>'),
                "/a.svg": ("image/svg+xml", svg),
            }.get(self.path, ("text/javascript", ""))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            address, picture = f"http://127.0.0.1:{server.server_port}/", folder / "shot.png"
            options = [f"--user-data-dir={folder / 'profile'}", f"--screenshot={picture}", *flags]
            subprocess.run([str(CHROMIUM), *FLAGS, *options, address], check=True, capture_output=True, timeout=60)
        finally:
            server.shutdown()
            thread.join()
    return picture.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")
def test_in_an_img_it_plays_and_stands_still_for_those_who_ask_for_less_motion(tmp_path):
    svg = animate(neuron(), seconds_per_step=60).svg
    end = Film(animate(neuron(), seconds_per_step=60), 60.0).duration
    shots = []
    for k, step in enumerate((0.5, 6.5, 10.5, end - 1.0)):
        begun = svg.replace("animation-duration", f"animation-delay:-{60 * step}s;animation-duration")
        shots.append(screenshot(tmp_path / str(k), begun))
    unstyled = re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL)
    complete = screenshot(tmp_path / "complete", unstyled)
    assert all(one != other for one, other in pairwise([*shots[:3], complete]))
    assert screenshot(tmp_path / "calm", svg, 0.0, "--force-prefers-reduced-motion") == complete
    quick = animate(neuron(), seconds_per_step=0.2).svg
    assert screenshot(tmp_path / "early", quick) != screenshot(tmp_path / "late", quick, 1.5)
