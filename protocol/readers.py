"""Decides which of the present workers reads a shard's stream; the others stand by. All must decide alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Name = TypeVar("Name", str, bytes)


def reader(present: Sequence[Name], position: int) -> Name:
    """The worker that reads a shard. `position` is the shard's among all shards by name; `present` must not be empty.

    Half of the workers divide the shards among them: two that read a stream in turn make two half-full calls.
    """
    names = sorted(present)
    return names[position % max(1, len(names) // 2)]
