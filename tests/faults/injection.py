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
    """One fault. Both methods block until the fault has begun, or ended."""

    @property
    def name(self) -> str:
        """What is broken and how, in lower case and valid as a file name: `redis-frozen`, `api-redis-cut`."""

    def start(self, cluster: Cluster) -> None:
        """Break something. From then on the fault exists, until `stop` or until it ends by itself."""

    def stop(self, cluster: Cluster) -> None:
        """Undo what `start` did, even if that has failed midway. If there is nothing to undo, do nothing.

        After that the system must recover without help.
        """


@asynccontextmanager
async def injected(injection: Injection, cluster: Cluster) -> AsyncIterator[None]:
    """Inject the fault during a `with` block, without blocking the event loop."""
    try:
        await asyncio.to_thread(injection.start, cluster)
        yield
    finally:
        await asyncio.to_thread(injection.stop, cluster)
