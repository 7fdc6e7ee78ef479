"""The routes of health: whether the process lives, whether it should get requests, and which shards are down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from litestar import HttpMethod, route
from litestar.handlers import HTTPRouteHandler

from api.http.problems import Kind, retry_later
from api.ops.shard_health import ShardHealth
from api.queue.lanes import LaneView
from protocol.version import VERSION

READ_ONLY = (HttpMethod.GET, HttpMethod.HEAD)


def routes(
    shards: ShardHealth, lanes: Callable[[], Sequence[LaneView]], unready: Callable[[], str | None]
) -> list[HTTPRouteHandler]:
    """The routes under `/health/`. `unready` returns why the process should get no requests; None: it should get some.

    They need no token, so they show only the number of lanes: the names of lanes are addresses.
    """

    @route("/health/live", http_method=READ_ONLY, include_in_schema=False, sync_to_thread=False)
    def live() -> dict[str, str]:
        return {"status": "live", "version": VERSION}

    @route("/health/ready", http_method=READ_ONLY, include_in_schema=False, sync_to_thread=False)
    def ready() -> dict[str, Any]:
        reason = unready()
        if reason is not None:
            raise retry_later(Kind.NOT_READY, reason)
        seen = lanes()
        return {
            "status": "ready",
            "shards": shards.shards,
            "shards_down": shards.down,
            "lanes": len(seen),
            "lanes_down": sum(not lane.up for lane in seen),
        }

    return [live, ready]
