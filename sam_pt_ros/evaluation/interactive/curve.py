"""The results of a study: mask quality after each interaction, as CSV and as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from sam_pt_ros.errors import UserError, counted
from sam_pt_ros.evaluation.interactive.methods import (
    ANNOTATION_METHODS,
    Annotation,
    Interaction,
    method_named,
)
from sam_pt_ros.interchange.visualization import PALETTE
from sam_pt_ros.output.csv_files import write_csv

COLUMNS = ("sequence", "method", *(field.name for field in fields(Interaction)))
"""Of the CSV file."""

# Lines differ in more than their colour.
_STYLES = dict(
    zip(ANNOTATION_METHODS, ((PALETTE[5], "--"), (PALETTE[6], "-"), (PALETTE[4], "-.")))
)


@dataclass(frozen=True)
class StudyCurve:
    """One object of one sequence, annotated with one method.

    Attributes:
        sequence: its name.
        method: name of the annotation method, a key of
            :data:`~sam_pt_ros.evaluation.interactive.methods.ANNOTATION_METHODS`.
        object_id: 1 to 65534.
        annotation: the interactions and their effect.
    """

    sequence: str
    method: str
    object_id: int
    annotation: Annotation

    def __post_init__(self) -> None:
        method_named(self.method)

    @property
    def spent(self) -> int:
        """Number of interactions."""
        return len(self.annotation.interactions)

    @property
    def final_iou(self) -> float:
        """Final mean region similarity, 0 to 1."""
        return float(self.annotation.kept_ious[-1])


def mean_curve(curves: Sequence[StudyCurve], length: int | None = None) -> np.ndarray:
    """Mean region similarity after 0, 1, ... interactions with each object, ``float64 (N,)``.

    Args:
        curves: at least one; each counts the same, and stays constant after its end.
        length: N; None: up to the end of the longest curve.
    """
    values = [curve.annotation.kept_ious for curve in curves]
    if length is None:
        length = max(map(len, values))
    held = [np.pad(each, (0, max(length - len(each), 0)), "edge")[:length] for each in values]
    return np.asarray(np.mean(held, axis=0))


def write_curves(path: Path, curves: Iterable[StudyCurve]) -> None:
    """Write CSV: for each curve a line with the number 0, then a line per interaction.

    Cells that the first line has no value for are empty.

    Raises:
        UserError: the file cannot be written.
    """
    write_csv(path, COLUMNS, (line for curve in curves for line in _lines(curve)))


def _lines(curve: StudyCurve) -> Iterator[Sequence[object]]:
    start = {
        "sequence": curve.sequence,
        "method": curve.method,
        "number": 0,
        "object_id": curve.object_id,
        "mean_iou": curve.annotation.start_iou,
        "kept_iou": curve.annotation.start_iou,
    }
    yield [start.get(name) for name in COLUMNS]
    for interaction in curve.annotation.interactions:
        yield [curve.sequence, curve.method, *astuple(interaction)]


def plot_curves(path: Path, curves: Sequence[StudyCurve], goal: float | None = None) -> None:
    """Plot mean region similarity over interactions, a line per annotation method.

    Args:
        path: the file to write, of a kind that Matplotlib supports (.png, .svg, ...).
        curves: at least one; those of one method are averaged (:func:`mean_curve`).
        goal: region similarity to draw a line at; None: no line.

    Raises:
        UserError: there is no curve, Matplotlib is not installed, or the file cannot be written.
    """
    if not curves:
        raise UserError(f"{path}: there is no curve to plot; study at least one object")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise UserError(f"{path}: plots need Matplotlib; run `pip install matplotlib`") from error
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    length = max(len(curve.annotation.kept_ious) for curve in curves)
    if goal is not None:
        axes.axhline(goal, color="0.6", linewidth=1, linestyle=":", label=f"Goal, {goal:g}")
    for name, method in ANNOTATION_METHODS.items():
        chosen = [curve for curve in curves if curve.method == name]
        if not chosen:
            continue
        colour, style = _STYLES[name]
        own = mean_curve(chosen)
        # The line is thin where all curves have ended.
        values = mean_curve(chosen, length)
        rgb = tuple(channel / 255 for channel in colour)
        label = _caption(method.title, chosen)
        axes.step(range(len(own)), own, style, where="post", color=rgb, lw=2, label=label)
        axes.plot(range(len(own) - 1, length), values[len(own) - 1 :], color=rgb, linewidth=0.7)
    axes.set_xlabel("Interactions per object (points added or removed)")
    axes.set_ylabel("Mean IoU over the annotated frames (0 to 1)")
    axes.set_xlim(0, max(length - 1, 1))
    axes.set_ylim(0, 1)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:  # ValueError: an unknown kind of file
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UserError(f"{path}: cannot be written ({reason}); check the path") from error


def _caption(title: str, curves: Sequence[StudyCurve]) -> str:
    objects = counted(len(curves), "object")
    spent = sum(curve.spent for curve in curves) / len(curves)
    final = sum(curve.final_iou for curve in curves) / len(curves)
    return f"{title}: {final:.3f} after {spent:.3g} ({objects})"
