"""Fixtures for the test cluster: clients, users, further apis, and access to the shards' data."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from random import getrandbits
from typing import Any

import jwt
import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import Api, obtain_token
from tests.contract.conftest import Service, api, documented, fresh_key, stranger, token
from tests.contract.documented import Documented
from tests.contract.sending import Sending
from tests.integration.processes import ApiProcess, manage
from tests.integration.store import Store

__all__ = ["api", "documented", "fresh_key", "stranger", "token"]

NewApi = Callable[..., ApiProcess]
NewUser = Callable[..., "User"]
PASSWORD = "correct horse battery staple"
LIMITS = {
    "TARANTKV_MAX_BODY_BYTES": "4096",
    "TARANTKV_MAX_ANSWER_BYTES": "2048",
    "TARANTKV_MAX_BATCH_KEYS": "10",
    "TARANTKV_MAX_KEY_BYTES": "64",
    "TARANTKV_MAX_VALUE_BYTES": "1500",
    "TARANTKV_BODY_TIMEOUT_S": "0.5",
    "TARANTKV_REQUEST_TIMEOUT_S": "1",
    "TARANTKV_AUTH_CACHE_S": "0.2",
    "TARANTKV_LOGIN_TRIES_PER_USER": "3",
    "TARANTKV_LOGIN_TRIES_PER_ADDRESS": "5",
    "TARANTKV_LOGIN_WINDOW_S": "60",
    "TARANTKV_TRUSTED_PROXIES": "127.0.0.1",
}


Claims = dict[str, Any]


class User:
    """A user for one test."""

    def __init__(self, name: str, password: str) -> None:
        self.name = name
        self.password = password


@pytest.fixture(scope="session")
def service(cluster: Cluster) -> Service:
    """Replaces the contract tests' fixture: these tests break the cluster, so they use only their own."""
    return Service(cluster.base_url, cluster.admin_user, cluster.admin_password)


@pytest.fixture
def sending() -> Sending:
    """How clients send requests here: as most clients do. Only the contract tests use both ways."""
    return Sending.WHOLE


@pytest.fixture(scope="session")
def store(cluster: Cluster) -> Iterator[Store]:
    store = Store(cluster)
    yield store
    assert store.most_applications() <= 1, "a chunk was applied twice"


@pytest.fixture(scope="session")
def secret(cluster: Cluster) -> str:
    """The secret that signs tokens."""
    return cluster.settings["TARANTKV_JWT_SECRET"]


@pytest.fixture
def claims(cluster: Cluster, token: str) -> Claims:
    """The claims of a valid token of the administrator."""
    now, issued = int(time.time()), jwt.decode(token, options={"verify_signature": False})
    scopes = ["read", "write"]
    return {
        "sub": cluster.admin_user,
        "iat": now,
        "exp": now + 60,
        "jti": "ab" * 16,
        "scopes": scopes,
        "gen": issued["gen"],
    }


@pytest.fixture
def new_api(cluster: Cluster) -> Iterator[NewApi]:
    """Starts another api of the same cluster, with settings of its own, during one test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(ApiProcess(cluster, settings))


@pytest.fixture(scope="session")
def second_api(cluster: Cluster) -> Iterator[ApiProcess]:
    """Another api process with the same settings, as on another machine."""
    with ApiProcess(cluster, {}) as process:
        yield process


@pytest.fixture(scope="session")
def strict_api(cluster: Cluster) -> Iterator[ApiProcess]:
    """An api with small limits and short times (`LIMITS`)."""
    with ApiProcess(cluster, LIMITS) as process:
        yield process


@pytest.fixture
def second(second_api: ApiProcess, token: str, documented: Documented) -> Iterator[Api]:
    with Api(second_api.base_url, token, documented) as client:
        yield client


@pytest.fixture
def strict(strict_api: ApiProcess, token: str, documented: Documented) -> Iterator[Api]:
    with Api(strict_api.base_url, token, documented) as client:
        # This api limits logins strictly, by the address from the proxy: no test may use up another's attempts.
        client.http.headers["x-forwarded-for"] = str(IPv4Address(getrandbits(32)))
        yield client


@pytest.fixture
def new_user(cluster: Cluster, fresh_key: Callable[[], str]) -> NewUser:
    """Adds a user."""

    def new(scopes: str = "read,write") -> User:
        user = User(fresh_key().replace(":", "-"), PASSWORD)
        done = manage(cluster, "user-add", user.name, "--scopes", scopes, password=user.password)
        assert done.returncode == 0, done.stderr
        return user

    return new


@pytest.fixture
def paused_workers(cluster: Cluster) -> Callable[[], "PausedWorkers"]:
    """Freezes all workers during a `with` block, as a machine that swaps would."""
    return lambda: PausedWorkers(cluster)


class PausedWorkers(ExitStack):
    """A `with` block in which no worker runs."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        for number in range(1, cluster.workers() + 1):
            self.enter_context(_paused(cluster, f"worker-{number}"))


@contextmanager
def _paused(cluster: Cluster, name: str) -> Iterator[None]:
    cluster.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        cluster.kill(name, signal.SIGCONT)


def login(client: Api, user: User) -> str:
    """A token of a user."""
    address = {name: value for name, value in client.http.headers.items() if name == "x-forwarded-for"}
    return obtain_token(str(client.http.base_url).rstrip("/"), user.name, user.password, address)


@pytest.fixture(scope="session")
def service_admin(service: Service) -> User:
    return User(service.admin_user, service.admin_password)


@pytest.fixture(scope="session")
def service_url(service: Service) -> str:
    return service.base_url
