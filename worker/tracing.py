"""Records the times of traced requests' chunks in one turn. A turn without such chunks has no such object."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from protocol.frames import Chunk, Frame, Outcome
from protocol.stamps import Stamp, is_sampled, outcome_of


class Times:
    """The times of one turn's traced chunks."""

    def __init__(self, shard: str) -> None:
        self._shard = shard
        self._taken_ns = time.time_ns()
        self._calls: dict[bytes, tuple[int, int]] = {}

    def called(self, chunks: Sequence[Chunk], began_ns: int) -> None:
        """Note that a call with these chunks has just been answered. If there are several calls, the last one
        counts.
        """
        now = time.time_ns()
        self._calls.update((chunk.id, (began_ns, now)) for chunk in chunks)

    def outcomes(self, frames: Iterable[Frame]) -> dict[str, Outcome]:
        """The reports for frames that are done, by reply stream."""
        now = time.time_ns()
        found: dict[str, list[Stamp]] = {}
        for frame in frames:
            for position, traceparent in frame.traces.items():
                if is_sampled(traceparent) and position < len(frame.chunks):
                    called = self._calls.get(frame.chunks[position].id, (0, 0))
                    stamp = Stamp(traceparent, self._shard, frame.sent_ms, self._taken_ns, *called, now)
                    found.setdefault(frame.reply_stream, []).append(stamp)
        return {stream: outcome_of(stamps) for stream, stamps in found.items()}


def has_sampled(frame: Frame) -> bool:
    """Whether a frame has a chunk of a traced request."""
    return any(map(is_sampled, frame.traces.values()))
