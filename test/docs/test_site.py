"""The site is built without a warning, its links work, and it needs no network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from support.chromium import Chromium

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(ROOT.glob("docs/**/*.md"))
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted(ROOT.glob("test/golden/*.md")),
    *(page for page in PAGES if page.name not in ("index.md", "contributing.md")),
]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""By tag: the attribute whose file a browser loads by itself."""

DESKTOP, PHONE = (1280, 900), (390, 844)


class Parsed(HTMLParser):
    """What a page loads, links to, and can be linked to at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.classes: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.anchors |= {attributes[name] for name in ("id", "name") if name in attributes}
        self.classes |= set(attributes.get("class", "").split())
        if LOADED.get(tag) in attributes:
            self.loaded.append(attributes[LOADED[tag]])
        elif tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert built.returncode == 0, f"{built.stderr}\nrun `make docs`"
    assert not built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, Parsed]:
    """All pages of the site."""
    return {path: Parsed(path) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    browser = Chromium()
    yield browser
    browser.close()


def test_every_page_is_on_the_site(site: Path) -> None:
    for page in PAGES:
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file(), page


def test_the_pages_of_the_repository_s_root_are_on_the_site(site: Path) -> None:
    for name, words in (
        ("index", "Click on things in a camera image"),
        ("contributing", "Set up"),
    ):
        assert words in (site / f"{name}.html").read_text(encoding="utf-8")


def test_no_page_loads_anything_from_the_network(site: Path, parsed: dict[Path, Parsed]) -> None:
    for path, page in parsed.items():
        assert not [each for each in page.loaded if re.match(r"(\w+:)?//", each)], path
        assert "mermaid" not in page.classes, "the theme fetches Mermaid from the network"
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", path.read_text())
        assert not found, path


def test_every_link_within_the_site_works(site: Path, parsed: dict[Path, Parsed]) -> None:
    for path, page in parsed.items():
        for link in [*page.loaded, *page.links]:
            target, anchor = urldefrag(unquote(link))
            if re.match(r"(\w+:|//)", link):
                continue
            # 404.html may be shown at any address: its links begin at the root.
            base = site if target.startswith("/") else path.parent
            found = (base / target.lstrip("/")).resolve() if target else path
            found = found / "index.html" if found.is_dir() else found
            assert found.is_file(), (path.name, link)
            if anchor and found in parsed:
                assert anchor in parsed[found].anchors, (path.name, link)


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in found}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_works_in_the_repository_too(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        target, anchor = urldefrag(link)
        if re.match(r"\w+:", link):
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        if anchor:
            assert anchor in headings(found), link


def test_the_api_reference_describes_the_public_names(site: Path) -> None:
    for page, words in (
        ("pipeline", "sam_pt_ros.pipeline.SamPt.process"),
        ("trackers", "sam_pt_ros.trackers.PointTracker.add_points"),
        ("segmenters", "sam_pt_ros.segmenters.Segmenter.predict"),
        ("configuration", "sam_pt_ros.configuration.load_configuration"),
        ("frames", "sam_pt_ros.frames.Frame"),
        ("objects", "sam_pt_ros.objects.ObjectPrompt"),
        ("points", "sam_pt_ros.points.PointTracks"),
        ("masks", "sam_pt_ros.masks.MaskPrediction"),
        ("errors", "sam_pt_ros.errors.UserError"),
    ):
        assert f'id="{words}"' in (site / f"reference/{page}.html").read_text(encoding="utf-8")


def test_the_search_knows_what_users_look_for(site: Path) -> None:
    entries = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))["docs"]
    for words in ("RViz", "depth_tolerance", "QoS", "PointTracker", "Foxglove"):
        assert [entry for entry in entries if words in entry["title"] + entry["text"]], words


def test_the_search_works_in_a_browser_and_all_is_local(address: str, chromium: Chromium) -> None:
    page = chromium.open(f"{address}/index.html", *DESKTOP)
    page.run("document.querySelector('.md-search__input').focus()")
    for key in "foxglove":
        page.press(key)
    page.until("document.querySelector('.md-search-result__link[href*=clicking]') !== null")
    loaded = page.run("performance.getEntriesByType('resource').map(each => each.name)")
    assert loaded and all(each.startswith(address) for each in loaded), loaded
    assert not page.complaints
    page.close()


def test_no_page_is_wider_than_a_phone(
    site: Path, parsed: dict[Path, Parsed], address: str, chromium: Chromium
) -> None:
    page = chromium.open("about:blank#", *PHONE, mobile=True)
    for path in parsed:
        page.send("Page.navigate", url=f"{address}/{path.relative_to(site)}")
        page.until(f"document.readyState === 'complete' && location.href.includes('{path.name}')")
        wide = page.run("document.documentElement.scrollWidth")
        assert wide <= PHONE[0], (path.name, wide)
    page.close()
