"""Label images: indices survive, colours do not get in, and files are whole."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.datasets.dataset import Dataset, mean_region_and_boundary
from sam_pt_ros.evaluation.label_images import (
    davis_palette,
    read_indexed,
    submission_path,
    write_gray,
    write_indexed,
)
from sam_pt_ros.evaluation.sequences import VideoSequence
from support.examples import examples

RAMP = np.arange(256, dtype=np.uint16).reshape(8, 32)


def raw_png(depth: int, colour_type: int, rows: list[bytes], width: int) -> bytes:
    """A PNG written without Pillow, whose palette has an index's colour (0, 0, 3 * index)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    palette = b"".join(bytes((0, 0, 3 * index)) for index in range(1 << depth))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"PLTE", palette) if colour_type == 3 else b"",
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
            chunk(b"IEND", b""),
        ]
    )


def test_palette_is_that_of_davis() -> None:
    colours = davis_palette()
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        4: (0, 0, 128),
        7: (128, 128, 128),
        8: (64, 0, 0),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    assert {index: tuple(colours[index].tolist()) for index in known} == known
    assert len({tuple(colour) for colour in colours.tolist()}) == 256


def test_an_indexed_file_has_indices_and_davis_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_indexed(path, RAMP)
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), RAMP)
        assert np.array_equal(np.array(image.convert("RGB")), davis_palette()[RAMP])
    assert path.read_bytes()[24:26] == b"\x08\x03"  # 8 bits, indexed
    labels = read_indexed(path)
    assert labels.dtype == np.uint16 and np.array_equal(labels, RAMP)


@given(st.data())
@examples(25)
def test_round_trips_are_exact(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    folder = tmp_path_factory.mktemp("labels")
    small = data.draw(arrays(np.int64, shape, elements=st.integers(0, 255)))
    write_indexed(folder / "small.png", small)
    assert np.array_equal(read_indexed(folder / "small.png"), small)
    large = data.draw(arrays(np.int64, shape, elements=st.integers(0, 65535)))
    write_gray(folder / "large.png", large)
    assert np.array_equal(read_indexed(folder / "large.png"), large)


def test_palettes_of_few_bits_are_read_as_indices(tmp_path: Path) -> None:
    for depth, row, indices in (
        (1, b"\xa0", [1, 0, 1, 0]),
        (2, b"\x1b", [0, 1, 2, 3]),
        (4, b"\x12\x0f", [1, 2, 0, 15]),
    ):
        path = tmp_path / f"{depth}.png"
        path.write_bytes(raw_png(depth, 3, [row], 4))
        assert read_indexed(path).tolist() == [indices]
        # It is this that OpenCV would have made of it.
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ndim == 3


def test_gray_files_are_read_as_they_are(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "8.png"), np.array([[0, 1, 255]], np.uint8))
    assert read_indexed(tmp_path / "8.png").tolist() == [[0, 1, 255]]
    cv2.imwrite(str(tmp_path / "16.png"), np.array([[0, 256, 65535]], np.uint16))
    assert read_indexed(tmp_path / "16.png").tolist() == [[0, 256, 65535]]
    (tmp_path / "1.png").write_bytes(raw_png(1, 0, [b"\xa0"], 4))
    assert read_indexed(tmp_path / "1.png").tolist() == [[1, 0, 1, 0]]


def test_what_is_no_label_image_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "colour.png"), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r"colour\.png: pixels of the mode 'RGB'"):
        read_indexed(tmp_path / "colour.png")
    # Pillow gives 17 for 1 here.
    (tmp_path / "gray4.png").write_bytes(raw_png(4, 0, [b"\x12\x0f"], 4))
    with pytest.raises(UserError, match=r"gray4\.png: pixels of the mode 'L'"):
        read_indexed(tmp_path / "gray4.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match=r"text\.png: cannot be read"):
        read_indexed(tmp_path / "text.png")
    with pytest.raises(UserError, match=r"none\.png: cannot be read"):
        read_indexed(tmp_path / "none.png")
    write_indexed(tmp_path / "cut.png", np.random.default_rng(0).integers(0, 256, (64, 64)))
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.png: cannot be read"):
        read_indexed(tmp_path / "cut.png")


def test_more_than_255_objects_need_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(UserError, match=r"label 256 does not fit .* 16-bit gray"):
        write_indexed(path, np.array([[0, 256]]))
    assert not path.exists()
    write_gray(path, np.array([[0, 256]]))
    assert read_indexed(path).tolist() == [[0, 256]]
    assert path.read_bytes()[24:26] == b"\x10\x00"  # 16 bits, gray


@pytest.mark.parametrize(
    "labels",
    [np.zeros((2, 2)), np.zeros(4, int), np.zeros((0, 4), int), np.array([[-1]]), [[65536]]],
    ids=["float", "flat", "empty", "negative", "large"],
)
def test_what_is_no_label_image_is_not_written(tmp_path: Path, labels: np.ndarray) -> None:
    for write in (write_indexed, write_gray):
        with pytest.raises(ValueError, match="labels must be integers"):
            write(tmp_path / "a.png", np.asarray(labels))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "a.png"
    write_indexed(path, RAMP)  # which makes the folder
    before = path.read_bytes()

    def full_disk(self: Image.Image, target: Path, kind: str) -> None:
        Path(target).write_bytes(before[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(UserError, match=r"a\.png: cannot be written \(No space left on device\)"):
        write_indexed(path, np.zeros_like(RAMP))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["a.png"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_indexed(tmp_path / "file" / "a.png", RAMP)


def test_a_submission_has_the_layout_of_its_server() -> None:
    sequence = VideoSequence(
        "dog", (Path("x/00000.jpg"), Path("x/00005.jpg")), {}, {}, read_indexed
    )
    for folder, wanted in (("", "dog/00005.png"), ("Annotations", "Annotations/dog/00005.png")):
        dataset = Dataset(
            "a", "test", (sequence,), False, True, False, mean_region_and_boundary, folder
        )
        assert submission_path(dataset.submission_folder, sequence, 1) == Path(wanted)
