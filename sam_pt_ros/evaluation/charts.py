"""Charts of results as SVG text that stands in a page as it is.

Text stays text, the background is transparent, and lines and letters take the colour of the
text around them, so that a page may be light or dark. The same values give the same text. An
object has one colour in all charts (:func:`~sam_pt_ros.interchange.visualization.object_colour`).
"""

from __future__ import annotations

import html
import io
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from matplotlib.ticker import EngFormatter, MaxNLocator

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.results import ObjectRow, TimingRow
from sam_pt_ros.interchange.visualization import object_colour
from sam_pt_ros.objects import ObjectState

MAX_BARS = 60
"""A chart has so many rows of names at most."""

MAX_SAMPLES = 900
"""A line has so many corners at most, which is about one per pixel; see :func:`thinned`."""

_INK = "#1b1f24"  # stands for the colour of the page's text until the SVG is finished
_OUTLINE = "#4a4a4a"  # around colours that are too light for a white page
_TOO_LIGHT = 0.6  # relative luminance
_STAGES = {
    "tracker": ("#59606b", ""),
    "segmenter": ("#a3abb8", ""),
    "reinitialization": ("#dde1e7", "////"),
    "other": ("#dde1e7", "...."),
}
"""Grey and hatching of each stage: the colours belong to objects."""
_BAR = "#8a93a0"

_WIDTH = 5.0  # inches; a telephone shows it about one to one
_FONT = 9
_BINS = 450  # of a band of states
_FEW = 60  # samples are marked one by one up to here
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": _INK,
    "axes.facecolor": "none",
    "axes.labelcolor": _INK,
    "axes.labelsize": _FONT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _INK,
    "axes.titlelocation": "left",
    "axes.titlesize": _FONT,
    "axes.titlepad": 4.0,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": _FONT,
    "grid.alpha": 0.18,
    "grid.color": _INK,
    "grid.linewidth": 0.6,
    "hatch.color": _OUTLINE,
    "hatch.linewidth": 0.7,
    "patch.edgecolor": _OUTLINE,
    "legend.borderpad": 0.0,
    "legend.columnspacing": 1.2,
    "legend.fontsize": _FONT - 1,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "lines.linewidth": 1.3,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": _INK,
    "text.parse_math": False,  # a name may hold a dollar sign
    "xtick.color": _INK,
    "xtick.labelsize": _FONT - 1,
    "xtick.major.width": 0.6,
    "ytick.color": _INK,
    "ytick.labelsize": _FONT - 1,
    "ytick.major.width": 0.6,
}


# --- what is drawn --------------------------------------------------------------------------


def object_chart(rows: Sequence[ObjectRow], origin: int, end: int) -> str:
    """What became of one object over time.

    From the top: a band of its states, the score of its mask, J and F if there is a truth,
    the area of its mask in pixels, and its visible positive points. Long runs are thinned out
    so that minima and maxima stay.

    Args:
        rows: of one object, at least one, in the order of the frames.
        origin: stamp at time 0, nanoseconds.
        end: stamp of the last frame of the run, nanoseconds.

    Returns:
        SVG.
    """
    if not rows or len({row.object_id for row in rows}) != 1:
        raise ValueError("an object's chart takes rows of one object")
    seconds = _seconds([row.stamp for row in rows], origin)
    frames = np.array([row.frame for row in rows])
    truths = [name for name in ("j", "f") if any(getattr(row, name) >= 0 for row in rows)]
    colour = _colour(rows[0].object_id)
    heights = [0.42, 0.62, *(0.62 for _ in truths), 0.62, 0.62]
    with _drawing():
        figure, axes = _stacked(heights)
        rest = iter(axes)
        _draw_states(next(rest), rows, seconds, colour)

        axis = next(rest)
        axis.set_title("score of the mask")
        scores = _column(rows, "score")
        _draw_line(axis, frames, seconds, scores, colour)
        axis.set_ylim(-0.04, 1.04)
        for name in truths:
            axis = next(rest)
            axis.set_title(f"{name.upper()} against the truth")
            values = _column(rows, name)
            known = ~np.isnan(values)  # not every frame need be annotated
            order = np.arange(np.count_nonzero(known))
            _draw_line(axis, order, seconds[known], values[known], colour)
            axis.set_ylim(-0.04, 1.04)
        axis = next(rest)
        axis.set_title("area of the mask (px)")
        areas = _column(rows, "area")
        _draw_line(axis, frames, seconds, areas, colour)
        axis.set_ylim(0, max(1.0, 1.08 * float(np.max(areas))))
        axis.yaxis.set_major_formatter(EngFormatter(sep=""))
        axis = next(rest)
        axis.set_title("positive points")
        totals = _column(rows, "points_total")
        visible = _column(rows, "points_visible")
        _draw_line(axis, frames, seconds, visible, colour, label="visible")
        _draw_line(axis, frames, seconds, totals, _INK, ":", "in all")
        axis.set_ylim(-0.2, max(1.0, 1.12 * float(np.max(totals))))
        axis.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        _legend(axis)
        _time_axis(axes, seconds, (end - origin) / 1e9)
        name = f"Object {rows[0].object_id} over time"
        return _svg(figure, name, f"object {rows[0].object_id}")


def overview_chart(objects: Mapping[int, Sequence[ObjectRow]], origin: int, end: int) -> str:
    """When each object was tracked (thick), occluded (thin) and lost (a dotted line).

    Args:
        objects: rows by object id, at least one object and at least one row each; the first
            100 are drawn.
        origin: stamp at time 0, nanoseconds.
        end: stamp of the last frame, nanoseconds.

    Returns:
        SVG.
    """
    if not objects or not all(objects.values()):
        raise ValueError("an overview takes at least one object, each with rows")
    drawn = dict(list(objects.items())[:100])
    names = [_name(f"{object_id} {rows[0].label}", 20) for object_id, rows in drawn.items()]
    with _drawing():
        figure, axis = _single(0.75 + 0.19 * len(drawn))
        for y, (object_id, rows) in enumerate(drawn.items()):
            colour = _colour(object_id)
            runs = _runs(rows, _seconds([row.stamp for row in rows], origin))
            edge = _OUTLINE if _light(colour) else "none"
            axis.broken_barh(
                runs[ObjectState.TRACKING],
                (y - 0.36, 0.72),
                facecolor=colour,
                edgecolor=edge,
                linewidth=0.5,
            )
            axis.broken_barh(
                runs[ObjectState.OCCLUDED],
                (y - 0.12, 0.24),
                facecolor=colour,
                edgecolor=edge,
                linewidth=0.5,
            )
            for start, length in runs[ObjectState.LOST]:
                axis.plot([start, start + length], [y, y], ":", color=_INK, linewidth=1.0)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.set_title("thick: tracking, thin: occluded, dotted: lost")
        _time_axis([axis], _seconds([end], origin), (end - origin) / 1e9)
        return _svg(figure, "States of all objects over time", "overview")


def stage_chart(timings: Sequence[TimingRow], origin: int) -> str:
    """Milliseconds of each frame by stage, one upon the other, over the time of the frames.

    Args:
        timings: at least one, in the order of the frames.
        origin: stamp at time 0, nanoseconds.

    Returns:
        SVG.
    """
    if not timings:
        raise ValueError("a chart of timings takes at least one")
    totals = _known([row.total for row in timings], keep=True)
    chosen = thinned(totals, MAX_SAMPLES)
    seconds = _seconds([timings[i].stamp for i in chosen], origin)
    stages = [
        _known([getattr(timings[i], name) for i in chosen], keep=True)
        for name in ("tracker", "segmenter", "reinitialization")
    ]
    other = np.maximum(totals[chosen] - np.sum(stages, axis=0), 0)
    top, over = _upper_limit(totals)
    with _drawing():
        figure, axis = _single(2.3)
        if len(seconds) == 1:  # an area needs a width
            seconds = np.array([0.0, 1.0]) + seconds[0]
            stages, other = [np.repeat(stage, 2) for stage in stages], np.repeat(other, 2)
        axis.stackplot(
            seconds,
            *stages,
            other,
            labels=list(_STAGES),
            colors=[grey for grey, _ in _STAGES.values()],
            hatch=[hatch for _, hatch in _STAGES.values()],
            linewidth=0,
        )
        axis.set_ylim(0, top)
        axis.set_xlim(seconds[0], seconds[-1])
        axis.set_xlabel("time (s)")
        axis.set_ylabel("processing (ms)")
        axis.grid(visible=True)
        if over:
            axis.set_title(_beyond(over, top, totals), pad=22)
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.4)
        return _svg(figure, "Processing time of each frame by stage", "stages")


def histogram_chart(milliseconds: Sequence[float], measure: str) -> str:
    """How often a duration occurred, with its median and 95th percentile marked.

    Args:
        milliseconds: at least one that is finite; those that are not are left out.
        measure: what was measured.

    Returns:
        SVG.
    """
    values = _known(milliseconds)
    if len(values) == 0:
        raise ValueError("a histogram takes at least one value")
    median, tail = (float(v) for v in np.percentile(values, (50, 95)))
    top, over = _upper_limit(values)
    with _drawing():
        figure, axis = _single(2.1)
        axis.hist(np.minimum(values, top), bins=40, range=(0, top), color=_BAR)
        for value, style, text in (
            (median, "-", f"median {median:.1f} ms"),
            (tail, "--", f"95 % below {tail:.1f} ms"),
        ):
            axis.axvline(value, color=_INK, linestyle=style, linewidth=1.2, label=text)
        axis.set_xlim(0, top)
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_xlabel(f"{_clean(measure)} (ms)")
        axis.set_ylabel("frames")
        axis.grid(visible=True, axis="y")
        if over:
            axis.set_title(_beyond(over, top, values) + ": in the last bar", pad=22)
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.4)
        return _svg(figure, f"Histogram: {measure}", f"histogram {measure}")


def bar_chart(names: Sequence[str], values: Sequence[float], measure: str) -> str:
    """A bar per name, the lowest first; of more than :data:`MAX_BARS` the lowest.

    Args:
        names: as many as there are values.
        values: 0 to 1; NaN is left out. At least one must be known.
        measure: name of the axis.

    Returns:
        SVG.
    """
    known = sorted(
        ((v, n) for n, v in zip(names, values, strict=True) if math.isfinite(v)),
    )
    if not known:
        raise ValueError("a bar chart takes at least one value")
    drawn = known[:MAX_BARS]
    with _drawing():
        figure, axis = _single(0.8 + 0.2 * len(drawn))
        places = range(len(drawn))
        axis.barh(places, [v for v, _ in drawn], height=0.66, color=_BAR)
        for y, (value, _) in enumerate(drawn):
            axis.text(max(value, 0) + 0.01, y, f"{value:.3f}", va="center", fontsize=_FONT - 1)
        axis.set_yticks(places, [_name(n) for _, n in drawn])
        axis.set_ylim(len(drawn) - 0.4, -0.6)
        axis.set_xlim(min(0.0, drawn[0][0]), 1.12)
        axis.set_xticks(np.linspace(0, 1, 6))
        axis.set_xlabel(_clean(measure))
        axis.grid(visible=True, axis="x")
        axis.tick_params(axis="y", length=0)
        if len(known) > len(drawn):
            axis.set_title(f"the {len(drawn)} lowest of {len(known)}")
        return _svg(figure, f"{measure} by name", f"bars {measure}")


def difference_chart(
    names: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    measure: str,
    *,
    higher_is_better: bool = True,
) -> str:
    """Two runs side by side: from a ring (before) to a triangle (after), the best gain first.

    A filled triangle is better, a hollow one worse, a bar unchanged; the difference stands in
    figures at the right. Of more than :data:`MAX_BARS` names those that changed most are drawn.

    Args:
        names: of what is compared.
        before: one value per name; NaN if it has none: it is left out.
        after: likewise.
        measure: name of the axis, with its unit if it has one.
        higher_is_better: False for what should be small, such as a decay or a duration.

    Returns:
        SVG.

    Raises:
        UserError: no name has both values.
    """
    changes = [
        (b, a, _clean(n))
        for n, b, a in zip(names, before, after, strict=True)
        if math.isfinite(b) and math.isfinite(a)
    ]
    if not changes:
        raise UserError(
            f"'{measure}' is known in both runs for none of {len(names)} names; compare runs of "
            "the same sequences with annotations"
        )
    drawn = sorted(changes, key=lambda c: -abs(c[1] - c[0]))[:MAX_BARS]
    sign = 1 if higher_is_better else -1
    drawn.sort(key=lambda c: (-sign * (c[1] - c[0]), c[2]))
    notes = []
    if len(changes) > len(drawn):
        notes.append(f"the {len(drawn)} of {len(changes)} that changed most")
    if len(names) > len(changes):
        notes.append(f"{len(names) - len(changes)} without a value")
    with _drawing():
        figure, axis = _single(1.15 + 0.22 * len(drawn) + 0.18 * bool(notes))
        for y, (b, a, _) in enumerate(drawn):
            change = sign * (a - b)
            axis.plot([b, a], [y, y], color=_INK, linewidth=1.2, zorder=2)
            axis.plot(b, y, "o", ms=4.5, mfc="none", mec=_INK, mew=1.0, zorder=3)
            marker = "|" if change == 0 else ">" if a > b else "<"
            face = _INK if change > 0 else "none"
            axis.plot(a, y, marker, ms=6.5, mfc=face, mec=_INK, mew=1.0, zorder=4)
            axis.annotate(
                f"{a - b:+.3f}".replace("-", "−"),
                (1, y),
                (6, 0),
                va="center",
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                fontsize=_FONT - 1,
                fontweight="bold" if change < 0 else "normal",
                annotation_clip=False,
            )
        axis.set_yticks(range(len(drawn)), [_name(n) for _, _, n in drawn])
        axis.set_ylim(len(drawn) - 0.4, -0.6)
        axis.margins(x=0.08)
        axis.set_xlabel(_clean(measure))
        axis.grid(visible=True)
        axis.tick_params(axis="y", length=0)
        for marker, face, size, text in (
            ("o", "none", 4.5, "before"),
            (">" if higher_is_better else "<", _INK, 6.5, "better"),
            ("<" if higher_is_better else ">", "none", 6.5, "worse (bold)"),
        ):
            axis.plot([], [], marker, ms=size, mfc=face, mec=_INK, mew=1.0, label=text)
        axis.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.4, handlelength=1.2
        )
        if notes:
            axis.set_title("; ".join(notes), pad=22)
        return _svg(figure, f"{measure} of two runs", f"difference {measure}")


def save_chart(path: Path, svg: str) -> None:
    """Write a chart as a file of its own, on white; UserError if it cannot be written."""
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    backed = re.sub("<svg [^>]*>", lambda start: start[0] + paper, svg, count=1)
    write_text(path, '<?xml version="1.0" encoding="utf-8"?>\n' + backed)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all (UTF-8); UserError if it cannot be written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); choose a folder that exists and that "
            "you may write to"
        ) from error


def thinned(values: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most ``limit`` values that look like all of them.

    The first and the last stay, and of each stretch the smallest, the largest, and one NaN if
    it has any, so that a gap stays a gap.

    Args:
        values: ``float (N,)``.
        limit: at least 5.

    Returns:
        ``int64``, ascending.
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    kept = {0, count - 1}
    for part in np.array_split(np.arange(count), (limit - 2) // 3):
        known = part[~np.isnan(values[part])]
        if len(known):
            kept |= {known[np.argmin(values[known])], known[np.argmax(values[known])]}
        if len(known) < len(part):
            kept.add(part[np.isnan(values[part])][0])
    return np.array(sorted(kept), np.int64)


# --- how it is drawn ------------------------------------------------------------------------


@contextmanager
def _drawing() -> Iterator[None]:
    """Matplotlib in our style, whatever a user's own settings are."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # The browser has other fonts than the one that the layout is computed with.
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def _figure(height: float, layout: str | None = None) -> Figure:
    figure = Figure(figsize=(_WIDTH, height), layout=layout)  # type: ignore[arg-type]
    FigureCanvasSVG(figure)
    return figure


def _single(height: float) -> tuple[Figure, Axes]:
    """A figure with one chart, so many inches high with all its texts."""
    figure = _figure(height, "constrained")
    return figure, figure.add_subplot()


def _stacked(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Charts below each other on one time axis; their heights in inches."""
    gap, bottom, left, right = 0.26, 0.42, 0.62, 0.1
    total = sum(heights) + gap * len(heights) + bottom
    figure = _figure(total)
    axes: list[Axes] = []
    top = total
    for height in heights:
        top -= gap + height
        box = (left / _WIDTH, top / total, 1 - (left + right) / _WIDTH, height / total)
        axis = figure.add_axes(box, sharex=axes[0] if axes else None)
        axis.grid(visible=True)
        axes.append(axis)
    return figure, axes


def _time_axis(axes: Sequence[Axes], seconds: np.ndarray, span: float) -> None:
    for axis in axes[:-1]:
        axis.tick_params(axis="x", labelbottom=False)
    if span > 0:
        axes[-1].set_xlim(0, span)
    else:
        axes[-1].set_xlim(float(seconds[0]) - 0.5, float(seconds[0]) + 0.5)
    axes[-1].set_xlabel("time (s)")


def _legend(axis: Axes) -> None:
    """At the right above the axes, level with their title."""
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.35)


def _draw_line(
    axis: Axes,
    frames: np.ndarray,
    seconds: np.ndarray,
    values: np.ndarray,
    colour: str,
    style: str = "-",
    label: str = "",
) -> None:
    """A thinned line, with gaps where frames are missing; few samples as dots too."""
    holes = np.flatnonzero(np.diff(frames) != 1) + 1
    seconds = np.insert(seconds, holes, (seconds[holes - 1] + seconds[holes]) / 2)
    values = np.insert(values, holes, math.nan)
    chosen = thinned(values, MAX_SAMPLES)
    effects: list[AbstractPathEffect] = [Normal()]
    if _light(colour):
        effects.insert(0, Stroke(linewidth=2.9, foreground=_OUTLINE))
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


def _draw_states(axis: Axes, rows: Sequence[ObjectRow], seconds: np.ndarray, colour: str) -> None:
    """A lane per state, from the top TRACKING, OCCLUDED and LOST."""
    looks = {
        ObjectState.TRACKING: (colour, ""),
        ObjectState.OCCLUDED: (colour, "/////"),
        ObjectState.LOST: (_INK, ""),
    }
    runs = _runs(rows, seconds)
    for lane, (state, (face, hatch)) in enumerate(looks.items()):
        axis.broken_barh(
            runs[state],
            (lane - 0.4, 0.8),
            facecolor=face,
            edgecolor=_OUTLINE if hatch or _light(face) else "none",
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
    """Start and length, seconds, of the stretches in each state.

    A frame lasts until the next one. In long runs several frames make a stretch that belongs
    to every state that occurred in it, so that a short loss is not lost.
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


def _seconds(stamps: Sequence[int], origin: int) -> np.ndarray:
    """Since ``origin``; subtracted as integers, as nanoseconds of this century need."""
    return np.array([(stamp - origin) / 1e9 for stamp in stamps], np.float64)


def _known(values: Sequence[float], keep: bool = False) -> np.ndarray:
    """Those that are finite; or all, with 0 for the others."""
    array = np.asarray(values, np.float64)
    return np.where(np.isfinite(array), array, 0.0) if keep else array[np.isfinite(array)]


def _upper_limit(milliseconds: np.ndarray) -> tuple[float, int]:
    """Where an axis ends, and how many values lie beyond.

    A single start of some seconds must not flatten everything else.
    """
    highest = float(np.max(milliseconds))
    usual = 2.5 * float(np.percentile(milliseconds, 95))
    top = usual if 0 < usual < highest else highest * 1.05
    top = top or 1.0
    return top, int(np.count_nonzero(milliseconds > top))


def _beyond(count: int, top: float, milliseconds: np.ndarray) -> str:
    frames = f"{count} frame{'s' * (count != 1)}"
    return f"{frames} above {top:.0f} ms, the longest {np.max(milliseconds):.0f} ms"


def _colour(object_id: int) -> str:
    red, green, blue = object_colour(object_id)
    return to_hex((red / 255, green / 255, blue / 255))


def _light(colour: str) -> bool:
    """Whether it is hard to see on white."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > _TOO_LIGHT


def _clean(text: str) -> str:
    """Without what is not printable: XML knows no control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _name(text: str, longest: int = 30) -> str:
    """For an axis: cleaned and not too long."""
    text = _clean(text).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _svg(figure: Figure, title: str, salt: str) -> str:
    """The figure as an ``<svg>`` element with a name for those who cannot see it.

    Args:
        figure: drawn.
        title: the element's name.
        salt: keeps the ids of several charts in one page apart.
    """
    data = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(data, format="svg", metadata=nothing)
    text = data.getvalue().decode()
    text = text[text.index("<svg ") :].replace(_INK, "currentColor")
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"[ \n]*\n[ \n]*", "\n", text)
    label = html.escape(_clean(title))
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
