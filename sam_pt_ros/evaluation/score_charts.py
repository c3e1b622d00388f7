"""Charts of scores: of one run by name, and of two runs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.chart_style import (
    FONT_SIZE,
    INK,
    NEUTRAL,
    axis_name,
    drawing,
    printable,
    single_chart,
    to_svg,
)

MAX_BARS = 60
"""A chart has at most this many rows."""


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
    with drawing():
        figure, axis = single_chart(0.8 + 0.2 * len(drawn))
        places = range(len(drawn))
        axis.barh(places, [v for v, _ in drawn], height=0.66, color=NEUTRAL)
        for y, (value, _) in enumerate(drawn):
            axis.text(max(value, 0) + 0.01, y, f"{value:.3f}", va="center", fontsize=FONT_SIZE - 1)
        axis.set_yticks(places, [axis_name(n) for _, n in drawn])
        axis.set_ylim(len(drawn) - 0.4, -0.6)
        axis.set_xlim(min(0.0, drawn[0][0]), 1.12)
        axis.set_xticks(np.linspace(0, 1, 6))
        axis.set_xlabel(printable(measure))
        axis.grid(visible=True, axis="x")
        axis.tick_params(axis="y", length=0)
        if len(known) > len(drawn):
            axis.set_title(f"the {len(drawn)} lowest of {len(known)}")
        return to_svg(figure, f"{measure} by name", f"bars {measure}")


@dataclass(frozen=True)
class _Change:
    """What became of one name; ``gain`` is positive if it got better."""

    name: str
    before: float
    after: float
    gain: float


def difference_chart(
    names: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    measure: str,
    *,
    higher_is_better: bool = True,
) -> str:
    """Two runs side by side: from a ring (before) to a triangle (after), the largest gain first.

    A filled triangle is better, a hollow one worse, a bar unchanged; the difference is written on
    the right. Of more than :data:`MAX_BARS` names those that changed most are drawn.

    Args:
        names: of what is compared.
        before: one value per name; names whose value is NaN are left out.
        after: likewise.
        measure: name of the axis, with its unit if it has one.
        higher_is_better: False for what should be small, such as a decay or a duration.

    Returns:
        SVG.

    Raises:
        UserError: no name has both values.
    """
    sign = 1 if higher_is_better else -1
    changes = [
        _Change(printable(name), b, a, sign * (a - b))
        for name, b, a in zip(names, before, after, strict=True)
        if math.isfinite(b) and math.isfinite(a)
    ]
    if not changes:
        raise UserError(
            f"'{measure}' is known in both runs for none of {len(names)} names; compare runs of "
            "the same sequences with annotations"
        )
    drawn = sorted(changes, key=lambda change: -abs(change.gain))[:MAX_BARS]
    drawn.sort(key=lambda change: (-change.gain, change.name))
    notes = []
    if len(changes) > len(drawn):
        notes.append(f"the {len(drawn)} of {len(changes)} that changed most")
    if len(names) > len(changes):
        notes.append(f"{len(names) - len(changes)} without a value")
    with drawing():
        figure, axis = single_chart(1.15 + 0.22 * len(drawn) + 0.18 * bool(notes))
        for y, change in enumerate(drawn):
            _draw_change(axis, y, change)
        axis.set_yticks(range(len(drawn)), [axis_name(change.name) for change in drawn])
        axis.set_ylim(len(drawn) - 0.4, -0.6)
        axis.margins(x=0.08)
        axis.set_xlabel(printable(measure))
        axis.grid(visible=True)
        axis.tick_params(axis="y", length=0)
        _add_change_legend(axis, higher_is_better)
        if notes:
            axis.set_title("; ".join(notes), pad=22)
        return to_svg(figure, f"{measure} of two runs", f"difference {measure}")


def _draw_change(axis: Axes, y: int, change: _Change) -> None:
    before, after = change.before, change.after
    axis.plot([before, after], [y, y], color=INK, linewidth=1.2, zorder=2)
    axis.plot(before, y, "o", ms=4.5, mfc="none", mec=INK, mew=1.0, zorder=3)
    marker = "|" if change.gain == 0 else ">" if after > before else "<"
    face = INK if change.gain > 0 else "none"
    axis.plot(after, y, marker, ms=6.5, mfc=face, mec=INK, mew=1.0, zorder=4)
    axis.annotate(
        f"{after - before:+.3f}".replace("-", "−"),
        (1, y),
        (6, 0),
        va="center",
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=FONT_SIZE - 1,
        fontweight="bold" if change.gain < 0 else "normal",
        annotation_clip=False,
    )


def _add_change_legend(axis: Axes, higher_is_better: bool) -> None:
    better, worse = (">", "<") if higher_is_better else ("<", ">")
    for marker, face, size, text in (
        ("o", "none", 4.5, "before"),
        (better, INK, 6.5, "better"),
        (worse, "none", 6.5, "worse (bold)"),
    ):
        axis.plot([], [], marker, ms=size, mfc=face, mec=INK, mew=1.0, label=text)
    axis.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.4, handlelength=1.2
    )
