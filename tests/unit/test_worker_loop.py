"""A shard's loop with a stream and a shard that do as they are told: how chunks are grouped, and what may be said."""

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
import redis

from protocol.frames import VERSION, Chunk, Outcome, decode_reply, encode_frame
from protocol.operations import Operation, Status
from protocol.settings import ClusterSettings, RedisSettings, StoreSettings, WorkerSettings
from worker import loop as loop_module
from worker.__main__ import build_loops
from worker.errors import ShardUnreachableError
from worker.loop import GIVE_UP_MS, MAX_HELD_BYTES, MAX_REPLY_BYTES, ShardLoop, _parts
from worker.shard import Shard
from worker.standby import Standby
from worker.stream import Answers, Entry, ShardStream

SETTINGS = WorkerSettings(call_keys=10, call_bytes=1024)
REDIS = RedisSettings(redis_url="redis://localhost", redis_password="x")
STORE = StoreSettings(store_password="x")
DOWN = ShardUnreachableError("connection refused", sent=False)
LOST = ShardUnreachableError("timed out", sent=True)

Result = ShardUnreachableError | list[tuple[int, Any]]


def now_ms() -> int:
    return int(time.time() * 1000)


class FakeShard:
    """Gives the results that it was made with, one a call, the last one again and again; notes the calls."""

    name = "s1"

    def __init__(self, *results: Result, replicas: bool = False) -> None:
        self.has_replicas = replicas
        self.calls: list[list[Chunk]] = []
        self.on_call: Callable[[], None] = lambda: None
        self._results = list(results)

    def apply(self, chunks: Sequence[Chunk]) -> list[tuple[int, Any]]:
        self.calls.append(list(chunks))
        self.on_call()
        if not self._results:
            return [(Status.OK, None)] * len(chunks)
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        if isinstance(result, ShardUnreachableError):
            raise result
        return result

    def disconnect(self) -> None:
        """Nothing is connected."""


class FakeStream:
    """Says whether frames were given to somebody else too, and keeps what is answered early."""

    def __init__(self, *, ours: bool = True, broken: bool = False) -> None:
        self.ours = ours
        self.broken = broken
        self.early: list[Outcome] = []
        self.disconnected = 0

    def keep(self, _: Sequence[bytes]) -> bool:
        if self.broken:
            raise redis.ConnectionError("gone")
        return self.ours

    def answer(self, answers: Answers) -> None:
        assert not answers.done, "a frame that is not finished must stay pending"
        if self.broken:
            raise redis.ConnectionError("gone")
        self.early += outcomes_in(answers)

    def disconnect(self) -> None:
        self.disconnected += 1

    def age_s(self, _: bytes) -> float:
        return 0.0


def loop_of(shard: FakeShard, stream: FakeStream | None = None) -> ShardLoop:
    return ShardLoop(cast("Shard", shard), cast("ShardStream", stream or FakeStream()), Standby(0, "me"), SETTINGS)


def chunk(number: int, *, in_ms: int = 5000, operation: int = Operation.WRITE, keys: int = 1, size: int = 4) -> Chunk:
    return Chunk(bytes([number]) * 16, operation, now_ms() + in_ms, 0, keys, b"x" * size)


def entry(*chunks: Chunk, stream: str = "reply:a", number: int = 1) -> Entry:
    return Entry(f"{number}-0".encode(), encode_frame(stream, {}, list(chunks)))


def outcomes_in(answers: Answers) -> list[Outcome]:
    return [outcome for _, data in answers.replies for outcome in decode_reply(data).outcomes]


def statuses(answers: Answers) -> dict[int, int]:
    return {outcome.id[0]: outcome.status for outcome in outcomes_in(answers)}


def work(shard: FakeShard, stream: FakeStream, *entries: Entry, redelivered: bool = False) -> Answers:
    return loop_of(shard, stream)._work(entries, redelivered=redelivered)


def calls_of(*chunks: Chunk) -> list[list[int]]:
    return [[chunk.id[0] for chunk in call] for call in loop_of(FakeShard())._calls(chunks)]


def test_chunks_go_together_up_to_the_keys_of_a_call() -> None:
    assert calls_of(chunk(1, keys=4), chunk(2, keys=6), chunk(3, keys=1)) == [[1, 2], [3]]


def test_chunks_go_together_up_to_the_bytes_of_a_call() -> None:
    assert calls_of(chunk(1, size=1000), chunk(2, size=24), chunk(3, size=1)) == [[1, 2], [3]]


def test_a_chunk_larger_than_a_call_goes_alone() -> None:
    assert calls_of(chunk(1), chunk(2, keys=50), chunk(3)) == [[1], [2], [3]]


def test_no_chunks_make_no_call() -> None:
    assert calls_of() == []


def outcome(number: int, size: int) -> Outcome:
    return Outcome(bytes([number]) * 16, Status.OK, b"x" * size)


def test_outcomes_share_a_reply_up_to_its_bytes() -> None:
    half = MAX_REPLY_BYTES // 2
    parts = list(_parts([outcome(1, half), outcome(2, half), outcome(3, 1)]))
    assert [[outcome.id[0] for outcome in part] for part in parts] == [[1, 2], [3]]


def test_an_outcome_larger_than_a_reply_goes_alone() -> None:
    parts = list(_parts([outcome(1, 1), outcome(2, MAX_REPLY_BYTES + 1), outcome(3, 1)]))
    assert [[outcome.id[0] for outcome in part] for part in parts] == [[1], [2], [3]]


def test_no_outcomes_make_no_reply() -> None:
    assert list(_parts([])) == []


def test_all_frames_of_a_read_go_in_one_call_and_are_done_together() -> None:
    shard = FakeShard()
    answers = work(shard, FakeStream(), entry(chunk(1), chunk(2)), entry(chunk(3), number=2))
    assert len(shard.calls) == 1
    assert statuses(answers) == {1: Status.OK, 2: Status.OK, 3: Status.OK}
    assert answers.done == [b"1-0", b"2-0"]


def test_every_api_process_gets_one_reply_with_its_own_outcomes() -> None:
    answers = work(
        FakeShard(),
        FakeStream(),
        entry(chunk(1)),
        entry(chunk(2), stream="reply:b", number=2),
        entry(chunk(3), number=3),
    )
    found = {stream: [outcome.id[0] for outcome in decode_reply(data).outcomes] for stream, data in answers.replies}
    assert found == {"reply:a": [1, 3], "reply:b": [2]}


def test_a_chunk_that_came_twice_is_applied_once_and_both_senders_are_told() -> None:
    shard = FakeShard()
    answers = work(shard, FakeStream(), entry(chunk(1)), entry(chunk(1), stream="reply:b", number=2))
    assert [len(call) for call in shard.calls] == [1]
    assert sorted(stream for stream, _ in answers.replies) == ["reply:a", "reply:b"]


def test_a_chunk_past_its_deadline_is_answered_without_asking_the_shard() -> None:
    shard = FakeShard()
    assert statuses(work(shard, FakeStream(), entry(chunk(1, in_ms=-1)))) == {1: Status.EXPIRED}
    assert shard.calls == []


def test_a_late_chunk_that_somebody_else_had_before_is_unknown() -> None:
    """It may have been applied in time by the worker that had it first."""
    answers = work(FakeShard(), FakeStream(), entry(chunk(1, in_ms=-1)), redelivered=True)
    assert statuses(answers) == {1: Status.UNKNOWN}


def test_a_late_chunk_that_somebody_else_took_over_is_unknown() -> None:
    """This worker was frozen with the frame in hand."""
    answers = work(FakeShard(), FakeStream(ours=False), entry(chunk(1, in_ms=-1)))
    assert statuses(answers) == {1: Status.UNKNOWN}


def test_a_late_chunk_is_unknown_where_redis_cannot_tell_who_had_it() -> None:
    answers = work(FakeShard(), FakeStream(broken=True), entry(chunk(1, in_ms=-1)))
    assert statuses(answers) == {1: Status.UNKNOWN}


def test_a_late_read_has_no_outcome_to_be_unknown() -> None:
    late = chunk(1, in_ms=-1, operation=Operation.READ)
    assert statuses(work(FakeShard(), FakeStream(), entry(late), redelivered=True)) == {1: Status.EXPIRED}


SOON = GIVE_UP_MS + 60


def test_a_chunk_that_never_reached_its_shard_is_not_applied() -> None:
    assert statuses(work(FakeShard(DOWN), FakeStream(), entry(chunk(1, in_ms=SOON)))) == {1: Status.UNREACHABLE}


def test_a_chunk_whose_call_may_have_reached_the_shard_is_unknown() -> None:
    assert statuses(work(FakeShard(LOST, DOWN), FakeStream(), entry(chunk(1, in_ms=SOON)))) == {1: Status.UNKNOWN}


def test_a_chunk_that_somebody_else_had_before_is_unknown() -> None:
    answers = work(FakeShard(DOWN), FakeStream(), entry(chunk(1, in_ms=SOON)), redelivered=True)
    assert statuses(answers) == {1: Status.UNKNOWN}


def test_a_chunk_that_somebody_else_took_over_is_unknown() -> None:
    answers = work(FakeShard(DOWN), FakeStream(ours=False), entry(chunk(1, in_ms=SOON)))
    assert statuses(answers) == {1: Status.UNKNOWN}


def test_a_read_that_got_no_answer_is_just_not_answered() -> None:
    read = chunk(1, in_ms=SOON, operation=Operation.READ)
    assert statuses(work(FakeShard(LOST), FakeStream(), entry(read))) == {1: Status.UNREACHABLE}


def test_a_chunk_is_given_up_before_its_deadline() -> None:
    """So that the answer still finds somebody waiting for it."""
    given = chunk(1, in_ms=SOON)
    work(FakeShard(DOWN), FakeStream(), entry(given))
    assert now_ms() < given.deadline_ms


def test_the_shard_is_asked_again_until_it_answers() -> None:
    shard = FakeShard(DOWN, LOST, DOWN, [(Status.OK, 7)])
    assert [outcome.payload for outcome in outcomes_in(work(shard, FakeStream(), entry(chunk(1))))] == [7]
    assert len(shard.calls) == 4


def test_an_outcome_does_not_wait_for_a_later_chunk_of_the_same_read() -> None:
    """One that was given up is told before the shard is asked again for the rest."""
    stream = FakeStream()
    shard = FakeShard(DOWN)
    told: list[int] = []

    def note() -> None:
        told[:] = [outcome.id[0] for outcome in stream.early]
        if 1 in told:
            shard._results[:] = [[(Status.OK, None)]]

    shard.on_call = note
    answers = work(shard, stream, entry(chunk(1, in_ms=SOON), chunk(2)))
    assert told == [1]
    assert statuses(answers) == {2: Status.OK}
    assert answers.done == [b"1-0"]


def test_the_outcomes_of_one_call_do_not_wait_for_the_next_call() -> None:
    stream = FakeStream()
    shard = FakeShard([(Status.OK, None)], DOWN, [(Status.OK, None)])
    answers = work(shard, stream, entry(chunk(1, keys=10), chunk(2, keys=10)))
    assert [outcome.id[0] for outcome in stream.early] == [1]
    assert statuses(answers) == {2: Status.OK}


def test_the_outcomes_of_one_call_are_told_before_the_next_is_made() -> None:
    stream = FakeStream()
    shard = FakeShard()
    told: list[list[int]] = []
    shard.on_call = lambda: told.append([outcome.id[0] for outcome in stream.early])
    answers = work(shard, stream, entry(*(chunk(number, keys=10) for number in (1, 2, 3))))
    assert told == [[], [1], [1, 2]]
    assert statuses(answers) == {3: Status.OK}


def test_a_refusal_is_told_only_when_its_frame_is_done() -> None:
    """It leaves no record: if the worker dies before, the next one's try may be accepted."""
    stream = FakeStream()
    shard = FakeShard([(Status.OK, None), (Status.REFUSED, b"disk full")], [(Status.OK, None)])
    frame = entry(chunk(1, keys=5), chunk(2, keys=5), chunk(3, keys=10))
    answers = work(shard, stream, frame)
    assert [outcome.id[0] for outcome in stream.early] == [1]
    assert statuses(answers) == {2: Status.REFUSED, 3: Status.OK}
    assert answers.done == [b"1-0"]


def test_redis_is_waited_for_between_calls_once_a_turn() -> None:
    stream = FakeStream(broken=True)
    answers = work(FakeShard(), stream, entry(*(chunk(number, keys=10) for number in range(1, 6))))
    assert stream.disconnected == 1
    assert statuses(answers) == dict.fromkeys(range(1, 6), Status.OK)


def test_an_outcome_that_could_not_be_told_early_is_told_at_the_end() -> None:
    stream = FakeStream(broken=True)
    shard = FakeShard([(Status.OK, None)], LOST, [(Status.OK, None)])
    answers = work(shard, stream, entry(chunk(1, keys=10), chunk(2, keys=10)))
    assert statuses(answers) == {1: Status.OK, 2: Status.OK}
    assert stream.disconnected


def test_a_read_only_instance_is_asked_no_more_where_there_are_others() -> None:
    shard = FakeShard([(Status.OK, 1), (Status.READ_ONLY, "")], [(Status.OK, 2)], replicas=True)
    answers = work(shard, FakeStream(), entry(chunk(1), chunk(2)))
    assert [[chunk.id[0] for chunk in call] for call in shard.calls] == [[1, 2], [2]]
    assert statuses(answers) == {2: Status.OK}


def test_a_read_only_instance_answers_for_itself_where_there_is_no_other() -> None:
    shard = FakeShard([(Status.READ_ONLY, "read-only")])
    assert statuses(work(shard, FakeStream(), entry(chunk(1)))) == {1: Status.READ_ONLY}


def test_an_entry_without_a_frame_is_deleted() -> None:
    answers = work(FakeShard(), FakeStream(), Entry(b"1-0", None))
    assert answers.done == [b"1-0"]


def test_a_frame_of_another_version_stays_for_a_worker_that_understands_it() -> None:
    foreign = Entry(b"1-0", b"\x92" + bytes([VERSION + 1]) + b"\xc0")
    answers = work(FakeShard(), FakeStream(), foreign, entry(chunk(1), number=2))
    assert answers.done == [b"2-0"]
    assert statuses(answers) == {1: Status.OK}


def test_a_frame_of_another_version_goes_when_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = FakeStream()
    monkeypatch.setattr(stream, "age_s", lambda _: loop_module.FOREIGN_FRAME_AGE_S + 1)
    foreign = Entry(b"1-0", b"\x92" + bytes([VERSION + 1]) + b"\xc0")
    assert work(FakeShard(), stream, foreign).done == [b"1-0"]


def test_reads_that_found_no_room_in_a_call_are_called_again_at_once() -> None:
    shard = FakeShard([(Status.OK, b"v"), (Status.NO_MEMORY, b"")], [(Status.OK, b"w")])
    reads = entry(chunk(1, operation=Operation.READ), chunk(2, operation=Operation.READ))
    assert statuses(work(shard, FakeStream(), reads)) == {1: Status.OK, 2: Status.OK}
    assert [[c.id[0] for c in call] for call in shard.calls] == [[1, 2], [2]]


def test_a_read_that_finds_no_room_by_itself_is_answered_so() -> None:
    shard = FakeShard([(Status.NO_MEMORY, b"full")])
    answers = work(shard, FakeStream(), entry(chunk(1, operation=Operation.READ)))
    assert statuses(answers) == {1: Status.NO_MEMORY}
    assert len(shard.calls) == 1


def test_large_answers_are_sent_before_the_turn_is_over() -> None:
    stream = FakeStream()
    large = b"v" * (MAX_HELD_BYTES + 1)
    shard = FakeShard([(Status.OK, large), (Status.NO_MEMORY, b"")], [(Status.OK, b"w")])
    reads = entry(chunk(1, operation=Operation.READ), chunk(2, operation=Operation.READ))
    answers = work(shard, stream, reads)
    assert [outcome.id[0] for outcome in stream.early] == [1]
    assert statuses(answers) == {2: Status.OK}


OTHER_VERSION = bytes((0x93, VERSION + 1, 0xA7)) + b"reply:a" + b"\xc0"


def test_a_frame_of_another_version_is_refused_and_deleted_where_nobody_else_has_had_it() -> None:
    answers = work(FakeShard(), FakeStream(), Entry(b"1-0", OTHER_VERSION))
    assert answers == Answers([], [b"1-0"], [("reply:a", b"1-0")])


def test_a_frame_of_another_version_that_somebody_else_has_had_stays() -> None:
    answers = work(FakeShard(), FakeStream(), Entry(b"1-0", OTHER_VERSION), redelivered=True)
    assert answers == Answers([], [], [])


def test_a_frame_of_another_version_is_refused_to_nobody_but_an_api() -> None:
    answers = work(FakeShard(), FakeStream(), Entry(b"1-0", OTHER_VERSION.replace(b"reply:a", b"kv:s1:a")))
    assert answers == Answers([], [], [])


class LookedAt(FakeStream):
    """A stream that holds what it was made with, and notes what is answered; its first answers may fail."""

    def __init__(self, *entries: Entry, failures: int = 0) -> None:
        super().__init__()
        self.answered: list[bytes] = []
        self._entries = list(entries)
        self._failures = failures

    def look(self, answers: Answers) -> tuple[list[Entry], int]:
        self.answer(answers)
        entries, self._entries = self._entries, []
        return entries, 0

    def answer(self, answers: Answers) -> None:
        if answers.done and self._failures:
            self._failures -= 1
            raise redis.ConnectionError("gone")
        self.answered += answers.done


def standing_by(stream: FakeStream) -> ShardLoop:
    """A loop that stands by, and does not pause between its looks."""
    standby = Standby(0, "me")
    standby.attended([b"first", b"me"])
    loop = ShardLoop(cast("Shard", FakeShard()), cast("ShardStream", stream), standby, SETTINGS)
    loop.stop()
    return loop


def test_what_is_found_while_standing_by_is_answered_before_the_pause() -> None:
    stream = LookedAt(entry(chunk(1)))
    standing_by(stream)._look()
    assert stream.answered == [b"1-0"]


def test_what_could_not_be_answered_while_standing_by_is_answered_at_the_next_look() -> None:
    stream = LookedAt(entry(chunk(1)), failures=2)
    loop = standing_by(stream)
    with pytest.raises(redis.ConnectionError):
        loop._look()
    with pytest.raises(redis.ConnectionError):
        loop._look()
    assert stream.answered == []
    loop._look()
    assert stream.answered == [b"1-0"]
    loop._look()
    assert stream.answered == [b"1-0"]


class HardToLeave(FakeStream):
    """A stream that the first try to leave fails at."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: list[bytes] = []
        self.tries = 0

    def answer(self, answers: Answers) -> None:
        self.answered += answers.done

    def leave(self) -> None:
        self.tries += 1
        if self.tries == 1:
            raise redis.ConnectionError("gone")


def test_what_was_answered_is_not_answered_again_when_leaving_is_tried_again() -> None:
    stream = HardToLeave()
    loop = loop_of(FakeShard(), stream)
    loop._answers = Answers(done=[b"1-0"])
    loop._leave()
    assert stream.tries == 2
    assert stream.answered == [b"1-0"]


def test_workers_divide_the_shards_alike_in_whatever_order_these_are_named() -> None:
    def parts(shards: str) -> dict[str, int]:
        loops = build_loops(ClusterSettings(shards=shards), REDIS, STORE, SETTINGS)
        return {loop.name: loop._standby._position for loop in loops}

    first, second = "s1=localhost:3301", "s2=localhost:3302"
    assert parts(f"{first};{second}") == parts(f"{second};{first}")
