"""Pages that need nothing but themselves, and the frames in which a notebook shows them."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

__all__ = ["frame", "framed", "page", "script_of", "style_of"]


def page(kind: str, title: str, story: Mapping[str, Any], picture: str = "") -> str:
    """Return a file in which nothing is loaded, and no script runs but ours.

    Args:
        kind: What it is, "stepper" or "replay": the name of its script, of its style and of its class.
        title: What it shows.
        story: What the script tells; its comments say what is what.
        picture: SVG that the script begins with.

    >>> "</script><b>" in page("replay", "</script><b>", {"model": "</script><b>"})
    False
    """
    # No name can end the element, nor be taken for a comment in it.
    data = json.dumps(story, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    style = f"html, body {{ height: 100%; margin: 0; }}\n{style_of(kind)}"
    script = f'{script_of(kind)}\nstart(document.querySelector(".{kind}"), mount);\n'
    policy = f"default-src 'none'; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'"
    title = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f'<style>{style}</style>\n</head>\n<body>\n<main class="{kind}" aria-label="{title}">\n'
        f'{picture}\n<script type="application/json">{data}</script>\n</main>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def script_of(kind: str) -> str:
    """Return what runs in a page, as one ES module.

    >>> "export function mount" in script_of("replay")
    True
    """
    return f"{_read('player.js')}\n{_read(f'{kind}.js')}"


def style_of(kind: str) -> str:
    """Return how a page looks, as CSS.

    >>> ".stepper" in style_of("stepper")
    True
    """
    return _read(f"{kind}.css")


def _read(name: str) -> str:
    return resources.files("nn").joinpath(name).read_text("utf-8")


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def framed(page: str, size: str, svg: str, title: str, allow: str = "") -> str:
    """Return a sandboxed frame with a page in it, and the picture for where frames are taken away.

    Its size is that of CSS, such as height:300px.

    >>> framed("<p>", "height:300px", "<svg/>", "a picture").count("<img")
    1
    """
    image = base64.b64encode(svg.encode()).decode()
    return (
        f"<div>{frame(page, size, title, allow)}"
        f'<img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{image}" style="max-width:100%"></div>'
    )


def frame(page: str, size: str, title: str, allow: str = "") -> str:
    """Return a sandboxed frame with a page in it; when it has loaded, what follows it is removed.

    >>> 'srcdoc="&lt;p&gt;"' in frame("<p>", "height:300px", "a picture")
    True
    """
    return (
        f'<iframe title="{html.escape(title)}" sandbox="{allow}" srcdoc="{html.escape(page)}" '
        f'style="width:100%;{size};border:0" onload="this.nextElementSibling?.remove()"></iframe>'
    )
