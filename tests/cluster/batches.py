"""Clients with batches of a fixed size, which know the value of each key and record how long each call took."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

SIZES = (10, 100)
CLIENTS = 2
"""The number of clients for each size."""

KEYS = 5000
"""The number of keys for each client."""

PAUSE_S = 0.01
TIMEOUT_S = 20.0


@dataclass
class Batches:
    """The observations of the clients."""

    base_url: str
    token: str
    times: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: {size: [] for size in SIZES})
    """By size, the beginning and the duration of each call in seconds."""
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Keys that had another value than the last acknowledged one."""

    def p99_ms(self, size: int, began: float, ended: float) -> float:
        """The time within which 99 of 100 calls of a phase were answered."""
        return 1000 * statistics.quantiles(self._within(size, began, ended), n=100)[98]

    def count(self, began: float, ended: float) -> int:
        """How many calls started in a phase."""
        return sum(len(self._within(size, began, ended)) for size in SIZES)

    def longest_s(self, began: float, ended: float) -> float:
        """The longest call of a phase."""
        return max(max(self._within(size, began, ended)) for size in SIZES)

    def _within(self, size: int, began: float, ended: float) -> Sequence[float]:
        return [seconds for at, seconds in self.times[size] if began <= at < ended]

    async def rest(self, calls: int) -> None:
        """Wait until this many more calls of each size have ended."""
        wanted = {size: len(self.times[size]) + calls for size in SIZES}
        while any(len(self.times[size]) < wanted[size] for size in SIZES):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The clients work during this block."""
        timeout = aiohttp.ClientTimeout(None, sock_read=TIMEOUT_S)
        async with aiohttp.ClientSession(headers={"Authorization": self.token}, timeout=timeout) as http:
            stop = asyncio.Event()
            clients = [
                asyncio.create_task(self._client(http, stop, f"{size}-{number}", size))
                for size in SIZES
                for number in range(CLIENTS)
            ]
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*clients)

    async def _client(self, http: aiohttp.ClientSession, stop: asyncio.Event, name: str, size: int) -> None:
        chance, held, number = random.Random(name), dict[str, int](), 0
        while not stop.is_set():
            number += 1
            data = {f"{name}/{chance.randrange(KEYS)}": number for _ in range(size)}
            if await self._call(http, "write", {"data": data}, size) is not None:
                held.update(data)
            keys = chance.sample(sorted(held), min(size, len(held)))
            document = await self._call(http, "read", {"keys": keys}, size)
            if document is not None:
                self._compare(document["data"], {key: held[key] for key in keys})
        await self._check(http, held)

    async def _check(self, http: aiohttp.ClientSession, held: dict[str, int]) -> None:
        """Read all acknowledged values."""
        async with http.post(f"{self.base_url}/api/read", json={"keys": list(held)}) as answer:
            self._compare((await answer.json())["data"], held)

    def _compare(self, found: dict[str, int], held: dict[str, int]) -> None:
        self.wrong += [f"{key}: {found.get(key)}, not {held[key]}" for key in held if found.get(key) != held[key]]

    async def _call(self, http: aiohttp.ClientSession, what: str, body: dict[str, Any], size: int) -> Any:
        """The document of a 200, else None."""
        await asyncio.sleep(PAUSE_S)
        began = time.monotonic()
        try:
            async with http.post(f"{self.base_url}/api/{what}", json=body) as answer:
                document = await answer.json()
                said = str(answer.status)
        except (aiohttp.ClientError, ValueError) as error:
            document, said = None, type(error).__name__
        self.times[size].append((began, time.monotonic() - began))
        self.answers[said] += 1
        return document if said == "200" else None
