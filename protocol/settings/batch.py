"""Settings of batches: their limits, and how many may wait at a time."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.settings.base import Seconds, Settings
from protocol.settings.deadlines import CLOCK_SKEW_S, ClockSkew, RequestTimeout


class BatchSettings(Settings, frozen=True, kw_only=True):
    """The limits of a batch, and of the batches that wait at a time."""

    request_timeout_s: RequestTimeout = 5.0
    clock_skew_s: ClockSkew = CLOCK_SKEW_S
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest request body, in bytes.")] = 16 * 1024 * 1024
    max_answer_bytes: Annotated[int, Meta(ge=1024, description="Largest answer of a read, in bytes as stored.")] = (
        64 * 1024 * 1024
    )
    max_batch_keys: Annotated[int, Meta(ge=1, le=1_000_000, description="Most keys in one batch.")] = 10_000
    max_key_bytes: Annotated[int, Meta(ge=1, le=1024, description="Most bytes of a key, in UTF-8.")] = 1024
    max_value_bytes: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Most bytes of a value, encoded as MessagePack.")
    ] = 512 * 1024
    max_buffered_bytes: Annotated[
        int,
        Meta(
            ge=1024, description="Most bytes of request bodies that one api process holds at a time; beyond that, 503."
        ),
    ] = 256 * 1024 * 1024
    max_answering_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Most bytes of answers of reads that one api process holds at a time, until they are sent; "
            "beyond that, 503.",
        ),
    ] = 256 * 1024 * 1024
    max_inflight_chunks: Annotated[
        int,
        Meta(ge=1, description="Most chunks of one shard that wait in one api process at a time; beyond that, 503."),
    ] = 4096
    max_inflight_bytes: Annotated[
        int,
        Meta(
            ge=1024, description="Most bytes of the chunks of one shard that wait in one api process; beyond that, 503."
        ),
    ] = 64 * 1024 * 1024
    max_wait_s: Annotated[
        Seconds,
        Meta(
            description="Seconds that a batch may wait at the gate, and again for a shard. If the api expects a longer "
            "wait, it answers 503. If overload lasts, the limit at the gate is a fifth."
        ),
    ] = 0.5
    idempotency_window_s: Annotated[
        int, Meta(ge=1, le=86400, description="Seconds for which an `Idempotency-Key` is valid.")
    ] = 600
