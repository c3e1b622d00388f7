"""Where objects were seen in the newest images, for clicks on them. No ROS here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import TrackResult

_NEAR = 0.02  # of the image's diagonal: so near to each other, two clicks mean one thing
_UNKNOWN_DIAGONAL = 800.0  # pixels, before the first image
_MOST_STARTS = 100


@dataclass(frozen=True, eq=False)
class _Seen:
    """The masks of one image, by object id."""

    stamp: int
    masks: dict[int, CroppedMask]


@dataclass(frozen=True, eq=False)
class _Start:
    """A click that started an object.

    Attributes:
        object_id: of the object.
        pixel: column and row, ``float64 (2,)``.
        stamp: nanoseconds, of the image that was clicked on; None: the newest.
        images: how many had been published until then.
    """

    object_id: int
    pixel: np.ndarray
    stamp: int | None
    images: int


class PublishedMasks:
    """The masks that were published, of as many images as can be clicked on.

    An object that was started by a click has no mask in the image that was clicked on, so those
    clicks are remembered, too.

    All of it is called in the thread that processes.

    Args:
        length: how many images are kept.
    """

    def __init__(self, length: int) -> None:
        self._seen: deque[_Seen] = deque(maxlen=length)
        self._starts: deque[_Start] = deque(maxlen=_MOST_STARTS)
        self._images = 0
        self._diagonal = _UNKNOWN_DIAGONAL

    def add(self, result: TrackResult) -> None:
        """Remember what was published of an image."""
        self._images += 1
        self._diagonal = float(np.hypot(*result.label_image.shape))
        masks = {item.object_id: item.mask for item in result.objects if item.mask.area}
        self._seen.append(_Seen(result.stamp, masks))

    def forget(self) -> None:
        """All images are forgotten."""
        self._seen.clear()
        self._starts.clear()

    def forget_object(self, object_id: int) -> None:
        """An object is gone, and its id may be used again."""
        for seen in self._seen:
            seen.masks.pop(object_id, None)
        kept = [start for start in self._starts if start.object_id != object_id]
        self._starts = deque(kept, maxlen=_MOST_STARTS)

    def add_start(self, object_id: int, pixel: np.ndarray, stamp: int | None) -> None:
        """Remember which object a click started.

        Args:
            object_id: of the object.
            pixel: column and row, ``float64 (2,)``.
            stamp: nanoseconds, of the image that was clicked on; None: the newest.
        """
        self._starts.append(_Start(object_id, pixel, stamp, self._images))

    def started_near(self, pixel: np.ndarray, stamp: int | None) -> int | None:
        """The object that a click near a pixel started in this image, or since the last one.

        Args:
            pixel: column and row, ``float64 (2,)``.
            stamp: nanoseconds, of the image; None: the newest.

        Returns:
            The id of the object that was started last; None if there is none.
        """
        for start in reversed(self._starts):
            same_image = stamp is not None and stamp == start.stamp
            near = np.linalg.norm(pixel - start.pixel) <= _NEAR * self._diagonal
            if near and (same_image or start.images == self._images):
                return start.object_id
        return None

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
