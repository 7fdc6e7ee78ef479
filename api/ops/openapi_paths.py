"""The OpenAPI document's paths: every operation, its parameters and body, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.http.problems import Kind
from api.ops.openapi_keys import key_path
from api.ops.openapi_problems import problems
from api.ops.openapi_scans import scan_paths
from api.ops.openapi_schemas import Document
from api.ops.openapi_status import status_path
from api.ops.openapi_users import user_paths
from protocol.settings import BatchSettings

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
_CONDITIONAL = (*_CHANGE, Kind.CONDITION_FAILED)

_IDEMPOTENCY: Document = {"$ref": "#/components/parameters/Idempotency-Key"}


def paths(limits: BatchSettings) -> Document:
    """Every path with its operations, with the configured limits."""
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "/api/login": _post(
            "login",
            "Get a token for a user name and a password",
            body=_both("LoginRequest", plain={"username": "alice", "password": "correct horse battery staple"}),
            answer=_both("Token", plain={"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.signature"}),
            kinds=(*_EVERY, Kind.UNAUTHORIZED, Kind.TOO_MANY_LOGINS, Kind.NOT_READY),
            security=[],
        ),
        "/api/logout": _post(
            "logout",
            "Revoke the token that the request carries",
            body=None,
            answer=_both("Success", plain={"status": "success"}),
            kinds=_WITH_TOKEN,
        ),
        "/api/write": _post(
            "write",
            "Store a batch of key-value pairs",
            body=_both(
                "WriteRequest",
                plain={"data": {"key1": "value1", "key2": {"nested": [1, 1.0, None]}, "key3": 1}},
                expiring={
                    "data": {"session": {"user": 7}, "flag": True, "key1": "value2"},
                    "ttl": 3600,
                    "options": {"flag": {"ttl": None}, "key1": {"ttl": "keep"}},
                },
                conditional={
                    "data": {"key2": 2, "key5": "new"},
                    "options": {"key2": {"if": {"version": "6a1"}}, "key5": {"if": "absent"}},
                    "return": ["version"],
                },
            ),
            answer=_both(
                "Written", plain={"status": "success"}, versions={"status": "success", "versions": {"a": "6b2"}}
            ),
            kinds=(*_CONDITIONAL, Kind.INVALID_VALUE),
            parameters=[_IDEMPOTENCY],
        ),
        "/api/read": _post(
            "read",
            "Read a batch of keys",
            body=_both(
                "ReadRequest",
                plain={"keys": ["key1", "key4"]},
                more={"keys": ["key1", "session"], "with": ["version", "expires_at"], "partial": True},
            ),
            answer=_both(
                "Values",
                plain={"data": {"key1": "value1"}, "not_found": ["key4"]},
                more={
                    "data": {"key1": "value1"},
                    "meta": {"key1": {"version": "6a1"}},
                    "failed": {"session": "not_read"},
                    "status": "partial",
                    "reasons": [{"shard": "s2", "code": "unreachable", "keys": 1, "detail": "connection refused"}],
                },
            ),
            kinds=(*_BATCH, Kind.NOT_ACCEPTABLE, Kind.ANSWER_TOO_LARGE),
            links={
                "delete": _link("delete", "$request.body#/keys", "Delete what was read."),
                "write": {
                    "operationId": "write",
                    "requestBody": {"data": "$response.body#/data"},
                    "description": "Write back what was read, if any key was found.",
                },
            },
        ),
        "/api/delete": _post(
            "delete",
            "Delete a batch of keys",
            body=_both(
                "DeleteRequest",
                plain={"keys": ["key1", "key4"]},
                conditional={"keys": ["key2"], "options": {"key2": {"if": {"version": "6b2"}}}},
            ),
            answer=_both("Deleted", plain={"status": "success", "deleted": 1}),
            kinds=_CONDITIONAL,
            links={"read": _link("read", "$request.body#/keys", "None of the keys is found any more.")},
            parameters=[_IDEMPOTENCY],
        ),
        "/api/touch": _post(
            "touch",
            "Give keys another expiry",
            body=_both(
                "TouchRequest", plain={"keys": ["session", "key4"], "ttl": 3600}, never={"keys": ["key1"], "ttl": None}
            ),
            answer=_both("Touched", plain={"status": "success", "touched": 1, "not_found": ["key4"]}),
            kinds=_CHANGE,
            parameters=[_IDEMPOTENCY],
        ),
        "/api/increment": _post(
            "increment",
            "Add to the counters of a batch of keys",
            body=_both(
                "IncrementRequest",
                plain={"data": {"hits": 1}},
                bounded={
                    "data": {"hits": 1, "stock": -3},
                    "ttl": 86400,
                    "options": {"stock": {"ttl": None, "min": 0, "max": 99, "initial": 10}},
                },
            ),
            answer=_both("Counters", plain={"data": {"hits": 17, "stock": 7}}),
            kinds=_CONDITIONAL,
            parameters=[_IDEMPOTENCY],
        ),
        **key_path(_WITH_TOKEN, limits),
        **scan_paths(_WITH_TOKEN),
        **status_path(_WITH_TOKEN),
        **user_paths(_WITH_TOKEN),
        "/health/live": _get(
            "live",
            "Whether the process runs",
            {"200": {"description": "It runs.", "content": _json("Live", {"status": "live", "version": "1.0.0"})}},
        ),
        "/health/ready": _get(
            "ready",
            "Whether the process should get requests, and which shards do not answer",
            {
                "200": {
                    "description": "It should get requests. This is so even if some shards are down.",
                    "content": _json(
                        "Ready",
                        {
                            "status": "ready",
                            "shards": ["s1", "s2"],
                            "shards_down": ["s2"],
                            "lanes": 2,
                            "lanes_down": 0,
                        },
                    ),
                },
                **problems([Kind.NOT_READY]),
            },
        ),
        "/metrics": _get("metrics", "Metrics for Prometheus", {"200": {"description": "The metrics.", **text}}),
    }


def _both(schema: str, **examples: Document) -> Document:
    """Content in JSON and in MessagePack; the examples, by name, show the same documents for both."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    first, *others = examples.values()
    shown = {"examples": {name: {"value": value} for name, value in examples.items()}} if others else {"example": first}
    return {
        "application/json": {"schema": reference, **shown},
        "application/msgpack": {"schema": reference},
    }


def _json(schema: str, example: Document) -> Document:
    """Content in JSON only."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}


def _post(
    operation_id: str,
    summary: str,
    *,
    body: Document | None,
    answer: Document,
    kinds: Sequence[Kind],
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
        "responses": {"200": done, **problems(kinds)},
        **rest,
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/X-Request-Id"})
    return {"post": operation}


def _link(operation_id: str, keys: str, description: str) -> Document:
    """A link to an operation that may follow this one, with the same keys."""
    return {"operationId": operation_id, "requestBody": {"keys": keys}, "description": description}


def _get(operation_id: str, summary: str, responses: Document) -> Document:
    return {"get": {"operationId": operation_id, "summary": summary, "security": [], "responses": responses}}
