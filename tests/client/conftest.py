"""The fixtures that these tests share with the integration tests: the session's cluster, clients, users, other apis."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tarantkv import Client, Policy

from localcluster.cluster import Cluster
from tests.client.lossy import LossyProxy
from tests.contract.conftest import FreshKeys, Service
from tests.integration.conftest import PASSWORD, User, api, documented, fresh_key, new_api, sending, service, token
from tests.integration.processes import manage

__all__ = [
    "api",
    "documented",
    "fresh_key",
    "new_api",
    "sending",
    "service",
    "token",
]

NewClient = Callable[..., Client]
QUICK = Policy(first_wait_s=0.01, last_wait_s=0.05)


@pytest.fixture
def new_client(service: Service, token: str) -> Iterator[NewClient]:
    """Makes clients that are closed at the end."""
    with ExitStack() as stack:

        def new(url: str = service.base_url, **options: Any) -> Client:
            who = {} if {"token", "username", "credentials"} & options.keys() else {"token": token}
            return stack.enter_context(Client(url, **{"policy": QUICK, **who, **options}))

        yield new


@pytest.fixture(scope="session")
def reader(cluster: Cluster) -> User:
    """A user who may only read. All tests share it, because making a user takes a second."""
    user = User("client-reader", PASSWORD)
    done = manage(cluster, "user-add", user.name, "--scopes", "read", password=user.password)
    assert done.returncode == 0, done.stderr
    return user


@pytest.fixture
def kv(new_client: NewClient) -> Client:
    return new_client()


@pytest.fixture
def prefix(fresh_key: FreshKeys, kv: Client) -> Iterator[str]:
    """A prefix of keys that no other test uses; keys with it are removed at the end."""
    found = fresh_key() + ":"
    yield found
    left = [item.key for item in kv.scan(found, values=False)]
    if left:
        kv.delete(*left)


@pytest.fixture
def lossy(service: Service) -> Iterator[LossyProxy]:
    """A proxy before the api that loses what a test plans."""
    with LossyProxy(service.base_url) as proxy:
        yield proxy
