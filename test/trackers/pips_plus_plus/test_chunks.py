"""How a clip is divided into chunks, against the authors' run."""

from __future__ import annotations

import numpy as np
import pytest

from sam_pt_ros.trackers.pips_plus_plus.chunks import chunks
from support.golden_files import golden_arrays


@pytest.mark.parametrize(
    ("frames", "length", "wanted"),
    [
        (1, 5, []),
        (2, 5, [(0, 2)]),
        (2, 2, [(0, 2)]),
        (3, 2, [(0, 2), (1, 3)]),
        (5, 5, [(0, 5)]),
        (6, 5, [(0, 5), (1, 6)]),
        (9, 5, [(0, 5), (4, 9)]),
        (10, 5, [(0, 5), (4, 9), (5, 10)]),
        (13, 5, [(0, 5), (4, 9), (8, 13)]),
        (300, 128, [(0, 128), (127, 255), (172, 300)]),
    ],
)
def test_a_chunk_begins_with_the_last_frame_of_the_one_before(
    frames: int, length: int, wanted: list[tuple[int, int]]
) -> None:
    assert list(chunks(frames, length)) == wanted


@pytest.mark.parametrize(
    ("name", "run", "frames", "length"),
    [
        ("pips_plus_plus_small", "start0", 24, 10),
        ("pips_plus_plus_small", "start7", 24, 10),
        ("pips_plus_plus_small", "single", 24, 128),
        ("pips_plus_plus_small", "resized", 8, 128),
        ("pips_plus_plus_large", "start3", 8, 128),
    ],
)
def test_chunks_are_those_of_the_authors(name: str, run: str, frames: int, length: int) -> None:
    golden = golden_arrays(f"trackers/{name}")
    start = int(golden[f"{run}_queries"][0, 0])
    assert (golden[f"{run}_queries"][:, 0] == start).all()
    found = [
        (first, end, part, int(first == 0))
        for part in (frames - start, start + 1)
        for first, end in chunks(part, length)
    ]
    assert np.array_equal(found, golden[f"{run}_windows"])
