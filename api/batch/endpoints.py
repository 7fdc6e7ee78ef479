"""The routes under `/api/`: login and logout, write, read and delete."""

from __future__ import annotations

import asyncio
from typing import Any

from api.auth.accounts import NAME, Accounts, User
from api.auth.authenticator import Authenticator, Principal, unauthorized
from api.auth.login_throttle import LoginThrottle
from api.auth.passwords import MAX_PASSWORD_BYTES, Passwords
from api.auth.tokens import Tokens
from api.batch.decode import Format, accepted, decode_keys, decode_login, decode_write, format_of
from api.batch.idempotency import Idempotency, check_key, fingerprint
from api.batch.read_answer import Answer, document, read_answer
from api.batch.run import Batches, Claim, check
from api.batch.split import Groups, check_count
from api.http.endpoint import Endpoint, Incoming
from api.http.problems import Kind, Problem, at, retry_later
from api.ops.metrics import Metrics
from api.overload.shard_limits import AnswerBudget
from api.queue.store_calls import ControlError
from protocol.operations import Operation

SUCCESS = {"status": "success"}


class Login(Endpoint):
    """`POST /api/login`: name and password in, a token out."""

    path = "/api/login"
    authenticated = False
    # Anybody may send this: it must not take the memory that batches need.
    max_body = 16 * 1024

    def __init__(
        self, accounts: Accounts, tokens: Tokens, passwords: Passwords, throttle: LoginThrottle, *base: Any
    ) -> None:
        super().__init__(*base)
        self._accounts = accounts
        self._tokens = tokens
        self._passwords = passwords
        self._throttle = throttle

    async def handle(self, request: Incoming, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        login = decode_login(body, format_of(request.headers.get(b"content-type")))
        if len(login.password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
            raise at(Kind.INVALID_REQUEST, f"a password has at most {MAX_PASSWORD_BYTES} bytes", "password")
        await self._throttle.check(login.username, request.address)
        user = await self._look_up(login.username)
        password_hash = user.password_hash if user is not None else None
        if not await self._passwords.verify(password_hash, login.password) or user is None or user.disabled:
            await self._throttle.failed(login.username, request.address)
            raise unauthorized("the user name or the password is wrong")
        token = self._tokens.issue(login.username, user.scopes)
        return document({"token": token}, accepted(request.headers.get(b"accept")))

    async def _look_up(self, name: str) -> User | None:
        try:
            # A name that no user can have is looked up all the same: its answer must not come sooner.
            state = await self._accounts.state(name if NAME.match(name) else "-")
        except ControlError as error:
            raise retry_later(Kind.SHARD_UNAVAILABLE, "the user's account cannot be read") from error
        return state.user


class Logout(Endpoint):
    """`POST /api/logout`: revokes the token it comes with."""

    path = "/api/logout"
    max_body = 16

    def __init__(self, accounts: Accounts, authenticator: Authenticator, *base: Any) -> None:
        super().__init__(authenticator, *base)
        self._accounts = accounts

    async def handle(self, request: Incoming, body: bytes, principal: Principal | None) -> Answer:
        if body not in (b"", b"{}", b"\x80"):
            raise Problem(Kind.INVALID_REQUEST, "a logout has no body, or an empty object")
        if principal is None:
            raise unauthorized("the Authorization header is missing")
        try:
            await self._accounts.revoke(principal.name, principal.claims.jti, principal.claims.exp)
        except ControlError as error:
            raise retry_later(
                Kind.SHARD_UNAVAILABLE, "the token is not revoked everywhere yet; log out again"
            ) from error
        self._authenticator.log_out(principal)
        return document(SUCCESS, accepted(request.headers.get(b"accept")))


class BatchEndpoint(Endpoint):
    """What write, read and delete share."""

    direct = True

    def __init__(
        self,
        batches: Batches,
        idempotency: Idempotency,
        metrics: Metrics,
        *base: Any,
    ) -> None:
        super().__init__(*base)
        self._batches = batches
        self._idempotency = idempotency
        self._metrics = metrics

    def _keys(self, request: Incoming, body: bytes) -> Groups:
        """The keys that a read or a delete names."""
        keys = decode_keys(body, format_of(request.headers.get(b"content-type")))
        check_count(len(keys), "keys", self._limits)
        groups = self._batches.groups()
        groups.add_keys(keys, self._limits)
        self._metrics.batch(self.path, len(keys))
        return groups

    async def _change(
        self, request: Incoming, body: bytes, principal: Principal | None, operation: Operation, groups: Groups
    ) -> Answer:
        """Run a write or a delete, once if the request has an `Idempotency-Key`."""
        key = request.headers.get(b"idempotency-key")
        trace = request.trace
        user = principal.name if principal is not None else None

        async def work(claim: Claim | None) -> dict[str, Any]:
            retain_ms = self._idempotency.window_ms if claim is not None else 0
            results = await self._batches.run(
                operation, groups, retain_ms=retain_ms, claim=claim, trace=trace, user=user
            )
            check(results, operation)
            if operation is Operation.DELETE:
                return {**SUCCESS, "deleted": sum(result.outcome.payload for result in results)}
            return SUCCESS

        if key is None or principal is None:
            content = await work(None)
        else:
            digest = fingerprint(self.path, request.headers.get(b"content-type"), body)
            # A retry may come while this runs: it must find the outcome even if this client goes away.
            content = dict(
                await asyncio.shield(
                    asyncio.ensure_future(self._idempotency.run(principal.name, check_key(key), digest, work))
                )
            )
        return document(content, accepted(request.headers.get(b"accept")))


class Write(BatchEndpoint):
    """`POST /api/write`: stores every pair of `data`."""

    path = "/api/write"
    scope = "write"

    async def handle(self, request: Incoming, body: bytes, principal: Principal | None) -> Answer:
        groups = self._groups(body, format_of(request.headers.get(b"content-type")))
        return await self._change(request, body, principal, Operation.WRITE, groups)

    def _groups(self, body: bytes, body_format: Format) -> Groups:
        """What to store. The decoded values, which can take many times the body's memory, do not outlive this."""
        data = decode_write(body, body_format)
        check_count(len(data), "data", self._limits)
        groups = self._batches.groups()
        groups.add_values(data, self._limits)
        self._metrics.batch(self.path, len(data))
        return groups


class Delete(BatchEndpoint):
    """`POST /api/delete`: removes `keys` and counts those that were there."""

    path = "/api/delete"
    scope = "write"

    async def handle(self, request: Incoming, body: bytes, principal: Principal | None) -> Answer:
        groups = self._keys(request, body)
        return await self._change(request, body, principal, Operation.DELETE, groups)


class Read(BatchEndpoint):
    """`POST /api/read`: the values of `keys`."""

    path = "/api/read"
    scope = "read"

    def __init__(self, answers: AnswerBudget, *base: Any) -> None:
        super().__init__(*base)
        self._answers = answers

    async def handle(self, request: Incoming, body: bytes, principal: Principal | None) -> Answer:
        groups = self._keys(request, body)
        user = principal.name if principal is not None else None
        share = self._answers.share(user)
        try:
            results = await self._batches.run(Operation.READ, groups, trace=request.trace, user=user, share=share)
            check(results, Operation.READ)
            answer = read_answer(results, accepted(request.headers.get(b"accept")), self._limits.max_answer_bytes)
        except BaseException:
            share.release()
            raise
        return answer._replace(share=share)
