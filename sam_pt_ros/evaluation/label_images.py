"""Label images in PNG files, as data sets hold them and evaluation servers take them.

They are read with Pillow: OpenCV turns the indices of a palette PNG into colours.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sam_pt_ros.errors import UserError
from sam_pt_ros.output.atomic_files import replacing

if TYPE_CHECKING:
    from sam_pt_ros.evaluation.sequences import VideoSequence

MAX_INDEX = 255
"""The largest label of an 8-bit indexed PNG."""

MAX_GRAY = 65535
"""The largest label of a 16-bit gray PNG."""

_MODES = ("P", "L", "1", "I;16", "I;16B", "I")
_SCALED = ("L;2", "L;4")  # gray of few bits, which Pillow scales to 0 to 255


def davis_palette() -> np.ndarray:
    """The palette of DAVIS (and PASCAL VOC), RGB ``uint8 (256, 3)``.

    The bits of an index, from the lowest, are dealt to red, green and blue in turn, and fill these
    from the highest bit.
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(
                np.uint8
            )
    return colours


def read_indexed(path: Path) -> np.ndarray:
    """Read a label image as ``uint16 (H, W)``: palette indices or gray values.

    Args:
        path: an indexed PNG, or a gray PNG of 8 or 16 bits.

    Raises:
        UserError: the file cannot be read, or is a colour image.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            scaled = bool(image.tile) and image.tile[0][3] in _SCALED
            labels = np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as a label image ({error}); get the data set's file again"
        ) from error
    if mode not in _MODES or scaled:
        raise UserError(
            f"{path}: pixels of the mode '{mode}' are not labels; save it as an indexed or a "
            "gray PNG of 8 or 16 bits"
        )
    return labels.astype(np.uint16)


def write_indexed(path: Path, labels: np.ndarray) -> None:
    """Write an 8-bit indexed PNG with DAVIS' palette, as servers take masks.

    The file is written whole or not at all; its folder is created.

    Args:
        path: the file to write.
        labels: integers ``(H, W)``, 0 to 255; :func:`read_indexed` reads them back.

    Raises:
        UserError: a label is too large (see :func:`write_gray`), or the file cannot be written.
    """
    _check(labels)
    if labels.max() > MAX_INDEX:
        raise UserError(
            f"{path}: label {labels.max()} does not fit into an indexed PNG, which holds "
            f"{MAX_INDEX} objects; use fewer objects, or a 16-bit gray PNG"
        )
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(davis_palette().tobytes())
    _save(path, image)


def write_gray(path: Path, labels: np.ndarray) -> None:
    """Write a 16-bit gray PNG, for more than 255 objects; else like :func:`write_indexed`.

    Args:
        path: the file to write.
        labels: integers ``(H, W)``, 0 to 65535; :func:`read_indexed` reads them back.

    Raises:
        UserError: the file cannot be written.
    """
    _check(labels)
    _save(path, Image.fromarray(labels.astype(np.uint16)))


def submission_path(folder: str | Path, sequence: VideoSequence, frame: int) -> Path:
    """The file in which a server expects the masks of one frame.

    Args:
        folder: the folder that holds the folders of the sequences
            (:attr:`~sam_pt_ros.evaluation.datasets.dataset.Dataset.submission_folder`).
        sequence: one of the data set.
        frame: index of the frame in ``sequence``.
    """
    return Path(folder, sequence.name, sequence.images[frame].stem + ".png")


def _check(labels: np.ndarray) -> None:
    integers = labels.ndim == 2 and labels.size and np.issubdtype(labels.dtype, np.integer)
    if not integers or labels.min() < 0 or labels.max() > MAX_GRAY:
        raise ValueError(
            f"labels must be integers (H, W) of 0 to {MAX_GRAY}, got {labels.dtype} {labels.shape}"
        )


def _save(path: Path, image: Image.Image) -> None:
    with replacing(path, make_folder=True) as unfinished:
        image.save(unfinished, "PNG")
