"""Which depth belongs to an image, and in which frames positions are given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.space import Located, SpatialResult
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.ros import locator as locator_module
from sam_pt_ros.ros.locator import Locator
from sam_pt_ros.ros.transforms import NoTransforms

CAMERA = CameraModel(np.diag([9.0, 9.0, 1.0]), np.zeros(0), False, (2, 2))
RESULT: Any = SimpleNamespace(objects=["one"], label_image=np.zeros((2, 2), np.uint16))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged, where every depth image can be used."""
    monkeypatch.setattr(locator_module, "decode_depth", lambda message: None)
    monkeypatch.setattr(locator_module, "locate", lambda *given: SpatialResult(given[-1]))
    return []


def located(
    said: list[str], image: str, depth: str, camera: CameraModel | str = CAMERA, target: str = ""
) -> Located:
    """What is found, by the frames of an image and its depth."""
    source: Any = SimpleNamespace(find=lambda stamp: Image(header=Header(frame_id=depth)))
    reporter: Any = SimpleNamespace(error=said.append, warning=said.append)
    options = NodeOptions(target_frame=target)
    made = Locator(source, NoTransforms(""), options, reporter)
    return made.locate(RESULT, Header(frame_id=image), camera)


@pytest.mark.parametrize(
    ("image", "depth"), [("a", "a"), ("/a", "a"), ("a", "/a"), ("/a", "/a"), ("/a", "")]
)
def test_depth_in_the_frame_of_the_image_is_used(said: list[str], image: str, depth: str) -> None:
    space = located(said, image, depth).space
    assert space is not None and space.frame_id == image and said == []


def test_depth_in_another_frame_is_refused(said: list[str]) -> None:
    assert located(said, "/a", "b").space is None
    (line,) = said
    assert line.startswith("depth image refused: it is in frame 'b', but the image is in '/a'")


def test_why_the_camera_is_not_known_is_said(said: list[str]) -> None:
    assert located(said, "a", "a", "the camera is not calibrated").space is None
    assert said == ["no positions: the camera is not calibrated"]


def test_a_camera_for_images_of_another_size_gives_no_metres(said: list[str]) -> None:
    other = CameraModel(CAMERA.matrix, CAMERA.distortion, False, (2, 4))
    assert located(said, "a", "a", other).space is None
    (line,) = said
    words = "the camera_info is for images of 4x2 pixels, but they have 2x2"
    assert line == f"depth image refused: {words}"


@pytest.mark.parametrize("target", ["a", "/a"])
def test_the_target_frame_is_named_as_tf2_knows_it(said: list[str], target: str) -> None:
    found = located(said, "/a", "a", target=target)
    assert found.target is not None and found.target.frame_id == "a" and found.transformed
    missing = located(said, "a", "a", "unknown", f"/{target}")
    assert missing.target is not None and missing.target.frame_id == "a"
