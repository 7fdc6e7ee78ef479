"""The OpenAPI document's problems: the responses for errors, with an example of each kind.

The kinds come from `api.http.problems`, so that none can be missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from api.http.problems import MEDIA_TYPE, Kind
from api.ops.openapi_schemas import Document

_EXAMPLES: dict[Kind, Document] = {
    Kind.MALFORMED_BODY: {"detail": "the body is not JSON: JSON is malformed: invalid character (byte 8)"},
    Kind.INVALID_REQUEST: {"detail": "Expected `object`, got `array`, at `$.data`"},
    Kind.EMPTY_BATCH: {"detail": "'data' is empty", "errors": [{"pointer": "#/data", "detail": "'data' is empty"}]},
    Kind.INVALID_VALUE: {
        "detail": "the value of key 'key1' cannot be kept: an integer is outside [-2^63, 2^64)",
        "errors": [{"pointer": "#/data/key1", "detail": "an integer is outside [-2^63, 2^64)"}],
    },
    Kind.UNAUTHORIZED: {"detail": "the token has expired"},
    Kind.FORBIDDEN: {"detail": "the token lacks the scope 'write'"},
    Kind.DATABASE_REFUSED: {
        "detail": "1 of 2 keys failed; 'failed' tells what happened to each",
        "failed": {"key3": "not_applied"},
        "reasons": [{"shard": "s2", "code": "out_of_memory", "keys": 1, "detail": "not enough memory"}],
    },
    Kind.CONDITION_FAILED: {
        "detail": "1 of 2 keys failed; 'failed' tells what happened to each",
        "failed": {"key2": "condition_failed"},
        "current": {"key2": {"version": "6b1"}},
        "versions": {"key1": "6b2"},
        "reasons": [{"shard": "s2", "code": "condition_failed", "keys": 1}],
    },
    Kind.KEY_NOT_FOUND: {"detail": "the key 'key4' is not there"},
    Kind.PRECONDITION_FAILED: {
        "detail": "the precondition does not hold: the key has version 6b1",
        "failed": {"key1": "condition_failed"},
        "current": {"key1": {"version": "6b1"}},
        "reasons": [{"shard": "s2", "code": "condition_failed", "keys": 1}],
    },
    Kind.OVERLOADED: {"detail": "shard s1 has reached its limit of chunks and bytes; nothing was applied"},
    Kind.SHARD_UNAVAILABLE: {
        "detail": "1 of 2 keys failed; 'failed' tells what happened to each",
        "failed": {"key3": "not_applied"},
        "reasons": [{"shard": "s2", "code": "unreachable", "keys": 1, "detail": "shard s2: connection refused"}],
    },
    Kind.DEADLINE_PASSED: {
        "detail": "1 of 2 keys failed; 'failed' tells what happened to each",
        "failed": {"key3": "not_applied"},
        "reasons": [{"shard": "s2", "code": "deadline_passed", "keys": 1, "detail": "the deadline has passed"}],
    },
    Kind.OUTCOME_UNKNOWN: {
        "detail": "1 of 2 keys failed; 'failed' tells what happened to each",
        "failed": {"key3": "unknown"},
        "reasons": [{"shard": "s2", "code": "no_answer", "keys": 1, "detail": "no answer before the deadline"}],
    },
}


def _problem_example(kind: Kind) -> Document:
    return {
        "type": kind.urn,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "request_id": "5f0c2a9be1d4-2a",
        **_EXAMPLES.get(kind, {}),
    }


def problems(kinds: Sequence[Kind]) -> Document:
    """One response for each status among `kinds`, with an example for each kind."""
    responses: Document = {}
    for status in sorted({kind.status for kind in kinds}):
        same = [kind for kind in kinds if kind.status == status]
        headers: Document = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
        if status in (429, 503):
            headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
        if status == 401:
            headers["WWW-Authenticate"] = {"schema": {"type": "string"}, "description": "The challenge of RFC 6750."}
        responses[str(status)] = {
            "description": "; ".join(kind.title for kind in same) + ".",
            "headers": headers,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {str(kind.value[0]): {"value": _problem_example(kind)} for kind in same},
                }
            },
        }
    return responses
