"""Which api the contract tests talk to, and the clients they use.

The api at TARANTKV_TEST_URL, with TARANTKV_ADMIN_USER and TARANTKV_ADMIN_PASSWORD; inside the image the one of the same
container; else the test cluster's. These tests use HTTP alone and import nothing of the system: the image has no
supervisor and no test servers.

Behind a proxy (`tests/interop` runs them there) the proxy decides how a request is cut, so each test runs once. Tests
marked `direct` need a direct connection.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex

import pytest

from tests.contract.calls import Api, obtain_token
from tests.contract.documented import Documented
from tests.contract.limits import MAX_BATCH_KEYS
from tests.contract.sending import Sending

# The image names its api by a variable of another prefix: there each TARANTKV_ variable is a setting of the system.
BASE_URL = os.environ.get("TARANTKV_TEST_URL") or os.environ.get("CONTRACT_BASE_URL") or ""
WAYS = [Sending.BY_CHANCE] if BASE_URL.startswith("https:") else [Sending.WHOLE, Sending.IN_PIECES]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "direct: needs a connection to the api without a proxy in between")


@dataclass(frozen=True)
class Service:
    """A running api and its administrator."""

    base_url: str
    admin_user: str
    admin_password: str


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Service:
    if BASE_URL:
        return Service(BASE_URL, os.environ["TARANTKV_ADMIN_USER"], os.environ["TARANTKV_ADMIN_PASSWORD"])
    # Requested by name, because there is no such fixture in the image.
    cluster = request.getfixturevalue("cluster")
    return Service(cluster.base_url, cluster.admin_user, cluster.admin_password)


@pytest.fixture(scope="session")
def documented(service: Service) -> Documented:
    return Documented.of(service.base_url)


@pytest.fixture(scope="session")
def token(service: Service) -> str:
    return obtain_token(service.base_url, service.admin_user, service.admin_password)


@pytest.fixture(params=WAYS, ids=lambda sending: sending.value)
def sending(request: pytest.FixtureRequest) -> Sending:
    """How requests are sent: every test runs in both ways, and a client must see no difference."""
    way: Sending = request.param
    return way


@pytest.fixture
def api(service: Service, token: str, documented: Documented, sending: Sending) -> Iterator[Api]:
    """The api for the administrator, over one connection that must stay open during the test."""
    with Api(service.base_url, token, documented, sending) as api:
        yield api


@pytest.fixture
def stranger(service: Service, documented: Documented, sending: Sending) -> Iterator[Api]:
    """The api for a client without a token."""
    with Api(service.base_url, None, documented, sending) as api:
        yield api


class FreshKeys:
    """Makes keys that no other test uses: the tests share one system with each other and with its other clients."""

    def __init__(self) -> None:
        self._prefix = token_hex(6)
        self.made: list[str] = []
        """All keys made here, and those that a test adds to have them removed, too."""

    def __call__(self) -> str:
        self.made.append(f"contract:{self._prefix}:{len(self.made)}")
        return self.made[-1]


@pytest.fixture
def fresh_key() -> FreshKeys:
    return FreshKeys()


@pytest.fixture(autouse=True)
def leave_nothing_behind(service: Service, token: str, fresh_key: FreshKeys) -> Iterator[None]:
    """Remove a test's keys after it."""
    yield
    keys = fresh_key.made
    if keys:
        with Api(service.base_url, token) as api:
            for start in range(0, len(keys), MAX_BATCH_KEYS):
                api.delete(*keys[start : start + MAX_BATCH_KEYS])
