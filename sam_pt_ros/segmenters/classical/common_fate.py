"""What moves together belongs together: which of several extents a click means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from sam_pt_ros.frames import Frame
from sam_pt_ros.segmenters.base import Prompt
from sam_pt_ros.segmenters.classical.motion import Motion, fit_affine
from sam_pt_ros.segmenters.classical.window import Window

_MARGIN = 0.5  # around the hypotheses, relative to their longer side
_SIDE = 160.0  # longer side of the part of the image that is watched, working pixels
_PRESET = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
_SOON = 200_000_000  # nanoseconds after which motions are compared if they differ, ...
_AT_LAST = 500_000_000  # ... and after which they are in any case
_LATE = 1_000_000_000  # nanoseconds after which they are not comparable any more
_DEVIATION = 0.6  # from a common motion, relative to how fast the object moves beside the rest
_LEAST_DEVIATION = 1.5  # image pixels, errors of the flow
_ANYHOW = 0.75  # misfit of what is not the object: it may move in any way
_GAIN_WEIGHT = 1.0  # relative to the rating of a first mask
_BAND = 5  # width of the band around the outline that mixes both motions, working pixels


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """What a click may mean.

    Attributes:
        window: window of the mask.
        probability: ``float32 (h, w)``, above 0.5 on the object.
        rating: how much the mask looks like that of an object; comparable, without unit.
    """

    window: Window
    probability: np.ndarray
    rating: float


@dataclass(frozen=True, eq=False)
class CommonFate:
    """How the surroundings of a click have moved since; immutable, as the object's state.

    Attributes:
        first: the frame of the click.
        prompt: the object's prompt in it.
        shown: what the click was taken for.
        steps: the later frames, and how far each pixel of the first crop has moved until then,
            ``float32 (h, w, 2)`` working pixels.
        window: the part of the image that is watched.
        hypotheses: ``float32 (n, h, w)``, probability of each in the first frame.
        ratings: ``float64 (n,)``, of the hypotheses.
        gray: ``uint8 (h, w)``, the newest crop.
    """

    first: Frame
    prompt: Prompt
    shown: Hypothesis
    steps: tuple[tuple[Frame, np.ndarray], ...]
    window: Window
    hypotheses: np.ndarray
    ratings: np.ndarray
    gray: np.ndarray

    @property
    def away(self) -> np.ndarray:
        """How far each pixel of the first crop has moved until now, ``float32 (h, w, 2)``."""
        if self.steps:
            return self.steps[-1][1]
        return np.zeros((*self.window.shape, 2), np.float32)

    @classmethod
    def begin(
        cls, frame: Frame, prompt: Prompt, shown: Hypothesis, hypotheses: Sequence[Hypothesis]
    ) -> CommonFate:
        """Watch what moves, from the frame of a click on.

        Args:
            frame: the frame.
            prompt: the object's prompt.
            shown: what the click is taken for.
            hypotheses: what it may mean; at least one, none of them empty.
        """
        boxes = [each.window.extent(each.probability)[0] for each in hypotheses]
        corners = np.array([box for box in boxes if box is not None])
        x0, y0 = corners[:, :2].min(axis=0).tolist()
        x1, y1 = corners[:, 2:].max(axis=0).tolist()
        margin = _MARGIN * max(x1 - x0, y1 - y0)
        scale = min(_SIDE / ((1 + 2 * _MARGIN) * max(x1 - x0, y1 - y0)), 1.0)
        around = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
        window = Window.around(around, scale, frame.size)
        return cls(
            frame,
            prompt,
            shown,
            (),
            window,
            np.stack([window.resample(each.probability, each.window) for each in hypotheses]),
            np.array([each.rating for each in hypotheses]),
            _gray(window, frame),
        )

    def advanced(self, frame: Frame) -> CommonFate:
        """The same after the next frame."""
        gray = _gray(self.window, frame)
        step = Motion.between(gray, self.gray, _PRESET)  # from the previous frame to this one
        away = self.away + Motion(self.away).carry(step.back)
        return replace(self, steps=(*self.steps, (frame, away)), gray=gray)

    def carried_back(self, values: np.ndarray) -> np.ndarray:
        """Values of the newest crop, where their pixels were in the first, ``float32 (h, w)``."""
        return Motion(self.away).carry(values)

    def moved(self, points: np.ndarray) -> list[tuple[Frame, np.ndarray]]:
        """The later frames, and where points of the first one are in them.

        Args:
            points: ``float32 (N, 2)`` pixels of the first frame.

        Returns:
            Per frame ``float32 (N, 2)`` pixels.
        """
        inner = self.window.to_working(points)
        columns, rows = inner.T.astype(np.float32)[:, None, :]
        return [
            (
                frame,
                self.window.to_image(
                    inner
                    + cv2.remap(
                        away, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
                    )[0]
                ),
            )
            for frame, away in self.steps
        ]

    def due(self, frame: Frame) -> bool:
        """Whether motions can be told apart, or will not be."""
        elapsed = frame.stamp - self.first.stamp
        return elapsed >= _AT_LAST or (elapsed >= _SOON and self.tolerance > _LEAST_DEVIATION)

    def late(self, frame: Frame) -> bool:
        """Whether so much time has passed that motions are not comparable any more."""
        return frame.stamp - self.first.stamp > _LATE

    @cached_property
    def tolerance(self) -> float:
        """Deviation from a common motion that is usual, image pixels.

        What moves faster, beside its surroundings, deviates more: things bend and turn.
        """
        masks = [each > 0.5 for each in self.hypotheses]
        apart = [
            np.median(self.away[mask], axis=0) - np.median(self.away[~mask], axis=0)
            for mask in masks
            if mask.any() and not mask.all()
        ]
        largest = max((float(np.linalg.norm(each)) for each in apart), default=0.0)
        return max(_DEVIATION * largest / self.window.scale, _LEAST_DEVIATION)

    def likeliest(self) -> np.ndarray:
        """The hypothesis that explains the motion best and looks like an object.

        Returns:
            ``float32 (h, w)``, its probability in ``window``, in the first frame.
        """
        gains = [self.gain(self.window, each) for each in self.hypotheses]
        likeliest: np.ndarray = self.hypotheses[
            int(np.argmax(self.ratings + _GAIN_WEIGHT * np.array(gains)))
        ]
        return likeliest

    def gain(self, window: Window, probability: np.ndarray) -> float:
        """How much better two motions, of an object and of the rest, explain the image than one.

        Args:
            window: of the object.
            probability: ``float32 (h, w)`` in it in the first frame, above 0.5 on the object.

        Returns:
            At most 1; 0 where the mask says nothing about the motion.
        """
        mask = self.window.resample(probability, window) > 0.5
        tolerance = self.tolerance * self.window.scale
        with_object = _misfit(self.away, mask, tolerance)
        without = _misfit(self.away, ~mask, tolerance)
        whole = _misfit(self.away, np.ones_like(mask), tolerance)
        if with_object is None or without is None or whole is None:
            return 0.0
        return float((whole - np.where(mask, with_object, without)).mean())

    def evidence(self, window: Window, probability: np.ndarray) -> np.ndarray:
        """How much better a pixel has moved with an object than with its surroundings.

        Args:
            window: of the object.
            probability: ``float32 (h, w)`` in it in the first frame, above 0.5 on the object.

        Returns:
            ``float32 (h, w)``, -1 to 1; 0 where both explain its motion equally well.
        """
        ratio = window.scale / self.window.scale
        flow = np.stack(
            [
                ratio * window.resample(np.ascontiguousarray(part), self.window)
                for part in np.moveaxis(self.away, -1, 0)
            ],
            axis=-1,
        )
        known = window.resample(np.ones(self.window.shape, np.float32), self.window) > 0.5
        mask = (probability > 0.5).astype(np.uint8)
        band = np.ones((_BAND, _BAND), np.uint8)
        inside = (cv2.erode(mask, band) > 0) & known
        outside = (cv2.dilate(mask, band) == 0) & known
        tolerance = self.tolerance * window.scale
        with_object = _misfit(flow, inside, tolerance)
        without = _misfit(flow, outside, tolerance)
        if with_object is None or without is None:
            return np.zeros(window.shape, np.float32)
        return np.where(known, np.minimum(without, _ANYHOW) - with_object, 0).astype(np.float32)


def _gray(window: Window, frame: Frame) -> np.ndarray:
    return cv2.cvtColor(window.crop(frame), cv2.COLOR_RGB2GRAY)


def _misfit(flow: np.ndarray, mask: np.ndarray, tolerance: float) -> np.ndarray | None:
    """How badly pixels fit the common motion of those in a mask, ``float32 (h, w)``, 0 to 1.

    None if the mask is too small to tell.
    """
    fitted = fit_affine(flow, mask.astype(np.float32), tolerance)
    if fitted is None:
        return None
    apart = np.square(fitted - flow).sum(axis=-1)
    return np.asarray(apart / (apart + tolerance**2))
