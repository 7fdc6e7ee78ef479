"""A worker begins and ends loops as shards are announced and removed."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from protocol.announced import Address, Shards, announced, in_order
from protocol.refusals import MOVING
from tests.unit.moving_shards import pack
from worker.errors import ShardUnreachableError, WrongInstanceError
from worker.loops import LoopKey, Loops
from worker.shard import Shard
from worker.watch import AT_ONCE, ShardWatch

Words = Mapping[str, Shards | Exception | None]


def at(*names: str) -> dict[str, tuple[Address, ...]]:
    return {name: ((f"host-{name}", 1),) for name in names}


class FakeLoop:
    """A loop that lives from its start until it is stopped, or `failure` is set."""

    def __init__(self, key: LoopKey, instances: Sequence[Address], position: int) -> None:
        self.name = key.shard
        self.failure: BaseException | None = None
        self.last_turn = self.last_frame = 0.0
        self.at, self.position = tuple(instances), position
        self.alive = self.told = False

    def start(self) -> None:
        self.alive = True

    def stop(self) -> None:
        self.told = True

    def join(self, timeout: float | None = None) -> None:
        del timeout
        self.alive = False

    def is_alive(self) -> bool:
        return self.alive and self.failure is None

    def update(self, instances: Sequence[Address], position: int) -> None:
        self.at, self.position = tuple(instances), position


class Made:
    """The loops of a worker whose settings name s1, and all that were ever made."""

    def __init__(self, *names: str, linger_s: float = 0.0) -> None:
        self.all: list[FakeLoop] = []
        self.loops = Loops(self._make, at("s1"), linger_s=linger_s)
        self.loops.ensure(at(*names))

    def _make(self, key: LoopKey, instances: Sequence[Address], position: int) -> FakeLoop:
        self.all.append(FakeLoop(key, instances, position))
        return self.all[-1]

    def loop(self, name: str) -> FakeLoop:
        return next(loop for loop in reversed(self.all) if loop.name == name)

    def names(self) -> list[str]:
        return sorted(loop.name for loop in self.loops)


def test_a_new_shard_gets_a_loop_and_the_others_keep_theirs() -> None:
    made = Made("s1", "s3")
    made.loops.ensure(at("s1", "s2", "s3"))
    assert [loop.name for loop in made.all] == ["s1", "s3", "s2"]
    assert all(loop.is_alive() for loop in made.all)
    assert {loop.name: loop.position for loop in made.all} == {"s1": 0, "s2": 1, "s3": 2}, (
        "all workers divide them in the same way"
    )


def test_workers_divide_the_shards_in_the_same_way_whatever_their_order() -> None:
    assert [Made(*names).loop("s2").position for names in (("s1", "s2"), ("s2", "s1"))] == [1, 1]


def test_the_loop_of_a_removed_shard_drains_when_no_more_frames_come() -> None:
    made = Made("s1", "s2", linger_s=1000.0)
    made.loops.ensure(at("s1"))
    made.loops.tick()
    assert not made.loop("s2").told, "an api may not know of the removal yet"
    made = Made("s1", "s2")
    gone = made.loop("s2")
    made.loops.ensure(at("s1"))
    gone.last_frame = float("inf")
    made.loops.tick()
    assert [loop.told for loop in made.all] == [False, False], "an api does not know of the removal yet"
    gone.last_frame = 0.0
    made.loops.tick()
    assert [loop.told for loop in made.all] == [False, True]
    assert made.names() == ["s1", "s2"], "the loop has frames in hand"
    gone.join()
    made.loops.tick()
    assert made.names() == ["s1"]


def test_a_shard_that_is_announced_again_keeps_its_loop_or_gets_a_new_one() -> None:
    made = Made("s1", "s2", linger_s=1000.0)
    made.loops.ensure(at("s1"))
    made.loops.ensure(at("s1", "s2"))
    made.loops.tick()
    assert len(made.all) == 2
    made = Made("s1", "s2")
    made.loops.ensure(at("s1"))
    made.loops.tick()
    made.loops.ensure(at("s1", "s2"))
    assert len(made.all) == 2, "the old loop still drains, and two loops may not work at the same time"
    made.loop("s2").join()
    made.loops.tick()
    assert [loop.name for loop in made.all] == ["s1", "s2", "s2"]
    assert made.loop("s2").is_alive()


def test_a_loop_gets_the_present_addresses_of_its_shard() -> None:
    made = Made("s1", "s2")
    made.loops.ensure({**at("s1"), "s2": (("new", 2), ("newer", 3))})
    assert made.loop("s2").at == (("new", 2), ("newer", 3))
    assert len(made.all) == 2


def test_a_loop_that_fails_ends_the_worker() -> None:
    made = Made("s1", "s2")
    made.loop("s2").failure = RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        made.loops.tick()


@pytest.mark.parametrize("named", ["settings", "announced"])
def test_another_instance_at_an_address_ends_the_worker_only_if_the_settings_name_it(named: str) -> None:
    made = Made("s1", "s2")
    made.loop("s1" if named == "settings" else "s2").failure = WrongInstanceError("another")
    if named == "settings":
        with pytest.raises(WrongInstanceError):
            made.loops.tick()
        return
    made.loops.tick()
    assert made.loop("s1").is_alive()
    made.loops.ensure(at("s1"))
    made.loops.tick()
    made.loops.ensure(at("s1", "s2"))
    assert made.loop("s2").is_alive(), "the loop is started again"


def test_a_drain_ends_all_loops_and_starts_none() -> None:
    made = Made("s1", "s2")
    assert made.loops.drain(1.0)
    made.loops.ensure(at("s1", "s2", "s3"))
    assert [loop.told for loop in made.all] == [True, True]


class Asked:
    """Shards that announce `words`, their watchers, and what the watchers were told."""

    def __init__(self, known: Shards, words: Words) -> None:
        self.words = words
        self.asked: list[str] = []
        self.told: list[Shards] = []
        self.watch = ShardWatch(known, self._make, self.told.append)

    def _make(self, name: str, _: Sequence[Address]) -> Shard:
        asked, words = self.asked, self.words

        class Connection:
            said_shards: Shards | None = None

            def connect(self) -> None:
                asked.append(name)
                word = words[name]
                if isinstance(word, Exception):
                    raise word
                self.said_shards = word

            def disconnect(self) -> None:
                """Do nothing: there is no connection."""

        return cast("Shard", Connection())


def test_any_shard_can_announce_a_new_one_while_others_are_down() -> None:
    down = ShardUnreachableError("down", sent=False)
    asked = Asked(at("s1", "s2"), {"s1": down, "s2": at("s1", "s2", "s3"), "s3": down})
    asked.watch.round()
    assert asked.told == [at("s1", "s2", "s3")]
    asked.watch.round()
    assert len(asked.told) == 1, "there was no change"


def test_a_shard_counts_as_removed_only_if_all_were_asked_and_no_other_names_it() -> None:
    many = [f"s{number:02}" for number in range(AT_ONCE + 1)]
    without = at(*many[:-1])
    asked = Asked(at(*many), dict.fromkeys(many[:-1], without) | {many[-1]: at(*many)})
    asked.watch.round()
    assert asked.told == []
    asked.watch.round()
    assert asked.told == [without]
    assert sorted(asked.asked) == many


def test_without_announcements_the_shards_are_those_of_the_settings() -> None:
    asked = Asked(at("s1", "s2"), {"s1": None, "s2": ShardUnreachableError("down", sent=False)})
    asked.watch.round()
    assert asked.told == []


@pytest.mark.parametrize(("where", "wakes"), [("s9", True), ("s2", False), (MOVING, False), (None, False)])
def test_after_a_refusal_with_an_unknown_shard_the_shards_are_asked_soon(where: object, wakes: bool) -> None:  # noqa: FBT001
    watch = Asked(at("s1", "s2"), {}).watch
    watch.refused(pack([[1, where]]))
    assert watch._wake.is_set() == wakes


def test_a_removed_shard_that_still_announces_itself_is_removed() -> None:
    """While other shards still announce it, it stays connected."""
    assert announced({"s1": at("s1", "s2"), "s2": at("s1", "s2"), "s3": at("s1", "s2", "s3")}) == at("s1", "s2")
    assert announced({"s1": at("s1", "s2"), "s2": at("s1", "s2", "s3")}) == at("s1", "s2", "s3")
    assert announced({"s1": at("s1", "s2"), "s2": None}) == at("s1", "s2")
    assert announced({"s1": None}) is None
    own, other = (("own", 1),), (("other", 1),)
    assert announced({"s1": {"s1": own, "s2": other}, "s2": {"s1": other, "s2": own}}) == {"s1": own, "s2": own}


def test_shards_of_the_settings_come_first_and_the_others_by_name() -> None:
    assert in_order(["s3", "s1", "gone"], at("s1", "s2", "s3", "s0")) == ("s3", "s1", "s0", "s2")


def test_every_shard_has_a_loop_on_each_lane_with_the_same_position() -> None:
    made: dict[LoopKey, FakeLoop] = {}

    def make(key: LoopKey, instances: Sequence[Address], position: int) -> FakeLoop:
        made[key] = FakeLoop(key, instances, position)
        return made[key]

    loops = Loops(make, at("s1"), lanes=2, linger_s=0.0)
    loops.ensure(at("s2", "s1"))
    assert {key: loop.position for key, loop in made.items()} == {
        LoopKey(shard, lane): position for position, shard in enumerate(("s1", "s2")) for lane in (0, 1)
    }
    loops.ensure(at("s1"))
    loops.tick()
    assert {key for key, loop in made.items() if loop.told} == {LoopKey("s2", 0), LoopKey("s2", 1)}
