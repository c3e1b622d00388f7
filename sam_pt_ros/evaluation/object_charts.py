"""Charts of objects over time: each object's states and scores, and an overview."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from matplotlib.ticker import EngFormatter, MaxNLocator

from sam_pt_ros.evaluation.chart_style import (
    INK,
    OUTLINE,
    add_legend,
    axis_name,
    colour_of_object,
    drawing,
    is_light,
    seconds_since,
    set_time_axis,
    single_chart,
    stacked_charts,
    to_svg,
)
from sam_pt_ros.evaluation.results import ObjectRow
from sam_pt_ros.evaluation.thinning import MAX_SAMPLES, thinned
from sam_pt_ros.objects import ObjectState

MAX_OVERVIEW = 100
"""The overview shows at most this many objects."""

_BINS = 450  # of a band of states
_FEW = 60  # up to here, samples are marked one by one


def object_chart(rows: Sequence[ObjectRow], origin: int, end: int) -> str:
    """What became of one object over time.

    From the top: its states, the score of its mask, J and F if there is a ground truth, the area
    of its mask in pixels, and its visible positive points. Long runs are thinned, but keep their
    minima and maxima.

    Args:
        rows: of one object, at least one, in the order of the frames.
        origin: stamp at time 0, nanoseconds.
        end: stamp of the last frame of the run, nanoseconds.

    Returns:
        SVG.
    """
    if not rows or len({row.object_id for row in rows}) != 1:
        raise ValueError("an object's chart takes rows of one object")
    seconds = seconds_since(origin, [row.stamp for row in rows])
    frames = np.array([row.frame for row in rows])
    truths = [name for name in ("j", "f") if any(getattr(row, name) >= 0 for row in rows)]
    colour = colour_of_object(rows[0].object_id)
    with drawing():
        figure, axes = stacked_charts([0.42, 0.62, *(0.62 for _ in truths), 0.62, 0.62])
        states, score, *measures, area, points = axes
        _draw_states(states, rows, seconds, colour)
        score.set_title("score of the mask")
        _draw_line(score, frames, seconds, _column(rows, "score"), colour)
        score.set_ylim(-0.04, 1.04)
        for axis, name in zip(measures, truths, strict=True):
            _draw_measure(axis, rows, name, seconds, colour)
        area.set_title("area of the mask (px)")
        areas = _column(rows, "area")
        _draw_line(area, frames, seconds, areas, colour)
        area.set_ylim(0, max(1.0, 1.08 * float(np.max(areas))))
        area.yaxis.set_major_formatter(EngFormatter(sep=""))
        points.set_title("positive points")
        totals = _column(rows, "points_total")
        _draw_line(
            points, frames, seconds, _column(rows, "points_visible"), colour, "-", "visible"
        )
        _draw_line(points, frames, seconds, totals, INK, ":", "total")
        points.set_ylim(-0.2, max(1.0, 1.12 * float(np.max(totals))))
        points.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        add_legend(points)
        set_time_axis(axes, seconds, (end - origin) / 1e9)
        name = f"Object {rows[0].object_id} over time"
        return to_svg(figure, name, f"object {rows[0].object_id}")


def overview_chart(objects: Mapping[int, Sequence[ObjectRow]], origin: int, end: int) -> str:
    """When each object was tracked (thick), occluded (thin) and lost (dotted).

    Args:
        objects: rows by object id, at least one object and at least one row each; the first
            :data:`MAX_OVERVIEW` are drawn.
        origin: stamp at time 0, nanoseconds.
        end: stamp of the last frame, nanoseconds.

    Returns:
        SVG.
    """
    if not objects or not all(objects.values()):
        raise ValueError("an overview takes at least one object, each with rows")
    drawn = dict(list(objects.items())[:MAX_OVERVIEW])
    names = [axis_name(f"{object_id} {rows[0].label}", 20) for object_id, rows in drawn.items()]
    with drawing():
        figure, axis = single_chart(0.75 + 0.19 * len(drawn))
        for y, (object_id, rows) in enumerate(drawn.items()):
            colour = colour_of_object(object_id)
            runs = _runs(rows, seconds_since(origin, [row.stamp for row in rows]))
            edge = OUTLINE if is_light(colour) else "none"
            for state, height in ((ObjectState.TRACKING, 0.72), (ObjectState.OCCLUDED, 0.24)):
                axis.broken_barh(
                    runs[state],
                    (y - height / 2, height),
                    facecolor=colour,
                    edgecolor=edge,
                    linewidth=0.5,
                )
            for start, length in runs[ObjectState.LOST]:
                axis.plot([start, start + length], [y, y], ":", color=INK, linewidth=1.0)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.set_title("thick: tracking, thin: occluded, dotted: lost")
        set_time_axis([axis], seconds_since(origin, [end]), (end - origin) / 1e9)
        return to_svg(figure, "States of all objects over time", "overview")


def _draw_line(
    axis: Axes,
    frames: np.ndarray,
    seconds: np.ndarray,
    values: np.ndarray,
    colour: str,
    style: str = "-",
    label: str = "",
) -> None:
    """Draw a thinned line, with gaps where frames are missing; a few samples get dots, too."""
    holes = np.flatnonzero(np.diff(frames) != 1) + 1
    seconds = np.insert(seconds, holes, (seconds[holes - 1] + seconds[holes]) / 2)
    values = np.insert(values, holes, math.nan)
    chosen = thinned(values, MAX_SAMPLES)
    effects: list[AbstractPathEffect] = [Normal()]
    if is_light(colour):
        effects.insert(0, Stroke(linewidth=2.9, foreground=OUTLINE))
    axis.plot(
        seconds[chosen],
        values[chosen],
        style,
        color=colour,
        label=label,
        marker="o" if len(values) <= _FEW and style == "-" else "",
        markersize=2.5,
        path_effects=effects,
        clip_on=False,
    )


def _draw_measure(
    axis: Axes, rows: Sequence[ObjectRow], name: str, seconds: np.ndarray, colour: str
) -> None:
    """Draw J or F, which frames without an annotation lack."""
    axis.set_title(f"{name.upper()} against the ground truth")
    values = _column(rows, name)
    known = ~np.isnan(values)
    _draw_line(axis, np.arange(np.count_nonzero(known)), seconds[known], values[known], colour)
    axis.set_ylim(-0.04, 1.04)


def _draw_states(axis: Axes, rows: Sequence[ObjectRow], seconds: np.ndarray, colour: str) -> None:
    """Draw a lane per state, from the top TRACKING, OCCLUDED and LOST."""
    looks = {
        ObjectState.TRACKING: (colour, ""),
        ObjectState.OCCLUDED: (colour, "/////"),
        ObjectState.LOST: (INK, ""),
    }
    runs = _runs(rows, seconds)
    for lane, (state, (face, hatch)) in enumerate(looks.items()):
        axis.broken_barh(
            runs[state],
            (lane - 0.4, 0.8),
            facecolor=face,
            edgecolor=OUTLINE if hatch or is_light(face) else "none",
            hatch=hatch,
            linewidth=0.5,
        )
    axis.set_yticks(range(len(looks)), [state.name.lower() for state in looks])
    axis.set_ylim(len(looks) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.set_title("state")


def _runs(
    rows: Sequence[ObjectRow], seconds: np.ndarray
) -> dict[ObjectState, list[tuple[float, float]]]:
    """Start and length of the stretches in each state, seconds.

    A frame lasts until the next one. In long runs several frames share a stretch, which belongs
    to every state that occurs in it, so that a short loss stays visible.
    """
    steps = np.diff(seconds)
    usual = float(np.median(steps)) if len(steps) else 1.0
    ends = np.append(seconds[1:], seconds[-1] + usual)
    frames = np.array([row.frame for row in rows])
    apart = np.append(np.diff(frames) != 1, True)
    ends[apart] = seconds[apart] + usual
    size = math.ceil(len(rows) / _BINS)
    runs: dict[ObjectState, list[tuple[float, float]]] = {state: [] for state in ObjectState}
    for first in range(0, len(rows), size):
        last = min(first + size, len(rows)) - 1
        start, end = float(seconds[first]), float(ends[last])
        for name in {row.state for row in rows[first : last + 1]}:
            done = runs[ObjectState[name]]
            if done and first and not apart[first - 1] and sum(done[-1]) >= start - 1e-9:
                begin = done.pop()[0]
                done.append((begin, end - begin))
            else:
                done.append((start, end - start))
    return runs


def _column(rows: Sequence[ObjectRow], name: str) -> np.ndarray:
    return np.array([getattr(row, name) for row in rows], np.float64)
