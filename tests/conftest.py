"""The fixtures of all tests: the running system, as `make up` starts it, on ports of its own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before any module of the api is imported: tests access modules and replace their contents.
os.environ["TARANTKV_COMPILED"] = "off"

from localcluster.cluster import Cluster
from localcluster.config import for_tests
from tests import leaks

NewCluster = Callable[..., Cluster]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three shards, two workers, one api process; shared by all tests of this process, which must leave it running."""
    cluster = Cluster(
        for_tests(
            tmp_path_factory.mktemp("cluster"),
            # Shards count how often they applied each chunk: no test may find more than one application.
            tier_settings={"shard": {"TARANTKV_COUNT_APPLICATIONS": "true"}},
        )
    )
    cluster.start()
    try:
        yield cluster
        leaks.check(cluster)
    finally:
        cluster.stop()


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[NewCluster]:
    """Makes clusters, not started, for a test that breaks or reconfigures one; takes the arguments of `for_tests`."""
    made: list[Cluster] = []

    def new(data_dir: Path | None = None, **options: object) -> Cluster:
        cluster = Cluster(for_tests(data_dir or tmp_path / f"cluster-{len(made)}", **options))  # type: ignore[arg-type]
        made.append(cluster)
        return cluster

    yield new
    for cluster in made:
        cluster.stop()
