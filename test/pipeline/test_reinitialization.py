"""When points are sampled anew: as the published code does, but for its errors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.pipeline.reinitialization import (
    MINIMUM_AREA,
    VARIANTS,
    MaskWindow,
    Reinitialization,
    ReinitializeAtHorizon,
    create_reinitialization,
)

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "sam_pt_reinit.json").read_text()
)
SIZE = (GOLDEN["height"], GOLDEN["width"])
GIVEN_UP = "runs_if_small_masks_were_given_up"


def mask(area: int) -> CroppedMask:
    pixels = np.zeros(SIZE, np.bool_)
    pixels.ravel()[:area] = True
    return CroppedMask.cut(pixels, (0, 0), SIZE)


@dataclass(frozen=True)
class GoldenWindow:
    """One window of the published code that was followed by a restart."""

    case: dict[str, Any]
    run: dict[str, Any]
    golden: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.case['name']} {self.run['variant']} {self.golden['start']}"

    def area(self, item: int, frame: int) -> int:
        """Of the final mask: an IoU under 0.7 empties it."""
        index = frame
        if self.golden["direction"] == "backward":
            index = self.case["frames"] - 1 - frame
        ious = self.case["ious"]
        if ious is not None and ious[item][index] < 0.7:
            return 0
        return int(self.case["areas"][item][index])

    def windows(self) -> dict[int, MaskWindow]:
        """Ours of all objects, when this one is full; those of later ones have begun or not."""
        start, last = self.golden["start"], self.golden["last_frame"]
        made = {}
        for item, begins in enumerate(self.golden["pending_starts"]):
            if begins < start:
                continue
            frames = range(begins, max(last, begins) + 1)
            known = [f for f in frames if f < self.case["frames"]]
            masks = [mask(self.area(item, f)) for f in known]
            made[item] = MaskWindow(begins, masks, first=True)
        return made

    def choose(self) -> tuple[Reinitialization, dict[int, int | None]]:
        """Fed frame by frame, as online: nothing is chosen before the window is full."""
        variant = create_reinitialization(self.run["variant"], self.run["horizon"])
        assert variant is not None
        group = self.golden["objects"]
        for shorter in range(1, self.run["horizon"]):
            full = self.windows()
            early = {
                item: MaskWindow(full[item].start, full[item].masks[:shorter]) for item in group
            }
            assert variant.choose(early) == {}, self.name
        windows = self.windows()
        later = {k: w for k, w in windows.items() if k not in group and variant.full(w)}
        assert not later, "not due together"
        return variant, variant.choose(windows)


def golden_windows(runs: str = "runs") -> Iterator[GoldenWindow]:
    for case in GOLDEN["cases"]:
        for run in case.get(runs, []):
            for window in run["windows"]:
                if window["next"] is None:
                    continue
                if window["direction"] == "backward":
                    window = turned_round(window, case["frames"])
                yield GoldenWindow(case, run, window)


def turned_round(window: dict[str, Any], frames: int) -> dict[str, Any]:
    """A window of the pass backward in time, as one of the reversed video."""

    def turn(value: Any) -> Any:
        return [turn(each) for each in value] if isinstance(value, list) else frames - 1 - value

    names = ("start", "last_frame", "pending_starts", "next", "as_good")
    return {**window, **{name: turn(window[name]) for name in names}}


def expected(window: GoldenWindow, position: int) -> tuple[str, set[int | None]]:
    """What we choose for one object: why, and which frames are right."""
    golden, variant = window.golden, window.run["variant"]
    usable = golden["usable_areas"][position]
    frames = {golden["start"] + 1 + i for i, area in enumerate(usable) if area is not None}
    if variant == "A":
        if golden["next_area"][position] > MINIMUM_AREA:
            return "as published", {golden["next"][position]}
        return "error c: no mask, so the points stay", {None}
    if not frames:
        return "error c: no mask, so the points stay", {None}
    if variant == "B":
        return "as published", set(golden["as_good"][position])
    empty_first = [area == 0 for area in golden["target_area"]]
    if {"C": empty_first[position], "D": any(empty_first)}[variant]:
        return "error e: nothing to compare the area with", {*frames, None}
    return "as published", {golden["next"][position]}


def test_every_restart_is_where_the_published_code_has_it() -> None:
    """But where that restarts from nothing: the letters are those of its errors in SAM_PT.md."""
    counts: Counter[str] = Counter()
    for window in (*golden_windows(), *golden_windows(GIVEN_UP)):
        _, choices = window.choose()
        # In A windows end where an object joins: of a later start there may be some by now.
        others = set(choices) - set(window.golden["objects"])
        assert not others or window.run["variant"] == "A", window.name
        for position, item in enumerate(window.golden["objects"]):
            why, right = expected(window, position)
            assert choices[item] in right, (window.name, item, why)
            counts[why] += 1
    # What is counted here cannot be filtered away unnoticed.
    assert sum(counts.values()) == 1076
    assert counts == {
        "as published": 871,
        "error c: no mask, so the points stay": 188,
        "error e: nothing to compare the area with": 17,
    }


def test_objects_are_lost_when_no_mask_of_a_horizon_can_be_sampled_from() -> None:
    """The published code, mended (its error b), judges by the chosen frame's mask alone."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for window in golden_windows(GIVEN_UP):
        variant, choices = window.choose()
        for position, item in enumerate(window.golden["objects"]):
            usable = window.golden["usable_areas"][position]
            lost = variant.lost(window.windows()[item])
            assert lost == all(area is None for area in usable), window.name
            given_up = item in window.golden["gives_up"]
            assert (choices[item] is None) == (lost or given_up), window.name
            counts[given_up, lost] += 1
            if given_up and not lost:
                assert window.run["variant"] == "A", "the frame is fixed, whatever its mask"
            if lost and not given_up:
                assert window.golden["next_area"][position] > MINIMUM_AREA, "in the first quarter"
    assert counts == {
        (False, False): 136,
        (True, True): 27,
        (True, False): 3,
        (False, True): 12,
    }


def test_a_window_begins_anew_when_there_is_nothing_to_sample_from() -> None:
    for name in ("A", "B", "C", "D"):
        variant = create_reinitialization(name, 4)
        assert variant is not None
        window = MaskWindow(10, [mask(100), mask(0), mask(25), mask(20)])
        assert variant.choose({1: window}) == {1: None}
        assert variant.lost(window)
        assert not variant.lost(MaskWindow(10, [mask(0), mask(0), mask(26), mask(0)]))
        assert not variant.lost(MaskWindow(10, [mask(0)] * 3)), "it is not full"


@pytest.mark.parametrize(("variant", "chosen"), [("C", 13), ("D", 13)])
def test_without_a_first_mask_the_usual_area_is_looked_for(variant: str, chosen: int) -> None:
    """Not the smallest, and not a frame without a mask: errors e of the published code."""
    made = create_reinitialization(variant, 6)
    assert made is not None
    areas = [0, 90, 30, 100, 500, 0]
    assert made.choose({1: MaskWindow(10, [mask(area) for area in areas])}) == {1: chosen}


def test_of_equal_medians_the_newest_is_taken() -> None:
    variant = create_reinitialization("B", 6)
    assert variant is not None
    assert variant.choose({1: MaskWindow(10, [mask(100)] * 6)}) == {1: 15}


def test_in_variant_d_an_object_without_a_mask_keeps_its_points() -> None:
    variant = create_reinitialization("D", 4)
    assert variant is not None
    seen = MaskWindow(10, [mask(100)] * 4)
    hidden = MaskWindow(10, [mask(100), mask(0), mask(0), mask(0)])
    later = MaskWindow(12, [mask(80)] * 2)
    assert variant.choose({1: seen, 2: hidden, 3: later}) == {1: 12, 2: None}


def test_nothing_happens_before_the_horizon() -> None:
    variant = ReinitializeAtHorizon(4)
    assert variant.choose({1: MaskWindow(10, [mask(100)] * 3)}) == {}
    assert variant.choose({1: MaskWindow(10, [mask(100)] * 4)}) == {1: 13}


def test_in_variant_a_objects_go_on_together_from_where_a_later_one_started() -> None:
    first = MaskWindow(10, [mask(100)] * 3)
    variant = ReinitializeAtHorizon(8)
    joined = MaskWindow(12, [mask(50)], first=True)
    assert variant.choose({1: first, 2: joined}) == {1: 12}
    assert variant.choose({1: first, 2: MaskWindow(12, [mask(50)])}) == {}, "it has only restarted"
    assert variant.choose({1: first, 2: MaskWindow(13, first=True)}) == {}, "it has not begun"
    assert variant.choose({1: first, 2: MaskWindow(10, first.masks)}) == {}


@pytest.mark.parametrize(("name", "chosen"), [("A", 15), ("B", 14), ("C", 14), ("D", 14)])
def test_points_are_sampled_from_masks_that_know_of_every_click(name: str, chosen: int) -> None:
    areas = [100, 100, 100, 100, 90, 95]
    variant = create_reinitialization(name, 6)
    assert variant is not None
    masks = [mask(area) for area in areas]
    asked = {1: MaskWindow(10, masks, informed=14)}
    if name in ("C", "D"):
        chosen = 15  # 95 is nearer to 100
    assert variant.choose(asked) == {1: chosen}
    assert variant.choose({1: MaskWindow(10, masks, informed=16)}) == {1: None}
    assert not variant.lost(MaskWindow(10, masks, informed=16))


def test_in_variant_a_the_mask_after_a_click_is_taken_where_another_object_joined() -> None:
    joined = MaskWindow(12, [mask(50)] * 2, first=True)
    windows = {1: MaskWindow(10, [mask(100)] * 4, informed=13), 2: joined}
    assert ReinitializeAtHorizon(8).choose(windows) == {1: 13}


@pytest.mark.parametrize(("area", "choice"), [(25, None), (26, 13)])
def test_points_are_sampled_from_more_than_25_pixels(area: int, choice: int | None) -> None:
    window = MaskWindow(10, [mask(100)] * 3 + [mask(area)])
    assert ReinitializeAtHorizon(4).choose({1: window}) == {1: choice}


@pytest.mark.parametrize("name", ["A", "B", "C", "D"])
def test_without_objects_nothing_is_chosen(name: str) -> None:
    variant = create_reinitialization(name, 4)
    assert variant is not None
    assert variant.choose({}) == {}


def test_a_horizon_of_one_is_refused() -> None:
    with pytest.raises(UserError, match="at least 2"):
        ReinitializeAtHorizon(1)


def test_variants_are_made_by_name() -> None:
    assert tuple(VARIANTS) == ("none", "A", "B", "C", "D")
    assert create_reinitialization("none", 8) is None
    made = create_reinitialization("A", 8)
    assert isinstance(made, ReinitializeAtHorizon) and made.horizon == 8
    with pytest.raises(UserError, match="unknown reinitialization 'Z'; available: "):
        create_reinitialization("Z", 8)
