"""Implementations by name, ours and those of other installed packages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.options.registry import Registry
from sam_pt_ros.segmenters import create_segmenter, segmenters
from sam_pt_ros.trackers import PointTracker, create_tracker, trackers
from support import packages

MODULE = '''
from sam_pt_ros.trackers.lucas_kanade import LucasKanade

class Visitor(LucasKanade):
    """A tracker of another package."""

not_a_tracker = 42
'''


@pytest.fixture
def visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package, of trackers good and bad."""
    (tmp_path / "raising_trackers.py").write_text("raise RuntimeError('operator missing')\n")
    offered = {
        "visitor": "visiting_trackers:Visitor",
        "number": "visiting_trackers:not_a_tracker",
        "nameless": "visiting_trackers:Missing",
        "missing": "no_such_module:Tracker",
        "raising": "raising_trackers:Tracker",
        "lucas_kanade": "visiting_trackers:Visitor",
    }
    packages.install(tmp_path, "visiting_trackers", MODULE, trackers=offered)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "visiting_trackers", raising=False)


def test_our_own_are_found_by_name() -> None:
    assert "lucas_kanade" in trackers.names() and "classical" in segmenters.names()
    assert type(create_tracker("lucas_kanade")).__name__ == "LucasKanade"
    assert type(create_segmenter("classical")).__name__ == "ClassicalSegmenter"


@pytest.mark.usefixtures("visitor")
def test_another_package_s_tracker_is_found_and_made_with_its_options() -> None:
    assert "visitor" in trackers.names()
    made = create_tracker("visitor", working_size=320)
    assert type(made).__name__ == "Visitor" and made.options.working_size == 320


@pytest.mark.usefixtures("visitor")
def test_another_package_cannot_take_our_names() -> None:
    assert type(create_tracker("lucas_kanade")).__name__ == "LucasKanade"
    assert trackers.names().count("lucas_kanade") == 1


@pytest.mark.usefixtures("visitor")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("number", "is 42, which is not a subclass of PointTracker"),
        ("missing", "cannot be imported.*no_such_module"),
        ("nameless", "cannot be imported.*Missing"),
        ("raising", "cannot be imported.*operator missing"),
    ],
)
def test_what_is_no_tracker_is_refused_in_one_line(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refusal:
        create_tracker(name)
    assert "\n" not in str(refusal.value)


def test_an_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(UserError, match="unknown tracker 'lucas_kanada'; did you mean 'lucas_k"):
        create_tracker("lucas_kanada")
    with pytest.raises(UserError, match="unknown segmenter 'clasical'; did you mean 'classical'"):
        create_segmenter("clasical")


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UserError, match="tracker 'lucas_kanade': unknown option 'size'"):
        create_tracker("lucas_kanade", size=3)


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    registry: Registry[PointTracker] = Registry(
        "tracker", PointTracker, "no.such.group", {"x": "no_such_module:X"}
    )
    assert registry.names() == ["x"]
    with pytest.raises(UserError, match="cannot be imported"):
        registry.load("x")
