"""A service that mostly reads: batches of keys, most from a small set that all users read, and sometimes a write."""

from __future__ import annotations

import random

from locust import between, task

from loadtest.bench.values import Data
from loadtest.scenarios.client import KvUser

_DATA = Data("string", 100_000)
_PREFIX = "load:hot:"
"""All users share these keys: every value follows from its key, so it does not matter which user wrote it."""

_HOT = 200
_BATCH = 50
_HOT_SHARE = 0.8
_SEEDED = 2000


class HotReads(KvUser):
    """Reads 50 keys at a time, four of five from a hot set."""

    wait_time = between(0.001, 0.02)
    weight = 6

    def on_start(self) -> None:
        super().on_start()
        self._stored = {_PREFIX + _DATA.key(number): _DATA.value(number) for number in range(_SEEDED)}
        self._keys = list(self._stored)
        self.write(self._stored, name="fill the hot set")

    @task(20)
    def read_hot(self) -> None:
        hot = round(_BATCH * _HOT_SHARE)
        keys = random.choices(self._keys[:_HOT], k=hot) + random.choices(self._keys, k=_BATCH - hot)
        self.read(keys, self._stored, name="read 50, hot set")

    @task(1)
    def write_one(self) -> None:
        key = random.choice(self._keys)
        self.write({key: self._stored[key]}, name="write 1 of the hot set")
