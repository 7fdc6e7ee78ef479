"""Every error of the client: one base class, a class for each kind of problem document, and errors of connections.

An error says what happened to each key. `failed` has the outcome of each key that failed: `not_applied` (the change was
not made and will not be), `unknown` (it was made, or may still be within seconds), `not_read`, or one of
`condition_failed`, `not_a_number` and `out_of_range`. `applied` has the keys whose change was applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

TYPE_PREFIX = "urn:tarant-kv:problem:"

NOT_APPLIED = "not_applied"
UNKNOWN = "unknown"
NOT_READ = "not_read"

LOGIN_LASTS = "another call of this client has not ended its login in time"


class TarantKVError(Exception):
    """The base class of all errors that the client raises; the text is for people.

    `status` is the HTTP status, None if there was no answer. `problem` is the problem document as received, `{}` if
    there was none. `retry_after` is in seconds, None if the server sent none.
    """

    def __init__(
        self,
        detail: str = "",
        *,
        problem: Mapping[str, Any] | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        failed: Mapping[str, str] | None = None,
        applied: Iterable[str] = (),
    ) -> None:
        # One argument only: `pickle` and `copy` create an error again from it, and then restore the attributes.
        super().__init__(detail)
        self.detail = detail
        self.problem: dict[str, Any] = dict(problem or {})
        self.status = status
        self.retry_after = retry_after
        self.failed: dict[str, str] = dict(failed if failed is not None else self.problem.get("failed") or {})
        self.applied: list[str] = list(applied)

    @property
    def request_id(self) -> str | None:
        """The id by which the server's log names the request."""
        found = self.problem.get("request_id")
        return found if isinstance(found, str) else None

    @property
    def kind(self) -> str | None:
        """The problem's type without its prefix, as `shard-unavailable`; None if there was no problem document."""
        found = self.problem.get("type")
        return found.removeprefix(TYPE_PREFIX) if isinstance(found, str) else None

    def __str__(self) -> str:
        place = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.detail}{place}"


class RequestError(TarantKVError):
    """The server does not accept the request, and nothing of it was done: sending it again does not help."""

    @property
    def errors(self) -> list[dict[str, str]]:
        """Places in the request, each with `pointer` and `detail`."""
        return list(self.problem.get("errors") or ())


class InvalidRequestError(RequestError, ValueError):
    """The request is malformed or breaks a rule."""


class InvalidKeyError(InvalidRequestError):
    """A key cannot be stored."""


class InvalidValueError(InvalidRequestError):
    """A value cannot be stored unchanged."""


class TooLargeError(RequestError):
    """The batch, its body or its answer is larger than the server accepts."""


class NotFoundError(RequestError):
    """The path does not exist: the address is not that of an api, or the api is older than the client."""


class NotAcceptableError(RequestError):
    """JSON cannot express a value."""


class IdempotencyKeyReusedError(RequestError):
    """The `Idempotency-Key` belongs to another request."""


class ConflictError(RequestError):
    """Users: the name is taken, another administrator changed the user at the same time, or none would be left."""


class NotAllowedError(RequestError):
    """The user may not do this."""


class UnauthorizedError(NotAllowedError):
    """The token is missing or not valid, or the user name or password is wrong."""


class ForbiddenError(NotAllowedError):
    """The token lacks the scope."""


class TooManyLoginsError(NotAllowedError):
    """Too many logins failed; `retry_after` is the time until another attempt is accepted."""


class ConditionFailedError(TarantKVError):
    """A condition failed, or a stored value is not a counter. All keys that `failed` does not name were applied."""

    @property
    def current(self) -> dict[str, dict[str, str]]:
        """Why conditions failed: by key, the `version` that it has, `{}` if the key is absent."""
        return dict(self.problem.get("current") or {})

    @property
    def versions(self) -> dict[str, str]:
        """For a write that asked for them: the new versions of the keys that were written."""
        return dict(self.problem.get("versions") or {})

    @property
    def data(self) -> dict[str, int]:
        """For an increment: the results of the counters that were changed."""
        return dict(self.problem.get("data") or {})


class ServerError(TarantKVError):
    """The server could not carry out the request."""


class DatabaseRefusedError(ServerError):
    """The database refused, for example because it is out of memory; the keys that `failed` names were not changed."""


class InternalError(ServerError):
    """An unexpected error of the server, or an answer that is not one of this api."""


class UnavailableError(ServerError):
    """Temporary: overload, or a shard out of reach. Nothing was applied to the keys that `failed` names."""


class OverloadedError(UnavailableError):
    """The system is overloaded."""


class DeadlinePassedError(UnavailableError):
    """The deadline passed before the shard got the request."""


class ShardUnavailableError(UnavailableError):
    """A shard is out of reach."""


class UnreachableError(UnavailableError):
    """The api cannot be connected to; nothing was sent."""


class OutcomeUnknownError(ServerError):
    """It is unknown whether the change of the keys was applied that `failed` marks `unknown`."""


class ConnectionLostError(OutcomeUnknownError):
    """The connection broke, or was silent for too long, after the request was sent."""


class ExportBrokenError(ServerError):
    """An export broke off and could not be resumed. `items` were returned; continue with `cursor` (None: from the
    start).

    Items after the cursor may have been returned before the break: `last_key` is the last of them.
    """

    def __init__(
        self, detail: str = "", *, cursor: str | None = None, items: int = 0, last_key: str | None = None
    ) -> None:
        super().__init__(detail)
        self.cursor = cursor
        self.items = items
        self.last_key = last_key


class ClosedError(TarantKVError):
    """The client was closed."""


CLASSES: dict[str, type[TarantKVError]] = {
    "malformed-body": InvalidRequestError,
    "invalid-request": InvalidRequestError,
    "empty-batch": InvalidRequestError,
    "malformed-request": InvalidRequestError,
    "invalid-header": InvalidRequestError,
    "invalid-key": InvalidKeyError,
    "invalid-value": InvalidValueError,
    "too-many-keys": TooLargeError,
    "body-too-large": TooLargeError,
    "answer-too-large": TooLargeError,
    "not-found": NotFoundError,
    "key-not-found": NotFoundError,
    "user-not-found": NotFoundError,
    "user-exists": ConflictError,
    "user-changed": ConflictError,
    "last-administrator": ConflictError,
    "method-not-allowed": NotFoundError,
    "not-acceptable": NotAcceptableError,
    "idempotency-key-reused": IdempotencyKeyReusedError,
    "unauthorized": UnauthorizedError,
    "forbidden": ForbiddenError,
    "foreign-origin": ForbiddenError,
    "too-many-logins": TooManyLoginsError,
    "condition-failed": ConditionFailedError,
    "precondition-failed": ConditionFailedError,
    "database-refused": DatabaseRefusedError,
    "internal-error": InternalError,
    "head-timeout": UnavailableError,
    "body-timeout": UnavailableError,
    "not-ready": UnavailableError,
    "overloaded": OverloadedError,
    "deadline-passed": DeadlinePassedError,
    "shard-unavailable": ShardUnavailableError,
    "outcome-unknown": OutcomeUnknownError,
}
"""The class of each type of problem."""

_CLASSES_BY_STATUS: dict[int, type[TarantKVError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    413: TooLargeError,
    # The answers of a proxy if the api did not answer it.
    502: OutcomeUnknownError,
    503: UnavailableError,
    504: OutcomeUnknownError,
}


def class_of(kind: str | None, status: int) -> type[TarantKVError]:
    """The class of an answer: by its problem type, otherwise by its status."""
    if kind in CLASSES:
        return CLASSES[kind]
    return _CLASSES_BY_STATUS.get(status, InternalError if status >= 500 else RequestError)
