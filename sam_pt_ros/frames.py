"""Camera frames, and the short history of them that the pipeline keeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from sam_pt_ros.errors import FrameUnavailableError, UserError, counted


@dataclass(frozen=True, eq=False)
class Frame:
    """One camera image.

    Attributes:
        image: RGB, ``uint8 (H, W, 3)``, C-contiguous.
        stamp: time of exposure, integer nanoseconds, from the message header.
        index: number of the frame in its stream, from 0, without gaps.
        features: cache of what backends computed from this frame (pyramids, feature maps).
            Each backend has its own key. The cache lives as long as the frame.
    """

    image: np.ndarray
    stamp: int
    index: int
    features: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        image = self.image
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
            raise UserError(
                "a frame must be an RGB array of shape (H, W, 3), got "
                f"{getattr(image, 'shape', type(image).__name__)}"
            )
        if image.dtype != np.uint8:
            raise UserError(f"a frame must have the type uint8, got {image.dtype}")
        if 0 in image.shape:
            raise UserError(f"a frame must not be empty, got shape {image.shape}")
        if not image.flags.c_contiguous:
            object.__setattr__(self, "image", np.ascontiguousarray(image))

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @cached_property
    def gray(self) -> np.ndarray:
        """Luminance, ``uint8 (H, W)``."""
        return cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY)


class FrameHistory:
    """The newest ``capacity`` frames of one stream, oldest first.

    A click on an older frame starts its object there. Reinitialization variants that choose
    a past frame restart there.
    """

    def __init__(self, capacity: int = 60) -> None:
        if capacity < 2:
            raise UserError(f"the history must hold at least 2 frames, got {capacity}")
        self.capacity = capacity
        self._frames: deque[Frame] = deque(maxlen=capacity)
        self._next_index = 0

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    @property
    def newest(self) -> Frame:
        """The last frame appended; FrameUnavailableError if there is none yet."""
        if not self._frames:
            raise FrameUnavailableError("no frame has arrived yet")
        return self._frames[-1]

    @property
    def oldest(self) -> Frame:
        """The oldest frame still held; FrameUnavailableError if there is none yet."""
        if not self._frames:
            raise FrameUnavailableError("no frame has arrived yet")
        return self._frames[0]

    def append(self, image: np.ndarray, stamp: int) -> Frame:
        """Append the next frame and drop the oldest if the history is full.

        Args:
            image: RGB, ``uint8 (H, W, 3)``.
            stamp: time of exposure, nanoseconds.

        Raises:
            UserError: the image is not RGB, its size differs from the previous frame's, or its
                stamp is not later.
        """
        frame = Frame(image, stamp, self._next_index)
        if self._frames:
            newest = self._frames[-1]
            if frame.size != newest.size:
                raise UserError(
                    f"the image size changed from {newest.width}x{newest.height} to "
                    f"{frame.width}x{frame.height}; reset before continuing"
                )
            if stamp <= newest.stamp:
                raise UserError(
                    f"the stamp {stamp} ns is not later than that of the previous frame "
                    f"({newest.stamp} ns); reset before continuing"
                )
        self._frames.append(frame)
        self._next_index += 1
        return frame

    def at(self, index: int) -> Frame:
        """The frame with this index; FrameUnavailableError if it is not held."""
        if self._frames:
            offset = index - self._frames[0].index
            if 0 <= offset < len(self._frames):
                return self._frames[offset]
        raise FrameUnavailableError(
            f"frame {index} is not in the history of {counted(len(self), 'frame')}"
        )

    def since(self, index: int) -> list[Frame]:
        """The frames from ``index`` to the newest, in order.

        Raises:
            FrameUnavailableError: frame ``index`` is not held.
        """
        start = self.at(index).index - self._frames[0].index
        return list(self._frames)[start:]

    def nearest(self, stamp: int) -> Frame:
        """The frame whose stamp is nearest to ``stamp`` (nanoseconds).

        Raises:
            FrameUnavailableError: ``stamp`` is older than the history by more than half a
                frame period, so its frame is no longer held.
        """
        oldest, newest = self.oldest, self.newest
        frames = max(newest.index - oldest.index, 1)
        # Integers, because a double resolves present-day stamps only to 256 ns.
        if 2 * frames * (oldest.stamp - stamp) > newest.stamp - oldest.stamp:
            raise FrameUnavailableError(
                f"the stamp {stamp} ns is {(oldest.stamp - stamp) * 1e-9:.3f} s older than the "
                f"oldest of the {counted(len(self), 'frame')} kept; click sooner or raise "
                "'history_length'"
            )
        return min(self._frames, key=lambda frame: abs(frame.stamp - stamp))

    def clear(self) -> None:
        """Drop all frames and restart numbering at 0."""
        self._frames.clear()
        self._next_index = 0


class SeenFrames:
    """The frames that a backend has received, as far back as the stream's history reaches.

    Args:
        history: history of the stream; None if the stream has none.
        more: number of additional older frames to hold for the backend.
    """

    def __init__(self, history: FrameHistory | None, more: int = 0) -> None:
        self._history = history
        self.capacity = (FrameHistory() if history is None else history).capacity
        self._frames: deque[Frame] = deque(maxlen=self.capacity + more)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    @property
    def oldest(self) -> int:
        """Index of the oldest frame that is held."""
        return self._frames[0].index

    @property
    def newest(self) -> Frame:
        """The last frame appended."""
        return self._frames[-1]

    def append(self, frame: Frame) -> None:
        """Append the next frame.

        If the backend missed frames because it failed, those that the history still holds are
        appended first. If some are gone, all older frames are dropped.

        Raises:
            UserError: the frame is not the next one, or its size differs.
        """
        self.check(frame)
        history = self._history
        if self._frames and history is not None:
            missed = range(self._frames[-1].index + 1, frame.index)
            if missed and missed[0] < history.oldest.index:
                self._frames.clear()  # so many were missed that some are gone
            for index in missed:
                if index >= history.oldest.index:
                    self._frames.append(history.at(index))
        self._frames.append(frame)

    def check(self, frame: Frame) -> None:
        """UserError if ``append`` would refuse the frame."""
        if not self._frames:
            return
        newest = self._frames[-1]
        missed = frame.index - newest.index - 1
        known = self._history is not None and len(self._history) > 0
        if missed < 0 or (
            missed and not (known and frame.index - 1 <= self._history.newest.index)  # type: ignore[union-attr]
        ):
            raise UserError(
                f"frames must arrive in order, each once: frame {frame.index} came after "
                f"frame {newest.index}"
            )
        if frame.size != newest.size:
            raise UserError(
                f"the image size changed from {newest.width}x{newest.height} to "
                f"{frame.width}x{frame.height}; reset before continuing"
            )

    def at(self, index: int) -> Frame:
        """The frame with this index; FrameUnavailableError if it is not held."""
        if self._frames and 0 <= index - self.oldest < len(self._frames):
            return self._frames[index - self.oldest]
        raise FrameUnavailableError(f"frame {index} is no longer held")

    def reaches(self, index: int) -> bool:
        """Whether the history reaches back to that frame and the backend has received it."""
        if not self._frames or not self.oldest <= index <= self.newest.index:
            return False
        if self._history is None:
            return self.newest.index - index < self.capacity
        return bool(len(self._history)) and self._history.oldest.index <= index

    def since(self, frame: Frame) -> list[Frame]:
        """The frames from ``frame`` to the newest; FrameUnavailableError if it is not held."""
        if not self.reaches(frame.index):
            raise FrameUnavailableError(f"frame {frame.index} is not in the tracker's history")
        return list(self._frames)[frame.index - self.oldest :]
