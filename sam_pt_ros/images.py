"""sensor_msgs images to RGB arrays, whether rclpy or rosbags made the message. No ROS here."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from sam_pt_ros.errors import UserError

# Encoding: channels, bytes per channel, OpenCV conversion to RGB (None: it is RGB).
_ENCODINGS: dict[str, tuple[int, int, int | None]] = {
    "rgb8": (3, 1, None),
    "bgr8": (3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": (4, 1, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, 1, cv2.COLOR_BGRA2RGB),
    "mono8": (1, 1, cv2.COLOR_GRAY2RGB),
    "mono16": (1, 2, cv2.COLOR_GRAY2RGB),
    # Drivers that know no better name publish OpenCV's own order under these.
    "8UC1": (1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": (3, 1, cv2.COLOR_BGR2RGB),
    "8UC4": (4, 1, cv2.COLOR_BGRA2RGB),
}
ENCODINGS = tuple(_ENCODINGS)
"""Encodings of sensor_msgs/Image that are understood."""

MIN_SIDE = 16
MAX_SIDE = 16384
"""Sides of other lengths are refused: no camera makes them, but a broken header does."""


def _check_size(height: int, width: int) -> None:
    if not (MIN_SIDE <= height <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        raise UserError(
            f"the image is {width}x{height} pixels; {MIN_SIDE} to {MAX_SIDE} a side are possible"
        )


def _pixels(message: Any, channels: int, width_in_bytes: int) -> np.ndarray:
    """The message's pixels without padding and in this machine's byte order, (H, W, C)."""
    height, width, step = message.height, message.width, message.step
    _check_size(height, width)
    row = width * channels * width_in_bytes
    if step < row:
        raise UserError(
            f"the image's step is {step} bytes, but {width} pixels of {message.encoding} need "
            f"{row}"
        )
    if len(message.data) < step * (height - 1) + row:
        raise UserError(
            f"the image holds {len(message.data)} bytes, but {height} rows of {step} bytes are "
            "needed"
        )
    data = np.frombuffer(message.data, np.uint8)
    strided = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)
    if width_in_bytes == 1:
        return strided.reshape(height, width, channels)
    order = ">" if message.is_bigendian else "<"
    pixels = np.ascontiguousarray(strided).view(f"{order}u{width_in_bytes}")
    return pixels.reshape(height, width, channels)


def decode_image(message: Any) -> np.ndarray:
    """An Image message as RGB, ``uint8 (H, W, 3)``, C-contiguous; mono16 is scaled by 1/256.

    Raises:
        UserError: an unknown encoding, or data that does not fit the size that is claimed.
    """
    if message.encoding not in _ENCODINGS:
        raise UserError(
            f"the image's encoding '{message.encoding}' is not supported; use one of "
            f"{', '.join(ENCODINGS)}"
        )
    channels, width_in_bytes, conversion = _ENCODINGS[message.encoding]
    pixels = _pixels(message, channels, width_in_bytes)
    if width_in_bytes == 2:
        pixels = (pixels >> 8).astype(np.uint8)
    if conversion is None:
        # A copy: the message's memory may be used again while the frame is kept.
        return np.array(pixels, order="C")
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion))


def decode_compressed(message: Any) -> np.ndarray:
    """A CompressedImage (JPEG, PNG) as RGB, ``uint8 (H, W, 3)``; UserError if it is none."""
    data = np.frombuffer(message.data, np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if decoded is None:
        raise UserError(
            f"the compressed image of format '{message.format}' and {len(data)} bytes cannot be "
            "decoded; JPEG and PNG are supported"
        )
    _check_size(*decoded.shape[:2])
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


JPEG_QUALITY = 85
"""Of pictures for people: 0 to 100."""


def encode_jpeg(image: np.ndarray) -> np.ndarray:
    """RGB ``uint8 (H, W, 3)`` as a JPEG file, ``uint8 (N,)``."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    assert done
    return np.asarray(data).reshape(-1)


def decode_mask(message: Any) -> np.ndarray:
    """A mask, ``bool (H, W)``: where a mono8 or 8UC1 image is not 0; UserError otherwise."""
    if message.encoding not in ("mono8", "8UC1"):
        raise UserError(f"a mask must be a mono8 or 8UC1 image, not '{message.encoding}'")
    return np.asarray(_pixels(message, 1, 1)[:, :, 0] != 0)


def decode_labels(message: Any) -> np.ndarray:
    """A label image, ``uint16 (H, W)``, of a mono8, 8UC1, mono16 or 16UC1 Image message.

    Raises:
        UserError: another encoding, or data that does not fit the size that is claimed.
    """
    width = {"mono8": 1, "8UC1": 1, "mono16": 2, "16UC1": 2}.get(message.encoding)
    if width is None:
        raise UserError(
            f"a label image must be a mono8, 8UC1, mono16 or 16UC1 image, not '{message.encoding}'"
        )
    return np.asarray(_pixels(message, 1, width)[:, :, 0].astype(np.uint16))
