"""Decoding the images of one stream."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from sam_pt_ros.interchange.image_decoder import ImageDecoder


def mono16(low: int) -> SimpleNamespace:
    values = np.full((16, 20), low, "<u2")
    values[:, 10:] += 400
    return SimpleNamespace(
        encoding="mono16",
        height=16,
        width=20,
        step=40,
        is_bigendian=0,
        data=np.frombuffer(values.tobytes(), np.uint8),
    )


def rgb8() -> SimpleNamespace:
    data = np.zeros(16 * 60, np.uint8)
    return SimpleNamespace(
        encoding="rgb8", height=16, width=20, step=60, is_bigendian=0, data=data
    )


def test_an_encoding_names_the_range_that_was_stretched() -> None:
    decoder = ImageDecoder()
    first = decoder.decode(mono16(3000))
    assert first.encoding == "mono16, values 2800 to 3600"
    assert set(np.unique(first.pixels)) == {64, 191}
    assert decoder.decode(rgb8()).encoding == "rgb8"  # which has no such range
    assert decoder.decode(mono16(3100)).encoding == first.encoding


def test_files_are_stretched_by_the_same_range() -> None:
    decoder = ImageDecoder()
    decoder.decode(mono16(3000))
    data = cv2.imencode(".png", np.full((16, 20), 3400, np.uint16))[1]
    decoded = decoder.decode(SimpleNamespace(format="mono16; png compressed ", data=data))
    assert decoded.encoding == "mono16; png compressed , values 2800 to 3600"
    assert (decoded.pixels == 191).all()


def test_without_stretching_the_upper_bits_are_used() -> None:
    decoded = ImageDecoder(stretch=False).decode(mono16(3000))
    assert decoded.encoding == "mono16"
    assert set(np.unique(decoded.pixels)) == {3000 >> 8, 3400 >> 8}


def test_big_endian_values_are_swapped_before_they_are_stretched() -> None:
    little, big = mono16(3000), mono16(3000)
    big.is_bigendian = 1
    big.data = little.data.view("<u2").astype(">u2").view(np.uint8)
    np.testing.assert_array_equal(
        ImageDecoder().decode(big).pixels, ImageDecoder().decode(little).pixels
    )
