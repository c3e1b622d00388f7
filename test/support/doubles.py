"""Stand-ins for trackers and segmenters that keep the interfaces' promises, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sam_pt_ros.errors import FrameUnavailableError
from sam_pt_ros.frames import Frame, FrameHistory
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.options import NoOptions
from sam_pt_ros.points import PointTracks, check_query_points
from sam_pt_ros.segmenters.base import Deadline, Prompt, Segmenter, TimedPredictions
from sam_pt_ros.trackers.base import PointTracker
from support.scene import BACKGROUND, Scene


class OracleTracker(PointTracker):
    """Knows where every point of a scene really is, and what hides it; ``fails`` as models do."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(NoOptions())
        self.scene = scene
        self.reset()

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self.fails = False
        self._points: dict[int, tuple[int, int, int, np.ndarray]] = {}
        self._next_id = 0

    @property
    def tracked(self) -> list[int]:
        """Ids of the points that are tracked now."""
        return sorted(self._points)

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        points = check_query_points(xy, frame)
        if self.history.at(frame.index) is not frame:
            raise FrameUnavailableError("another frame of that index is in the history")
        start = self.scene.index(frame.stamp)
        owners = self.scene.owner(points, start)
        ids = np.arange(self._next_id, self._next_id + len(points))
        self._next_id += len(points)
        for point, owner, place in zip(ids.tolist(), owners.tolist(), points):
            self._points[point] = (frame.index, start, max(owner, BACKGROUND), place)
        return ids

    def remove_points(self, ids: np.ndarray) -> None:
        for point in np.asarray(ids).tolist():
            self._points.pop(point, None)

    def step(self, frame: Frame) -> PointTracks:
        if self.fails:
            raise RuntimeError("no memory")
        return self._tracks(self.tracked, frame)

    def recall(self, ids: np.ndarray, index: int) -> PointTracks:
        frame = self.history.at(index)
        for point in np.asarray(ids).tolist():
            if self._points[point][0] > index:
                raise KeyError(f"point {point} is not tracked yet at frame {index}")
        return self._tracks(np.asarray(ids).tolist(), frame)

    def _tracks(self, ids: Sequence[int], frame: Frame) -> PointTracks:
        places = np.zeros((len(ids), 2), np.float32)
        visible = np.zeros(len(ids), np.bool_)
        now = self.scene.index(frame.stamp)
        for row, point in enumerate(ids):
            _, start, owner, place = self._points[point]
            places[row] = self.scene.follow(owner, place, start, now)[0]
            visible[row] = self.scene.owner(places[row], now)[0] == owner
        return PointTracks(frame.index, np.array(ids), places, visible, visible)


class StillTracker(OracleTracker):
    """For a scene in which nothing ever moves: all points stay, and are seen."""

    def add_points(self, xy: np.ndarray, frame: Frame) -> np.ndarray:
        points = check_query_points(xy, frame)
        ids = np.arange(self._next_id, self._next_id + len(points))
        self._next_id += len(points)
        self._points.update(
            (point, (frame.index, 0, BACKGROUND, place))
            for point, place in zip(ids.tolist(), points)
        )
        return ids

    def _tracks(self, ids: Sequence[int], frame: Frame) -> PointTracks:
        places = np.array([self._points[point][3] for point in ids]).reshape(-1, 2)
        seen = np.ones(len(ids), np.bool_)
        return PointTracks(frame.index, np.array(ids), places, seen, seen)


class DelayedTracker(OracleTracker):
    """A windowed tracker: it answers for ``window`` frames at once, when it has them all.

    What it answers was settled when each frame came: points that were added since then are
    found by ``recall`` only.
    """

    def __init__(self, scene: Scene, window: int) -> None:
        self.window = window
        super().__init__(scene)

    def reset(self, history: FrameHistory | None = None) -> None:
        super().reset(history)
        self._owed: list[PointTracks] = []

    def advance(self, frame: Frame) -> list[PointTracks]:
        self._owed.append(self.step(frame))
        return self.flush() if len(self._owed) == self.window else []

    def flush(self) -> list[PointTracks]:
        owed, self._owed = self._owed, []
        return owed


class ColourSegmenter(Segmenter):
    """What has the colour of the positive points (or of the mask, or of the box's middle).

    Without memory. Logits are the tolerance less the distance in colour, so that the nearer
    colour wins where objects contend; pixels nearer to a negative point's colour are left out.
    """

    TOLERANCE = 60.0

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.frame: Frame | None = None
        self.calls: list[tuple[int, list[Prompt]]] = []
        self.forgotten: list[int] = []

    def set_image(self, frame: Frame) -> None:
        self.frame = frame

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        assert self.frame is not None, "predict before set_image"
        self.calls.append((self.frame.index, list(prompts)))
        return [self._predict(prompt, self.frame) for prompt in prompts]

    def forget(self, object_id: int) -> None:
        self.forgotten.append(object_id)

    def reset(self) -> None:
        self.frame = None
        self.calls.clear()
        self.forgotten.clear()

    def prompts_of(self, object_id: int) -> dict[int, Prompt]:
        """The last prompt of an object in every frame."""
        return {
            index: prompt
            for index, prompts in self.calls
            for prompt in prompts
            if prompt.object_id == object_id
        }

    def _predict(self, prompt: Prompt, frame: Frame) -> MaskPrediction:
        wanted = self._colours(prompt, frame, 1)
        if prompt.mask is not None:
            wanted = frame.image[prompt.mask].astype(np.float32)
        elif prompt.box is not None and len(wanted) == 0:
            middle = np.rint((prompt.box[:2] + prompt.box[2:]) / 2).astype(int)
            x, y = np.clip(middle, 0, (frame.width - 1, frame.height - 1)).tolist()
            wanted = frame.image[y, x].astype(np.float32)[None]
        if len(wanted) == 0:
            return MaskPrediction.nothing(frame.size)
        near = self._distance(frame, np.median(wanted, axis=0)[None])
        logits = self.TOLERANCE - near
        unwanted = self._colours(prompt, frame, 0)
        if len(unwanted):
            logits = np.minimum(logits, self._distance(frame, unwanted) - near)
        return MaskPrediction(logits.astype(np.float32), (0, 0), frame.size, 0.9)

    @staticmethod
    def _colours(prompt: Prompt, frame: Frame, label: int) -> np.ndarray:
        pixels = np.rint(prompt.points[prompt.labels == label]).astype(int)
        pixels = np.clip(pixels, 0, (frame.width - 1, frame.height - 1))
        return frame.image[pixels[:, 1], pixels[:, 0]].astype(np.float32)

    @staticmethod
    def _distance(frame: Frame, colours: np.ndarray) -> np.ndarray:
        pixels = frame.image.astype(np.float32)[:, :, None, :]
        distances: np.ndarray = np.abs(pixels - colours).max(axis=3).min(axis=2)
        return distances


class RaisingSegmenter(ColourSegmenter):
    """Fails as models do, whenever it is told to."""

    def __init__(self, fails: Callable[[int, Sequence[Prompt]], bool], error: Exception) -> None:
        super().__init__()
        self.fails = fails
        self.error = error

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        assert self.frame is not None
        if self.fails(self.frame.index, prompts):
            raise self.error
        return super().predict(prompts)


class ConstantSegmenter(Segmenter):
    """Gives each object the logits that it was made with."""

    def __init__(self, logits: dict[int, np.ndarray]) -> None:
        super().__init__(NoOptions())
        self.logits = logits
        self.frame: Frame | None = None

    def set_image(self, frame: Frame) -> None:
        self.frame = frame

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        assert self.frame is not None
        size = self.frame.size
        return [MaskPrediction(self.logits[p.object_id], (0, 0), size, 1.0) for p in prompts]


class OracleSegmenter(Segmenter):
    """Knows where everything of a scene is: gives what most positive points, or a box, lie on."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(NoOptions())
        self.scene = scene
        self.frame: Frame | None = None
        self.shown: list[int] = []
        self.proposed: list[Prompt] = []

    def set_image(self, frame: Frame) -> None:
        self.frame = frame
        self.shown.append(frame.index)

    def propose(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        self.proposed += prompts
        return self.predict(prompts)

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        return [self._predict(prompt) for prompt in prompts]

    def _predict(self, prompt: Prompt) -> MaskPrediction:
        assert self.frame is not None
        index = self.scene.index(self.frame.stamp)
        on_it = prompt.points[prompt.labels == 1]
        if prompt.box is not None and len(on_it) == 0:
            on_it = (prompt.box[None, :2] + prompt.box[None, 2:]) / 2
        owners = self.scene.owner(on_it, index)
        on_things = owners[owners > BACKGROUND]
        if 2 * len(on_things) <= len(owners):
            return MaskPrediction.nothing(self.frame.size)
        mask = self.scene.frame(index).mask(int(np.bincount(on_things).argmax()))
        logits = np.where(mask, 1.0, -1.0).astype(np.float32)
        return MaskPrediction(logits, (0, 0), self.frame.size, 0.9)


class StoppedClock:
    """Seconds that pass only when something says that it took them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def take(self, seconds: float) -> None:
        self.now += seconds


class SlowTracker(OracleTracker):
    """Takes ``seconds`` for a frame."""

    def __init__(self, scene: Scene, clock: StoppedClock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        super().__init__(scene)

    def advance(self, frame: Frame) -> list[PointTracks]:
        self.clock.take(self.seconds)
        return super().advance(frame)


class SlowSegmenter(ColourSegmenter):
    """Takes ``needed`` seconds for a frame, and as many for each of its ``passes`` that refine.

    ``done`` has by the frame's index how many passes there were.
    """

    def __init__(self, clock: StoppedClock, needed: float, passes: int = 0) -> None:
        super().__init__()
        self.clock = clock
        self.needed = needed
        self.passes = passes
        self.done: dict[int, int] = {}

    def predict(self, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        self.clock.take(self.needed * (1 + self.passes))
        return super().predict(prompts)

    def predict_until(self, prompts: Sequence[Prompt], deadline: Deadline) -> TimedPredictions:
        assert self.frame is not None
        self.clock.take(self.needed)
        done = 0
        while done < self.passes and deadline.allows(self.needed):
            self.clock.take(self.needed)
            done += 1
        self.done[self.frame.index] = done
        masks = super().predict(prompts)  # which takes no time of its own
        return TimedPredictions(masks, self.needed, shortened=done < self.passes)
