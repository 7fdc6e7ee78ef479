"""What the sender of a lane sends with its next round trip: chunks, packed into frames, and deletions."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

from api.queue.pending import Pending, PendingChunks, SentFrame
from protocol.frames import MAX_FRAME_BYTES, MAX_FRAME_KEYS
from protocol.names import shard_stream

FRAMES_AT_ONCE = 8
"""Frames for one shard in one round trip; further frames go with the next."""

Deletions = dict[str, list[bytes]]
"""Entry ids by stream."""


class Outgoing:
    """A queue of chunks for each shard, and the entries to delete."""

    def __init__(self, shards: Sequence[str], pending: PendingChunks) -> None:
        self._pending = pending
        self._queues = defaultdict[str, deque[Pending]](deque, {shard: deque() for shard in shards})
        self._deletions: defaultdict[str, list[bytes]] = defaultdict(list)
        self.frames_made = 0
        """Frames made for all shards since the process started."""

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def add(self, pending: Pending) -> None:
        """Queue a chunk for this lane."""
        pending.outgoing = self
        self._queues[pending.shard].append(pending)

    def has_queued(self, pending: Pending) -> bool:
        """Whether a chunk waits to be sent on this lane."""
        return pending in self._queues[pending.shard]

    def add_all_again(self) -> int:
        """Queue every chunk of this lane that waits for its outcome, and nothing else. Returns how many were sent
        before.
        """
        for queue in self._queues.values():
            queue.clear()
        mine = self.waiting()
        for pending in mine:
            self.add(pending)
        return sum(1 for pending in mine if pending.sends)

    def waiting(self) -> list[Pending]:
        """The chunks of this lane that wait for their outcome, queued or sent."""
        return [pending for pending in self._pending if pending.outgoing is self]

    def forget_moved(self) -> None:
        """Remove chunks from the queues that another lane carries now."""
        for queue in self._queues.values():
            if queue:
                mine = [pending for pending in queue if pending.outgoing is self]
                queue.clear()
                queue.extend(mine)

    def delete(self, stream: str, entry_id: bytes) -> None:
        """Have an entry deleted."""
        self._deletions[stream].append(entry_id)

    def abandon(self, frame: SentFrame) -> None:
        """Delete a frame whose chunks no request waits for: it would take memory until a worker reads it."""
        frame.given_up = True
        if frame.entry_id is not None:
            self.delete(shard_stream(frame.shard), frame.entry_id)
            frame.entry_id = None

    def take_deletions(self) -> Deletions:
        """Take the entries to delete out of this object."""
        deletions, self._deletions = self._deletions, defaultdict(list)
        return deletions

    def delete_again(self, deletions: Deletions) -> None:
        """Put back deletions that may have failed."""
        for stream, entry_ids in deletions.items():
            self._deletions[stream] += entry_ids

    def frames(self) -> list[tuple[SentFrame, list[Pending]]]:
        """Take the chunks of the next frames of every shard; frames are bounded in number, keys and bytes."""
        return [frame for shard in self._queues for frame in self._frames(shard)]

    def _frames(self, shard: str) -> Iterator[tuple[SentFrame, list[Pending]]]:
        queue = self._queues[shard]
        for _ in range(FRAMES_AT_ONCE):
            chunks: list[Pending] = []
            keys = size = 0
            while queue:
                pending = queue[0]
                if pending not in self._pending:
                    queue.popleft()
                    continue
                keys += pending.chunk.keys
                size += len(pending.chunk.body)
                if chunks and (keys > MAX_FRAME_KEYS or size > MAX_FRAME_BYTES):
                    break
                chunks.append(queue.popleft())
            if not chunks:
                return
            frame = SentFrame(shard, len(chunks), self)
            for pending in chunks:
                if pending.frame is not None:
                    # If Redis still has the frame in which it was sent before, this one replaces it.
                    pending.frame.abandon()
                pending.frame = frame
            self.frames_made += 1
            yield frame, chunks
