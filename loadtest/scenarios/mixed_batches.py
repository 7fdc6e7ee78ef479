"""Batches of all sizes and all operations. Each user has keys of its own, so that it knows every answer beforehand."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from locust import between, task

from loadtest.scenarios.client import KvUser

_KEYS = 3000
_SIZES = (1, 3, 10, 40, 150, 600, 2000)


class MixedBatches(KvUser):
    """Writes, reads and deletes; remembers what must be stored."""

    wait_time = between(0.005, 0.05)
    weight = 3

    def on_start(self) -> None:
        super().on_start()
        self._keys = [f"{self.prefix}{number}" for number in range(_KEYS)]
        self._used = list(self._keys)
        self._stored: dict[str, Any] = {}

    def _some(self) -> list[str]:
        return random.sample(self._keys, min(len(self._keys), random.choice(_SIZES)))

    def _forget(self, keys: Iterable[str]) -> None:
        """Continue with other keys: after a request without an answer it is unknown what is stored under its keys."""
        unknown = set(keys)
        self._keys = [key for key in self._keys if key not in unknown]
        fresh = [f"{self.prefix}{number}" for number in range(len(self._used), len(self._used) + len(unknown))]
        self._keys += fresh
        self._used += fresh

    @task(4)
    def write_some(self) -> None:
        data = {key: _value() for key in self._some()}
        if self.write(data, name="write 1 to 2,000"):
            self._stored |= data
        else:
            self._forget(data)

    @task(8)
    def read_some(self) -> None:
        self.read(self._some(), self._stored, name="read 1 to 2,000")

    @task(1)
    def delete_some(self) -> None:
        keys = self._some()
        there = sum(key in self._stored for key in keys)
        answer = {"status": "success", "deleted": there}
        if self.post("/api/delete", {"keys": keys}, answer, name="delete 1 to 2,000"):
            for key in keys:
                self._stored.pop(key, None)
        else:
            self._forget(keys)

    def on_stop(self) -> None:
        self.remove(self._used)


def _value() -> Any:
    match random.randrange(5):
        case 0:
            return random.getrandbits(63)
        case 1:
            return {"nested": [1, None, {"empty": {}, "list": []}], "fraction": 1.0}
        case 2:
            return None
        case 3:
            return "ünïcödé " * random.randrange(10)
        case _:
            return random.random()
