"""Which pending frames a worker takes over, and in which steps."""

from collections.abc import Sequence
from typing import Any, cast

from protocol.redis_wire import Command, Wire
from worker.group import Entry, Group
from worker.takeover import OTHER_CLUSTER_IDLE_MS, TakeOver

ME = b"me"
CLOCK = [b"1700000000", b"5000"]


class FakeGroup:
    """A group's pending entries: how long each has been idle, and its data. An entry that was deleted has none."""

    server = "s"

    def __init__(self, idle_ms: dict[int, int], deleted: Sequence[int] = (), *, drops_deleted: bool = False) -> None:
        self.idle_ms = idle_ms
        self.deleted = deleted
        self.drops_deleted = drops_deleted
        self.holder, self.taker = b"peer", ME.decode()
        self.looked_at = 0
        self.taken_by_a_peer: set[int] = set()

    def connect(self) -> None:
        """Do nothing: it is connected."""

    def run(self, commands: Sequence[Command]) -> list[Any]:
        return [self._answer(command) for command in commands]

    def _answer(self, command: Command) -> list[Any]:
        if command[0] == "TIME":
            return CLOCK
        return self._pending(command) if command[0] == "XPENDING" else self._claim(command)

    def _pending(self, command: Command) -> list[list[Any]]:
        _, _, _, start, end, count = command
        assert end == "+"
        first, _, sequence = cast("bytes", start).partition(b"-")
        # All ids here have the sequence number 0.
        ids = [n for n in sorted(self.idle_ms) if n > int(first) or (n == int(first) and sequence == b"0")]
        self.looked_at = len(ids[: int(count)])
        return [[b"%d-0" % n, self.holder, self.idle_ms[n], 1] for n in ids[: int(count)]]

    def _claim(self, command: Command) -> list[Any]:
        name, _, _, consumer, min_idle_ms, entry_id = command
        assert (name, consumer) == ("XCLAIM", self.taker)
        number = int(cast("bytes", entry_id).partition(b"-")[0])
        if number in self.taken_by_a_peer or self.idle_ms[number] < int(min_idle_ms):
            return []
        if number in self.deleted:
            return [] if self.drops_deleted else [None]
        self.idle_ms[number] = 0
        return [[entry_id, [b"f", b"data"]]]


def taker(group: FakeGroup, count: int = 2) -> TakeOver:
    return TakeOver(Group(cast("Wire", group), "s1", ME.decode()), count=count, claim_idle_ms=1000)


def taken(takeover: TakeOver) -> list[int]:
    return [int(entry.id.partition(b"-")[0]) for entry in takeover.take_over().entries]


def test_only_frames_whose_claim_is_old_enough_are_taken_over() -> None:
    given = taker(FakeGroup({1: 999, 2: 1000, 3: 0})).take_over()
    assert given.entries == [Entry(b"2-0", b"data")]
    assert given.redelivered
    assert given.now_ms == 1_700_000_000_005


def test_frames_of_another_clusters_workers_are_not_taken_over() -> None:
    own, other = "0a" * 16, "0b" * 16
    group = FakeGroup({1: 5000, 2: OTHER_CLUSTER_IDLE_MS - 1, 3: OTHER_CLUSTER_IDLE_MS})
    group.holder = f"{other}/host:7:abc".encode()
    group.taker = f"{own}/host:8:abc"
    takeover = TakeOver(Group(cast("Wire", group), "s1", group.taker), count=5, claim_idle_ms=1000)
    assert taken(takeover) == [3]
    group.holder = f"{own}/host:7:abc".encode()
    assert taken(takeover) == [1, 2]


def test_nothing_is_claimed_if_nothing_is_pending() -> None:
    assert taken(taker(FakeGroup({}))) == []


def test_a_step_claims_as_many_frames_as_a_read_and_the_next_step_continues_there() -> None:
    takeover = taker(FakeGroup(dict.fromkeys(range(1, 6), 5000)))
    assert [taken(takeover) for _ in range(4)] == [[1, 2], [3, 4], [5], []]


def test_a_step_examines_a_bounded_number_of_frames_and_the_next_step_continues_there() -> None:
    group = FakeGroup(dict.fromkeys(range(1, 50), 0) | {50: 5000})
    takeover = taker(group)
    steps = [(taken(takeover), group.looked_at) for _ in range(3)]
    assert steps == [([], 20), ([], 20), ([50], 10)]


def test_after_the_last_pending_frame_the_search_starts_again() -> None:
    group = FakeGroup(dict.fromkeys(range(1, 4), 5000))
    takeover = taker(group)
    assert [taken(takeover) for _ in range(2)] == [[1, 2], [3]]
    group.idle_ms[1] = 5000
    assert taken(takeover) == [1]


def test_a_frame_that_a_peer_has_just_claimed_is_not_taken_over() -> None:
    group = FakeGroup({1: 5000, 2: 5000})
    group.taken_by_a_peer.add(1)
    assert taken(taker(group)) == [2]


def test_deleted_entries_are_only_acknowledged() -> None:
    group = FakeGroup({1: 5000, 2: 5000, 3: 5000}, deleted=[2])
    group.taken_by_a_peer.add(1)
    given = taker(group, count=3).take_over()
    assert given.entries == [Entry(b"2-0", None), Entry(b"3-0", b"data")]


def test_deleted_entries_that_redis_drops_itself_are_not_reported() -> None:
    group = FakeGroup({1: 5000, 2: 5000}, deleted=[1], drops_deleted=True)
    assert taken(taker(group)) == [2]
