"""Errors between the api and the shards that are not outcomes of chunks; other modules turn them into HTTP problems."""

from __future__ import annotations


class StoreCallError(Exception):
    """A store call failed; `status` is its outcome."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ShardsSilentError(Exception):
    """Some shards did not say what they own; the text names them and the reasons."""


class TwoClustersError(Exception):
    """Two clusters use one Redis, and this process cannot find out which of them is its own; the text says more."""
