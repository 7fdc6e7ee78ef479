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
    limit = {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000, "description": "Keys, at most."}
    selectors = {
        "prefix": {**bound, "description": "What keys begin with."},
        "start": {**bound, "description": "The first key, included."},
        "end": {**bound, "description": "The last key, not included."},
        "reverse": {"type": "boolean", "default": False, "description": "Against the order of the keys' bytes."},
        "values": {"type": "boolean", "default": True, "description": "Whether values are read."},
        "with": {"type": "array", "items": {"type": "string", "enum": ["version", "expires_at"]}},
    }
    counts: Document = {name: {"type": "integer"} for name in ("lines", "applied", "already_there")}
    return {
        # A request with a cursor has no selector: the cursor contains them all.
        "ScanRequest": _object({**selectors, "limit": limit}, required=[]),
        "Page": _object(
            {
                "items": {"type": "array", "items": item, "description": "There may be none before the last page."},
                "cursor": {"type": "string", "description": "The next page is asked for with this, and with `limit`."},
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
        "description": "Ranges of lines, ends included, that were not applied and are safe to send again.",
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
