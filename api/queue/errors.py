"""What can go wrong between the api and the shards, apart from chunk outcomes; HTTP problems are made elsewhere."""

from __future__ import annotations


class StoreCallError(Exception):
    """A store call has no good outcome; `status` is the one that it has."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ShardsSilentError(Exception):
    """Some shards did not say what they own; the text names them and why."""


class TwoClustersError(Exception):
    """Two clusters use one Redis, and nothing tells which of them is this process's own; the text says more."""
