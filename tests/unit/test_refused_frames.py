"""Frames that a worker refused, while the connection to Redis breaks."""

import pytest

from api.queue.outgoing import Outgoing
from api.queue.pending import Pending, PendingChunks, SentFrame
from api.queue.sender import Sender
from tests.unit.queue_fakes import REDIS, Counts, chunk, pending_of


class Lane:
    """A sender that does not run, with two chunks that it has sent in one frame."""

    def __init__(self) -> None:
        counts = Counts()
        self.chunks = PendingChunks(counts, counts)
        self.outgoing, self.other = (Outgoing(("s1",), self.chunks) for _ in range(2))
        self.sender = Sender(REDIS, "p", self.chunks, self.outgoing, counts, lambda _: None)
        self.pending = [pending_of(chunk(number), sends=1) for number in (1, 2)]
        for pending in self.pending:
            self.chunks.add(pending)
        self.sender.add(self.pending)
        ((frame, _),) = self.outgoing.frames()
        frame.entry_id = b"1-0"

    def refuse(self) -> None:
        self.sender._send_again("s1", b"1-0", "another version")


@pytest.fixture
def lane() -> Lane:
    return Lane()


def frame_of(outgoing: Outgoing) -> tuple[SentFrame, list[Pending]]:
    (only,) = outgoing.frames()
    return only


def test_a_refused_chunk_that_is_already_waiting_to_be_sent_is_sent_once(lane: Lane) -> None:
    """If a frame contained it twice, that frame would be deleted, with the chunks of others in it."""
    lane.outgoing.add_all_again()
    lane.refuse()
    frame, sent = frame_of(lane.outgoing)
    assert (sent, frame.given_up) == (lane.pending, False)
    assert [pending.sends for pending in lane.pending] == [0, 0], "the refused copy exists nowhere"


def test_a_refused_chunk_that_another_lane_has_taken_over_is_not_sent_here(lane: Lane) -> None:
    for pending in lane.pending:
        lane.other.add(pending)
    lane.outgoing.forget_moved()
    lane.refuse()
    assert lane.outgoing.frames() == []
    frame, sent = frame_of(lane.other)
    assert (sent, frame.given_up) == (lane.pending, False)
