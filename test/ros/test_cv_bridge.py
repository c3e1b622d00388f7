"""Encodings that only cv_bridge knows, with doubles of cv_bridge that work, fail and crash."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image

from sam_pt_ros.errors import UserError
from sam_pt_ros.interchange.image_decoder import ImageDecoder
from sam_pt_ros.ros.cv_bridge import CvBridge

RGB = np.arange(16 * 20 * 3, dtype=np.uint8).reshape(16, 20, 3)

DOUBLE = """
import os
import numpy as np

TRIALS = {trials!r}

class CvBridge:
    def imgmsg_to_cv2(self, message, encoding):
        assert encoding == "rgb8"
        if message.encoding == "bgr8":  # the trial
            with open(TRIALS, "a") as file:
                file.write("x")
            {in_trial}
            return np.array([[[2, 1, 0]]])
        {otherwise}
"""
WORKS = "return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)"

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes a double importable, here and in processes started from here; says where it counts."""

    def install(otherwise: str = WORKS, in_trial: str = "pass", text: str = DOUBLE) -> Path:
        trials = tmp_path / "trials"
        module = text.format(trials=str(trials), in_trial=in_trial, otherwise=otherwise)
        (tmp_path / "cv_bridge.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
        return trials

    return install


def sent(encoding: str = "packed_rgb") -> Image:
    return Image(height=16, width=20, step=60, encoding=encoding, data=RGB.tobytes())


def test_without_cv_bridge_an_unknown_encoding_is_refused() -> None:
    if "cv_bridge" not in sys.modules:
        assert CvBridge.if_installed() is None
    with pytest.raises(UserError, match="'packed_rgb' is not supported; use one of rgb8, bgr8"):
        ImageDecoder().decode(sent())


def test_an_unknown_encoding_goes_through_cv_bridge(install: Install) -> None:
    trials = install()
    bridge = CvBridge.if_installed()
    assert bridge is not None
    decoder = ImageDecoder(otherwise=bridge)
    for _ in range(3):
        decoded = decoder.decode(sent())
        np.testing.assert_array_equal(decoded.pixels, RGB)
        assert decoded.encoding == "packed_rgb" and decoded.pixels.flags.writeable
    assert trials.read_text() == "x"  # only before the first


def test_a_known_encoding_does_not_go_through_cv_bridge(install: Install) -> None:
    trials = install()
    decoder = ImageDecoder(otherwise=CvBridge.if_installed())
    np.testing.assert_array_equal(decoder.decode(sent("bgr8")).pixels, RGB[:, :, ::-1])
    assert not trials.exists()


@pytest.mark.parametrize(
    ("in_trial", "words"),
    [
        ("os.abort()", "it crashes with signal 6"),
        ("raise ImportError('numpy.core failed')", "ImportError: numpy.core failed"),
        ("return np.array([[[0, 1, 2]]])", "AssertionError"),
    ],
)
def test_a_cv_bridge_that_does_not_work_costs_the_image_only(
    install: Install, in_trial: str, words: str
) -> None:
    trials = install(in_trial=in_trial)
    bridge = CvBridge.if_installed()
    assert bridge is not None
    for _ in range(2):
        with pytest.raises(UserError, match=f"'packed_rgb' needs cv_bridge, .*{words}.*rgb8"):
            bridge(sent())
    assert trials.read_text() == "x"


@pytest.mark.parametrize(
    ("otherwise", "words"),
    [
        ("raise RuntimeError('[packed_rgb]\\nis not a color format')", r"\[packed_rgb\] is not a"),
        ("return np.zeros((16, 20), np.uint8)", r"became uint8 \(16, 20\) in cv_bridge"),
        ("return np.zeros((16, 20, 3))", "became float64"),
    ],
)
def test_what_cv_bridge_refuses_is_refused(install: Install, otherwise: str, words: str) -> None:
    install(otherwise)
    bridge = CvBridge.if_installed()
    assert bridge is not None
    with pytest.raises(UserError, match=words):
        bridge(sent())
    tiny = sent()
    tiny.height = 3
    with pytest.raises(UserError, match="20x3 pixels; each side must be 16"):
        bridge(tiny)
