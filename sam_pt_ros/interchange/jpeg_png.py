"""Decode JPEG and PNG files that may be damaged."""

from __future__ import annotations

import contextlib
import re

import cv2
import numpy as np

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START, _JPEG_END = b"\xff\xd8", re.compile(b"\xff\xd9")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers before the image size
_JPEG_SCAN = 0xDA  # marker before the pixel data
_MAX_PIXELS_PER_BYTE = 16384  # zlib compresses at most 1032:1, and a byte holds 8 one-bit pixels


def decode_file(data: memoryview, size: tuple[int, int] | None, flags: int) -> np.ndarray | None:
    """Decode a JPEG or PNG; None if it is neither, or is damaged or truncated.

    What the file claims is checked before decoding, because OpenCV allocates whatever that is
    (4.13: gigabytes for a chunk of a PNG, whatever the image's size), accepts a dozen other
    formats, and fills the missing part of a truncated file with grey (4.6).

    Args:
        data: the file.
        size: its :func:`claimed_size`.
        flags: OpenCV's ``IMREAD_...``, on which the shape and dtype of the result depend.
    """
    if size is None or not 0 < size[0] * size[1] <= _MAX_PIXELS_PER_BYTE * len(data):
        return None
    # OpenCV returns None for most damaged files, and raises for the rest.
    with contextlib.suppress(cv2.error):
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return None


def claimed_size(data: memoryview) -> tuple[int, int] | None:
    """Height and width that a JPEG or PNG claims; None if it is neither, or is truncated."""
    if is_png(data):
        return _png_size(data)
    return _jpeg_size(data) if is_jpeg(data) else None


def is_png(data: memoryview) -> bool:
    """Whether a file begins as a PNG does."""
    return bytes(data[:8]) == _PNG_START


def is_jpeg(data: memoryview) -> bool:
    """Whether a file begins as a JPEG does."""
    return bytes(data[:2]) == _JPEG_START


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
