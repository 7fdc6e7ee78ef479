"""The paths that there are: each has one spelling, by which it is found, counted and admitted."""

from __future__ import annotations

from collections.abc import Iterable

from api.http.problems import Kind, Problem

OTHER = "other"
"""The name under which all other paths are counted, so that nobody can fill the metrics."""


class Routes:
    """All paths of an application."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)

    def name_of(self, path: str) -> str:
        """The name under which a path is counted."""
        return path if path in self._paths else OTHER

    def check(self, path: str) -> None:
        """See that there is something at a path, as the client spelt it.

        Raises:
            Problem: 404.
        """
        if path not in self._paths:
            raise Problem(Kind.NOT_FOUND, "there is nothing at this path")
