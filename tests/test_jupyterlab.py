"""In a real JupyterLab: what a user runs is interactive, an untrusted file shows pictures, an exported page works."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = [name for name in ("jupyterlab", "nbconvert", "anywidget") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
HOSTILE = "<img src=x onerror='top.document.title=1'></script><script>top.document.title=1</script>"
CELLS = {
    "stepper": f"""\
import autograd_lite as al, nn
w, x, b = al.Value(0.5, {HOSTILE!r}), al.Value(2.0, "x"), al.Value(0.1, "b")
h = w * x + b
h.name = "h"
s, other = nn.stepper(h.tanh()), nn.stepper(h.tanh())
s""",
    "drawing": "nn.draw(h)",
    "animation": "nn.animate(h)",
    "widget": "s.widget()",
    "same": "s.widget()",
    "other": "other.widget()",
    "goto": "s.goto('h'); None",
    "position": "print(s.position, other.position)",
    "script": "from IPython.display import HTML; HTML('<script>window.ran = true</script>it ran')",
}
NAMES = list(CELLS)


@contextlib.contextmanager
def jupyterlab(folder: Path, notebooks: Path) -> Iterator[str]:
    """Run a server with a user's folder of its own, and end it with its kernels; the address opens a notebook."""
    news = folder / "SETTINGS" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false"}')  # or it asks whether we want any
    places = ("CONFIG", "DATA", "RUNTIME")
    env = os.environ | {f"JUPYTER_{place}_DIR": str(folder / place) for place in places}
    env |= {f"JUPYTERLAB_{place}_DIR": str(folder / place) for place in ("SETTINGS", "WORKSPACES")}
    env |= {"IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(Path(__file__).parent.parent)}
    env |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")  # nobody
    options = [
        "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--IdentityProvider.token=t",
        f"--ServerApp.root_dir={notebooks}", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with open(folder / "log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=env, stdout=log, stderr=log)
    try:
        yield f"{_address(server, folder)}lab/tree/"
    finally:
        server.terminate()  # which ends the kernels, too
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _address(server: Any, folder: Path) -> str:
    end = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < end:
        for info in (folder / "RUNTIME").glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError):
                url = json.loads(info.read_text())["url"]
                urllib.request.urlopen(f"{url}api?token=t", timeout=5).close()
                return url
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.1)
    raise RuntimeError(f"JupyterLab did not start: {(folder / 'log').read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    expect.set_options(timeout=30_000)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        )
        yield browser
        browser.close()


class Lab:
    """A notebook in a page of JupyterLab."""

    def __init__(self, browser: Any, address: str, name: str) -> None:
        self.page = browser.new_page(viewport={"width": 1300, "height": 1000})
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{address}{name}?token=t")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )

    def run(self, name: str) -> Any:
        """Run a cell by its key, and return its output when it is done."""
        cell = self.page.locator(".jp-Cell").nth(NAMES.index(name))
        prompt = cell.locator(".jp-InputPrompt").first
        before = prompt.inner_text()
        cell.locator(".cm-content").focus()  # a click would miss it if an output above still grows
        self.page.keyboard.press("Control+Enter")
        expect(prompt).not_to_have_text(before)
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"))
        return self.output(name)

    def output(self, name: str) -> Any:
        cell = self.page.locator(".jp-Cell").nth(NAMES.index(name))
        cell.scroll_into_view_if_needed()
        return cell.locator(".jp-OutputArea")

    def save(self) -> None:
        self.page.keyboard.press("Control+s")
        self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")

    def close(self) -> None:
        """No request has left this machine, nothing has complained, and no name has done harm."""
        away = [url for url in self.requests if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:"))]
        title = self.page.title()
        self.page.close()
        assert (away, self.errors, title != "1") == ([], [], True)


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "steps.ipynb")
    return folder


@pytest.fixture(scope="module")
def ran(browser: Any, notebooks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The notebook after a user has run and saved it."""
    with jupyterlab(tmp_path_factory.mktemp("user") / "home", notebooks) as address:
        lab = Lab(browser, address, "steps.ipynb")
        for name in NAMES:
            lab.run(name)
        lab.save()
        yield lab
        lab.close()


def press(stepper: Any, label: str) -> None:
    stepper.get_by_role("button", name=label, exact=True).click()


def test_what_a_user_runs_is_interactive(ran: Lab):
    output = ran.output("stepper")
    frame = output.frame_locator("iframe")
    expect(frame.locator(".lit")).to_have_id("node-0")
    press(frame, "next")
    expect(frame.locator(".lit")).to_have_id("node-1")
    expect(output.locator("img")).to_have_count(0)
    drawing = ran.output("drawing")
    expect(drawing.frame_locator("iframe").locator(".node")).to_have_count(5)
    expect(drawing.locator("img")).to_have_count(0)
    expect(ran.output("animation").locator("img")).to_be_visible()
    assert ran.page.evaluate("window.ran")  # this is what trust means


def test_a_widget_follows_python_and_python_follows_the_widget(ran: Lab):
    widget, same, other = (ran.output(name).locator(".stepper") for name in ("widget", "same", "other"))
    for shown, step in ((widget, 5), (same, 5), (other, 1)):
        expect(shown.locator(".count")).to_have_text(f"{step} / 11")
    expect(ran.output("position")).to_have_text("4 0")
    press(widget, "next")
    expect(widget.locator(".node.lit")).to_have_id("node-5")
    expect(same.locator(".node.lit")).to_have_id("node-5")  # it was Python that told it
    press(other, "last step")
    expect(ran.run("position")).to_have_text("5 10")
    ran.run("goto")
    expect(widget.locator(".node.lit")).to_have_id("node-4")
    expect(same.locator(".count")).to_have_text("5 / 11")
    expect(other.locator(".count")).to_have_text("11 / 11")


def test_keys_move_the_widget_and_not_the_notebook(ran: Lab):
    other = ran.output("other").locator(".stepper")
    press(other, "first step")
    for key, step in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 11), ("Home", 1)):
        ran.page.keyboard.press(key)
        expect(other.locator(".count")).to_have_text(f"{step} / 11")
    expect(other).to_be_in_viewport()


@pytest.fixture
def untrusted(ran: Lab, browser: Any, notebooks: Path, tmp_path: Path) -> Iterator[Lab]:
    """The same file, as it was saved, opened by somebody else."""
    with jupyterlab(tmp_path / "home", notebooks) as address:
        lab = Lab(browser, address, "steps.ipynb")
        yield lab
        lab.close()


def test_an_untrusted_file_shows_pictures_and_runs_nothing(untrusted: Lab):
    for name in ("stepper", "drawing", "animation", "widget"):
        image = untrusted.output(name).locator("img")
        expect(image).to_be_visible()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 200
    expect(untrusted.output("script")).to_contain_text("it ran")
    assert untrusted.page.evaluate("window.ran") is None
    assert untrusted.page.locator(".jp-OutputArea iframe").count() == 0
    assert untrusted.page.locator(".stepper").count() == 0


def test_an_exported_page_is_interactive_without_a_network(ran: Lab, browser: Any, notebooks: Path, tmp_path: Path):
    convert = [sys.executable, "-m", "nbconvert", "--to", "html", f"--output-dir={tmp_path}", notebooks / "steps.ipynb"]
    subprocess.run(convert, check=True, capture_output=True, timeout=60, env=os.environ | {"JUPYTER_CONFIG_DIR": ""})
    page = browser.new_page()
    page.route("http*://**", lambda route: route.abort())  # nbconvert's own page asks for MathJax
    page.goto((tmp_path / "steps.html").as_uri())
    cells = page.locator(".jp-Cell")
    for name in ("stepper", "widget"):
        cell = cells.nth(NAMES.index(name))
        press(cell.frame_locator("iframe"), "last step")
        expect(cell.frame_locator("iframe").locator(".count")).to_have_text("11 / 11")
        expect(cell.locator(".jp-OutputArea img")).to_have_count(0)
    assert page.title() == "steps"
    page.close()
