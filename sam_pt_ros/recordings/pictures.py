"""Picture files in folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.grey_levels import GreyLevels, reduce_to_8_bits
from sam_pt_ros.interchange.jpeg_png import claimed_size, decode_file, is_jpeg, is_png
from sam_pt_ros.paths import is_hidden, natural_order

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

_COLOUR_OF_ANY_DEPTH = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH


def picture_files(folder: Path) -> tuple[Path, ...]:
    """The pictures in a folder, hidden files left out, in natural order (2 before 10).

    Raises:
        UserError: the folder does not exist, or holds no picture.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; check the path")
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and not is_hidden(path)
    ]
    if not files:
        raise UserError(f"{folder}: holds no pictures ({', '.join(PICTURES)}); check the path")
    return tuple(sorted(files, key=lambda path: natural_order(path.stem)))


def read_picture(path: Path, levels: GreyLevels | None = None) -> np.ndarray:
    """Read a picture as RGB, ``uint8 (H, W, 3)``, turned as its EXIF data says.

    Args:
        path: the file.
        levels: reduces 16-bit pictures to 8 bits; None: their upper 8 bits are used.

    Raises:
        UserError: the file cannot be read, is cut off, or holds several pictures.
    """
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    if is_jpeg(data) or is_png(data):
        pixels = decode_file(data, claimed_size(data), _COLOUR_OF_ANY_DEPTH)
    else:
        pixels = _decode_other(path)
    if pixels is None:
        raise UserError(
            f"{path}: cannot be read as a picture: it is damaged, cut off, or no picture; replace "
            "or remove it"
        )
    pixels = reduce_to_8_bits(pixels, levels)
    if pixels.dtype != np.uint8:
        raise UserError(f"{path}: holds {pixels.dtype} values; convert it to 8 or 16 bits")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def _decode_other(path: Path) -> np.ndarray | None:
    """BGR ``(H, W, 3)`` of 8 or 16 bits, or of floats; None if OpenCV cannot read it."""
    try:
        with silent_opencv():
            pages = cv2.imcount(str(path))
            pixels = cv2.imread(str(path), _COLOUR_OF_ANY_DEPTH) if pages == 1 else None
    except cv2.error:  # of a size that it does not take
        return None
    if pages > 1:
        raise UserError(
            f"{path}: holds {pages} pictures, and one file per frame is read; split it into files"
        )
    return pixels


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep OpenCV from reporting a bad file in many lines that do not help."""
    logging = getattr(cv2.utils, "logging", cv2)  # up to OpenCV 4.6 these functions are in cv2
    level = logging.getLogLevel()
    logging.setLogLevel(0)
    try:
        yield
    finally:
        logging.setLogLevel(level)
