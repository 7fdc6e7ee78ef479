"""Every error of the API as a problem document (RFC 9457).

`type` is a URN that names the kind of problem and never changes; `status` and `title` follow from it. `detail` is for
people. Further members depend on the kind: `errors` points at what is wrong in the body, `failed` names keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import orjson

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:tarant-kv:problem:"


class Kind(Enum):
    """The kinds of problems: name in the `type` URN, status, title."""

    MALFORMED_BODY = ("malformed-body", 400, "The body is not a valid document")
    INVALID_REQUEST = ("invalid-request", 400, "The body does not have the expected form")
    EMPTY_BATCH = ("empty-batch", 400, "The batch is empty")
    TOO_MANY_KEYS = ("too-many-keys", 400, "The batch has too many keys")
    INVALID_KEY = ("invalid-key", 400, "A key cannot be stored")
    INVALID_VALUE = ("invalid-value", 400, "A value cannot be stored unchanged")
    INVALID_HEADER = ("invalid-header", 400, "A header is not valid")
    UNAUTHORIZED = ("unauthorized", 401, "Valid credentials are needed")
    FORBIDDEN = ("forbidden", 403, "The token lacks a scope")
    NOT_FOUND = ("not-found", 404, "There is nothing at this path")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "The method is not allowed here")
    NOT_ACCEPTABLE = ("not-acceptable", 406, "A value cannot be written in the accepted format")
    BODY_TIMEOUT = ("body-timeout", 408, "The body did not arrive in time")
    BODY_TOO_LARGE = ("body-too-large", 413, "The body is too large")
    ANSWER_TOO_LARGE = ("answer-too-large", 413, "The answer would be too large")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body's media type is not supported")
    IDEMPOTENCY_KEY_REUSED = ("idempotency-key-reused", 422, "The Idempotency-Key belongs to another request")
    TOO_MANY_LOGINS = ("too-many-logins", 429, "Too many failed logins")
    DATABASE_REFUSED = ("database-refused", 500, "The database refused the operation")
    INTERNAL = ("internal-error", 500, "An internal error")
    OVERLOADED = ("overloaded", 503, "Too much is under way")
    DEADLINE_PASSED = ("deadline-passed", 503, "The deadline passed before the shard had the request")
    SHARD_UNAVAILABLE = ("shard-unavailable", 503, "A shard is out of reach")
    NOT_READY = ("not-ready", 503, "The api is not ready")
    OUTCOME_UNKNOWN = ("outcome-unknown", 504, "The outcome is unknown")

    @property
    def urn(self) -> str:
        """The `type` member."""
        return TYPE_PREFIX + str(self.value[0])

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.value[1])

    @property
    def title(self) -> str:
        """The `title` member."""
        return str(self.value[2])


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
        # Keys and texts of a client may hold what UTF-8 cannot; a problem document must never fail on it.
        return orjson.dumps(document, default=str)


def pointer(*path: str | int) -> str:
    """A JSON Pointer (RFC 6901) to a place in the request's body, as a URI fragment."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def at(kind: Kind, detail: str, *path: str | int) -> Problem:
    """A problem with one place in the body."""
    return Problem(kind, detail, members={"errors": [{"pointer": pointer(*path), "detail": detail}]})


def retry_later(kind: Kind, detail: str, *, after_s: int = 1, members: Mapping[str, Any] | None = None) -> Problem:
    """A problem that passes: nothing was applied, and the client may try again after `after_s` seconds."""
    return Problem(kind, detail, members=members, headers={"Retry-After": str(after_s)})
