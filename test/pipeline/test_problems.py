"""Problems are reported once, with the next result; failures of models also count in a row."""

from __future__ import annotations

from sam_pt_ros.errors import UserError
from sam_pt_ros.pipeline.problems import Problems


def test_notes_come_before_failures_and_are_reported_once() -> None:
    problems = Problems()
    problems.note("points cannot be tracked", RuntimeError("no memory"))
    problems.note("click refused: object 1", UserError("it lies outside"), failed=False)
    problems.note("object 2 was segmented only at the second attempt")
    assert problems.failed
    report = problems.report()
    assert report.problems == (
        "click refused: object 1: it lies outside",
        "object 2 was segmented only at the second attempt",
        "points cannot be tracked: RuntimeError('no memory')",
    )
    assert report.failed and not problems.failed
    assert problems.report().problems == ()


def test_a_refused_click_is_no_failure_of_a_model() -> None:
    problems = Problems()
    problems.note("click refused: object 1", UserError("it lies outside"), failed=False)
    assert not problems.report().failed and problems.streak == 0


def test_the_streak_counts_failed_results_in_a_row() -> None:
    problems = Problems()
    for _ in range(3):
        problems.note("points cannot be tracked", ValueError("NaN"))
        problems.report()
    assert problems.streak == 3
    problems.report()
    assert problems.streak == 0


def test_a_new_stream_ends_the_streak_and_keeps_what_is_not_reported_yet() -> None:
    problems = Problems()
    problems.note("points cannot be tracked", ValueError("NaN"))
    problems.report()
    problems.note("object 3 was dropped")
    problems.end_streak()
    assert problems.streak == 0 and problems.report().problems == ("object 3 was dropped",)
