"""The shard limits: how many chunks and bytes may wait for a shard."""

import pytest

from api.overload.errors import OverloadedError
from api.overload.shard_limits import Admission
from api.overload.tuning import CATCH_UP, LEAST_CHUNKS, LEAST_READY, PAUSE


def admission(chunks: int = 2, size: int = 100) -> Admission:
    return Admission(["s1", "s2"], max_chunks=chunks, max_bytes=size, max_wait_s=0.5)


def test_as_many_chunks_as_allowed_are_admitted_and_no_more() -> None:
    gate = admission(chunks=2)
    gate.admit([("s1", 1), ("s1", 1)])
    with pytest.raises(OverloadedError) as caught:
        gate.admit([("s1", 1)])
    assert "nothing was applied" in str(caught.value)


def test_as_many_bytes_as_allowed_are_admitted_and_no_more() -> None:
    gate = admission(chunks=9, size=100)
    gate.admit([("s1", 60), ("s1", 40)])
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 1)])


def test_a_chunk_larger_than_the_limit_is_admitted_alone() -> None:
    gate = admission(size=100)
    gate.admit([("s1", 101)])
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 1)])


def test_a_full_shard_does_not_block_chunks_of_other_shards() -> None:
    gate = admission(chunks=1)
    gate.admit([("s1", 1)])
    gate.admit([("s2", 1)])


def test_a_batch_that_does_not_fit_leaves_nothing_counted() -> None:
    gate = admission(chunks=1)
    gate.admit([("s2", 1)])
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 1), ("s2", 1)])
    assert (gate.held("s1"), gate.held("s2")) == ((0, 0), (1, 1))


def test_released_chunks_make_room() -> None:
    gate = admission(chunks=1)
    gate.admit([("s1", 7)])
    gate.release("s1", 7)
    gate.admit([("s1", 7)])
    assert gate.held("s1")[1] == 7


def adaptive(chunks: int = 4096) -> Admission:
    return Admission(["s1"], max_chunks=chunks, max_bytes=1 << 40, max_wait_s=0.5)


def fill(gate: Admission, user: str | None, chunks: int) -> int:
    """Admit chunks until one is refused; returns how many were admitted."""
    for number in range(chunks):
        try:
            gate.admit([("s1", 1)], user)
        except OverloadedError:
            return number
    return chunks


def test_a_shard_may_have_as_many_chunks_as_it_finishes_in_the_longest_wait() -> None:
    gate = adaptive()
    assert fill(gate, None, 9999) == LEAST_CHUNKS
    for _ in range(60):
        for _ in range(200):
            gate.release("s1", 1)
            gate.admit([("s1", 1)])
        gate.adapt(0.1)
    # 2,000 a second.
    assert fill(gate, None, 9999) == pytest.approx(1000 - LEAST_CHUNKS, abs=2)


def test_waiting_requests_start_until_a_shard_has_work_for_a_tenth_of_a_second() -> None:
    gate = adaptive()
    for _ in range(60):
        for _ in range(200):
            gate.admit([("s1", 1)])
            gate.release("s1", 1)
        gate.adapt(0.1)
    # 2,000 a second.
    assert let_in(gate) == pytest.approx(200, abs=2)


def test_waiting_requests_for_a_slow_shard_start_one_after_the_other() -> None:
    """A few dozen chunks may be a large part of a second's work. More would wait where the gate cannot reject
    them.
    """
    gate = adaptive()
    assert let_in(gate) == LEAST_READY
    gate.release("s1", 1)
    assert gate.has_room(None)


def let_in(gate: Admission) -> int:
    """Admit chunks while a waiting request would start; returns how many were admitted."""
    admitted = 0
    while gate.has_room(None):
        gate.admit([("s1", 1)])
        admitted += 1
    return admitted


def test_the_limit_falls_when_a_shard_becomes_slow() -> None:
    gate = adaptive()
    for chunks in (*[200] * 30, *[1] * 60):
        gate.admit([("s1", 1)] * chunks)
        for _ in range(chunks):
            gate.release("s1", 1)
        gate.adapt(0.1)
    assert fill(gate, None, 9999) == LEAST_CHUNKS


def pause(gate: Admission) -> None:
    """Let a shard be silent for so long that it counts as paused."""
    for _ in range(PAUSE):
        gate.adapt(0.1)


def test_a_shard_with_answers_in_bursts_does_not_count_as_paused() -> None:
    gate = adaptive()
    gate.admit([("s1", 1)])
    for _ in range(60):
        for _ in range(PAUSE - 1):
            gate.adapt(0.1)
        gate.admit([("s1", 1)] * 200)
        for _ in range(200):
            gate.release("s1", 1)
        gate.adapt(0.1)
    # 200 in three tenths of a second, and one is under way.
    assert fill(gate, None, 9999) == pytest.approx(333 - 1, abs=2)


def test_while_a_shard_pauses_only_the_settings_limit_its_chunks() -> None:
    gate = adaptive(chunks=1000)
    gate.admit([("s1", 1)])
    pause(gate)
    assert fill(gate, None, 9999) == 999
    gate.release("s1", 1, worked=False)
    gate.adapt(0.1)
    assert fill(gate, None, 9999) == 1
    # After the pause it catches up for two seconds.
    for _ in range(CATCH_UP):
        gate.release("s1", 1)
        gate.adapt(0.1)
        assert fill(gate, None, 9999) == 1
    gate.release("s1", 1)
    gate.adapt(0.1)
    assert fill(gate, None, 9999) == 0


def test_after_a_pause_a_shard_has_its_former_limit_again() -> None:
    gate = adaptive()
    gate.admit([("s1", 1)] * 100)
    pause(gate)
    for _ in range(100):
        gate.release("s1", 1)
    gate.adapt(0.1)
    assert fill(gate, None, 9999) == LEAST_CHUNKS


def test_the_settings_limit_the_chunks_of_a_fast_shard_too() -> None:
    gate = adaptive(chunks=300)
    for _ in range(30):
        for _ in range(1000):
            gate.admit([("s1", 1)])
            gate.release("s1", 1)
        gate.adapt(0.1)
    assert fill(gate, None, 9999) == 300


def test_one_user_leaves_room_for_others() -> None:
    gate = admission(chunks=100, size=1 << 30)
    greedy = fill(gate, "greedy", 1000)
    assert greedy == 75
    assert fill(gate, "modest", 10) == 10
    with pytest.raises(OverloadedError) as caught:
        gate.admit([("s1", 1)], "greedy")
    assert "one user's share" in str(caught.value)
    assert gate.has_room("modest")


def test_bytes_are_shared_like_chunks() -> None:
    gate = admission(chunks=1000, size=100)
    for _ in range(15):
        gate.admit([("s1", 5)], "greedy")
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 5)], "greedy")
    gate.admit([("s1", 5)], "modest")


def test_a_user_without_waiting_chunks_takes_no_memory() -> None:
    gate = admission(chunks=100)
    gate.admit([("s1", 1), ("s2", 1)], "a")
    gate.release("s1", 1, "a")
    gate.release("s2", 1, "a")
    assert not any(shard.held for shard in gate._shards.values())


def test_a_batch_of_any_size_is_admitted_if_the_user_has_no_chunks_there() -> None:
    gate = admission(chunks=2, size=100)
    # A chunk of the api's own, without a user.
    gate.admit([("s1", 1)])
    gate.admit([("s1", 100)] * 9, "a")
    for user in ("a", "b"):
        with pytest.raises(OverloadedError):
            gate.admit([("s1", 1)], user)
    for _ in range(9):
        gate.release("s1", 100, "a")
    gate.admit([("s1", 100)] * 9, "b")


def test_all_chunks_of_a_batch_are_counted_together() -> None:
    gate = admission(chunks=4, size=100)
    gate.admit([("s1", 10)], "a")
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 1)] * 4, "a")
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 31)] * 3, "a")
    gate.admit([("s1", 30)] * 3, "a")
    assert gate.held("s1")[1] == 100
