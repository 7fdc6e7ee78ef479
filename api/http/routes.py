"""The paths that there are: each has one spelling, by which it is found, counted and admitted."""

from __future__ import annotations

from collections.abc import Iterable

from api.http.problems import Kind, Problem

OTHER = "other"
"""The name under which all other paths are counted, so that nobody can fill the metrics."""


class Routes:
    """All paths of an application.

    A pattern is a path that ends in a name in braces, which stands for anything: it is the name of all paths that begin
    as it does.
    """

    def __init__(self, paths: Iterable[str], patterns: Iterable[str] = ()) -> None:
        self._paths = frozenset(paths)
        self._patterns = tuple((pattern[: pattern.index("{")], pattern) for pattern in patterns)

    def pattern_of(self, path: str) -> str | None:
        """The pattern that a path follows, if any."""
        return next((pattern for begin, pattern in self._patterns if path.startswith(begin)), None)

    def name_of(self, path: str) -> str:
        """The name under which a path is counted."""
        return path if path in self._paths else self.pattern_of(path) or OTHER

    def check(self, path: str) -> None:
        """See that there is something at a path, as the client spelt it.

        Raises:
            Problem: 404.
        """
        if path not in self._paths and self.pattern_of(path) is None:
            raise Problem(Kind.NOT_FOUND, "there is nothing at this path")
