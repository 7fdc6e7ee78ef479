"""The OpenAPI document's schema of the answer of `/api/status`."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

_TEXT: Document = {"type": "string"}
_NUMBER: Document = {"type": "number"}
_WHOLE: Document = {"type": "integer"}
_MAYBE: Document = {"type": ["number", "null"]}


def _rows(members: Document) -> Document:
    row = {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
    return {"type": "array", "items": row}


def status_schema() -> Document:
    """The schema of the answer."""
    members: Document = {
        "at": _NUMBER,
        "version": _TEXT,
        "host": {**_TEXT, "description": "The machine of the api process that answers."},
        "requests": {
            "type": "object",
            "properties": {
                "per_s": _NUMBER,
                "p50_s": _MAYBE,
                "p99_s": _MAYBE,
                "by_status": {"type": "object", "additionalProperties": _NUMBER},
            },
            "required": ["per_s", "p50_s", "p99_s", "by_status"],
            "additionalProperties": False,
            "description": "Requests of the last seconds, except exports, imports and calls of this path. Rates are "
            "per second.",
        },
        "shards": _rows(
            {
                "shard": _TEXT,
                "state": {"type": "string", "enum": ["up", "read_only", "down"]},
                "leader": {"type": "boolean"},
                "told_s_ago": _MAYBE,
                "keys": _MAYBE,
                "expiring_keys": _MAYBE,
                "memory_used_bytes": _MAYBE,
                "memory_limit_bytes": _MAYBE,
                "expiry_lag_s": _MAYBE,
                "clock_skew_s": _MAYBE,
                "chunks_per_s": _NUMBER,
                "p99_s": _MAYBE,
                "oldest_s": _NUMBER,
            }
        ),
        "queues": _rows(
            {
                "shard": _TEXT,
                "depth": _MAYBE,
                "in_hand": _MAYBE,
                "redelivered": _MAYBE,
                "oldest_s": _NUMBER,
                "workers": _MAYBE,
            }
        ),
        "lanes": {
            **_rows(
                {
                    "lane": _TEXT,
                    "up": {"type": "boolean"},
                    "since": _NUMBER,
                    "shards": {"type": "array", "items": _TEXT},
                    "frames_per_s": _NUMBER,
                    "share": _MAYBE,
                    "memory_used_bytes": _MAYBE,
                    "memory_limit_bytes": _MAYBE,
                }
            ),
            "description": "The Redis servers as seen by the process that answers, and the shards whose chunks each "
            "carries.",
        },
        "moves": {
            **_rows(
                {
                    "source": _TEXT,
                    "target": _TEXT,
                    "done": _WHOLE,
                    "total": _WHOLE,
                    "left_s": _MAYBE,
                    "told_s_ago": _NUMBER,
                }
            ),
            "description": "Moves of buckets between shards that are under way; empty if there are none.",
        },
        "workers": {
            "anyOf": [
                _rows(
                    {
                        **dict.fromkeys(("worker", "cluster", "host", "pid"), _TEXT),
                        "in_hand": _WHOLE,
                        "shards": {"type": "array", "items": _TEXT},
                        "reads": {"type": "array", "items": _TEXT},
                        "seen_at": _NUMBER,
                    }
                ),
                {"type": "null"},
            ]
        },
        "api": _rows(
            {
                "process": _TEXT,
                "pid": _WHOLE,
                "version": _TEXT,
                "started_at": _NUMBER,
                "memory_bytes": _WHOLE,
                "waiting": _WHOLE,
                "resent": _WHOLE,
                "requests_per_s": _NUMBER,
                "oldest_s": _NUMBER,
            }
        ),
        "problems": {
            **_rows(
                {
                    "at": _NUMBER,
                    "request_id": _TEXT,
                    "method": _TEXT,
                    "route": _TEXT,
                    "status": _WHOLE,
                    "ms": _NUMBER,
                }
            ),
            "maxItems": 100,
        },
        "findings": {
            **_rows({"state": {"type": "string", "enum": ["failure", "warning"]}, "text": _TEXT, "to_do": _TEXT}),
            "description": "What is wrong and what to do, the worst first; empty if nothing is wrong.",
        },
    }
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
