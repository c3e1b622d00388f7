"""Memory: keep freed blocks for the next frame, free unused memory, recognise a shortage.

Every frame allocates large blocks. By default glibc returns them to the system when they are freed
and requests them again, page by page, for the next frame. The settings of the allocator have an
effect with glibc only.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys

_M_TRIM_THRESHOLD = -1  # constants of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 1 << 30
_LARGEST_OF_OLD = 1 << 25  # limit of M_MMAP_THRESHOLD in older versions of glibc
_NO_ROOM = re.compile(  # CUDA outside of PyTorch's allocator, PyTorch on a CPU, OpenCV
    r"CUDA error: out of memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|DefaultCPUAllocator: can't allocate memory|\(-4:Insufficient memory\)"
)


def keep_freed_memory() -> None:
    """Keep freed large blocks for later allocations instead of returning them to the system.

    Without this, CoTracker on a CPU spends an eighth of a frame's time on allocation. The setting
    applies to the whole process, whose memory then stays at its peak.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        if not mallopt(_M_MMAP_THRESHOLD, _LARGE):
            mallopt(_M_MMAP_THRESHOLD, _LARGEST_OF_OLD)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)


def share_freed_memory() -> None:
    """Make all threads share freed blocks. Call it before other threads are started.

    Otherwise most threads get an arena of their own, whose freed end is returned to the system
    regardless of :func:`keep_freed_memory`.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def free_memory() -> None:
    """Free unused memory, on the GPU as well if it still responds."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        with contextlib.suppress(RuntimeError):
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the GPU or the CPU."""
    names = {kind.__name__ for kind in type(error).__mro__}  # without importing PyTorch
    return bool(names & {"OutOfMemoryError", "MemoryError"} or _NO_ROOM.search(str(error)))
