"""Every error of the API as a problem document (RFC 9457).

`type` is a URN that names the kind of problem and never changes; `status` and `title` follow from it. `detail` is for
people. Further members depend on the kind: `errors` points at the faulty places in the body, `failed` names keys.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import quote

import orjson

from api.overload.errors import OverloadedError
from api.queue.errors import ShardsSilentError, StoreCallError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:tarant-kv:problem:"


class Kind(Enum):
    """The kinds of problems: name in the `type` URN, HTTP status, title."""

    MALFORMED_BODY = ("malformed-body", 400, "The body is not a valid document")
    INVALID_REQUEST = ("invalid-request", 400, "The body does not have the expected form")
    EMPTY_BATCH = ("empty-batch", 400, "The batch is empty")
    TOO_MANY_KEYS = ("too-many-keys", 400, "The batch has too many keys")
    INVALID_KEY = ("invalid-key", 400, "A key cannot be stored")
    INVALID_VALUE = ("invalid-value", 400, "A value cannot be stored unchanged")
    MALFORMED_REQUEST = ("malformed-request", 400, "The request is not valid HTTP")
    INVALID_HEADER = ("invalid-header", 400, "A header is not valid")
    UNAUTHORIZED = ("unauthorized", 401, "Valid credentials are needed")
    FORBIDDEN = ("forbidden", 403, "The token lacks a scope")
    FOREIGN_ORIGIN = ("foreign-origin", 403, "Only the console's own page may ask for this")
    NOT_FOUND = ("not-found", 404, "There is nothing at this path")
    KEY_NOT_FOUND = ("key-not-found", 404, "There is no such key")
    USER_NOT_FOUND = ("user-not-found", 404, "There is no such user")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "The method is not allowed here")
    NOT_ACCEPTABLE = ("not-acceptable", 406, "A value cannot be written in the accepted format")
    HEAD_TIMEOUT = ("head-timeout", 408, "The head did not arrive in time")
    BODY_TIMEOUT = ("body-timeout", 408, "The body did not arrive in time")
    CONDITION_FAILED = ("condition-failed", 409, "A condition did not hold")
    USER_EXISTS = ("user-exists", 409, "The user exists already")
    USER_CHANGED = ("user-changed", 409, "Somebody else changed the user at the same time")
    LAST_ADMINISTRATOR = ("last-administrator", 409, "No user with the scope admin would be left")
    PRECONDITION_FAILED = ("precondition-failed", 412, "A precondition did not hold")
    BODY_TOO_LARGE = ("body-too-large", 413, "The body is too large")
    ANSWER_TOO_LARGE = ("answer-too-large", 413, "The answer would be too large")
    TARGET_TOO_LONG = ("target-too-long", 414, "The request line is too long")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body's media type is not supported")
    UNSUPPORTED_CODING = ("unsupported-content-coding", 415, "The body's content coding is not supported")
    EXPECTATION_FAILED = ("expectation-failed", 417, "The expectation cannot be met")
    IDEMPOTENCY_KEY_REUSED = ("idempotency-key-reused", 422, "The Idempotency-Key belongs to another request")
    TOO_MANY_LOGINS = ("too-many-logins", 429, "Too many failed logins")
    HEAD_TOO_LARGE = ("head-too-large", 431, "The head is too large")
    DATABASE_REFUSED = ("database-refused", 500, "The database refused the operation")
    INTERNAL = ("internal-error", 500, "An internal error")
    NOT_IMPLEMENTED = ("not-implemented", 501, "The server does not support this")
    OVERLOADED = ("overloaded", 503, "The system is overloaded")
    DEADLINE_PASSED = ("deadline-passed", 503, "The deadline passed before the shard had the request")
    SHARD_UNAVAILABLE = ("shard-unavailable", 503, "A shard is out of reach")
    NOT_READY = ("not-ready", 503, "The api is not ready")
    OUTCOME_UNKNOWN = ("outcome-unknown", 504, "The outcome is unknown")
    VERSION_NOT_SUPPORTED = ("version-not-supported", 505, "The version of HTTP is not supported")

    def __init__(self, name: str, status: int, title: str) -> None:
        self.urn = TYPE_PREFIX + name
        self.status = status
        self.title = title


class Problem(Exception):  # noqa: N818 - the field calls it a problem, not an error
    """An answer that is a problem document; `members` are its further members, `headers` go beside it."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    def body(self, request_id: str) -> bytes:
        """The problem document."""
        document = {
            "type": self.kind.urn,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.members,
        }
        # Keys and texts of a client may hold characters that UTF-8 cannot encode; a problem document must never fail on
        # them.
        return orjson.dumps(document, default=str)


def pointer(*path: str | int) -> str:
    """A JSON Pointer (RFC 6901, section 6) to a place in the request's body, as a URI fragment."""
    parts = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    # All characters that a fragment may have (RFC 3986, section 3.5) remain.
    return "#" + quote(parts, safe="/!$&'()*+,;=:@?", errors="surrogatepass")


def at(kind: Kind, detail: str, *path: str | int) -> Problem:
    """A problem that points at one place in the body."""
    return Problem(kind, detail, members={"errors": [{"pointer": pointer(*path), "detail": detail}]})


def retry_later(kind: Kind, detail: str, *, after_s: int = 1, members: Mapping[str, Any] | None = None) -> Problem:
    """A problem that is temporary: nothing was applied, and the client may try again.

    `Retry-After` is a random number from `after_s` to three times that, so that clients that were rejected together do
    not return together.
    """
    wait_s = random.randint(after_s, 3 * after_s)  # noqa: S311 - jitter is no secret
    return Problem(kind, detail, members=members, headers={"Retry-After": str(wait_s)})


def problem_of(error: Exception) -> Problem | None:
    """The table that turns the errors of the rooms below into problems. None: the error is unexpected."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OverloadedError):
        return retry_later(Kind.OVERLOADED, str(error))
    if isinstance(error, (StoreCallError, ShardsSilentError)):
        return retry_later(Kind.SHARD_UNAVAILABLE, str(error))
    return None
