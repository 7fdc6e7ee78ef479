"""How chunks are grouped into calls, and what the worker does while their shard does not answer."""

import time
from collections.abc import Callable
from typing import cast

import pytest

from protocol.frames import Chunk
from protocol.operations import Operation, Status
from tests.unit.worker_fakes import DOWN, LOST, SETTINGS, SOON_MS, FakeShard, chunk, entry, numbers, statuses, turn_of
from worker import calls as calls_module
from worker.calls import Caller, grouped
from worker.frames import Turn
from worker.shard import Shard


def calls_of(*chunks: Chunk) -> list[list[int]]:
    return [numbers(call) for call in grouped(chunks, SETTINGS)]


def test_chunks_go_together_up_to_the_keys_of_a_call() -> None:
    assert calls_of(chunk(1, keys=4), chunk(2, keys=6), chunk(3, keys=1)) == [[1, 2], [3]]


def test_chunks_go_together_up_to_the_bytes_of_a_call() -> None:
    assert calls_of(chunk(1, size=1000), chunk(2, size=24), chunk(3, size=1)) == [[1, 2], [3]]


def test_a_chunk_larger_than_a_call_goes_alone() -> None:
    assert calls_of(chunk(1), chunk(2, keys=50), chunk(3)) == [[1], [2], [3]]


def test_no_chunks_make_no_call() -> None:
    assert calls_of() == []


def caller_of(shard: FakeShard, renew: Callable[[Turn], None] = lambda _: None) -> Caller:
    return Caller(cast("Shard", shard), SETTINGS, renew=renew, beat=lambda: None, refused=lambda _: None)


def run(shard: FakeShard, turn: Turn, renew: Callable[[Turn], None] = lambda _: None) -> dict[int, int]:
    for _ in caller_of(shard, renew).run(list(turn.chunks), turn):
        pass
    return statuses(turn.report())


def test_the_shard_is_called_again_until_it_answers() -> None:
    shard = FakeShard(DOWN, LOST, DOWN, [(Status.OK, 7)])
    assert run(shard, turn_of(entry(chunk(1)))) == {1: Status.OK}
    assert len(shard.calls) == 4


def test_a_chunk_that_never_reached_its_shard_is_not_applied() -> None:
    assert run(FakeShard(DOWN), turn_of(entry(chunk(1, in_ms=SOON_MS)))) == {1: Status.UNREACHABLE}


def test_a_chunk_whose_call_may_have_reached_the_shard_is_unknown() -> None:
    assert run(FakeShard(LOST, DOWN), turn_of(entry(chunk(1, in_ms=SOON_MS)))) == {1: Status.UNKNOWN}


@pytest.mark.parametrize("status", [Status.NO_MEMORY, Status.REFUSED, Status.READ_ONLY, Status.EXPIRED])
def test_a_refusal_after_a_call_without_an_answer_is_unknown(status: Status) -> None:
    """The bytes of that call may still be on a slow link."""
    assert run(FakeShard(LOST, [(status, b"why")]), turn_of(entry(chunk(1)))) == {1: Status.UNKNOWN}


def test_a_success_after_a_call_without_an_answer_is_a_success() -> None:
    assert run(FakeShard(LOST, [(Status.OK, None)]), turn_of(entry(chunk(1)))) == {1: Status.OK}


def test_a_read_without_an_answer_is_reported_as_unanswered() -> None:
    read = chunk(1, in_ms=SOON_MS, operation=Operation.READ)
    assert run(FakeShard(LOST), turn_of(entry(read))) == {1: Status.UNREACHABLE}


def test_a_chunk_is_given_up_before_its_deadline() -> None:
    """The api must still wait when the reply arrives."""

    def took_s() -> float:
        began = time.monotonic()
        run(FakeShard(DOWN), turn_of(entry(chunk(1, in_ms=SOON_MS))))
        return time.monotonic() - began

    assert min(took_s() for _ in range(5)) < SOON_MS / 1000


def test_only_the_shard_says_that_a_deadline_has_passed() -> None:
    shard = FakeShard([(Status.EXPIRED, b"the deadline has passed")])
    assert run(shard, turn_of(entry(chunk(1, in_ms=-1000)))) == {1: Status.EXPIRED}
    assert len(shard.calls) == 1


def test_a_clock_that_is_ahead_gives_up_no_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = turn_of(entry(chunk(1)))
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 60)
    monkeypatch.setattr("time.time_ns", lambda: int((now + 60) * 1e9))
    assert run(FakeShard(DOWN, [(Status.OK, None)]), turn) == {1: Status.OK}


def test_a_chunk_after_its_deadline_does_not_wait_for_a_shard_out_of_reach() -> None:
    shard = FakeShard()
    shard.connected = False
    assert run(shard, turn_of(entry(chunk(1, in_ms=-1)))) == {1: Status.UNREACHABLE}
    assert shard.calls == []


def lose_all(turn: Turn) -> None:
    turn.lose(turn.entry_ids)


def test_the_shard_is_not_called_with_frames_that_a_peer_has_taken_over() -> None:
    """The worker was frozen with them in hand, so its peer may have reported their refusal."""
    shard = FakeShard()
    assert run(shard, turn_of(entry(chunk(1)), asked_s_ago=10), renew=lose_all) == {}
    assert shard.calls == []


def test_the_shard_is_called_with_the_frames_that_are_left() -> None:
    shard = FakeShard()
    lost, own = entry(chunk(1)), entry(chunk(2), number=2)
    turn = turn_of(lost, own, asked_s_ago=10)
    assert run(shard, turn, renew=lambda turn: turn.lose([lost.id])) == {2: Status.OK}
    assert [numbers(call) for call in shard.calls] == [[2]]


def test_a_claim_is_renewed_before_a_call_could_outlast_it() -> None:
    renewed: list[Turn] = []
    margin_s = SETTINGS.claim_idle_s - SETTINGS.call_timeout_s
    young, old = (turn_of(entry(chunk(1)), asked_s_ago=age_s) for age_s in (margin_s / 2, margin_s + 0.01))
    for turn in (young, old):
        run(FakeShard(), turn, renew=renewed.append)
    assert renewed == [old]


def test_reads_without_memory_in_a_call_are_sent_again_at_once() -> None:
    shard = FakeShard([(Status.OK, b"v"), (Status.NO_MEMORY, b"")], [(Status.OK, b"w")])
    reads = turn_of(entry(chunk(1, operation=Operation.READ), chunk(2, operation=Operation.READ)))
    assert run(shard, reads) == {1: Status.OK, 2: Status.OK}
    assert [numbers(call) for call in shard.calls] == [[1, 2], [2]]


def test_a_single_read_without_memory_is_reported_as_out_of_memory() -> None:
    shard = FakeShard([(Status.NO_MEMORY, b"full")])
    assert run(shard, turn_of(entry(chunk(1, operation=Operation.READ)))) == {1: Status.NO_MEMORY}
    assert len(shard.calls) == 1


def test_a_write_without_memory_is_not_sent_again() -> None:
    shard = FakeShard([(Status.NO_MEMORY, b"full")])
    assert run(shard, turn_of(entry(chunk(1)))) == {1: Status.NO_MEMORY}
    assert len(shard.calls) == 1


@pytest.mark.parametrize("operation", [Operation.WRITE, Operation.READ, Operation.SCAN, Operation.USER_GET])
def test_a_read_only_instance_is_not_called_again_if_there_are_others(operation: Operation) -> None:
    shard = FakeShard([(Status.OK, 1), (Status.READ_ONLY, "")], [(Status.OK, 2)], replicas=True)
    turn = turn_of(entry(chunk(1), chunk(2, operation=operation)))
    assert run(shard, turn) == {1: Status.OK, 2: Status.OK}
    assert [numbers(call) for call in shard.calls] == [[1, 2], [2]]


def test_the_answer_of_a_read_only_instance_counts_if_there_is_no_other() -> None:
    assert run(FakeShard([(Status.READ_ONLY, "read-only")]), turn_of(entry(chunk(1)))) == {1: Status.READ_ONLY}


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The recorded pauses; none of them takes any time."""
    pauses: list[float] = []
    monkeypatch.setattr(calls_module, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(calls_module, "LAST_WAIT_S", 0.002)
    monkeypatch.setattr("worker.calls.time.sleep", pauses.append)
    return pauses


def test_there_is_a_pause_after_every_attempt(slept: list[float]) -> None:
    """A worker that drains continues to try, and no exponent overflows."""
    shard = FakeShard(*[DOWN] * 2000, [(Status.OK, None)])
    assert run(shard, turn_of(entry(chunk(1, in_ms=3_600_000)))) == {1: Status.OK}
    assert len(slept) == 2000
    assert min(slept) > 0
    assert max(slept) <= 0.002


def test_each_step_says_whether_the_rest_will_take_a_while() -> None:
    shard = FakeShard(DOWN, [(Status.OK, None)])
    turn = turn_of(entry(chunk(1)))
    assert list(caller_of(shard).run(list(turn.chunks), turn)) == [True, False]


@pytest.mark.parametrize(("election_s", "longest_s"), [(60.0, (0.05, 0.1)), (-1.0, (0.25, 0.5))])
def test_a_shard_that_may_be_electing_a_leader_is_asked_often_and_for_a_while(
    election_s: float, longest_s: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every client waits until the new leader is found. In a long outage the shard need not be asked so often."""
    pauses: list[float] = []
    monkeypatch.setattr("worker.calls.time.sleep", pauses.append)
    monkeypatch.setattr(calls_module, "ELECTION_S", election_s)
    shard = FakeShard(*[DOWN] * 20, [(Status.OK, None)], replicas=True)

    assert run(shard, turn_of(entry(chunk(1, in_ms=60_000)))) == {1: Status.OK}

    assert longest_s[0] <= max(pauses) <= longest_s[1]
