"""Counts and logs every answered request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from api.http.routes import OTHER

_log = logging.getLogger("api.access")

MAX_FAILURES_PER_S = 50
"""Lines for failed requests in one second; further ones are only counted. Clients can make requests fail at will."""


class AccessLog:
    """Counts requests and logs them. `logged` is the setting: `all`, `errors` or `off`.

    `count` is called with the route, status and seconds of each request; `failed` with the id, method, route, status
    and seconds of each that failed.
    """

    def __init__(
        self,
        count: Callable[[str, int, float], None],
        logged: str,
        failed: Callable[[bytes, str, str, int, float], None] = lambda *_: None,
    ) -> None:
        self._count = count
        self._failed = failed
        self._least_status = {"all": 0, "errors": 400, "off": 1000}[logged]
        self._second = 0.0
        self._failures = 0

    def answered(
        self, request_id: bytes, method: str, path: str, route: str, status: int, seconds: float, client: str
    ) -> None:
        """Count an answered request under its `route`, and log it if it is to be logged."""
        self._count(route, status, seconds)
        if status >= 400:
            self._failed(request_id, method, route, status, seconds)
        if status < self._least_status or (400 <= status < 500 and self._is_one_too_many()):
            return
        _log.log(
            logging.WARNING if status >= 500 else logging.INFO,
            "request",
            extra={
                "request_id": request_id.decode("ascii"),
                "method": method,
                # What stands in the path of a pattern may be secret.
                "path": path[:256] if route == OTHER else route,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "client": client,
            },
        )

    def _is_one_too_many(self) -> bool:
        """Whether too many requests have failed in this second to log another one."""
        now = time.monotonic()
        if now - self._second >= 1:
            left_out = self._failures - MAX_FAILURES_PER_S
            self._second, self._failures = now, 0
            if left_out > 0:
                _log.warning("omitted log lines of failed requests", extra={"lines": left_out})
        self._failures += 1
        return self._failures > MAX_FAILURES_PER_S
