"""Every fault on the page "What happens when" was seen by a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TEST = Path(__file__).resolve().parent
PAGE = TEST.parent / "docs" / "faults.md"

FAULTS = "ros/test_faults.py"
LIFE_CYCLE = "ros/test_life_cycle.py"
NEWCOMERS = "picker/test_newcomers.py"
NODE = "ros/test_node.py"

SEEN: dict[str, list[tuple[str, str]]] = {
    "An image is malformed": [
        (FAULTS, "test_ten_thousand_images_that_are_no_good_cost_nothing"),
        (NODE, "test_a_malformed_image_is_refused_and_the_next_one_is_processed"),
    ],
    "An image is late": [
        (NODE, "test_an_image_that_is_late_costs_no_object"),
        (NODE, "test_the_same_image_twice_is_processed_once"),
    ],
    "A single image has an outlying stamp": [
        (NODE, "test_a_single_image_of_another_time_costs_no_object"),
        (FAULTS, "test_a_single_image_of_the_far_future_costs_no_object"),
    ],
    "Time goes back": [
        (NODE, "test_when_time_goes_back_the_node_begins_anew_and_says_so"),
        (FAULTS, "test_when_time_jumps_ahead_the_node_begins_anew_and_says_so"),
        (NODE, "test_a_recording_that_loops_keeps_its_clicks"),
    ],
    "No image comes": [(FAULTS, "test_a_camera_that_stalls_is_named_and_objects_go_on")],
    "The size or the encoding": [(FAULTS, "test_a_camera_may_change_its_size_and_its_encoding")],
    "A topic has another type": [
        (
            "ros/test_topic_types.py",
            "test_every_input_of_the_node_says_so_and_hears_the_right_type_afterwards",
        )
    ],
    "A camera_info cannot be used": [
        (
            "ros/test_clicks.py",
            "test_points_before_a_calibration_and_without_tf2_are_refused",
        ),
        (
            "ros/test_camera_info_input.py",
            "test_why_one_was_refused_is_what_is_said_of_the_camera",
        ),
        (
            "ros/test_camera_info_input.py",
            "test_one_for_images_of_another_size_does_not_replace_one_that_fits",
        ),
    ],
    "`qos_overrides` asks for more": [
        (FAULTS, "test_a_camera_whose_quality_of_service_does_not_match_is_named")
    ],
    "A subscription asks for more": [
        (
            "ros/test_topics.py",
            "test_outputs_are_offered_as_overridden_and_who_asks_for_more_is_named",
        )
    ],
    "Two nodes publish": [
        (FAULTS, "test_two_cameras_on_one_topic_are_noticed"),
        (
            "ros/test_stream_order.py",
            "test_of_two_cameras_with_clocks_of_their_own_one_is_settled_on",
        ),
    ],
    "The driver does not stamp": [
        (FAULTS, "test_a_driver_that_does_not_stamp_is_named_once"),
    ],
    "Images come faster": [
        (FAULTS, "test_performance_says_what_each_image_cost_and_what_was_dropped"),
        (NODE, "test_the_mode_latest_drops_images_instead_of_falling_behind"),
    ],
    "The tracker fails": [(FAULTS, "test_a_model_that_fails_costs_that_image_only")],
    "The segmenter fails": [
        (FAULTS, "test_a_model_that_fails_costs_that_image_only"),
        (NODE, "test_a_failing_model_costs_no_frame_its_result"),
    ],
    "The GPU runs out of memory": [
        (FAULTS, "test_where_memory_is_scarce_objects_are_segmented_one_by_one")
    ],
    "Models fail in `max_failures`": [
        (FAULTS, "test_models_that_fail_again_and_again_are_loaded_anew")
    ],
    "A click refers to an image far back": [
        (
            "pipeline/test_late_clicks.py",
            "test_within_a_budget_it_catches_up_over_several_frames",
        ),
        (
            "pipeline/test_late_clicks.py",
            "test_what_cannot_catch_up_is_dropped_and_that_is_said",
        ),
    ],
    "A model hangs": [
        (FAULTS, "test_a_model_that_hangs_for_two_seconds_keeps_nobody_else_waiting"),
        (NODE, "test_a_service_that_waits_for_a_slow_model_keeps_nobody_else_waiting"),
        (LIFE_CYCLE, "test_clicks_do_not_pile_up_where_a_model_hangs"),
        ("ros/test_diagnostics.py", "test_images_that_come_to_nothing_are_a_warning"),
    ],
    "A click's coordinates are not numbers": [
        (NODE, "test_a_bad_click_is_refused_and_the_node_lives"),
        (NODE, "test_other_bad_clicks_are_refused"),
    ],
    "The transform of a point": [
        (
            "ros/test_click_reader.py",
            "test_where_the_transform_of_the_image_is_not_known_the_click_is_refused",
        ),
        (
            "ros/test_click_reader.py",
            "test_before_the_first_image_a_point_is_where_the_camera_has_it_now",
        ),
    ],
    "A service request is invalid": [(FAULTS, "test_services_refuse_nonsense_with_a_reason")],
    "An output cannot be made": [
        (LIFE_CYCLE, "test_an_output_that_cannot_be_made_costs_no_other")
    ],
    "A parameter is wrong": [
        (NODE, "test_a_wrong_parameter_ends_the_node_with_one_line"),
        (NODE, "test_what_cannot_be_used_ends_the_node_with_its_reason"),
    ],
    "An override of QoS": [
        (LIFE_CYCLE, "test_an_override_for_a_topic_that_is_not_there_is_named")
    ],
    "Two nodes have the same name": [(LIFE_CYCLE, "test_two_nodes_of_one_name_are_noticed")],
    "Connections to the target picker": [
        (NEWCOMERS, "test_half_sent_requests_are_bounded_and_the_page_goes_on"),
        (NEWCOMERS, "test_who_floods_pushes_out_himself_and_nobody_else"),
        (NEWCOMERS, "test_who_shows_no_token_in_time_is_closed"),
    ],
    "SIGINT or SIGTERM": [
        ("ros/test_endings.py", "test_a_signal_while_modules_are_imported_ends_the_node_well"),
        ("ros/test_endings.py", "test_a_signal_at_any_moment_ends_the_node_at_once_and_well"),
        (NODE, "test_a_slow_model_is_never_asked_by_two_threads"),
    ],
    "`sam-pt demo` or `sam-pt replay` is interrupted": [
        ("demo/test_interrupted_recording.py", "test_an_interrupted_recording_can_be_read"),
        ("demo/test_demo.py", "test_interrupted_it_leaves_no_node_behind"),
    ],
}
"""By how a row begins: the tests that have seen what it says, by file."""


def rows() -> list[list[str]]:
    section = PAGE.read_text(encoding="utf-8").split("## Faults\n", 1)[1]
    lines = re.findall(r"^\|(.*)\|$", section.split("\n## ", 1)[0], re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_every_row_was_seen_by_a_test() -> None:
    faults = [row[0] for row in rows()]
    assert len(faults) == len(SEEN)
    for fault, begins in zip(faults, SEEN):
        assert fault.startswith(begins)


def test_these_tests_exist() -> None:
    for path, name in {each for tests in SEEN.values() for each in tests}:
        tree = ast.parse((TEST / path).read_text(encoding="utf-8"))
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, (path, name)


def test_what_is_logged_is_what_the_node_says() -> None:
    """The fixed words of each quoted line stand in the sources."""
    sources = [
        path.read_text(encoding="utf-8") for path in (TEST.parent / "sam_pt_ros").rglob("*.py")
    ]
    said = re.sub(r'"\s*f?"', "", "\n".join(sources))
    quoted = [line for row in rows() for line in re.findall("`([^`]+)`", row[2]) if len(line) > 20]
    assert len(quoted) > 8
    for line in quoted:
        # What is not fixed: numbers, names of topics and nodes, what is in quotes, and choices.
        values = "images|RELIABLE|BEST_EFFORT|TRANSIENT_LOCAL|VOLATILE|camera|rviz"
        for part in re.split(rf"[-\d.]+|/\w+|'.*?'|:|{values}|before|after", line):
            words = part.strip(" :;,x")
            assert len(words) < 8 or words in said, (line, words)
