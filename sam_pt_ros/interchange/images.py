"""Decode sensor_msgs images, from rclpy or from rosbags, into arrays. Needs no ROS.

OpenCV reads directly from the memory of the message, padding included. A decoded image never
shares that memory: frames are kept for seconds, the memory may be overwritten meanwhile, and a
view would keep alive whatever the message was cut from, such as a block of a recording. So rgb8 is
copied although it needs no conversion; that takes no longer than converting bgr8.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.grey_levels import GreyLevels


class _Encoding(NamedTuple):
    """How the pixels of an encoding are stored."""

    channels: int
    width_in_bytes: int  # of a channel
    conversion: int | None  # OpenCV's code for the conversion to RGB; None if it is RGB


# ROS names a Bayer pattern after the first two rows, OpenCV after the second and third pixel of
# the second row: RGGB is BG there. (OpenCV's newer names match ROS, but older versions lack them.)
BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
"""OpenCV's code for the conversion to RGB, by the colours of the first two rows."""

_YUV_422 = (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2, cv2.COLOR_YUV2RGB_YVYU)
_ENCODINGS: dict[str, _Encoding] = {
    "rgb8": _Encoding(3, 1, None),
    "bgr8": _Encoding(3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(4, 1, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(4, 1, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(1, 1, cv2.COLOR_GRAY2RGB),
    "rgb16": _Encoding(3, 2, None),
    "bgr16": _Encoding(3, 2, cv2.COLOR_BGR2RGB),
    "rgba16": _Encoding(4, 2, cv2.COLOR_RGBA2RGB),
    "bgra16": _Encoding(4, 2, cv2.COLOR_BGRA2RGB),
    "mono16": _Encoding(1, 2, cv2.COLOR_GRAY2RGB),
    # Drivers publish OpenCV's channel order under these generic names.
    "8UC1": _Encoding(1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Encoding(3, 1, cv2.COLOR_BGR2RGB),
    "8UC4": _Encoding(4, 1, cv2.COLOR_BGRA2RGB),
    "16UC3": _Encoding(3, 2, cv2.COLOR_BGR2RGB),
    "16UC4": _Encoding(4, 2, cv2.COLOR_BGRA2RGB),
    **{f"bayer_{name}8": _Encoding(1, 1, code) for name, code in BAYER.items()},
    **{f"bayer_{name}16": _Encoding(1, 2, code) for name, code in BAYER.items()},
    # sensor_msgs has an older and a newer name for each byte order. Two pixels share one colour.
    "yuv422": _Encoding(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Encoding(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Encoding(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Encoding(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "yvyu": _Encoding(2, 1, cv2.COLOR_YUV2RGB_YVYU),
}
# A plane of Y, and behind it the colours of each 2x2 pixels.
_PLANAR = {
    "nv12": cv2.COLOR_YUV2RGB_NV12,
    "nv21": cv2.COLOR_YUV2RGB_NV21,
    "i420": cv2.COLOR_YUV2RGB_I420,
    "yuv420": cv2.COLOR_YUV2RGB_I420,
    "yv12": cv2.COLOR_YUV2RGB_YV12,
}
_IN_ONE_PLANE = ("nv12", "nv21")  # U and V; the others have a plane for each
_NV24 = "nv24"
ENCODINGS = (*_ENCODINGS, *_PLANAR, _NV24)
"""Supported encodings of sensor_msgs/Image."""

_MILLIMETRES = ("16UC1", "mono16")
_METRES = "32FC1"
DEPTH_ENCODINGS = (*_MILLIMETRES, _METRES)
"""Supported encodings of depth images."""

# A lookup table is four times as fast as converting and masking out missing readings.
_FROM_MILLIMETRES = (np.arange(1 << 16) * 1e-3).astype(np.float32)
_FROM_MILLIMETRES[0] = np.nan

MIN_SIDE = 16
MAX_SIDE = 16384
"""Allowed side lengths in pixels. No camera has others, but a corrupt header may claim them."""

QUOTED = 40  # characters of a quoted name; a corrupt message may hold a long one


def check_size(height: int, width: int, least: int = MIN_SIDE) -> None:
    """UserError if a side of an image is too short or too long."""
    if not (least <= height <= MAX_SIDE and least <= width <= MAX_SIDE):
        raise UserError(
            f"the image is {width}x{height} pixels; each side must be {least} to {MAX_SIDE}"
        )


def pixels_of(
    message: Any, channels: int, width_in_bytes: int, least: int = MIN_SIDE
) -> np.ndarray:
    """The pixels of an Image message, without padding and in the message's byte order.

    Args:
        message: the Image message.
        channels: number of channels of its encoding.
        width_in_bytes: bytes of a channel, which is read as an unsigned integer.
        least: pixels of a side.

    Returns:
        ``uint8 | uint16 | uint32 (H, W, C)``. It may share the message's memory, and is then
        read-only.

    Raises:
        UserError: a side is too short or too long, or the message's length, step and height
            contradict each other.
    """
    height, width, step = message.height, message.width, message.step
    check_size(height, width, least)
    row = width * channels * width_in_bytes
    if step < row:
        raise UserError(
            f"the image's step is {step} bytes, but {width} pixels of {message.encoding} need "
            f"{row}"
        )
    if len(message.data) != step * height:
        raise _wrong_length(message, step * height)
    # NumPy checks again that the array lies within the data.
    pixels: np.ndarray = np.ndarray(
        (height, width, channels),
        f"{'>' if message.is_bigendian else '<'}u{width_in_bytes}",
        message.data,
        strides=(step, channels * width_in_bytes, width_in_bytes),
    )
    pixels.flags.writeable = False
    # OpenCV needs row lengths that are multiples of the pixel size.
    return pixels if width_in_bytes == 1 else np.ascontiguousarray(pixels)


def _wrong_length(message: Any, needed: int) -> UserError:
    """As cv_bridge, refuse what would be a skewed or a torn picture."""
    return UserError(
        f"the image holds {len(message.data)} bytes, but {message.encoding} of "
        f"{message.width}x{message.height} with a step of {message.step} needs {needed}; correct "
        "the step, or the padding, in the driver"
    )


def decode_image(message: Any, levels: GreyLevels | None = None) -> np.ndarray:
    """Decode an Image message to RGB.

    Bayer patterns are interpolated, and YUV is decoded by BT.601.

    Args:
        message: the Image message.
        levels: reduces 16-bit images to 8 bits; None: their upper 8 bits are used.

    Returns:
        ``uint8 (H, W, 3)``, C-contiguous, in its own memory.

    Raises:
        UserError: the encoding is not supported, a side of a YUV image is odd, or the message's
            length, step and height contradict each other.
    """
    if message.encoding == _NV24:
        return _decode_nv24(message)
    if message.encoding in _PLANAR:
        return np.asarray(cv2.cvtColor(_planes_of(message), _PLANAR[message.encoding]))
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        raise UserError(
            f"the image's encoding {message.encoding[:QUOTED]!r} is not supported; use one of "
            f"{', '.join(ENCODINGS)}"
        )
    channels, width_in_bytes, conversion = encoding
    if width_in_bytes == 2:
        pixels = _reduced(message, channels, levels)
    else:
        pixels = pixels_of(message, channels, 1)
    if conversion is None:
        return pixels.copy()
    if conversion in _YUV_422:
        _check_even("width", pixels.shape[1], message.encoding)
    return np.asarray(cv2.cvtColor(pixels[:, :, 0] if channels == 1 else pixels, conversion))


def _reduced(message: Any, channels: int, levels: GreyLevels | None) -> np.ndarray:
    """The pixels of an image of 16-bit channels, ``uint8 (H, W, C)``."""
    if levels is not None:
        values = pixels_of(message, channels, 2).astype(np.uint16, copy=False)
        return levels.reduce(values).reshape(values.shape)
    pixels = pixels_of(message, 2 * channels, 1)
    upper = 0 if message.is_bigendian else 1
    if channels == 1:
        # Twice as fast as selecting and tripling these bytes in one pass (mixChannels).
        return np.asarray(cv2.extractChannel(pixels, upper))[:, :, None]
    return np.ascontiguousarray(pixels[:, :, upper::2])


def _planes_of(message: Any) -> np.ndarray:
    """The planes of a YUV 4:2:0 image below each other, ``uint8 (H * 3 / 2, W)``.

    Raises:
        UserError: a side is odd, too short or too long, or the message's length, step and height
            contradict each other.
    """
    height, width = message.height, message.width
    check_size(height, width)
    _check_even("width", width, message.encoding)
    _check_even("height", height, message.encoding)
    rows = height * 3 // 2
    step = _step_of_y(message, rows)
    if step != width and message.encoding not in _IN_ONE_PLANE:
        raise UserError(
            f"rows of {message.encoding} are padded to {step} bytes; use nv12 or nv21, or a width "
            "without padding"
        )
    planes: np.ndarray = np.ndarray((rows, width), np.uint8, message.data, strides=(step, 1))
    return planes


def _decode_nv24(message: Any) -> np.ndarray:
    """A plane of Y and one of U and V, of every pixel.

    OpenCV cannot convert that, but an image of twice the size in which 2x2 pixels have one colour.
    """
    height, width = message.height, message.width
    check_size(height, width)
    step = _step_of_y(message, 3 * height)
    rows: np.ndarray = np.ndarray((3 * height, step), np.uint8, message.data)
    doubled = rows[:height, :width].repeat(2, axis=0).repeat(2, axis=1)
    colours = rows[height:].reshape(height, 2 * step)[:, : 2 * width]
    rgb = cv2.cvtColor(np.vstack([doubled, colours]), cv2.COLOR_YUV2RGB_NV12)
    return np.ascontiguousarray(rgb[::2, ::2])


def _step_of_y(message: Any, rows: int) -> int:
    """Bytes of a row of Y in an image whose planes are as large as ``rows`` of them.

    ``step`` says it. Some drivers divide all bytes by the height instead.

    Raises:
        UserError: the message's length, step and height contradict each other.
    """
    height, width, step = message.height, message.width, message.step
    size = len(message.data)
    if size == step * height >= width * rows:
        step = size // rows
    if step < width:
        raise UserError(
            f"the image's step is {step} bytes, but {width} pixels of Y in {message.encoding} "
            f"need {width}"
        )
    if size != step * rows:
        raise _wrong_length(message, step * rows)
    return int(step)


def _check_even(side: str, length: int, encoding: str) -> None:
    if length % 2:
        raise UserError(
            f"the image is {length} pixels {'wide' if side == 'width' else 'high'}, but "
            f"{encoding} needs an even {side}, because neighbouring pixels share their colour"
        )


JPEG_QUALITY = 85
"""JPEG quality of pictures for people, 0 to 100."""


def encode_jpeg(image: np.ndarray) -> np.ndarray:
    """Encode RGB ``uint8 (H, W, 3)`` as a JPEG file, ``uint8 (N,)`` bytes."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    assert done
    return np.asarray(data).reshape(-1)


def decode_mask(message: Any, least: int = MIN_SIDE) -> np.ndarray:
    """Decode a mono8 or 8UC1 Image message to a mask, ``bool (H, W)``: where it is not 0.

    Args:
        message: the Image message.
        least: pixels of a side; 1 for a mask that was cut out.

    Raises:
        UserError: the encoding is another one, or the data does not fit the claimed size.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise UserError(f"a mask must be a mono8 or 8UC1 image, not '{message.encoding}'")
    return np.asarray(pixels_of(message, 1, 1, least)[:, :, 0] != 0)


def decode_labels(message: Any) -> np.ndarray:
    """Decode a mono8, 8UC1, mono16 or 16UC1 Image message to a label image, ``uint16 (H, W)``.

    Raises:
        UserError: the encoding is another one, or the data does not fit the claimed size.
    """
    width = {"mono8": 1, "8UC1": 1, "mono16": 2, "16UC1": 2}.get(message.encoding)
    if width is None:
        raise UserError(
            f"a label image must be a mono8, 8UC1, mono16 or 16UC1 image, not '{message.encoding}'"
        )
    return np.asarray(pixels_of(message, 1, width)[:, :, 0].astype(np.uint16))


def decode_depth(message: Any) -> np.ndarray:
    """Decode a depth Image message to metres, ``float32 (H, W)``; NaN for no reading (REP 117).

    16UC1 and mono16 hold millimetres, 32FC1 metres (REP 118), in either byte order. 0, NaN,
    infinite and negative values are no readings. The result is in its own memory.

    Raises:
        UserError: the encoding is another one, or the data does not fit the claimed size.
    """
    if message.encoding in _MILLIMETRES:
        return _FROM_MILLIMETRES.take(pixels_of(message, 1, 2)[:, :, 0])
    if message.encoding != _METRES:
        raise UserError(
            f"the encoding '{message.encoding}' is not a depth encoding; use one of "
            f"{', '.join(DEPTH_ENCODINGS)}"
        )
    bits = pixels_of(message, 1, 4)[:, :, 0].astype(np.uint32, copy=False)
    metres = bits.view(np.float32)
    # Positive and finite. Comparing bits is faster than comparing floats, and does not warn.
    reading = (bits - np.uint32(1)) < np.uint32(0x7F7FFFFF)
    decoded = np.full(metres.shape, np.nan, np.float32)
    cv2.copyTo(metres, reading.view(np.uint8), decoded)
    return decoded
