"""Tracking frame by frame, as in LiteTracker (arXiv 2504.09904).

Only the newest frame of a window of 16 is updated. For the others, the tracks and the embedded
correlations are kept. The position of a point in a new frame is initialised by an exponential
moving average of its flow.

Points influence each other as published. Points that are active in a frame attend to each other
there, through the virtual tracks. A point is active from its query frame on; none of its tokens is
attended to before. A point added in a frame takes part in that frame, so the frame, and every
later one, is computed again with it before the next frame is computed. The tracks are then those
of a run in which the point was known from the start. A frame without active points is skipped,
whereas LiteTracker, which knows later points in advance, averages over them in such a frame.

Removing a point removes all its tokens: everything computed from then on, or again, is computed
without it. If no frame was computed with it, it leaves no trace. Otherwise its only trace is in
the positions of the other points in those frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam_pt_ros.trackers.cotracker.engine import TRACK, Engine
from sam_pt_ros.trackers.cotracker.network import WINDOW
from sam_pt_ros.trackers.cotracker.transformer import HIDDEN

_DECAY = 0.8  # weight of the newest step in the flow
_QUERY_LOGIT = 4.6  # visibility and confidence of a point in its query frame


class StreamingEngine(Engine):
    """Keeps a ring buffer of the newest frames; frame f is in slot f modulo its length."""

    reach = 1  # points are added in one frame and tracked on in the next

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Computing a frame again requires the window before it.
        self._slots = self.capacity + WINDOW
        self._tracks = self.cells.new_zeros(self._slots, 0, TRACK)
        self._flows = self.cells.new_zeros(self._slots, 0, 2)
        self._embedded = self.cells.new_zeros(self._slots, 0, HIDDEN)
        self._done = -1  # newest computed frame
        self._first = 0  # windows start here or later

    def final(self) -> int:
        return self.newest

    @property
    def done(self) -> int:
        """The newest frame that has been computed; a number before the first if none has."""
        return self._done

    @torch.inference_mode()
    def join(self, other: StreamingEngine) -> None:
        """Take over the points of another engine of the same frames, behind the own ones.

        Args:
            other: has computed as many frames, and is not used any more. Its points attend to the
                own ones from the next frame on, or where frames are computed again.
        """
        self._tracks, self._flows, self._embedded = (
            torch.cat([self._tracks, other._tracks], 1),
            torch.cat([self._flows, other._flows], 1),
            torch.cat([self._embedded, other._embedded], 1),
        )
        self._queries = torch.cat([self._queries, other._queries])
        self._support = torch.cat([self._support, other._support])
        self.starts = np.concatenate([self.starts, other.starts])
        self._done = other._done

    def _tracks_of(self, rows: np.ndarray, frame: int) -> Tensor:
        if (self.starts[rows] == frame).all():  # known without computing the frame again
            queries = self._queries[self._on_device(rows)]
            return torch.cat([queries, torch.full_like(queries, _QUERY_LOGIT)], 1)
        return super()._tracks_of(rows, frame)

    def _tracks_in(self, frame: int) -> Tensor:
        self._skip_forgotten()
        while self._done < frame:
            self._compute(self._done + 1)
            self._done += 1
        return self._tracks[frame % self._slots]

    def _added(self, xy: Tensor, frame: int) -> None:
        # Before its query frame, a point stands still at the query, with logits of 0.
        still = torch.cat([xy, torch.zeros_like(xy)], 1)
        self._tracks, self._flows, self._embedded = (
            torch.cat([self._tracks, still.expand(self._slots, -1, -1)], 1),
            _widened(self._flows, len(xy)),
            _widened(self._embedded, len(xy)),
        )
        self._done = min(self._done, frame - 1)

    def _kept(self, rows: Tensor) -> None:
        self._tracks, self._flows, self._embedded = (
            self._tracks[:, rows],
            self._flows[:, rows],
            self._embedded[:, rows],
        )

    def _skip_forgotten(self) -> None:
        """Skip frames without points and, after a long failure, frames no longer held.

        In the second case the points continue from their last positions.
        """
        self._done = max(self._done, int(self.starts.min()) - 1)
        oldest = self.newest - self.capacity - self.reach + 1
        if self._done + 1 < oldest:
            last, resumed = self._done % self._slots, (oldest - 1) % self._slots
            self._tracks[resumed] = self._tracks[last]
            self._flows[resumed] = 0
            self._embedded[resumed] = self._embedded[last]
            self._done = self._first = oldest - 1

    def _compute(self, frame: int) -> None:
        """Compute the tracks in a frame from those in the frames before it."""
        known = np.flatnonzero(self.starts <= frame)
        first = max(int(self.starts.min()), frame - WINDOW + 1, self._first)
        slots = np.arange(first, frame + 1) % self._slots
        now, before, earlier = (n % self._slots for n in (frame, frame - 1, frame - 2))
        rows = slice(None) if len(known) == len(self.starts) else self._on_device(known)
        starts = self._on_device(self.starts[known])
        queries, support = self._queries[rows], self._support[rows]

        step = self._tracks[before][rows, :2] - self._tracks[earlier][rows, :2]
        flow = _DECAY * step + (1 - _DECAY) * self._flows[before][rows]
        track = self._tracks[before][rows].clone()
        track[:, :2] += flow
        begins = (starts == frame)[:, None]
        query = torch.cat([queries, torch.full_like(queries, _QUERY_LOGIT)], 1)
        track = torch.where(begins, query, track)

        window = self._on_device(slots)
        tracks = self._tracks.index_select(0, window)[:, rows].transpose(0, 1).contiguous()
        embedded = self._embedded.index_select(0, window)[:, rows].transpose(0, 1).contiguous()
        active = None
        if self.starts[known].max() > first:
            active = starts[:, None] <= torch.arange(first, frame + 1, device=starts.device)
        pyramid = self.features_of(frame)
        for _ in range(self.iterations):
            seen = self.network.embed(pyramid, track[:, :2], support)
            tracks[:, -1], embedded[:, -1] = track, seen
            if len(slots) == 1:
                break  # all points start here, so there is nothing to update
            change = self.network.update(tracks, embedded, self.cells, active, newest=True)
            track = torch.where(begins, track, track + change[:, 0])
        self._tracks[now, rows], self._flows[now, rows], self._embedded[now, rows] = (
            track,
            flow,
            seen,
        )


def _widened(ring: Tensor, count: int) -> Tensor:
    """Append rows of zeros for ``count`` points: ``(S, N, C)`` to ``(S, N + count, C)``."""
    return torch.cat([ring, ring.new_zeros(len(ring), count, ring.shape[2])], 1)
