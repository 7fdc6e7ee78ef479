from pathlib import Path

import pytest

from clusterctl.config import of_machine
from clusterctl.engine import TARANTOOL, VSHARD, find
from clusterctl.state import map_fault
from localcluster.config import ConfigError


def program(directory: Path, said: str) -> str:
    path = directory / "tarantool"
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return str(path)


def vshard(directory: Path, version: str) -> str:
    (directory / "vshard").mkdir()
    (directory / "vshard" / "consts.lua").write_text(f"return {{VERSION = '{version}'}}")
    return str(directory)


def test_a_missing_or_old_tarantool_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^a cluster needs Tarantool 3\.8: 'nowhere' is not a program; set [A-Z_]+$"):
        find({TARANTOOL: "nowhere"})
    with pytest.raises(ConfigError, match=r"needs Tarantool 3\.8: \S+ is 2\.6; set TARANTKV_CLUSTER_TARANTOOL$"):
        find({TARANTOOL: program(tmp_path, "Tarantool 2.6.0-0-g47aa4e01e")})


def test_a_missing_or_other_vshard_is_an_error_of_one_line(tmp_path: Path) -> None:
    tarantool = program(tmp_path, "Tarantool 3.8.0-0-g1234")
    with pytest.raises(ConfigError, match=r"^a cluster needs vshard 0\.1\.42: set TARANTKV_CLUSTER_VSHARD to"):
        find({TARANTOOL: tarantool})
    with pytest.raises(ConfigError, match=r"needs vshard 0\.1\.42: \S+ has 0\.1\.43"):
        find({TARANTOOL: tarantool, VSHARD: vshard(tmp_path, "0.1.43")})


def test_the_right_versions_are_accepted(tmp_path: Path) -> None:
    found = find({TARANTOOL: program(tmp_path, "Tarantool 3.10.1"), VSHARD: vshard(tmp_path, "0.1.42")})

    assert found.vshard == tmp_path


def test_a_cluster_keeps_its_numbers_and_uses_no_port_of_the_single_machine(tmp_path: Path) -> None:
    config = of_machine(tmp_path, 2, 3)

    ports = {config.api_port, config.redis_port, *(shard.port for shard in config.shards)}
    assert len(ports) == 8
    assert max(ports) < 32768
    assert ports.isdisjoint({8081, 7379, *range(13301, 13309)})
    (tmp_path / ".cluster").mkdir()
    (tmp_path / ".cluster" / "plan.json").write_text('{"shards": 4, "replicas": 1, "first": 4, "seed": "x"}')
    assert len(of_machine(tmp_path).shards) == 4
    with pytest.raises(ConfigError, match="holds 4 shards of 1 instances, not 2 of 1"):
        of_machine(tmp_path, 2)


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"s1": [(1, 4)], "s2": [(5, 9)]}, None),
        ({"s1": [(1, 2), (4, 9)], "s2": [(3, 3)]}, None),
        ({"s1": [(1, 4)], "s2": [(6, 9)]}, "buckets 5 to 5 belong to no shard"),
        ({"s1": [(1, 5)], "s2": [(5, 9)]}, "bucket 5 belongs to s2 and to another shard"),
        ({"s1": [(1, 8)]}, "buckets 9 to 9 belong to no shard"),
    ],
)
def test_buckets_without_an_owner_or_with_two_are_named(
    ranges: dict[str, list[tuple[int, int]]], said: str | None
) -> None:
    assert map_fault(ranges, 9) == said
