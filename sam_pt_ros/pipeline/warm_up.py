"""What is slow only once is done before the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sam_pt_ros.objects import ObjectPrompt

if TYPE_CHECKING:
    from sam_pt_ros.pipeline import SamPt

_SIZE = (480, 640)
_FRAMES = 3  # in the first an object is started, in the others it is tracked


def warm_up(pipeline: SamPt) -> None:
    """Track a square through a few frames, and forget them.

    A network's first frames are slow: it chooses kernels and allocates memory. Errors are ignored
    here: they recur in the camera's first frames, and are reported there.
    """
    image = np.full((*_SIZE, 3), 96, np.uint8)
    image[::8] = 128  # texture for points to hold on to
    image[160:320, 240:400] = 200
    try:
        pipeline.process(image, 0)
        pipeline.add_object(ObjectPrompt(np.array([[320, 240]]), np.array([1])))
        for index in range(1, _FRAMES):
            pipeline.process(image, index)
        pipeline.flush()
    except Exception:
        pass
    finally:
        pipeline.reset()
