"""The OpenAPI document's paths: every call, what it takes, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.http.problems import Kind
from api.ops.openapi_problems import problems
from api.ops.openapi_schemas import Document

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


def paths() -> Document:
    """Every path with its operations."""
    idempotency: Document = {"parameters": [{"$ref": "#/components/parameters/Idempotency-Key"}]}
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "/api/login": _post(
            "login",
            "Exchange a name and a password for a token",
            body=_both("LoginRequest", {"username": "alice", "password": "correct horse battery staple"}),
            answer=_both("Token", {"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.signature"}),
            kinds=(*_EVERY, Kind.UNAUTHORIZED, Kind.TOO_MANY_LOGINS, Kind.NOT_READY),
            security=[],
        ),
        "/api/logout": _post(
            "logout",
            "Revoke the token that the request carries",
            body=None,
            answer=_both("Success", {"status": "success"}),
            kinds=_WITH_TOKEN,
        ),
        "/api/write": _post(
            "write",
            "Store a batch of key-value pairs",
            body=_both("WriteRequest", {"data": {"key1": "value1", "key2": {"nested": [1, 1.0, None]}, "key3": 1}}),
            answer=_both("Success", {"status": "success"}),
            kinds=(*_CHANGE, Kind.INVALID_VALUE),
            **idempotency,
        ),
        "/api/read": _post(
            "read",
            "Read a batch of keys",
            body=_both("KeysRequest", {"keys": ["key1", "key4"]}),
            answer=_both("Values", {"data": {"key1": "value1"}, "not_found": ["key4"]}),
            kinds=(*_BATCH, Kind.NOT_ACCEPTABLE, Kind.ANSWER_TOO_LARGE),
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
            kinds=_CHANGE,
            links={"read": _link("read", "$request.body#/keys", "None of the keys is found any more.")},
            parameters=[{"$ref": "#/components/parameters/Idempotency-Key"}],
        ),
        "/health/live": _get(
            "live",
            "Whether the process serves requests",
            {"200": {"description": "It does.", "content": _json("Live", {"status": "live", "version": "1.0.0"})}},
        ),
        "/health/ready": _get(
            "ready",
            "Whether the process should be sent requests, and which shards do not answer",
            {
                "200": {
                    "description": "It should, also while some shards are down.",
                    "content": _json("Ready", {"status": "ready", "shards": ["s1", "s2"], "shards_down": ["s2"]}),
                },
                **problems([Kind.NOT_READY]),
            },
        ),
        "/metrics": _get("metrics", "Counters for Prometheus", {"200": {"description": "Counters.", **text}}),
    }


def _both(schema: str, example: Document) -> Document:
    """Content in JSON and in MessagePack; the example shows the same document for both."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "application/json": {"schema": reference, "example": example},
        "application/msgpack": {"schema": reference},
    }


def _json(schema: str, example: Document) -> Document:
    """Content in JSON alone."""
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
    """A call that makes sense after this one, with the same keys."""
    return {"operationId": operation_id, "requestBody": {"keys": keys}, "description": description}


def _get(operation_id: str, summary: str, responses: Document) -> Document:
    return {"get": {"operationId": operation_id, "summary": summary, "security": [], "responses": responses}}
