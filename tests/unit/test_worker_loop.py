"""A shard's loop with a scripted Redis and shard: what it reports, when, and how it ends."""

import threading
from collections.abc import Callable
from typing import cast

import pytest
import redis

from protocol.operations import Operation, Status
from tests.unit.worker_fakes import (
    DOWN,
    LOST,
    SETTINGS,
    SOON_MS,
    FakeRedis,
    FakeShard,
    chunk,
    delivery,
    entry,
    numbers,
    outcomes_in,
    statuses,
)
from worker import loop as loop_module
from worker.group import Group
from worker.loop import MAX_HELD_BYTES, ShardLoop
from worker.presence import Presence
from worker.shard import Shard
from worker.standby import Standby
from worker.stream import Delivery, ShardStream
from worker.takeover import TakeOver


def loop_of(shard: FakeShard, redis: FakeRedis, standby: Standby | None = None) -> ShardLoop:
    return ShardLoop(
        cast("Shard", shard),
        cast("Group", redis),
        cast("ShardStream", redis),
        cast("TakeOver", redis),
        cast("Presence", redis),
        standby or Standby(0, "me"),
        SETTINGS,
    )


def work(shard: FakeShard, redis: FakeRedis, given: Delivery) -> None:
    """Work on a delivery until it is finished, and report the rest."""
    loop = loop_of(shard, redis)
    loop._work(given)
    redis.broken = False
    loop._report()


def test_all_frames_of_a_read_go_in_one_call_and_are_reported_together() -> None:
    shard, redis = FakeShard(), FakeRedis()
    frames = entry(chunk(1), chunk(2)), entry(chunk(3), number=2)
    work(shard, redis, delivery(*frames))
    assert [numbers(call) for call in shard.calls] == [[1, 2, 3]]
    (report,) = redis.reports
    assert statuses(report) == {1: Status.OK, 2: Status.OK, 3: Status.OK}
    assert report.done == [frame.id for frame in frames]


def test_the_outcomes_of_one_call_are_reported_before_the_next_is_made() -> None:
    shard, redis = FakeShard(), FakeRedis()
    told: list[list[int]] = []
    shard.on_call = lambda: told.append([outcome.id[0] for outcome in outcomes_in(*redis.reports)])
    work(shard, redis, delivery(entry(*(chunk(number, keys=10) for number in (1, 2, 3)))))
    assert told == [[], [1], [1, 2]]


def test_a_frame_is_reported_and_deleted_when_it_is_finished_while_others_are_not() -> None:
    """A refusal in it does not wait for them either: it is reported with a deletion of its own."""
    shard, redis = FakeShard([(Status.REFUSED, b"full")], [(Status.OK, None)]), FakeRedis()
    first, second = entry(chunk(1, keys=10)), entry(chunk(2, keys=10), number=2)
    work(shard, redis, delivery(first, second))
    early, last = redis.reports
    assert (statuses(early), early.done, early.sole) == ({1: Status.REFUSED}, [first.id], [first.id])
    assert (statuses(last), last.done, last.sole) == ({2: Status.OK}, [second.id], [])


def test_a_refusal_waits_for_the_deletion_of_its_frame() -> None:
    """A refusal leaves no record: if the worker dies before the report, the shard may accept the next worker's call."""
    shard = FakeShard([(Status.OK, None), (Status.REFUSED, b"full")], [(Status.OK, None)])
    redis = FakeRedis()
    work(shard, redis, delivery(entry(chunk(1, keys=5), chunk(2, keys=5), chunk(3, keys=10))))
    early, last = redis.reports
    assert (statuses(early), early.done) == ({1: Status.OK}, [])
    assert statuses(last) == {2: Status.REFUSED, 3: Status.OK}


def test_a_refusal_in_a_frame_that_other_workers_have_too_is_not_reported_here() -> None:
    """This worker was frozen between the call and the report."""
    shared, own = entry(chunk(1), chunk(2)), entry(chunk(3), number=2)
    shard = FakeShard([(Status.OK, None), (Status.NO_MEMORY, b"full"), (Status.NO_MEMORY, b"full")])
    redis = FakeRedis()
    redis.shared = {shared.id}
    work(shard, redis, delivery(shared, own))
    (report,) = redis.reports
    assert statuses(report) == {1: Status.OK, 3: Status.NO_MEMORY}
    assert report.done == [own.id]


def test_a_worker_that_was_frozen_makes_no_call_for_frames_that_a_peer_has_taken_over() -> None:
    lost = entry(chunk(1))
    shard, redis = FakeShard(), FakeRedis()
    redis.lost = {lost.id}
    work(shard, redis, delivery(lost, asked_s_ago=10))
    assert shard.calls == []
    assert redis.reports == []


def test_a_worker_that_cannot_renew_its_frame_claims_makes_no_call() -> None:
    shard, redis = FakeShard(), FakeRedis()
    redis.broken = True
    work(shard, redis, delivery(entry(chunk(1)), asked_s_ago=10))
    assert shard.calls == []


def test_an_outcome_does_not_wait_for_a_shard_that_is_out_of_reach() -> None:
    """A frame that was given up is reported before the shard is asked again for the rest."""
    shard, redis = FakeShard(DOWN), FakeRedis()
    told: dict[int, int] = {}

    def note() -> None:
        told.update(statuses(*redis.reports))
        if told:
            shard.results[:] = [[(Status.OK, None)]]

    shard.on_call = note
    work(shard, redis, delivery(entry(chunk(1, in_ms=SOON_MS)), entry(chunk(2), number=2)))
    assert told == {1: Status.UNREACHABLE}
    assert statuses(redis.reports[-1]) == {2: Status.OK}


def test_a_turn_waits_for_a_failing_redis_only_once_between_calls() -> None:
    shard, redis = FakeShard(), FakeRedis()
    redis.broken = True
    work(shard, redis, delivery(entry(*(chunk(number, keys=10) for number in range(1, 6)))))
    assert redis.disconnected == 1
    assert statuses(*redis.reports) == dict.fromkeys(range(1, 6), Status.OK)


def test_an_outcome_that_could_not_be_reported_early_is_reported_at_the_end() -> None:
    shard, redis = FakeShard([(Status.OK, None)], LOST, [(Status.OK, None)]), FakeRedis()
    redis.broken = True
    work(shard, redis, delivery(entry(chunk(1, keys=10), chunk(2, keys=10))))
    assert statuses(*redis.reports) == {1: Status.OK, 2: Status.OK}


def test_large_answers_are_reported_before_the_turn_is_over() -> None:
    large = b"v" * (MAX_HELD_BYTES + 1)
    shard, redis = FakeShard([(Status.OK, large), (Status.NO_MEMORY, b"")], [(Status.OK, b"w")]), FakeRedis()
    work(shard, redis, delivery(entry(chunk(1, operation=Operation.READ), chunk(2, operation=Operation.READ))))
    assert [statuses(report) for report in redis.reports] == [{1: Status.OK}, {2: Status.OK}]


def standing_by(redis: FakeRedis) -> ShardLoop:
    """A loop of a standby, without pauses between its polls."""
    standby = Standby(0, "me")
    standby.announced([b"first", b"me"])
    loop = loop_of(FakeShard(), redis, standby)
    loop.stop()
    return loop


def test_outcomes_of_a_poll_are_reported_before_the_pause() -> None:
    redis = FakeRedis(delivery(entry(chunk(1))))
    standing_by(redis)._poll()
    assert statuses(*redis.reports) == {1: Status.OK}


class Failing(FakeRedis):
    """Fails at its first reports."""

    def __init__(self, *deliveries: Delivery, failures: int) -> None:
        super().__init__(*deliveries)
        self.failures = failures

    def _check(self) -> None:
        if self.failures:
            self.failures -= 1
            raise redis.ConnectionError("gone")


def test_outcomes_whose_report_failed_are_reported_once_by_a_later_poll() -> None:
    redis_ = Failing(delivery(entry(chunk(1))), failures=0)
    loop = standing_by(redis_)
    redis_.read, read = lambda *args, **kwargs: _then_fail(redis_, read(*args, **kwargs)), redis_.read  # type: ignore[method-assign]
    with pytest.raises(redis.ConnectionError):
        loop._poll()
    assert redis_.reports == []
    for _ in range(2):
        loop._poll()
    assert statuses(*redis_.reports) == {1: Status.OK}
    assert len(redis_.reports) == 1


def _then_fail(failing: Failing, given: Delivery) -> Delivery:
    failing.failures = 1 if given.entries else 0
    return given


def test_a_second_attempt_to_leave_repeats_no_report() -> None:
    redis_ = FakeRedis()
    loop = loop_of(FakeShard(), redis_)
    loop._work(delivery(entry(chunk(1))))
    leave, tries = redis_.leave, []

    def leave_at_the_second_try() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise redis.ConnectionError("gone")
        leave()

    redis_.leave = leave_at_the_second_try  # type: ignore[method-assign]
    loop._leave()
    assert len(redis_.reports) == 1
    assert redis_.left == 1


def run_until(loop: ShardLoop, condition: Callable[[], bool]) -> None:
    """Run a loop in its thread until a condition is met, and let it end."""
    loop.start()
    ended = threading.Event()
    while not condition():
        assert not ended.wait(0.001)
        assert loop.is_alive(), loop.failure
    loop.stop()
    loop.join(10)
    assert not loop.is_alive()
    assert loop.failure is None


def test_a_loop_survives_any_number_of_attempts_to_reach_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "FIRST_WAIT_S", 0.0001)
    monkeypatch.setattr(loop_module, "LAST_WAIT_S", 0.0002)
    redis_ = Failing(delivery(entry(chunk(1))), failures=2000)
    run_until(loop_of(FakeShard(), redis_), lambda: bool(redis_.reports))
    assert redis_.failures == 0
