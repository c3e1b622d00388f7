"""Decode sensor_msgs/CompressedImage messages into arrays, as image_transport understands them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.grey_levels import GreyLevels, reduce_to_8_bits
from sam_pt_ros.interchange.images import BAYER, QUOTED, check_size
from sam_pt_ros.interchange.jpeg_png import claimed_size, decode_file, is_jpeg, is_png

_OTHER_FORMATS = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"\0\0\0\1": "H.264 or H.265 video",
}
"""How files begin that are recognized, but not decoded."""


@dataclass(frozen=True)
class CompressedFormat:
    """What the ``format`` of a CompressedImage says, in lower case.

    Publishers of image_transport write ``ENCODING; CODEC compressed STORED``, older ones and many
    drivers only ``CODEC``.

    Attributes:
        encoding: of the image before it was compressed, such as ``rgb8``; empty: unknown.
        stored: of the image that was compressed; empty: the same, or unknown.
        is_depth: whether it is compressedDepth, which is no picture.
    """

    encoding: str
    stored: str
    is_depth: bool

    @classmethod
    def parse(cls, text: str) -> CompressedFormat:
        """Read a format in any case and spacing."""
        text = text.lower()
        encoding, semicolon, rest = text.partition(";")
        stored = re.search(r"compressed\s+(\w+)", rest)
        return cls(
            "".join(encoding.split()) if semicolon else "",
            stored[1] if stored else "",
            "compresseddepth" in text,
        )

    @property
    def red_is_first(self) -> bool:
        """Whether the file holds red where a viewer of files expects blue.

        OpenCV stores colours in the order blue, green, red. Publishers convert to it, and say so;
        without that word they have stored the image as it was.
        """
        is_colour = re.fullmatch(r"(rgb|bgr)a?(8|16)", self.encoding) is not None
        return is_colour and not self.stored.startswith("bgr")

    @property
    def mosaic(self) -> int | None:
        """OpenCV's code that interpolates the Bayer pattern in the file; None if it holds none."""
        pattern = re.fullmatch(r"bayer_(\w{4})(8|16)", self.encoding)
        stored_as_it_was = self.stored in ("", self.encoding)
        return BAYER.get(pattern[1]) if pattern and stored_as_it_was else None


def decode_compressed(message: Any, levels: GreyLevels | None = None) -> np.ndarray:
    """Decode a CompressedImage message (JPEG or PNG) to RGB.

    Colours are in the order that ``format`` tells, and a Bayer pattern that is still in the file
    is interpolated, both by the conventions of image_transport. An orientation in the file's EXIF
    data is ignored, as there: camera_info is that of the unturned picture.

    Args:
        message: the CompressedImage message.
        levels: reduces 16-bit images to 8 bits; None: their upper 8 bits are used.

    Returns:
        ``uint8 (H, W, 3)``, C-contiguous.

    Raises:
        UserError: the format is another one, the file is damaged or truncated, or a side is too
            short or too long.
    """
    data = memoryview(message.data)
    said = CompressedFormat.parse(message.format)
    size = claimed_size(data)
    if size is not None:
        check_size(*size)
    pixels = decode_file(data, size, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise UserError(
            f"the compressed image of format {message.format[:QUOTED]!r} and {len(data)} bytes "
            f"cannot be decoded: {_why_not(data, said)}"
        )
    pixels = reduce_to_8_bits(pixels, levels)
    if pixels.ndim == 2:
        grey_to_rgb = cv2.COLOR_GRAY2RGB if said.mosaic is None else said.mosaic
        return np.asarray(cv2.cvtColor(pixels, grey_to_rgb))
    if said.red_is_first:
        return pixels if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[:, :, :3])
    to_rgb = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGB
    return np.asarray(cv2.cvtColor(pixels, to_rgb))


def _why_not(data: memoryview, said: CompressedFormat) -> str:
    if said.is_depth:
        return "it is depth; subscribe to the topic of a colour image"
    if not (is_jpeg(data) or is_png(data)):
        for start, name in _OTHER_FORMATS.items():
            if bytes(data[: len(start)]) == start:
                return f"it is {name}; let the driver publish JPEG or PNG, or raw images"
    return "it is damaged, truncated, or neither JPEG nor PNG"
