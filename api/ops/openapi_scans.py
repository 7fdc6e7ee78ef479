"""The OpenAPI document's paths of scans, exports and imports; `openapi_scan_schemas` has their schemas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.http.problems import Kind
from api.ops.openapi_problems import problems

Document = dict[str, Any]

_CURSOR = "AfXq0JkT7b2c"
_REQUEST_ID = {"$ref": "#/components/parameters/X-Request-Id"}
_IDEMPOTENCY = {"$ref": "#/components/parameters/Idempotency-Key"}

_LINES = (
    '{"key":"user:42","value":{"name":"Ada"},"version":"6a1","expires_at":1798761600.5}\n'
    '{"key":"user:43","value":[1,2.5,null],"version":"6a2"}\n'
    '{"end":true,"items":2}\n'
)
_EXPORT = """
Every key of a selection, one in each line, in the order of the keys' bytes. Lines with `key` are items; the others are:

** `{"cursor": ..., "items": n}`, every 10,000 items or 5 seconds: an export with this cursor continues here;
** `{"end": true, "items": n}`, the last line: without it the export is incomplete;
** `{"error": {...}, "cursor": ...}`, the last line of an export that failed: a problem document, and where to continue.

A value that JSON cannot express byte for byte is sent as `value_msgpack`, its MessagePack in base64. An export is not a
snapshot. It contains each key once that exists unchanged from beginning to end, and no key twice.
"""
_IMPORT = """
Stores the items of the lines. There may be as many lines as a batch may have keys. A line has `key`, and `value` or
`value_msgpack` (MessagePack in base64). It may have `ttl` or `expires_at`, and `"if": "absent"`. The lines of an export
are accepted unchanged; lines without a key are skipped. A line that cannot be stored is rejected, and the others are
stored: the answer has the numbers of rejected lines. If several lines have the same key, the last one counts.
"""


def scan_paths(kinds: Sequence[Kind]) -> Document:
    """The paths; `kinds` are the problems of every request with a token."""
    reads = (*kinds, Kind.FORBIDDEN, Kind.DATABASE_REFUSED)
    return {
        "/api/scan": {
            "post": {
                "operationId": "scan",
                "summary": "Read keys in order, a page at a time",
                "parameters": [_REQUEST_ID],
                "requestBody": {
                    "required": True,
                    "content": _both(
                        "ScanRequest",
                        first={"prefix": "user:", "limit": 100, "with": ["version", "expires_at"]},
                        keys={"start": "user:42", "end": "user:9", "reverse": True, "values": False},
                    ),
                },
                "responses": {
                    "200": _done(
                        _both(
                            "Page",
                            more={
                                "items": [{"key": "user:42", "value": {"name": "Ada"}, "version": "6a1"}],
                                "cursor": _CURSOR,
                                "complete": False,
                            },
                            last={"items": [{"key": "user:43"}], "complete": True},
                        )
                    ),
                    **problems((*reads, Kind.NOT_ACCEPTABLE)),
                },
            }
        },
        "/api/export": {
            "get": {
                "operationId": "export",
                "summary": "Read all keys of a selection as lines of JSON",
                "description": _EXPORT.strip(),
                "parameters": [*_selectors(), _REQUEST_ID],
                "responses": {"200": _done(_lines(_LINES)), **problems(reads)},
            }
        },
        "/api/import": {
            "post": {
                "operationId": "import",
                "summary": "Store the items of lines of JSON",
                "description": _IMPORT.strip(),
                "parameters": [
                    _query(
                        "first_line",
                        {"type": "integer", "minimum": 0, "maximum": 2**53, "default": 1},
                        "The number of the first line, for a client that divides a large import into several requests.",
                    ),
                    _IDEMPOTENCY,
                    _REQUEST_ID,
                ],
                "requestBody": {
                    "required": True,
                    "content": _lines('{"key":"user:42","value":{"name":"Ada"},"ttl":60,"if":"absent"}\n'),
                },
                "responses": {
                    "200": _done(
                        _both(
                            "Imported",
                            done={
                                "lines": 3,
                                "applied": 1,
                                "already_there": 1,
                                "rejected": [{"line": 3, "key": "x", "code": "too_large", "detail": "..."}],
                                "rejected_more": 0,
                            },
                        )
                    ),
                    **problems(
                        (
                            *reads,
                            Kind.EMPTY_BATCH,
                            Kind.TOO_MANY_KEYS,
                            Kind.OUTCOME_UNKNOWN,
                            Kind.IDEMPOTENCY_KEY_REUSED,
                        )
                    ),
                },
            }
        },
    }


def _selectors() -> list[Document]:
    text = {"type": "string", "maxLength": 1024}
    return [
        _query("prefix", text, "The text with which the keys begin."),
        _query("start", text, "The lower bound of the keys, included."),
        _query("end", text, "The upper bound of the keys, not included."),
        _query("values", {"type": "boolean", "default": True}, "Whether the answer contains the values."),
        _query(
            "segment",
            {"type": "integer", "minimum": 0, "default": 0},
            "The number of the segment, from 0. It is required if there are several. Each segment is in order, and all "
            "segments together contain every key.",
        ),
        _query(
            "segments",
            {"type": "integer", "minimum": 1, "maximum": 30_000, "default": 1},
            "How many segments there are.",
        ),
    ]


def _query(name: str, schema: Document, description: str) -> Document:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _lines(example: str) -> Document:
    return {"application/x-ndjson": {"schema": {"type": "string", "minLength": 1}, "example": example}}


def _done(content: Document) -> Document:
    return {
        "description": "Done.",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        "content": content,
    }


def _both(schema: str, **examples: Document) -> Document:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "application/json": {
            "schema": reference,
            "examples": {name: {"value": value} for name, value in examples.items()},
        },
        "application/msgpack": {"schema": reference},
    }
