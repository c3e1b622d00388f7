"""The study of one sequence: each object by itself, with each annotation method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.interactive.annotator import FrameTruth
from sam_pt_ros.evaluation.interactive.curve import StudyCurve
from sam_pt_ros.evaluation.interactive.methods import (
    ANNOTATION_METHODS,
    Budget,
    annotate,
    method_named,
)
from sam_pt_ros.evaluation.interactive.prompted import Footage, PromptedObject
from sam_pt_ros.evaluation.sequences import VOID, VideoSequence
from sam_pt_ros.pipeline import SamPt


def run_study(
    sequence: VideoSequence,
    create: Callable[[], SamPt],
    methods: Sequence[str] = tuple(ANNOTATION_METHODS),
    budget: Budget | None = None,
    object_ids: Sequence[int] | None = None,
) -> list[StudyCurve]:
    """Let the simulated annotator annotate the objects of a sequence, one at a time.

    Nothing is random: the same arguments give the same curves.

    Args:
        sequence: the video and its ground truth. An object is measured in the annotated frames
            from the one in which it is given. All frames are held in memory.
        create: creates the pipeline (``Configuration.create``). Its tracker, its segmenter and its
            option ``require_positive`` are used.
        methods: names of annotation methods.
        budget: for each object and method; None: the paper's.
        object_ids: the objects; None: all of the sequence.

    Returns:
        A curve per object and method, in this order.

    Raises:
        UserError: a method or an object is unknown, files cannot be read or differ in size, or a
            backend cannot be created.
    """
    chosen = [method_named(name) for name in methods]
    ids = sorted(sequence.first_frames) if object_ids is None else list(object_ids)
    for object_id in ids:
        if object_id not in sequence.first_frames:
            known = ", ".join(map(str, sorted(sequence.first_frames))) or "none"
            raise UserError(
                f"sequence '{sequence.name}' has no object {object_id}; its objects are {known}"
            )
    budget = budget or Budget()
    pipeline = create()
    footage = Footage(
        (sequence.image(index) for index in range(len(sequence.images))),
        pipeline.tracker if any(method.tracked for method in chosen) else None,
    )
    curves = []
    for object_id in ids:
        truths = _truths(sequence, footage, object_id)
        for method in chosen:
            prompted = PromptedObject(
                footage,
                pipeline.segmenter,
                tracked=method.tracked,
                require_positive=pipeline.options.require_positive,
                object_id=object_id,
            )
            annotation = annotate(prompted, truths, method, budget, object_id)
            curves.append(StudyCurve(sequence.name, method.name, object_id, annotation))
    return curves


def _truths(sequence: VideoSequence, footage: Footage, object_id: int) -> dict[int, FrameTruth]:
    """The ground truth of the frames in which an object is measured, by index."""
    truths = {}
    for index in sorted(sequence.annotations):
        labels = sequence.truth(index)
        if labels is None or index < sequence.first_frames[object_id]:
            continue
        if labels.shape != footage.frame(index).size:
            height, width = footage.frame(index).size
            raise UserError(
                f"{sequence.annotations[index]}: the annotation has {labels.shape[1]}x"
                f"{labels.shape[0]} pixels, its frame {width}x{height}; get the files again"
            )
        truths[index] = FrameTruth(labels == object_id, labels == VOID)
    return truths
