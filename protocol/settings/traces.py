"""Settings of traces."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.settings.base import Settings


class TraceSettings(Settings, frozen=True, kw_only=True):
    """Where traces of requests are sent, and the share of requests that is traced."""

    traces_endpoint: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/@]+(/[^\s@]*)?)?\Z",
            description="Address of an OpenTelemetry collector (OTLP over HTTP), as `http://127.0.0.1:4318`. "
            "Empty: no traces.",
        ),
    ] = ""
    traces_ratio: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of the requests that are traced, of those without a `traceparent`."),
    ] = 0.01
