"""Clicks over real DDS: where they land, what they do, and what is refused."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from geometry_msgs.msg import Point, PointStamped
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sam_pt_ros.msg import ObjectPrompt, PointPrompt
from sam_pt_ros.srv import AddObjects, RemoveObject
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from support import packages
from support.rig import TIMEOUT, Rig
from support.robot import CAMERA, DOUBLES, Robot
from support.scene import OCCLUDER, THING

F, CX, CY = 300.0, 160.0, 120.0  # of the camera's process

PLUMB_BOB = ("plumb_bob", [-0.35, 0.15, 0.004, -0.003, -0.02])
RATIONAL = ("rational_polynomial", [0.9, 0.3, 0.001, -0.002, 0.02, 1.3, 0.6, 0.07])
FISHEYE = ("equidistant", [0.06, -0.02, 0.004, 0.0])
POINTS = [
    (0.0, 0.0, 1.0),
    (-0.5, -0.35, 1.0),
    (0.9, 0.6, 2.0),
    (-1.2, 0.7, 3.0),
    (1.3, -1.0, 3.5),
    (0.02, 0.15, 0.4),
]
ONE, OTHER = POINTS[1], POINTS[2]


def by_hand(point: tuple[float, float, float], model: str, d: list[float]) -> tuple[float, float]:
    """The pixel of a point, as the models are written down."""
    x, y = point[0] / point[2], point[1] / point[2]
    r2 = x * x + y * y
    if model == "equidistant":
        r = math.sqrt(r2)
        angle = math.atan(r)
        bent = angle * (1 + sum(k * angle ** (2 * i + 2) for i, k in enumerate(d)))
        scale = bent / r if r else 1.0
        return CX + F * x * scale, CY + F * y * scale
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, *[0.0] * 8)[:8]
    scale = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    u = x * scale + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * scale + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return CX + F * u, CY + F * v


def stamped(frame_id: str, xyz: Any) -> PointStamped:
    message = PointStamped(header=Header(frame_id=frame_id))
    message.point.x, message.point.y, message.point.z = map(float, xyz)
    return message


def see(rig: Rig, index: int, **info: Any) -> None:
    """Have the camera publish, so that its calibration is known; then begin anew."""
    rig.order = {"info": info}
    rig.play(index)
    rig.reset()


def landed(rig: Rig, index: int) -> dict[int, tuple[float, float]]:
    """Where the clicks that wait for a frame lie in it, by object."""
    rig.play(index)
    return {p.object_id: (p.x, p.y) for p in rig.output("tracked_points", index).points}


def known(rig: Rig, index: int) -> tuple[Any, ...]:
    """Objects and points of a frame."""
    points = rig.output("tracked_points", index).points
    return sorted(rig.objects(index)), sorted((p.id, p.object_id, p.label) for p in points)


def same_place(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return math.dist(one, other) < 0.5


@pytest.fixture(scope="module")
def clicks_rig(make_shared_rig: Callable[..., Rig]) -> Rig:
    """With the double of tf2_ros, and no points but those that are clicked."""
    return make_shared_rig("mode:=every_frame", "click_expansion:=false", packages=DOUBLES)


@pytest.fixture
def clicked(clicks_rig: Rig) -> Iterator[Rig]:
    """As good as new; it must survive the test."""
    clicks_rig.order = {}
    clicks_rig.reset()
    yield clicks_rig
    assert clicks_rig.node.alive, clicks_rig.node.log.read_text()


# --- where clicks land --------------------------------------------------------------------


@pytest.mark.parametrize("lens", [PLUMB_BOB, RATIONAL, FISHEYE], ids=lambda lens: lens[0])
def test_a_point_in_the_camera_s_frame_lands_on_its_pixel(
    clicked: Rig, lens: tuple[str, list[float]]
) -> None:
    see(clicked, 0, distortion_model=lens[0], d=lens[1])
    for point in POINTS:
        clicked.click("clicked_point", stamped(CAMERA, point))
    found = landed(clicked, 0)
    expected = {i: by_hand(point, *lens) for i, point in enumerate(POINTS, 1)}
    assert found.keys() == expected.keys()
    assert all(same_place(found[i], expected[i]) for i in expected), (found, expected)
    # Not by chance: the lens moves some of them by much.
    without = [by_hand(point, "plumb_bob", []) for point in POINTS]
    assert max(math.dist(*both) for both in zip(expected.values(), without)) > 10


def test_points_of_a_part_of_the_sensor_land_on_its_pixels(clicked: Rig) -> None:
    """A camera of 960x480, of which 640x480 pixels are published, two by two as one."""
    k = [600.0, 0.0, 480.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0]
    see(clicked, 0)
    clicked.order = {"info": {"width": 960, "height": 480, "k": k, "binning_x": 2, "binning_y": 2}}
    clicked.play(0)
    clicked.log("camera_info refused: it is for images of 480x240 pixels, but they have 320x240")
    roi = {"x_offset": 160, "y_offset": 0, "width": 640, "height": 480}
    see(clicked, 1, width=960, height=480, k=k, binning_x=2, binning_y=2, roi=roi)
    clicked.click("clicked_point", stamped(CAMERA, ONE))
    x, y = (600 * ONE[0] + 480 - 160, 600 * ONE[1] + 240)
    assert same_place(landed(clicked, 1)[1], ((x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5))


@pytest.fixture(params=["double", "tf2_ros"])
def robot(request: pytest.FixtureRequest, make_rig: Callable[..., Rig]) -> tuple[Rig, Robot]:
    """A node that listens to the moving robot, by the double of tf2_ros and by itself."""
    if request.param == "double":
        rig = request.getfixturevalue("clicked")
        return rig, Robot(rig, double=True)
    if find_spec("tf2_ros") is None:
        pytest.skip("tf2_ros is not installed")
    rig = make_rig("mode:=every_frame", "click_expansion:=false")
    return rig, Robot(rig, double=False)


def test_a_point_in_a_moving_frame_lands_on_its_pixel(robot: tuple[Rig, Robot]) -> None:
    rig, robot_ = robot
    see(rig, 0, distortion_model=PLUMB_BOB[0], d=PLUMB_BOB[1])
    moves = [
        (100, 0.0, [0.0, 0.0, 0.0]),
        (101, 35.0, [2.0, -1.0, 0.1]),
        (102, -120.0, [3.0, 0.5, 0.0]),
    ]
    expected = {}
    for i, ((second, degrees, xyz), point) in enumerate(zip(moves, POINTS[1:]), 1):
        to_map = robot_.move(second * 1_000_000_000, degrees, xyz)
        rig.click("clicked_point", stamped("map", to_map(point)))
        expected[i] = by_hand(point, *PLUMB_BOB)
    found = landed(rig, 0)
    assert found.keys() == expected.keys(), rig.logs("click")
    assert all(same_place(found[i], expected[i]) for i in expected), (found, expected)


# --- what clicks do -----------------------------------------------------------------------


def set_parameter(rig: Rig, name: str, value: Any) -> str:
    """Set a parameter by the node's service; why not, or nothing."""
    kinds = {
        bool: ParameterType.PARAMETER_BOOL,
        int: ParameterType.PARAMETER_INTEGER,
        str: ParameterType.PARAMETER_STRING,
    }
    said = ParameterValue(type=kinds[type(value)])
    if isinstance(value, str):
        said.string_value = value
    elif isinstance(value, bool):
        said.bool_value = value
    else:
        said.integer_value = value
    request = SetParameters.Request(parameters=[Parameter(name=name, value=said)])
    (result,) = rig.call_service(SetParameters, "set_parameters", request).results
    assert result.successful == (result.reason == "")
    return str(result.reason)


@pytest.fixture
def modes(clicked: Rig) -> Iterator[Rig]:
    """Its parameters may be changed."""
    yield clicked
    assert set_parameter(clicked, "click_mode", "new_object") == ""
    assert set_parameter(clicked, "selected_object", 0) == ""


def test_clicks_do_what_the_parameters_say_at_the_time(modes: Rig) -> None:
    def click(mode: str, selected: int = 0) -> str:
        assert set_parameter(modes, "click_mode", mode) == ""
        assert set_parameter(modes, "selected_object", selected) == ""
        return modes.click("clicked_pixel", Point(x=9.0, y=9.0)).rpartition(": ")[2]

    modes.play(0)
    thing, door = modes.scene.inner_point(THING, 0), modes.scene.inner_point(OCCLUDER, 0)
    assert "object 1" in modes.click("clicked_pixel", Point(x=thing[0], y=thing[1]))
    assert click("positive") == "point for object 1"
    modes.points(modes.on(OCCLUDER, 0, object_id=7), index=0)  # started last, in another way
    assert click("negative") == "point for object 7"
    assert click("positive", selected=1) == "point for object 1"
    assert click("positive") == "point for object 7"  # a point that is added starts nothing
    prompt = ObjectPrompt(points=[PointPrompt(x=door[0], y=door[1], label=1)])
    response = modes.call("add_objects", AddObjects.Request(objects=[prompt]))
    assert list(response.object_ids) == [2]
    point = stamped(CAMERA, ((9 - CX) / F, (9 - CY) / F, 1.0))
    assert modes.click("clicked_point", point).endswith("object 2")
    assert modes.call("remove_object", RemoveObject.Request(object_id=2)).success
    assert click("negative") == "point for object 7"

    modes.play(1)
    points = modes.output("tracked_points", 1).points
    labels = {i: sorted(p.label for p in points if p.object_id == i) for i in (1, 7)}
    assert labels == {1: [1, 1, 1], 7: [0, 0, 1, 1]}


def test_a_click_on_an_object_selects_it_unless_that_is_not_wanted(modes: Rig) -> None:
    modes.play(0)
    modes.points(modes.on(THING, 0), modes.on(OCCLUDER, 0, object_id=5), index=0)
    modes.play(1)
    x, y = modes.scene.inner_point(THING, 1)
    assert modes.click("clicked_pixel", Point(x=x, y=y)) == (
        "click on 'clicked_pixel': point for object 1, which it lies on; to start another there, "
        "set click_selects to false"
    )
    point = stamped(CAMERA, ((x - CX) / F, (y - CY) / F, 1.0))
    assert "point for object 1, which it lies on" in modes.click("clicked_point", point)
    assert set_parameter(modes, "click_mode", "negative") == ""
    assert modes.click("clicked_pixel", Point(x=9.0, y=9.0)).endswith("point for object 1")
    # What a program says is done as it says.
    assert modes.points(modes.on(THING, 1), index=1).endswith("started object 2")
    assert set_parameter(modes, "click_mode", "new_object") == ""
    assert set_parameter(modes, "click_selects", False) == ""
    try:
        assert modes.click("clicked_pixel", Point(x=x, y=y)).endswith("started object 3")
    finally:
        assert set_parameter(modes, "click_selects", True) == ""
    request = RemoveObject.Request(object_id=2)
    assert modes.call("remove_object", request).success
    modes.log("^removed object 2$")
    assert modes.call("reset", Trigger.Request()).success
    modes.log("^all objects are forgotten; ids begin at 1 again$")


def test_points_for_an_object_that_is_not_there_are_refused(modes: Rig) -> None:
    modes.play(0)
    assert set_parameter(modes, "click_mode", "negative") == ""
    pixel = Point(x=9.0, y=9.0)
    assert "refused: there is no object to add a point to; start one" in modes.click(
        "clicked_pixel", pixel
    )
    modes.points(modes.on(THING, 0), index=0)
    assert set_parameter(modes, "selected_object", 9) == ""
    for topic, message in (("clicked_pixel", pixel), ("clicked_point", stamped(CAMERA, ONE))):
        assert modes.click(topic, message).endswith(
            "refused: there is no object 9; set selected_object to 0 or to an object that is "
            "tracked: 1"
        )
    assert set_parameter(modes, "selected_object", 0) == ""
    assert modes.call("reset", Trigger.Request()).success
    assert "there is no object to add" in modes.click("clicked_pixel", pixel)


def test_values_that_mean_nothing_are_refused(modes: Rig) -> None:
    assert "new_object, positive, negative" in set_parameter(modes, "click_mode", "sideways")
    assert set_parameter(modes, "selected_object", -1) != ""
    assert set_parameter(modes, "selected_object", 65536) != ""
    modes.play(0)
    assert "object 1" in modes.click("clicked_pixel", Point(x=9.0, y=9.0))


def test_the_edge_as_rqt_counts_it_is_that_of_the_image(clicked: Rig) -> None:
    """It counts from the upper left corner of the image to its width and height."""
    clicked.play(0)
    for x, y in ((320.0, 100.0), (100.0, 240.0), (320.0, 240.0)):
        assert "refused" not in clicked.click("clicked_pixel", Point(x=x, y=y))
    for x, y in ((320.1, 100.0), (100.0, 240.1), (-0.6, 100.0), (math.nan, 240.0)):
        assert "refused" in clicked.click("clicked_pixel", Point(x=x, y=y))
    found = landed(clicked, 1)
    expected = {1: (319.5, 100.0), 2: (100.0, 239.5), 3: (319.5, 239.5)}
    assert found.keys() == expected.keys()
    assert all(math.dist(found[i], expected[i]) < 1 for i in expected), found


HELD = '''
import time
from pathlib import Path
from sam_pt_ros.segmenters.classical import ClassicalSegmenter

class Held(ClassicalSegmenter):
    """Takes as long as there is a file `hold` beside it, and then makes a file `held`."""

    def predict(self, prompts):
        while Path(__file__).with_name("hold").exists():
            Path(__file__).with_name("held").touch()
            time.sleep(0.005)
        return super().predict(prompts)
'''


def test_a_pixel_was_clicked_on_the_newest_image_that_has_results(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """While the node has images 3 and 4, people see image 2."""
    packages.install(tmp_path, "held_segmenter", HELD, segmenters={"held": "held_segmenter:Held"})
    rig = make_rig("mode:=every_frame", "segmenter:=held", packages=tmp_path)
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1, 2)
    (tmp_path / "hold").touch()
    rig.camera.publish([3, 4])
    deadline = time.monotonic() + TIMEOUT
    while not (tmp_path / "held").exists():
        assert time.monotonic() < deadline, "the segmenter is not asked"
        time.sleep(0.005)
    x, y = rig.scene.inner_point(OCCLUDER, 2)
    rig._publishers["clicked_pixel"].publish(Point(x=x, y=y))
    time.sleep(0.2)
    assert rig.call("enable", SetBool.Request(data=True)).success  # its thread had its turn
    (tmp_path / "hold").unlink()
    rig.log("click on 'clicked_pixel': started object 2")
    rig.play(5)
    assert rig.objects(5)[2].age == 3
    # It is applied as soon as image 3 is done.
    assert [len(rig.objects(index)) for index in (2, 3, 4)] == [1, 1, 2]


# --- refused ------------------------------------------------------------------------------


def test_a_refused_point_is_explained_and_changes_nothing(clicked: Rig) -> None:
    see(clicked, 0, d=[-0.2, 0.0, 0.0, 0.0, 0.0])
    clicked.play(0)
    clicked.points(clicked.on(THING, 0), clicked.on(OCCLUDER, 0, object_label="door"), index=0)
    clicked.play(1)
    before = known(clicked, 1)
    refusals = [
        (CAMERA, (0.1, 0.2, -1.0), "the point [0.1, 0.2, -1] lies behind the camera"),
        (CAMERA, (0.0, 0.0, 0.0), "the point [0, 0, 0] lies behind the camera"),
        (
            CAMERA,
            (1.0, 0.1, 1.0),
            "the point [1, 0.1, 1] lies outside of the image of 320x240 pixels",
        ),
        (
            CAMERA,
            (-2.1, 0.0, 1.0),
            "the point [-2.1, 0, 1] lies beyond what the lens model covers",
        ),
        (CAMERA, (math.nan, 0.0, 1.0), "the point [nan, 0.0, 1.0] is not finite"),
        (CAMERA, (0.0, math.inf, 1.0), "the point [0.0, inf, 1.0] is not finite"),
        ("", ONE, "the point has no frame_id, so its place is unknown"),
        (
            "nowhere",
            ONE,
            f"no transform from 'nowhere' to '{CAMERA}': \"nowhere\" passed to lookupTransform "
            "does not exist.",
        ),
    ]
    for frame_id, point, reason in refusals:
        clicked.forget()
        answer = clicked.click("clicked_point", stamped(frame_id, point))
        assert answer == f"click on 'clicked_point' refused: {reason}"
    clicked.play(2)
    assert known(clicked, 2) == before
    assert len(clicked.logs("refused")) == 1  # for each


@pytest.mark.parametrize(("camera", "point"), [("/", ""), ("", "/"), ("/", "/")])
def test_a_slash_before_a_frame_counts_as_none(clicked: Rig, camera: str, point: str) -> None:
    see(clicked, 0, frame_id=camera + CAMERA)
    assert "object 1" in clicked.click("clicked_point", stamped(point + CAMERA, ONE))
    assert same_place(landed(clicked, 0)[1], by_hand(ONE, "plumb_bob", []))


def test_calibrations_that_do_not_fit_are_refused(clicked: Rig) -> None:
    see(clicked, 0)
    clicked.order = {"info": {"width": 640}}
    clicked.play(0)
    clicked.log("camera_info refused: it is for images of 640x240 pixels, but they have 320x240")
    clicked.reset()
    assert "object 1" in clicked.click("clicked_point", stamped(CAMERA, ONE))
    see(clicked, 1, frame_id="")
    answer = clicked.click("clicked_point", stamped(CAMERA, ONE))
    assert "refused: the camera_info has no frame_id" in answer
    see(clicked, 2)
    clicked.play(2)
    assert known(clicked, 2) == ([], [])


NO_TF2 = "raise ImportError(\"No module named 'tf2_ros'\")\n"


def test_points_before_a_calibration_and_without_tf2_are_refused(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """A node without tf2_ros, for rectified images: their lens does not count."""
    (tmp_path / "tf2_ros.py").write_text(NO_TF2)
    rig = make_rig(
        "mode:=every_frame",
        "click_expansion:=false",
        "rectified:=true",
        connect=False,
        packages=tmp_path,
    )
    assert rig.click("clicked_point", stamped(CAMERA, ONE)).endswith(
        "refused: no camera_info has arrived yet"
    )
    useless = 0  # images with a camera_info of no use; it is best effort, and one may get lost
    while not rig.logs("camera_info refused: the camera is not calibrated"):
        assert useless < 200
        rig.camera.publish([useless], info={"p": [0.0] * 12})
        time.sleep(0.1)
        useless += 1
    assert rig.click("clicked_point", stamped(CAMERA, ONE)).endswith(
        "refused: the camera is not calibrated: P of its camera_info is 0; calibrate the camera"
    )
    p = [280.0, 0.0, 150.0, 0.0, 0.0, 290.0, 110.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    rig.order = {"info": {"p": p, "d": [-0.3, 0.0, 0.0, 0.0, 0.0]}}
    index = rig.connect(useless)
    assert rig.objects(index) == {}
    rig.reset()
    answer = rig.click("clicked_point", stamped("map", ONE))
    assert f"refused: the transform from 'map' to '{CAMERA}' needs tf2_ros" in answer
    assert "No module named 'tf2_ros'" in answer and "; install ros-" in answer
    assert "object 1" in rig.click("clicked_point", stamped(CAMERA, OTHER))
    x, y = OTHER[0] / OTHER[2], OTHER[1] / OTHER[2]
    assert same_place(landed(rig, 0)[1], (150 + 280 * x, 110 + 290 * y))
    assert rig.node.alive, rig.node.log.read_text()
