"""The classical backends on the generated scene: seen, hidden, found again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.objects import ObjectPrompt, ObjectResult, ObjectState
from support.scene import OCCLUDER, THING, Scene, overlap, passing_scene

CONFIG = Path(__file__).resolve().parents[2] / "config" / "classical.yaml"
SCENES = [
    (320, 0, "blob", "spots"),
    (320, 1, "blob", "spots"),
    (320, 0, "bar", "spots"),
    (640, 0, "blob", "spots"),
]


@dataclass(frozen=True, eq=False)
class Film:
    """A scene, what was found of the thing in it, and the label images."""

    scene: Scene
    thing: dict[int, ObjectResult]
    occluder: dict[int, ObjectResult]

    def quality(self, index: int) -> float:
        return overlap(self.thing[index].mask.full(), self.scene.frame(index).mask(THING))


_films: dict[tuple[int, int, str, str], Film] = {}


@pytest.fixture(params=SCENES, ids=lambda p: "-".join(map(str, p)))
def film(request: pytest.FixtureRequest) -> Film:
    """Both things clicked once in the first frame; made once for all tests."""
    width, seed, shape, texture = request.param
    if request.param not in _films:
        scene = passing_scene(width, seed, shape, texture)
        pipeline = load_configuration(CONFIG).create()
        thing: dict[int, ObjectResult] = {}
        occluder: dict[int, ObjectResult] = {}
        for index in range(scene.length):
            frame = scene.frame(index)
            (result,) = pipeline.process(frame.image, frame.stamp)
            if index == 0:
                for owner in (THING, OCCLUDER):
                    point = np.array([scene.inner_point(owner, 0)])
                    pipeline.add_object(ObjectPrompt(point, np.array([1])))
            else:
                thing[index], occluder[index] = result.object(1), result.object(2)
        _films[request.param] = Film(scene, thing, occluder)
    return _films[request.param]


def test_the_thing_is_masked_while_it_is_seen(film: Film) -> None:
    start = film.scene.hidden(THING).start
    qualities = {
        index: film.quality(index)
        for index in range(1, start)
        if film.scene.frame(index).visible[THING] > 0.9
    }
    assert min(qualities.values()) > 0.8, qualities


def test_the_thing_is_occluded_while_it_is_hidden(film: Film) -> None:
    states = {index: film.thing[index].state for index in film.scene.hidden(THING)}
    assert set(states.values()) == {ObjectState.OCCLUDED}, states


def test_the_thing_is_found_again_within_ten_frames(film: Film) -> None:
    back = film.scene.hidden(THING).stop
    qualities = {index: film.quality(index) for index in range(back, film.scene.length)}
    assert max(qualities[index] for index in range(back, back + 10)) > 0.7, qualities
    later = [q for index, q in qualities.items() if index >= back + 10]
    assert min(later) > 0.7, qualities


def test_what_hides_the_thing_is_masked_all_the_time(film: Film) -> None:
    qualities = {
        index: overlap(result.mask.full(), film.scene.frame(index).mask(OCCLUDER))
        for index, result in film.occluder.items()
    }
    assert min(qualities.values()) > 0.8, qualities
