"""The node's memory over many frames, with a segmenter that keeps what MobileSAM keeps."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support import packages
from support.rig import Rig
from support.scene import THING

SEGMENTER = '''
import numpy as np
from sam_pt_ros.segmenters.base import MaskPrediction, Segmenter

class Heavy(Segmenter):
    """Its features have the shape of MobileSAM's; its masks are a square."""

    def set_image(self, frame):
        self.size = frame.size
        # Ones, because zeros take no memory before they are written.
        frame.features.setdefault("heavy", np.ones((256, 64, 64), np.float32))

    def predict(self, prompts):
        logits = np.full(self.size, -1.0, np.float32)
        logits[20:60, 20:60] = 1.0
        return [MaskPrediction(logits, (0, 0), self.size, 0.9) for _ in prompts]
'''
PARAMETERS = (
    "mode:=every_frame",
    "segmenter:=heavy",
    "require_positive:=false",
    "reinitialization:=B",
    "reinitialization_horizon:=24",
    "history_length:=30",
    "clustered_pixels:=100",
)
FEATURES = 4 << 20  # bytes of a frame's


def resident(rig: Rig) -> int:
    """Bytes of the node's process."""
    status = Path(f"/proc/{rig.node.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_thousand_frames_take_no_more_memory_than_five_hundred(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    packages.install(
        tmp_path, "heavy_segmenter", SEGMENTER, segmenters={"heavy": "heavy_segmenter:Heavy"}
    )
    rig = make_rig(*PARAMETERS, packages=tmp_path, order={"width": 160})
    rig.play(0)
    before = resident(rig)
    rig.points(rig.on(THING, 0), index=0)

    def go_on(first: int, last: int) -> int:
        for begin in range(first, last, 50):
            rig.play(begin, begin + 49)
            rig.forget()
        return resident(rig)

    early = go_on(1, 501)
    late = go_on(501, 2001)
    assert early - before > 20 * FEATURES, "the features of the history are not there"
    assert late - early < 4 * FEATURES
    rig.play(2001)
    assert rig.objects(2001)[1].age == 2001
