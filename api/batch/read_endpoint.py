"""The route that reads a batch."""

from __future__ import annotations

from typing import Any

from api.batch.endpoints import PlannedEndpoint
from api.batch.read_planner import ReadPlanner
from api.overload.memory_budgets import AnswerBudget


class Read(PlannedEndpoint):
    """`POST /api/read`: the values of `keys`."""

    path = "/api/read"
    scope = "read"

    def __init__(self, answers: AnswerBudget, *base: Any) -> None:
        super().__init__(*base)
        self._planner = ReadPlanner(answers, self.path, self._batches, self._metrics, self._long_work, self._limits)
