"""The test cluster for bad input; the clients of the contract tests, and the look into the shards of the others."""

from tests.contract.conftest import api, documented, fresh_key, stranger, token
from tests.integration.conftest import new_api, service, store

__all__ = ["api", "documented", "fresh_key", "new_api", "service", "store", "stranger", "token"]
