"""Checks that the answers of several shards cover every bucket exactly once, so that no key is missing and none comes
twice, whichever buckets move meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable

from protocol.scans import Ranges


def fault_of(claims: Iterable[Ranges], first: int, last: int) -> str | None:
    """What is wrong with the ranges that shards have covered, of the buckets `first` to `last`; None: nothing."""
    clipped = sorted(
        (max(begin, first), min(end, last))
        for ranges in claims
        for begin, end in ranges
        if begin <= last and end >= first
    )
    wanted = first
    for begin, end in clipped:
        if begin > wanted:
            return f"no shard has answered for bucket {wanted}"
        if begin < wanted:
            return f"two shards have answered for bucket {begin}"
        wanted = end + 1
    return f"no shard has answered for bucket {wanted}" if wanted <= last else None
