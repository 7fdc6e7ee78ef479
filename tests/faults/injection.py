"""The interface of every fault: a name, a start and a stop. A test injects one, a chaos run many at random.

An injection is made for one use or for many: after `stop` it can be started again. What `start` needs beyond the
cluster (a link of the network, a number of seconds) is given to its constructor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from localcluster.cluster import Cluster


class Injection(Protocol):
    """One fault. Both methods block until the fault is there, or gone."""

    @property
    def name(self) -> str:
        """What is broken and how, in lower case and fit for a file name: `redis-frozen`, `api-redis-cut`."""

    def start(self, cluster: Cluster) -> None:
        """Break something. After this the fault is there, until `stop` or until it is over by its own nature."""

    def stop(self, cluster: Cluster) -> None:
        """Undo what `start` did, also when that has failed midway; nothing when there is nothing to undo.

        From here on the system must recover without help.
        """


@asynccontextmanager
async def injected(injection: Injection, cluster: Cluster) -> AsyncIterator[None]:
    """Inject the fault for the length of a `with` block, without blocking the event loop."""
    try:
        await asyncio.to_thread(injection.start, cluster)
        yield
    finally:
        await asyncio.to_thread(injection.stop, cluster)
