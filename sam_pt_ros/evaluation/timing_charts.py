"""Charts of durations: the stages of each frame, and how often a duration occurred."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from sam_pt_ros.evaluation.chart_style import (
    INK,
    NEUTRAL,
    drawing,
    printable,
    seconds_since,
    single_chart,
    to_svg,
)
from sam_pt_ros.evaluation.results import TimingRow
from sam_pt_ros.evaluation.thinning import MAX_SAMPLES, thinned

_STAGES = {
    "tracker": ("#59606b", ""),
    "segmenter": ("#a3abb8", ""),
    "reinitialization": ("#dde1e7", "////"),
    "other": ("#dde1e7", "...."),
}
"""Grey and hatching of each stage; colours are reserved for objects."""


def stage_chart(timings: Sequence[TimingRow], origin: int) -> str:
    """Milliseconds of each frame by stage, stacked, over time.

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
    seconds = seconds_since(origin, [timings[i].stamp for i in chosen])
    stages = [
        _known([getattr(timings[i], name) for i in chosen], keep=True)
        for name in ("tracker", "segmenter", "reinitialization")
    ]
    other = np.maximum(totals[chosen] - np.sum(stages, axis=0), 0)
    top, over = _upper_limit(totals)
    with drawing():
        figure, axis = single_chart(2.3)
        if len(seconds) == 1:  # a single frame has no width
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
        return to_svg(figure, "Processing time of each frame by stage", "stages")


def histogram_chart(milliseconds: Sequence[float], measure: str) -> str:
    """How often a duration occurred, with its median and 95th percentile marked.

    Args:
        milliseconds: at least one finite value; others are left out.
        measure: what was measured.

    Returns:
        SVG.
    """
    values = _known(milliseconds)
    if len(values) == 0:
        raise ValueError("a histogram takes at least one value")
    median, tail = (float(v) for v in np.percentile(values, (50, 95)))
    top, over = _upper_limit(values)
    with drawing():
        figure, axis = single_chart(2.1)
        axis.hist(np.minimum(values, top), bins=40, range=(0, top), color=NEUTRAL)
        for value, style, text in (
            (median, "-", f"median {median:.1f} ms"),
            (tail, "--", f"95th percentile {tail:.1f} ms"),
        ):
            axis.axvline(value, color=INK, linestyle=style, linewidth=1.2, label=text)
        axis.set_xlim(0, top)
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_xlabel(f"{printable(measure)} (ms)")
        axis.set_ylabel("frames")
        axis.grid(visible=True, axis="y")
        if over:
            axis.set_title(_beyond(over, top, values) + " (in the last bar)", pad=22)
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.4)
        return to_svg(figure, f"Histogram: {measure}", f"histogram {measure}")


def _known(values: Sequence[float], keep: bool = False) -> np.ndarray:
    """The finite values; or all, with 0 for those that are not finite."""
    array = np.asarray(values, np.float64)
    return np.where(np.isfinite(array), array, 0.0) if keep else array[np.isfinite(array)]


def _upper_limit(milliseconds: np.ndarray) -> tuple[float, int]:
    """The end of an axis, and the number of values beyond it.

    A single slow start must not flatten everything else.
    """
    highest = float(np.max(milliseconds))
    usual = 2.5 * float(np.percentile(milliseconds, 95))
    top = usual if 0 < usual < highest else highest * 1.05
    top = top or 1.0
    return top, int(np.count_nonzero(milliseconds > top))


def _beyond(count: int, top: float, milliseconds: np.ndarray) -> str:
    frames = f"{count} frame{'s' * (count != 1)}"
    return f"{frames} above {top:.0f} ms, the longest {np.max(milliseconds):.0f} ms"
