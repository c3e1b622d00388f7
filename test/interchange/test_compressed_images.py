"""Compressed images, well-formed and not, and what their format says."""

from __future__ import annotations

import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange import jpeg_png
from sam_pt_ros.interchange.compressed_images import CompressedFormat, decode_compressed
from sam_pt_ros.interchange.grey_levels import GreyLevels
from support.examples import examples

_random = np.random.default_rng(0)
RGB = _random.integers(0, 256, (16, 21, 3), np.uint8)
ORANGE = np.full((16, 24, 3), (200, 120, 40), np.uint8)
SWAPPED = ORANGE[:, :, ::-1].copy()
GREY = np.full((16, 24), 90, np.uint8)
# What an RGGB sensor sees of ORANGE.
MOSAIC = np.tile(np.array([[200, 120], [120, 40]], np.uint8), (8, 12))


def file(extension: str, pixels: np.ndarray) -> np.ndarray:
    """A file of what OpenCV takes for blue, green and red, or of grey."""
    best = [cv2.IMWRITE_JPEG_QUALITY, 100] if extension == ".jpg" else []
    done, data = cv2.imencode(extension, pixels, best)
    assert done
    return np.asarray(data)


def grey(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels] * 3)


@pytest.mark.parametrize(
    ("text", "extension", "stored", "expected"),
    [
        # As image_transport writes them.
        ("rgb8; jpeg compressed bgr8", ".jpg", SWAPPED, ORANGE),
        ("bgr8; jpeg compressed bgr8", ".jpg", SWAPPED, ORANGE),
        ("rgba8; jpeg compressed bgr8", ".jpg", SWAPPED, ORANGE),
        ("rgb16; jpeg compressed bgr8", ".jpg", SWAPPED, ORANGE),
        ("yuv422_yuy2; jpeg compressed bgr8", ".jpg", SWAPPED, ORANGE),
        ("bgr8; png compressed bgr8", ".png", SWAPPED, ORANGE),
        ("rgb16; png compressed bgr16", ".png", SWAPPED.astype(np.uint16) * 256 + 9, ORANGE),
        ("mono8; jpeg compressed mono8", ".jpg", GREY, grey(GREY)),
        ("mono8; png compressed ", ".png", GREY, grey(GREY)),
        ("mono16; png compressed ", ".png", GREY.astype(np.uint16) * 256 + 9, grey(GREY)),
        ("mono16; jpeg compressed mono8", ".jpg", GREY, grey(GREY)),
        # The colours were stored as they were, and not turned into those of OpenCV.
        ("rgb8; jpeg compressed ", ".jpg", ORANGE, ORANGE),
        ("rgb8; png compressed rgb8", ".png", ORANGE, ORANGE),
        ("bgr8; jpeg compressed rgb8", ".jpg", ORANGE, ORANGE),
        ("rgba8; png compressed", ".png", np.dstack([ORANGE, GREY]), ORANGE),
        # The mosaic is still in the file, or has been interpolated.
        ("bayer_rggb8; png compressed ", ".png", MOSAIC, ORANGE),
        ("bayer_rggb8; png compressed bayer_rggb8", ".png", MOSAIC, ORANGE),
        ("bayer_rggb16; png compressed", ".png", MOSAIC.astype(np.uint16) * 256, ORANGE),
        ("bayer_rggb8; jpeg compressed bgr8", ".jpg", SWAPPED, ORANGE),
        ("bayer_rggb8; jpeg compressed mono8", ".jpg", GREY, grey(GREY)),
        ("bayer_xyzw8; png compressed ", ".png", GREY, grey(GREY)),
        # Drivers and scripts name the codec, or nothing.
        *((text, ".jpg", SWAPPED, ORANGE) for text in ("jpeg", "jpg", "JPEG", "", "png", ";")),
        *((text, ".png", np.dstack([SWAPPED, GREY]), ORANGE) for text in ("png", "bgra8")),
        ("jpeg", ".jpg", GREY, grey(GREY)),
        # In any case and spacing.
        ("RGB8;JPEG Compressed  BGR8", ".jpg", SWAPPED, ORANGE),
        (" rgb8 ;jpeg compressed bgr8", ".jpg", SWAPPED, ORANGE),
        (" BAYER_RGGB8 ;  PNG compressed", ".png", MOSAIC, ORANGE),
        ("Rgb8 ;  jpeg   compressed\tRgb8 ", ".jpg", ORANGE, ORANGE),
    ],
)
def test_a_format_tells_how_colours_are_stored(
    text: str, extension: str, stored: np.ndarray, expected: np.ndarray
) -> None:
    sent = SimpleNamespace(format=text, data=file(extension, stored))
    decoded = decode_compressed(sent)
    np.testing.assert_allclose(
        decoded.astype(int), expected, atol=3 if extension == ".jpg" else 0, rtol=0
    )
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_in_a_file_is_named_after_its_first_two_rows(pattern: str) -> None:
    colours = {"r": 200, "g": 120, "b": 40}
    two_rows = np.array([colours[letter] for letter in pattern], np.uint8).reshape(2, 2)
    data = file(".png", np.tile(two_rows, (8, 12)))
    sent = SimpleNamespace(format=f"bayer_{pattern}8; png compressed ", data=data)
    np.testing.assert_array_equal(decode_compressed(sent), ORANGE)


def test_the_parts_of_a_format() -> None:
    said = CompressedFormat.parse("Bayer_RGGB16 ; png  compressed bgr16")
    assert said == CompressedFormat("bayer_rggb16", "bgr16", False)
    assert CompressedFormat.parse("16UC1; compressedDepth png").is_depth


def test_sixteen_bits_are_reduced_by_the_given_levels() -> None:
    values = np.full((16, 24), 3000, np.uint16)
    values[:, 12:] = 3100
    sent = SimpleNamespace(format="mono16; png compressed ", data=file(".png", values))
    upper = decode_compressed(sent)
    assert (upper[0, 0, 0], upper[0, -1, 0]) == (11, 12)
    stretched = decode_compressed(sent, GreyLevels())
    assert (stretched[0, 0, 0], stretched[0, -1, 0]) == (78, 177)  # from 2922 to 3178


@pytest.mark.parametrize(
    ("data", "text", "words"),
    [
        (file(".tiff", GREY).tobytes(), "mono8; tiff compressed ", "it is TIFF; let the driver"),
        (file(".webp", SWAPPED).tobytes(), "webp", "it is WebP"),
        (b"\0\0\0\1\x67" + bytes(50), "h264", "it is H.264 or H.265 video"),
        (bytes(12) + file(".png", GREY).tobytes(), "16UC1; compressedDepth png", "it is depth"),
        (bytes(12) + file(".png", GREY).tobytes(), "16UC1;CompressedDepth", "it is depth"),
    ],
)
def test_what_is_no_jpeg_or_png_is_named(data: bytes, text: str, words: str) -> None:
    with pytest.raises(UserError, match=f"cannot be decoded: {words}"):
        decode_compressed(SimpleNamespace(format=text, data=np.frombuffer(data, np.uint8)))


def test_compressed_images() -> None:
    _, png = cv2.imencode(".png", RGB[:, :, ::-1])
    sent = SimpleNamespace(format="bgr8; png compressed bgr8", data=png.tobytes())
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
    decoded = decode_compressed(SimpleNamespace(format="rgb8; jpeg compressed bgr8", data=data))
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
        decode_compressed(SimpleNamespace(format="jpeg", data=data))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_compressed_image_that_was_cut_off_is_refused(
    extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenCV 4.6 fills up a JPEG with grey, and 4.13 refuses it.
    monkeypatch.setattr(jpeg_png.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
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
    monkeypatch.setattr(jpeg_png.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
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
    monkeypatch.setattr(jpeg_png.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
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

    monkeypatch.setattr(jpeg_png.cv2, "imdecode", failing_decoder)
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
        decode_compressed(SimpleNamespace(format="png", data=png.tobytes()))
