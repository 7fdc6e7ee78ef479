"""The OpenAPI document's path of `/api/status`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.http.problems import Kind
from api.ops.openapi_problems import problems

Document = dict[str, Any]

_EXAMPLE: Document = {
    "at": 1798761600.5,
    "version": "1.0.0",
    "host": "kv1",
    "requests": {"per_s": 790.1, "p50_s": 0.0031, "p99_s": 0.0094, "by_status": {"200": 789.9, "404": 0.1, "503": 0.1}},
    "shards": [
        {
            "shard": "s1",
            "state": "up",
            "leader": True,
            "told_s_ago": 0.002,
            "keys": 120000,
            "expiring_keys": 4000,
            "memory_used_bytes": 41943040,
            "memory_limit_bytes": 536870912,
            "expiry_lag_s": 0.0,
            "clock_skew_s": 0.001,
            "chunks_per_s": 812.4,
            "p99_s": 0.01,
            "oldest_s": 0.004,
        }
    ],
    "queues": [{"shard": "s1", "depth": 2, "in_hand": 2, "redelivered": 0, "oldest_s": 0.004, "workers": 2}],
    "lanes": [
        {
            "lane": "127.0.0.1:7379",
            "up": True,
            "since": 1798750000.2,
            "shards": ["s1"],
            "frames_per_s": 402.5,
            "share": 1.0,
            "memory_used_bytes": 1572864,
            "memory_limit_bytes": 268435456,
        }
    ],
    "moves": [{"source": "s1", "target": "s2", "done": 1200, "total": 5000, "left_s": 310.0, "told_s_ago": 0.4}],
    "workers": [
        {
            "worker": "7d3e/kv1:4711:a1b2",
            "cluster": "7d3e",
            "host": "kv1",
            "pid": "4711",
            "in_hand": 2,
            "shards": ["s1"],
            "reads": ["s1"],
            "seen_at": 1798761600.1,
        }
    ],
    "api": [
        {
            "process": "5f0c2a9be1d40000",
            "pid": 4712,
            "version": "1.0.0",
            "started_at": 1798750000.0,
            "memory_bytes": 91226112,
            "waiting": 3,
            "resent": 0,
            "requests_per_s": 790.1,
            "oldest_s": 0.004,
        }
    ],
    "problems": [
        {
            "at": 1798761599.9,
            "request_id": "5f0c2a9be1d4-2a",
            "method": "POST",
            "route": "/api/write",
            "status": 503,
            "ms": 5001.2,
        }
    ],
    "findings": [
        {
            "state": "warning",
            "text": "0.1 requests a second are refused (503); nothing of them was applied",
            "to_do": "if all shards answer, the load is too high: docs/operations.md#overload",
        }
    ],
}


def status_path(kinds: Sequence[Kind]) -> Document:
    """The path and its operation; `kinds` are the problems of every request with a token."""
    reference: Document = {"$ref": "#/components/schemas/Status"}
    return {
        "/api/status": {
            "get": {
                "operationId": "status",
                "summary": "The state of shards, queues, lanes, workers and api processes, and recent problems",
                "parameters": [{"$ref": "#/components/parameters/X-Request-Id"}],
                "responses": {
                    "200": {
                        "description": "The present state.",
                        "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
                        "content": {
                            "application/json": {"schema": reference, "example": _EXAMPLE},
                            "application/msgpack": {"schema": reference},
                        },
                    },
                    **problems([*kinds, Kind.FORBIDDEN]),
                },
            }
        }
    }
