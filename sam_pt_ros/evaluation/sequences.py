"""Sequences of data sets: frames and annotations in files, and where each object starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.pictures import read_picture

VOID = 65535
"""Value of pixels in a label image that are neither an object nor background."""


@dataclass(frozen=True)
class VideoSequence:
    """Frames, annotations and objects of one video.

    It can be sent to another process: files are read only when they are needed.

    Attributes:
        name: unique within its data set.
        images: files of the frames, in order.
        annotations: files of the label images, by index of their frame; frames may be without
            one, and those that a server scores are.
        first_frames: the frame in which each object is given, by object id (1 to 65534).
        read_labels: reads an annotation file as ``uint16 (H, W)``: object ids, 0 for the
            background, :data:`VOID` for pixels that are not scored. A function of a module.
        groups: groups that objects are also counted in, by object id ("seen", "long", ...).
        saved: indices of the frames whose masks a submission contains; None: all.
    """

    name: str
    images: tuple[Path, ...]
    annotations: Mapping[int, Path]
    first_frames: Mapping[int, int]
    read_labels: Callable[[Path], np.ndarray]
    groups: Mapping[int, str] = field(default_factory=dict)
    saved: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise UserError(f"sequence '{self.name}' has no images; get the data set again")
        for object_id, frame in self.first_frames.items():
            if not 1 <= object_id < VOID:
                raise UserError(
                    f"sequence '{self.name}': object ids must be 1 to 65534, got {object_id}"
                )
            if frame not in self.annotations:
                raise UserError(
                    f"sequence '{self.name}': object {object_id} starts in frame {frame}, which "
                    "has no annotation"
                )

    def image(self, index: int) -> np.ndarray:
        """A frame, RGB ``uint8 (H, W, 3)``."""
        return read_picture(self.images[index])

    def truth(self, index: int) -> np.ndarray | None:
        """A frame's label image, ``uint16 (H, W)``; None if it is not annotated."""
        path = self.annotations.get(index)
        return None if path is None else self.read_labels(path)
