"""Settings for all tests, a folder for machine code, and a browser for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# hypothesis draws the same examples on every run and is never timed
settings.register_profile("same_every_run", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("same_every_run")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(scope="session", autouse=True)
def _machine_code_in_a_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep machine code that tests make out of the user's cache."""
    before = os.environ.get("AUTOGRAD_LITE_CACHE")
    os.environ["AUTOGRAD_LITE_CACHE"] = str(tmp_path_factory.mktemp("machine_code"))
    yield
    if before is None:
        del os.environ["AUTOGRAD_LITE_CACHE"]
    else:
        os.environ["AUTOGRAD_LITE_CACHE"] = before


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Run a headless Chromium; skip where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium on PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open HTML as a file; in the end, no page has complained or asked for anything but that file."""
    troubles: list[str] = []
    pages = []

    def visit(content: str, width: int = 1100, height: int = 520, **options: Any) -> Any:
        file = tmp_path / f"page{len(pages)}.html"
        file.write_text(content, "utf-8")
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        pages.append(page)
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        page.on(
            "request", lambda request: request.url in (file.as_uri(), "about:srcdoc") or troubles.append(request.url)
        )
        page.goto(file.as_uri())
        return page

    yield visit
    for page in pages:
        page.close()
    assert troubles == []
