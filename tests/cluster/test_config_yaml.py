import pytest
import yaml

from clusterctl.config_yaml import document, render
from clusterctl.membership import Membership
from clusterctl.plan import Instance, ShardPlan, first_buckets
from protocol.settings import SettingsError

ADDRESSES = ["a:3301", "b:3301", "c:3301", "a:3302", "b:3302", "c:3302"]
PLAN = Membership(2, 3, 2, "x").plan(ADDRESSES, 101)
SETTINGS = {"TARANTKV_BUCKET_COUNT": "101", "TARANTKV_STORE_PASSWORD": 'secret "}} {{'}


def test_every_bucket_has_exactly_one_first_shard() -> None:
    ranges = [first_buckets(number, 7, 101) for number in range(1, 8)]

    assert [bucket for first, last in ranges for bucket in range(first, last + 1)] == list(range(1, 102))


def test_the_file_contains_the_document() -> None:
    made = document(PLAN, SETTINGS, seed="x", console="/run/{{ instance_name }}.sock")

    assert yaml.safe_load(render(made)) == made


def test_the_positions_of_all_instances_differ() -> None:
    shards = document(PLAN, SETTINGS, seed="x")["groups"]["shards"]["replicasets"]

    positions = [each["roles_cfg"]["tarantkv"]["position"] for s in shards.values() for each in s["instances"].values()]
    assert sorted(positions) == [1, 2, 3, 4, 5, 6]


def test_no_password_is_in_the_file() -> None:
    assert "secret" not in render(document(PLAN, SETTINGS, seed="x"))


def test_an_instance_without_data_gives_the_others_time_to_start() -> None:
    made = document(PLAN, SETTINGS, seed="x", empty={"s1-2"})["groups"]["shards"]["replicasets"]["s1"]["instances"]

    assert made["s1-2"]["replication"]["connect_timeout"] > 10
    assert "connect_timeout" not in made["s1-1"]["replication"]


def test_no_two_instances_of_a_shard_have_the_same_election_timeout() -> None:
    """Otherwise two instances could vote for themselves at the same time again and again."""
    shards = document(PLAN, SETTINGS, seed="x")["groups"]["shards"]["replicasets"]

    for shard in shards.values():
        waits = [each["replication"]["election_timeout"] for each in shard["instances"].values()]
        assert len(set(waits)) == len(waits) == 3


def test_a_shard_without_first_buckets_creates_none() -> None:
    joining = ShardPlan("s9", (Instance("s9-1", "a:3309", 9),))

    shards = document([*PLAN, joining], SETTINGS, seed="x")["groups"]["shards"]["replicasets"]

    assert "roles_cfg" in shards["s1"]
    assert "roles_cfg" not in shards["s9"]


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        ((Instance("s1-1", "a:1", 1), Instance("s1-2", "a:2", 1)), "s1-1 and s1-2 have the same position, 1"),
        ((Instance("s1-1", "a:1", 1), Instance("s1-2", "a:1", 2)), "s1-1 and s1-2 have the same address, a:1"),
        ((Instance("x1", "a:1", 1),), "must begin with .*s1-"),
        ((Instance("s1-1", "a:1", 1024),), "1 to 1023"),
    ],
)
def test_contradictory_instances_are_refused(instances: tuple[Instance, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        document([ShardPlan("s1", instances, (1, 101))], SETTINGS, seed="x")


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="TARANTKV_CLOCK_SKEW_S"):
        document(PLAN, {**SETTINGS, "TARANTKV_CLOCK_SKEW_S": "a lot"}, seed="x")


def test_an_instance_keeps_its_uuid_and_no_other_has_it() -> None:
    def uuids(seed: str) -> list[str]:
        shards = document(PLAN, SETTINGS, seed=seed)["groups"]["shards"]["replicasets"]
        of_sets = [each["database"]["replicaset_uuid"] for each in shards.values()]
        return of_sets + [
            i["database"]["instance_uuid"] for each in shards.values() for i in each["instances"].values()
        ]

    assert uuids("one") == uuids("one")
    assert len({*uuids("one"), *uuids("other")}) == 16
