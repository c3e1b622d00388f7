"""Decode sensor_msgs images, from rclpy or from rosbags, into arrays. Needs no ROS.

OpenCV reads directly from the memory of the message, padding included. A decoded image never
shares that memory: frames are kept for seconds, the memory may be overwritten meanwhile, and a
view would keep alive whatever the message was cut from, such as a block of a recording. So rgb8 is
copied although it needs no conversion; that takes no longer than converting bgr8.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple

import cv2
import numpy as np

from sam_pt_ros.errors import UserError


class _Encoding(NamedTuple):
    """How the pixels of an encoding are stored."""

    channels: int
    width_in_bytes: int  # of a channel
    conversion: int | None  # OpenCV's code for the conversion to RGB; None if it is RGB


# ROS names a Bayer pattern after the first two rows, OpenCV after the second and third pixel of
# the second row: RGGB is BG there. (OpenCV's newer names match ROS, but older versions lack them.)
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_YUV = (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2)
_ENCODINGS: dict[str, _Encoding] = {
    "rgb8": _Encoding(3, 1, None),
    "bgr8": _Encoding(3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(4, 1, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(4, 1, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(1, 1, cv2.COLOR_GRAY2RGB),
    "mono16": _Encoding(1, 2, cv2.COLOR_GRAY2RGB),
    # Drivers publish OpenCV's channel order under these generic names.
    "8UC1": _Encoding(1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Encoding(3, 1, cv2.COLOR_BGR2RGB),
    "8UC4": _Encoding(4, 1, cv2.COLOR_BGRA2RGB),
    **{f"bayer_{name}8": _Encoding(1, 1, code) for name, code in _BAYER.items()},
    **{f"bayer_{name}16": _Encoding(1, 2, code) for name, code in _BAYER.items()},
    # sensor_msgs has an older and a newer name for each byte order. Two pixels share one colour.
    "yuv422": _Encoding(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _Encoding(2, 1, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _Encoding(2, 1, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _Encoding(2, 1, cv2.COLOR_YUV2RGB_YUY2),
}
ENCODINGS = tuple(_ENCODINGS)
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

_QUOTED = 40  # characters of a quoted name; a corrupt message may hold a long one


def _check_size(height: int, width: int) -> None:
    """UserError if a side of an image is too short or too long."""
    if not (MIN_SIDE <= height <= MAX_SIDE and MIN_SIDE <= width <= MAX_SIDE):
        raise UserError(
            f"the image is {width}x{height} pixels; each side must be {MIN_SIDE} to {MAX_SIDE}"
        )


def pixels_of(message: Any, channels: int, width_in_bytes: int) -> np.ndarray:
    """The pixels of an Image message, without padding and in the message's byte order.

    Args:
        message: the Image message.
        channels: number of channels of its encoding.
        width_in_bytes: bytes of a channel, which is read as an unsigned integer.

    Returns:
        ``uint8 | uint16 | uint32 (H, W, C)``. It may share the message's memory, and is then
        read-only.

    Raises:
        UserError: a side is too short or too long, or the data does not fit the claimed size.
    """
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


def decode_image(message: Any) -> np.ndarray:
    """Decode an Image message to RGB.

    Of 16-bit channels the upper 8 bits are used, Bayer patterns are interpolated, and YUV is
    decoded by BT.601.

    Returns:
        ``uint8 (H, W, 3)``, C-contiguous, in its own memory.

    Raises:
        UserError: the encoding is not supported, the width of a YUV image is odd, or the data
            does not fit the claimed size.
    """
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        raise UserError(
            f"the image's encoding {message.encoding[:_QUOTED]!r} is not supported; use one of "
            f"{', '.join(ENCODINGS)}"
        )
    channels, width_in_bytes, conversion = encoding
    pixels = pixels_of(message, channels * width_in_bytes, 1)
    if conversion is None:
        return pixels.copy()
    if conversion in _YUV and pixels.shape[1] % 2:
        raise UserError(
            f"the image is {pixels.shape[1]} pixels wide, but {message.encoding} needs an even "
            "width, because each two neighbouring pixels share their colour"
        )
    if width_in_bytes == 2:
        # Twice as fast as selecting and tripling these bytes in one pass (mixChannels).
        pixels = cv2.extractChannel(pixels, 0 if message.is_bigendian else 1)
    elif channels == 1:
        pixels = pixels[:, :, 0]
    return np.asarray(cv2.cvtColor(pixels, conversion))


_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_END = b"\xff\xd8", re.compile(b"\xff\xd9")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers before the image size
_JPEG_SCAN = 0xDA  # marker before the pixel data
_MAX_PIXELS_PER_BYTE = (
    16384  # upper limit: zlib compresses at most 1032:1, and a byte holds 8 one-bit pixels
)


def _compressed_size(data: memoryview) -> tuple[int, int] | None:
    """Height and width that a JPEG or PNG claims; None if it is neither, or is truncated.

    This is checked before decoding, because OpenCV allocates whatever a file claims (4.13:
    gigabytes for a chunk of a PNG, whatever the image's size), accepts a dozen other formats, and
    fills the missing part of a truncated file with grey (4.6).
    """
    if data[:8] == _PNG_START:
        return _png_size(data)
    return _jpeg_size(data) if bytes(data[:2]) == _JPEG_START else None


def _png_size(data: memoryview) -> tuple[int, int] | None:
    """Height and width in the header of a PNG; None if a chunk is missing."""
    if bytes(data[12:16]) != b"IHDR":
        return None
    name, at = b"", len(_PNG_START)
    while name != b"IEND":
        name = bytes(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")  # length, name, content, checksum
        if at > len(data):
            return None
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _jpeg_size(data: memoryview) -> tuple[int, int] | None:
    """Height and width in the header of a JPEG; None without an end marker."""
    found, at = None, 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            found = (
                int.from_bytes(data[at + 5 : at + 7], "big"),
                int.from_bytes(data[at + 7 : at + 9], "big"),
            )
        elif marker == _JPEG_SCAN:  # pixel data never contains the end marker
            return found if _JPEG_END.search(data, at) else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


# image_transport ignores an EXIF orientation, too: camera_info is that of the unturned picture.
_AS_THE_CAMERA_SEES = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def decode_compressed(message: Any) -> np.ndarray:
    """Decode a CompressedImage message (JPEG or PNG) to RGB, ``uint8 (H, W, 3)``.

    An orientation in the file's EXIF data is ignored.

    Raises:
        UserError: the format is another one, the file is damaged or truncated, or a side is too
            short or too long.
    """
    data = memoryview(message.data)
    size = _compressed_size(data)
    decoded = None
    if size is not None:
        _check_size(*size)
        if size[0] * size[1] <= _MAX_PIXELS_PER_BYTE * len(data):
            # OpenCV returns None for most damaged files, and raises for the rest.
            with contextlib.suppress(cv2.error):
                decoded = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_THE_CAMERA_SEES)
    if decoded is None:
        raise UserError(
            f"the compressed image of format {message.format[:_QUOTED]!r} and {len(data)} bytes "
            "cannot be decoded: it is damaged, truncated, or neither JPEG nor PNG"
        )
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


JPEG_QUALITY = 85
"""JPEG quality of pictures for people, 0 to 100."""


def encode_jpeg(image: np.ndarray) -> np.ndarray:
    """Encode RGB ``uint8 (H, W, 3)`` as a JPEG file, ``uint8 (N,)`` bytes."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    assert done
    return np.asarray(data).reshape(-1)


def decode_mask(message: Any) -> np.ndarray:
    """Decode a mono8 or 8UC1 Image message to a mask, ``bool (H, W)``: where it is not 0.

    Raises:
        UserError: the encoding is another one, or the data does not fit the claimed size.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise UserError(f"a mask must be a mono8 or 8UC1 image, not '{message.encoding}'")
    return np.asarray(pixels_of(message, 1, 1)[:, :, 0] != 0)


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
