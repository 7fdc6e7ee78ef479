"""What a worker makes of Redis' replies about the frames it holds."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
import redis

from protocol.redis_wire import Command, Wire
from worker.stream import Answers, Entry, ShardStream

ME = b"me"


class FakeWire:
    """Answers every `MULTI` with the same results."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)

    def run(self, commands: Sequence[Command]) -> list[Any]:
        assert [commands[0][0], commands[-1][0]] == ["MULTI", "EXEC"]
        return [b"OK", *[b"QUEUED"] * (len(commands) - 2), self.results]


def keep(*results: Any) -> bool:
    stream = ShardStream(cast("Wire", FakeWire(*results)), "s1", ME.decode(), count=1, claim_idle_ms=1000)
    return stream.keep([b"1-0", b"2-0"][: max(1, len(results) - 1)])


def pending(consumer: bytes, deliveries: int) -> list[list[Any]]:
    return [[b"1-0", consumer, 5, deliveries]]


def test_frames_given_to_nobody_else_are_kept() -> None:
    assert keep(pending(ME, 1), pending(ME, 1), [b"1-0", b"2-0"])


def test_a_frame_that_a_peer_has_now_is_not_ours() -> None:
    assert not keep(pending(ME, 1), pending(b"peer", 2), [b"1-0", b"2-0"])


def test_a_frame_that_was_given_out_twice_is_not_only_ours() -> None:
    assert not keep(pending(ME, 2), [b"1-0"])


def test_a_frame_that_is_pending_no_more_is_not_ours() -> None:
    assert not keep([], [])


def test_a_group_that_is_gone_is_an_error_of_redis() -> None:
    gone = redis.ResponseError("NOGROUP No such key")
    with pytest.raises(redis.ResponseError):
        keep(gone, gone)


class OneAnswer:
    """Answers every single command with the same."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.runs = 0

    def run(self, commands: Sequence[Command]) -> list[Any]:
        self.runs += 1
        return [self._answer] * len(commands)


NONSENSE: list[Any] = [
    7,
    b"text",
    [7],
    [b"words"],
    [[b"kv:s1"]],
    [[b"kv:s1", 7]],
    [[b"kv:s1", [b"1-0"]]],
    [[b"kv:s1", [[b"1-0", [b"f", 7]]]]],
]


@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_of_another_form_than_asked_for_is_an_error_of_redis(answer: Any) -> None:
    wire = OneAnswer(answer)
    stream = ShardStream(cast("Wire", wire), "s1", "me", count=2, claim_idle_ms=1000)
    with pytest.raises(redis.RedisError):
        stream.exchange(Answers(), block=True)
    with pytest.raises(redis.RedisError):
        stream.take_over()
    with pytest.raises(redis.RedisError):
        stream.look(Answers())
    with pytest.raises(redis.RedisError):
        stream.attend()


def test_what_redis_has_no_memory_for_before_its_frames_are_done_is_told_with_them() -> None:
    wire = OneAnswer(redis.ResponseError("OOM command not allowed"))
    stream = ShardStream(cast("Wire", wire), "s1", "me", count=2, claim_idle_ms=1000)
    with pytest.raises(redis.ResponseError, match="OOM"):
        stream.answer(Answers([("reply:a", b"early")]))
    assert wire.runs == 1, "there is nothing to delete for it"


@pytest.mark.parametrize("reason", ["OOM command not allowed", "NOPERM no permissions to access a key"])
def test_where_redis_keeps_no_workers_nobody_can_tell_who_is_there(
    reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = ShardStream(cast("Wire", OneAnswer(redis.ResponseError(reason))), "s1", "me", count=2, claim_idle_ms=1000)
    assert stream.attend() == stream.attend() == []
    assert [record.getMessage() for record in caplog.records] == ["redis keeps no workers"]


def test_an_answer_of_another_form_does_not_tell_who_has_a_frame() -> None:
    with pytest.raises(redis.RedisError):
        keep(7, [])
    with pytest.raises(redis.RedisError):
        keep([[b"1-0"]], [])


class FakeGroup:
    """A group's pending entries: how long each has been idle, and its data. An entry that was deleted has none."""

    def __init__(self, idle_ms: dict[int, int], deleted: Sequence[int] = (), *, drops_deleted: bool = False) -> None:
        self.idle_ms = idle_ms
        self.deleted = deleted
        self.drops_deleted = drops_deleted
        self.looked_at = 0
        self.taken_by_a_peer: set[int] = set()

    def run(self, commands: Sequence[Command]) -> list[Any]:
        return [self._pending(command) if command[0] == "XPENDING" else self._claim(command) for command in commands]

    def _pending(self, command: Command) -> list[list[Any]]:
        _, _, _, start, end, count = command
        assert end == "+"
        first, _, sequence = cast("bytes", start).partition(b"-")
        # All ids here have the sequence number 0.
        ids = [n for n in sorted(self.idle_ms) if n > int(first) or (n == int(first) and sequence == b"0")]
        self.looked_at = len(ids[: int(count)])
        return [[b"%d-0" % n, b"peer", self.idle_ms[n], 1] for n in ids[: int(count)]]

    def _claim(self, command: Command) -> list[Any]:
        name, _, _, consumer, min_idle_ms, entry_id = command
        assert (name, consumer) == ("XCLAIM", ME.decode())
        number = int(cast("bytes", entry_id).partition(b"-")[0])
        if number in self.taken_by_a_peer or self.idle_ms[number] < int(min_idle_ms):
            return []
        if number in self.deleted:
            return [] if self.drops_deleted else [None]
        self.idle_ms[number] = 0
        return [[entry_id, [b"f", b"data"]]]


def taker(group: FakeGroup, count: int = 2) -> ShardStream:
    return ShardStream(cast("Wire", group), "s1", ME.decode(), count=count, claim_idle_ms=1000)


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [int(entry.id.partition(b"-")[0]) for entry in entries]


def test_only_what_was_left_for_long_enough_is_taken_over() -> None:
    assert taker(FakeGroup({1: 999, 2: 1000, 3: 0})).take_over() == [Entry(b"2-0", b"data")]


def test_nothing_is_claimed_where_nothing_is_pending() -> None:
    assert taker(FakeGroup({})).take_over() == []


def test_a_step_claims_as_much_as_a_read_and_the_next_goes_on_behind_it() -> None:
    stream = taker(FakeGroup(dict.fromkeys(range(1, 6), 5000)))
    assert [numbers(stream.take_over()) for _ in range(4)] == [[1, 2], [3, 4], [5], []]


def test_a_step_looks_at_a_bounded_number_and_the_next_goes_on_behind_it() -> None:
    group = FakeGroup(dict.fromkeys(range(1, 50), 0) | {50: 5000})
    stream = taker(group)
    steps = [(numbers(stream.take_over()), group.looked_at) for _ in range(3)]
    assert steps == [([], 20), ([], 20), ([50], 10)]


def test_at_the_end_taking_over_starts_again() -> None:
    group = FakeGroup(dict.fromkeys(range(1, 4), 5000))
    stream = taker(group)
    assert [numbers(stream.take_over()) for _ in range(2)] == [[1, 2], [3]]
    group.idle_ms[1] = 5000
    assert numbers(stream.take_over()) == [1]


def test_a_frame_that_a_peer_took_a_moment_before_is_left_to_it() -> None:
    group = FakeGroup({1: 5000, 2: 5000})
    group.taken_by_a_peer.add(1)
    assert numbers(taker(group).take_over()) == [2]


def test_of_deleted_entries_only_the_ids_come_to_be_acknowledged() -> None:
    group = FakeGroup({1: 5000, 2: 5000, 3: 5000}, deleted=[2])
    group.taken_by_a_peer.add(1)
    assert taker(group, count=3).take_over() == [Entry(b"2-0", None), Entry(b"3-0", b"data")]


def test_deleted_entries_that_redis_drops_itself_do_not_come() -> None:
    group = FakeGroup({1: 5000, 2: 5000}, deleted=[1], drops_deleted=True)
    assert taker(group).take_over() == [Entry(b"2-0", b"data")]


class RefusingWorkers:
    """Refuses what is about the workers that are there."""

    def __init__(self) -> None:
        self.closed = False

    def run(self, commands: Sequence[Command]) -> list[Any]:
        refused = redis.ResponseError("NOPERM no permissions to access a key")
        return [refused if b"workers:s1" in command or "workers:s1" in command else 0 for command in commands]

    def close(self) -> None:
        self.closed = True


def test_a_worker_leaves_where_redis_keeps_no_workers() -> None:
    wire = RefusingWorkers()
    ShardStream(cast("Wire", wire), "s1", "me", count=2, claim_idle_ms=1000).leave()
    assert wire.closed
