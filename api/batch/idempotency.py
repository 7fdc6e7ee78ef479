"""Requests with an `Idempotency-Key`: each is claimed in the store, so that it is applied once however often it is
sent.

The claim is on the shard of the key's own bucket. Chunk ids derive from the claim and the chunk's content: a retry
after a crash finds in the store which chunks were applied. Recorded with the claim are a success and the failure of a
condition; a request that failed in any other way may be tried again with the same key.

The api asks how long claims and records of chunks must last. The shards decide it, because they know the clock skew:
`tarantool-cluster/tarantkv/retention.lua` lists everything that ends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from api.batch.errand import Claim
from api.batch.finishes import Finishes, Outcome
from api.http.problems import Kind, Problem, retry_later
from api.queue.errors import StoreCallError
from api.queue.store_calls import StoreCalls
from api.queue.topology import Topology
from protocol.buckets import bucket_of
from protocol.clock import now_ms
from protocol.operations import Operation, Status
from protocol.settings import BatchSettings

MAX_KEY_BYTES = 256

CLAIM_ID_BYTES = 12
"""Random bytes: two claims with the same id would share the records of equal chunks."""

TOO_MANY_RETRY_S = 10
"""When a user with too many claims may try again. Claims end continuously, each after its window."""

FINAL = (Kind.CONDITION_FAILED,)
"""The problems that are recorded, because their refusal is final. Each has its own status."""

MAX_OUTCOME = 16 * 1024
"""The longest outcome that is recorded with its claim, in characters."""

Content = Mapping[str, Any]
Work = Callable[[Claim], Awaitable[Content]]


def check_key(header: bytes) -> str:
    """Check an `Idempotency-Key`: 1 to 256 printable ASCII characters.

    Raises:
        Problem: 400.
    """
    if not 0 < len(header) <= MAX_KEY_BYTES or not all(0x20 <= byte <= 0x7E for byte in header):
        raise Problem(Kind.INVALID_HEADER, f"Idempotency-Key must be 1 to {MAX_KEY_BYTES} printable ASCII characters")
    return header.decode("ascii")


def fingerprint(route: str, content_type: bytes | None, body: bytes) -> str:
    """The digest that shows whether two requests with one key are the same: of route, media type and body."""
    digest = blake2b(digest_size=32)
    for piece in (route.encode(), content_type or b"", body):
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.hexdigest()


class _Ended(msgspec.Struct):
    """The record of a problem."""

    detail: str
    members: dict[str, Any]


def of_success(content: Content) -> Outcome:
    """The record of a success."""
    return msgspec.json.encode(content).decode()


def of_problem(problem: Problem) -> Outcome:
    """The record of a final problem."""
    return problem.status, msgspec.json.encode(_Ended(problem.detail, problem.members)).decode()


def replayed(outcome: str | list[Any]) -> Content:
    """The content of a success, from its record.

    Raises:
        Problem: the request ended with this problem.
    """
    if isinstance(outcome, str):
        return msgspec.json.decode(outcome, type=dict[str, Any])
    status, text = outcome
    kind = next(kind for kind in FINAL if kind.status == status)
    ended = msgspec.json.decode(text, type=_Ended)
    raise Problem(kind, ended.detail, members=ended.members)


class Idempotency:
    """Runs each request once for each key of a user."""

    def __init__(self, calls: StoreCalls, topology: Topology, settings: BatchSettings) -> None:
        self._calls = calls
        self._topology = topology
        self._timeout_s = settings.request_timeout_s
        # A retry that gets the claim at the end of the window needs it until its own deadline.
        lasts_s = settings.idempotency_window_s + self._timeout_s
        self._window_ms = int(lasts_s * 1000)
        self.retain_ms = int((lasts_s + self._timeout_s) * 1000)
        """How long the records of chunks under a claim must last at least: a retry that gets the claim in its last
        moment may send its chunks until its own deadline."""
        self._under_way: dict[tuple[str, str], tuple[str, asyncio.Future[Content]]] = {}
        self._finishes = Finishes(calls, lasts_s)

    async def finish(self) -> None:
        """Wait until it is recorded how answered requests ended, but no longer than a request may take."""
        await self._finishes.drain(self._timeout_s)

    async def run(self, user: str, key: str, digest: str, work: Work) -> Content:
        """The content of the answer: that of the first request with this key, or of `work` if this is the first.

        Raises:
            Problem: 422, the key belongs to another request; 503, it cannot be claimed; and what `work` raises.
        """
        running = self._under_way.get((user, key))
        if running is not None:
            if running[0] != digest:
                raise _reused()
            return await asyncio.shield(running[1])
        future: asyncio.Future[Content] = asyncio.get_running_loop().create_future()
        self._under_way[user, key] = (digest, future)
        try:
            content = await self._claim_and_run(user, key, digest, work)
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()
            else:
                future.cancel()
            raise
        else:
            future.set_result(content)
            return content
        finally:
            del self._under_way[user, key]

    async def _claim_and_run(self, user: str, key: str, digest: str, work: Work) -> Content:
        bucket = bucket_of(key.encode(), self._topology.map.bucket_count)
        asked_ms = now_ms()
        try:
            state, claim, outcome = await self._calls.call(
                Operation.CLAIM, bucket, (user, key, digest, secrets.token_hex(CLAIM_ID_BYTES), self._window_ms)
            )
        except StoreCallError as error:
            if error.status in (Status.NO_MEMORY, Status.REFUSED, Status.TOO_LARGE):
                raise Problem(Kind.DATABASE_REFUSED, f"the Idempotency-Key cannot be claimed: {error}") from error
            if error.status == Status.TOO_MANY:
                raise retry_later(
                    Kind.OVERLOADED,
                    f"the Idempotency-Key cannot be claimed: {error}; this try applied nothing",
                    after_s=TOO_MANY_RETRY_S,
                ) from error
            raise retry_later(
                Kind.SHARD_UNAVAILABLE, "the Idempotency-Key cannot be claimed; this try applied nothing"
            ) from error
        match state:
            case "conflict":
                raise _reused()
            case "done":
                return replayed(outcome)

        try:
            content = await work(Claim(claim, repeated=state == "pending", asked_ms=asked_ms))
        except Problem as problem:
            if problem.kind in FINAL:
                self._record(bucket, user, key, claim, of_problem(problem))
            raise
        self._record(bucket, user, key, claim, of_success(content))
        return content

    def _record(self, bucket: int, user: str, key: str, claim: str, outcome: Outcome) -> None:
        # A retry of a request whose outcome is too large finds the claim pending, and is answered from the records of
        # its chunks.
        if len(outcome if isinstance(outcome, str) else outcome[1]) <= MAX_OUTCOME:
            self._finishes.add(bucket, user, key, claim, outcome)


def _reused() -> Problem:
    return Problem(Kind.IDEMPOTENCY_KEY_REUSED, "the Idempotency-Key was used for a request with other content")
