"""Images in and out, well-formed and not."""

from __future__ import annotations

import contextlib
import struct
import zlib
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange import images
from sam_pt_ros.interchange.images import (
    ENCODINGS,
    MAX_SIDE,
    MIN_SIDE,
    decode_compressed,
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


def of_yuv(yuv: np.ndarray) -> np.ndarray:
    """``(H, W, 2)``: Y, and U in even columns, V in odd ones."""
    u, v = (yuv[:, start::2, 1].repeat(2, axis=1) for start in (0, 1))
    return bt601(yuv[:, :, 0], u, v)


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
        *((f"bayer_{name}8", GRAY, interpolated(GRAY, name)) for name in COLOUR_AT),
        *(
            (f"bayer_{name}16", GRAY.astype("<u2") * 256 + 250, interpolated(GRAY, name))
            for name in COLOUR_AT
        ),
        *((name, YUV, of_yuv(YUV)) for name in ("yuyv", "yuv422_yuy2")),
        *((name, YUV[:, :, ::-1].copy(), of_yuv(YUV)) for name in ("uyvy", "yuv422")),
    ],
)
def test_every_encoding_becomes_rgb(
    encoding: str, pixels: np.ndarray, expected: np.ndarray, padding: int
) -> None:
    decoded = decode_image(message(pixels, encoding, padding))
    # YUV is computed with whole numbers, which may round otherwise.
    tolerance = 1 if "yu" in encoding or "uy" in encoding else 0
    np.testing.assert_allclose(decoded.astype(int), expected, rtol=0, atol=tolerance)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous and decoded.flags.owndata


def test_every_supported_encoding_is_tested() -> None:
    mark = next(m for m in test_every_encoding_becomes_rgb.pytestmark if "encoding" in m.args[0])
    assert {case[0] for case in mark.args[1]} == set(ENCODINGS)


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


@pytest.mark.parametrize("encoding", ["uyvy", "yuyv", "yuv422", "yuv422_yuy2"])
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
    ("encoding", "channels", "width"), [(n, *e[:2]) for n, e in images._ENCODINGS.items()]
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
        ({"encoding": "nv21"}, "encoding 'nv21' is not supported"),
        ({"step": 20}, "step is 20 bytes"),
        ({"height": 17}, "17 rows of 63 bytes"),
        ({"width": 0}, "0x16 pixels"),
        ({"height": 1}, "21x1 pixels; each side must be 16 to 16384"),
        ({"width": 15}, "15x16 pixels"),
        ({"height": 2**31}, "each side must be 16 to 16384"),
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


@st.composite
def mutated_images(draw: st.DrawFn) -> SimpleNamespace:
    """Good images, and such of which one thing or more is wrong."""
    encoding = draw(st.sampled_from(ENCODINGS))
    height, width = draw(st.integers(15, 24)), draw(st.integers(15, 24))
    row = width * bytes_per_pixel(encoding)
    step = row + draw(st.integers(0, 3))
    size = step * (height - 1) + row
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


def bytes_per_pixel(encoding: str) -> int:
    for ending, count in (("rgb8", 3), ("bgr8", 3), ("C3", 3), ("a8", 4), ("C4", 4), ("16", 2)):
        if encoding.endswith(ending) and encoding[:5] != "bayer":
            return count
    return 2 if "16" in encoding or "yu" in encoding or "uy" in encoding else 1


def is_good(image: SimpleNamespace) -> bool:
    """Whether an image must be decoded."""
    row = image.width * bytes_per_pixel(image.encoding)
    return (
        image.encoding in ENCODINGS
        and min(image.width, image.height) >= MIN_SIDE
        and max(image.width, image.height) <= MAX_SIDE
        and not (image.width % 2 and ("yu" in image.encoding or "uy" in image.encoding))
        and row <= image.step
        and image.step * (image.height - 1) + row <= len(image.data)
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


def test_compressed_images() -> None:
    _, png = cv2.imencode(".png", RGB[:, :, ::-1])
    sent = CompressedImage(format="bgr8; png compressed bgr8", data=png.tobytes())
    np.testing.assert_array_equal(decode_compressed(sent), RGB)


def compressed(extension: str, pixels: np.ndarray = RGB, *options: int) -> bytes:
    done, data = cv2.imencode(extension, pixels[:, :, ::-1], options)
    assert done
    return bytes(data)


def sent_compressed(data: bytes) -> SimpleNamespace:
    return SimpleNamespace(format="jpeg", data=np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_jpeg_images(options: tuple[int, ...]) -> None:
    flat = np.full((16, 24, 3), (200, 120, 40), np.uint8)
    data = compressed(".jpg", flat, *options)
    decoded = decode_compressed(CompressedImage(format="rgb8; jpeg compressed bgr8", data=data))
    np.testing.assert_allclose(decoded.astype(int), flat, atol=3)
    with_zeros_behind = sent_compressed(data + bytes(100))  # as cameras leave them
    np.testing.assert_array_equal(decode_compressed(with_zeros_behind), decoded)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        b"\xff\xd8\xff\xe0 broken",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8" + b"\xff" * 100,
        compressed(".bmp"),
        compressed(".png").replace(b"IDAT", b"IDXX"),
    ],
)
def test_broken_compressed_images_are_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="cannot be decoded"):
        decode_compressed(CompressedImage(format="jpeg", data=data))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_compressed_image_that_was_cut_off_is_refused(
    extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenCV 4.6 fills up a JPEG with grey, and 4.13 refuses it.
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    data = compressed(extension)
    for size in range(1, len(data)):
        with pytest.raises(UserError, match="damaged, truncated, or neither JPEG nor PNG"):
            decode_compressed(sent_compressed(data[:size]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_in_a_jpeg_is_ignored(orientation: int) -> None:
    """The calibration is that of the unturned picture."""
    data = compressed(".jpg")
    tag = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + tag + bytes(4)
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    if orientation == 6:
        as_a_viewer = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
        assert as_a_viewer.shape[:2] == RGB.shape[1::-1]
    np.testing.assert_array_equal(
        decode_compressed(sent_compressed(turned)), decode_compressed(sent_compressed(data))
    )


def test_a_thumbnail_in_a_jpeg_is_not_taken_for_the_image() -> None:
    # Before a marker there may be more bytes of 0xFF than one.
    data, thumbnail = compressed(".jpg"), compressed(".jpg", RGB[:3])
    segment = b"\xff\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_it = data[:2] + segment + data[2:]
    np.testing.assert_array_equal(
        decode_compressed(sent_compressed(with_it)), decode_compressed(sent_compressed(data))
    )
    with pytest.raises(UserError, match="damaged, truncated, or neither JPEG nor PNG"):
        decode_compressed(sent_compressed(with_it[:-2]))


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (16000, 16000, "cannot be decoded"),  # more than so few bytes can hold
        (2**31 - 1, 16, "each side must be 16 to 16384"),
        (0, 0, "0x0 pixels"),
    ],
)
def test_no_memory_is_taken_for_what_a_compressed_image_only_claims(
    width: int, height: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    data = compressed(".png")
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    claims = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    with pytest.raises(UserError, match=words):
        decode_compressed(sent_compressed(claims))


@pytest.mark.parametrize("name", [b"IDAT", b"IEND"])
def test_no_memory_is_taken_for_what_a_chunk_of_a_png_only_claims(
    name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenCV 4.13 takes 4 GB, and seconds.
    monkeypatch.setattr(images.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    data = compressed(".png")
    at = data.index(name) - 4
    claims = data[:at] + struct.pack(">I", 0xF0000000) + data[at + 4 :]
    with pytest.raises(UserError, match="cannot be decoded"):
        decode_compressed(sent_compressed(claims))


def test_the_most_that_fits_into_few_bytes_is_decoded() -> None:
    black = np.zeros((2048, 2048, 3), np.uint8)
    options = (cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9)
    done, data = cv2.imencode(".png", black[:, :, 0], options)
    assert done and black.size / 3 / len(data) > 4000
    np.testing.assert_array_equal(decode_compressed(sent_compressed(bytes(data))), black)


def test_an_error_of_the_decoder_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_decoder(*_: object) -> None:
        raise cv2.error("broken inside")

    monkeypatch.setattr(images.cv2, "imdecode", failing_decoder)
    with pytest.raises(UserError, match="cannot be decoded"):
        decode_compressed(sent_compressed(compressed(".png")))


@examples(200)
@given(
    st.sampled_from([compressed(".jpg"), compressed(".png")]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    st.integers(0, 10_000),
    st.binary(max_size=8),
)
def test_a_mutated_compressed_image_is_decoded_or_refused(
    data: bytes, changes: list[tuple[int, int]], place: int, inserted: bytes
) -> None:
    mutated = bytearray(data)
    for at, value in changes:
        mutated[at % len(mutated)] = value
    place %= len(mutated)
    mutated[place:place] = inserted
    try:
        decoded = decode_compressed(sent_compressed(bytes(mutated)))
    except UserError:
        return
    assert decoded.ndim == 3 and decoded.shape[2] == 3 and decoded.dtype == np.uint8


def test_compressed_images_of_a_few_rows_are_refused() -> None:
    _, png = cv2.imencode(".png", RGB[:2])
    with pytest.raises(UserError, match="21x2 pixels; each side must be 16 to"):
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
