"""How much may be under way for a shard."""

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


def test_a_full_shard_does_not_keep_others_from_being_admitted() -> None:
    gate = admission(chunks=1)
    gate.admit([("s1", 1)])
    gate.admit([("s2", 1)])


def test_a_batch_that_does_not_fit_leaves_nothing_counted() -> None:
    gate = admission(chunks=1)
    gate.admit([("s2", 1)])
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 1), ("s2", 1)])
    assert (gate.held("s1"), gate.held("s2")) == ((0, 0), (1, 1))


def test_what_is_released_makes_room() -> None:
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


def test_a_shard_takes_as_much_as_it_works_off_in_the_time_that_may_be_waited() -> None:
    gate = adaptive()
    assert fill(gate, None, 9999) == LEAST_CHUNKS
    for _ in range(60):
        for _ in range(200):
            gate.release("s1", 1)
            gate.admit([("s1", 1)])
        gate.adapt(0.1)
    # 2,000 a second.
    assert fill(gate, None, 9999) == pytest.approx(1000 - LEAST_CHUNKS, abs=2)


def test_what_waits_is_let_in_while_a_shard_has_work_for_a_tenth_of_a_second() -> None:
    gate = adaptive()
    for _ in range(60):
        for _ in range(200):
            gate.admit([("s1", 1)])
            gate.release("s1", 1)
        gate.adapt(0.1)
    # 2,000 a second.
    assert let_in(gate) == pytest.approx(200, abs=2)


def test_what_waits_for_a_slow_shard_is_let_in_one_after_the_other() -> None:
    """A few dozen chunks may be a large part of a second's work: more would only wait where the gate cannot reject
    them.
    """
    gate = adaptive()
    assert let_in(gate) == LEAST_READY
    gate.release("s1", 1)
    assert gate.has_room(None)


def let_in(gate: Admission) -> int:
    """Admit chunks while there is room for what waits; returns how many were admitted."""
    admitted = 0
    while gate.has_room(None):
        gate.admit([("s1", 1)])
        admitted += 1
    return admitted


def test_a_shard_that_has_become_slow_takes_little_again() -> None:
    gate = adaptive()
    for chunks in (*[200] * 30, *[1] * 60):
        gate.admit([("s1", 1)] * chunks)
        for _ in range(chunks):
            gate.release("s1", 1)
        gate.adapt(0.1)
    assert fill(gate, None, 9999) == LEAST_CHUNKS


def pause(gate: Admission) -> None:
    """Let a shard answer nothing for so long that it counts as paused."""
    for _ in range(PAUSE):
        gate.adapt(0.1)


def test_a_shard_whose_answers_come_in_bursts_has_not_paused() -> None:
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


def test_while_a_shard_pauses_all_that_the_settings_allow_may_wait_for_it() -> None:
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


def test_a_shard_that_has_caught_up_after_a_pause_takes_as_much_as_before() -> None:
    gate = adaptive()
    gate.admit([("s1", 1)] * 100)
    pause(gate)
    for _ in range(100):
        gate.release("s1", 1)
    gate.adapt(0.1)
    assert fill(gate, None, 9999) == LEAST_CHUNKS


def test_a_shard_takes_no_more_than_the_settings_allow_however_fast_it_is() -> None:
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


def test_who_has_nothing_under_way_is_not_kept_in_mind() -> None:
    gate = admission(chunks=100)
    gate.admit([("s1", 1), ("s2", 1)], "a")
    gate.release("s1", 1, "a")
    gate.release("s2", 1, "a")
    assert not any(shard.held for shard in gate._shards.values())


def test_a_shard_without_a_users_chunks_takes_a_batch_of_any_size() -> None:
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


def test_a_batch_is_counted_whole() -> None:
    gate = admission(chunks=4, size=100)
    gate.admit([("s1", 10)], "a")
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 1)] * 4, "a")
    with pytest.raises(OverloadedError):
        gate.admit([("s1", 31)] * 3, "a")
    gate.admit([("s1", 30)] * 3, "a")
    assert gate.held("s1")[1] == 100
