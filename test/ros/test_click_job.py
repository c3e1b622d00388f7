"""A click on its way to the pipeline reports by itself what came of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam_pt_ros.errors import FrameUnavailableError, UserError
from sam_pt_ros.objects import ObjectPrompt, PromptRequest
from sam_pt_ros.ros.click_inputs import ClickJob
from sam_pt_ros.ros.click_reader import ClickRequest

REQUEST = PromptRequest(ObjectPrompt(np.array([[1.0, 2.0]]), np.array([1])))


class Said:
    """Stands in for a node, its logger and a reporter."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def get_logger(self) -> Any:
        return SimpleNamespace(info=self.lines.append, warning=self.lines.append)

    def exception(self, what: str, error: BaseException) -> None:
        self.lines.append(f"{what}: {error!r}")


class Reader:
    """Applies clicks to objects 1 and 2, or fails."""

    def __init__(
        self, ids: list[int], error: BaseException | None = None, waiting: tuple[int, ...] = ()
    ) -> None:
        self.object_ids = [1, 2]
        self.waiting_ids = waiting
        self._ids = ids
        self._error = error

    def apply_click(self, click: ClickRequest) -> list[int]:
        assert (click.requests, click.stamp) == ([REQUEST], 7)
        if self._error is not None:
            raise self._error
        self.object_ids = sorted({*self.object_ids, *self._ids})
        return self._ids


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        (Reader([3]), "click on 'points': started object 3"),
        (Reader([1, 2]), "click on 'points': point for object 1, 2"),
        (Reader([2, 3, 4]), "click on 'points': started object 3, 4, point for object 2"),
        (
            Reader([3, 4], waiting=(1, 4)),
            "click on 'points': started object 3, object 4 starts once its image comes",
        ),
        (
            Reader([], FrameUnavailableError("too old")),
            "click on 'points' refused: too old; if the next image begins a new stream, it counts "
            "in that",
        ),
        (Reader([], UserError("no such pixel")), "click on 'points' refused: no such pixel"),
        (Reader([], RuntimeError("no")), "click on 'points' failed: RuntimeError('no')"),
        (Reader([], SystemExit(3)), "click on 'points' failed: SystemExit(3)"),
    ],
)
def test_a_click_says_once_what_came_of_it(reader: Any, says: str) -> None:
    said: Any = Said()
    ClickJob("points", lambda: ClickRequest([REQUEST], 7), reader, said, said)()
    assert said.lines == [says]


def test_a_click_that_selects_says_so_and_how_to_start_an_object_there() -> None:
    said: Any = Said()
    reader: Any = Reader([2])
    click = ClickRequest([REQUEST], 7, selected=2)
    ClickJob("clicked_pixel", lambda: click, reader, said, said)()
    assert said.lines == [
        "click on 'clicked_pixel': point for object 2, which it lies on; to start another there, "
        "set click_selects to false"
    ]


def test_a_click_that_repeats_another_says_so() -> None:
    said: Any = Said()
    reader: Any = Reader([2])
    click = ClickRequest([REQUEST], 7, selected=2, repeats=True)
    ClickJob("clicked_point", lambda: click, reader, said, said)()
    assert said.lines == [
        "click on 'clicked_point': point for object 2, which a click beside it has just started; "
        "to start another there, set click_selects to false"
    ]


def test_a_click_that_cannot_be_read_is_refused() -> None:
    said: Any = Said()

    def read() -> ClickRequest:
        raise UserError("the point has no frame_id")

    reader: Any = Reader([3])
    ClickJob("clicked_point", read, reader, said, said)()
    assert said.lines == ["click on 'clicked_point' refused: the point has no frame_id"]
    assert reader.object_ids == [1, 2]
