"""What all scenarios share: one token for all users of a process, and requests that check their answers."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from gevent.lock import Semaphore
from locust import FastHttpUser

_REFRESH_S = 600
"""Much less than the lifetime of a token."""

_REMOVE_BATCH = 5000


class TokenSource:
    """Logs in once for all users of this process. Many logins at a time are a separate scenario (`logins`)."""

    def __init__(self) -> None:
        self._lock = Semaphore()
        self._token = ""
        self._issued_at = 0.0

    def token(self, user: KvUser) -> str:
        """A token that stays valid for minutes; all users share it."""
        with self._lock:
            if time.monotonic() - self._issued_at > _REFRESH_S or not self._token:
                self._token = user.log_in()
                self._issued_at = time.monotonic()
            return self._token


_tokens = TokenSource()


def credentials() -> dict[str, str]:
    """User and password, from the settings of the system under load."""
    return {
        "username": os.environ.get("TARANTKV_ADMIN_USER", "admin"),
        "password": os.environ.get("TARANTKV_ADMIN_PASSWORD", ""),
    }


class KvUser(FastHttpUser):
    """A user of the HTTP interface, with keys of its own under `prefix`."""

    abstract = True
    host = f"http://127.0.0.1:{os.environ.get('TARANTKV_PORT', '8081')}"
    network_timeout = 15.0
    connection_timeout = 5.0

    def on_start(self) -> None:
        self.prefix = f"load:{secrets.token_hex(6)}:"
        self._headers = {"Content-Type": "application/json", "Authorization": _tokens.token(self)}

    def log_in(self) -> str:
        """A new token; empty if the login fails. locust then reports the failure."""
        with self.client.post(
            "/api/login",
            data=orjson.dumps(credentials()).decode(),
            headers={"Content-Type": "application/json"},
            catch_response=True,
        ) as answer:
            token = str(_content(answer).get("token", ""))
            if answer.status_code != 200 or token.count(".") != 2:
                answer.failure(f"no token: {answer.status_code}")
            return token

    def post(
        self,
        path: str,
        content: Mapping[str, Any],
        expected: Mapping[str, Any] | None,
        *,
        status: int = 200,
        name: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> bool:
        """Send a request. Returns whether the answer had `status` and was the `expected` document (None: any)."""
        with self.client.post(
            path,
            data=orjson.dumps(content).decode(),
            headers={**self._headers, **(headers or {})},
            name=name or path,
            catch_response=True,
        ) as answer:
            found = _content(answer)
            if answer.status_code != status:
                answer.failure(f"{answer.status_code} {found.get('title', answer.error)}, expected {status}")
            elif expected is not None and _comparable(found) != _comparable(expected):
                answer.failure("a wrong answer")
            else:
                answer.success()
                return True
            return False

    def answer(
        self,
        path: str,
        content: Mapping[str, Any] | str,
        *,
        name: str,
        statuses: Sequence[int] = (200,),
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """Send a request; returns the answer's document if it has one of the `statuses`, otherwise None."""
        body = content if isinstance(content, str) else orjson.dumps(content).decode()
        every = {**self._headers, **(headers or {})}
        with self.client.post(path, data=body, headers=every, name=name, catch_response=True) as answer:
            found = _content(answer)
            if answer.status_code in statuses:
                answer.success()
                return found
            answer.failure(f"{answer.status_code} {found.get('title', answer.error)}")
            return None

    def text(self, path: str, *, name: str) -> str | None:
        """Get a text; None if the status is not 200."""
        with self.client.get(path, headers=self._headers, name=name, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} {answer.error}")
                return None
            answer.success()
            return (answer.content or b"").decode()

    def complain(self, name: str, fault: str) -> None:
        """Count a wrong answer that only a comparison with other answers shows."""
        self.environment.events.request.fire(
            request_type="CHECK", name=name, response_time=0, response_length=0, exception=AssertionError(fault)
        )

    def write(self, data: Mapping[str, Any], **options: Any) -> bool:
        """Write pairs."""
        return self.post("/api/write", {"data": data}, {"status": "success"}, **options)

    def read(self, keys: Sequence[str], stored: Mapping[str, Any], **options: Any) -> bool:
        """Read keys; those in `stored` must be returned with its values, the others as not found."""
        expected: dict[str, Any] = {"data": {key: stored[key] for key in keys if key in stored}}
        missing = [key for key in dict.fromkeys(keys) if key not in stored]
        if missing:
            expected["not_found"] = missing
        return self.post("/api/read", {"keys": keys}, expected, **options)

    def remove(self, keys: Iterable[str]) -> None:
        """Delete keys, whether they exist or not."""
        left = list(keys)
        for start in range(0, len(left), _REMOVE_BATCH):
            part = left[start : start + _REMOVE_BATCH]
            self.post("/api/delete", {"keys": part}, None, name="/api/delete (clean up)")


def _content(answer: Any) -> dict[str, Any]:
    try:
        found = orjson.loads(answer.content or b"")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _comparable(document: Mapping[str, Any]) -> bytes:
    """A document as text, because 1, 1.0 and true are equal in Python. The order of `not_found` is not promised."""
    if "not_found" in document:
        document = {**document, "not_found": sorted(document["not_found"])}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
