"""What clicks mean: which image, and which pixel of it where the camera turns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.objects import ObjectPrompt, PromptRequest
from sam_pt_ros.options.node import NEGATIVE_POINT, NEW_OBJECT, POSITIVE_POINT
from sam_pt_ros.pipeline import SamPt
from sam_pt_ros.ros.camera_info_input import Calibration
from sam_pt_ros.ros.click_reader import ClickMode, ClickReader, ClickRequest
from sam_pt_ros.ros.published_masks import PublishedMasks
from sam_pt_ros.ros.transforms import Transforms
from support.doubles import ColourSegmenter, OracleTracker
from support.robot import turn
from support.scene import OCCLUDER, THING, plain_scene

SCENE = plain_scene()
SEEN = 12  # images in the history
CAMERA, MAP = "camera", "map"
F, CX, CY = 80.0, SCENE.width / 2, SCENE.height / 2
SECOND = 1_000_000_000
MODE = ClickMode(NEW_OBJECT, 0, selects=True)


def degrees_at(stamp: int) -> float:
    """The camera turns by 60 degrees a second."""
    return 60.0 * (stamp - SCENE.stamp(0)) / SECOND


class TurningCamera(Transforms):
    """What is known of a camera that turns about its y axis, from one stamp to another."""

    def __init__(self, oldest: int, newest: int) -> None:
        self.oldest = oldest
        self.newest = newest

    def _lookup(self, target_frame: str, source_frame: str, stamp: int | None) -> np.ndarray:
        assert (target_frame, source_frame) == (CAMERA, MAP)
        when = self.newest if stamp is None else stamp
        if not self.oldest <= when <= self.newest:
            way = "future" if when > self.newest else "past"
            raise UserError(
                f"no transform from '{MAP}' to '{CAMERA}': Lookup would require extrapolation "
                f"into the {way}."
            )
        to_camera = np.eye(4)
        to_camera[:3, :3] = turn("y", degrees_at(when))[1].T
        return to_camera


class Canvas:
    """Shows an image 2 m before the camera, or none."""

    def __init__(self, shown: int | None = None) -> None:
        self.shown = shown

    def holds(self, point: np.ndarray) -> bool:
        return self.shown is not None and abs(point[2] - 2) < 0.01


@pytest.fixture
def pipeline() -> SamPt:
    made = SamPt(OracleTracker(SCENE), ColourSegmenter())
    for index in range(SEEN):
        made.process(SCENE.frame(index).image, SCENE.stamp(index))
    return made


@pytest.fixture
def transforms() -> TurningCamera:
    return TurningCamera(SCENE.stamp(0), SCENE.stamp(SEEN - 1))


def reader(
    pipeline: SamPt,
    transforms: Transforms,
    canvas: Canvas,
    masks: PublishedMasks | None = None,
    width: int = SCENE.width,
) -> ClickReader:
    info = CameraInfo(
        height=SCENE.height,
        width=width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[F, 0.0, CX, 0.0, F, CY, 0.0, 0.0, 1.0],
    )
    calibration = Calibration(CameraModel.from_message(info), CAMERA)
    camera_info: Any = SimpleNamespace(require=lambda: calibration)
    return ClickReader(pipeline, transforms, camera_info, canvas, masks or PublishedMasks(60), 0.0)


def click(seen_at: int, stamp: int, depth: float = 3.0) -> PointStamped:
    """A point in the map that is in the middle of the image at one time, with a stamp."""
    xyz = turn("y", degrees_at(seen_at))[1] @ (0.0, 0.0, depth)
    seconds, nanoseconds = divmod(stamp, SECOND)
    header = Header(frame_id=MAP, stamp=Time(sec=seconds, nanosec=nanoseconds))
    message = PointStamped(header=header)
    message.point.x, message.point.y, message.point.z = map(float, xyz)
    return message


def pixel_of(read: ClickRequest) -> list[float]:
    (request,) = read.requests
    (point,) = request.prompt.points.tolist()
    return list(point)


def test_a_point_of_an_image_of_the_history_is_where_the_camera_saw_it_then(
    pipeline: SamPt, transforms: TurningCamera
) -> None:
    """The image is 0.36 s old; the camera has turned by 21.6 degrees since, 31 pixels."""
    then = SCENE.stamp(SEEN - 1 - 9)
    read = reader(pipeline, transforms, Canvas()).read_point_in_space(click(then, then), MODE)
    assert read.stamp == then
    assert pixel_of(read) == pytest.approx([CX, CY], abs=1e-4)


def test_a_pixel_of_an_image_that_is_gone_is_refused(
    pipeline: SamPt, transforms: TurningCamera
) -> None:
    """It would be another thing in the newest image."""
    reads = reader(pipeline, transforms, Canvas())
    pixel = np.array([5.0, 6.0])
    for gone in (SCENE.stamp(0) - 1, SCENE.stamp(SEEN - 1) + 1):
        with pytest.raises(UserError, match=r"clicked on is no longer held.* click again"):
            reads.read_pixel(pixel, gone, MODE)
    assert reads.read_pixel(pixel, SCENE.stamp(3), MODE).stamp == SCENE.stamp(3)
    assert reads.read_pixel(pixel, None, MODE).stamp is None  # nothing was shown yet


def test_a_point_of_a_time_between_images_is_where_the_nearest_of_them_has_it(
    pipeline: SamPt, transforms: TurningCamera
) -> None:
    between = (3 * SCENE.stamp(4) + SCENE.stamp(5)) // 4
    read = reader(pipeline, transforms, Canvas()).read_point_in_space(
        click(SCENE.stamp(4), between), MODE
    )
    assert read.stamp == SCENE.stamp(4)
    assert pixel_of(read) == pytest.approx([CX, CY], abs=1e-4)


@pytest.mark.parametrize("stamp", [0, SCENE.stamp(SEEN) + 5 * SECOND, SCENE.stamp(0) - 1])
def test_a_point_of_another_time_is_where_the_newest_image_has_it(
    pipeline: SamPt, transforms: TurningCamera, stamp: int
) -> None:
    """Transforms run ahead of the images."""
    transforms.newest += SECOND
    newest = SCENE.stamp(SEEN - 1)
    read = reader(pipeline, transforms, Canvas()).read_point_in_space(click(newest, stamp), MODE)
    assert read.stamp == newest
    assert pixel_of(read) == pytest.approx([CX, CY], abs=1e-4)


def test_a_point_on_the_canvas_is_where_the_image_has_it_that_is_shown(
    pipeline: SamPt, transforms: TurningCamera
) -> None:
    """What has been before the camera at the distance of the canvas is no longer there now."""
    shown, now = SCENE.stamp(2), SCENE.stamp(SEEN - 1)
    reads = reader(pipeline, transforms, Canvas(shown))
    read = reads.read_point_in_space(click(shown, now, depth=2.0), MODE)
    assert read.stamp == shown
    assert pixel_of(read) == pytest.approx([CX, CY], abs=1e-4)
    beside = reads.read_point_in_space(click(now, now, depth=3.0), MODE)
    assert beside.stamp == now
    assert pixel_of(beside) == pytest.approx([CX, CY], abs=1e-4)


@pytest.mark.parametrize(
    ("known", "shown", "words"),
    [
        ((0, SEEN - 2), None, "into the future"),  # it has not arrived yet
        ((6, SEEN - 1), None, "into the past"),  # it is no longer kept
        ((6, SEEN - 1), 2, "into the past"),  # so it is not known what is on the canvas
    ],
)
def test_where_the_transform_of_the_image_is_not_known_the_click_is_refused(
    pipeline: SamPt, known: tuple[int, int], shown: int | None, words: str
) -> None:
    oldest, newest = map(SCENE.stamp, known)
    canvas = Canvas(None if shown is None else SCENE.stamp(shown))
    reads = reader(pipeline, TurningCamera(oldest, newest), canvas)
    then = SCENE.stamp(SEEN - 1 if words.endswith("future") else 3)
    with pytest.raises(UserError, match=f"no transform from 'map' to 'camera': .* {words}"):
        reads.read_point_in_space(click(then, then), MODE)


def test_where_no_calibration_fits_the_images_the_click_is_refused(
    pipeline: SamPt, transforms: TurningCamera
) -> None:
    reads = reader(pipeline, transforms, Canvas(), width=640)
    words = f"is for images of 640x{SCENE.height} pixels, but they have {SCENE.width}x"
    with pytest.raises(UserError, match=words):
        reads.read_point_in_space(click(SCENE.stamp(3), SCENE.stamp(3)), MODE)


def test_before_the_first_image_a_point_is_where_the_camera_has_it_now(
    transforms: TurningCamera,
) -> None:
    reads = reader(SamPt(OracleTracker(SCENE), ColourSegmenter()), transforms, Canvas())
    read = reads.read_point_in_space(click(transforms.newest, SCENE.stamp(3)), MODE)
    assert read.stamp is None
    assert pixel_of(read) == pytest.approx([CX, CY], abs=1e-4)


def test_a_click_waits_for_the_transform_as_long_as_it_may(pipeline: SamPt) -> None:
    waited: list[float] = []

    class Asked(TurningCamera):
        def lookup(
            self, target_frame: str, source_frame: str, stamp: int | None, timeout: float = 0.0
        ) -> np.ndarray:
            waited.append(timeout)
            return super().lookup(target_frame, source_frame, stamp, timeout)

    transforms = Asked(SCENE.stamp(0), SCENE.stamp(SEEN - 1))
    reads = reader(pipeline, transforms, Canvas())
    reads._transform_timeout = 0.25
    reads.read_point_in_space(click(SCENE.stamp(5), SCENE.stamp(5)), MODE)
    assert waited == [0.25]


# --- clicks on objects that are tracked ---------------------------------------------------


class Tracked:
    """Two objects that move, and clicks on what was published of them."""

    def __init__(self) -> None:
        self.pipeline = SamPt(OracleTracker(SCENE), ColourSegmenter())
        self.masks = PublishedMasks(60)
        self.reader = reader(self.pipeline, TurningCamera(0, 0), Canvas(), self.masks)
        self.go_on_to(0)
        for owner in (THING, OCCLUDER):
            point = np.array([SCENE.inner_point(owner, 0)])
            self.reader.apply([PromptRequest(ObjectPrompt(point, np.array([1])))], None)
        self.go_on_to(SEEN - 1)

    def go_on_to(self, last: int) -> None:
        for index in range(len(self.pipeline.history), last + 1):
            (result,) = self.pipeline.process(SCENE.frame(index).image, SCENE.stamp(index))
            self.masks.add(result)

    def read(self, pixel: tuple[float, float], index: int, mode: ClickMode = MODE) -> ClickRequest:
        return self.reader.read_pixel(np.array(pixel), SCENE.stamp(index), mode)


@pytest.fixture
def tracked() -> Tracked:
    return Tracked()


@pytest.mark.parametrize(("owner", "object_id"), [(THING, 1), (OCCLUDER, 2)])
def test_a_click_on_an_object_selects_it_and_adds_a_positive_point(
    tracked: Tracked, owner: int, object_id: int
) -> None:
    now = SEEN - 1
    pixel = SCENE.inner_point(owner, now)
    click = tracked.read(pixel, now)
    (request,) = click.requests
    assert (request.object_id, click.selected, click.stamp) == (
        object_id,
        object_id,
        SCENE.stamp(now),
    )
    assert request.prompt.points.tolist() == pytest.approx(np.array([pixel]))
    assert request.prompt.labels.tolist() == [1]
    before = len(tracked.pipeline._roster._objects[object_id].points.ids)
    assert tracked.reader.apply_click(click) == [object_id]
    assert tracked.pipeline.object_ids == [1, 2]
    assert len(tracked.pipeline._roster._objects[object_id].points.ids) == before + 1


def test_the_selected_object_is_the_one_that_points_are_added_to(tracked: Tracked) -> None:
    now = SEEN - 1
    negative = ClickMode(NEGATIVE_POINT, 0, selects=True)
    assert tracked.read((1.0, 1.0), now, negative).requests[0].object_id == 2  # started last
    tracked.reader.apply_click(tracked.read(SCENE.inner_point(THING, now), now))
    assert tracked.read((1.0, 1.0), now, negative).requests[0].object_id == 1
    tracked.reader.apply_click(tracked.read((1.0, 1.0), now))
    assert tracked.read((2.0, 2.0), now, negative).requests[0].object_id == 3


def test_the_masks_of_the_image_that_was_clicked_on_count(tracked: Tracked) -> None:
    """Where the thing was in one image it is no longer in another."""
    now, then = SEEN - 1, 1
    (x, y) = next(
        (x, y)
        for y, x in np.argwhere(SCENE.frame(then).mask(THING)).tolist()
        if tracked.masks.object_at(np.array([x, y]), SCENE.stamp(now)) is None
        and tracked.masks.object_at(np.array([x, y]), SCENE.stamp(then)) == 1
    )
    assert tracked.read((x, y), then).selected == 1
    assert tracked.read((x, y), now).selected is None


@pytest.mark.parametrize(("apart", "one"), [(2.0, True), (4.0, False)])
def test_a_second_click_on_a_new_thing_before_its_mask_is_there_adds_a_point(
    tracked: Tracked, apart: float, one: bool
) -> None:
    assert 2.0 < 0.02 * np.hypot(SCENE.width, SCENE.height) < 4.0
    now = SEEN - 1
    first = tracked.read((20.0, 20.0), now)
    assert (first.selected, tracked.reader.apply_click(first)) == (None, [3])
    second = tracked.read((20.0 + apart, 20.0), now)
    assert (second.selected, second.repeats) == ((3, True) if one else (None, False))
    assert tracked.reader.apply_click(second) == ([3] if one else [4])


def test_such_a_click_may_come_after_the_next_image_if_it_is_on_the_same(tracked: Tracked) -> None:
    now = SEEN - 1
    tracked.reader.apply_click(tracked.read((20.0, 20.0), now))
    tracked.go_on_to(now + 1)
    assert tracked.read((21.0, 20.0), now).selected == 3
    tracked.pipeline.remove_object(3)
    assert tracked.read((21.0, 20.0), now).selected is None


def test_two_clicks_on_one_pixel_start_two_objects_for_who_does_not_want_to_select(
    tracked: Tracked,
) -> None:
    told = ClickMode(NEW_OBJECT, 0, selects=False)
    for expected in (3, 4):
        click = tracked.read((20.0, 20.0), SEEN - 1, told)
        assert tracked.reader.apply_click(click) == [expected]


@pytest.mark.parametrize("mode", [NEW_OBJECT, POSITIVE_POINT, NEGATIVE_POINT])
def test_who_does_not_want_to_select_starts_objects_and_adds_points_as_told(
    tracked: Tracked, mode: str
) -> None:
    now = SEEN - 1
    told = ClickMode(mode, 2, selects=mode != NEW_OBJECT)
    click = tracked.read(SCENE.inner_point(THING, now), now, told)
    assert click.selected is None
    assert click.requests[0].object_id == (None if mode == NEW_OBJECT else 2)


def test_an_object_that_is_gone_cannot_be_selected(tracked: Tracked) -> None:
    now = SEEN - 1
    tracked.pipeline.remove_object(1)
    click = tracked.read(SCENE.inner_point(THING, now), now)
    assert (click.selected, click.requests[0].object_id) == (None, None)


def test_a_point_in_space_on_an_object_selects_it(pipeline: SamPt) -> None:
    newest = SCENE.stamp(SEEN - 1)
    tracked = Tracked()
    reads = reader(tracked.pipeline, TurningCamera(newest, newest), Canvas(), tracked.masks)
    x, y = SCENE.inner_point(THING, SEEN - 1)
    message = click(newest, newest)
    xyz = turn("y", degrees_at(newest))[1] @ (3 * (x - CX) / F, 3 * (y - CY) / F, 3.0)
    message.point.x, message.point.y, message.point.z = map(float, xyz)
    assert reads.read_point_in_space(message, MODE).selected == 1
