"""What scans and exports share: the shards, the shard map, and the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from api.ops.scan_metrics import ScanMetrics
from api.overload.memory_budgets import AnswerBudget
from api.queue.pending import Caller
from api.queue.topology import Topology
from api.scan.cursors import Cursors, Place
from api.scan.merge import Merge
from api.scan.shards import ScanShards


@dataclass(frozen=True, slots=True)
class Reading:
    """The parts of a process that all scans share."""

    shards: ScanShards
    topology: Topology
    cursors: Cursors
    answers: AnswerBudget
    metrics: ScanMetrics

    def merge(self, place: Place, caller: Caller) -> Merge:
        """Make a merge that begins at a place.

        Raises:
            Problem: 400, the place is in a segment that this cluster does not have.
        """
        return Merge(self.shards, self.topology, place.selection, place.position, caller)
