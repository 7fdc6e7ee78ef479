"""The test cluster for bad input; the clients of the contract tests, and the look into the shards of the others."""

from collections.abc import Iterator

import pytest

from tests.contract.conftest import api, documented, fresh_key, stranger, token
from tests.fuzz import effort
from tests.integration.conftest import sending, service, store

__all__ = ["api", "documented", "fresh_key", "sending", "service", "store", "stranger", "token"]


@pytest.fixture(scope="session", autouse=True)
def examples() -> Iterator[None]:
    """Tells how many examples there were."""
    yield
    effort.tell_count()
