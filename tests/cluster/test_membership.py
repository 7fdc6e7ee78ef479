"""The state file of a cluster's shards: what stays in it for ever when shards are added or removed."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from clusterctl import growth
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import ReplicatedConfig, of_membership, of_tests, remember, remembered
from clusterctl.engine import Engine
from clusterctl.membership import Membership
from localcluster.config import ConfigError
from localcluster.waiting import ClusterError
from protocol.stopping import Stop

BUCKETS = 600


@pytest.fixture
def config(tmp_path: Path) -> ReplicatedConfig:
    """Two shards of two instances, none of which runs."""
    engine = Engine(tmp_path / "tarantool", tmp_path / "vshard")
    return of_tests(tmp_path, engine, shards=2, replicas=2, settings={"TARANTKV_BUCKET_COUNT": str(BUCKETS)})


def instances(config: ReplicatedConfig) -> dict[str, tuple[int, str]]:
    return {each.name: (each.position, each.address) for shard in config.plan for each in shard.instances}


def test_an_added_shard_creates_no_buckets_and_does_not_change_the_others(config: ReplicatedConfig) -> None:
    grown = of_membership(config, replace(config.membership, shards=3, joining="s3"))
    assert [shard.first_buckets for shard in grown.plan] == [(1, 300), (301, 600), None]
    assert instances(grown).items() > instances(config).items()
    assert sorted(position for position, _ in instances(grown).values()) == [1, 2, 3, 4, 5, 6]
    assert {shard.name: shard.address for shard in grown.shards} == {
        name: address for name, (_, address) in instances(grown).items()
    }


def test_the_name_and_positions_of_a_removed_shard_are_not_used_again(config: ReplicatedConfig) -> None:
    """Positions are part of the versions of keys."""
    left = of_membership(config, Membership(3, 2, 2, "x", gone=("s2",)))
    assert [shard.name for shard in left.plan] == ["s1", "s3"]
    assert [position for position, _ in instances(left).values()] == [1, 2, 5, 6]
    assert [shard.first_buckets for shard in left.plan] == [(1, 300), None]


def test_an_instance_gets_a_name_and_a_position_that_no_other_ever_had(config: ReplicatedConfig) -> None:
    one = config.membership.with_instance("s1")
    assert one.coming == "s1-3"
    later = replace(one, shards=3, coming="").without("s1-3").with_instance("s1")
    grown = of_membership(config, later)
    assert {name: position for name, (position, _) in instances(grown).items()} == {
        "s1-1": 1,
        "s1-2": 2,
        "s1-4": 8,
        "s2-1": 3,
        "s2-2": 4,
        "s3-1": 6,
        "s3-2": 7,
    }
    assert len({address for _, address in instances(grown).values()}) == 7


def test_a_change_that_is_under_way_is_recorded(config: ReplicatedConfig) -> None:
    membership = Membership(3, 2, 2, "x", gone=("s2",), joining="s3").with_instance("s1")
    remember(of_membership(config, membership))
    assert remembered(config.data_dir) == membership


def test_the_number_of_all_instances_that_ever_existed_is_bounded(config: ReplicatedConfig) -> None:
    with pytest.raises(ConfigError, match="at most 1023 instances"):
        of_membership(config, Membership(512, 2, 2, "x", gone=("s1",)))


@pytest.mark.parametrize(
    ("membership", "command", "fault"),
    [
        (Membership(2, 2, 2, "x", draining="s2"), "add", "s2 is being drained: finish that"),
        (Membership(3, 2, 2, "x", joining="s3"), "s1", "s3 is being added: finish that"),
        (Membership(3, 2, 2, "x", draining="s3"), "s1", "s3 is being drained: finish that"),
        (Membership(2, 2, 2, "x").with_instance("s1"), "add", "s1-3 is being added: finish that with make replica-add"),
        (Membership(2, 2, 2, "x"), "s9", "there is no shard s9, there are s1, s2"),
        (Membership(2, 2, 2, "x", gone=("s1",)), "s2", "s2 is the only shard"),
        (Membership(2, 2, 2, "x"), "s2", "s1 has no leader; s2 has no leader"),
        (Membership(2, 2, 2, "x"), "add", "s1 has no leader; s2 has no leader"),
    ],
)
def test_an_impossible_change_is_refused_before_anything_changes(
    config: ReplicatedConfig, membership: Membership, command: str, fault: str
) -> None:
    cluster = ReplicatedCluster(of_membership(config, membership))
    run = growth.add if command == "add" else partial(growth.drain, name=command)
    with pytest.raises(ClusterError, match=fault):
        run(cluster, stop=Stop(), say=print)
    assert not (config.data_dir / "plan.json").exists()


def test_shards_have_equal_weights_and_a_drained_one_has_none() -> None:
    assert growth.weights(Membership(3, 1, 3, "x", draining="s2"), ["s1", "s2", "s3"]) == {
        "s1": 1.0,
        "s2": 0.0,
        "s3": 1.0,
    }
