"""Whatever arrives on the topics of clicks, and whatever the calibration: taken, or refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PointStamped
from hypothesis import given
from hypothesis import strategies as st
from sam_pt_ros.msg import ObjectPrompt, PointPrompt, PointPromptArray
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange import messages
from sam_pt_ros.options.node import CLICK_MODES
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.camera_info_input import CameraInfoInput
from sam_pt_ros.ros.click_inputs import ClickInputs, ClickJob
from sam_pt_ros.ros.click_reader import ClickReader, ClickRequest
from sam_pt_ros.ros.held_clicks import HeldClicks
from sam_pt_ros.ros.published_masks import PublishedMasks
from support.doubles import ColourSegmenter, OracleTracker
from support.examples import examples
from support.scene import plain_scene

SCENE = plain_scene()
UINT32 = 2**32 - 1

# Any number, and often one of those that are in the image.
numbers = st.floats() | st.floats(-5, 100)
counts = st.integers(0, UINT32) | st.integers(0, 100)
stamps = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, UINT32))
near = (
    st.integers(0, 4)
    .map(lambda i: SCENE.stamp(i))
    .map(lambda stamp: Time(sec=stamp // 10**9, nanosec=stamp % 10**9))
)
headers = st.builds(
    Header,
    stamp=st.just(Time()) | near | stamps,
    frame_id=st.sampled_from(["camera", "", "map", "x" * 300]),
)
prompts = st.builds(
    PointPrompt,
    object_id=counts | st.integers(0, 3),
    object_label=st.text(max_size=3),
    x=numbers,
    y=numbers,
    label=st.integers(0, 255) | st.integers(0, 1),
)
boxes = st.builds(RegionOfInterest, x_offset=counts, y_offset=counts, width=counts, height=counts)
masks = st.builds(
    Image,
    height=counts | st.just(72),
    width=counts | st.just(96),
    step=counts | st.just(96),
    encoding=st.sampled_from(["mono8", "8UC1", "rgb8", "", "mono16"]),
    is_bigendian=st.integers(0, 255),
    data=st.sampled_from([b"", b"\1" * 10, b"\0" * 6912, b"\1" * 6912, b"\1" * 7000]),
)
points = st.builds(Point, x=numbers, y=numbers, z=numbers)
calibrations = st.builds(
    CameraInfo,
    header=headers,
    height=counts | st.just(72),
    width=counts | st.just(96),
    distortion_model=st.sampled_from(["plumb_bob", "equidistant", "", "rational_polynomial", "?"]),
    d=st.lists(st.floats() | st.floats(-0.1, 0.1), max_size=9)
    | st.sampled_from([[0.0] * 4, [0.0] * 5, [0.1] * 4, [0.1] * 5]),
    k=st.lists(st.floats(), min_size=9, max_size=9)
    | st.sampled_from([[80.0, 0.0, 48.0, 0.0, 80.0, 36.0, 0.0, 0.0, 1.0]]),
    binning_x=counts | st.integers(0, 2),
    binning_y=counts | st.integers(0, 2),
    roi=st.just(RegionOfInterest()) | boxes,
)


class Clicked:
    """Clicks on a pipeline that has seen a few frames; other frames than the camera's are half a
    metre to its side.
    """

    def __init__(self, mode: str, selected: int, selects: bool = True) -> None:
        self.pipeline = SamPt(OracleTracker(SCENE), ColourSegmenter())
        self.seen = 0
        self.jobs: list[ClickJob] = []
        self.refused: list[str] = []
        self.done: list[str] = []
        values = [SimpleNamespace(value=value) for value in (mode, selected, selects)]
        logger = SimpleNamespace(
            warning=lambda text, **_: self.refused.append(text), info=self.done.append
        )
        self.node: Any = SimpleNamespace(
            get_parameters=lambda names: values,
            get_logger=lambda: logger,
            create_subscription=lambda *_, **__: None,
            destroy_subscription=lambda _: None,
        )
        self.camera_info = CameraInfoInput(self.node, False)
        self.masks = PublishedMasks(60)
        self.reader = ClickReader(
            self.pipeline,
            SimpleNamespace(lookup=self._lookup),  # type: ignore[arg-type]
            self.camera_info,
            SimpleNamespace(shown=None),  # type: ignore[arg-type]
            self.masks,
            0.0,
        )
        self.clicks = ClickInputs(
            self.node,
            SimpleNamespace(waiting=0, call=self.jobs.append),  # type: ignore[arg-type]
            self.reader,
            lambda: SCENE.stamp(self.seen - 1),
            HeldClicks(),
            None,  # type: ignore[arg-type]  # nothing may fail
        )
        for _ in range(3):
            self.go_on()
        self.ids = self.reader.apply(
            messages.requests_from_points([PointPrompt(x=14.0, y=36.0, label=1)]), None
        )

    @staticmethod
    def _lookup(target: str, source: str, stamp: Any, timeout: float) -> np.ndarray:
        transform = np.eye(4)
        transform[0, 3] = 0.0 if source == target else 0.5
        return transform

    def go_on(self) -> None:
        frame = SCENE.frame(self.seen)
        self.seen += 1
        (result,) = self.pipeline.process(frame.image, frame.stamp)
        assert not result.failed, result.problems
        self.masks.add(result)
        for item in result.objects:
            assert np.isfinite(item.points.xy).all() and np.isfinite(item.score)

    def use(self) -> None:
        """As the worker does with each click."""
        (job,) = self.jobs
        self.refused.clear()
        before, ids = self.pipeline.object_ids, list[int]()

        def apply(*arguments: Any) -> list[int]:
            ids.extend(applied := ClickReader.apply(self.reader, *arguments))
            return applied

        self.reader.apply = apply  # type: ignore[method-assign]
        job()
        assert bool(ids) == bool(self.done) != bool(self.refused)
        assert "\n" not in "".join(self.refused)
        assert self.pipeline.object_ids == sorted({*before, *ids})
        self.go_on()
        self.go_on()


modes = st.tuples(st.sampled_from(CLICK_MODES), st.integers(0, 2), st.booleans())


@examples(120)
@given(modes, headers, st.lists(prompts, max_size=4))
def test_any_points_are_taken_or_refused(
    mode: tuple[str, int, bool], header: Header, clicks: list[PointPrompt]
) -> None:
    clicked = Clicked(*mode)
    clicked.clicks._on_points(PointPromptArray(header=header, prompts=clicks))
    clicked.use()


@examples(60)
@given(modes, points)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_any_pixel_is_taken_or_refused(mode: tuple[str, int, bool], point: Point) -> None:
    clicked = Clicked(*mode)
    clicked.clicks._on_clicked_pixel(point)
    clicked.use()


@examples(200)
@given(modes, calibrations, headers, points)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_point_in_space_is_taken_or_refused_whatever_the_calibration(
    mode: tuple[str, int, bool], calibration: CameraInfo, header: Header, point: Point
) -> None:
    clicked = Clicked(*mode)
    clicked.camera_info.receive(calibration)
    clicked.clicks._on_clicked_point(PointStamped(header=header, point=point))
    clicked.use()


@examples(150)
@given(headers, st.lists(prompts, max_size=3), boxes | st.just(RegionOfInterest()), masks)
def test_any_request_is_taken_or_refused(
    header: Header, clicks: list[PointPrompt], box: RegionOfInterest, mask: Image
) -> None:
    clicked = Clicked("new_object", 0)
    request = ObjectPrompt(label="x", points=clicks, box=box, mask=mask)

    def read() -> ClickRequest:
        return ClickRequest([messages.request_from_prompt(request)], messages.prompt_stamp(header))

    reporter: Any = None  # nothing may fail
    clicked.jobs.append(ClickJob("x", read, clicked.reader, clicked.node, reporter))
    clicked.use()


@examples(300)
@given(calibrations, st.lists(numbers, min_size=3, max_size=3))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_calibration_projects_into_its_image_or_not_at_all(
    calibration: CameraInfo, point: list[float]
) -> None:
    try:
        camera = CameraModel.from_message(calibration)
        pixel = camera.project(np.array(point))
    except UserError:
        return
    assert pixel.shape == (2,) and np.isfinite(pixel).all()
    if camera.size is not None:
        assert -0.5 <= pixel[0] <= camera.size[1] - 0.5
        assert -0.5 <= pixel[1] <= camera.size[0] - 0.5
