"""Concurrent clients that use the HTTP API, and record every call and its answers.

They run until they are told to stop. The length of a phase is counted in calls, never in seconds. Keys, size of batches
and the next call are random, from a seed (`asking`); `answers` interprets the answers.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple, Self

import aiohttp
import httpx

from tests.faults.answers import Answers, judge
from tests.faults.asking import Asker, Mix, request
from tests.faults.history import SERVED, Action, Call, Fate, combined

SKEW_S = 0.5
"""Clocks of one machine do not differ; this allows for the time between an answer and its record."""

HTTP_TIMEOUT_S = 20.0
"""An api that runs has answered before this."""

FROZEN_S = 600.0
"""Longer than any api is frozen here."""

RETRY_S = 0.05
POLL_S = 0.02
GIVE_UP_S = 20.0

Watch = Callable[[Call], bool]


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    content: bytes


def login(base_url: str, user: str, password: str) -> str:
    """A token."""
    answer = httpx.post(f"{base_url}/api/login", json={"username": user, "password": password}, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["token"])


class Load:
    """The clients. `calls` is the history so far; calls that run are not in it yet."""

    def __init__(
        self,
        base_url: str,
        token: str,
        keys: Sequence[str],
        *,
        clients: int = 12,
        mix: Mix | None = None,
        seed: int = 1,
        other_urls: Sequence[str] = (),
        skew_s: float = SKEW_S,
        refusals: bool = False,
        garbled: bool = False,
        http_timeout_s: float = HTTP_TIMEOUT_S,
        off_s: float = 0.0,
        step_s: float = 0.0,
        pause_s: float = 0.0,
    ) -> None:
        """Clients and attempts use `base_url` and `other_urls` in turn; a client waits `pause_s` between its calls.

        `skew_s`, `refusals` and `garbled` are as in `Answers`, `off_s` and `step_s` as in `Call`.
        """
        self.calls: list[Call] = []
        self._urls = [base_url, *other_urls]
        wall_s = time.time() - time.monotonic()
        self._answers = Answers(skew_s, refusals, garbled, wall_s)
        self._http_timeout_s = http_timeout_s
        self._headers = {"Authorization": f"Bearer {token}"}
        self._keys = list(keys)
        self._clients = clients
        self._pause_s = pause_s
        self._asker = Asker(self._keys, mix or Mix(), wall_s, off_s, step_s)
        self._seed = seed
        self._numbers = count(1)
        self._stopping = False
        self._asked: dict[int, float] = {}
        """Since when each waiting client has waited for its answer."""
        self._watches: list[tuple[Watch, asyncio.Future[None]]] = []
        self._watches_of_tries: list[tuple[Watch, asyncio.Future[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        # It uses a third of the CPU time of httpx, which would take more of the processors than the system does.
        self._http = aiohttp.ClientSession(
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(None, sock_connect=self._http_timeout_s, sock_read=self._http_timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def until(self, watch: Watch, calls: int = 1) -> None:
        """Wait for this many calls for which `watch` is true, counted from now, or for the failure of a client."""
        await self._until(self._watches, watch, calls)

    async def until_tried(self, watch: Watch, tries: int = 1) -> None:
        """The same for attempts: `watch` is asked about the call after each of its attempts."""
        await self._until(self._watches_of_tries, watch, tries)

    async def _until(self, watches: list[tuple[Watch, asyncio.Future[None]]], watch: Watch, calls: int) -> None:
        left = count(calls - 1, -1)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watches.append((lambda call: watch(call) and next(left) <= 0, future))
        await asyncio.wait([future, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            await asyncio.gather(*(task for task in self._tasks if task.done()))
            raise AssertionError("a client ended")

    async def good(self, calls: int) -> None:
        """Wait for this many successful calls that were made after this moment."""
        now = time.monotonic()
        await self.until(lambda call: call.called > now and call.succeeded, calls)

    async def every_client_answered(self) -> None:
        """Wait until each client has got an answer from now on: then all requests that wait now are answered."""
        answered: set[int] = set()

        def watch(call: Call) -> bool:
            answered.add(call.client)
            return len(answered) == self._clients

        await self.until_tried(watch)

    async def every_client_waiting(self, seconds: float) -> None:
        """Wait until each client has waited for an answer for this long."""
        while len(self._asked) < self._clients or self._last_asked_s_ago() < seconds:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(POLL_S)

    def _last_asked_s_ago(self) -> float:
        return time.monotonic() - max(self._asked.values())

    async def stop(self) -> None:
        """Let every client finish its call; then read all keys, as the last call of the history."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        last = Call(-1, Action.READ, tuple(self._keys), time.monotonic(), next(self._numbers))
        while not last.answers or not last.succeeded:
            if time.monotonic() - last.called > GIVE_UP_S:
                raise AssertionError(f"the last read does not succeed: {last.answers}")
            await self._attempt(last)
        self._ended(last)

    async def _client(self, client: int) -> None:
        chance = random.Random(f"{self._seed}/{client}")
        while not self._stopping:
            call = self._asker.next(client, next(self._numbers), chance)
            await self._perform(call)
            self._ended(call)
            if call.idempotency_key and call.succeeded and chance.random() < self._asker.mix.again:
                await self._again(call)
            if not call.succeeded or self._pause_s:
                await asyncio.sleep(self._pause_s if call.succeeded else max(RETRY_S, self._pause_s))

    async def _perform(self, call: Call) -> None:
        """Make a call; with an `Idempotency-Key` until it succeeds."""
        fates: list[dict[str, Fate]] = []
        while True:
            await self._attempt(call)
            fates.append(call.fates)
            if call.succeeded or call.idempotency_key is None or time.monotonic() - call.called > GIVE_UP_S:
                break
            await asyncio.sleep(RETRY_S)
        if call.action is not Action.READ:
            said = {key: {attempt[key] for attempt in fates} for key in call.keys}
            call.fates = {key: combined(attempts) for key, attempts in said.items()}
            call.contradicted = tuple(
                key for key, attempts in said.items() if {Fate.HAPPENED, Fate.REFUSED} <= attempts
            )
            self._asker.versions.update(
                (key, version) for key, told in call.told.items() if (version := told.version or told.current)
            )

    async def _attempt(self, call: Call) -> None:
        with self._asking(call) as began:
            await self._try(call)
        call.longest_s = max(call.longest_s, call.answered - began)
        _tell(self._watches_of_tries, call)

    @contextmanager
    def _asking(self, call: Call) -> Iterator[float]:
        """Record that the call's client waits for an answer, since the given moment."""
        self._asked[call.client] = time.monotonic()
        try:
            yield self._asked[call.client]
        finally:
            del self._asked[call.client]

    async def _try(self, call: Call) -> None:
        try:
            answer = await self._post(call)
        except aiohttp.ClientConnectorError:
            judge(call, "refused", Fate.NEVER)
            return
        except aiohttp.ClientError as error:
            # A frozen api may start with it whenever it continues.
            begun_s = FROZEN_S if isinstance(error, aiohttp.ServerTimeoutError) else 0.0
            self._answers.broken(call, type(error).__name__, begun_s)
            return
        if self._answers.garbled and 400 <= answer.status < 500 and answer.status != 409:
            judge(call, str(answer.status), Fate.NEVER)
            return
        try:
            document = json.loads(answer.content)
        except ValueError as error:
            if not self._answers.garbled:
                raise
            self._answers.broken(call, type(error).__name__)
            return
        self._answers.take(call, answer.status, document)
        call.document = document

    async def _post(self, call: Call) -> Answer:
        headers = {"Content-Type": "application/json"}
        if call.idempotency_key:
            headers["Idempotency-Key"] = call.idempotency_key
        url = self._urls[(call.client + len(call.answers)) % len(self._urls)]
        body = request(call, self._answers.wall_s)
        path = "scan" if call.scan else call.action
        async with self._http.post(f"{url}/api/{path}", data=body, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, await answer.read())

    async def _again(self, call: Call) -> None:
        """Repeat a served call under its `Idempotency-Key`: if the repetition is served too, its answer is the same."""
        try:
            with self._asking(call):
                answer = await self._post(call)
            document = json.loads(answer.content)
        except (aiohttp.ClientError, ValueError):
            return
        if str(answer.status) not in SERVED:
            return
        was, now = ({**said, "request_id": ""} for said in (call.document, document))
        if str(answer.status) != call.answers[-1] or was != now:
            raise AssertionError(f"call {call.number} was answered {call.answers[-1]} {was}, and then {now}")

    def _ended(self, call: Call) -> None:
        self.calls.append(call)
        _tell(self._watches, call)


def _tell(watches: list[tuple[Watch, asyncio.Future[None]]], call: Call) -> None:
    for entry in list(watches):
        watch, future = entry
        if watch(call):
            watches.remove(entry)
            if not future.done():
                future.set_result(None)
