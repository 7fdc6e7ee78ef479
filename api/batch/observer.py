"""What the routes of batches report for the metrics."""

from __future__ import annotations

from typing import Protocol


class BatchObserver(Protocol):
    """Counts what requests ask for."""

    def batch(self, route: str, keys: int) -> None:
        """Count the keys of a batch."""

    def conditions_failed(self, route: str, code: str, keys: int) -> None:
        """Count keys that a shard checked and did not change."""
