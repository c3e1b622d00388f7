"""Services that change what a person chose, over DDS."""

from __future__ import annotations

import numpy as np
from sam_pt_ros.msg import ObjectMask, ObjectPrompt, PointPrompt
from sam_pt_ros.srv import AddObjects, RemoveObject, SuggestMasks, Undo
from std_msgs.msg import Header

from support.rig import Rig
from support.scene import OCCLUDER, THING, overlap


def pixels(mask: ObjectMask, shape: tuple[int, int]) -> np.ndarray:
    """The mask over the whole image, ``bool (H, W)``."""
    roi, full = mask.roi, np.zeros(shape, np.bool_)
    assert (mask.mask.height, mask.mask.width) == (roi.height, roi.width)
    part = np.frombuffer(mask.mask.data, np.uint8).reshape(roi.height, roi.width)
    rows = slice(roi.y_offset, roi.y_offset + roi.height)
    full[rows, roi.x_offset : roi.x_offset + roi.width] = part == 255
    return full


def test_a_click_s_meanings_are_told_and_one_of_them_is_taken(rig: Rig) -> None:
    rig.play(0, 4)
    click = rig.on(THING, 2)
    request = SuggestMasks.Request(header=rig.header(2), prompt=ObjectPrompt(points=[click]))
    answer = rig.call("suggest_masks", request)
    assert answer.success and answer.message == f"the prompt may mean {len(answer.masks)} regions"
    assert answer.stamp == rig.header(2).stamp
    shape = rig.scene.frame(2).image.shape[:2]
    found = [pixels(mask, shape) for mask in answer.masks]
    assert len(found) >= 2 and all(mask[round(click.y), round(click.x)] for mask in found)
    assert [mask.object_id for mask in answer.masks] == [0] * len(found)
    assert max(overlap(mask, rig.scene.frame(2).mask(THING)) for mask in found) > 0.8
    assert all(mask.mask.header.stamp == rig.header(2).stamp for mask in answer.masks)
    rig.play(5)
    assert rig.objects(5) == {}, "nothing was started"
    best = max(found, key=lambda mask: overlap(mask, rig.scene.frame(2).mask(THING)))
    chosen = answer.masks[[mask is best for mask in found].index(True)]
    prompt = ObjectPrompt(points=[click], box=chosen.roi, mask=chosen.mask)
    header = Header(stamp=answer.stamp)
    added = rig.call("add_objects", AddObjects.Request(header=header, objects=[prompt]))
    assert added.success and list(added.alternatives) == []
    assert added.message == "started object 1"
    rig.play(6)
    assert overlap(rig.mask(1, 6), rig.scene.frame(6).mask(THING)) > 0.7


def test_alternatives_come_with_the_object_if_they_are_wanted(rig: Rig) -> None:
    rig.play(0)
    prompts = [ObjectPrompt(points=[rig.on(owner, 0)]) for owner in (THING, OCCLUDER)]
    request = AddObjects.Request(header=rig.header(0), objects=prompts, want_alternatives=True)
    answer = rig.call("add_objects", request)
    assert answer.success and list(answer.object_ids) == [1, 2]
    ids = [mask.object_id for mask in answer.alternatives]
    assert ids == sorted(ids) and set(ids) == {1, 2}


def test_an_object_starts_anew_and_that_is_undone(rig: Rig) -> None:
    rig.play(0)
    prompt = ObjectPrompt(label="ball", points=[rig.on(THING, 0)])
    rig.call("add_objects", AddObjects.Request(header=rig.header(0), objects=[prompt]))
    rig.play(1, 4)
    prompt = ObjectPrompt(object_id=1, points=[rig.on(OCCLUDER, 4)])
    answer = rig.call("add_objects", AddObjects.Request(header=rig.header(4), objects=[prompt]))
    assert answer.success and list(answer.object_ids) == [1]
    assert answer.message == "started object 1 anew"
    rig.play(5, 6)
    assert rig.objects(6)[1].label == "ball" and rig.objects(6)[1].age == 2
    assert overlap(rig.mask(1, 6), rig.scene.frame(6).mask(OCCLUDER)) > 0.7
    answer = rig.call("undo", Undo.Request(object_id=1))
    assert answer.success and answer.message == "took back the newest change of object 1"
    rig.log("^took back the newest change of object 1$")
    rig.play(7, 9)
    assert rig.objects(9)[1].age == 9
    assert overlap(rig.mask(1, 9), rig.scene.frame(9).mask(THING)) > 0.7
    answer = rig.call("undo", Undo.Request(object_id=1))
    assert not answer.success and "has not been changed since it was started" in answer.message


def test_a_correction_is_undone(rig: Rig) -> None:
    rig.play(0)
    rig.points(rig.on(THING, 0), index=0)
    rig.play(1, 4)
    x, y = rig.scene.inner_point(OCCLUDER, 4)
    rig.points(PointPrompt(object_id=1, x=x, y=y, label=PointPrompt.POSITIVE), index=4)
    rig.play(5)
    assert rig.mask(1, 5)[rig.scene.frame(5).mask(OCCLUDER)].any()
    assert rig.call("undo", Undo.Request(object_id=1)).success
    rig.play(6, 8)
    assert not rig.mask(1, 8)[rig.scene.frame(8).mask(OCCLUDER)].any()
    assert overlap(rig.mask(1, 8), rig.scene.frame(8).mask(THING)) > 0.7


def test_what_cannot_be_told_or_undone_is_said(rig: Rig) -> None:
    answer = rig.call("suggest_masks", SuggestMasks.Request())
    assert not answer.success and "has not come yet" in answer.message
    rig.play(0)
    for prompt, reason in (
        (ObjectPrompt(), "needs a positive point, a box or a mask"),
        (ObjectPrompt(points=[PointPrompt(x=float("nan"), label=1)]), "must be finite"),
        (ObjectPrompt(points=[PointPrompt(x=9999.0, label=1)]), "is not in the image"),
    ):
        answer = rig.call("suggest_masks", SuggestMasks.Request(prompt=prompt))
        assert not answer.success and reason in answer.message
        assert list(answer.masks) == []
    answer = rig.call("undo", Undo.Request(object_id=3))
    assert not answer.success and "there is no object 3" in answer.message
    rig.points(rig.on(THING, 0), index=0)
    assert rig.call("remove_object", RemoveObject.Request(object_id=1)).success
    assert not rig.call("undo", Undo.Request(object_id=1)).success


def test_alternatives_of_what_waits_for_its_image_are_left_out(rig: Rig) -> None:
    prompt = ObjectPrompt(points=[rig.on(THING, 0)])
    answer = rig.call("add_objects", AddObjects.Request(objects=[prompt], want_alternatives=True))
    assert answer.success and list(answer.alternatives) == []
    assert answer.message == "object 1 starts once its image comes"
    rig.play(0, 1)
    assert list(rig.objects(1)) == [1]
