"""Settings of a worker."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.settings.base import Seconds, Settings
from protocol.settings.deadlines import StopGrace


class WorkerSettings(Settings, frozen=True, kw_only=True):
    """A worker."""

    read_frames: Annotated[
        int, Meta(ge=1, le=1000, description="Most frames that a worker reads from a stream at a time.")
    ] = 32
    call_keys: Annotated[int, Meta(ge=1, le=20_000, description="Most keys in one call to a shard.")] = 4000
    # A shard has 64 MiB of memory or more: a call must leave most of it for the data.
    call_bytes: Annotated[int, Meta(ge=1024, le=16 * 1024 * 1024, description="Most bytes in one call to a shard.")] = (
        2 * 1024 * 1024
    )
    # Shorter than the time after which a worker counts as stuck, 15 s.
    call_timeout_s: Annotated[
        float,
        Meta(gt=0, le=10, description="Seconds that a worker waits for one answer of a shard before it asks again."),
    ] = 1.0
    claim_idle_s: Annotated[
        Seconds,
        Meta(description="Seconds after which a worker takes over frames whose claims another worker has not renewed."),
    ] = 1.2
    worker_drain_timeout_s: Annotated[
        Seconds, Meta(description="Seconds after SIGTERM in which a worker may finish its frames.")
    ] = 10.0
    stop_grace_s: StopGrace = 0
    worker_heartbeat_file: Annotated[
        str, Meta(description="File that a healthy worker touches every second; empty: none.")
    ] = ""
