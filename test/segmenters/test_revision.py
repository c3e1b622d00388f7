"""One click on a part becomes the whole thing once it has moved, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.objects import POSITIVE, ObjectPrompt, ObjectState, PromptRequest
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.classical import revision
from sam_pt_ros.segmenters.classical.common_fate import CommonFate, Hypothesis
from sam_pt_ros.segmenters.classical.revision import _is_better, _spread, revise
from sam_pt_ros.segmenters.classical.seeding import Seed
from sam_pt_ros.segmenters.classical.segmenter import ClassicalSegmenter
from sam_pt_ros.segmenters.classical.state import State
from sam_pt_ros.segmenters.classical.tracking import track
from sam_pt_ros.segmenters.classical.window import Window
from support.photographs import photograph
from support.scene import overlap

CONFIG = Path(__file__).resolve().parents[2] / "config" / "classical.yaml"
MS = 1_000_000
SECOND = 1000 * MS
EPOCH = 1_700_000_000 * SECOND
SKINS = {
    "flag": (("grace_hopper.jpg", None), (0, 0, 130, 400)),
    "face": (("grace_hopper.jpg", None), (180, 130, 150, 180)),
    "tree": (("bigbuckbunny.mp4", 125), (560, 20, 450, 380)),
    "man": (("carphone_pristine.mp4", 40), (48, 25, 50, 60)),
    "stripes": (("carphone_pristine.mp4", 40), (0, 45, 50, 60)),
    "car": (("bikes.mp4", 60), (20, 60, 130, 180)),
}
"""Photograph and box (x, y, width, height) of what the halves of things show."""
_STREET, _SHOPS, _MEADOW = ("bikes.mp4", 10), ("bikes.mp4", 60), ("bigbuckbunny.mp4", 125)
_HIDING = ("bigbuckbunny.mp4", 60)


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture of a thing of two halves.

    Attributes:
        image: RGB ``uint8 (H, W, 3)``.
        halves: ``bool (H, W)`` each, the left and the right one.
        middles: their middles, ``float64 (2, 2)``, x and y in pixels.
    """

    image: np.ndarray
    halves: tuple[np.ndarray, np.ndarray]
    middles: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        return self.halves[0] | self.halves[1]


@dataclass(frozen=True)
class Joined:
    """A thing of two halves, which look different, before a street.

    Lengths are in pixels of an image that is 640 wide, and grow with the width.

    Attributes:
        width: of the image, pixels.
        height: of the image, pixels.
        skins: what the left and the right half show.
        speed: of the thing, to the right and down, per second.
        pan: of all that is behind it, likewise.
        zoom: factor per second by which the whole image grows about its middle.
        turn: of the whole image, degrees per second.
        ground: film and number of the frame that is behind it.
    """

    width: int = 640
    height: int = 480
    skins: tuple[str, str] = ("flag", "face")
    speed: tuple[float, float] = (75.0, 25.0)
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    turn: float = 0.0
    ground: tuple[str, int] = _STREET

    @lru_cache(maxsize=128)  # noqa: B019 - scenes live as long as the tests
    def at(self, elapsed: int) -> Shot:
        """The picture so many nanoseconds after the first one."""
        size, unit, seconds = (self.width, self.height), self.width / 640, elapsed / SECOND
        ground, (skin, halves) = _ground(self.ground, *size), _sprite(self.skins, self.width)
        tall, wide = skin.shape[:2]
        shift = np.array(self.pan) * seconds * unit - 0.125 * np.array(size)
        image = _shifted(ground, shift, size)
        place = np.rint([0.4 * self.width, 0.45 * self.height]) - (wide // 2, tall // 2)
        place += np.array(self.speed) * seconds * unit
        x, y = np.floor(place).astype(np.int64).tolist()
        rows, columns = slice(y, y + tall + 1), slice(x, x + wide + 1)
        layers = [_shifted(each, place - (x, y), (wide + 1, tall + 1)) for each in (skin, *halves)]
        alpha = (layers[1] + layers[2])[..., None]
        part = image[rows, columns]
        image[rows, columns] = np.rint(part + alpha * (layers[0] - part))
        shapes = [np.zeros((self.height, self.width), np.float32) for _ in halves]
        for shape, layer in zip(shapes, layers[1:], strict=True):
            shape[rows, columns] = layer
        camera = cv2.getRotationMatrix2D(
            (self.width / 2, self.height / 2), self.turn * seconds, self.zoom**seconds
        )
        if self.turn or self.zoom != 1:
            image, *shapes = (cv2.warpAffine(each, camera, size) for each in (image, *shapes))
        noise = np.roll(_grain(*size), 37 * int(seconds * 1000), axis=(0, 1))
        middles = place + np.array([[0.25 * wide, 0.5 * tall], [0.75 * wide, 0.5 * tall]])
        return Shot(
            np.clip(image + noise, 0, 255).astype(np.uint8),
            (shapes[0] > 0.5, shapes[1] > 0.5),
            middles @ camera[:, :2].T + camera[:, 2],
        )


@lru_cache
def _ground(photo: tuple[str, int], width: int, height: int) -> np.ndarray:
    size = round(1.25 * width), round(1.25 * height)
    return cv2.resize(photograph(*photo), size, interpolation=cv2.INTER_CUBIC)


@lru_cache
def _sprite(skins: tuple[str, str], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Colours, ``float32 (h, w, 3)``, and where each half is, ``float32 (2, h, w)``."""
    wide, tall = (2 * round(length * width / 1280) for length in (130, 110))
    parts = []
    for name in skins:
        source, (x, y, w, h) = SKINS[name]
        cut = photograph(*source)[y : y + h, x : x + w]
        parts.append(cv2.resize(cut, (wide // 2, tall), interpolation=cv2.INTER_AREA))
    rows, columns = np.mgrid[0:tall, 0:wide]
    across, down = (columns - wide / 2) / (wide / 2 - 2), (rows - tall / 2) / (tall / 2 - 2)
    shape = cv2.GaussianBlur((across**4 + down**4 < 1).astype(np.float32), (0, 0), 0.7)
    halves = np.stack([shape * (columns < wide // 2), shape * (columns >= wide // 2)])
    return np.hstack(parts).astype(np.float32), halves.astype(np.float32)


@lru_cache
def _grain(width: int, height: int) -> np.ndarray:
    """Noise of a camera, ``int16 (H, W, 3)``."""
    noise = np.random.default_rng(0).standard_normal((height, width, 3), np.float32)
    return np.rint(2 * noise).astype(np.int16)


def _shifted(layer: np.ndarray, shift: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.warpAffine(layer, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), size)


def steps(count: int, rate: float = 25.0) -> list[int]:
    """Nanoseconds from the first frame to each of a film."""
    return [round(index * SECOND / rate) for index in range(count)]


Click = tuple[float, float, int, int]
"""x, y, label, gesture."""


def prompt(clicks: Iterable[Click]) -> Prompt:
    """The clicks, positive ones first."""
    ordered = sorted(clicks, key=lambda click: -click[2])
    return Prompt(
        1,
        np.array([click[:2] for click in ordered], np.float32),
        np.array([click[2] for click in ordered], np.int32),
        gestures=np.array([click[3] for click in ordered]),
    )


def on_the_left(shot: Shot) -> Prompt:
    """One click in the middle of the left half."""
    return prompt([(*shot.middles[0], 1, 0)])


class Follower:
    """Follows things in a film with the classical segmenter alone."""

    def __init__(self) -> None:
        made = create_segmenter("classical")
        assert isinstance(made, ClassicalSegmenter)
        self.segmenter = made
        self.index = -1

    def see(self, image: np.ndarray, elapsed: int) -> None:
        self.index += 1
        self.segmenter.set_image(Frame(image, EPOCH + elapsed, self.index))

    def predict(self, asked: Prompt) -> MaskPrediction:
        return self.segmenter.predict([asked])[0]

    def next(self, scene: Joined, elapsed: int) -> MaskPrediction:
        """The mask in the next frame, from one click on the left half."""
        shot = scene.at(elapsed)
        self.see(shot.image, elapsed)
        return self.predict(on_the_left(shot))

    @property
    def state(self) -> State:
        return self.segmenter._memories[1].now


def followed(scene: Joined, times: Sequence[int]) -> list[MaskPrediction]:
    follower = Follower()
    return [follower.next(scene, elapsed) for elapsed in times]


@lru_cache
def usual() -> list[MaskPrediction]:
    """What is found in the usual film at 25 Hz."""
    return followed(Joined(), steps(8))


def revisions(found: Iterable[MaskPrediction]) -> list[int]:
    return [index for index, each in enumerate(found) if each.revised]


# --- a part becomes the whole ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("scene", "frames"),
    [
        (Joined(), 15),
        (Joined(skins=("tree", "man"), speed=(-50, 50), pan=(25, -25)), 7),
        (Joined(1280, 720, skins=("stripes", "car"), pan=(50, 0)), 14),
        (Joined(1920, 1440, skins=("tree", "man")), 7),
    ],
    ids=["640x480", "640x480, panned", "1280x720", "1920x1440"],
)
def test_a_click_on_a_part_means_the_whole_that_moves(scene: Joined, frames: int) -> None:
    times = steps(frames)
    found = followed(scene, times)
    assert revisions(found) == [5], "the first frame after 0.2 seconds"
    for index, (each, elapsed) in enumerate(zip(found, times, strict=True)):
        shot, mask = scene.at(elapsed), each.mask
        other = np.count_nonzero(mask & shot.halves[1]) / np.count_nonzero(shot.halves[1])
        if index < 5:
            assert overlap(mask, shot.truth) < 0.6 and other < 0.15
        else:
            assert overlap(mask, shot.truth) > 0.8 and other > 0.85
    assert overlap(found[5].mask, scene.at(times[5]).truth) > 0.9


@pytest.mark.parametrize(
    ("speed", "times", "wanted"),
    [
        ((75.0, 25.0), steps(7, 10), [2]),
        ((75.0, 25.0), steps(9, 30), [6]),
        ((75.0, 25.0), [0, 40 * MS, 80 * MS, 700 * MS, 740 * MS, 780 * MS], [3]),
        ((75.0, 25.0), [0, 40 * MS, 80 * MS, 1080 * MS, 1120 * MS, 1600 * MS], []),
        ((75.0, 25.0), [0, 1001 * MS, 1040 * MS, 1240 * MS], []),
        ((4.0, -2.0), steps(7, 10), [5]),
    ],
    ids=[
        "10 Hz",
        "30 Hz",
        "a pause",
        "a pause of a second",
        "1 Hz",
        "slowly",
    ],
)
def test_stamps_say_when_it_is_decided(
    speed: tuple[float, float], times: list[int], wanted: list[int]
) -> None:
    scene = Joined(speed=speed)
    follower = Follower()
    found = []
    for index, elapsed in enumerate(times):
        found.append(follower.next(scene, elapsed))
        over = elapsed > SECOND or (bool(wanted) and index >= wanted[0])
        assert (follower.state.fate is None) == over, "frames are held until then, not longer"
    assert revisions(found) == wanted
    if wanted:
        for index in (wanted[0], len(times) - 1):
            assert overlap(found[index].mask, scene.at(times[index]).truth) > 0.8


def test_what_was_decided_counts_from_the_first_frame_on() -> None:
    scene, follower = Joined(), Follower()
    for elapsed in steps(6):
        before = follower.state if follower.index >= 0 else None
        follower.next(scene, elapsed)
    assert before is not None and before.revised == -1 and before.fate is not None
    after = follower.state
    assert after.revised == after.index == after.frame.index == 5
    assert after.obeyed == before.obeyed == 0 and after.views[0].index == 0
    assert after.first_certainty == before.first_certainty
    assert after.usual_area > 1.8 * before.usual_area
    area = np.count_nonzero(scene.at(steps(6)[-1]).truth)
    assert after.usual_area == pytest.approx(area, rel=0.1)
    speed = np.array(scene.speed) / 25
    assert np.linalg.norm(after.velocity - speed) < 0.3 * np.linalg.norm(speed)


def test_points_all_over_the_whole_help_to_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, times, follower = Joined(), steps(6), Follower()
    for elapsed in times[:5]:
        follower.next(scene, elapsed)
    asked: list[tuple[Frame, Prompt]] = []

    def watched(before: State, frame: Frame, given: Prompt, *more: Any) -> State:
        asked.append((frame, given))
        return track(before, frame, given, *more)

    monkeypatch.setattr(revision, "track", watched)
    newest = Frame(scene.at(times[5]).image, EPOCH + times[5], 5)
    options = follower.segmenter.options
    after = revise(replace(follower.state, obeyed=3), newest, [], options)
    assert after.revised == 5 and after.obeyed == 3
    assert [frame.index for frame, _ in asked] == [1, 2, 3, 4, 5]
    for (_, given), elapsed in zip(asked, times[1:], strict=True):
        halves = scene.at(elapsed).halves
        x, y = np.rint(given.points[given.labels == 1].T).astype(np.int64)
        on = [np.count_nonzero(half[y, x]) for half in halves]
        assert len(x) >= 17 and min(on) >= 6 and sum(on) >= 0.9 * len(x)


def test_the_pipeline_says_so_once_and_samples_points_anew_at_once() -> None:
    scene, times = Joined(), steps(14)
    pipeline = load_configuration(CONFIG).create()
    shot = scene.at(0)
    pipeline.process(shot.image, EPOCH)
    object_id = pipeline.add_object(ObjectPrompt(shot.middles[:1], np.ones(1, np.int32)))
    revised = []
    for index, elapsed in enumerate(times[1:], start=1):
        shot = scene.at(elapsed)
        restarts = pipeline.counters.restarts
        (result,) = pipeline.process(shot.image, EPOCH + elapsed)
        found = result.object(object_id)
        assert found.state is ObjectState.TRACKING
        share = overlap(found.mask.full(), shot.truth)
        assert share > 0.8 if index >= 5 else share < 0.6
        if found.revised:
            revised.append(index)
            assert pipeline.counters.restarts == restarts + 1
        x, y = np.rint(found.points.xy[found.point_labels == POSITIVE].T).astype(np.int64)
        on = [int(half[y, x].sum()) for half in shot.halves]
        assert (min(on) >= 3) == (index >= 6), "the points of the revised mask"
        if index >= 6:
            assert sum(on) >= len(x) - 1
    assert revised == [5]


# --- what says nothing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skins", "pan"),
    [
        (("flag", "face"), (0.0, 0.0)),
        (("tree", "man"), (0.0, 0.0)),
        (("flag", "face"), (60.0, -35.0)),
    ],
    ids=["still", "another still", "the camera moves"],
)
def test_without_a_motion_of_its_own_nothing_is_revised(
    skins: tuple[str, str], pan: tuple[float, float]
) -> None:
    scene = Joined(skins=skins, speed=pan, pan=pan, ground=_SHOPS if any(pan) else _STREET)
    follower, times = Follower(), steps(6, 10)
    found = [follower.next(scene, elapsed) for elapsed in times]
    assert revisions(found) == [] and follower.state.fate is None
    assert overlap(found[-1].mask, scene.at(times[-1]).truth) < 0.65


@pytest.mark.parametrize(("zoom", "turn"), [(1.25, 0.0), (1.0, 12.0)])
def test_a_camera_that_nears_or_turns_revises_nothing(zoom: float, turn: float) -> None:
    scene = Joined(speed=(0, 0), zoom=zoom, turn=turn, ground=_MEADOW)
    assert revisions(followed(scene, steps(8, 15))) == []


def test_what_moves_later_than_half_a_second_revises_nothing() -> None:
    still, moving, follower = Joined(speed=(0, 0)), Joined(), Follower()
    found = [follower.next(still, elapsed) for elapsed in steps(6, 10)]
    for elapsed in steps(6):
        shot = moving.at(elapsed)
        follower.see(shot.image, 600 * MS + elapsed)
        found.append(follower.predict(on_the_left(shot)))
    assert revisions(found) == []


@pytest.mark.parametrize("how", ["mask", "box", "17 points"])
def test_what_is_plain_is_never_revised(how: str) -> None:
    scene, follower = Joined(), Follower()
    for index, elapsed in enumerate(steps(8)):
        shot = scene.at(elapsed)
        follower.see(shot.image, elapsed)
        left = shot.halves[0]
        x, y, w, h = cv2.boundingRect(left.view(np.uint8))
        none, some = np.zeros((0, 2), np.float32), np.linspace(0.2, 0.8, 17)
        points = np.stack([x + some * w, y + 0.5 * h + 0.25 * h * np.sin(20 * some)], axis=1)
        if how == "17 points":
            asked = prompt((*place, 1, 0) for place in points.tolist())
        elif index:
            asked = Prompt(1, none, np.zeros(0))
        elif how == "mask":
            asked = Prompt(1, none, np.zeros(0), mask=left)
        else:
            asked = Prompt(1, none, np.zeros(0), box=np.array([x, y, x + w - 1, y + h - 1]))
        found = follower.predict(asked)
        assert found.mask.any() and not found.revised and follower.state.fate is None


# --- what forbids it -------------------------------------------------------------------------


def sides(mask: np.ndarray, clicks: Iterable[Click]) -> list[bool]:
    return [bool(mask[round(y), round(x)]) == bool(label) for x, y, label, _ in clicks]


@pytest.mark.parametrize(
    ("when", "half", "dx", "label"),
    [(0, 1, 0, 0), (3, 1, 10, 1), (4, 1, 0, 0), (4, 0, -18, 0)],
)
def test_a_correction_before_forbids_it_and_stays(
    when: int, half: int, dx: int, label: int
) -> None:
    scene, follower, found = Joined(), Follower(), []
    for index, elapsed in enumerate(steps(8)):
        shot = scene.at(elapsed)
        follower.see(shot.image, elapsed)
        clicks: list[Click] = [(*shot.middles[0].tolist(), 1, 0)]
        if index == when:
            follower.predict(prompt(clicks))
        if index >= when:
            x, y = shot.middles[half].tolist()
            clicks.append((x + dx, y - 9, label, 1))
        found.append(follower.predict(prompt(clicks)))
        assert all(sides(found[-1].mask, clicks)) and found[-1].mask.any()
        assert (follower.state.fate is None) == (index >= when)
    assert revisions(found) == []


@pytest.mark.parametrize(
    "more", [[(1, 14, -18, 0)], [(0, 9, 20, 1), (0, -9, 0, 1), (1, 20, 0, 0)]]
)
def test_all_of_the_first_clicks_stay_on_their_side(more: list[tuple[int, int, int, int]]) -> None:
    scene, follower, found = Joined(), Follower(), []
    for elapsed in steps(7):
        shot = scene.at(elapsed)
        follower.see(shot.image, elapsed)
        clicks: list[Click] = [(*shot.middles[0].tolist(), 1, 0)]
        for half, dx, dy, label in more:
            x, y = shot.middles[half].tolist()
            clicks.append((x + dx, y + dy, label, 0))
        found.append(follower.predict(prompt(clicks)))
        assert all(sides(found[-1].mask, clicks))


def test_what_the_first_clicks_exclude_is_not_part_of_the_whole() -> None:
    scene, follower = Joined(), Follower()
    for elapsed in steps(7):
        shot = scene.at(elapsed)
        follower.see(shot.image, elapsed)
        left, right = shot.middles.tolist()
        mask = follower.predict(prompt([(*left, 1, 0), (*right, 0, 0)])).mask
    other = shot.halves[1]
    assert np.count_nonzero(mask & other) < 0.5 * np.count_nonzero(other)


def test_a_revision_takes_nothing_from_another_object() -> None:
    scene, times = Joined(skins=("tree", "man")), steps(7)
    pipeline = load_configuration(CONFIG).create()
    shot = scene.at(0)
    pipeline.process(shot.image, EPOCH)
    first = ObjectPrompt(shot.middles[:1], np.ones(1, np.int32))
    second = ObjectPrompt(mask=shot.halves[1])
    pipeline.apply([PromptRequest(first), PromptRequest(second)])
    for elapsed in times[1:]:
        shot = scene.at(elapsed)
        (result,) = pipeline.process(shot.image, EPOCH + elapsed)
        kept = result.object(2).mask.full() & shot.halves[1]
        assert np.count_nonzero(kept) > 0.6 * np.count_nonzero(shot.halves[1])


def test_a_correction_after_it_is_obeyed() -> None:
    scene, follower = Joined(), Follower()
    for index, elapsed in enumerate(steps(9)):
        shot = scene.at(elapsed)
        follower.see(shot.image, elapsed)
        clicks: list[Click] = [(*shot.middles[0].tolist(), 1, 0)]
        if index >= 5:
            revised = follower.predict(prompt(clicks))
            assert revised.revised == (index == 5)
            clicks.append((*shot.middles[1].tolist(), 0, 1))
        mask = follower.predict(prompt(clicks)).mask
        assert all(sides(mask, clicks))
    assert overlap(mask, shot.halves[0]) > 0.6


def test_a_thing_that_was_hidden_meanwhile_is_not_revised() -> None:
    scene, follower, found = Joined(), Follower(), []
    empty = Prompt(1, np.zeros((0, 2)), np.zeros(0))
    cover = cv2.resize(photograph(*_HIDING), (640, 480), interpolation=cv2.INTER_CUBIC)
    for index, elapsed in enumerate(steps(12)):
        hidden = 2 <= index < 5
        shot = scene.at(elapsed)
        follower.see(cover if hidden else shot.image, elapsed)
        found.append(follower.predict(empty if hidden else on_the_left(shot)))
        if hidden:
            assert not found[-1].mask.any() and follower.state.fate is None
    assert revisions(found) == []


def test_a_thing_that_is_removed_and_started_anew_has_its_own_time() -> None:
    scene, follower, found = Joined(skins=("tree", "man")), Follower(), []
    for index, elapsed in enumerate(steps(12)):
        if index == 3:
            follower.segmenter.forget(1)
        found.append(follower.next(scene, elapsed))
    assert revisions(found) == [3 + 5]
    for each, elapsed in zip(found[8:], steps(12)[8:], strict=True):
        assert overlap(each.mask, scene.at(elapsed).truth) > 0.8


@pytest.mark.parametrize("how", ["removed", "reset"])
def test_nothing_is_left_of_a_thing_that_is_removed(how: str) -> None:
    scene = Joined()
    pipeline = load_configuration(CONFIG).create()
    pipeline.process(scene.at(0).image, EPOCH)
    pipeline.add_object(ObjectPrompt(scene.at(0).middles[:1], np.ones(1, np.int32)))
    times = steps(10)
    for elapsed in times[1:4]:
        assert pipeline.process(scene.at(elapsed).image, EPOCH + elapsed)[0].objects
    if how == "reset":
        pipeline.reset()
    else:
        pipeline.remove_object(1)
    assert isinstance(pipeline.segmenter, ClassicalSegmenter)
    assert pipeline.segmenter._memories == {}
    pipeline.process(scene.at(times[4]).image, EPOCH + times[4])
    pipeline.add_object(ObjectPrompt(mask=scene.at(times[4]).halves[0]), object_id=1)
    for elapsed in times[5:]:
        (result,) = pipeline.process(scene.at(elapsed).image, EPOCH + elapsed)
        assert not result.object(1).revised


# --- frames again, and films again -----------------------------------------------------------


def same(one: MaskPrediction, other: MaskPrediction) -> bool:
    return (
        one.logits.tobytes() == other.logits.tobytes()
        and one.origin == other.origin
        and one.score == other.score
        and one.revised == other.revised
    )


def test_a_frame_that_is_repeated_gives_the_same() -> None:
    scene, follower = Joined(), Follower()
    for elapsed, wanted in zip(steps(8), usual(), strict=True):
        assert same(follower.next(scene, elapsed), wanted)
        assert same(follower.predict(on_the_left(scene.at(elapsed))), wanted)


def test_two_runs_are_the_same_to_the_byte() -> None:
    again = followed(Joined(), steps(8))
    assert revisions(again) == [5]
    assert all(same(one, other) for one, other in zip(usual(), again, strict=True))


def test_a_neighbour_does_not_change_what_is_decided() -> None:
    scene, times = Joined(), steps(7)
    follower, found = Follower(), []
    for index, elapsed in enumerate(times):
        shot = scene.at(elapsed)
        follower.see(shot.image, elapsed)
        far = np.zeros((480, 640), np.bool_)
        far[380:440, 500:600] = True
        other = Prompt(2, np.zeros((0, 2)), np.zeros(0), mask=None if index else far)
        found.append(follower.segmenter.predict([other, on_the_left(shot)])[1])
    assert revisions(found) == [5]
    assert overlap(found[-1].mask, scene.at(times[-1]).truth) > 0.8


# --- parts of the decision -------------------------------------------------------------------


def test_without_a_doubt_there_is_nothing_to_revise() -> None:
    state = replace(begun(), fate=None)
    frame = Frame(Joined().at(0).image, EPOCH + 300 * MS, 6)
    assert revise(state, frame, [], ClassicalSegmenter.Options()) is state


def test_what_has_waited_too_long_is_given_up_without_a_look() -> None:
    frame = Frame(np.zeros((480, 640, 3), np.uint8), EPOCH + SECOND + 1, 6)
    after = revise(begun(), frame, [], ClassicalSegmenter.Options())
    assert after.fate is None and after.revised == -1
    assert after.probability is begun().probability


WHOLE = Window(-0.5, -0.5, 640, 480, 1.0)


def mask_of(box: tuple[int, int, int, int]) -> np.ndarray:
    """A mask that is a box: x and y of its corners, ``float32 (480, 640)``."""
    mask = np.zeros((480, 640), np.float32)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


@lru_cache
def begun() -> State:
    """The state in the first frame."""
    follower = Follower()
    follower.next(Joined(), 0)
    return follower.state


def seed_of(mask: np.ndarray) -> Seed:
    return Seed(WHOLE, mask, begun().appearance, 0.7)


def known(shown: np.ndarray, moving: np.ndarray, pixels: float) -> CommonFate:
    """What is known once a box has moved away."""
    first = Frame(Joined().at(0).image, EPOCH, 0)
    click = Prompt(1, np.array([[300.0, 200.0]]), np.ones(1), gestures=np.zeros(1))
    hypotheses = [Hypothesis(WHOLE, mask, 0.0) for mask in (shown, moving)]
    fate = CommonFate.begin(first, click, hypotheses[0], hypotheses)
    away = np.zeros((*fate.window.shape, 2), np.float32)
    away[fate.hypotheses[1] > 0.5] = (pixels * fate.window.scale, 0)
    return replace(fate, steps=((Frame(first.image, EPOCH + 200 * MS, 5), away),))


@pytest.mark.parametrize(
    ("found", "pixels", "wanted"),
    [
        ((260, 160, 380, 240), 12.0, True),
        ((260, 160, 380, 240), 0.0, False),
        ((260, 160, 380, 240), 0.15, False),
        ((320, 160, 380, 240), 12.0, False),
        ((260, 160, 322, 240), 12.0, False),
        ((258, 158, 322, 242), 12.0, False),
        ((230, 130, 420, 280), 12.0, False),
    ],
    ids=[
        "the whole",
        "nothing moves",
        "nearly nothing moves",
        "the other half",
        "nearly the same, better",
        "nearly the same, larger",
        "too much",
    ],
)
def test_another_mask_must_explain_the_motion_better(
    found: tuple[int, int, int, int], pixels: float, wanted: bool
) -> None:
    fate = known(mask_of((260, 160, 320, 240)), mask_of((260, 160, 380, 240)), pixels)
    assert _is_better(seed_of(mask_of(found)), fate) == wanted


def test_a_mask_that_is_nearly_the_same_stays_even_if_it_is_worse() -> None:
    whole = mask_of((260, 160, 380, 240))
    for right, wanted in ((370, False), (360, True)):
        fate = known(mask_of((260, 160, right, 240)), whole, 12.0)
        shown, found = (fate.gain(WHOLE, mask) for mask in (fate.shown.probability, whole))
        assert found - shown > 0.006
        assert _is_better(seed_of(whole), fate) == wanted


def test_a_mask_is_covered_by_some_points_on_it() -> None:
    mask = mask_of((100, 300, 420, 360))
    window = Window(60.2, 270.7, 210, 70, 0.5)
    points = _spread(
        replace(seed_of(mask), window=window, probability=window.resample(mask, WHOLE))
    )
    assert 16 <= len(points) <= 64
    columns, rows = np.rint(points).astype(np.int64).T
    assert mask[rows, columns].all()
    assert columns.min() < 130 and columns.max() > 390
    assert rows.min() < 318 and rows.max() > 342


def test_a_mask_too_thin_for_points_is_covered_by_none() -> None:
    mask = mask_of((100, 300, 420, 302))
    assert _spread(seed_of(mask)).shape == (0, 2)
