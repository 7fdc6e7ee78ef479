"""What a scan or an export selects: bounds of keys, buckets, and what is returned for each key."""

from __future__ import annotations

from typing import NamedTuple


class Selection(NamedTuple):
    """What a scan selects. `lower` is included and `upper` is not; None: there is no such bound.

    A segment is a range of buckets: number `segment` of `segments` of nearly the same size.
    """

    lower: bytes | None = None
    upper: bytes | None = None
    reverse: bool = False
    values: bool = True
    version: bool = False
    expires_at: bool = False
    segment: int = 0
    segments: int = 1

    def buckets(self, bucket_count: int) -> tuple[int, int]:
        """The first and the last bucket."""
        return (
            self.segment * bucket_count // self.segments + 1,
            (self.segment + 1) * bucket_count // self.segments,
        )


def bounds(prefix: bytes, start: bytes, end: bytes | None) -> tuple[bytes | None, bytes | None]:
    """The lower bound, included, and the upper bound, not included, of keys with `prefix`, from `start` to `end`."""
    lower = max(prefix, start)
    # No byte of UTF-8 is 0xff, so the last byte always has a next one.
    behind = prefix[:-1] + bytes((prefix[-1] + 1,)) if prefix else None
    upper = end if behind is None else behind if end is None else min(behind, end)
    # The shards accept no empty bound. An empty upper bound selects no key, and neither does one below the shortest
    # key.
    return lower or None, b"\x00" if upper == b"" else upper
