"""J and F against the values of the official DAVIS toolkit (see davis_metrics.json)."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.evaluation.davis_metrics import boundary_accuracy, region_similarity, statistics

TEST = Path(__file__).resolve().parents[1]
GOLDEN: dict[str, Any] = json.loads((TEST / "golden" / "davis_metrics.json").read_text())
DAVIS_ROOT = Path(
    os.environ.get("SAM_PT_DAVIS_ROOT", TEST.parent.parent / "shared" / "data" / "davis2016")
)
ANNOTATIONS = DAVIS_ROOT / "Annotations" / "480p"

needs_davis = pytest.mark.skipif(
    not ANNOTATIONS.is_dir(),
    reason=f"no DAVIS 2016 annotations in {ANNOTATIONS}; name their folder in SAM_PT_DAVIS_ROOT",
)


def load_predictions() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "davis_predictions", TEST / "golden" / "davis_predictions.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PREDICTIONS = load_predictions()


@cache
def truth_of(sequence: str) -> dict[int, np.ndarray]:
    found: dict[int, np.ndarray] = PREDICTIONS.read_ground_truth(ANNOTATIONS, sequence)
    return found


@lru_cache(maxsize=1)
def cases_of(sequence: str) -> dict[str, dict[int, tuple[np.ndarray, np.ndarray]]]:
    made: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]] = PREDICTIONS.sequence_cases(
        truth_of(sequence)
    )
    return made


def check_statistics(values: list[float], golden: dict[str, float]) -> None:
    found = statistics(values)
    for name in ("mean", "recall", "decay"):
        assert getattr(found, name) == pytest.approx(golden[name], abs=1e-12)


@needs_davis
@pytest.mark.parametrize("sequence", GOLDEN["sequences"])
def test_every_frame_of_every_case_equals_the_toolkit(sequence: str) -> None:
    golden = GOLDEN["sequences"][sequence]
    truth = truth_of(sequence)
    assert [PREDICTIONS.sha256(mask) for mask in truth.values()] == golden["ground_truth_sha256"]
    made = cases_of(sequence)
    assert set(made) == set(golden["cases"])
    for name, case in golden["cases"].items():
        for number, (annotation, prediction) in enumerate(made[name].values()):
            assert PREDICTIONS.sha256(prediction) == case["prediction_sha256"][number]
            assert region_similarity(prediction, annotation) == case["J"][number], name
            assert boundary_accuracy(prediction, annotation) == case["F"][number], name


@needs_davis
def test_void_pixels_zeroed_in_both_masks_equal_the_toolkit() -> None:
    for row in GOLDEN["void"]:
        annotation, prediction = cases_of(row["sequence"])[row["case"]][row["frame"]]
        void = PREDICTIONS.void_mask(truth_of(row["sequence"])[row["frame"]], row["void"])
        seen = 1 - void
        assert region_similarity(prediction * seen, annotation * seen) == row["J"]
        assert boundary_accuracy(prediction * seen, annotation * seen) == row["F"]


@needs_davis
def test_other_tolerances_equal_the_toolkit() -> None:
    for row in GOLDEN["bound_th"]:
        annotation, prediction = cases_of(row["sequence"])[row["case"]][row["frame"]]
        assert boundary_accuracy(prediction, annotation, row["bound_th"]) == row["F"]


@needs_davis
def test_other_sizes_equal_the_toolkit() -> None:
    for row in GOLDEN["sizes"]:
        whole = truth_of(row["sequence"])[row["frame"]]
        annotation, prediction = PREDICTIONS.sized_cases(whole)[row["case"]]
        assert PREDICTIONS.sha256(prediction) == row["prediction_sha256"]
        assert region_similarity(prediction, annotation) == row["J"]
        assert boundary_accuracy(prediction, annotation) == row["F"]


def test_statistics_of_all_cases_equal_the_toolkit() -> None:
    for sequence in GOLDEN["sequences"].values():
        for case in sequence["cases"].values():
            for measure in ("J", "F"):
                check_statistics(case[measure], case["statistics"][measure])
                check_statistics(
                    case[measure][1:-1], case["statistics_without_first_and_last"][measure]
                )


def test_statistics_of_vectors_equal_the_toolkit() -> None:
    for row in GOLDEN["statistics_of_formula"]["rows"]:
        check_statistics([((37 * i + 11) % 101) / 100 for i in range(row["length"])], row)
    for row in GOLDEN["statistics_of_values"]:
        check_statistics(row["values"], row)


def test_decay_of_a_long_sequence_is_right_where_the_toolkit_overflows() -> None:
    assert statistics(1 - np.arange(400) / 400).decay == pytest.approx(0.7475)


def test_a_frame_without_a_value_leaves_the_mean_and_fails_the_recall() -> None:
    found = statistics([1.0, math.nan, 1.0, 1.0])
    assert found.mean == 1.0 and found.recall == 0.75


def test_empty_and_full_masks() -> None:
    empty, full = np.zeros((20, 30), np.bool_), np.ones((20, 30), np.bool_)
    assert (region_similarity(empty, empty), boundary_accuracy(empty, empty)) == (1.0, 1.0)
    assert (region_similarity(full, full), boundary_accuracy(full, full)) == (1.0, 1.0)
    assert (region_similarity(empty, full), boundary_accuracy(empty, full)) == (0.0, 1.0)
    part = empty.copy()
    part[5:9, 5:9] = True
    assert (region_similarity(part, empty), boundary_accuracy(part, empty)) == (0.0, 0.0)
    # The border of the image is no boundary: a full mask has none that could match.
    assert boundary_accuracy(full, part) == 0.0


def test_any_non_zero_value_is_the_object() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:12, 5:12] = 255
    assert region_similarity(mask, mask > 0) == boundary_accuracy(mask, mask > 0) == 1.0


def test_masks_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="the same size"):
        region_similarity(np.zeros((4, 5)), np.zeros((5, 4)))
