"""`/api/keys/{key}` as a client calls it: each target is sent exactly as it is written."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from tests.contract.calls import JSON, MSGPACK, Api, json_body, msgpack_body

HEADERS = {"accept": JSON, "content-type": JSON}


class OneKey:
    """Calls of one key by its URL."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ask(
        self, method: str, spelt: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request for the percent-encoded text after `/api/keys/`."""
        every = {**HEADERS, **({"authorization": self._api.token} if self._api.token else {})}
        every |= {name.lower(): value for name, value in (headers or {}).items()}
        # httpx would normalize the path of a URL, as other clients do.
        return self._api.http.request(
            method,
            "/",
            content=content,
            headers={name: value for name, value in every.items() if value},
            extensions={"target": f"/api/keys/{spelt}".encode("latin-1")},
        )

    def get(self, key: str, method: str = "GET", **headers: str) -> httpx.Response:
        return self.ask(method, quote(key, safe=""), None, spelt(headers))

    def put(self, key: str, value: Any, query: str = "", as_: str = JSON, **headers: str) -> httpx.Response:
        body = msgpack_body(value) if as_ == MSGPACK else json_body(value)
        return self.ask("PUT", quote(key, safe="") + query, body, {"content-type": as_, **spelt(headers)})

    def delete(self, key: str, **headers: str) -> httpx.Response:
        return self.ask("DELETE", quote(key, safe=""), None, spelt(headers))

    def stored(self, key: str, value: Any, **headers: str) -> str:
        """Put a value, which must succeed; returns its tag."""
        answer = self.put(key, value, **headers)
        assert answer.status_code in (200, 201), answer.text
        assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
        return answer.headers["etag"]


def spelt(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by their names, from those of arguments."""
    return {name.replace("_", "-"): value for name, value in headers.items()}
