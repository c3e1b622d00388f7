"""Write docs/messages.md from the definitions of the messages and services."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "messages.md"

HEAD = """\
<!-- Written by scripts/message_page.py; do not edit. -->

# Messages and services

The definitions of this package's own types, as `ros2 interface show` prints them.
[Topics and services](topics.md) says where they are used.
"""


def page() -> str:
    """The page in Markdown."""
    definitions = [*sorted(ROOT.glob("msg/*.msg")), *sorted(ROOT.glob("srv/*.srv"))]
    return HEAD + "".join(
        f"\n## {path.stem}\n\n```text\n{path.read_text(encoding='utf-8').strip()}\n```\n"
        for path in definitions
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
