"""Options of the node that are not the method's: how it receives and publishes. No ROS here."""

from __future__ import annotations

from dataclasses import dataclass

from sam_pt_ros.masks import MAX_OBJECT_ID
from sam_pt_ros.options import check_options, option

NEW_OBJECT, POSITIVE_POINT, NEGATIVE_POINT = "new_object", "positive", "negative"
CLICK_MODES = (NEW_OBJECT, POSITIVE_POINT, NEGATIVE_POINT)
CANVAS_DISTANCE = 1.0


@dataclass(frozen=True)
class NodeOptions:
    """How the node receives and publishes."""

    autostart: bool = option(True, "Configure and activate the node when it starts.")
    mode: str = option(
        "latest",
        "latest: process the newest image and drop older ones that wait; every_frame: process "
        "all images, however late.",
        choices=("latest", "every_frame"),
    )
    queue_size: int = option(
        300,
        "Images that may wait in mode every_frame; beyond that the oldest is dropped. 300 images "
        "of 1280x720 take 0.8 GB.",
        minimum=1,
        maximum=10000,
    )
    image_transport: str = option(
        "raw",
        "raw: sensor_msgs/Image on 'image'; compressed: sensor_msgs/CompressedImage (JPEG, PNG) "
        "on 'image/compressed'.",
        choices=("raw", "compressed"),
    )
    stretch_16_bit: bool = option(
        True,
        "Whether 16-bit images that use few of their values, as those of thermal cameras do, are "
        "stretched to 8 bits by a range that is kept while it fits; if not, the upper 8 bits are "
        "used.",
    )
    stamp_on_arrival: bool = option(
        False,
        "Whether images and depth get the time of their arrival as stamp, for drivers that do not "
        "stamp them. Results carry that stamp. Depth then needs a larger depth_tolerance.",
    )
    input_timeout: float = option(
        5.0,
        "Seconds without an image after which the node warns; 0: never.",
        minimum=0.0,
        maximum=3600.0,
    )
    max_gap: float = option(
        60.0,
        "Largest gap between the stamps of two images, in seconds. After a larger gap, or if time "
        "goes back by a second or more or to the first image, all objects are forgotten once a "
        "second image confirms it. A pause by ~/enable or deactivate may be longer.",
        minimum=1.0,
        maximum=86400.0,
    )
    max_failures: int = option(
        5,
        "Number of images in a row in which a model fails before the models are reloaded.",
        minimum=1,
        maximum=100000,
    )
    rectified: bool = option(
        False,
        "Whether the images are rectified, as those of image_rect. If so, P of camera_info is "
        "used, without distortion.",
    )
    click_mode: str = option(
        NEW_OBJECT,
        "What a click on clicked_point or clicked_pixel does. new_object: start an object (see "
        "click_selects); positive or negative: add a point on, or beside, the selected object.",
        choices=CLICK_MODES,
        runtime=True,
    )
    click_selects: bool = option(
        True,
        "Whether a click in click_mode new_object on the mask of an object selects that object, "
        "and adds a positive point to it. If false, it starts another object there.",
        runtime=True,
    )
    selected_object: int = option(
        0,
        "Id of the object to which clicks add points in click_mode positive and negative; 0: the "
        "object that was started or selected last.",
        minimum=0,
        maximum=MAX_OBJECT_ID,
        runtime=True,
    )
    canvas_distance: float = option(
        CANVAS_DISTANCE,
        "Distance of the canvas, the image to click on in RViz, in front of the camera, in "
        "metres; outlines follow it. RViz's depth is off by up to 6 mm, so that clicks on a "
        "canvas nearer than 1 m are less exact.",
        minimum=0.01,
        maximum=1000.0,
    )
    canvas_rate: float = option(
        1.0,
        "Rate in Hz at which ~/canvas is published while it has subscriptions; it is higher where "
        "history_length covers less time. When an object starts or ends, the next image is shown "
        "at once. 0: no ~/canvas.",
        minimum=0.0,
        maximum=30.0,
    )
    depth_tolerance: float = option(
        0.01,
        "Largest difference between the stamps of an image and its depth, in seconds.",
        minimum=0.0,
        maximum=1.0,
    )
    depth_timeout: float = option(
        0.05,
        "Seconds that a result waits at most for depth that is on its way; 0: it does not wait.",
        minimum=0.0,
        maximum=10.0,
    )
    target_frame: str = option(
        "",
        "Second frame in which positions are given, for example map or base_link; needs tf2_ros. "
        "Empty: only in the camera's frame.",
    )
    use_tf: bool = option(
        True,
        "Whether to listen to /tf, if tf2_ros is installed: for target_frame, and for clicks in "
        "other frames than the camera's. Many transforms cost a noticeable share of a CPU core.",
    )
    transform_timeout: float = option(
        0.05,
        "Seconds that a result waits at most for the transform to target_frame at its stamp, and "
        "a click on clicked_point for that to the camera at the stamp of its image.",
        minimum=0.0,
        maximum=10.0,
    )

    def __post_init__(self) -> None:
        check_options(self)
