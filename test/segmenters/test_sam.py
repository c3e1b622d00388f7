"""SAM, MobileSAM and HQ-SAM: equal to what their authors' packages compute."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")

import torch

from sam_pt_ros.errors import UserError
from sam_pt_ros.segmenters import Prompt, create_segmenter, segmenters
from sam_pt_ros.segmenters.base import Deadline
from sam_pt_ros.segmenters.sam.decoder import _FEW
from sam_pt_ros.segmenters.sam.models import CLASSIFIER, MODELS
from sam_pt_ros.segmenters.sam.network import PromptBatch
from support.sam_networks import (
    RANDOM,
    SIZE,
    authors_network,
    few_threads,
    frame,
    image,
    prompts,
    segmenter,
)

TESTED = ("mobile_sam", "sam_vit_b", "hq_sam_vit_tiny")
CLOSE = 1e-4  # in logits


def predictor(name: str, features: Any = None) -> Any:
    """Their predictor, with our image's embedding, or with given features."""
    package = importlib.import_module(MODELS[name].module)
    made = package.SamPredictor(authors_network(name))
    if features is None:
        made.set_image(image())
        return made
    made.features, early = features
    made.interm_features = None if early is None else [early]
    made.original_size, made.is_image_set = SIZE, True
    made.input_size = made.transform.get_preprocess_shape(*SIZE, 1024)
    return made


@functools.cache
def features(name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As an encoder's output: that of sam_vit_b takes half a minute."""
    generator = torch.Generator().manual_seed(3)
    early = torch.randn(1, 64, 64, 160, generator=generator)
    return (
        torch.randn(1, 256, 64, 64, generator=generator),
        early if MODELS[name].high_quality else None,
    )


class Compared:
    """Our network; every answer is compared with one call of their predictor per object."""

    def __init__(self, name: str) -> None:
        self.ours: Any = segmenter(name).network
        self.theirs = predictor(name, features(name))
        self.device, self.input_side = self.ours.device, self.ours.input_side
        self.compared, self.batches, self.worst = 0, [], 0.0

    def decode(self, embedding: Any, asked: PromptBatch, candidates: bool = False) -> Any:
        low, ious = self.ours.decode(embedding, asked, candidates)
        self.batches.append(len(asked))
        masks = self.ours.enlarge(low, SIZE)
        for row in range(len(asked)):
            one = asked.part(slice(row, row + 1))
            logits, iou, their_low = self.theirs.predict_torch(
                one.points, one.labels, one.boxes, one.masks, candidates, return_logits=True
            )
            rows = torch.arange(low.shape[1])
            if candidates and logits.shape[1] == 1:  # HQ-SAM gives the best one alone
                rows = ious[row].argmax()[None]
            for found, wanted in (
                (low[row, rows], their_low[0]),
                (masks[row, rows], logits[0]),
                (ious[row, rows], iou[0]),
            ):
                assert found.shape == wanted.shape
                self.worst = max(self.worst, float((found - wanted).abs().max()))
            self.compared += 1
        return low, ious

    def enlarge(self, logits: Any, size: tuple[int, int]) -> Any:
        return self.ours.enlarge(logits, size)


# The decoder of sam_vit_b is that of mobile_sam; what encodes images is tested below.
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "sam_vit_b" else n for n in TESTED],
)
def test_many_objects_at_once_equal_the_authors_predictor_one_by_one(name: str) -> None:
    """In every pass: of the positives, of all with a mask, and of refinements with a box."""
    from sam_pt_ros.segmenters.sam.passes import Passes

    network = Compared(name)
    options = segmenter(name).options
    options = type(options)(**{**RANDOM, "refinement_iterations": 1, "iou_threshold": 0.0})
    with torch.inference_mode():
        embedding = network.ours._decoder.embed(*features(name))
        passes = Passes(network, embedding, SIZE, options)
        passes.predict(prompts())
        assert network.compared == 4 * 3
        assert max(network.batches) > 1
        # Attention is computed in another way for many points.
        many = prompts(5, hidden=False)[:2]
        assert min(len(prompt.points) for prompt in many) > _FEW
        passes.predict(many)
        assert network.compared == 4 * 3 + 2 * 3
        click = Prompt(1, [[60, 50]], [1])
        passes.propose([click, Prompt(2, [[30, 30]], [1], box=[20, 20, 70, 60])])
    assert network.compared == 6 * 3 + 2
    assert network.worst < CLOSE
    assert (
        network.theirs.predict_torch(
            torch.zeros(1, 0, 2), torch.zeros(1, 0), multimask_output=False, return_logits=True
        )[2].std()
        > 0.1
    ), "the masks say something"


@pytest.mark.parametrize("name", ["mobile_sam", "hq_sam_vit_tiny"])
def test_an_image_is_encoded_as_the_authors_predictor_does(name: str) -> None:
    check_encoder(name)


@pytest.mark.slow
def test_an_image_is_encoded_as_the_authors_predictor_of_sam_does() -> None:
    check_encoder("sam_vit_b")


def check_encoder(name: str) -> None:
    with torch.inference_mode():
        ours: Any = segmenter(name).network
        embedding = ours.embed(image())
        theirs = predictor(name)
        wanted = theirs.features[0].flatten(1).T
        assert float((embedding.pixels - wanted).abs().max()) < CLOSE
        points = torch.tensor([[[300.0, 400.0], [500.0, 200.0]]])
        labels = torch.tensor([[1, 0]], dtype=torch.int32)
        low, iou = ours.decode(embedding, PromptBatch(points, labels))
        _, their_iou, their_low = theirs.predict_torch(
            points, labels, multimask_output=False, return_logits=True
        )
    assert float((low - their_low).abs().max()) < CLOSE
    assert float((iou - their_iou).abs().max()) < CLOSE


def test_a_frame_is_encoded_once_and_keeps_its_embedding() -> None:
    made = segmenter("mobile_sam", refinement_iterations=0)
    calls = []
    original = made.network.embed
    made.network.embed = lambda picture: (calls.append(1), original(picture))[1]
    try:
        shown = frame()
        made.set_image(shown)
        assert not calls, "an image without prompts costs nothing"
        one = made.predict(prompts(2))
        made.set_image(frame(1))
        made.set_image(shown)
        again = made.predict(prompts(2))
    finally:
        made.network.embed = original
    assert len(calls) == 1
    assert len(shown.features) == 1
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(one, again))


def test_masks_come_at_the_image_s_size_cut_to_what_is_set() -> None:
    made = segmenter("mobile_sam", refinement_iterations=0, iou_threshold=0.0)
    made.set_image(frame())
    for found in made.predict(prompts(3)):
        assert found.mask.shape == SIZE and found.mask.any()
        assert found.logits.dtype == np.float32
        for edge in (found.logits[0], found.logits[-1], found.logits[:, 0], found.logits[:, -1]):
            assert (edge > 0).any(), "not cut"
        assert 0 < found.score <= 1


def test_other_objects_of_a_call_do_not_change_a_mask() -> None:
    """But for rounding: they are decoded in one batch."""
    made = segmenter("mobile_sam", refinement_iterations=1)
    made.set_image(frame())
    together = made.predict(prompts(4))
    for prompt, found in zip(prompts(4), together):
        (alone,) = made.predict([prompt])
        assert np.mean(alone.mask ^ found.mask) < 1e-3
        assert alone.score == pytest.approx(found.score, abs=1e-4)


def test_a_deadline_costs_refinement_and_no_mask() -> None:
    made = segmenter("mobile_sam", refinement_iterations=2, iou_threshold=0.0)
    made.set_image(frame())
    full = made.predict(prompts(2))
    passed = Deadline(0.0, lambda: 1.0)
    hurried = made.predict_until(prompts(2), passed)
    assert hurried.shortened and hurried.needed == 0.0
    plenty = made.predict_until(prompts(2), Deadline(time.monotonic() + 3600.0))
    assert not plenty.shortened
    assert plenty.needed is not None and plenty.needed > 0
    unrefined = segmenter("mobile_sam", refinement_iterations=0, iou_threshold=0.0)
    unrefined.set_image(frame())
    for ours, other in ((plenty.masks, full), (hurried.masks, unrefined.predict(prompts(2)))):
        assert all(np.array_equal(a.logits, b.logits) for a, b in zip(ours, other, strict=True))
    drawn = Prompt(1, np.zeros((0, 2)), np.zeros(0), mask=np.ones(SIZE, np.bool_))
    only = made.predict_until([drawn], passed)
    assert only.masks[0].mask.all() and not only.shortened and only.needed is None


def test_what_a_user_drew_is_the_object() -> None:
    made = segmenter("mobile_sam")
    made.set_image(frame())
    drawn = np.zeros(SIZE, bool)
    drawn[20:50, 30:90] = True
    first, second = prompts(2)
    given = Prompt(1, first.points, first.labels, mask=drawn)
    found = made.predict([given, second])
    assert np.array_equal(found[0].mask, drawn) and found[0].score == 1
    assert found[1].mask.any()
    assert np.array_equal(made.propose([given])[0].mask, drawn)


def test_a_mask_of_another_size_is_refused() -> None:
    made = segmenter("mobile_sam")
    made.set_image(frame())
    with pytest.raises(UserError, match=r"the mask has the size \(3, 4\), but the image has"):
        made.predict([Prompt(1, [[2, 2]], [1], mask=np.ones((3, 4), bool))])


@pytest.mark.parametrize(("name", "mebibytes"), [("mobile_sam", 4), ("hq_sam_vit_tiny", 12)])
def test_of_a_frame_no_more_is_kept_than_is_said(name: str, mebibytes: int) -> None:
    made = segmenter(name, refinement_iterations=0)
    shown = frame()
    made.set_image(shown)
    made.predict(prompts(2))
    (embedding,) = shown.features.values()
    tensors = [each for each in (embedding.pixels, embedding.fine) if each is not None]
    assert sum(each.untyped_storage().nbytes() for each in tensors) == mebibytes << 20
    assert set(vars(embedding)) == {"pixels", "fine"}


@pytest.mark.slow  # half precision is an emulation on most CPUs: a minute
def test_half_precision_gives_nearly_the_same_masks() -> None:
    """On a CPU it is slow; a GPU is meant for it."""
    exact = segmenter("mobile_sam", refinement_iterations=0, iou_threshold=0.0)
    half = segmenter("mobile_sam", refinement_iterations=0, iou_threshold=0.0, precision="float16")
    shown = frame()
    for made in (exact, half):
        made.set_image(shown)
    for one, other in zip(exact.predict(prompts(2)), half.predict(prompts(2))):
        assert np.mean(one.mask ^ other.mask) < 0.02
        assert one.score == pytest.approx(other.score, abs=0.02)


def test_a_prompt_before_an_image_is_refused() -> None:
    made = segmenter("hq_sam_vit_tiny")
    made.reset()
    with pytest.raises(UserError, match="call set_image before predict"):
        made.predict(prompts(1))


# --- weights --------------------------------------------------------------------------------


TINY = ("mobile_sam", "hq_sam_vit_tiny")


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        *((name, False) for name in TINY),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in TINY),
    ],
)
def test_a_checkpoint_is_loaded_as_by_the_authors(name: str, encode: bool, tmp_path: Path) -> None:
    """Their loaders leave TinyViT's tables as they were before; these are made anew."""
    few_threads()
    model, path = MODELS[name], tmp_path / "file.pth"
    state = {
        key: value * 1.01 if value.is_floating_point() else value
        for key, value in authors_network(name).state_dict().items()
    }
    torch.save(state, path)
    made = create_segmenter(name, checkpoint=str(path), device="cpu")
    package = importlib.import_module(model.module)
    theirs = package.sam_model_registry[model.variant](checkpoint=str(path))
    ours: Any = made.network.sam
    assert not ours.training
    used = {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}
    assert len(used) > 200
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in used.items())
    theirs.train().eval()
    tables = 0
    for layer, their_layer in zip(ours.image_encoder.layers[1:], theirs.image_encoder.layers[1:]):
        for block, their_block in zip(layer.blocks, their_layer.blocks, strict=True):
            wanted = block.attn.attention_biases[:, block.attn.attention_bias_idxs]
            assert torch.equal(block.attn.ab, wanted)
            assert torch.equal(block.attn.ab, their_block.attn.ab)
            tables += 1
    assert tables == 10
    if not encode:
        return
    with torch.inference_mode():
        picture = torch.rand(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0))
        wanted = theirs.image_encoder(picture)
        found = ours.image_encoder(picture)
    if model.high_quality:
        wanted, found = wanted[0], found[0]
    assert float((wanted - found).abs().max()) < CLOSE


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mobile.pth"
    torch.save(authors_network("mobile_sam").state_dict(), path)
    with pytest.raises(UserError, match=r"mobile\.pth: not a checkpoint of HQ-SAM vit_tiny: "):
        create_segmenter("hq_sam_vit_tiny", checkpoint=str(path), device="cpu")
    state = dict(authors_network("mobile_sam").state_dict())
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, path)
    with pytest.raises(UserError, match=r"1 missing \(mask_decoder\.iou_token\.weight\)"):
        create_segmenter("mobile_sam", checkpoint=str(path), device="cpu")


def test_the_classifier_of_tiny_vit_may_be_missing(tmp_path: Path) -> None:
    state = authors_network("mobile_sam").state_dict()
    kept = {key: value for key, value in state.items() if "head." not in key}
    kept.update({key: value for key, value in state.items() if "iou_prediction_head" in key})
    assert len(kept) < len(state)
    torch.save(kept, tmp_path / "file.pth")
    create_segmenter("mobile_sam", checkpoint=str(tmp_path / "file.pth"), device="cpu")


def test_the_published_checkpoint_is_asked_for_by_the_model_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"'mobile_sam' is missing: .*sam-pt download mobile_sam"):
        create_segmenter("mobile_sam", device="cpu")


def test_random_weights_must_be_allowed() -> None:
    with pytest.raises(UserError, match="'allow_random_weights: true'"):
        create_segmenter("mobile_sam", checkpoint="random")


def test_every_model_has_a_segmenter_and_a_checkpoint() -> None:
    from sam_pt_ros.weights.checkpoints import CHECKPOINTS

    for name in MODELS:
        loaded: Any = segmenters.load(name)
        assert loaded.model == name
        assert name in CHECKPOINTS
        package = importlib.import_module(MODELS[name].module)
        assert MODELS[name].variant in package.sam_model_registry


@pytest.mark.parametrize(
    ("blocked", "says"),
    [
        ("torch", "package 'torch'.*run `pip install mobilesam-mirror torch torchvision timm`"),
        ("mobile_sam", "needs the Python package 'mobile_sam'.*`pip install mobilesam-mirror"),
        ("torchvision", "needs the Python package 'torchvision'.*run `pip install"),
        ("timm", "needs the Python package 'timm'.*run `pip install"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    blocked: str, says: str
) -> None:
    code = f"""
import re, sys
sys.modules[{blocked!r}] = None  # as if it were not installed
from sam_pt_ros.errors import UserError
from sam_pt_ros.segmenters import create_segmenter
try:
    create_segmenter("mobile_sam", checkpoint="random", allow_random_weights=True)
except UserError as error:
    assert re.search({says!r}, str(error)), error
else:
    raise SystemExit("no error")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
