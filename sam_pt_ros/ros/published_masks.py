"""Where objects were seen in the newest images, for clicks on them. No ROS here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import TrackResult


@dataclass(frozen=True, eq=False)
class _Seen:
    """The masks of one image, by object id."""

    stamp: int
    masks: dict[int, CroppedMask]


class PublishedMasks:
    """The masks that were published, of as many images as can be clicked on.

    All of it is called in the thread that processes.

    Args:
        length: how many images are kept.
    """

    def __init__(self, length: int) -> None:
        self._seen: deque[_Seen] = deque(maxlen=length)

    def add(self, result: TrackResult) -> None:
        """Remember what was published of an image."""
        masks = {item.object_id: item.mask for item in result.objects if item.mask.area}
        self._seen.append(_Seen(result.stamp, masks))

    def forget(self) -> None:
        """All images are forgotten."""
        self._seen.clear()

    def forget_object(self, object_id: int) -> None:
        """An object is gone, and its id may be used again."""
        for seen in self._seen:
            seen.masks.pop(object_id, None)

    def object_at(self, pixel: np.ndarray, stamp: int | None) -> int | None:
        """The object that is seen at a pixel.

        Args:
            pixel: column and row, ``float64 (2,)``; the centre of the top-left pixel is (0, 0).
            stamp: nanoseconds, of the image; if none of this stamp is kept, the newest counts.

        Returns:
            Its id; None where no object is seen.
        """
        if not self._seen or not np.isfinite(pixel).all():
            return None
        seen = next((each for each in self._seen if each.stamp == stamp), self._seen[-1])
        for object_id, mask in seen.masks.items():
            x, y = np.rint(pixel - mask.origin)
            height, width = mask.pixels.shape
            if 0 <= x < width and 0 <= y < height and mask.pixels[int(y), int(x)]:
                return object_id
        return None
