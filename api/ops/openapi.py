"""The OpenAPI document: every request, answer and error of the API, each with an example.

It is written out here because Litestar derives its documents from the usual handlers, which the routes of the API are
not (see `api.http.endpoint`). The kinds of problems come from `api.http.problems`, so that none can be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.batch.values import MAX_DEPTH
from api.http.problems import MEDIA_TYPE, Kind
from protocol.settings import BatchSettings
from protocol.version import VERSION

Document = dict[str, Any]

_ANY_VALUE = (
    "Any JSON value. Integers from -2^63 to 2^64-1; numbers with a fraction or an exponent are IEEE 754 doubles; up to "
    f"{MAX_DEPTH} levels of nesting."
)
_KEPT_VALUE = (
    f"{_ANY_VALUE} A whole number past the integers is taken where it has an exponent (`1e30`), which JSON Schema "
    "cannot tell from its digits."
)
_FAILED = {
    "type": "object",
    "description": "What happened to each key that failed: of a read `not_read`. Keys that are not named succeeded.",
    "additionalProperties": {"type": "string", "enum": ["not_applied", "unknown", "not_read"]},
}
_DESCRIPTION = """
A batch key-value store over a sharded Tarantool cluster.

* An acknowledged write is stored: applied on its shard and in its write-ahead log.
* Operations on one key are linearizable. A batch is not atomic: its keys on different shards succeed or fail on their
  own, and the answer names those that failed.
* Nothing is applied after a request's deadline. A `504` says that the outcome is unknown.
* Send an `Idempotency-Key` with writes and deletes to repeat them safely.
* Bodies are JSON or MessagePack (`Content-Type`), answers too (`Accept`). Errors are problem documents (RFC 9457).
"""

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
    Kind.OVERLOADED: {"detail": "shard s1 has as much under way as is allowed; nothing was applied"},
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

_EVERY = (
    Kind.MALFORMED_BODY,
    Kind.INVALID_REQUEST,
    Kind.BODY_TIMEOUT,
    Kind.BODY_TOO_LARGE,
    Kind.UNSUPPORTED_MEDIA_TYPE,
    Kind.UNSUPPORTED_CODING,
    Kind.MALFORMED_REQUEST,
    Kind.INVALID_HEADER,
    Kind.INTERNAL,
    Kind.OVERLOADED,
    Kind.DEADLINE_PASSED,
    Kind.SHARD_UNAVAILABLE,
)
_WITH_TOKEN = (*_EVERY, Kind.UNAUTHORIZED)
_BATCH = (
    *_WITH_TOKEN,
    Kind.EMPTY_BATCH,
    Kind.TOO_MANY_KEYS,
    Kind.INVALID_KEY,
    Kind.FORBIDDEN,
    Kind.DATABASE_REFUSED,
    Kind.OUTCOME_UNKNOWN,
)
_CHANGE = (*_BATCH, Kind.IDEMPOTENCY_KEY_REUSED)


def _problem_example(kind: Kind) -> Document:
    return {
        "type": kind.urn,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "request_id": "5f0c2a9be1d4-2a",
        **_EXAMPLES.get(kind, {}),
    }


def _problems(kinds: Sequence[Kind]) -> Document:
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


def _both(schema: str, example: Document) -> Document:
    """Content in JSON and in MessagePack; the example shows the same document for both."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "application/json": {"schema": reference, "example": example},
        "application/msgpack": {"schema": reference},
    }


def _post(
    operation_id: str,
    summary: str,
    *,
    body: Document | None,
    answer: Document,
    problems: Sequence[Kind],
    links: Document | None = None,
    **rest: Any,
) -> Document:
    done: Document = {
        "description": "Done.",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": answer,
    }
    if links:
        done["links"] = links
    operation: Document = {
        "operationId": operation_id,
        "summary": summary,
        "responses": {"200": done, **_problems(problems)},
        **rest,
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/X-Request-Id"})
    return {"post": operation}


def _link(operation_id: str, keys: str, description: str) -> Document:
    """A call that makes sense after this one, with the same keys."""
    return {"operationId": operation_id, "requestBody": {"keys": keys}, "description": description}


def _get(operation_id: str, summary: str, responses: Document) -> Document:
    return {"get": {"operationId": operation_id, "summary": summary, "security": [], "responses": responses}}


def _kept_value() -> Document:
    """The schema of a value to write, with all of its limits that JSON Schema can express."""
    same = {"$ref": "#/components/schemas/KeptValue"}
    return {
        "description": _KEPT_VALUE,
        "anyOf": [
            {"type": ["null", "boolean", "string"]},
            {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
            {"type": "number", "not": {"type": "integer"}},
            {"type": "array", "items": same},
            {"type": "object", "additionalProperties": same},
        ],
    }


def _schemas(limits: BatchSettings) -> Document:
    key = {"type": "string", "minLength": 1, "maxLength": limits.max_key_bytes, "example": "key1"}
    keys = {"type": "array", "items": key, "minItems": 1, "description": "A key named twice counts once."}
    return {
        "LoginRequest": _object(
            {
                "username": {"type": "string", "minLength": 1},
                "password": {"type": "string", "minLength": 1, "maxLength": 1024},
            }
        ),
        "Token": _object({"token": {"type": "string", "description": "A JSON Web Token."}}),
        "WriteRequest": _object(
            {
                "data": {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": limits.max_batch_keys,
                    "propertyNames": {"minLength": 1, "maxLength": limits.max_key_bytes},
                    "additionalProperties": {"$ref": "#/components/schemas/KeptValue"},
                    "description": f"Keys have 1 to {limits.max_key_bytes} bytes of UTF-8, values up to "
                    f"{limits.max_value_bytes} bytes as MessagePack. Of a member that occurs twice the last counts.",
                }
            }
        ),
        "KeysRequest": _object({"keys": keys}),
        "Values": _object(
            {
                "data": {
                    "type": "object",
                    "additionalProperties": {"$ref": "#/components/schemas/Value"},
                },
                "not_found": {"type": "array", "items": key, "description": "Present if some keys are not there."},
            },
            required=["data"],
        ),
        "Success": _object({"status": {"type": "string", "enum": ["success"]}}),
        "Deleted": _object(
            {
                "status": {"type": "string", "enum": ["success"]},
                "deleted": {"type": "integer", "description": "How many of the keys were there."},
            }
        ),
        "Health": _object({"status": {"type": "string"}, "shards": {"type": "array", "items": {"type": "string"}}}, []),
        "Value": {"description": _ANY_VALUE},
        "KeptValue": _kept_value(),
        "Problem": {
            "type": "object",
            "description": "A problem document (RFC 9457).",
            "required": ["type", "title", "status", "detail", "request_id"],
            "properties": {
                "type": {"type": "string", "enum": sorted(kind.urn for kind in Kind)},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "request_id": {"type": "string"},
                "errors": {
                    "type": "array",
                    "items": _object({"pointer": {"type": "string"}, "detail": {"type": "string"}}),
                },
                "failed": _FAILED,
                "reasons": {
                    "type": "array",
                    "items": _object(
                        {
                            "shard": {"type": "string"},
                            "code": {"type": "string"},
                            "keys": {"type": "integer"},
                            "detail": {"type": "string"},
                        }
                    ),
                },
            },
        },
    }


def _object(properties: Document, required: Sequence[str] | None = None) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        "additionalProperties": False,
    }


def _paths() -> Document:
    idempotency: Document = {"parameters": [{"$ref": "#/components/parameters/Idempotency-Key"}]}
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    health = {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}
    return {
        "/api/login": _post(
            "login",
            "Exchange a name and a password for a token",
            body=_both("LoginRequest", {"username": "alice", "password": "correct horse battery staple"}),
            answer=_both("Token", {"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.signature"}),
            problems=(*_EVERY, Kind.UNAUTHORIZED, Kind.TOO_MANY_LOGINS, Kind.NOT_READY),
            security=[],
        ),
        "/api/logout": _post(
            "logout",
            "Revoke the token that the request carries",
            body=None,
            answer=_both("Success", {"status": "success"}),
            problems=_WITH_TOKEN,
        ),
        "/api/write": _post(
            "write",
            "Store a batch of key-value pairs",
            body=_both("WriteRequest", {"data": {"key1": "value1", "key2": {"nested": [1, 1.0, None]}, "key3": 1}}),
            answer=_both("Success", {"status": "success"}),
            problems=(*_CHANGE, Kind.INVALID_VALUE),
            **idempotency,
        ),
        "/api/read": _post(
            "read",
            "Read a batch of keys",
            body=_both("KeysRequest", {"keys": ["key1", "key4"]}),
            answer=_both("Values", {"data": {"key1": "value1"}, "not_found": ["key4"]}),
            problems=(*_BATCH, Kind.NOT_ACCEPTABLE, Kind.ANSWER_TOO_LARGE),
            links={
                "delete": _link("delete", "$request.body#/keys", "Delete what was read."),
                "write": {
                    "operationId": "write",
                    "requestBody": {"data": "$response.body#/data"},
                    "description": "Write back what was read, where anything was found.",
                },
            },
        ),
        "/api/delete": _post(
            "delete",
            "Delete a batch of keys",
            body=_both("KeysRequest", {"keys": ["key1", "key4"]}),
            answer=_both("Deleted", {"status": "success", "deleted": 1}),
            problems=_CHANGE,
            links={"read": _link("read", "$request.body#/keys", "None of the keys is found any more.")},
            parameters=[{"$ref": "#/components/parameters/Idempotency-Key"}],
        ),
        "/health/live": _get(
            "live", "Whether the process serves requests", {"200": {"description": "It does.", "content": health}}
        ),
        "/health/ready": _get(
            "ready",
            "Whether the process should be sent requests",
            {"200": {"description": "It should.", "content": health}, **_problems([Kind.NOT_READY])},
        ),
        "/metrics": _get("metrics", "Counters for Prometheus", {"200": {"description": "Counters.", **text}}),
    }


def build(limits: BatchSettings) -> Document:
    """The document, with the limits that are set."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "tarant-kv", "version": VERSION, "description": _DESCRIPTION.strip()},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"bare": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "bare": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "The token alone is taken too.",
                },
            },
            "parameters": {
                "Idempotency-Key": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[ -~]+$"},
                    "example": "order-4711",
                    "description": "Repeating a request with the same key and content gives the first outcome.",
                },
                "X-Request-Id": {
                    "name": "X-Request-Id",
                    "in": "header",
                    "schema": {"type": "string"},
                    "example": "5f0c2a9be1d4-2a",
                    "description": "Taken over into the answer and the log where it is 1 to 128 visible ASCII "
                    "characters; made otherwise.",
                },
            },
            "headers": {
                "X-Request-Id": {"schema": {"type": "string"}, "description": "Finds the request in the log."},
                "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before the next try."},
            },
            "schemas": _schemas(limits),
        },
    }
