"""How a clip is divided into chunks that are tracked one after the other (SAM-PT's adapter)."""

from __future__ import annotations

from collections.abc import Iterator


def chunks(frames: int, length: int) -> Iterator[tuple[int, int]]:
    """Divide a sequence into chunks.

    A chunk begins with the last frame of the one before. The last one is moved back to end with
    the sequence, and overlaps further.

    Args:
        frames: length of the sequence; nothing is tracked in a sequence of 1.
        length: frames of a chunk, at least 2.

    Yields:
        First frame and end, exclusive, of each chunk.
    """
    first, end = 0, min(length, frames)
    while end - first > 1:
        yield first, end
        if end == frames:
            return
        first = max(min(first + length - 1, frames - length), 0)
        end = first + length
