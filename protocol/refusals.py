"""What a shard says when it refuses a chunk with `WRONG_BUCKET`: where the buckets are that it must not use.

    payload   [[bucket, where], ...]     MessagePack

`where` is the name of the shard to which a bucket went, true where it is on its way, and nil where the shard does not
know. The refusal of a chunk that is on record names no bucket: they may be elsewhere by now.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

MOVING: Final = True
"""The bucket is on its way: it is to be asked for again in a while."""

Where: TypeAlias = str | bool | None
"""Where a bucket is: on a shard, on its way (`MOVING`), or nobody knows."""

_decode = msgspec.msgpack.Decoder(list[tuple[int, Where]]).decode


def refused_buckets(payload: Any) -> dict[int, Where]:
    """Where the buckets are that a refusal names. It names none if it is a text, as those of earlier versions are."""
    try:
        return dict(_decode(payload))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return {}
