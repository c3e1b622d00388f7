"""A comparison of two runs as text, as CSV and as a chart."""

from __future__ import annotations

import math
from pathlib import Path

from sam_pt_ros.evaluation.comparison import COMPARED_MEASURES, Comparison, Difference
from sam_pt_ros.evaluation.scored_run import ScoredRun, object_title
from sam_pt_ros.output.csv_files import write_csv
from sam_pt_ros.output.terminal import table_lines

_CSV_HEAD = (
    *("sequence", "object_id", "label", "measure", "before", "after", "difference"),
    *("standard_error", "seeds", "significant", "verdict"),
)


def format_comparison(comparison: Comparison) -> str:
    """A comparison as text for a terminal; values are in percent."""
    a, b = comparison.before, comparison.after
    lines = [f"before: {a.title} ({a.path})", f"after:  {b.title} ({b.path})"]
    lines += _changed_parameters(a, b)
    for mean in comparison.means:
        items = [item for item in comparison.differences if item.measure == mean.measure]
        title = COMPARED_MEASURES[mean.measure]
        head = ["object", f"{title} before", "after", "difference"]
        head += ["± error", "seeds", "significant"]
        lines.append("")
        for verdict in ("worse", "unchanged", "better"):
            group = [_cells(item) for item in items if item.verdict == verdict]
            if group:
                lines += [f"{verdict}: {len(group)}", *table_lines(head, group), ""]
        count = f"{len(items)} object" + ("s" if len(items) > 1 else "")
        lines += [f"all: {count}", *table_lines(head, [_cells(mean)])]
    for which, objects in (
        ("only before", comparison.only_before),
        ("only after", comparison.only_after),
    ):
        if objects:
            names = ", ".join(object_title(key, label) for key, label in objects.items())
            lines += ["", f"{which}: {names}"]
    if comparison.notes:
        lines += ["", *(f"note: {note}" for note in comparison.notes)]
    return "\n".join(lines) + "\n"


def _changed_parameters(before: ScoredRun, after: ScoredRun) -> list[str]:
    """The parameters that differ between the runs, one line each."""
    first, second = before.configuration, after.configuration
    if not first or not second:
        return []
    return [
        f"{name}: {first.get(name, 'none')} → {second.get(name, 'none')}"
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def _cells(item: Difference) -> list[str]:
    error = "" if math.isnan(item.standard_error) else f"{100 * item.standard_error:.2f}"
    significant = {True: "yes", False: "no", None: ""}[item.significant]
    values = [
        f"{100 * item.before:.2f}",
        f"{100 * item.after:.2f}",
        f"{100 * item.difference:+.2f}",
    ]
    return [item.name, *values, error, str(item.seeds), significant]


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write a comparison as CSV.

    Means come first, without a sequence; then a line per object and measure; then the objects
    that one run lacks, without a measure.

    Raises:
        UserError: the file cannot be written.
    """
    rows: list[list[object]] = [
        [
            item.sequence,
            item.object_id or None,
            item.label,
            item.measure,
            item.before,
            item.after,
            item.difference,
            item.standard_error,
            item.seeds,
            item.significant,
            item.verdict,
        ]
        for item in (*comparison.means, *comparison.differences)
    ]
    for verdict, objects in (
        ("only before", comparison.only_before),
        ("only after", comparison.only_after),
    ):
        rows += [[*key, label, *[None] * 7, verdict] for key, label in objects.items()]
    write_csv(path, _CSV_HEAD, rows)


def plot_comparison(path: Path, comparison: Comparison) -> None:
    """Draw the comparison's first measure as SVG; that is J&F if any object has it.

    Raises:
        UserError: the file cannot be written.
    """
    from sam_pt_ros.evaluation.chart_style import save_chart
    from sam_pt_ros.evaluation.score_charts import difference_chart

    measure = comparison.means[0].measure
    items = [item for item in comparison.differences if item.measure == measure]
    svg = difference_chart(
        [item.name for item in items],
        [item.before for item in items],
        [item.after for item in items],
        COMPARED_MEASURES[measure],
    )
    save_chart(path, svg)
