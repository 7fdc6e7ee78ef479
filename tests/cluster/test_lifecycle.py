"""Start, status and stop, repeated and interrupted."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from clusterctl import report
from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_tests
from clusterctl.engine import Engine
from localcluster.supervisor import SupervisorDownError
from tests.cluster.failing import instances, leader, wait_all_follow
from tests.faults.console import evaluate
from tests.faults.load import login

DATA = (".snap", ".xlog", ".vylog")

pytestmark = pytest.mark.timeout(180)


def test_written_values_survive_a_stop_and_a_start(engine: Engine, tmp_path: Path) -> None:
    cluster = ReplicatedCluster(of_tests(tmp_path / "data", engine, shards=1))
    try:
        cluster.start()
        token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
        with httpx.Client(base_url=cluster.base_url, headers={"Authorization": token}, trust_env=False) as http:
            assert http.post("/api/write", json={"data": {"kept": 1}}).status_code == 200
        cluster.start()
        cluster.stop()
        with pytest.raises(SupervisorDownError):
            cluster.status()
        cluster.start()
        token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
        with httpx.Client(base_url=cluster.base_url, headers={"Authorization": token}, trust_env=False) as http:
            assert http.post("/api/read", json={"keys": ["kept"]}).json() == {"data": {"kept": 1}}
    finally:
        cluster.stop()


def test_the_status_shows_leaders_buckets_and_instances_that_do_not_answer(mended: ReplicatedCluster) -> None:
    leading = leader(mended, "s1")

    table = report.table(mended)

    assert f"s1  led by {leading} in term " in table
    assert table.count(" 15000 buckets") == 2
    assert table.count("follower") == 4
    mended.stop_program(f"shard-{leading}")
    assert f"{leading:<8} STOPPED  does not answer" in report.table(mended)


def test_each_instance_announces_all_shards_with_their_addresses(mended: ReplicatedCluster) -> None:
    expected = {
        shard.name: [[*address.split(":")] for address in (instance.address for instance in shard.instances)]
        for shard in mended.config.plan
    }

    for instance in mended.config.shards:
        (said,) = evaluate(mended.console_socket(instance.name), "tarantkv.describe()")
        assert {name: [[host, str(port)] for host, port in each] for name, each in said["shards"].items()} == expected
        assert said["moves"] is True


def test_an_instance_that_lost_its_data_joins_again_as_itself(mended: ReplicatedCluster) -> None:
    """Its peers know it by its UUID. If it had another one, one of them would stop following for ever."""
    token = login(mended.base_url, mended.admin_user, mended.admin_password)
    data = {f"lost-{number}": number for number in range(100)}
    with httpx.Client(base_url=mended.base_url, headers={"Authorization": token}, trust_env=False) as http:
        for shard in ("s1", "s2"):
            leading = leader(mended, shard)
            lost = next(name for name in instances(mended, shard) if name != leading)
            program, console = f"shard-{lost}", mended.console_socket(lost)
            identity = evaluate(console, "box.info.uuid")
            mended.stop_program(program)
            directory = next(each for each in mended.config.shards if each.name == lost)
            data_files = [file for file in mended.layout.shard_dir(directory).rglob("*") if file.suffix in DATA]
            assert data_files
            for file in data_files:
                file.unlink()
            assert http.post("/api/write", json={"data": data}).status_code == 200
            mended.start_program(program)
            wait_all_follow(mended)
            assert evaluate(console, "box.info.uuid") == identity
        assert http.post("/api/read", json={"keys": list(data)}).json() == {"data": data}
    wait_all_follow(mended)
    keys = {name: said["keys"] for name, said in mended.states().items() if said is not None}
    assert len(keys) == 6
    for shard in ("s1", "s2"):
        assert len({keys[name] for name in instances(mended, shard)}) == 1
