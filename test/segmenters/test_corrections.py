"""Corrections of the classical segmenter: a click is an order, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.frames import Frame
from sam_pt_ros.masks import MaskPrediction
from sam_pt_ros.segmenters import Prompt, create_segmenter
from sam_pt_ros.segmenters.base import SAMPLED
from sam_pt_ros.segmenters.classical.click_region import click_region
from sam_pt_ros.segmenters.classical.colour import to_lab
from sam_pt_ros.segmenters.classical.corrections import with_clicks
from support import classical_scenes as scenes

HEIGHT, WIDTH = scenes.SIZE
Click = tuple[int, int, int]
"""x, y, label."""


def patches() -> Frame:
    """A thing of four differently coloured parts, 60 pixels wide each, before a meadow."""
    image = np.empty((HEIGHT, WIDTH, 3), np.float32)
    image[:] = (70, 110, 80)
    image[60:120, 120:180], image[60:120, 180:240] = (190, 120, 90), (110, 110, 200)
    image[120:180, 120:180], image[120:180, 180:240] = (200, 190, 60), (60, 60, 70)
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    return Frame(np.clip(image + noise, 0, 255).astype(np.uint8), 0, 0)


PATCHES = patches()


def prompt(*clicks: Click) -> Prompt:
    """One gesture a click, in order, positives first as the pipeline gives them."""
    numbered = sorted(enumerate(clicks), key=lambda item: -item[1][2])
    return Prompt(
        1,
        np.array([(x, y) for _, (x, y, _) in numbered], np.float32),
        np.array([label for _, (_, _, label) in numbered]),
        gestures=np.array([number for number, _ in numbered]),
    )


def ask(segmenter: Any, clicks: list[Click], frame: Frame = PATCHES) -> np.ndarray:
    segmenter.set_image(frame)
    return np.asarray(segmenter.predict([prompt(*clicks)])[0].mask)


def sides(mask: np.ndarray, clicks: list[Click]) -> list[bool]:
    return [bool(mask[y, x]) == bool(label) for x, y, label in clicks]


CLICKS = st.lists(
    st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(0, 1)),
    min_size=1,
    max_size=7,
    unique_by=lambda click: click[:2],
).map(lambda clicks: [(*clicks[0][:2], 1), *clicks[1:]])


@given(clicks=CLICKS)
def test_every_clicked_pixel_is_on_its_side(clicks: list[Click]) -> None:
    segmenter = create_segmenter("classical")
    for count in range(1, len(clicks) + 1):
        mask = ask(segmenter, clicks[:count])
        assert all(sides(mask, clicks[:count]))
    together = ask(create_segmenter("classical"), clicks)
    assert np.array_equal(mask, together), "as if all had been given at once"
    moved = ask(segmenter, clicks, Frame(PATCHES.image, 1, 1))
    # As long as they are tracked, unless the object counts as hidden and has no mask at all.
    assert all(sides(moved, clicks)) or not moved.any()


def test_clicks_side_by_side_have_their_own_pixels() -> None:
    clicks = [(150, 90, 1), (151, 90, 0), (150, 91, 0), (152, 90, 1)]
    assert all(sides(ask(create_segmenter("classical"), clicks), clicks))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (WIDTH - 1, 0), (0, HEIGHT - 1), (200, HEIGHT - 1)])
def test_a_click_at_the_image_s_edge_is_obeyed(x: int, y: int) -> None:
    mask = ask(create_segmenter("classical"), [(150, 90, 1), (x, y, 1)])
    assert mask[y, x] and mask[90, 150]


@pytest.mark.parametrize("index", [0, 1])
def test_a_correction_is_local_and_connected(index: int) -> None:
    segmenter = create_segmenter("classical")
    before = ask(segmenter, [(150, 90, 1)])
    if index:  # the click comes in the next frame
        frame = Frame(PATCHES.image, 1, 1)
        before = ask(create_and_follow(frame), [(150, 90, 1)], frame)
        after = ask(segmenter, [(150, 90, 1), (210, 150, 1)], frame)
    else:
        after = ask(segmenter, [(150, 90, 1), (210, 150, 1)])
    assert not before[150, 210] and after[150, 210]
    changed = before != after
    _, parts = cv2.connectedComponents(changed.astype(np.uint8), connectivity=8)
    assert not (changed & (parts != parts[150, 210])).any()
    part = np.zeros_like(changed)
    part[120:180, 180:240] = True
    assert (after & part).sum() > 0.8 * part.sum(), "the part that was clicked on"
    assert (changed & ~part).sum() < 0.2 * part.sum(), "and no other"


def create_and_follow(frame: Frame) -> Any:
    """A segmenter that has seen the first click."""
    segmenter = create_segmenter("classical")
    ask(segmenter, [(150, 90, 1)])
    return segmenter


def test_a_gesture_that_is_undone_leaves_nothing() -> None:
    segmenter = create_segmenter("classical")
    before = ask(segmenter, [(150, 90, 1)])
    corrected = ask(segmenter, [(150, 90, 1), (210, 150, 1)])
    assert not np.array_equal(before, corrected)
    assert np.array_equal(ask(segmenter, [(150, 90, 1)]), before)


def test_what_was_corrected_stays_in_the_next_frames() -> None:
    segmenter = create_segmenter("classical")
    clicks = [(150, 90, 1), (210, 150, 1)]
    corrected = ask(segmenter, clicks)
    for index in range(1, 6):
        frame = Frame(PATCHES.image, index, index)
        segmenter.set_image(frame)
        # The tracker has lost the clicks.
        empty = Prompt(1, np.zeros((0, 2)), np.zeros(0))
        mask = segmenter.predict([empty])[0].mask
    assert (mask & corrected).sum() > 0.9 * (mask | corrected).sum()


def test_a_click_says_where_a_hidden_thing_is() -> None:
    segmenter = create_segmenter("classical")
    ask(segmenter, [(150, 90, 1)])
    flat = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    empty = Prompt(1, np.zeros((0, 2)), np.zeros(0))
    for index in range(1, 4):
        segmenter.set_image(Frame(flat, index, index))
        hidden = segmenter.predict([empty])[0]
    assert not hidden.mask.any()
    moved = np.roll(PATCHES.image, (40, 130), axis=(0, 1))
    mask = ask(segmenter, [(150, 90, 1), (285, 130, 1)], Frame(moved, 4, 4))
    assert mask[130, 285] and mask[105:155, 255:305].mean() > 0.6


def test_a_correction_brings_back_a_mask_that_was_not_believed() -> None:
    segmenter = create_segmenter("classical")
    ask(segmenter, [(150, 90, 1)])
    memory = segmenter._memories[1]
    segmenter._memories[1] = replace(memory, now=replace(memory.now, unsure=3))
    assert segmenter._memories[1].now.doubted
    assert ask(segmenter, [(150, 90, 1), (210, 150, 1)])[150, 210]


def test_a_click_that_confirms_a_mask_brings_it_back_too() -> None:
    segmenter = create_segmenter("classical")
    mask = ask(segmenter, [(150, 90, 1)])
    memory = segmenter._memories[1]
    segmenter._memories[1] = replace(memory, now=replace(memory.now, unsure=3))
    again = ask(segmenter, [(150, 90, 1), (152, 92, 1)])
    assert mask[92, 152] and (mask & again).sum() > 0.95 * (mask | again).sum()


def test_two_points_at_once_are_the_first_and_its_correction() -> None:
    both, in_turn = create_segmenter("classical"), create_segmenter("classical")
    both.set_image(PATCHES)
    places = np.array([(150, 90), (210, 150)], np.float32)
    found = both.propose([Prompt(1, places, np.ones(2), gestures=np.zeros(2))])[0]
    together = found.mask
    assert found.score == pytest.approx(1 - 0.28 * 0.7, abs=1e-3), "as after a correction"
    ask(in_turn, [(150, 90, 1)])
    after = ask(in_turn, [(150, 90, 1), (210, 150, 1)])
    assert together[90, 150] and together[150, 210]
    assert (together & after).sum() > 0.95 * (together | after).sum()


def test_more_clicks_make_a_first_mask_more_certain() -> None:
    places = np.array([(140 + 5 * (i % 4), 80 + 5 * (i // 4)) for i in range(12)], np.float32)
    scores = []
    for count in (1, 4, 8, 12):
        segmenter = create_segmenter("classical")
        segmenter.set_image(PATCHES)
        one = np.ones(count)
        prompt = Prompt(1, places[:count], one, gestures=0 * one)
        scores.append(segmenter.propose([prompt])[0].score)
    assert scores == sorted(scores) and len(set(scores)) == 4
    assert 0.7 < scores[0] < 0.75 and 0.9 < scores[-1] <= 0.95


def test_sampled_points_are_no_orders() -> None:
    segmenter = create_segmenter("classical")
    mask = ask(segmenter, [(150, 90, 1)])
    assert not mask[20, 20]
    segmenter.set_image(Frame(PATCHES.image, 1, 1))
    points = np.array([(150, 90), (20, 20)], np.float32)
    drifted = Prompt(1, points, np.ones(2), gestures=np.array([0, SAMPLED]))
    assert not segmenter.predict([drifted])[0].mask[20, 20]


# --- the region of a click -------------------------------------------------------------------


def halves() -> tuple[np.ndarray, np.ndarray]:
    """Lab of a picture with a vertical edge at column 50, and the mask that covers it all."""
    image = np.empty((60, 100, 3), np.uint8)
    image[:, :50], image[:, 50:] = (200, 80, 60), (60, 90, 190)
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    domain = np.zeros((60, 100), np.bool_)
    domain[10:50, 20:80] = True
    return to_lab(np.clip(image + noise, 0, 255).astype(np.uint8)), domain


def region(place: tuple[int, int], claimed: tuple[int, int] | None = None) -> np.ndarray:
    lab, domain = halves()
    others = np.zeros_like(domain)
    if claimed is not None:
        others[claimed] = True
    return click_region(place, domain, others, lab, float(np.sqrt(domain.sum())))


def test_a_region_ends_at_the_edge_of_its_colour_and_of_its_domain() -> None:
    wanted = np.zeros((60, 100), np.bool_)
    wanted[10:50, 50:80] = True
    found = region((30, 65))
    assert (found ^ wanted).sum() <= 40, "at most one column beside it"
    mirrored = region((30, 34))
    wanted = np.zeros((60, 100), np.bool_)
    wanted[10:50, 20:50] = True
    assert (mirrored ^ wanted).sum() <= 40


def test_a_region_keeps_away_from_what_other_clicks_hold() -> None:
    free, held = region((30, 65)), region((30, 65), claimed=(30, 72))
    assert free[30, 72] and not held[28:33, 72].any() and not held[30, 70:75].any()
    assert held[30, 65] and held.sum() < free.sum()


def test_two_clicks_on_neighbouring_pixels_leave_each_its_own() -> None:
    found = region((30, 65), claimed=(30, 66))
    assert found[30, 65] and not found[30, 66]


# --- clicks at image resolution --------------------------------------------------------------


def prediction(value: float) -> MaskPrediction:
    return MaskPrediction(np.full((8, 10), value, np.float32), (10, 20), (100, 120), 0.5)


def test_clicks_extend_what_is_predicted() -> None:
    done = with_clicks(prediction(1.0), prompt((50, 60, 1), (12, 21, 0)))
    mask = done.mask
    assert mask[60, 50] and not mask[21, 12] and mask[26, 18] and mask.sum() < 80 + 25
    assert done.score == 0.5 and not mask[60, 40] and not mask[40, 30]


def test_a_negative_click_elsewhere_costs_no_memory() -> None:
    done = with_clicks(prediction(1.0), prompt((13, 22, 1), (100, 90, 0)))
    assert done.logits.shape == (8, 10)


def test_of_two_clicks_on_one_pixel_the_later_one_counts() -> None:
    assert with_clicks(prediction(1.0), prompt((12, 21, 1), (12, 21, 0))).mask[21, 12] == 0
    assert with_clicks(prediction(-1.0), prompt((12, 21, 0), (12, 21, 1))).mask[21, 12] == 1
