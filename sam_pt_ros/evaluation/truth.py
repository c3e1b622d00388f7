"""Annotations in a folder: one label image for each frame, or for some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.label_images import read_indexed
from sam_pt_ros.recordings.sources import picture_files


class TruthFolder:
    """Label images of a sequence, of one object (0 and 255) or of several (their numbers).

    They belong to frames by the numbers in their names if not every frame has one, else by
    their order.

    Args:
        folder: with PNG files.
        frames: how many frames the sequence has.

    Raises:
        UserError: no such folder, or files that cannot be matched with the frames.
    """

    def __init__(self, folder: Path, frames: int) -> None:
        files = [path for path in picture_files(folder) if path.suffix.lower() == ".png"]
        if not files:
            raise UserError(f"{folder}: there are no label images (PNG) in this folder")
        if len(files) == frames:
            self._files = dict(enumerate(files))
        else:
            self._files = {_number(path): path for path in files}
            beyond = [path.name for number, path in self._files.items() if number >= frames]
            if beyond:
                raise UserError(
                    f"{folder}: {beyond[0]} belongs to none of the {frames} frames; give one "
                    "label image for each frame, or name them after their frames from 0 on"
                )
        first = read_indexed(files[0])
        self._binary = set(np.unique(first)) <= {0, 255}

    @property
    def annotated(self) -> list[int]:
        """Indices of the frames with a label image, in order."""
        return sorted(self._files)

    def at(self, index: int, stamp: int = 0) -> np.ndarray | None:
        """The label image, ``uint16 (H, W)``, of a frame; None if it has none."""
        path = self._files.get(index)
        if path is None:
            return None
        labels = read_indexed(path)
        return (labels > 127).astype(np.uint16) if self._binary else labels


def _number(path: Path) -> int:
    digits = "".join(character for character in path.stem if character.isdecimal())
    if not digits:
        raise UserError(
            f"{path}: its name holds no number; give one label image for each frame, or name "
            "them after their frames from 0 on"
        )
    return int(digits)
