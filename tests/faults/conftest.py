"""A cluster that tests may break, apart from the one that other tests share."""

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from localcluster.cluster import Cluster
from localcluster.config import for_tests
from tests import redis_client
from tests.faults.load import login
from tests.faults.networked import Networked, networked_cluster
from tests.faults.overloaded import PASSWORD, SETTINGS
from tests.faults.scenario import Scenario
from tests.integration.processes import ApiProcess, manage

CHAOS_USER = "chaos"


@pytest.fixture(scope="session")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(
        for_tests(
            tmp_path_factory.mktemp("breakable"),
            tier_settings={"shard": {"TARANTKV_COUNT_APPLICATIONS": "true"}},
        )
    )
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def api(breakable: Cluster) -> Iterator[ApiProcess]:
    """An api with small limits."""
    breakable.start()
    with ApiProcess(breakable, SETTINGS) as process:
        yield process


@pytest.fixture(scope="module")
def token(breakable: Cluster, api: ApiProcess) -> str:
    return login(api.base_url, breakable.admin_user, breakable.admin_password)


@pytest.fixture(scope="session")
def modest_token(breakable: Cluster) -> str:
    """The token of a user who sends few requests."""
    breakable.start()
    done = manage(breakable, "user-add", "modest", "--scopes", "read,write", password=PASSWORD)
    assert done.returncode == 0, done.stderr
    return login(breakable.base_url, "modest", PASSWORD)


@pytest.fixture
def mended(breakable: Cluster) -> Cluster:
    """The cluster with every process running, whatever the previous test did to it."""
    breakable.start()
    return breakable


@pytest.fixture
def scenario(mended: Cluster, request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario(request.node.name.removeprefix("test_"), mended, tmp_path)


@pytest.fixture(scope="session")
def networked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Networked]:
    """Another cluster that tests may break, together with the links between its tiers."""
    with networked_cluster(tmp_path_factory.mktemp("networked")) as networked:
        yield networked


@pytest.fixture
def networked_scenario(networked: Networked, request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Like `scenario`, on that cluster, with every process running and every link whole."""
    networked.network.heal()
    networked.cluster.start()
    return Scenario(request.node.name.removeprefix("test_"), networked.cluster, tmp_path)


@pytest.fixture
def as_tarantkv(mended: Cluster) -> Iterator[redis.Redis]:
    """Redis with the rights of the system's user."""
    client = redis_client.as_tarantkv(mended)
    yield client
    client.close()


@pytest.fixture
def as_administrator(mended: Cluster) -> Iterator[redis.Redis]:
    """Redis with the rights of an administrator, who is added: the system's user may not kill connections."""
    password = secrets.token_hex(16)
    conf = mended.layout.redis_dir / "redis.conf"
    lines = [line for line in conf.read_text().splitlines() if not line.startswith(f"user {CHAOS_USER} ")]
    digest = hashlib.sha256(password.encode()).hexdigest()
    conf.write_text("\n".join([*lines, f"user {CHAOS_USER} on #{digest} ~* +@all", ""]))
    mended.restart("redis")
    mended.wait_running("redis")
    mended.wait_ready()
    client = redis.Redis.from_url(mended.redis_url, username=CHAOS_USER, password=password, protocol=2)
    yield client
    client.close()
