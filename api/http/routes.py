"""The paths that there are."""

from __future__ import annotations

ROUTES = frozenset(
    {
        "/api/login",
        "/api/logout",
        "/api/write",
        "/api/read",
        "/api/delete",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/schema",
        "/schema/openapi.json",
    }
)
"""The paths that are counted by name; all others count as `other`, so that nobody can fill the metrics."""


def route_of(path: str) -> str:
    """The name under which a path is counted."""
    return path if path in ROUTES else "other"
