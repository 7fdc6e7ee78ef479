"""The OpenAPI document's schemas of scans and imports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Document = dict[str, Any]


def scan_schemas(key: Document) -> Document:
    """The schemas, by name; `key` is that of a key."""
    bound = {"type": "string", "maxLength": key["maxLength"]}
    item = _object(
        {
            "key": key,
            "value": {"$ref": "#/components/schemas/Value"},
            "version": {"type": "string"},
            "expires_at": {"type": "number", "description": "Unix time in seconds; absent if the key never expires."},
        },
        required=["key"],
    )
    limit = {
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000,
        "default": 1000,
        "description": "The most keys in a page.",
    }
    selectors = {
        "prefix": {**bound, "description": "The text with which the keys begin."},
        "start": {**bound, "description": "The lower bound of the keys, included."},
        "end": {**bound, "description": "The upper bound of the keys, not included."},
        "reverse": {
            "type": "boolean",
            "default": False,
            "description": "Whether the order of the keys' bytes is reversed.",
        },
        "values": {"type": "boolean", "default": True, "description": "Whether the answer contains the values."},
        "with": {"type": "array", "items": {"type": "string", "enum": ["version", "expires_at"]}},
    }
    counts: Document = {name: {"type": "integer"} for name in ("lines", "applied", "already_there")}
    return {
        # A request with a cursor has no selector: the cursor contains them all.
        "ScanRequest": _object({**selectors, "limit": limit}, required=[]),
        "Page": _object(
            {
                "items": {
                    "type": "array",
                    "items": item,
                    "description": "A page may be empty, even if it is not the last.",
                },
                "cursor": {
                    "type": "string",
                    "description": "A request for the next page sends this, and may send `limit`.",
                },
                "complete": {"type": "boolean", "description": "Whether this is the last page."},
            },
            required=["items", "complete"],
        ),
        "Imported": _object({**counts, "rejected": REJECTED, "rejected_more": {"type": "integer"}}),
    }


REJECTED: Document = {
    "type": "array",
    "description": "The first lines that were rejected.",
    "items": {
        "type": "object",
        "properties": {
            "line": {"type": "integer"},
            "key": {"type": "string"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
        },
        "required": ["line", "code", "detail"],
        "additionalProperties": False,
    },
}

OF_FAILED_IMPORTS: Document = {
    "lines": {"type": "integer"},
    "applied": {"type": "integer"},
    "already_there": {"type": "integer"},
    "rejected": REJECTED,
    "rejected_more": {"type": "integer"},
    "retry_lines": {
        "type": "array",
        "description": "Ranges of lines, first and last included, that were not applied and can be sent again safely.",
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    },
}
"""Members of the problem that a part of an import failed."""


def _object(properties: Document, required: Sequence[str] | None = None) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        "additionalProperties": False,
    }
