"""What a worker may report about its frames, and when."""

import pytest

from protocol.clock import now_ms
from protocol.frames import VERSION, decode_reply, encode_frame
from protocol.operations import Operation, Status
from tests.unit.worker_fakes import SERVER, chunk, delivery, entry, outcomes_in, statuses, turn_of
from worker.frames import FOREIGN_FRAME_AGE_MS, Turn
from worker.group import Entry

REFUSALS = [
    Status.EXPIRED,
    Status.READ_ONLY,
    Status.NO_MEMORY,
    Status.TOO_LARGE,
    Status.MALFORMED,
    Status.REFUSED,
    Status.UNREACHABLE,
    Status.CONFLICT,
]
CHANGES = [Operation.WRITE, Operation.DELETE, Operation.CLAIM, Operation.FINISH, Operation.USER_PUT, Operation.REVOKE]
READS = [Operation.READ, Operation.USER_GET, Operation.USER_LIST, Operation.DESCRIBE]


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_reported_only_with_its_frame_and_if_no_other_worker_had_it(status: Status) -> None:
    first, second = chunk(1), chunk(2)
    frame = entry(first, second)
    turn = turn_of(frame)
    turn.put(first, status, b"why", maybe_sent=False)
    assert turn.report().empty
    turn.put(second, Status.OK, None, maybe_sent=False)
    report = turn.report()
    assert statuses(report) == {1: status, 2: Status.OK}
    assert (report.done, report.sole) == ([frame.id], [frame.id])


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_unknown_if_an_earlier_call_may_still_reach_the_shard(status: Status) -> None:
    only = chunk(1)
    turn = turn_of(entry(only))
    turn.put(only, status, b"why", maybe_sent=True)
    assert statuses(turn.report()) == {1: Status.UNKNOWN}
    assert turn.report().sole == []


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("operation", CHANGES)
def test_a_refusal_is_unknown_if_the_frame_was_redelivered(status: Status, operation: Operation) -> None:
    """The former worker may be frozen, and call the shard when it wakes."""
    only = chunk(1, operation=operation)
    turn = turn_of(entry(only), redelivered=True)
    turn.put(only, status, b"why", maybe_sent=False)
    assert statuses(turn.report()) == {1: Status.UNKNOWN}


@pytest.mark.parametrize("operation", READS)
def test_a_failed_read_is_reported_even_if_its_frame_was_redelivered(operation: Operation) -> None:
    only = chunk(1, operation=operation)
    turn = turn_of(entry(only), redelivered=True)
    turn.put(only, Status.EXPIRED, b"why", maybe_sent=True)
    assert statuses(turn.report()) == {1: Status.EXPIRED}


@pytest.mark.parametrize("operation", CHANGES)
def test_a_refusal_for_buckets_is_final_even_if_copies_exist(operation: Operation) -> None:
    """The shard has it on record."""
    only = chunk(1, operation=operation)
    turn = turn_of(entry(only), redelivered=True)
    turn.put(only, Status.WRONG_BUCKET, b"\x90", maybe_sent=True)
    assert statuses(turn.report()) == {1: Status.WRONG_BUCKET}


@pytest.mark.parametrize("status", [Status.OK, Status.WRONG_BUCKET])
def test_outcomes_on_record_are_reported_before_the_frame_is_finished(status: Status) -> None:
    first, second = chunk(1), chunk(2)
    turn = turn_of(entry(first, second))
    turn.put(first, status, None, maybe_sent=False)
    report = turn.report()
    assert statuses(report) == {1: status}
    assert report.done == []
    turn.reported()
    assert turn.report().empty


def test_a_reported_outcome_is_not_reported_again() -> None:
    first, second = chunk(1), chunk(2)
    turn = turn_of(entry(first, second))
    turn.put(first, Status.OK, None, maybe_sent=False)
    turn.reported()
    turn.put(second, Status.OK, None, maybe_sent=False)
    assert statuses(turn.report()) == {2: Status.OK}


def test_only_recorded_outcomes_are_reported_of_a_frame_that_a_peer_has_taken_over() -> None:
    chunks = [chunk(number) for number in range(1, 6)]
    lost, own = entry(*chunks[:3], chunks[4]), entry(chunks[3], number=2)
    turn = turn_of(lost, own)
    turn.put(chunks[0], Status.OK, None, maybe_sent=False)
    turn.put(chunks[1], Status.NO_MEMORY, b"full", maybe_sent=False)
    turn.put(chunks[4], Status.WRONG_BUCKET, b"\x90", maybe_sent=False)
    turn.lose([lost.id])
    assert not turn.waits_for(chunks[2])
    assert turn.waits_for(chunks[3])
    turn.put(chunks[3], Status.OK, None, maybe_sent=False)
    report = turn.report()
    assert statuses(report) == {1: Status.OK, 4: Status.OK, 5: Status.WRONG_BUCKET}
    assert report.done == [own.id]


def test_a_chunk_that_came_twice_is_called_once_and_reported_to_both_senders() -> None:
    twice = chunk(1)
    turn = turn_of(entry(twice), entry(twice, stream="reply:b", number=2))
    assert list(turn.chunks) == [twice]
    turn.put(twice, Status.OK, None, maybe_sent=False)
    assert sorted(stream for stream, _ in turn.report().replies) == ["reply:a", "reply:b"]


def test_a_chunk_that_came_twice_is_called_even_if_one_of_its_frames_is_dropped() -> None:
    twice = chunk(1)
    lost, own = entry(twice), entry(twice, number=2)
    turn = turn_of(lost, own)
    turn.lose([lost.id])
    assert turn.waits_for(twice)


def test_every_api_process_gets_one_reply_with_its_own_outcomes() -> None:
    chunks = [chunk(number) for number in (1, 2, 3)]
    turn = turn_of(entry(chunks[0]), entry(chunks[1], stream="reply:b", number=2), entry(chunks[2], number=3))
    for each in chunks:
        turn.put(each, Status.OK, None, maybe_sent=False)
    found = {
        stream: [outcome.id[0] for outcome in decode_reply(data).outcomes] for stream, data in turn.report().replies
    }
    assert found == {"reply:a": [1, 3], "reply:b": [2]}


def test_a_frame_of_another_redis_server_is_deleted_without_a_call() -> None:
    """A replica that became the leader may still have frames whose outcomes were reported."""
    leftover = entry(chunk(1), server="b" * 40)
    turn = turn_of(leftover)
    assert turn.chunks == []
    assert turn.report().done == [leftover.id]
    assert outcomes_in(turn.report()) == []


def test_an_entry_without_a_frame_is_deleted() -> None:
    assert turn_of(Entry(b"1-0", None)).report().done == [b"1-0"]


OTHER_VERSION = bytes((0x93, VERSION + 1, 0xA7)) + b"reply:a" + b"\xc0"


def now_entry(data: bytes) -> Entry:
    return entry()._replace(data=data)


def test_a_frame_of_another_version_is_refused_only_if_no_other_worker_had_it() -> None:
    foreign = now_entry(OTHER_VERSION)
    turn = turn_of(foreign)
    report = turn.report()
    assert (report.done, report.refused, report.sole) == ([foreign.id], [("reply:a", foreign.id, "")], [foreign.id])
    turn.lose([foreign.id])
    assert turn.report().empty


def test_a_frame_of_another_version_that_another_worker_had_stays() -> None:
    assert turn_of(now_entry(OTHER_VERSION), redelivered=True).report().empty


def test_the_refusal_of_a_frame_of_another_version_goes_only_to_an_api() -> None:
    assert turn_of(now_entry(OTHER_VERSION.replace(b"reply:a", b"kv:s1:a"))).report().empty


OWN, OTHER = "0a" * 16, "0b" * 16


def turn_for(cluster: str, *entries: Entry, redelivered: bool = False) -> Turn:
    return Turn("s1", delivery(*entries, redelivered=redelivered), cluster)


def frame_for(cluster: str, operation: Operation = Operation.WRITE) -> Entry:
    data = encode_frame(
        "reply:a", {}, [chunk(1)._replace(operation=operation)], server=SERVER, sent_ms=now_ms(), cluster=cluster
    )
    return now_entry(data)


def test_a_frame_for_another_cluster_is_refused_unread_if_no_other_worker_had_it() -> None:
    foreign = frame_for(OTHER)
    turn = turn_for(OWN, foreign)
    assert turn.chunks == []
    report = turn.report()
    assert (report.done, report.refused, report.sole) == ([foreign.id], [("reply:a", foreign.id, OWN)], [foreign.id])
    assert report.replies == []
    assert turn_for(OWN, foreign, redelivered=True).report().empty


def test_a_frame_for_the_workers_own_cluster_is_accepted() -> None:
    assert len(turn_for(OWN, frame_for(OWN)).chunks) == 1


def test_a_frame_without_a_cluster_is_accepted_only_if_it_asks_for_the_cluster() -> None:
    assert len(turn_for(OWN, frame_for("", Operation.DESCRIBE)).chunks) == 1
    for operation in set(Operation) - {Operation.DESCRIBE}:
        assert turn_for(OWN, frame_for("", operation)).chunks == []


def test_frames_for_another_cluster_do_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.frames._Mixed.logged_at", float("-inf"))
    for _ in range(100):
        turn_for(OWN, frame_for(OTHER))
    (line,) = caplog.records
    assert OTHER in vars(line)["error"]
    assert OWN in vars(line)["error"]


def test_a_frame_of_another_version_is_deleted_when_it_is_old_by_redis_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clock does not matter."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    young = now_entry(OTHER_VERSION)
    at_ms = int(young.id.partition(b"-")[0])
    old = young._replace(id=b"%d-0" % (at_ms - FOREIGN_FRAME_AGE_MS - 1000))
    assert turn_of(young, redelivered=True).report().done == []
    assert turn_of(old, redelivered=True).report().done == [old.id]


def test_the_time_left_for_a_chunk_is_that_at_its_sending_minus_its_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clocks of api, Redis and this machine may differ."""
    from protocol.frames import encode_frame
    from worker.frames import GIVE_UP_MS, Turn
    from worker.stream import Delivery

    monkeypatch.setattr("worker.frames.time.monotonic", lambda: 1000.0)
    api_ms, redis_ms = 7_000_000, 90_000_000
    one = chunk(1)._replace(deadline_ms=api_ms + 5000)
    data = encode_frame("reply:a", {}, [one], server="s", sent_ms=api_ms)
    turn = Turn("s1", Delivery([Entry(b"%d-0" % redis_ms, data)], 0.0, redis_ms + 2000, "s"))
    assert turn.ends(one) == pytest.approx(1003.0 - GIVE_UP_MS / 1000)
    set_back = Turn("s1", Delivery([Entry(b"%d-0" % redis_ms, data)], 0.0, redis_ms - 60_000, "s"))
    assert set_back.ends(one) == pytest.approx(1005.0 - GIVE_UP_MS / 1000)
