"""Configuration files are ROS parameter files, and are read strictly."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from sam_pt_ros.configuration import Configuration, load_configuration, set_threads
from sam_pt_ros.errors import UserError
from sam_pt_ros.pipeline import SamPt
from support.examples import examples

CONFIG = Path(__file__).resolve().parents[1] / "config"


def write(folder: Path, parameters: str, head: str = "/**:\n  ros__parameters:\n") -> Path:
    path = folder / "test.yaml"
    lines = "".join(f"    {line}\n" for line in parameters.splitlines())
    path.write_text(head + lines)
    return path


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_that_we_ship_is_valid(path: Path) -> None:
    assert isinstance(load_configuration(path), Configuration)


def test_the_classical_configuration_makes_a_pipeline() -> None:
    pipeline = load_configuration(CONFIG / "classical.yaml").create()
    assert isinstance(pipeline, SamPt)
    assert type(pipeline.tracker).__name__ == "LucasKanade"
    assert type(pipeline.segmenter).__name__ == "ClassicalSegmenter"


def test_values_reach_their_options(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "positive_points: 5\nmode: every_frame\nlucas_kanade:\n  working_size: 320\n"
        "classical:\n  object_size: 64",
    )
    read = load_configuration(path)
    assert read.pipeline.positive_points == 5 and read.node.mode == "every_frame"
    assert read.tracker.working_size == 320 and read.segmenter.object_size == 64


def test_the_number_of_threads_is_set(tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    try:
        load_configuration(write(tmp_path, "threads: 1")).create()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("count", [1, 2])
def test_the_number_of_threads_is_pytorch_s_too_in_every_thread(count: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    before = cv2.getNumThreads(), torch.get_num_threads()
    seen: list[int] = []
    try:
        set_threads(count)
        worker = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        worker.start()
        worker.join()
        assert (seen, torch.get_num_threads(), cv2.getNumThreads()) == ([count], count, count)
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ("trakcer: lucas_kanade", "unknown option 'trakcer'; did you mean 'tracker'"),
        ("tracker: no_such", "unknown tracker 'no_such'"),
        ("tracker: 3", "'tracker' must be of type str"),
        ("segmenter: clasical", "did you mean 'classical'"),
        ("positive_points: 0", "'positive_points' must be at least 1"),
        ("positive_points: many", "'positive_points' must be of type int"),
        ("mode: sometimes", "'mode' must be one of latest, every_frame"),
        ("lucas_kanade: 3", "'lucas_kanade' must map option names to values"),
        ("lucas_kanade:\n  working_sise: 3", "did you mean 'working_size'"),
        ("classical:\n  object_size: 1", "'object_size' must be at least 24"),
        ("reinitialization: Z", "'reinitialization' must be one of"),
        ("on: 1", "option names must be strings"),
        ("1: 1", "option names must be strings"),
        ("1: 1\nx: 2\nyes: 3", "option names must be strings"),
        ("classical:\n  1: 1", "option names must be strings"),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_line(
    tmp_path: Path, parameters: str, says: str
) -> None:
    path = write(tmp_path, parameters)
    with pytest.raises(UserError, match=says) as refusal:
        load_configuration(path)
    assert str(refusal.value).startswith(str(path)) or "unknown tracker" in says or "mean" in says
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a ROS parameter file"),
        ("tracker: lucas_kanade\n", "not a ROS parameter file"),
        ("/**:\n  ros__parameters:\n", "not a ROS parameter file"),
        ("- 1\n- 2\n", "not a ROS parameter file"),
        ("/**: [unclosed", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("/**:\n  ros__parameters:\n    positive_points: 2001-99-99\n", "not valid YAML"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "test.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=says) as refusal:
        load_configuration(path)
    assert "\n" not in str(refusal.value) and "test.yaml" in str(refusal.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read.*check the path"):
        load_configuration(tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_configuration(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match="not valid YAML"):
        load_configuration(binary)


@pytest.mark.parametrize(
    "parameters",
    [
        "use_sim_time: true",
        "qos_overrides:\n  /image:\n    subscription:\n      reliability: reliable",
        "qos_overrides./image.subscription.reliability: reliable",
    ],
)
def test_parameters_that_every_ros_node_has_are_allowed(tmp_path: Path, parameters: str) -> None:
    load_configuration(write(tmp_path, parameters))


def test_options_of_backends_may_be_written_with_a_dot_as_ros_allows(tmp_path: Path) -> None:
    path = write(tmp_path, "lucas_kanade.working_size: 320")
    assert load_configuration(path).tracker.working_size == 320


def test_options_of_a_backend_that_is_not_in_use_are_ignored() -> None:
    values = {"tracker": "lucas_kanade", "classical": {"object_size": 64}}
    assert Configuration.from_mapping(values, "here").segmenter.object_size == 64


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.text(alphabet="/*:ros_paramet \n-[]{}\"'&!|>%@0123456789.\t#x", max_size=60))
def test_any_text_is_read_or_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, content)
    refusal = ""
    try:
        load_configuration(path)
    except UserError as error:
        refusal = str(error)
    assert "\n" not in refusal


def test_the_configurations_with_the_authors_settings_have_them() -> None:
    """Those of golden/SAM_PT.md: 16 + 1 points, 12 refinements, IoU 0.7, no reinitialization."""
    for name in ("sam_vit_h", "hq_sam_vit_h"):
        read = load_configuration(CONFIG / f"cotracker_{name}.yaml")
        assert (read.backends.tracker, read.backends.segmenter) == ("cotracker", name)
        options = read.pipeline
        assert (options.positive_points, options.negative_points) == (16, 1)
        assert (options.positive_selection, options.negative_selection) == ("kmedoids", "mixed")
        assert options.others_as_negatives and not options.require_positive
        assert options.reinitialization == "none" and not options.patch_filter
        assert (options.max_others_negatives, options.clustered_pixels) == (0, 1800)
        assert read.segmenter.refinement_iterations == 12
        assert (read.segmenter.iou_threshold, read.segmenter.refinement_tolerance) == (0.7, 0.0)


@pytest.mark.parametrize(
    ("name", "variant", "horizon"),
    [
        ("cotracker_mobile_sam", "B", 24),
        ("tapir_mobile_sam", "B", 24),
        ("lucas_kanade_mobile_sam", "A", 8),
    ],
)
def test_on_a_robot_points_are_sampled_anew(name: str, variant: str, horizon: int) -> None:
    options = load_configuration(CONFIG / f"{name}.yaml").pipeline
    assert (options.reinitialization, options.reinitialization_horizon) == (variant, horizon)
    assert options.require_positive


@pytest.mark.parametrize(("mode", "budget"), [("latest", 0.5), ("every_frame", 0.0)])
def test_results_for_every_frame_do_not_depend_on_the_time(
    tmp_path: Path, mode: str, budget: float
) -> None:
    path = write(tmp_path, f"catch_up_budget: 0.5\nframe_budget: 0.5\nmode: {mode}")
    options = load_configuration(path).create().options
    assert (options.catch_up_budget, options.frame_budget) == (budget, budget)


def test_patches_have_a_middle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'patch_size' must be odd, got 4"):
        load_configuration(write(tmp_path, "patch_size: 4"))


def test_what_is_given_twice_is_refused(tmp_path: Path) -> None:
    """ROS would merge the blocks, and PyYAML take the last one."""
    blocks = "segmenter: classical\nclassical:\n  object_size: 64\nclassical:\n  iterations: 5"
    with pytest.raises(UserError, match=r"'classical' is given twice.*line 6"):
        load_configuration(write(tmp_path, blocks))


def test_anchors_and_merged_blocks_are_no_repetition(tmp_path: Path) -> None:
    blocks = (
        (
            "classical: &base\n  object_size: 64\nmobile_sam: &more\n  <<: *none\n  device: cpu\n"
            "sam_vit_b:\n  <<: *more\n  device: auto"
        )
        .replace("&base", "")
        .replace("  <<: *none\n", "")
    )
    assert load_configuration(write(tmp_path, blocks)).segmenter.object_size == 64
    with pytest.raises(UserError, match="not valid YAML"):
        load_configuration(write(tmp_path, "classical: !!map [1]"))


def test_backends_are_described_with_their_weights() -> None:
    assert load_configuration(CONFIG / "classical.yaml").backend_descriptions == {
        "tracker": "lucas_kanade",
        "segmenter": "classical",
    }
    assert load_configuration(CONFIG / "cotracker_mobile_sam.yaml").backend_descriptions == {
        "tracker": "cotracker (cotracker3_online)",
        "segmenter": "mobile_sam (published weights)",
    }
