"""Matchers of ``transformers`` that take two frames: SuperGlue, LightGlue and EfficientLoFTR.

They detect keypoints themselves and take no points of ours. So a point moves as the matches
nearest to it do.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from sam_pt_ros.errors import UserError, one_line
from sam_pt_ros.frames import Frame
from sam_pt_ros.options.network import RANDOM
from sam_pt_ros.trackers.matching.base import Matcher, References, colour_likeness
from sam_pt_ros.trackers.matching.fit import Fits, Matches, fit
from sam_pt_ros.trackers.matching.images import Scaled
from sam_pt_ros.trackers.matching.options import PUBLISHED_MODELS, MatchingOptions
from sam_pt_ros.weights.checkpoints import file_sha256
from sam_pt_ros.weights.networks import choose_device, reproducible

_NEAREST = 25  # matches around a point
_REACH = 16.0  # scaled pixels, see fit()
_FARTHEST = 48.0  # distance of a match from the point, scaled pixels
_FEWEST = 6  # with fewer matches around a point, the missing ones count as wrong
_TOLERANCE = 4.0  # scaled pixels, see fit()
_KEPT = 8  # query frames
_GREY = (0.299, 0.587, 0.114)
_WEIGHTS = "model.safetensors"
_SERIAL = itertools.count()

_CLASSES = {
    "superglue": ("SuperGlueConfig", "SuperGlueForKeypointMatching"),
    "lightglue": ("LightGlueConfig", "LightGlueForKeypointMatching"),
    "efficientloftr": ("EfficientLoFTRConfig", "EfficientLoFTRForKeypointMatching"),
}
"""Names of the configuration and of the model in transformers."""

_SETTINGS: dict[str, dict[str, Any]] = {
    "superglue": {"sinkhorn_iterations": 20, "matching_threshold": 0.2},
    "lightglue": {"filter_threshold": 0.1},
    "efficientloftr": {"coarse_matching_threshold": 0.2},
}
"""Set whatever a checkpoint's configuration says: SAM-PT's, or the authors' where it has none."""

_DETECTOR = {"keypoint_threshold": 0.005, "nms_radius": 3, "max_keypoints": 2048}
"""Likewise for SuperPoint. SAM-PT does not limit the number, on which time and memory depend."""


@dataclass(eq=False)
class _Kept:
    """What is kept of a frame.

    Attributes:
        index: the frame's index.
        scaled: the frame as the network sees it, h x w pixels.
        grey: ``uint8 (h, w)``.
        matched: matches of earlier frames with this one, by their indices: ``float32 (M, 2)``
            image pixels each, there and here.
    """

    index: int
    scaled: Scaled
    grey: np.ndarray
    matched: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


class PairMatcher(Matcher):
    """Finds points by the matches of frames near them.

    References are: places ``float32 (N, 2)`` in image pixels; the frames that are kept, objects
    ``(N,)``; mean colours ``float32 (N, 3)``. A new frame is matched with every frame that is
    kept, which are nine at most. So points get newer references together, and those whose query
    frame is no longer kept are looked for by their newer reference; without one they are given up.

    Raises:
        UserError: the device is not available, or the checkpoint is missing or another model's.
    """

    def __init__(self, options: MatchingOptions) -> None:
        self._working_size = options.working_size
        self._device = choose_device(options.device)
        self.device = str(self._device)
        self.network = _load(options).requires_grad_(False).eval().to(self._device)
        # Frames cache the features of every model, so each model needs its own key.
        self._key = f"{options.matcher} {next(_SERIAL)}"

    def scaled(self, frame: Frame) -> Scaled:
        return self._kept(frame).scaled

    def references(self, xy: np.ndarray, frame: Frame) -> References:
        kept = self._kept(frame)
        return xy.astype(np.float32), _repeated(kept, len(xy)), kept.scaled.colours(xy)

    def find(self, references: References, frame: Frame) -> Fits:
        xy, frames, colours = references
        kept = self._kept(frame)
        scaled = kept.scaled
        offsets = np.zeros((len(xy), _NEAREST, 2), np.float32)
        places = np.zeros_like(offsets)
        found = np.zeros((len(xy), _NEAREST), np.bool_)
        for before in {each for each in frames if each is not None}:
            there, here = self._matches(before, kept)
            rows = np.flatnonzero(frames == before)
            apart = np.linalg.norm(there[None] - xy[rows, None], axis=2)
            order = np.argsort(apart, 1, kind="stable")[:, :_NEAREST]
            number = order.shape[1]
            near = np.take_along_axis(apart, order, 1) <= _FARTHEST * scaled.pixel
            offsets[rows, :number] = (there[order] - xy[rows, None]) * near[..., None]
            places[rows, :number] = here[order]
            found[rows, :number] = near

        def likeness(at: np.ndarray) -> np.ndarray:
            return colour_likeness(scaled.colours(at), colours[:, None])

        counted = found | (np.arange(_NEAREST) < _FEWEST)
        matches = Matches(offsets, places, found.astype(np.float32), counted)
        return fit(matches, likeness, _REACH * scaled.pixel, _TOLERANCE * scaled.pixel)

    def renewable(self, wanted: np.ndarray, possible: np.ndarray) -> np.ndarray:
        return possible if (wanted & possible).any() else np.zeros_like(possible)

    def limited(self, query: References, newer: References) -> tuple[References, References]:
        first, last = _indices(query[1]), _indices(newer[1])
        # Points without a part in the newest renewal are looked for by their query alone.
        left = last != last.max(initial=-1)
        newer = _replaced(newer, query, left)
        dropped = np.isin(first, np.unique(first[first >= 0])[:-_KEPT])
        if dropped.any():
            query = _replaced(query, newer, dropped)
            gone = dropped & left
            for references in (query, newer):
                references[1][gone] = None
        return query, newer

    def _kept(self, frame: Frame) -> _Kept:
        """What is kept of a frame, cached in the frame."""
        found: _Kept | None = frame.features.get(self._key)
        if found is None:
            scaled, image = Scaled.of(frame, self._working_size)
            grey = np.rint(image @ np.array(_GREY, np.float32)).astype(np.uint8)
            found = _Kept(frame.index, scaled, grey)
            frame.features[self._key] = found
        return found

    @torch.inference_mode()
    def _matches(self, before: _Kept, after: _Kept) -> tuple[np.ndarray, np.ndarray]:
        """Places in both frames, ``float32 (M, 2)`` image pixels each."""
        found = after.matched.get(before.index)
        if found is None:
            both = torch.from_numpy(np.stack([before.grey, after.grey])).to(self._device)
            pair = both.float() / 255
            with reproducible(self._device):
                answer = self.network(pair[None, :, None].expand(-1, -1, 3, -1, -1))
            sizes = [each.scaled.size for each in (before, after)]
            there, here = (each.cpu().numpy() for each in matched_places(answer, sizes))
            found = before.scaled.enlarge(there), after.scaled.enlarge(here)
            after.matched[before.index] = found
        return found


def matched_places(answer: Any, sizes: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """The matched keypoints of a model's answer for one pair.

    transformers' own conversion cuts coordinates to whole pixels.

    Args:
        answer: output of a model of transformers, of one pair.
        sizes: height and width of the two images.

    Returns:
        ``(M, 2)`` pixels in the first image, and in the second.
    """
    first, second = (
        places * places.new_tensor([width, height])
        for places, (height, width) in zip(answer.keypoints[0], sizes)
    )
    matches = answer.matches[0]
    if getattr(answer, "mask", None) is None:  # EfficientLoFTR: keypoints are paired already
        rows = ((matches > -1).all(0) & (answer.matching_scores[0] > 0).all(0)).nonzero()[:, 0]
        return first[rows], second[rows]
    rows = ((answer.mask[0, 0] > 0) & (matches[0] > -1)).nonzero()[:, 0]
    return first[rows], second[matches[0, rows].long()]


def _load(options: MatchingOptions) -> Any:
    config_name, model_name = _CLASSES[options.matcher]
    config_class, model_class = (getattr(transformers, each) for each in (config_name, model_name))
    if options.checkpoint == RANDOM:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return model_class(_configured(config_class(), options.matcher))
    checkpoint = options.checkpoint or PUBLISHED_MODELS[options.matcher]
    if Path(checkpoint).expanduser().is_dir():
        checkpoint = str(Path(checkpoint).expanduser())
    where: dict[str, Any] = {"local_files_only": True}
    try:
        config = transformers.AutoConfig.from_pretrained(checkpoint, **where)
        file = transformers.utils.cached_file(checkpoint, _WEIGHTS, **where)
    except Exception as error:  # transformers raises many kinds
        raise UserError(
            f"{options.owner}: the checkpoint '{checkpoint}' of {options.matcher} is not on this "
            "machine, or incomplete, and nothing is downloaded here: read its licence and run "
            f"`hf download {PUBLISHED_MODELS[options.matcher]}`, or set 'checkpoint' to a folder "
            f"with config.json and {_WEIGHTS}"
        ) from error
    if config.model_type != config_class.model_type:
        raise UserError(
            f"{options.owner}: the checkpoint '{checkpoint}' is a model '{config.model_type}', "
            f"not '{options.matcher}'; see the option 'matcher'"
        )
    wanted = options.checkpoint_sha256.lower()
    if wanted and (found := file_sha256(Path(file))) != wanted:
        raise UserError(f"{file}: the SHA-256 is {found}, expected {wanted}")
    try:
        network, report = model_class.from_pretrained(
            checkpoint,
            config=_configured(config, options.matcher),
            use_safetensors=True,
            output_loading_info=True,
            **where,
        )
    except Exception as error:
        raise UserError(f"{file}: cannot be loaded ({one_line(error)})") from error
    wrong = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if wrong:
        raise UserError(f"{file}: not a checkpoint of {options.matcher}: it lacks {wrong[0]}")
    return network


def _configured(config: Any, matcher: str) -> Any:
    """The configuration with the settings above."""
    parts = [(config, _SETTINGS[matcher])]
    if matcher != "efficientloftr":
        parts.append((config.keypoint_detector_config, _DETECTOR))
    for part, settings in parts:
        for name, value in settings.items():
            setattr(part, name, value)
    return config


def _repeated(kept: _Kept, count: int) -> np.ndarray:
    made = np.empty(count, object)
    made[:] = kept
    return made


def _indices(frames: np.ndarray) -> np.ndarray:
    """Indices of kept frames, ``int64 (N,)``; -1 where none is."""
    return np.array([-1 if each is None else each.index for each in frames], np.int64)


def _replaced(references: References, others: References, rows: np.ndarray) -> References:
    """References with those of other ones in some rows, ``bool (N,)``."""
    made = tuple(each.copy() for each in references)
    for each, values in zip(made, others, strict=True):
        each[rows] = values[rows]
    return made
