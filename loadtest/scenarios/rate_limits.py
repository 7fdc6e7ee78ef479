"""A rate limiter: a counter for each caller and window, which is created on demand, has a bound, and expires with its
window.
"""

from __future__ import annotations

import secrets

from locust import between, task

from loadtest.scenarios.client import KvUser

_LIMIT = 5
_WINDOW_S = 60


class RateLimits(KvUser):
    """Counts calls of its own callers: the limit holds exactly, and a repeated call counts once."""

    wait_time = between(0.002, 0.02)
    weight = 3

    def on_start(self) -> None:
        super().on_start()
        self._windows = 0
        self._next_window()

    def _next_window(self) -> None:
        self._windows += 1
        self._key = f"{self.prefix}window:{self._windows}"
        self._calls = 0

    @task(10)
    def call(self) -> None:
        content = {"data": {self._key: 1}, "max": _LIMIT, "ttl": _WINDOW_S}
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        if self._calls < _LIMIT:
            answer = {"data": {self._key: self._calls + 1}}
            if self.post("/api/increment", content, answer, name="count a call", headers=headers):
                self._calls += 1
                self.post("/api/increment", content, answer, name="count a call, again", headers=headers)
            else:
                self._next_window()
        else:
            self.post("/api/increment", content, None, status=409, name="a call past the limit", headers=headers)
            self._next_window()

    @task(1)
    def look(self) -> None:
        stored = {self._key: self._calls} if self._calls else {}
        self.read([self._key], stored, name="read a counter")

    def on_stop(self) -> None:
        self.remove(f"{self.prefix}window:{number}" for number in range(1, self._windows + 1))
