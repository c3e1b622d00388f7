"""Proposals: those of the authors' generator, called directly, on random weights."""

from __future__ import annotations

import functools
import importlib
import inspect
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
pytest.importorskip("torchvision", reason="torchvision is not installed (make torch)")

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.proposals import GeneratorOptions, Proposal, propose_masks
from sam_pt_ros.segmenters import Segmenter, create_segmenter
from sam_pt_ros.segmenters.sam.models import MODELS
from support import cotracker_golden
from support.sam_networks import authors_network, few_threads

RANDOM = {"checkpoint": "random", "allow_random_weights": True, "device": "cpu"}
# Of random weights the masks are neither sure nor stable, and their boxes nearly the image's.
OPTIONS = GeneratorOptions(
    points_per_side=2,
    points_per_batch=3,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.0,
    box_nms_thresh=1.0,
)


@functools.cache
def image() -> np.ndarray:
    return cotracker_golden.video.make_video(1, 97, 131)[0]


@functools.cache
def segmenter(name: str) -> Segmenter:
    few_threads()
    return create_segmenter(name, **RANDOM)


@functools.cache
def proposed(name: str) -> list[Proposal]:
    return propose_masks(segmenter(name), image(), options=OPTIONS)


@functools.cache
def records(name: str) -> list[dict[str, Any]]:
    package = importlib.import_module(MODELS[name].module)
    generator = package.SamAutomaticMaskGenerator(authors_network(name), **asdict(OPTIONS))
    found: list[dict[str, Any]] = generator.generate(image())
    return found


@pytest.mark.parametrize(
    "name", ["mobile_sam", pytest.param("hq_sam_vit_tiny", marks=pytest.mark.slow)]
)
def test_they_are_those_of_the_authors_generator_the_surest_first(name: str) -> None:
    if name != "mobile_sam":
        pytest.importorskip(MODELS[name].module)
    found, wanted = proposed(name), records(name)
    assert len(found) == len(wanted) >= 4
    assert len({float(each.score) for each in found}) > 1
    scores = [each.score for each in found]
    assert scores == sorted((record["predicted_iou"] for record in wanted), reverse=True)
    by_score = {record["predicted_iou"]: record["segmentation"] for record in wanted}
    for proposal in found:
        assert proposal.mask.dtype == np.bool_ and proposal.mask.shape == (97, 131)
        np.testing.assert_array_equal(proposal.mask, by_score[proposal.score])


def test_no_more_come_than_are_asked_for_and_the_surest_stay() -> None:
    every = proposed("mobile_sam")
    some = propose_masks(segmenter("mobile_sam"), image(), limit=2, options=OPTIONS)
    assert [each.score for each in some] == [each.score for each in every[:2]]
    for one, other in zip(some, every):
        np.testing.assert_array_equal(one.mask, other.mask)


def test_thresholds_that_no_mask_reaches_leave_nothing() -> None:
    strict = GeneratorOptions(points_per_side=1, stability_score_thresh=1.0)
    assert propose_masks(segmenter("mobile_sam"), image(), options=strict) == []


def test_a_segmenter_without_such_a_network_is_refused() -> None:
    with pytest.raises(UserError, match=r"ClassicalSegmenter cannot propose masks; .* mobile_sam"):
        propose_masks(create_segmenter("classical"), image())


def test_half_precision_is_refused() -> None:
    half = create_segmenter("mobile_sam", **RANDOM, precision="float16")
    with pytest.raises(UserError, match="precision: float32"):
        propose_masks(half, image())


def test_a_limit_and_images_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UserError, match="limit must be 1"):
        propose_masks(segmenter("mobile_sam"), image(), limit=0)
    with pytest.raises(UserError, match="RGB uint8"):
        propose_masks(segmenter("mobile_sam"), image()[..., 0])
    with pytest.raises(UserError, match="RGB uint8"):
        propose_masks(segmenter("mobile_sam"), image().astype(np.float32))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points_per_side", 0),
        ("points_per_batch", 0),
        ("pred_iou_thresh", 1.1),
        ("stability_score_thresh", -0.1),
        ("box_nms_thresh", 2.0),
    ],
)
def test_options_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=name):
        GeneratorOptions(**{name: value})  # type: ignore[arg-type]


def test_the_defaults_are_those_of_the_authors() -> None:
    package = importlib.import_module(MODELS["mobile_sam"].module)
    parameters = inspect.signature(package.SamAutomaticMaskGenerator.__init__).parameters
    for name, value in asdict(GeneratorOptions()).items():
        assert parameters[name].default == value, name
