"""What the node is told about receiving and publishing; nothing of the method. No ROS here."""

from __future__ import annotations

from dataclasses import dataclass

from sam_pt_ros.masks import MAX_OBJECT_ID
from sam_pt_ros.options import check_options, option

NEW_OBJECT, POSITIVE_POINT, NEGATIVE_POINT = "new_object", "positive", "negative"
CLICK_MODES = (NEW_OBJECT, POSITIVE_POINT, NEGATIVE_POINT)


@dataclass(frozen=True)
class NodeOptions:
    """How the node receives and publishes."""

    autostart: bool = option(True, "Configure and activate without being told to.")
    mode: str = option(
        "latest",
        "latest: process the newest image and drop those that it overtook; every_frame: process "
        "all of them, as late as that may be.",
        choices=("latest", "every_frame"),
    )
    queue_size: int = option(
        300,
        "Images that wait in mode every_frame; beyond that the oldest is dropped. 300 of 1280x720 "
        "take 0.8 GB.",
        minimum=1,
        maximum=10000,
    )
    image_transport: str = option(
        "raw",
        "raw: sensor_msgs/Image on 'image'; compressed: sensor_msgs/CompressedImage (JPEG, PNG) "
        "on 'image/compressed'.",
        choices=("raw", "compressed"),
    )
    input_timeout: float = option(
        5.0,
        "Seconds without an image after which the node warns; 0: never.",
        minimum=0.0,
        maximum=3600.0,
    )
    max_gap: float = option(
        60.0,
        "Seconds by which the stamps of two images may be apart. Beyond that, and when time goes "
        "back by a second or more, all objects are forgotten, once a second image confirms it.",
        minimum=1.0,
        maximum=86400.0,
    )
    max_failures: int = option(
        5,
        "Images in a row in which a model fails after which the models are loaded anew.",
        minimum=1,
        maximum=100000,
    )
    rectified: bool = option(
        False,
        "Whether the images are rectified, as those of image_rect: then P of camera_info counts, "
        "and there is no distortion.",
    )
    click_mode: str = option(
        NEW_OBJECT,
        "What a click on clicked_point or clicked_pixel does: new_object: starts an object; "
        "positive, negative: adds a point on, or beside, the selected object.",
        choices=CLICK_MODES,
        runtime=True,
    )
    selected_object: int = option(
        0,
        "Id of the object that clicks of click_mode positive and negative are added to; 0: the "
        "one that was started last.",
        minimum=0,
        maximum=MAX_OBJECT_ID,
        runtime=True,
    )
    canvas_distance: float = option(
        1.0,
        "Metres in front of the camera at which RViz shows the image to be clicked on.",
        minimum=0.01,
        maximum=1000.0,
    )
    canvas_rate: float = option(
        1.0,
        "How many times a second the image in RViz is renewed while somebody subscribes to "
        "~/canvas, and more often where history_length is shorter than that; 0: there is no "
        "~/canvas.",
        minimum=0.0,
        maximum=30.0,
    )
    depth_tolerance: float = option(
        0.01,
        "Seconds by which the stamp of an image's depth may differ from its own.",
        minimum=0.0,
        maximum=1.0,
    )
    depth_timeout: float = option(
        0.05,
        "Seconds that a result waits, at most, for depth that is on its way; 0: it does not wait.",
        minimum=0.0,
        maximum=10.0,
    )
    target_frame: str = option(
        "",
        "Frame in which positions are given as well, as map or base_link; needs tf2_ros. Empty: "
        "in the camera's only.",
    )
    use_tf: bool = option(
        True,
        "Listen to /tf, for clicks in other frames than the camera's and for target_frame, where "
        "tf2_ros is installed. It costs a share of a core where many transforms are sent.",
    )
    transform_timeout: float = option(
        0.05,
        "Seconds that a result waits, at most, for the transform to target_frame at its stamp.",
        minimum=0.0,
        maximum=10.0,
    )

    def __post_init__(self) -> None:
        check_options(self)
