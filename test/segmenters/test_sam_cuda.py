"""SAM on a CUDA GPU: the masks of the CPU, and half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")
if not torch.cuda.is_available():
    pytest.skip("no CUDA GPU", allow_module_level=True)

from support.sam_networks import frame, prompts, segmenter  # noqa: E402

MODELS = ("mobile_sam", "hq_sam_vit_tiny")


def masks(name: str, **options: Any) -> list[Any]:
    made = segmenter(name, refinement_iterations=2, iou_threshold=0.0, **options)
    made.set_image(frame())
    return made.predict(prompts(4))


@pytest.mark.parametrize("name", MODELS)
def test_masks_are_those_of_the_cpu(name: str) -> None:
    for one, other in zip(masks(name), masks(name, device="cuda")):
        assert np.mean(one.mask ^ other.mask) < 2e-3
        assert one.score == pytest.approx(other.score, abs=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_half_precision_gives_nearly_the_same_masks(name: str) -> None:
    for one, other in zip(masks(name), masks(name, device="cuda", precision="float16")):
        assert np.mean(one.mask ^ other.mask) < 0.05
        assert one.score == pytest.approx(other.score, abs=0.05)


def test_logits_stay_on_the_gpu_between_passes() -> None:
    """What reaches the host before the end is where masks lie: a few numbers a pass."""
    made = segmenter("mobile_sam", refinement_iterations=2, iou_threshold=0.0, device="cuda")
    made.set_image(frame())
    made.predict(prompts(4))  # the frame's embedding, and what is allocated once
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiled:
        made.predict(prompts(4))
    names = [event.name for event in profiled.events()]
    assert sum("Memcpy DtoH" in name for name in names) < 40
