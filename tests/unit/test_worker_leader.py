"""The search for a shard's leader: all instances are asked at once, so a silent one delays nothing."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from protocol.announced import Address
from worker.errors import ShardUnreachableError, WrongInstanceError
from worker.leader import AVOIDED_S, SEARCH_S, Found, LeaderSearch

A, B, C = ("127.0.0.1", 1), ("127.0.0.1", 2), ("127.0.0.1", 3)
MANY = 4 * SEARCH_S


class Instances:
    """Instances that lead, follow, say that they are another shard's, or say nothing until they are released."""

    def __init__(self) -> None:
        self.leader: Address | None = None
        self.silent: set[Address] = set()
        self.wrong: set[Address] = set()
        self.asked: list[Address] = []
        self.within_s: list[float] = []
        self.made: list[socket.socket] = []
        self.released = threading.Event()
        self.done = threading.Semaphore(0)
        self.search = LeaderSearch((A, B, C), self.ask, MANY)

    def ask(self, instance: Address, within_s: float) -> Found:
        self.asked.append(instance)
        self.within_s.append(within_s)
        try:
            if instance in self.silent:
                assert self.released.wait(10)
            if instance in self.wrong:
                return Found(instance, None, "wrong", WrongInstanceError("it says it is s2"))
            if instance != self.leader:
                return Found(instance, None, "read-only")
            connected = socket.socket()
            self.made.append(connected)
            return Found(instance, connected, "")
        finally:
            self.done.release()

    def find(self, but: Address | None = None) -> Address:
        self.asked.clear()
        instance, connected = self.search.find(but=but)
        connected.close()
        return instance


@pytest.fixture
def instances() -> Iterator[Instances]:
    made = Instances()
    yield made
    made.released.set()
    for connected in made.made:
        connected.close()


@pytest.mark.parametrize("leader", [A, B, C])
def test_the_leader_is_found_whichever_instance_it_is(instances: Instances, leader: Address) -> None:
    instances.leader = leader
    assert instances.find() == leader
    assert sorted(instances.asked) == [A, B, C]
    assert instances.within_s == [SEARCH_S] * 3


def test_a_search_does_not_wait_for_silent_instances_if_the_leader_answers(instances: Instances) -> None:
    instances.leader, instances.silent = B, {A, C}

    def took_s() -> float:
        began = time.monotonic()
        assert instances.find() == B
        return time.monotonic() - began

    assert min(took_s() for _ in range(5)) < SEARCH_S


def test_a_search_among_silent_instances_ends(instances: Instances) -> None:
    instances.leader, instances.silent = B, {A, B, C}
    with pytest.raises(ShardUnreachableError, match="no instance answered in time") as raised:
        instances.find()
    assert raised.value.sent is False


def test_a_connection_that_comes_after_the_search_is_closed(instances: Instances) -> None:
    instances.leader, instances.silent = B, {B}
    with pytest.raises(ShardUnreachableError, match=r"127\.0\.0\.1:1: read-only"):
        instances.find()
    instances.released.set()
    for _ in range(3):
        assert instances.done.acquire(timeout=10)
    (late,) = instances.made
    ends = time.monotonic() + 10
    while late.fileno() != -1:
        assert time.monotonic() < ends, "the connection is not closed"


def test_an_instance_of_another_shard_is_an_error(instances: Instances) -> None:
    instances.wrong = {C}
    with pytest.raises(WrongInstanceError, match="says it is s2"):
        instances.find()


def test_an_instance_whose_call_timed_out_is_left_out_for_a_while(
    instances: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    instances.leader = A
    instances.search.avoid(A)
    with pytest.raises(ShardUnreachableError):
        instances.find()
    assert sorted(instances.asked) == [B, C]
    now = time.monotonic() + AVOIDED_S
    monkeypatch.setattr("worker.leader.time.monotonic", lambda: now)
    assert instances.find() == A


def test_if_all_instances_are_to_be_left_out_all_are_asked(instances: Instances) -> None:
    instances.leader = A
    for each in (A, B, C):
        instances.search.avoid(each)
    assert instances.find() == A


def test_a_search_for_a_successor_does_not_ask_the_leader_itself(instances: Instances) -> None:
    instances.leader = B
    assert instances.find(but=A) == B
    assert A not in instances.asked


def test_a_single_instance_has_the_whole_timeout_of_a_call(instances: Instances) -> None:
    instances.leader = A
    search = LeaderSearch((A,), instances.ask, MANY)
    search.avoid(A)
    assert search.find()[0] == A
    assert instances.within_s == [MANY]
