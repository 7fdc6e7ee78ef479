"""What is raised where something is not admitted."""

from __future__ import annotations


class OverloadedError(Exception):
    """Something was not admitted, and nothing of it was applied; the text says what there is too much of."""


def overloaded(detail: str) -> OverloadedError:
    """The error for what was not admitted."""
    return OverloadedError(f"{detail}; nothing was applied")
