"""Optimistic updates: many users change the same few records, each on condition of the version that it has read.

Every success adds one to the record, so a lost update would be noticed: a record's value is the number of its changes.
"""

from __future__ import annotations

import random
from typing import Any

from locust import between, task

from loadtest.scenarios.client import KvUser

_RECORDS = 20
_PREFIX = "load:updates:"


class Updates(KvUser):
    """Reads a record with its version, and writes it unless another user has changed it meanwhile."""

    wait_time = between(0.005, 0.03)
    weight = 3

    def on_start(self) -> None:
        super().on_start()
        self._seen: dict[str, int] = {}

    @task
    def update(self) -> None:
        key = f"{_PREFIX}{random.randrange(_RECORDS)}"
        found = self.answer("/api/read", {"keys": [key], "with": ["version"]}, name="read a record and its version")
        if found is None:
            return
        changes = int(found["data"].get(key, {}).get("changes", 0))
        if changes < self._seen.get(key, 0):
            self.complain("read a record and its version", f"{changes} changes, and {self._seen[key]} before")
            return
        self._seen[key] = changes
        condition = {"version": found["meta"][key]["version"]} if key in found["data"] else "absent"
        content: dict[str, Any] = {"data": {key: {"changes": changes + 1}}, "if": condition, "ttl": 600}
        done = self.answer("/api/write", content, name="write it if it is unchanged", statuses=(200, 409))
        if done is not None and done.get("status") == "success":
            self._seen[key] = changes + 1
