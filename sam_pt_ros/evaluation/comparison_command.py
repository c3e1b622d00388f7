"""The command ``sam-pt compare``."""

from __future__ import annotations

import argparse

from sam_pt_ros.evaluation.comparison import compare_runs, worse_than
from sam_pt_ros.evaluation.comparison_outputs import (
    format_comparison,
    plot_comparison,
    write_comparison,
)
from sam_pt_ros.evaluation.incomplete import IncompleteError
from sam_pt_ros.evaluation.scored_run import load_run


def compare_command(arguments: argparse.Namespace) -> None:
    """``sam-pt compare``; IncompleteError if anything lost more than the tolerance."""
    comparison = compare_runs(load_run(arguments.before), load_run(arguments.after))
    print(format_comparison(comparison))
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_comparison(arguments.out / "comparison.csv", comparison)
        plot_comparison(arguments.out / "comparison.svg", comparison)
    if arguments.tolerance is not None:
        worse = worse_than(comparison, arguments.tolerance)
        if worse:
            raise IncompleteError(
                f"worse by more than {arguments.tolerance:g}: " + "; ".join(worse)
            )
