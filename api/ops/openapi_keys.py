"""The OpenAPI document's path of one key: `/api/keys/{key}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.http.problems import Kind
from api.ops.openapi_options import EXPIRES_AT, TTL_OR_KEEP
from api.ops.openapi_problems import problems
from protocol.settings import BatchSettings

Document = dict[str, Any]

_REQUEST_ID: Document = {"$ref": "#/components/parameters/X-Request-Id"}
_IDEMPOTENCY: Document = {"$ref": "#/components/parameters/Idempotency-Key"}
_TAGS = r'^(\*|(W/)?"[!#-~]*"(, (W/)?"[!#-~]*")*)$'
_ETAG: Document = {
    "schema": {"type": "string"},
    "description": "The version of the key, in quotes. If the answer is MessagePack, `-msgpack` follows the version.",
}
_HEADERS: Document = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}


def key_path(kinds: Sequence[Kind], limits: BatchSettings) -> Document:
    """The path and its operations; `kinds` are the problems of every request with a token."""
    every = (*kinds, Kind.FORBIDDEN, Kind.INVALID_KEY, Kind.DATABASE_REFUSED, Kind.PRECONDITION_FAILED)
    change = (*every, Kind.OUTCOME_UNKNOWN, Kind.IDEMPOTENCY_KEY_REUSED)
    value: Document = {"application/json": {"schema": {"$ref": "#/components/schemas/Value"}, "example": "value1"}}
    value["application/msgpack"] = {"schema": {"$ref": "#/components/schemas/Value"}}
    kept: Document = {"schema": {"$ref": "#/components/schemas/KeptValue"}}
    return {
        "/api/keys/{key}": {
            "parameters": [_key(limits)],
            "get": {
                "operationId": "getKey",
                "summary": "Read one key",
                "description": "The body is the value. HEAD gets the same answer without the body.",
                "parameters": [
                    _header(
                        "If-None-Match",
                        "The tags of values that the client has. If the value has one of them, the answer is 304.",
                    ),
                    _header("If-Match", "The key must have one of these tags."),
                    _REQUEST_ID,
                ],
                "responses": {
                    "200": {
                        "description": "The value.",
                        "headers": {**_HEADERS, "ETag": _ETAG, "Vary": {"schema": {"type": "string"}}},
                        "content": value,
                    },
                    "304": {"description": "The client has the value already.", "headers": {"ETag": _ETAG}},
                    **problems([*every, Kind.KEY_NOT_FOUND, Kind.NOT_ACCEPTABLE, Kind.ANSWER_TOO_LARGE]),
                },
            },
            "put": {
                "operationId": "putKey",
                "summary": "Store one key",
                "parameters": [
                    _query(
                        "ttl",
                        TTL_OR_KEEP,
                        "Seconds until the key expires, or `keep`. Without it the key never expires.",
                    ),
                    _query(
                        "expires_at",
                        EXPIRES_AT,
                        "The Unix time in seconds at which the key expires; not together with `ttl`.",
                    ),
                    _header("If-Match", "The key must have one of these tags; `*`: the key must exist.", 8),
                    _header("If-None-Match", "`*`: the key must be absent.", pattern=r"^\*$"),
                    _IDEMPOTENCY,
                    _REQUEST_ID,
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {**kept, "example": "value1"}, "application/msgpack": kept},
                },
                "responses": {
                    "200": _stored("Stored."),
                    "201": _stored("Stored. The key was absent, as `If-None-Match: *` demands."),
                    **problems([*change, Kind.INVALID_VALUE]),
                },
            },
            "delete": {
                "operationId": "deleteKey",
                "summary": "Remove one key",
                "parameters": [
                    _header("If-Match", "The key must have one of these tags.", 8),
                    _header("If-None-Match", "`*`: the key must be absent.", pattern=r"^\*$"),
                    _IDEMPOTENCY,
                    _REQUEST_ID,
                ],
                "responses": {
                    "200": {
                        "description": "Removed.",
                        "headers": _HEADERS,
                        "content": _both("Deleted", {"status": "success", "deleted": 1}),
                    },
                    **problems([*change, Kind.KEY_NOT_FOUND]),
                },
            },
        }
    }


def _key(limits: BatchSettings) -> Document:
    return {
        "name": "key",
        "in": "path",
        "required": True,
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": limits.max_key_bytes,
            # Clients and proxies would resolve these two as parts of a path.
            "not": {"enum": [".", ".."]},
        },
        "example": "key1",
        "description": "The key's UTF-8 bytes. All but letters, digits, `-`, `.`, `_` and `~` are percent-encoded.",
    }


def _header(name: str, description: str, most: int = 200, pattern: str = _TAGS) -> Document:
    text = f"{description} At most {most} tags." if most < 200 else description
    return {"name": name, "in": "header", "schema": {"type": "string", "pattern": pattern}, "description": text}


def _query(name: str, schema: Document, description: str) -> Document:
    allowed = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    only: Document = {"anyOf": allowed} if len(allowed) > 1 else {"type": "number", "maximum": schema["maximum"]}
    return {"name": name, "in": "query", "schema": only, "description": description}


def _both(schema: str, example: Document) -> Document:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"application/json": {"schema": reference, "example": example}, "application/msgpack": {"schema": reference}}


def _stored(description: str) -> Document:
    return {
        "description": description,
        "headers": {**_HEADERS, "ETag": _ETAG},
        "content": _both("KeyStored", {"status": "success", "version": "6b2"}),
    }
