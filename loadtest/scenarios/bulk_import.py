"""An import: large batches of records one after the other; after each batch, a read of a few of them."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from locust import constant, task

from loadtest.bench.values import records
from loadtest.scenarios.client import KvUser

_BATCH = 1000
_KEYS = 20_000
"""The keys of one user. After the last one the import begins again, so that a long run does not fill the store."""

_SAMPLE = 20


@cache
def _records() -> list[dict[str, Any]]:
    return records()


class BulkImport(KvUser):
    """Writes 1,000 records at a time."""

    wait_time = constant(0)
    weight = 1

    def on_start(self) -> None:
        super().on_start()
        self._next = 0
        self._imported = 0

    @task
    def import_batch(self) -> None:
        found = _records()
        data = {
            f"{self.prefix}{number}": found[number % len(found)] for number in range(self._next, self._next + _BATCH)
        }
        self.write(data, name="import 1,000 records")
        sample = random.sample(sorted(data), _SAMPLE)
        self.read(sample, data, name="read 20 imported records")
        self._next = (self._next + _BATCH) % _KEYS
        self._imported = max(self._imported, self._next or _KEYS)

    def on_stop(self) -> None:
        self.remove(f"{self.prefix}{number}" for number in range(self._imported))
