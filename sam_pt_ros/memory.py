"""How glibc's allocator treats large blocks, which a stream of images asks for again and again.

By default it gives them back to the system, and asks for them anew, page by page, in every frame.
Elsewhere than on glibc nothing here does anything.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD = -1  # numbers of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 1 << 30
_LARGEST_OF_OLD = 1 << 25  # for M_MMAP_THRESHOLD, where a larger one is refused


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
