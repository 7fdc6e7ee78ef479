"""The route that Prometheus scrapes."""

from __future__ import annotations

from litestar import HttpMethod, Response, route
from litestar.handlers import HTTPRouteHandler
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api.ops.metrics import Metrics


def routes(metrics: Metrics) -> list[HTTPRouteHandler]:
    """The route `/metrics`."""

    @route("/metrics", http_method=(HttpMethod.GET, HttpMethod.HEAD), include_in_schema=False, sync_to_thread=False)
    def scrape() -> Response[bytes]:
        # The media type is set as a header: Litestar would add a second charset to a text type.
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})

    return [scrape]
