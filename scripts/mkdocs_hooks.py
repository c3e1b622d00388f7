"""MkDocs hooks: pages that stand in the repository's root, and roles in docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md"}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """README and CONTRIBUTING as pages, with their links as seen from docs/."""
    source = PAGES.get(page.file.src_uri)
    if source is None:
        return markdown
    text = (ROOT / source).read_text(encoding="utf-8")
    for uri, name in PAGES.items():
        text = text.replace(f"]({name}", f"]({uri}")
    return text.replace("](docs/", "](")


def on_page_content(html: str, **_: Any) -> str:
    """Sphinx's roles in docstrings as code: ``:class:`~package.Name``` becomes ``Name``."""
    html = re.sub(r":\w+:<code>~[\w.]*?(\w+)</code>", r"<code>\1</code>", html)
    return re.sub(r":\w+:(<code>)", r"\1", html)
