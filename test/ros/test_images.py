"""Images in and out, well-formed and not."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange import images
from sam_pt_ros.interchange.images import (
    ENCODINGS,
    MAX_SIDE,
    MIN_SIDE,
    decode_image,
    decode_labels,
    decode_mask,
)
from sam_pt_ros.interchange.messages import ResultMessages
from sam_pt_ros.ros.message_classes import make_rclpy_message
from support.examples import examples

encode_image = ResultMessages(make_rclpy_message).image

_random = np.random.default_rng(0)
RGB = _random.integers(0, 256, (16, 21, 3), np.uint8)
ALPHA = np.full((16, 21, 1), 9, np.uint8)
GRAY = RGB[:, :, 0].copy()
YUV = _random.integers(0, 256, (16, 22, 2), np.uint8)  # Y and, in turns, U and V
PACKED = ("yuyv", "yuv422_yuy2", "uyvy", "yuv422", "yvyu")  # YUV, two bytes for a pixel
COLOUR_AT = {  # the first two rows of a Bayer pattern by its name: 0 red, 1 green, 2 blue
    "rggb": [[0, 1], [1, 2]],
    "bggr": [[2, 1], [1, 0]],
    "gbrg": [[1, 2], [0, 1]],
    "grbg": [[1, 0], [2, 1]],
}


def message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """A message whose rows end with ``padding`` bytes that mean nothing."""
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    made = encode_image(padded, encoding, Header())
    made.width = pixels.shape[1]
    return made


def colours(pattern: str, shape: tuple[int, ...]) -> np.ndarray:
    """Which colour a pixel of the sensor sees."""
    rows, columns = np.indices(shape[:2])
    return np.array(COLOUR_AT[pattern])[rows % 2, columns % 2]


def interpolated(raw: np.ndarray, pattern: str) -> np.ndarray:
    """A colour that a pixel does not see is the mean of those next to it that do."""
    seen = colours(pattern, raw.shape)
    height, width = raw.shape
    rgb = np.zeros((height, width, 3), np.uint8)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            for colour in range(3):
                near = [
                    (abs(y) + abs(x), int(raw[row + y, column + x]))
                    for y in (-1, 0, 1)
                    for x in (-1, 0, 1)
                    if seen[row + y, column + x] == colour
                ]
                nearest = [value for distance, value in near if distance == min(near)[0]]
                rgb[row, column, colour] = (2 * sum(nearest) + len(nearest)) // (2 * len(nearest))
    # The outermost pixels have not got all neighbours, and are as those within.
    return np.pad(rgb[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0)), "edge")


def bt601(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """RGB of studio swing, as ITU-R BT.601 has it, of full numbers."""
    y = 255 / 219 * (np.maximum(y, 16.0) - 16)
    u, v = 255 / 224 * (u - 128.0), 255 / 224 * (v - 128.0)
    rgb = [
        y + 2 * (1 - 0.299) * v,
        y - 2 * (0.114 * (1 - 0.114) * u + 0.299 * (1 - 0.299) * v) / 0.587,
        y + 2 * (1 - 0.114) * u,
    ]
    return np.stack(rgb, axis=-1).clip(0, 255).round()


def of_yuv(yuv: np.ndarray, order: str = "uv") -> np.ndarray:
    """``(H, W, 2)``: Y, and U in even columns, V in odd ones, or the other way round."""
    found = {name: yuv[:, start::2, 1].repeat(2, axis=1) for start, name in enumerate(order)}
    return bt601(yuv[:, :, 0], found["u"], found["v"])


Y_PLANE = _random.integers(0, 256, (18, 22), np.uint8)
U_PLANE, V_PLANE = _random.integers(0, 256, (2, 9, 11), np.uint8)  # of each 2x2 pixels
PLANAR = {
    "nv12": [Y_PLANE, np.dstack([U_PLANE, V_PLANE])],
    "nv21": [Y_PLANE, np.dstack([V_PLANE, U_PLANE])],
    "i420": [Y_PLANE, U_PLANE, V_PLANE],
    "yuv420": [Y_PLANE, U_PLANE, V_PLANE],
    "yv12": [Y_PLANE, V_PLANE, U_PLANE],
}


def planar_message(encoding: str, padding: int = 0) -> Image:
    """A message of 22x18 pixels whose rows end with ``padding`` bytes that mean nothing."""
    rows = np.concatenate([plane.reshape(-1) for plane in PLANAR[encoding]]).reshape(-1, 22)
    made = message(rows, encoding, padding)
    made.height = 18
    return made


@pytest.mark.parametrize("encoding", PLANAR)
def test_planes_of_yuv_become_rgb(encoding: str) -> None:
    u, v = (plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (U_PLANE, V_PLANE))
    expected = bt601(Y_PLANE, u, v)
    sent = planar_message(encoding)
    assert (sent.step, len(sent.data)) == (22, 22 * 27)
    np.testing.assert_allclose(decode_image(sent).astype(int), expected, rtol=0, atol=1)
    sent.step = 33  # all bytes by the height, as some drivers have it
    np.testing.assert_allclose(decode_image(sent).astype(int), expected, rtol=0, atol=1)


def nv24_message(step: int) -> Image:
    """21x16 pixels, each of its own colour."""
    y = np.pad(GRAY, ((0, 0), (0, step - 21)))
    colours = np.pad(RGB[:, :, 1:].reshape(16, 42), ((0, 0), (0, 2 * (step - 21))))
    made = message(np.concatenate([y.reshape(-1), colours.reshape(-1)]).reshape(48, step), "nv24")
    made.height, made.width = 16, 21
    return made


@pytest.mark.parametrize(("padded", "told"), [(21, 21), (24, 24), (24, 72), (21, 63)])
def test_every_pixel_of_nv24_has_its_own_colour(padded: int, told: int) -> None:
    sent = nv24_message(padded)
    sent.step = told
    expected = bt601(GRAY, RGB[:, :, 1], RGB[:, :, 2])
    decoded = decode_image(sent)
    np.testing.assert_allclose(decoded.astype(int), expected, rtol=0, atol=1)
    assert decoded.flags.c_contiguous
    for step in (20, 22):
        sent.step = step
        with pytest.raises(UserError, match=f"step is {step} bytes|with a step of {step} needs"):
            decode_image(sent)


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
@pytest.mark.parametrize("factor", [1, 1.5])
def test_rows_of_y_may_be_padded(encoding: str, factor: float) -> None:
    padded = planar_message(encoding, 10)
    padded.step = int(32 * factor)
    np.testing.assert_array_equal(decode_image(padded), decode_image(planar_message(encoding)))


@pytest.mark.parametrize(
    ("encoding", "change", "words"),
    [
        ("nv12", {"step": 21}, "step is 21 bytes, but 22 pixels of Y in nv12 need 22"),
        ("nv12", {"step": 24}, "594 bytes, but nv12 of 22x18 with a step of 24 needs 648"),
        (
            "nv12",
            {"data": bytes(22 * 18)},
            "396 bytes, but nv12 of 22x18 with a step of 22 needs 594",
        ),
        ("nv12", {"height": 27}, "27 pixels high, but nv12 needs an even height"),
        ("nv21", {"width": 21}, "21 pixels wide, but nv21 needs an even width"),
        ("i420", {"width": 20}, "rows of i420 are padded to 22 bytes"),
        ("nv12", {"width": 14}, "each side must be 16 to 16384"),
    ],
)
def test_malformed_planes_are_refused(
    encoding: str, change: dict[str, object], words: str
) -> None:
    broken = planar_message(encoding)
    for name, value in change.items():
        setattr(broken, name, value)
    with pytest.raises(UserError, match=words):
        decode_image(broken)


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
        ("rgb16", RGB.astype("<u2") * 256 + 9, RGB),
        ("bgr16", RGB[:, :, ::-1].astype("<u2") * 256 + 9, RGB),
        ("16UC3", RGB[:, :, ::-1].astype("<u2") * 256 + 9, RGB),
        ("rgba16", np.dstack([RGB, ALPHA]).astype("<u2") * 256 + 9, RGB),
        ("bgra16", np.dstack([RGB[:, :, ::-1], ALPHA]).astype("<u2") * 256 + 9, RGB),
        ("16UC4", np.dstack([RGB[:, :, ::-1], ALPHA]).astype("<u2") * 256 + 9, RGB),
        *((f"bayer_{name}8", GRAY, interpolated(GRAY, name)) for name in COLOUR_AT),
        *(
            (f"bayer_{name}16", GRAY.astype("<u2") * 256 + 250, interpolated(GRAY, name))
            for name in COLOUR_AT
        ),
        *((name, YUV, of_yuv(YUV)) for name in ("yuyv", "yuv422_yuy2")),
        *((name, YUV[:, :, ::-1].copy(), of_yuv(YUV)) for name in ("uyvy", "yuv422")),
        ("yvyu", YUV, of_yuv(YUV, "vu")),
    ],
)
def test_every_encoding_becomes_rgb(
    encoding: str, pixels: np.ndarray, expected: np.ndarray, padding: int
) -> None:
    decoded = decode_image(message(pixels, encoding, padding))
    # YUV is computed with whole numbers, which may round otherwise.
    tolerance = 1 if encoding in PACKED else 0
    np.testing.assert_allclose(decoded.astype(int), expected, rtol=0, atol=tolerance)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous and decoded.flags.owndata


def test_every_supported_encoding_is_tested() -> None:
    mark = next(m for m in test_every_encoding_becomes_rgb.pytestmark if "encoding" in m.args[0])
    assert {*(case[0] for case in mark.args[1]), *PLANAR, "nv24"} == set(ENCODINGS)


@pytest.mark.parametrize("pattern", COLOUR_AT)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_bayer_pattern_is_named_after_its_first_two_rows(pattern: str, bits: int) -> None:
    orange = np.array([200, 120, 40], np.uint8)
    raw = orange[colours(pattern, (16, 20))].astype(f"u{bits // 8}") << (bits - 8)
    decoded = decode_image(message(raw, f"bayer_{pattern}{bits}"))
    np.testing.assert_array_equal(decoded, np.broadcast_to(orange, decoded.shape))


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((16, 128, 128), (0, 0, 0)),
        ((235, 128, 128), (255, 255, 255)),
        ((81, 90, 240), (255, 0, 0)),
        ((145, 54, 34), (0, 255, 0)),
        ((41, 240, 110), (0, 0, 255)),
    ],
)
@pytest.mark.parametrize("order", ["uyvy", "yuyv"])
def test_the_colours_of_a_test_card_in_yuv(
    order: str, yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    letters = dict(zip("yuv", yuv))
    two_pixels = np.array([letters[letter] for letter in order], np.uint8)
    decoded = decode_image(message(np.tile(two_pixels, (16, 8)).reshape(16, 16, 2), order))
    np.testing.assert_allclose(decoded.astype(int) - rgb, 0, atol=2)


@pytest.mark.parametrize("encoding", PACKED)
def test_yuv_of_an_odd_width_is_refused(encoding: str) -> None:
    with pytest.raises(UserError, match=f"21 pixels wide, but {encoding} needs an even width"):
        decode_image(message(YUV[:, :21].copy(), encoding))


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("encoding", ["mono16", "bayer_grbg16"])
def test_big_endian_pixels_are_swapped(encoding: str, padding: int) -> None:
    pixels = GRAY.astype(np.uint16) * 256 + 99
    big = message(pixels.astype(">u2"), encoding, padding)
    big.is_bigendian = 1
    little = message(pixels.astype("<u2"), encoding)
    np.testing.assert_array_equal(decode_image(big), decode_image(little))


@pytest.mark.parametrize(("order", "big"), [("<", 0), (">", 1)])
@pytest.mark.parametrize("padding", [0, 3])
def test_labels_are_read_in_either_byte_order(order: str, big: int, padding: int) -> None:
    labels = GRAY.astype(np.uint16) * 257 + 1
    sent = message(labels.astype(f"{order}u2"), "mono16", padding)
    sent.is_bigendian = big
    decoded = decode_labels(sent)
    np.testing.assert_array_equal(decoded, labels)
    assert decoded.dtype == np.dtype(np.uint16)  # in this machine's order
    with pytest.raises(UserError, match="must be a mono8, 8UC1, mono16 or 16UC1"):
        decode_labels(message(RGB, "rgb8"))


def test_the_frame_does_not_share_memory_with_the_message() -> None:
    original = message(RGB, "rgb8")
    decoded = decode_image(original)
    original.data[0] = 255 - original.data[0]
    np.testing.assert_array_equal(decoded, RGB)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "channels", "width"),
    [(n, *e[:2]) for n, e in images._ENCODINGS.items() if e.channels * e.width_in_bytes <= 4],
)
def test_pixels_are_handed_to_the_conversion_without_a_copy(
    encoding: str, channels: int, width: int, padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = message(YUV[:, :, :1].repeat(channels * width, axis=2).copy(), encoding, padding)
    handed: list[np.ndarray] = []

    def handing(convert: Any) -> Any:
        def hand(pixels: np.ndarray, code: int) -> Any:
            handed.append(pixels)
            return convert(pixels, code)

        return hand

    for convert in (cv2.cvtColor, cv2.extractChannel):
        monkeypatch.setattr(cv2, convert.__name__, handing(convert))
    decode_image(sent)
    pixels = handed[0] if handed else images.pixels_of(sent, channels, width)  # rgb8 is copied
    assert np.shares_memory(pixels, np.frombuffer(sent.data, np.uint8))


def test_nobody_can_write_to_the_message_by_its_pixels() -> None:
    with pytest.raises(ValueError, match="read-only"):
        images.pixels_of(message(RGB, "rgb8"), 3, 1)[0] = 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "32FC3"}, "encoding '32FC3' is not supported"),
        ({"step": 20}, "step is 20 bytes"),
        ({"step": 64}, "holds 1008 bytes, but rgb8 of 21x16 with a step of 64 needs 1024"),
        ({"height": 17}, "rgb8 of 21x17 with a step of 63 needs 1071"),
        ({"width": 0}, "0x16 pixels"),
        ({"height": 1}, "21x1 pixels; each side must be 16 to 16384"),
        ({"width": 15}, "15x16 pixels"),
        ({"height": 2**31}, "each side must be 16 to 16384"),
        ({"data": b""}, "holds 0 bytes"),
        ({"data": bytes(1007)}, "holds 1007 bytes"),
        ({"data": bytes(1009)}, "holds 1009 bytes, but .* needs 1008; correct the step, or the"),
        # A skewed picture: rows are padded to 64 bytes, and the step does not tell it.
        ({"data": bytes(16 * 64)}, "holds 1024 bytes, but .* with a step of 63 needs 1008"),
        # A picture whose height is padded, and one without the padding of its last row.
        ({"data": bytes(18 * 63)}, "holds 1134 bytes, but .* needs 1008"),
        ({"step": 66, "data": bytes(15 * 66 + 63)}, "holds 1053 bytes, but .* needs 1056"),
    ],
)
def test_malformed_images_are_refused(change: dict[str, object], words: str) -> None:
    broken = message(RGB, "rgb8")
    for name, value in change.items():
        setattr(broken, name, value)
    with pytest.raises(UserError, match=words):
        decode_image(broken)


@st.composite
def mutated_images(draw: st.DrawFn) -> SimpleNamespace:
    """Good images, and such of which one thing or more is wrong."""
    encoding = draw(st.sampled_from(ENCODINGS))
    height, width = draw(st.integers(15, 24)), draw(st.integers(15, 24))
    row = width * bytes_per_pixel(encoding)
    step = row + draw(st.integers(0, 3))
    size = step * height * rows_of_planes(encoding) // 2
    mutations = {
        "encoding": st.sampled_from([*ENCODINGS, "", "16UC1", "32FC1", "RGB8"]) | st.text(),
        "height": st.integers(0, 2**32 - 1) | st.integers(0, 26),
        "width": st.integers(0, 2**32 - 1) | st.integers(0, 26),
        "step": st.integers(0, 2**32 - 1) | st.integers(row - 2, row + 30),
        "size": st.integers(0, size + 100) | st.integers(size - 2, size + 2),
    }
    fields = {"encoding": encoding, "height": height, "width": width, "step": step, "size": size}
    for name in draw(st.lists(st.sampled_from(sorted(mutations)), max_size=3)):
        fields[name] = draw(mutations[name])
    size = fields.pop("size")
    data = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, size, np.uint8)
    return SimpleNamespace(**fields, data=data, is_bigendian=draw(st.integers(0, 255)))


def rows_of_planes(encoding: str) -> int:
    """Twice the rows of all planes by those of the first."""
    return 3 if encoding in PLANAR else 6 if encoding == "nv24" else 2


def bytes_per_pixel(encoding: str) -> int:
    """Of the plane of Y if it is planar."""
    if encoding in PLANAR or encoding == "nv24":
        return 1
    if encoding in PACKED:
        return 2
    channels = 3 if "C3" in encoding else 4 if "a" in encoding or "C4" in encoding else 1
    if encoding.startswith(("rgb", "bgr", "bayer")):
        channels = 1 if encoding[1] == "a" else 4 if "a" in encoding else 3
    return channels * (2 if "16" in encoding else 1)


def is_good(image: SimpleNamespace) -> bool:
    """Whether an image must be decoded."""
    if image.encoding not in ENCODINGS:
        return False
    height, width, step, size = image.height, image.width, image.step, len(image.data)
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        return False
    if image.encoding in PACKED and width % 2:
        return False
    planes = rows_of_planes(image.encoding)
    if planes == 2:
        return width * bytes_per_pixel(image.encoding) <= step and step * height == size
    if planes == 3 and (width % 2 or height % 2):
        return False
    if step * height == size and 2 * step >= planes * width:
        step = 2 * size // (planes * height)
    return (
        width <= step
        and step * height * planes // 2 == size
        and (step == width or image.encoding.startswith("nv"))
    )


@examples(400)
@given(mutated_images())
def test_a_mutated_image_is_decoded_from_its_own_data_or_refused(image: SimpleNamespace) -> None:
    size, data = len(image.data), image.data
    decoded = []
    for surroundings in (0, 255):  # what lies before and behind must not matter
        memory = np.full(size + 4096, surroundings, np.uint8)
        image.data = memory[2048 : 2048 + size]
        image.data[:] = data
        if is_good(image):
            decoded.append(decode_image(image))
        else:
            with pytest.raises(UserError):
                decode_image(image)
        for decode in (decode_mask, decode_labels):
            with contextlib.suppress(UserError):
                assert decode(image).shape == (image.height, image.width)
    if decoded:
        assert decoded[0].shape == (image.height, image.width, 3)
        assert decoded[0].dtype == np.uint8
        np.testing.assert_array_equal(*decoded)


def test_a_long_name_of_an_encoding_does_not_fill_the_log() -> None:
    broken = message(RGB, "rgb8")
    broken.encoding = "x\n" * 10_000
    with pytest.raises(UserError) as refusal:
        decode_image(broken)
    assert len(str(refusal.value)) < 500 and "\n" not in str(refusal.value)


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
