"""The command ``sam-pt evaluate-points``."""

from __future__ import annotations

import argparse

from rich.console import Console

from sam_pt_ros.configuration import load_configuration
from sam_pt_ros.evaluation.arguments import chosen_configuration
from sam_pt_ros.evaluation.point_metrics import THRESHOLDS
from sam_pt_ros.evaluation.track_evaluation import evaluate_tracks, read_frames, read_tracks
from sam_pt_ros.output.terminal import format_score, print_line


def evaluate_points_command(arguments: argparse.Namespace) -> None:
    """``sam-pt evaluate-points``."""
    configuration = load_configuration(chosen_configuration(arguments))
    truth = read_tracks(arguments.tracks)
    scores = evaluate_tracks(configuration, read_frames(arguments.frames), truth)
    console = Console()
    for name, value in (
        ("AJ", scores.average_jaccard),
        ("delta_avg", scores.average_pts_within_thresh),
        ("OA", scores.occlusion_accuracy),
    ):
        print_line(console, f"{name:<10} {format_score(value)}")
    for threshold, near in zip(THRESHOLDS, scores.pts_within, strict=True):
        print_line(console, f"within {threshold:>2} px of 256: {format_score(near)}")
