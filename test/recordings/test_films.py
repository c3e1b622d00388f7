import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("av")

import av

from sam_pt_ros.recordings.films import choose_evenly, write_film, write_image, write_strip
from support.media import count_frames


def overlays(stamps, size=(48, 64)):
    for stamp in stamps:
        yield stamp, np.full((*size, 3), (stamp // 10**7) % 256, np.uint8)


STAMPS = [10**9 + i * 40_000_000 for i in range(20)]


def test_the_film_is_as_long_as_the_input_and_holds_the_last_overlay(tmp_path):
    path = tmp_path / "film.mp4"
    write_film(path, overlays([STAMPS[2], STAMPS[10]]), STAMPS)
    assert count_frames(path) == 20
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(25)
    values = [capture.read()[1].mean() for _ in STAMPS]
    first, second = (108, 140)
    np.testing.assert_allclose(values, [first] * 10 + [second] * 10, atol=4)


def test_one_image_makes_a_film(tmp_path):
    write_film(tmp_path / "film.mp4", overlays(STAMPS[:1]), STAMPS[:1])
    assert count_frames(tmp_path / "film.mp4") == 1


def test_browsers_can_play_the_film(tmp_path):
    path = str(tmp_path / "film.mp4")
    write_film(path, overlays(STAMPS, size=(37, 63)), STAMPS)
    with av.open(path) as film:
        codec = film.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert (codec.width, codec.height) == (64, 38)


@pytest.mark.parametrize(
    ("period", "rate"),
    [(33_366_667, 29.97003), (1, 1000), (3_600_000_000_000, 1 / 1001), (101_286_713, 9.873)],
)
def test_the_film_takes_any_rate(period, rate, tmp_path):
    stamps = [10**9 + i * period for i in range(5)]
    write_film(tmp_path / "film.mp4", overlays(stamps), stamps)
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert float(film.streams.video[0].average_rate) == pytest.approx(rate, rel=1e-4)
        assert film.streams.video[0].frames == 5


def test_what_cannot_be_written_is_said(tmp_path):
    for write in (
        lambda path: write_film(path, overlays(STAMPS), STAMPS),
        lambda path: write_image(path, np.zeros((8, 8, 3), np.uint8)),
    ):
        with pytest.raises(OSError, match="No such file"):
            write(tmp_path / "no_such_folder" / "picture.mp4")


def test_images_are_chosen_evenly():
    assert choose_evenly(range(100), 12)[:2] == [0, 9]
    assert choose_evenly(range(100), 12)[-1] == 99
    assert len(set(choose_evenly(range(13), 12))) == 12
    assert choose_evenly([0, 1, 2, 3, 50, 100], 3) == [0, 50, 100]
    assert choose_evenly([3, 4], 12) == [3, 4]
    assert choose_evenly([], 12) == []


def test_the_strip_shows_what_was_chosen(tmp_path):
    write_strip(tmp_path / "strip.png", overlays(STAMPS), STAMPS[:5], STAMPS)
    strip = cv2.imread(str(tmp_path / "strip.png"))
    for stamp in STAMPS[:5]:
        assert (strip == (stamp // 10**7) % 256).all(axis=2).sum() >= 48 * 64
