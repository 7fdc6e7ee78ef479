"""`/api/keys/{key}`: GET, HEAD, PUT and DELETE of one key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.batch.change_endpoints import ChangeEndpoint, Try
from api.batch.change_results import Asked
from api.batch.endpoints import BatchEndpoint
from api.batch.options import PerKey, WriteOptions
from api.batch.outcomes import check
from api.batch.read_answer import check_stored
from api.http.endpoint import Principal
from api.http.negotiation import Format, accepted, format_of
from api.http.problems import Kind, Problem
from api.http.query import parameters
from api.http.request import Request
from api.http.response import NOT_MODIFIED, Answer, document
from api.keys.expiry import expiry
from api.keys.path import PATTERN, key_of
from api.keys.preconditions import conditions, entity_tag, quoted, read_if
from api.keys.value import TEXT_PER_BYTE, value_answer, value_of
from api.overload.memory_budgets import AnswerBudget, AnswerShare
from api.queue.pending import Caller
from protocol.changes import Condition, Stored, stored
from protocol.chunks import ChunkError
from protocol.operations import Operation
from protocol.versions import version_text

VARY = (b"vary", b"accept")


def _absent(key: str) -> Problem:
    return Problem(Kind.KEY_NOT_FOUND, f"the key {key!r} is not there")


class GetKey(BatchEndpoint):
    """`GET /api/keys/{key}`: the value."""

    path = PATTERN
    method = "GET"
    answers_head = True
    scope = "read"
    max_body = 0

    def __init__(self, answers: AnswerBudget, *base: Any) -> None:
        super().__init__(*base)
        self._answers = answers

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        key = key_of(request.path, self._limits.max_key_bytes)
        parameters(request.query, ())
        asked = read_if(request.headers)
        self._metrics.batch(self.path, 1)
        groups = self._batches.groups()
        groups.add_keys([key], self._limits)
        user = principal.name if principal is not None else None
        share = self._answers.share(user, 1)
        try:
            results = await self._batches.run(
                Operation.READ_TUPLES,
                groups,
                caller=Caller(user, request.trace, share.take),
                arrived_ms=request.arrived_ms,
            )
            check(results, Operation.READ_TUPLES)
            found = _only(key, stored(results[0].outcome.payload))
            accept = accepted(request.headers.get(b"accept"))
            tag = entity_tag(version_text(found.version), accept)
            if asked.is_modified(tag):
                answer = await self._answer(found, accept, share, user)
            else:
                answer = Answer(NOT_MODIFIED, b"", b"")
        except BaseException:
            share.release()
            raise
        return answer._replace(share=share, headers=_headers(found, tag))

    async def _answer(self, found: Stored, accept: Format, share: AnswerShare, user: str | None) -> Answer:
        size = check_stored(found, self._limits.max_answer_bytes)
        answer = await self._take(value_answer(found, accept), size, user)
        # As JSON it may be several times as large as the stored value.
        share.grow(len(answer.body) - size)
        return answer


def _headers(found: Stored, tag: str) -> tuple[tuple[bytes, bytes], ...]:
    headers = (b"etag", quoted(tag)), VARY
    return (*headers, (b"x-expires-at", b"%.15g" % (found.expires / 1000))) if found.expires else headers


def _only(key: str, tuples: list[Stored | None]) -> Stored:
    if len(tuples) != 1:
        raise ChunkError(f"{len(tuples)} tuples answer one key")
    if tuples[0] is None:
        raise _absent(key)
    return tuples[0]


class ChangeKey(ChangeEndpoint):
    """What PUT and DELETE share."""

    path = PATTERN

    def _route(self, request: Request) -> str:
        """What tells requests with one `Idempotency-Key` apart, besides their bodies."""
        fields = request.headers
        asked = (fields.get(b"if-match", b""), fields.get(b"if-none-match", b""))
        return f"{request.method} {request.path}?{request.query.decode('ascii')} {asked}"

    def _of_one(self, problem: Problem, key: str) -> Problem:
        """The problem of a change of one key; a condition of a batch is a precondition here."""
        if problem.kind is not Kind.CONDITION_FAILED:
            return problem
        current = _current(problem, key)
        has = f"the key has version {current['version']}" if current else "the key is not there"
        return Problem(Kind.PRECONDITION_FAILED, f"the precondition does not hold: {has}", members=problem.members)


def _current(problem: Problem, key: str) -> Mapping[str, str]:
    found: Mapping[str, str] = problem.members.get("current", {}).get(key, {})
    return found


class PutKey(ChangeKey):
    """`PUT /api/keys/{key}`: stores the body as the value."""

    method = "PUT"

    def __init__(self, *base: Any) -> None:
        super().__init__(*base)
        self.body_limit = min(self.body_limit, TEXT_PER_BYTE * self._limits.max_value_bytes)

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        key = key_of(request.path, self._limits.max_key_bytes)
        expires = expiry(request.query)
        asked = conditions(request.headers)
        body_format = format_of(request.headers.get(b"content-type"))
        user = principal.name if principal is not None else None
        value = await self._take(value_of(key, body, body_format, self._limits.max_value_bytes), len(body), user)
        self._metrics.batch(self.path, 1)

        def attempt(condition: Condition) -> Try:
            groups = self._batches.groups()
            options = WriteOptions(PerKey((expires, condition)), versions=True, operation=Operation.UPDATE)
            groups.add_values({key: value}, self._limits, options)
            return Asked(Operation.UPDATE, 1, versions=True), groups

        tries = [attempt(condition) for condition in asked]
        try:
            content = await self._once(request, self._route(request), body, principal, tries)
        except Problem as problem:
            raise self._of_one(problem, key) from None
        version = content["versions"][key]
        accept = accepted(request.headers.get(b"accept"))
        # Whether the key existed is known only if the condition was that it is absent.
        made = 201 if asked == (False,) else 200
        answer = document({"status": "success", "version": version}, accept, made)
        return answer._replace(headers=((b"etag", quoted(entity_tag(version, accept))), VARY))


class DeleteKey(ChangeKey):
    """`DELETE /api/keys/{key}`: removes the key."""

    method = "DELETE"
    max_body = 0

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:
        key = key_of(request.path, self._limits.max_key_bytes)
        parameters(request.query, ())
        asked = conditions(request.headers)
        self._metrics.batch(self.path, 1)

        def attempt(condition: Condition) -> Try:
            groups = self._batches.groups()
            if condition is None:
                groups.add_keys([key], self._limits)
                return Asked(Operation.DELETE, 1), groups
            groups.add_rows(Operation.DELETE_IF, [(key, condition)], self._limits, "keys")
            return Asked(Operation.DELETE_IF, 1), groups

        tries = [attempt(condition) for condition in asked]
        try:
            content = await self._once(request, self._route(request), body, principal, tries)
        except Problem as problem:
            if problem.kind is Kind.CONDITION_FAILED and not _current(problem, key):
                # The request would fail without its precondition, too, so the precondition does not count (RFC 9110,
                # 13.2.1).
                raise _absent(key) from None
            raise self._of_one(problem, key) from None
        if not content["deleted"]:
            raise _absent(key)
        return document(content, accepted(request.headers.get(b"accept")))
