"""A cluster of replica sets, if Tarantool 3 and vshard are installed."""

import os
from collections.abc import Iterator

import pytest

from clusterctl.cluster import ReplicatedCluster
from clusterctl.config import of_tests
from clusterctl.engine import TARANTOOL, VSHARD, Engine, find

NAMED = ("TARANTKV_TEST_TARANTOOL", "TARANTKV_TEST_VSHARD")


@pytest.fixture(scope="session")
def engine() -> Engine:
    missing = [name for name in NAMED if not os.environ.get(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not set: they name a Tarantool 3 and the directory that holds vshard/")
    return find({TARANTOOL: os.environ[NAMED[0]], VSHARD: os.environ[NAMED[1]]})


@pytest.fixture(scope="session")
def cluster(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicatedCluster]:
    """Two shards of three instances."""
    cluster = ReplicatedCluster(of_tests(tmp_path_factory.mktemp("cluster"), engine))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def mended(cluster: ReplicatedCluster) -> ReplicatedCluster:
    """The cluster with every process running, whatever the previous test did to it."""
    cluster.start()
    return cluster
