"""Ground truth in a folder: a label image for each frame, or for some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.label_images import read_indexed
from sam_pt_ros.recordings.pictures import picture_files


class LabelRule:
    """Turns label images into object ids.

    If the first label image that shows an object holds only 0 and 255, all of them show one
    object, which gets the id 1. Otherwise their values are the ids.
    """

    def __init__(self) -> None:
        self._binary: bool | None = None

    def __call__(self, labels: np.ndarray) -> np.ndarray:
        """The ids, ``uint16 (H, W)``, of the next label image, ``uint16 (H, W)``."""
        if self._binary is None and labels.any():
            self._binary = set(np.unique(labels)) <= {0, 255}
        return (labels > 127).astype(np.uint16) if self._binary else labels


class TruthFolder:
    """Label images of a sequence, of one object (0 and 255) or of several (their ids).

    If there is one for every frame, they are matched by their order, else by the numbers in their
    names.

    Args:
        folder: holds PNG files.
        frames: number of frames in the sequence.
        cut_off: whether the sequence had more frames; their label images are ignored.

    Raises:
        UserError: the folder is missing, or its files cannot be matched with the frames.

    Attributes:
        problems: always empty, because a label image that cannot be read is an error here.
    """

    def __init__(self, folder: Path, frames: int, cut_off: bool = False) -> None:
        self.problems: list[str] = []
        files = [path for path in picture_files(folder) if path.suffix.lower() == ".png"]
        if not files:
            raise UserError(f"{folder}: holds no label images (PNG); check the path")
        if len(files) == frames:
            self._files = dict(enumerate(files))
        else:
            self._files = {_number(path): path for path in files}
            if cut_off:
                self._files = {n: path for n, path in self._files.items() if n < frames}
            beyond = [path.name for number, path in self._files.items() if number >= frames]
            if beyond:
                raise UserError(
                    f"{folder}: {beyond[0]} matches none of the {frames} frames; provide a label "
                    "image for every frame, or name them by frame index, counted from 0"
                )
        self._rule = LabelRule()

    @property
    def annotated(self) -> list[int]:
        """Indices of the frames with a label image, in order."""
        return sorted(self._files)

    def at(self, index: int, stamp: int = 0) -> np.ndarray | None:
        """The label image of a frame, ``uint16 (H, W)``; None if it has none.

        Frames must be asked for in order.
        """
        path = self._files.get(index)
        if path is None:
            return None
        return self._rule(read_indexed(path))


def _number(path: Path) -> int:
    digits = "".join(character for character in path.stem if character.isdecimal())
    if not digits:
        raise UserError(
            f"{path}: its name contains no number; provide a label image for every frame, or "
            "name them by frame index, counted from 0"
        )
    return int(digits)
