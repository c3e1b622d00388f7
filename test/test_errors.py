"""How errors and logs are worded."""

from __future__ import annotations

import pytest

from sam_pt_ros.errors import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (100, "100 images")]
)
def test_one_thing_is_not_several(number: int, words: str) -> None:
    assert counted(number, "image") == words
