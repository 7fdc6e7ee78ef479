"""The file for locust: `make load`, or `locust -f loadtest/locustfile.py [SCENARIO ...]`; see `loadtest.scenarios`."""

from loadtest.scenarios.bulk_import import BulkImport
from loadtest.scenarios.exports import Exports
from loadtest.scenarios.hot_reads import HotReads
from loadtest.scenarios.logins import Logins
from loadtest.scenarios.mixed_batches import MixedBatches
from loadtest.scenarios.rate_limits import RateLimits
from loadtest.scenarios.sessions import Sessions
from loadtest.scenarios.single_keys import SingleKeys
from loadtest.scenarios.updates import Updates

__all__ = [
    "BulkImport",
    "Exports",
    "HotReads",
    "Logins",
    "MixedBatches",
    "RateLimits",
    "Sessions",
    "SingleKeys",
    "Updates",
]
