"""What nobody listens to is not made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import Header

from sam_pt_ros.objects import TrackResult
from sam_pt_ros.ros import publishers
from sam_pt_ros.ros.publishers import Processed, Publishers

SIZE = (24, 32)


class ListenedNode:
    """Stands in for a node; ``listened`` names what somebody listens to, below ``~/``."""

    def __init__(self) -> None:
        self.listened: set[str] = set()
        self.published: list[str] = []

    def create_lifecycle_publisher(self, kind: Any, topic: str, *_: Any, **__: Any) -> Any:
        name = topic.removeprefix("~/")
        return SimpleNamespace(
            get_subscription_count=lambda: int(name in self.listened),
            publish=lambda message: self.published.append(name),
        )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was made, in order; ``drawn`` for each overlay."""
    found: list[str] = []

    def counted(name: str, function: Any) -> Any:
        def count(*arguments: Any) -> Any:
            found.append(name)
            return function(*arguments)

        return count

    makers = {name: counted(name, make) for name, make in publishers._MAKERS.items()}
    monkeypatch.setattr(publishers, "_MAKERS", makers)
    monkeypatch.setattr(publishers, "draw_overlay", counted("drawn", publishers.draw_overlay))
    return found


def view() -> Processed:
    result = TrackResult(0, 0, np.zeros(SIZE, np.uint16), (), {})
    return Processed(result, Header(), np.zeros((*SIZE, 3), np.uint8), "unknown")


def test_only_what_somebody_listens_to_is_made(made: list[str]) -> None:
    node = ListenedNode()
    outputs = Publishers(node, None, "")  # type: ignore[arg-type]
    outputs.publish(view())
    assert made == [] and node.published == []
    overlays = {"overlay", "overlay/compressed"}
    for name in ("label_image", "masks", "objects", "tracked_points", *sorted(overlays)):
        made.clear()
        node.published.clear()
        node.listened = {name}
        outputs.publish(view())
        assert made == [name] + ["drawn"] * (name in overlays)
        assert node.published == [name]


def test_an_overlay_is_drawn_once_for_both_of_its_topics(made: list[str]) -> None:
    node = ListenedNode()
    node.listened = {"overlay", "overlay/compressed"}
    Publishers(node, None, "").publish(view())  # type: ignore[arg-type]
    assert made.count("drawn") == 1 and sorted(node.published) == sorted(node.listened)


def test_markers_are_made_for_who_listens_only(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(
        publishers._MESSAGES, "markers", lambda *arguments: given.append(arguments) or "markers"
    )
    node = ListenedNode()
    outputs = Publishers(node, None, "")  # type: ignore[arg-type]
    camera: Any = SimpleNamespace(check_size=lambda size: None)
    seen = Processed(view().result, Header(), view().image, camera, canvas_distance=0.2)
    outputs.publish(seen)
    node.listened = {"markers"}
    outputs.publish(seen)
    assert made == ["markers"] == node.published
    assert given == [(seen.result, seen.header, camera, 0.2)]
