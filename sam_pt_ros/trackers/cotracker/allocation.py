"""How this process asks the system for memory, on a CPU."""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD = -1  # numbers of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_LARGE = 1 << 30


def keep_freed_memory() -> None:
    """Have glibc keep large blocks that were freed, for the next that are asked for.

    Otherwise the network's temporary tensors are given back to the system and asked for anew, page
    by page, in every frame: that took an eighth of the time of a frame. It holds for the whole
    process, whose memory then stays at its peak. Elsewhere than on glibc it does nothing.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)
