"""Films and folders of pictures as sources of images."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.images import decode_image
from sam_pt_ros.recordings.rosbag2 import SECOND
from sam_pt_ros.recordings.sources import (
    FIRST_STAMP,
    UNSCALED,
    FolderSource,
    Source,
    VideoSource,
    count_frames,
)

MILLISECOND = SECOND // 1000
TIMES = [0, 40, 80, 500, 540, 2000, 2010, 2050]  # milliseconds


def write_film(
    path: Path, times: Sequence[int], size: tuple[int, int] = (64, 48), codec: str = "libx264"
) -> Path:
    """A film that shows each frame at its time (milliseconds)."""
    width, height = size
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, 30)
        stream.pix_fmt, stream.width, stream.height = "yuv444p", width, height
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times):
            pixels = np.full((height, width, 3), 20 + 10 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def pixels_of(source: Source) -> list[np.ndarray]:
    return [decode_image(image) for image in source.images()]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("begin", [0, 1000])
def test_stamps_are_the_times_of_the_film(tmp_path: Path, container: str, begin: int) -> None:
    film = write_film(tmp_path / f"film.{container}", [begin + time for time in TIMES])
    source = VideoSource(film)
    images = list(source.images())
    stamps = [image.stamp - FIRST_STAMP for image in images]
    assert stamps == [time * MILLISECOND for time in TIMES]
    assert [image.index for image in images] == list(range(8))
    assert count_frames(film) == 8
    assert source.seconds == pytest.approx(2.08, abs=1.05)  # some count from the film's zero


def test_frames_without_times_follow_each_other_at_the_frame_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_film(tmp_path / "film.mp4", [0, 40, 80, 120])
    for told, expected in (
        ([0.0, 0.0, 0.0, 0.0], [0, 40, 80, 120]),
        ([0.0, 40.0, 0.0, 200.0], [0, 40, 80, 200]),
        ([-5.0, 35.0, 20.0, 115.0], [0, 40, 80, 120]),
    ):
        times = iter([told[0], *told])  # the first is also asked for to begin with
        monkeypatch.setattr(VideoSource, "_time", property(lambda _, t=times: next(t)))
        source = VideoSource(film)
        source.rate = 25.0
        stamps = [image.stamp - FIRST_STAMP for image in source.images()]
        assert stamps == [time * MILLISECOND for time in expected]


@pytest.mark.parametrize("size", [(1, 1), (8, 48), (64, 14)])
def test_a_film_of_a_few_pixels_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    film = write_film(tmp_path / "film.mp4", [0, 40], size)
    words = f"film.mp4: the image is {size[0]}x{size[1]} pixels; each side must be 16"
    with pytest.raises(UserError, match=words):
        VideoSource(film)


def test_a_film_that_scaling_makes_too_low_is_refused(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", [0], (1600, 16))
    assert VideoSource(film, UNSCALED).size == (1600, 16)
    with pytest.raises(UserError, match="the image is 1280x13 pixels"):
        VideoSource(film)


def scene(index: int) -> np.ndarray:
    """BGR."""
    rng = np.random.default_rng(index)
    return np.asarray(cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (64, 48)))


def write_folder(folder: Path, extension: str = ".jpg", count: int = 4) -> Path:
    folder.mkdir()
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:03}{extension}"), scene(index))
    return folder


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.34, 0.98])
def test_a_picture_that_is_cut_off_is_left_out_and_named(
    tmp_path: Path, extension: str, share: float
) -> None:
    folder = write_folder(tmp_path / "frames", extension)
    broken = folder / f"002{extension}"
    broken.write_bytes(broken.read_bytes()[: int(share * broken.stat().st_size)])
    source = FolderSource(folder, rate=10)
    images = list(source.images())
    assert [image.index for image in images] == [0, 1, 3]
    assert [image.stamp - FIRST_STAMP for image in images] == [0, SECOND // 10, 3 * SECOND // 10]
    (problem,) = source.problems
    assert problem.startswith("frame 2 was left out: ") and str(broken) in problem
    assert "damaged, cut off, or no picture; replace or remove it" in problem


def test_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    """macOS puts a file of metadata beside each file on disks that cannot hold them."""
    folder = write_folder(tmp_path / "frames", count=3)
    for path in list(folder.iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(100))
    source = FolderSource(folder)
    assert [path.name for path in source.files] == ["000.jpg", "001.jpg", "002.jpg"]
    assert len(list(source.images())) == 3 and source.problems == []
    for path in source.files:
        path.unlink()
    with pytest.raises(UserError, match="holds no pictures"):
        FolderSource(folder)


def test_a_folder_of_pictures_of_a_few_pixels_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), scene(0)[:15])
    with pytest.raises(UserError, match=r"the image is 64x15 pixels; each side must be 16"):
        FolderSource(tmp_path)


def test_a_folder_without_a_readable_picture_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "frames")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"000\.jpg: cannot be read as a picture"):
        FolderSource(folder)


def test_a_tiff_of_several_pages_is_left_out_and_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "frames", ".tiff", 3)
    pages = [scene(7), scene(8)]
    assert cv2.imwritemulti(str(folder / "001.tiff"), pages)
    source = FolderSource(folder)
    assert [image.index for image in source.images()] == [0, 2]
    (problem,) = source.problems
    assert "001.tiff: holds 2 pictures, and one file per frame is read; split it" in problem


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bit_pictures_are_stretched_alike(tmp_path: Path, extension: str) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(3):
        values = np.full((48, 64), 3000, np.uint16)
        values[:, : 20 + index] = 3400
        cv2.imwrite(str(folder / f"{index}{extension}"), values)
    for index, pixels in enumerate(pixels_of(FolderSource(folder))):
        assert set(np.unique(pixels)) == {64, 191}
        assert (pixels[:, 19 + index] == 191).all() and (pixels[:, 20 + index] == 64).all()


def test_a_picture_that_claims_more_than_opencv_takes_is_refused(tmp_path: Path) -> None:
    data = bytearray(cv2.imencode(".bmp", scene(0))[1].tobytes())
    data[18:26] = (2_000_000).to_bytes(4, "little") + (16).to_bytes(4, "little")
    (tmp_path / "0.bmp").write_bytes(data)
    with pytest.raises(UserError, match="cannot be read as a picture"):
        FolderSource(tmp_path)


def test_pictures_of_floats_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.tiff"), np.zeros((48, 64, 3), np.float32))
    with pytest.raises(UserError, match="holds float32 values; convert it to 8 or 16 bits"):
        FolderSource(tmp_path)


def test_a_picture_is_turned_as_its_exif_data_says(tmp_path: Path) -> None:
    """As viewers do; unlike a CompressedImage, it comes with no calibration."""
    data = cv2.imencode(".jpg", scene(0))[1].tobytes()
    tag = b"\x01\x12\0\3\0\0\0\1\0\6\0\0"
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1" + tag + bytes(4)
    turned = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    (tmp_path / "0.jpg").write_bytes(turned)
    assert FolderSource(tmp_path).size == (48, 64)
