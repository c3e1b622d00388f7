"""Every parameter is declared with a description, a type and a range, and checked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.errors import UserError
from sam_pt_ros.paths import classical_configuration_file
from sam_pt_ros.ros.node import TrackNode
from sam_pt_ros.ros.parameters import Parameters


def node(context: Context, **overrides: object) -> Node:
    return rclpy.create_node(
        "parameters_test",
        context=context,
        parameter_overrides=[Parameter(name.replace("__", "."), value=value)
                             for name, value in overrides.items()],
    )  # fmt: skip


def test_the_defaults_are_those_of_the_library(context: Context) -> None:
    read = Parameters(node(context)).read()
    assert read.backends.tracker == "lucas_kanade"
    assert read.pipeline.positive_points == 16


def test_every_parameter_says_what_it_is(context: Context) -> None:
    made = node(context)
    parameters = Parameters(made)
    parameters.read()
    assert any(name.startswith("lucas_kanade.") for name in parameters.specs)
    for name, spec in parameters.specs.items():
        described = made.describe_parameter(name)
        assert described.description, name
        assert described.type != 0, name
        if spec.type is tuple:
            assert spec.range_text() == described.additional_constraints, name
        elif spec.minimum is not None:
            assert described.integer_range or described.floating_point_range, name
        if spec.choices is not None:
            assert spec.choices[0] in described.additional_constraints, name


def test_a_list_is_a_parameter(context: Context) -> None:
    made = node(context, tracker="cotracker")
    parameters = Parameters(made)
    assert parameters.read().tracker.model_resolution == (384, 512)
    assert (
        "at least 64"
        in made.describe_parameter("cotracker.model_resolution").additional_constraints
    )
    given = node(context, tracker="cotracker", cotracker__model_resolution=[96, 128])
    assert Parameters(given).read().tracker.model_resolution == (96, 128)
    with pytest.raises(UserError, match="multiples of 16"):
        Parameters(node(context, tracker="cotracker", cotracker__model_resolution=[96, 100]))
    with pytest.raises(UserError, match=r"cotracker\.model_resolution"):
        Parameters(node(context, tracker="cotracker", cotracker__model_resolution="96x100"))


def test_backend_options_arrive(context: Context) -> None:
    read = Parameters(node(context, lucas_kanade__working_size=320)).read()
    assert read.tracker.working_size == 320


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"positive_pionts": 3}, "unknown parameter 'positive_pionts'; did you mean"),
        ({"lucas_kanade__nonsense": 3}, "unknown parameter 'lucas_kanade.nonsense'"),
        ({"tracker": "magic"}, "unknown tracker 'magic'; available: cotracker, lucas_kanade"),
        ({"segmenter": "magic"}, "unknown segmenter 'magic'"),
        ({"positive_points": 0}, "positive_points"),
        ({"positive_points": "many"}, "positive_points"),
        ({"mode": "sometimes"}, "'mode' must be one of latest, every_frame"),
        ({"lucas_kanade__min_similarity": 7.0}, "lucas_kanade.min_similarity"),
        ({"lucas_kanade__min_similarity": 7}, "lucas_kanade.min_similarity"),
        ({"lucas_kanade__min_similarity": True}, "lucas_kanade.min_similarity"),
        (
            {"qos_overrides__/image__subscription__depht": 5},
            "unknown parameter 'qos_overrides./image.subscription.depht'; did you mean 'depth'",
        ),
        (
            {"qos_overrides__/image__subscription__reliability": "bogus"},
            "'qos_overrides./image.subscription.reliability' must be one of reliable, best_effort",
        ),
        (
            {"qos_overrides__/image__subscription__history": 3},
            "'qos_overrides./image.subscription.history' must be one of keep_last, keep_all",
        ),
        (
            {"qos_overrides__/image__subscription__depth": 0},
            "'qos_overrides./image.subscription.depth' must be a whole number from 1 to 100000",
        ),
    ],
)
def test_mistakes_are_named(context: Context, overrides: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words.replace(".", r"\.")) as caught:
        Parameters(node(context, **overrides))
    assert "\n" not in str(caught.value)


def test_a_whole_number_is_a_number(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "whole.yaml"
    path.write_text("/**:\n  ros__parameters:\n    lucas_kanade:\n      min_similarity: 1\n")
    made = rclpy.create_node(
        "parameters_test",
        context=context,
        cli_args=["--ros-args", "--params-file", str(path)],
    )
    assert Parameters(made).read() == load_configuration(path)
    assert Parameters(node(context, lucas_kanade__min_similarity=1)).read().tracker == (
        load_configuration(path).tracker
    )


def test_what_ros_declares_itself_is_no_mistake(context: Context) -> None:
    given = {"use_sim_time": True, "qos_overrides__/image__subscription__depth": 3}
    Parameters(node(context, **given)).read()


def test_the_shipped_configuration_is_what_the_node_reads(context: Context) -> None:
    path = classical_configuration_file()
    made = rclpy.create_node(
        "parameters_test",
        context=context,
        cli_args=["--ros-args", "--params-file", str(path)],
    )
    assert Parameters(made).read() == load_configuration(path)


def test_changes_are_refused_once_the_node_is_configured(context: Context) -> None:
    made = TrackNode(context=context)
    (allowed,) = made.set_parameters([Parameter("positive_points", value=8)])
    assert allowed.successful
    (wrong,) = made.set_parameters([Parameter("mode", value="sometimes")])
    assert not wrong.successful
    assert "latest, every_frame" in wrong.reason
    made.trigger_configure()
    (late,) = made.set_parameters([Parameter("positive_points", value=9)])
    assert not late.successful
    assert "clean up first" in late.reason
    assert made.get_parameter("positive_points").value == 8
    made.trigger_cleanup()
    (again,) = made.set_parameters([Parameter("positive_points", value=9)])
    assert again.successful
    made.destroy_node()


def test_some_may_change_at_run_time_between_two_images(context: Context) -> None:
    given = [Parameter("history_length", value=10)]
    made = TrackNode(context=context, parameter_overrides=given)
    made.trigger_configure()
    made.trigger_activate()
    pipeline, worker = made.session.pipeline, made.session.worker
    assert worker is not None
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        free.wait(30)

    worker.call(hold)
    assert held.wait(30)
    changed = [Parameter("segment_every_n", value=3), Parameter("lost_after", value=5)]
    assert made.set_parameters_atomically(changed).successful
    assert pipeline.options.segment_every_n == 1  # an image is in hand
    free.set()
    worker.call(lambda: None).result(30)
    assert (pipeline.options.segment_every_n, pipeline.options.lost_after) == (3, 5)

    refused = [Parameter("lost_after", value=7), Parameter("segment_every_n", value=11)]
    answer = made.set_parameters_atomically(refused)
    assert not answer.successful
    assert "'history_length' must be at least 11: 'segment_every_n'" in answer.reason
    worker.call(lambda: None).result(30)
    assert (pipeline.options.segment_every_n, pipeline.options.lost_after) == (3, 5)
    assert made.get_parameter("lost_after").value == 5
    (one,) = made.set_parameters([Parameter("lost_after", value=8)])
    assert one.successful
    worker.call(lambda: None).result(30)
    assert (pipeline.options.segment_every_n, pipeline.options.lost_after) == (3, 8)
    made.release()
    made.destroy_node()


def test_the_node_hides_nothing_of_its_base_class(context: Context) -> None:
    """An attribute named like one of rclpy's replaces it, in silence."""
    plain = LifecycleNode("plain", context=context)
    ours = TrackNode(context=context)
    methods = set(vars(TrackNode)) - {"__module__", "__doc__", "__init__"}
    allowed = {n for n in methods if n.startswith("on_")}
    assert not (methods - allowed) & (set(dir(LifecycleNode)) | set(vars(plain)))
    for name, value in vars(plain).items():
        assert type(vars(ours)[name]) is type(value), name
    assert len(list(ours.services)) == len(list(plain.services))
    for made in (plain, ours):
        made.destroy_node()
