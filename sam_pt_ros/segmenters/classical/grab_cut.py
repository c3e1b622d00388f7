"""What fills a box: GrabCut (Rother, Kolmogorov and Blake 2004), as OpenCV has it."""

from __future__ import annotations

import cv2
import numpy as np

_CORE = 0.15  # radius around the middle of the box that is the object, in half sides
_ROUND = 1.1  # radius beyond which the corners of the box are rather not the object
_LEAST = 0.1  # share of the box that a thing fills, whose box it is
_ITERATIONS = 5
_MODEL = (1, 65)  # shape of the colour models that OpenCV keeps


def grab_cut(image: np.ndarray, inside: np.ndarray, radius: np.ndarray) -> np.ndarray | None:
    """Separate the thing in a box from what is beside it, by colours.

    Args:
        image: RGB ``uint8 (h, w, 3)``, the box and its surroundings.
        inside: ``bool (h, w)``, the box.
        radius: ``float32 (h, w)``, distance from the middle of the box, 1 on the ellipse in it.

    Returns:
        ``float32 (h, w)``, 1 on the thing; None if the box leaves no surroundings to compare
        with, has the same colours as they, or is too narrow.
    """
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if inside.all():
        return None
    labels[inside & (radius > _ROUND)] = cv2.GC_PR_BGD
    labels[inside & (radius < _CORE)] = cv2.GC_FGD
    if not np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
        return None
    cv2.setRNGSeed(0)  # it clusters colours from a random start
    cv2.grabCut(
        np.ascontiguousarray(image),
        labels,
        None,
        np.zeros(_MODEL),
        np.zeros(_MODEL),
        _ITERATIONS,
        cv2.GC_INIT_WITH_MASK,
    )
    found = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if np.count_nonzero(found) < _LEAST * np.count_nonzero(inside):
        return None
    return found.astype(np.float32)
