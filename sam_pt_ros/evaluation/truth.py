"""Annotations in a folder: one label image for each frame, or for some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.label_images import read_indexed
from sam_pt_ros.recordings.sources import picture_files


class LabelRule:
    """Makes object ids of label images: 0 and 255 alone, in the first that shows anything, mean
    one object, 1; anything else is ids.
    """

    def __init__(self) -> None:
        self._binary: bool | None = None

    def __call__(self, labels: np.ndarray) -> np.ndarray:
        """The ids, ``uint16 (H, W)``, of the next label image, ``uint16 (H, W)``."""
        if self._binary is None and labels.any():
            self._binary = set(np.unique(labels)) <= {0, 255}
        return (labels > 127).astype(np.uint16) if self._binary else labels


class TruthFolder:
    """Label images of a sequence, of one object (0 and 255) or of several (their numbers).

    They belong to frames by the numbers in their names if not every frame has one, else by
    their order.

    Args:
        folder: with PNG files.
        frames: how many frames the sequence has.
        cut_off: whether there were more frames; files of those are of no use then.

    Raises:
        UserError: no such folder, or files that cannot be matched with the frames.
    """

    def __init__(self, folder: Path, frames: int, cut_off: bool = False) -> None:
        files = [path for path in picture_files(folder) if path.suffix.lower() == ".png"]
        if not files:
            raise UserError(f"{folder}: there are no label images (PNG) in this folder")
        if len(files) == frames:
            self._files = dict(enumerate(files))
        else:
            self._files = {_number(path): path for path in files}
            if cut_off:
                self._files = {n: path for n, path in self._files.items() if n < frames}
            beyond = [path.name for number, path in self._files.items() if number >= frames]
            if beyond:
                raise UserError(
                    f"{folder}: {beyond[0]} belongs to none of the {frames} frames; give one "
                    "label image for each frame, or name them after their frames from 0 on"
                )
        self._rule = LabelRule()

    @property
    def annotated(self) -> list[int]:
        """Indices of the frames with a label image, in order."""
        return sorted(self._files)

    def at(self, index: int, stamp: int = 0) -> np.ndarray | None:
        """The label image, ``uint16 (H, W)``, of a frame, in order; None if it has none."""
        path = self._files.get(index)
        if path is None:
            return None
        return self._rule(read_indexed(path))


def _number(path: Path) -> int:
    digits = "".join(character for character in path.stem if character.isdecimal())
    if not digits:
        raise UserError(
            f"{path}: its name holds no number; give one label image for each frame, or name "
            "them after their frames from 0 on"
        )
    return int(digits)
