"""What is raised where something is not admitted."""

from __future__ import annotations

from api.http.problems import Kind, Problem, retry_later


def overloaded(detail: str) -> Problem:
    """The answer to what was not admitted: nothing of it was applied."""
    return retry_later(Kind.OVERLOADED, f"{detail}; nothing was applied")
