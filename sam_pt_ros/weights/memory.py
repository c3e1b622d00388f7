"""How glibc's allocator treats large blocks, which a stream of images asks for again and again.

By default it gives them back to the system, and asks for them anew, page by page, in every frame.
Elsewhere than on glibc nothing here does anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys

_M_TRIM_THRESHOLD = -1  # numbers of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 1 << 30
_LARGEST_OF_OLD = 1 << 25  # for M_MMAP_THRESHOLD, where a larger one is refused
_NO_ROOM = re.compile(  # of CUDA beside PyTorch's own allocator, of PyTorch on a CPU, of OpenCV
    r"CUDA error: out of memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|DefaultCPUAllocator: can't allocate memory|\(-4:Insufficient memory\)"
)


def keep_freed_memory() -> None:
    """Have large blocks that were freed kept, for the next that are asked for.

    The default cost an eighth of a frame's time with CoTracker on a CPU. It holds for the whole
    process, whose memory then stays at its peak.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        if not mallopt(_M_MMAP_THRESHOLD, _LARGE):
            mallopt(_M_MMAP_THRESHOLD, _LARGEST_OF_OLD)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)


def share_freed_memory() -> None:
    """Have all threads use the same freed blocks; to be called before there are other threads.

    Otherwise most threads get a region of their own, whose freed end is given back whatever
    :func:`keep_freed_memory` says.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def free_memory() -> None:
    """Give back what is not used any more, on the GPU as well, unless that is out of order."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a model found no room, on the GPU or off it."""
    names = {kind.__name__ for kind in type(error).__mro__}  # without importing PyTorch
    return bool(names & {"OutOfMemoryError", "MemoryError"} or _NO_ROOM.search(str(error)))
