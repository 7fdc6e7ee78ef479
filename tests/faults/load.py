"""Concurrent clients that write, read and delete through the HTTP API, and record every call and its answers.

They run until told to stop; how long a phase lasts is counted in calls, never in seconds. Which keys, how large a
batch and what comes next is random, from a seed.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import httpx

from api.http.problems import Kind
from tests.faults.history import Action, Call, Fate, combined

DEADLINE_S = 5.0
"""The default of TARANTKV_REQUEST_TIMEOUT_S."""

SKEW_S = 0.5
"""Clocks of one machine differ by nothing; this is for the time between an answer and its record."""

HTTP_TIMEOUT_S = 20.0
"""Never reached by an api that runs: it answers by itself."""

FROZEN_S = 600.0
"""Longer than any api stands still here."""

RETRY_S = 0.05
POLL_S = 0.02
GIVE_UP_S = 20.0
BATCH = 6

_FATES = {
    False: {"not_applied": Fate.NEVER, "unknown": Fate.UNKNOWN},
    True: {"not_read": Fate.NEVER},
}
"""What is known of a key that failed, for changes and for reads, by the word of the answer."""

Watch = Callable[[Call], bool]


def login(base_url: str, user: str, password: str) -> str:
    """A token."""
    answer = httpx.post(f"{base_url}/api/login", json={"username": user, "password": password}, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["token"])


@dataclass(frozen=True)
class Mix:
    """What the clients do: weights of the actions, the share of batches, and of changes with an `Idempotency-Key`."""

    write: float = 0.5
    read: float = 0.35
    delete: float = 0.15
    batches: float = 0.3
    keyed: float = 0.3


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
    ) -> None:
        """Clients and tries take turns between `base_url` and `other_urls`.

        `skew_s`: how far clocks differ. `refusals`: a 500 that says the database refused is an answer like others.
        `garbled`: requests and answers may be damaged on their way, so that a 4xx is an answer like others.
        """
        self.calls: list[Call] = []
        self._urls = [base_url, *other_urls]
        self._skew_s = skew_s
        self._refusals = refusals
        self._garbled = garbled
        self._http_timeout_s = http_timeout_s
        self._headers = {"Authorization": f"Bearer {token}"}
        self._keys = list(keys)
        self._clients = clients
        self._mix = mix or Mix()
        self._seed = seed
        self._numbers = count(1)
        self._stopping = False
        self._asked: dict[int, float] = {}
        """Since when each client that waits for an answer does."""
        self._watches: list[tuple[Watch, asyncio.Future[None]]] = []
        self._watches_of_tries: list[tuple[Watch, asyncio.Future[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(
            headers=self._headers,
            timeout=self._http_timeout_s,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def until(self, watch: Watch, calls: int = 1) -> None:
        """Wait for this many calls of which `watch` is true, counted from now; or for the failure of a client."""
        await self._until(self._watches, watch, calls)

    async def until_tried(self, watch: Watch, tries: int = 1) -> None:
        """The same for tries: `watch` is asked about the call after each of its tries."""
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
        """Wait for this many calls that succeed and were made after this moment."""
        now = time.monotonic()
        await self.until(lambda call: call.called > now and call.succeeded, calls)

    async def every_client_answered(self) -> None:
        """Wait until each client has had an answer from now on: whatever waits now is answered then."""
        answered: set[int] = set()

        def watch(call: Call) -> bool:
            answered.add(call.client)
            return len(answered) == self._clients

        await self.until_tried(watch)

    async def every_client_waiting(self, seconds: float) -> None:
        """Wait until each client has waited for an answer for so long."""
        while len(self._asked) < self._clients or self._last_asked_s_ago() < seconds:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(POLL_S)

    def _last_asked_s_ago(self) -> float:
        return time.monotonic() - max(self._asked.values())

    async def stop(self) -> None:
        """Let every client end what it does; then read all keys, as the last call of the history."""
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
            call = self._next(client, chance)
            await self._perform(call)
            self._ended(call)
            if not call.succeeded:
                await asyncio.sleep(RETRY_S)

    def _next(self, client: int, chance: random.Random) -> Call:
        mix = self._mix
        (action,) = chance.choices(list(Action), [mix.write, mix.read, mix.delete])
        size = chance.randint(2, BATCH) if chance.random() < mix.batches else 1
        keys = tuple(chance.sample(self._keys, min(size, len(self._keys))))
        keyed = action is not Action.READ and chance.random() < mix.keyed
        return Call(
            client,
            action,
            keys,
            time.monotonic(),
            next(self._numbers),
            idempotency_key=secrets.token_hex(16) if keyed else None,
        )

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
            call.fates = {key: combined(attempt[key] for attempt in fates) for key in call.keys}

    async def _attempt(self, call: Call) -> None:
        began = self._asked[call.client] = time.monotonic()
        await self._try(call)
        del self._asked[call.client]
        call.longest_s = max(call.longest_s, call.answered - began)
        _tell(self._watches_of_tries, call)

    async def _try(self, call: Call) -> None:
        body = (
            {"data": {key: call.value(key) for key in call.keys}}
            if call.action is Action.WRITE
            else {"keys": call.keys}
        )
        headers = {"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {}
        url = self._urls[(call.client + len(call.answers)) % len(self._urls)]
        try:
            answer = await self._http.post(f"{url}/api/{call.action}", json=body, headers=headers)
        except httpx.ConnectError:
            self._judge(call, "refused", Fate.NEVER)
            return
        except httpx.TransportError as error:
            # An api that stands still may begin with it whenever it wakes.
            self._broken(call, type(error).__name__, FROZEN_S if isinstance(error, httpx.TimeoutException) else 0.0)
            return
        if self._garbled and 400 <= answer.status_code < 500:
            self._judge(call, str(answer.status_code), Fate.NEVER)
            return
        try:
            document = answer.json()
        except ValueError as error:
            if not self._garbled:
                raise
            self._broken(call, type(error).__name__)
            return
        self._read_answer(call, answer.status_code, document)

    def _broken(self, call: Call, how: str, begun_s: float = 0.0) -> None:
        """Judge an attempt without an answer, which the api may go on with for its whole time."""
        self._judge(call, f"broken ({how})", Fate.UNKNOWN)
        call.latest = call.answered + begun_s + DEADLINE_S + self._skew_s

    def _judge(self, call: Call, answer: str, fate: Fate) -> None:
        call.answered = time.monotonic()
        call.answers.append(answer)
        call.fates = dict.fromkeys(call.keys, fate)

    def _read_answer(self, call: Call, status: int, document: Mapping[str, Any]) -> None:
        match status:
            case 200:
                self._judge(call, "200", Fate.HAPPENED)
                call.deleted = document.get("deleted")
                if call.action is Action.READ:
                    missing = document.get("not_found", [])
                    if sorted([*document["data"], *missing]) != sorted(call.keys):
                        raise AssertionError(f"read {call.keys}, answered {document}")
                    call.seen = {**document["data"], **dict.fromkeys(missing)}
            case 503 | 504:
                self._read_failures(call, status, document)
            case 500 if self._refusals and document["type"] == Kind.DATABASE_REFUSED.urn:
                self._read_failures(call, 500, document)
            case _:
                raise AssertionError(f"{call.action} answered {status}: {document}")

    def _read_failures(self, call: Call, status: int, document: Mapping[str, Any]) -> None:
        failed = document.get("failed")
        # Without a list nothing was sent.
        self._judge(call, str(status), Fate.HAPPENED if failed is not None else Fate.NEVER)
        if failed is None and status == 504:
            raise AssertionError(f"a 504 does not say for which keys: {document}")
        for key, said in (failed or {}).items():
            call.fates[key] = _FATES[call.action is Action.READ][said]
        # A 504 is given a little before its deadline or after it.
        call.latest = max(call.latest, call.answered + self._skew_s)

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
