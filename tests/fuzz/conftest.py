"""The test cluster for bad input, the clients of the contract tests, and access to the shards' data."""

from collections.abc import Iterator

import pytest

from tests.contract.conftest import api, documented, fresh_key, stranger, token
from tests.fuzz import effort
from tests.integration.conftest import sending, service, store

__all__ = ["api", "documented", "fresh_key", "sending", "service", "store", "stranger", "token"]


@pytest.fixture(scope="session", autouse=True)
def examples() -> Iterator[None]:
    """Reports how many examples there were."""
    yield
    effort.tell_count()
