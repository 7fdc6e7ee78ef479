"""The home lane of each shard, and its lane while its home does not work. The tests pass the time as an argument."""

import pytest

from api.queue.lane_choice import HOME_AFTER_S, LaneChoice, order

LANES = ("a:1", "b:1", "c:1")
MANY = [f"s{number}" for number in range(1, 1001)]
SHARD = next(shard for shard in MANY if order(shard, LANES) == (0, 1, 2))


@pytest.fixture
def choice() -> LaneChoice:
    return LaneChoice(LANES, [SHARD])


def test_a_new_lane_takes_its_share_and_moves_no_other_shard() -> None:
    before = {shard: LANES[order(shard, LANES)[0]] for shard in MANY}
    more = (*LANES, "d:1")
    after = {shard: more[order(shard, more)[0]] for shard in MANY}
    moved = {shard for shard in MANY if before[shard] != after[shard]}
    assert {after[shard] for shard in moved} == {"d:1"}
    assert 150 < len(moved) < 350


def test_homes_depend_on_the_addresses_and_not_on_their_order() -> None:
    turned = LANES[::-1]
    assert all(LANES[order(shard, LANES)[0]] == turned[order(shard, turned)[0]] for shard in MANY)


def test_the_shards_are_distributed_evenly() -> None:
    homes = [order(shard, LANES)[0] for shard in MANY]
    assert all(270 < homes.count(lane) < 400 for lane in range(3))


def test_a_shard_begins_at_home_whatever_connects_first(choice: LaneChoice) -> None:
    choice.up(1, 0.0)
    assert choice.of(SHARD) == 0


def test_the_shards_of_a_failed_lane_go_to_the_next_in_their_order(choice: LaneChoice) -> None:
    choice.down(0, 10.0)
    assert choice.of(SHARD) == 1
    choice.down(1, 11.0)
    assert choice.of(SHARD) == 2


def test_a_shard_returns_home_when_its_lane_has_worked_for_a_while_and_carried_an_answer(choice: LaneChoice) -> None:
    choice.down(0, 10.0)
    choice.up(0, 20.0)
    choice.settle(20.0 + HOME_AFTER_S)
    assert choice.of(SHARD) == 1
    assert choice.unproven(SHARD) == [0]
    choice.prove(SHARD, 0)
    choice.settle(19.9 + HOME_AFTER_S)
    assert choice.of(SHARD) == 1
    choice.settle(20.0 + HOME_AFTER_S)
    assert choice.of(SHARD) == 0
    assert choice.unproven(SHARD) == []


def test_a_lane_that_fails_again_and_again_gets_no_shard_back(choice: LaneChoice) -> None:
    choice.down(0, 10.0)
    choice.up(0, 20.0)
    choice.prove(SHARD, 0)
    choice.down(0, 24.0)
    choice.up(0, 24.5)
    choice.settle(20.0 + HOME_AFTER_S)
    choice.settle(30.0 + HOME_AFTER_S)
    assert choice.of(SHARD) == 1


def test_a_lane_that_has_just_returned_is_used_if_no_other_works(choice: LaneChoice) -> None:
    for lane in (0, 1, 2):
        choice.down(lane, 10.0)
    assert choice.of(SHARD) == 2
    choice.up(1, 11.0)
    assert choice.of(SHARD) == 1


def test_only_the_shard_leaves_whose_answers_a_lane_does_not_carry() -> None:
    other = next(shard for shard in MANY if shard != SHARD and order(shard, LANES)[0] == 0)
    choice = LaneChoice(LANES, [SHARD, other])
    choice.mute(SHARD, 0, 10.0)
    assert (choice.of(SHARD), choice.of(other)) == (1, 0)
    choice.settle(10.0 + 2 * HOME_AFTER_S)
    assert choice.of(SHARD) == 1
    choice.prove(SHARD, 0)
    choice.settle(10.0 + 2 * HOME_AFTER_S)
    assert choice.of(SHARD) == 0


def test_a_silent_lane_is_used_if_no_other_is_connected(choice: LaneChoice) -> None:
    choice.mute(SHARD, 0, 10.0)
    for lane in (1, 2):
        choice.down(lane, 11.0)
    assert choice.of(SHARD) == 0


def test_a_new_shard_goes_to_a_lane_that_works(choice: LaneChoice) -> None:
    choice.down(0, 10.0)
    late = next(shard for shard in MANY if shard != SHARD and order(shard, LANES)[0] == 0)
    assert choice.of(late) == order(late, LANES)[1]
