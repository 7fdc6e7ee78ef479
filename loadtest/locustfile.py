"""The file for locust: `make load`, or `locust -f loadtest/locustfile.py [SCENARIO ...]`; see `loadtest.scenarios`."""

from loadtest.scenarios.bulk_import import BulkImport
from loadtest.scenarios.hot_reads import HotReads
from loadtest.scenarios.logins import Logins
from loadtest.scenarios.mixed_batches import MixedBatches
from loadtest.scenarios.single_keys import SingleKeys

__all__ = ["BulkImport", "HotReads", "Logins", "MixedBatches", "SingleKeys"]
