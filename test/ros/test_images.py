"""Images in and out, well-formed and not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.images import ENCODINGS, decode_compressed, decode_image, decode_mask
from sam_pt_ros.messages import ResultMessages
from sam_pt_ros.ros.messages import make_message

encode_image = ResultMessages(make_message).image

RGB = np.random.default_rng(0).integers(0, 256, (16, 21, 3), np.uint8)
ALPHA = np.full((16, 21, 1), 9, np.uint8)
GRAY = RGB[:, :, 0].copy()


def message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """A message whose rows end with ``padding`` bytes that mean nothing."""
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    made = encode_image(padded, encoding, Header())
    made.width = pixels.shape[1]
    return made


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[:, :, ::-1].copy(), RGB),
        ("8UC3", RGB[:, :, ::-1].copy(), RGB),
        ("rgba8", np.dstack([RGB, ALPHA]), RGB),
        ("bgra8", np.dstack([RGB[:, :, ::-1], ALPHA]), RGB),
        ("8UC4", np.dstack([RGB[:, :, ::-1], ALPHA]), RGB),
        ("mono8", GRAY, np.dstack([GRAY] * 3)),
        ("8UC1", GRAY, np.dstack([GRAY] * 3)),
        ("mono16", GRAY.astype("<u2") * 256 + 5, np.dstack([GRAY] * 3)),
    ],
)
def test_every_encoding_becomes_rgb(
    encoding: str, pixels: np.ndarray, expected: np.ndarray, padding: int
) -> None:
    decoded = decode_image(message(pixels, encoding, padding))
    np.testing.assert_array_equal(decoded, expected)
    assert decoded.flags.c_contiguous


def test_every_supported_encoding_is_tested() -> None:
    mark = next(m for m in test_every_encoding_becomes_rgb.pytestmark if "encoding" in m.args[0])
    assert {case[0] for case in mark.args[1]} == set(ENCODINGS)


def test_big_endian_pixels_are_swapped() -> None:
    big = message((GRAY.astype(np.uint16) * 256).astype(">u2"), "mono16")
    big.is_bigendian = 1
    np.testing.assert_array_equal(decode_image(big)[:, :, 0], GRAY)


def test_the_frame_does_not_share_memory_with_the_message() -> None:
    original = message(RGB, "rgb8")
    decoded = decode_image(original)
    original.data[0] = 255 - original.data[0]
    np.testing.assert_array_equal(decoded, RGB)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "nv21"}, "encoding 'nv21' is not supported"),
        ({"step": 20}, "step is 20 bytes"),
        ({"height": 17}, "17 rows of 63 bytes"),
        ({"width": 0}, "0x16 pixels"),
        ({"height": 1}, "21x1 pixels; 16 to 16384 a side are possible"),
        ({"width": 15}, "15x16 pixels"),
        ({"height": 2**31}, "are possible"),
        ({"data": b""}, "holds 0 bytes"),
        ({"data": bytes(1007)}, "holds 1007 bytes"),
    ],
)
def test_malformed_images_are_refused(change: dict[str, object], words: str) -> None:
    broken = message(RGB, "rgb8")
    for name, value in change.items():
        setattr(broken, name, value)
    with pytest.raises(UserError, match=words):
        decode_image(broken)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*ENCODINGS, "", "yuv", "32FC1"]),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 2**32 - 1) | st.integers(0, 200),
    st.binary(max_size=20_000),
    st.integers(0, 1),
)
def test_no_message_does_more_than_be_refused(
    encoding: str, height: int, width: int, step: int, data: bytes, big: int
) -> None:
    odd = Image(
        encoding=encoding, height=height, width=width, step=step, data=data, is_bigendian=big
    )
    try:
        decoded = decode_image(odd)
    except UserError:
        return
    assert decoded.shape == (height, width, 3)
    assert decoded.dtype == np.uint8


def test_compressed_images() -> None:
    _, png = cv2.imencode(".png", RGB[:, :, ::-1])
    sent = CompressedImage(format="bgr8; png compressed bgr8", data=png.tobytes())
    np.testing.assert_array_equal(decode_compressed(sent), RGB)


@pytest.mark.parametrize("data", [b"", b"not an image", b"\xff\xd8\xff\xe0 broken"])
def test_broken_compressed_images_are_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="cannot be decoded"):
        decode_compressed(CompressedImage(format="jpeg", data=data))


def test_compressed_images_of_a_few_rows_are_refused() -> None:
    _, png = cv2.imencode(".png", RGB[:2])
    with pytest.raises(UserError, match="21x2 pixels; 16 to"):
        decode_compressed(CompressedImage(format="png", data=png.tobytes()))


def test_masks_are_what_is_not_zero() -> None:
    mask = GRAY > 128
    sent = message(mask.astype(np.uint8) * 3, "mono8")
    np.testing.assert_array_equal(decode_mask(sent), mask)
    with pytest.raises(UserError, match="must be a mono8"):
        decode_mask(message(RGB, "rgb8"))


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [(RGB, "rgb8"), (GRAY, "mono8"), (GRAY.astype(np.uint16) * 257, "mono16")],
)
def test_what_is_encoded_can_be_read_back(pixels: np.ndarray, encoding: str) -> None:
    header = Header(frame_id="camera")
    made = encode_image(pixels, encoding, header)
    assert made.header == header
    assert (made.height, made.width, made.step) == (16, 21, pixels.strides[0])
    read = np.frombuffer(made.data, pixels.dtype).reshape(pixels.shape)
    np.testing.assert_array_equal(read, pixels)
