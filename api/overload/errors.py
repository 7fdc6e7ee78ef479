"""The error for requests and chunks that are not admitted."""

from __future__ import annotations


class OverloadedError(Exception):
    """The request was not admitted, and nothing of it was applied; the text says which limit is reached."""


def overloaded(detail: str) -> OverloadedError:
    """Make the error that says which limit is reached."""
    return OverloadedError(f"{detail}; nothing was applied")
