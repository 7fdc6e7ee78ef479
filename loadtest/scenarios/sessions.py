"""A session store: sessions that expire, are renewed by each request of their user, and end with a logout."""

from __future__ import annotations

import random
import secrets
import time

from locust import between, task

from loadtest.scenarios.client import KvUser

_TTL_S = 30.0
_SHORT_S = 0.5
_MARGIN_S = 0.1
"""Around a session's end, the time in which it may exist or not: the answer takes some time, too."""


class Sessions(KvUser):
    """Keeps one session alive with touches, and checks that others end when they should."""

    wait_time = between(0.005, 0.05)
    weight = 3

    def on_start(self) -> None:
        super().on_start()
        self._log_in()

    def _log_in(self) -> None:
        self._key = f"{self.prefix}{secrets.token_hex(8)}"
        self._session = {"user": random.randrange(1000), "cart": []}
        content = {"data": {self._key: self._session}, "ttl": _TTL_S, "if": "absent"}
        self.post("/api/write", content, {"status": "success"}, name="open a session")

    @task(10)
    def use(self) -> None:
        self.read([self._key], {self._key: self._session}, name="read a session")
        content = {"keys": [self._key], "ttl": _TTL_S}
        self.post("/api/touch", content, {"status": "success", "touched": 1}, name="renew a session")

    @task(2)
    def change(self) -> None:
        self._session = {**self._session, "cart": random.sample(range(100), 3)}
        content = {"data": {self._key: self._session}, "ttl": "keep"}
        self.post("/api/write", content, {"status": "success"}, name="change a session, same expiry")

    @task(2)
    def let_one_end(self) -> None:
        key = f"{self.prefix}{secrets.token_hex(8)}"
        began = time.monotonic()
        if not self.post("/api/write", {"data": {key: 1}, "ttl": _SHORT_S}, None, name="open a short session"):
            return
        written = time.monotonic()
        time.sleep(random.uniform(0, 2 * _SHORT_S))
        asked = time.monotonic()
        if asked > written + _SHORT_S + _MARGIN_S:
            self.read([key], {}, name="read an ended session")
        elif asked < began + _SHORT_S - _MARGIN_S:
            # The session may have ended when the answer comes, but no other user changes it.
            self.post("/api/read", {"keys": [key]}, None, name="read a short session")

    @task(1)
    def log_out(self) -> None:
        self.post("/api/delete", {"keys": [self._key]}, {"status": "success", "deleted": 1}, name="end a session")
        self._log_in()

    def on_stop(self) -> None:
        self.remove([self._key])
