"""A camera in a process of its own: publishes frames of the generated scene when told to.

Its argument is ``reliable`` or ``best_effort``. One JSON object per line on stdin: ``frames``
(numbers, published in this order), ``encoding``, ``compressed`` (``png`` or ``jpeg``, for
``image/compressed``), ``broken`` (how the images are spoilt), ``width``, and ``info``: fields of
its CameraInfo messages that differ, or null for none of them. ``size`` (width and height) scales
raw images, ``content`` is the frame whose pixels all of them have, ``period`` the seconds from one
to the next, ``stamps`` how they are stamped wrongly (``zero``, ``seconds`` or
``constant``), and ``mutations`` (``seed``, ``count``, ``first`` of :mod:`mutations`) has spoilt
images of frame ``content`` published instead of frames. It waits until somebody listens,
publishes, and answers with a line ``done``; it ends with its stdin.
"""

from __future__ import annotations

import array
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy._rclpy_pybind11 import RCLError
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.mutations import mutate, plan
from support.scene import Scene, passing_scene

FRAME_ID = "camera_optical_frame"
FOCAL_LENGTH = 300.0
MATCH_TIMEOUT = 120.0


def header(scene: Scene, index: int) -> Header:
    stamp = scene.stamp(index)
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=FRAME_ID)


def fill(message: Any, data: np.ndarray) -> None:
    content = array.array("B")
    content.frombytes(np.ascontiguousarray(data).tobytes())
    message.data = content


def encode(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """``uint8 (H, W * channels)``."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    pixels = {
        "rgb8": lambda: rgb,
        "bgr8": lambda: rgb[..., ::-1],
        "rgba8": lambda: np.dstack([rgb, np.full(rgb.shape[:2], 17, np.uint8)]),
        "mono8": lambda: gray,
        "gray as rgb8": lambda: np.dstack([gray] * 3),
    }[encoding]()
    return np.ascontiguousarray(pixels).reshape(len(rgb), -1)


def image(
    scene: Scene,
    index: int,
    encoding: str,
    broken: str | None,
    content: int | None = None,
    size: list[int] | None = None,
) -> Image:
    rgb = scene.frame(index if content is None else content).image
    if size is not None:
        rgb = cv2.resize(rgb, size)
    pixels = encode(rgb, encoding)
    message = Image(header=header(scene, index), encoding=encoding.split()[-1])
    message.height, message.width = rgb.shape[:2]
    message.step = pixels.shape[1]
    if broken == "step":
        message.step = 1
    elif broken == "short data":
        pixels = pixels[:-5]
    elif broken == "no data":
        pixels = pixels[:0]
    elif broken == "encoding":
        message.encoding = "hsv12"
    elif broken == "no size":
        message.height = message.width = message.step = 0
    elif broken == "one row":
        message.height = 1
    elif broken == "huge":
        message.height = message.width = message.step = 2**32 - 1
    elif broken == "padded":  # not broken at all: rows may be longer than their pixels
        pixels = np.pad(pixels, ((0, 0), (0, 13)), constant_values=99)
        message.step = pixels.shape[1]
    fill(message, pixels)
    return message


def spoil_stamp(message: Any, how: str | None) -> None:
    """Stamp a message as drivers do that stamp badly."""
    stamp = message.header.stamp
    if how == "zero":
        stamp.sec = stamp.nanosec = 0
    elif how == "seconds":
        stamp.nanosec = 0
    elif how == "constant":
        stamp.sec, stamp.nanosec = 5, 250_000_000


def compressed_image(scene: Scene, index: int, kind: str, broken: str | None) -> CompressedImage:
    bgr = cv2.cvtColor(scene.frame(index).image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(f".{kind}", bgr)
    message = CompressedImage(header=header(scene, index), format=f"rgb8; {kind} compressed bgr8")
    fill(message, data[:40] if broken else data)
    return message


def camera_info(scene: Scene, index: int, fields: dict[str, Any]) -> CameraInfo:
    f, cx, cy = FOCAL_LENGTH, scene.width / 2, scene.height / 2
    message = CameraInfo(
        header=header(scene, index),
        height=scene.height,
        width=scene.width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
    for name, value in fields.items():
        if name == "frame_id":
            message.header.frame_id = value
        elif name == "roi":
            message.roi = RegionOfInterest(**value)
        else:
            setattr(message, name, value)
    return message


def wait_for_listener(publisher: Any) -> None:
    deadline = time.monotonic() + MATCH_TIMEOUT
    while publisher.get_subscription_count() == 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens to {publisher.topic_name}")
        time.sleep(0.01)


def publish(publisher: Any, message: Any) -> None:
    """Publish as soon as a reliable publisher has room."""
    while True:
        try:
            publisher.publish(message)
            return
        except RCLError:  # in a burst it may wait for its listener for longer than it may
            time.sleep(0.01)


def main() -> None:
    rclpy.init()
    node = Node("camera")
    reliability = ReliabilityPolicy[sys.argv[1].upper()]
    qos = QoSProfile(depth=300, reliability=reliability)
    publishers = {
        False: node.create_publisher(Image, "image", qos),
        True: node.create_publisher(CompressedImage, "image/compressed", qos),
    }
    info = node.create_publisher(CameraInfo, "camera_info", qos)
    for line in sys.stdin:
        order = json.loads(line)
        scene = passing_scene(order.get("width", 320))
        kind = order.get("compressed")
        publisher = publishers[kind is not None]
        for each in (publisher, info):
            wait_for_listener(each)
        if "mutations" in order:
            good = image(scene, order.get("content", 0), "rgb8", None)
            for planned in plan(**order["mutations"]):
                publish(publisher, mutate(good, planned))
                time.sleep(order["period"])
        due = time.monotonic()
        for index in order["frames"]:
            time.sleep(max(due - time.monotonic(), 0))
            due += order.get("period", 0)
            broken = order.get("broken")
            fields = order.get("info", {})
            if fields is not None:
                info.publish(camera_info(scene, index, fields))
            message = (
                image(
                    scene,
                    index,
                    order.get("encoding", "rgb8"),
                    broken,
                    order.get("content"),
                    order.get("size"),
                )
                if kind is None
                else compressed_image(scene, index, kind, broken)
            )
            spoil_stamp(message, order.get("stamps"))
            publisher.publish(message)
        print("done", flush=True)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
