"""The times that a worker reports of traced requests: taken, called and replied. It reports none of other requests."""

import time

import pytest

from protocol.frames import Outcome, decode_reply, encode_frame
from protocol.operations import Status
from protocol.stamps import STAMPS, Stamp, is_sampled, outcome_of, stamps_in
from tests.unit.worker_fakes import SERVER, SETTINGS, FakeShard, chunk, delivery
from worker.calls import Caller
from worker.frames import Turn
from worker.group import Entry
from worker.stream import Report

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-1] + "0"


def traced(traces: dict[int, str], *numbers: int) -> Turn:
    data = encode_frame("reply:a", traces, [chunk(number) for number in numbers], server=SERVER, sent_ms=7)
    return Turn("s1", delivery(Entry(b"1-0", data)))


def told(report: Report) -> list[Stamp]:
    outcomes = [outcome for _, data in report.replies for outcome in decode_reply(data).outcomes]
    return [stamp for outcome in outcomes if outcome.id == STAMPS for stamp in stamps_in(outcome.payload)]


def test_a_traced_chunk_is_stamped_once_its_frame_is_done() -> None:
    before = time.time_ns()
    turn = traced({1: SAMPLED}, 1, 2)
    caller = Caller(FakeShard(), SETTINGS, renew=lambda _: None, beat=lambda: None, refused=lambda _: None)  # type: ignore[arg-type]
    one, other = turn.chunks
    assert list(caller.run([one], turn)) == [False]
    assert told(turn.report()) == [], "half of the frame is not done"
    list(caller.run([other], turn))
    (stamp,) = told(turn.report())
    assert (stamp.traceparent, stamp.shard, stamp.sent_ms) == (SAMPLED, "s1", 7)
    times = [before, stamp.taken_ns, stamp.called_ns, stamp.answered_ns, stamp.replied_ns, time.time_ns()]
    assert times == sorted(times)
    turn.reported()
    assert told(turn.report()) == [], "it is reported once"


def test_a_chunk_that_was_not_called_has_no_time_of_a_call() -> None:
    turn = traced({0: SAMPLED}, 1)
    turn.put(turn.chunks[0], Status.UNREACHABLE, "away", maybe_sent=False)
    (stamp,) = told(turn.report())
    assert (stamp.called_ns, stamp.answered_ns) == (0, 0)


@pytest.mark.parametrize("traces", [{}, {0: UNSAMPLED}])
def test_requests_that_are_not_sampled_have_no_stamps(traces: dict[int, str]) -> None:
    turn = traced(traces, 1)
    assert turn.times is None
    turn.put(turn.chunks[0], Status.OK, None, maybe_sent=False)
    (outcome,) = [outcome for _, data in turn.report().replies for outcome in decode_reply(data).outcomes]
    assert outcome.id == chunk(1).id


def test_stamps_of_another_form_are_ignored() -> None:
    stamp = Stamp(SAMPLED, "s1", 1, 2, 3, 4, 5)
    assert stamps_in(outcome_of([stamp]).payload) == [stamp]
    assert [stamps_in(payload) for payload in (None, b"", b"\xc1", b"\x91\x01", 5)] == [[]] * 5
    flags = {"00": False, "01": True, "02": False, "ff": True}
    assert {each: is_sampled(SAMPLED[:-2] + each) for each in flags} == flags
    assert isinstance(outcome_of([]), Outcome)
