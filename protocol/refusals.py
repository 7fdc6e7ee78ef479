"""The payload of a refusal with `WRONG_BUCKET`: where the buckets are that the shard must not use.

    payload   [[bucket, where], ...]     MessagePack

`where` is the name of the bucket's new shard, true if the bucket is moving, and nil if the shard does not know. A chunk
that was refused before is refused again without naming buckets: they may be elsewhere now.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

MOVING: Final = True
"""The bucket is moving: its keys must be sent again later."""

Where: TypeAlias = str | bool | None
"""Where a bucket is: on a shard, moving (`MOVING`), or unknown (None)."""

_decode = msgspec.msgpack.Decoder(list[tuple[int, Where]]).decode


def refused_buckets(payload: Any) -> dict[int, Where]:
    """The buckets that a refusal names, and where they are. A text, as earlier versions send it, names none."""
    try:
        return dict(_decode(payload))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return {}
