"""The paths of an application and the routes that answer them. A path has one spelling for look-ups and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from api.http.endpoint import Route, Served
from api.http.head import Head
from api.http.problems import Kind, Problem

OTHER = "other"
"""The name under which all other paths are counted, so that clients cannot fill the metrics with names."""


class Routes:
    """All paths of an application: those of endpoints, and those that `rest` answers.

    An endpoint's path may be a pattern: it ends with a name in braces, which stands for any text. All paths that begin
    like it are counted under the pattern.
    """

    def __init__(self, served: Iterable[Served], rest: Route, methods_of_rest: Mapping[str, Iterable[str]]) -> None:
        self.rest = rest
        self._by_path: dict[str, dict[str, Route]] = {
            path: dict.fromkeys(methods, rest) for path, methods in methods_of_rest.items()
        }
        for endpoint in served:
            self._by_path.setdefault(endpoint.path, {}).update(dict.fromkeys(endpoint.methods, endpoint))
        self._patterns = [(path.partition("{")[0], path) for path in self._by_path if "{" in path]

    def pattern_of(self, path: str) -> str | None:
        """The pattern that a path matches, if any."""
        return next((pattern for begin, pattern in self._patterns if path.startswith(begin)), None)

    def name_of(self, path: str) -> str:
        """The name under which a path is counted."""
        return path if path in self._by_path else self.pattern_of(path) or OTHER

    def of(self, head: Head) -> Route:
        """What answers a request; its path is spelt as the client sent it.

        Raises:
            Problem: 404, the path does not exist; 405, it does not support the method.
        """
        path = head.path
        by_method = self._by_path.get(path) or self._by_path.get(self.pattern_of(path) or "")
        if by_method is None:
            raise Problem(Kind.NOT_FOUND, "there is nothing at this path")
        route = by_method.get(head.method)
        if route is None:
            allowed = ", ".join(by_method)
            raise Problem(Kind.METHOD_NOT_ALLOWED, f"{self.name_of(path)} takes {allowed}", headers={"Allow": allowed})
        return route
