"""Settings that several tiers must agree on: how long a request and a shutdown may take, and the clock skew."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MIN_REQUEST_TIMEOUT_S = 0.6
"""A worker gives up a chunk 0.25 s before its deadline, and the api sends no chunk again in the last 0.5 s: a shorter
request would be given up before it is sent. A test checks that this is above both."""

RequestTimeout = Annotated[
    float, Meta(ge=MIN_REQUEST_TIMEOUT_S, le=86400, description="Deadline of a batch, in seconds from its arrival.")
]
ClockSkew = Annotated[
    int, Meta(ge=0, le=3600, description="Largest difference between two machines' clocks, in seconds.")
]
"""Whatever must outlast something on another machine lasts this much longer."""
CLOCK_SKEW_S = 30
StopGrace = Annotated[
    int,
    Meta(
        ge=0,
        le=86400,
        description="Seconds from SIGTERM until the process is killed, as `stop_grace_period` of Compose; 0: unknown.",
    ),
]
