"""Errors between a worker and its shard."""

from __future__ import annotations


class ShardUnreachableError(Exception):
    """The shard gave no answer. `sent`: it may have received the call."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class WrongInstanceError(Exception):
    """An instance belongs to another shard than the settings or the announcement say."""
