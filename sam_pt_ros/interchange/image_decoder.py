"""Decodes the images of a stream, raw or compressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam_pt_ros.interchange.compressed_images import decode_compressed
from sam_pt_ros.interchange.grey_levels import FULL_RANGE, GreyLevels
from sam_pt_ros.interchange.images import ENCODINGS, decode_image


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image of a stream.

    Attributes:
        pixels: RGB, ``uint8 (H, W, 3)``, C-contiguous.
        encoding: the message's encoding or format, and the range of its 16-bit values that was
            stretched. Images of the same encoding show the same thing equally bright.
    """

    pixels: np.ndarray
    encoding: str


class ImageDecoder:
    """Decodes the messages of one stream; 16-bit images get the same range as those before.

    Args:
        stretch: whether 16-bit images that use few of their values are stretched, as
            :class:`~sam_pt_ros.interchange.grey_levels.GreyLevels` does; if not, their upper 8
            bits are used.
        otherwise: decodes Image messages of other encodings to RGB, ``uint8 (H, W, 3)``, or raises
            UserError; None: they are refused.
    """

    def __init__(
        self, stretch: bool = True, otherwise: Callable[[Any], np.ndarray] | None = None
    ) -> None:
        self._levels = GreyLevels() if stretch else None
        self._otherwise = otherwise

    def decode(self, message: Any) -> DecodedImage:
        """Decode an Image or a CompressedImage message.

        Raises:
            UserError: see :func:`~sam_pt_ros.interchange.images.decode_image` and
                :func:`~sam_pt_ros.interchange.compressed_images.decode_compressed`.
        """
        compressed = hasattr(message, "format")
        before = 0 if self._levels is None else self._levels.reduced
        if compressed:
            pixels = decode_compressed(message, self._levels)
        elif self._otherwise is not None and message.encoding not in ENCODINGS:
            pixels = self._otherwise(message)
        else:
            pixels = decode_image(message, self._levels)
        encoding = message.format if compressed else message.encoding
        levels = self._levels
        if levels is not None and levels.reduced > before and levels.range != FULL_RANGE:
            low, high = levels.range
            encoding += f", values {low} to {high}"
        return DecodedImage(pixels, encoding)
