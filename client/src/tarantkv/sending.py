"""Sends one request until it has a final answer or its deadline ends. All retries happen here.

The client repeats a request that was not applied. It repeats one that may have been applied only if that does no harm:
reads, and changes with an `Idempotency-Key`. The same key is always sent with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from tarantkv.answers import document_of, error_of
from tarantkv.effects import Alone, Send, Sleep, Steps
from tarantkv.errors import (
    NOT_APPLIED,
    NOT_READ,
    UNKNOWN,
    ConditionFailedError,
    ConnectionLostError,
    DeadlinePassedError,
    InternalError,
    OutcomeUnknownError,
    TarantKVError,
    TooManyLoginsError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from tarantkv.policy import Policy, check_deadline, check_policy
from tarantkv.session import Refused, Session
from tarantkv.wire import MSGPACK, Request, Response, TransportError, document

T = TypeVar("T")

IDEMPOTENCY_KEY = "idempotency-key"

LOGINS_PER_CALL = 3
"""How many new tokens the attempts of one call may get."""


REFUSED_S = 30.0
"""How long a client does not log in again by itself with refused credentials: a program with many calls would make the
server lock its user out."""


class Call(NamedTuple):
    """A request of the core. `keys` are those whose outcome an error reports. `changes`: it is not a read, and if it
    may have been carried out it is repeated only if `headers` have an `Idempotency-Key`. If it is not `patient`, it is
    sent once.
    """

    path: str
    body: bytes = b""
    keys: Sequence[str] = ()
    headers: Mapping[str, str] = {}
    method: str = "POST"
    changes: bool = False
    authenticated: bool = True
    patient: bool = True


SHORTEST_S = 0.02
"""An attempt with less time than this is not begun: it would only hide why the one before it failed."""


class Attempts:
    """The state of a call after some attempts: which keys were applied, and whether an attempt may still be running."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.number = 0
        self.in_doubt = False
        self.applied: set[str] = set()
        self.failed: dict[str, str] | None = None

    def note(self, error: TarantKVError) -> None:
        """Note how an attempt failed."""
        if isinstance(error, (OutcomeUnknownError, InternalError)):
            self.in_doubt = True
        if error.failed:
            self.failed = error.failed
            if self.call.changes:
                self.applied.update(key for key in self.call.keys if key not in error.failed)

    def verdict(self, error: TarantKVError) -> TarantKVError:
        """The last error, with what all attempts show about each key."""
        if not self.call.changes:
            error.failed = error.failed or dict.fromkeys(self.call.keys, NOT_READ)
            return error
        word = UNKNOWN if self.in_doubt else NOT_APPLIED
        failed = self.failed if self.failed is not None else dict.fromkeys(self.call.keys, word)
        if not isinstance(error, ConditionFailedError) and self.in_doubt:
            failed = {key: UNKNOWN if found == NOT_APPLIED else found for key, found in failed.items()}
            if not isinstance(error, (OutcomeUnknownError, InternalError)):
                error = OutcomeUnknownError(
                    f"{error.detail}; an earlier try may have been applied",
                    problem=error.problem,
                    status=error.status,
                    retry_after=error.retry_after,
                )
        error.failed = {key: found for key, found in failed.items() if key not in self.applied}
        error.applied = [key for key in self.call.keys if key not in error.failed]
        return error


class Sender:
    """Sends the calls of one client. `clock` is a monotonic one, in seconds; `chance` returns numbers from 0 to 1."""

    def __init__(
        self, session: Session, policy: Policy, clock: Callable[[], float], chance: Callable[[], float], agent: str
    ) -> None:
        check_policy(policy)
        self.session = session
        self.policy = policy
        self.clock = clock
        self.chance = chance
        self._agent = agent

    def until(self, deadline_s: float | None = None) -> float:
        """When a call that begins now must end.

        Raises:
            InvalidRequestError: the deadline is not above 0, or too far off.
        """
        if deadline_s is not None:
            check_deadline(deadline_s)
        return self.clock() + (self.policy.deadline_s if deadline_s is None else deadline_s)

    def document(self, call: Call, until: float) -> Steps[dict[str, Any]]:
        """The document of the answer.

        Raises:
            TarantKVError: the call failed; the error has the outcome of each key, as far as it is known.
        """
        return (yield from self._tried(call, until, document_of))

    def response(self, call: Call, until: float) -> Steps[Response]:
        """The answer, a success, unchanged.

        Raises:
            TarantKVError: the call failed; the error has the outcome of each key, as far as it is known.
        """
        return (yield from self._tried(call, until, lambda response: response))

    def _tried(self, call: Call, until: float, read: Callable[[Response], T]) -> Steps[T]:
        attempts = Attempts(call)
        try:
            return (yield from self._attempted(attempts, until, read))
        except TarantKVError as error:
            # Whatever ends the call, an earlier attempt may have been applied.
            verdict = attempts.verdict(error)
            if verdict is error:
                raise
            raise verdict from error

    def _attempted(self, attempts: Attempts, until: float, read: Callable[[Response], T]) -> Steps[T]:
        call = attempts.call
        if call.authenticated and self.session.token is None and self.session.ask is not None:
            yield self._alone(None, until)
        if self.clock() >= until:
            # This happens to a part of a large batch. If it were sent without time left, its outcome would be unknown.
            raise DeadlinePassedError("the deadline of the call has passed, and the request was not sent")
        while True:
            attempts.number += 1
            token = self.session.token
            try:
                return read((yield from self._once(call, until)))
            except TarantKVError as found:
                error = found
            attempts.note(error)
            if isinstance(error, UnauthorizedError) and call.authenticated:
                if (yield from self._renewed(token, until, attempts)):
                    continue
                raise error
            if not may_repeat(error, call):
                raise error
            wait = self.policy.wait_s(attempts.number, error.retry_after, self.chance)
            if self.clock() + wait + SHORTEST_S >= until:
                raise error
            yield Sleep(wait)

    def request(self, call: Call, timeout: float) -> Request:
        """The request of a call, with the present token."""
        every = {
            "accept": MSGPACK,
            "accept-encoding": "identity",
            "user-agent": self._agent,
            **({"content-type": MSGPACK} if call.body else {}),
            **(self.session.headers() if call.authenticated else {}),
            **call.headers,
        }
        return Request(call.method, call.path, every, call.body, timeout)

    def _once(self, call: Call, until: float) -> Steps[Response]:
        timeout = max(0.001, min(self.policy.attempt_s, until - self.clock()))
        try:
            response: Response = yield Send(self.request(call, timeout))
        except TransportError as lost:
            raise error_of_transport(lost) from lost
        if not 200 <= response.status < 300:
            raise error_of(response)
        return response

    def _renewed(self, token: str | None, until: float, attempts: Attempts) -> Steps[bool]:
        """Log in again, unless another call of this client has done so meanwhile. False: there are no credentials."""
        if self.session.token != token:
            return attempts.number <= LOGINS_PER_CALL
        if self.session.ask is None or attempts.number > LOGINS_PER_CALL:
            return False
        yield self._alone(token, until)
        return True

    def _alone(self, token: str | None, until: float) -> Alone:
        return Alone(self._log_in_instead_of(token, until), max(0.0, until - self.clock()))

    def _log_in_instead_of(self, token: str | None, until: float) -> Steps[None]:
        if self.session.token == token:
            yield from self.log_in(until, by_itself=True)

    def log_in(self, until: float, *, by_itself: bool = False) -> Steps[str]:
        """Get a token. `by_itself`: no caller asked for it, so credentials that were refused are not sent again soon.

        Raises:
            TarantKVError: the login failed.
        """
        session = self.session
        if session.ask is None:
            raise UnauthorizedError("there is neither a token nor a user name and a password")
        username, password = known = session.ask()
        refused = session.refused
        if by_itself and refused is not None and refused.credentials == known and self.clock() < refused.until:
            raise UnauthorizedError(refused.why, status=401)
        body = document({"username": username, "password": password})
        try:
            answer = yield from self.document(Call("/api/login", body, authenticated=False), until)
        except UnauthorizedError as error:
            session.refused = Refused(known, error.detail, self.clock() + REFUSED_S)
            raise
        token = answer.get("token")
        if not isinstance(token, str):
            raise InternalError("the answer to a login has no token")
        session.token, session.refused = token, None
        return token


def may_repeat(error: TarantKVError, call: Call) -> bool:
    """Whether a call that failed like this can be sent again, and may then succeed."""
    if not call.patient:
        return False
    if isinstance(error, (UnavailableError, TooManyLoginsError)):
        return True
    return isinstance(error, OutcomeUnknownError) and (not call.changes or IDEMPOTENCY_KEY in call.headers)


def error_of_transport(lost: TransportError) -> TarantKVError:
    """The error for a request without an answer."""
    return ConnectionLostError(str(lost)) if lost.sent else UnreachableError(str(lost))
