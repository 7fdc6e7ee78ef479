"""A worker bounds the memory of the large answers that its loops hold at a time."""

import socket
import threading

import pytest

from protocol.operations import Operation, Status
from tests.unit.test_iproto import ok
from tests.unit.test_worker_loop import loop_of
from tests.unit.worker_fakes import FakeRedis, FakeShard, chunk, delivery, entry, turn_of
from worker import answer_room
from worker.answer_room import LARGE_BYTES, AnswerRoom, NoRoomError
from worker.iproto import Procedure

ROOM = 4 * LARGE_BYTES


def test_an_answer_waits_until_another_loop_has_reported_its_own() -> None:
    room, took = AnswerRoom(ROOM), threading.Event()
    room.take("s1", ROOM)

    def take() -> None:
        room.take("s2", LARGE_BYTES)
        took.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not took.wait(0.05)
    room.free("s1")
    assert took.wait(10)
    waiting.join()


def test_an_answer_that_gets_no_room_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_room, "WAIT_S", 0.01)
    room = AnswerRoom(ROOM)
    room.take("s1", ROOM - LARGE_BYTES)
    room.take("s2", LARGE_BYTES)
    with pytest.raises(NoRoomError):
        room.take("s3", LARGE_BYTES)
    room.take("s3", LARGE_BYTES - 1)


def test_an_answer_that_is_larger_than_the_room_is_held_alone() -> None:
    room = AnswerRoom(ROOM)
    room.take("s1", 10 * ROOM)
    room.free("s1")
    room.free("s1")
    room.take("s2", ROOM)


@pytest.mark.parametrize("size", [10, 2 * LARGE_BYTES])
def test_a_call_asks_for_room_before_it_receives_a_large_answer(size: int) -> None:
    asked: list[int] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        sending = threading.Thread(target=theirs.sendall, args=(ok(b"v" * size),))
        sending.start()
        assert Procedure(ours, "p", asked.append)([]) == b"v" * size
        sending.join()
    assert bool(asked) == (size > LARGE_BYTES)
    assert all(each > size for each in asked)


def test_frames_with_large_answers_that_cannot_be_reported_stay_pending_and_are_not_held() -> None:
    large, small = chunk(1, operation=Operation.READ), chunk(2, operation=Operation.READ)
    first, second = entry(large), entry(small, number=2)
    turn = turn_of(first, second)
    turn.put(large, Status.OK, b"v" * LARGE_BYTES, maybe_sent=False)
    turn.put(small, Status.OK, b"v", maybe_sent=False)
    assert turn.put_back(LARGE_BYTES) == 1
    assert turn.report().done == [second.id]
    assert turn.entry_ids == [second.id]


def test_a_loop_holds_no_large_answer_while_redis_is_out_of_reach() -> None:
    """Loops of other lanes could not answer large reads for as long."""
    large, change = chunk(1, operation=Operation.READ), chunk(2)
    shard = FakeShard([(Status.OK, b"v" * 9 * LARGE_BYTES), (Status.OK, None)])
    server = FakeRedis()
    loop = loop_of(shard, server)
    second = entry(change, number=2)
    server.broken = True
    loop._work(delivery(entry(large), second))
    assert shard.freed == 1
    server.broken = False
    loop._report()
    (report,) = server.reports
    assert report.done == [second.id]
    assert shard.freed == 2
