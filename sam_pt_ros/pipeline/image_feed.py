"""Gives the images of a stream to a pipeline, live and in evaluations alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sam_pt_ros.objects import TrackResult
from sam_pt_ros.pipeline.sam_pt import SamPt


class ImageFeed:
    """Takes image after image; where they become of another kind, objects start again.

    A tracker cannot go on from an image of another size, or from one whose values mean something
    else: with another encoding, or another range of 16-bit values.

    Args:
        pipeline: takes the images.
        before_restart: called before objects start again from their masks, with the reason
            (empty if the caller knows it), and with the results that the tracker still owed.
    """

    def __init__(
        self, pipeline: SamPt, before_restart: Callable[[str, list[TrackResult]], None]
    ) -> None:
        self._pipeline = pipeline
        self._before_restart = before_restart
        self._encoding = ""

    def take(
        self, image: np.ndarray, stamp: int, encoding: str, unseen: int = 0
    ) -> list[TrackResult]:
        """Take the next image; the results that it completes.

        Args:
            image: as for :meth:`~sam_pt_ros.pipeline.SamPt.process`.
            stamp: as for :meth:`~sam_pt_ros.pipeline.SamPt.process`.
            encoding: images of one encoding show the same thing equally bright.
            unseen: how many images have had no masks because the models had to be replaced; if
                there are any, objects start again in any case.

        Raises:
            UserError: as :meth:`~sam_pt_ros.pipeline.SamPt.process`.
        """
        if len(self._pipeline.history):
            change = "" if unseen else self._change(image, encoding)
            if unseen or change:
                self._before_restart(change, self._pipeline.flush())
                self._encoding = encoding
                return self._pipeline.restart(image, stamp, unseen)
        self._encoding = encoding
        return self._pipeline.process(image, stamp)

    def _change(self, image: np.ndarray, encoding: str) -> str:
        """What is different since the image before; empty if the tracker can go on."""
        before = self._pipeline.history.newest.image
        size, old = (f"{i.shape[1]}x{i.shape[0]}" for i in (image, before))
        if size != old:
            what = f"the image size changed from {old} to {size}"
        elif encoding != self._encoding:
            what = f"the image encoding changed from '{self._encoding}' to '{encoding}'"
        else:
            return ""
        return f"{what}: objects start again from their masks"
