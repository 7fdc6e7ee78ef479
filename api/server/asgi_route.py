"""Passes requests from our own protocol to an ASGI application: those for paths that are not endpoints of the API."""

from __future__ import annotations

from typing import Any

from litestar.types import ASGIApp

from api.http.endpoint import Route, body_too_large, error_answer
from api.http.head import Head
from api.http.request import Request
from api.http.response import Answer


class AsgiRoute(Route):
    """Answers requests by an ASGI application."""

    body_limit = 64 * 1024
    """Size of the largest body in bytes: pages, health and metrics need none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def check(self, head: Head) -> None:
        """Check the size of the body (413); the application checks everything else."""
        if head.length is not None and head.length > self.body_limit:
            raise body_too_large(self.body_limit)

    def user_of(self, _: Head) -> str | None:
        """No principal: these requests need no token."""
        return None

    async def answer(self, request: Request, body: bytes) -> Answer:
        starts: list[Any] = []
        pieces: list[bytes] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                starts.append(message)
            elif message["type"] == "http.response.body":
                pieces.append(message["body"])

        try:
            await self._app(_scope(request), receive, send)
            (start,) = starts
        except Exception as error:  # noqa: BLE001 - as for every answer
            return error_answer(error, request.request_id)
        headers = [(name.lower(), value) for name, value in start["headers"]]
        media_type = dict(headers).get(b"content-type", b"application/octet-stream")
        more = tuple(header for header in headers if header[0] not in (b"content-type", b"content-length"))
        return Answer(start["status"], media_type, b"".join(pieces), more)


def _scope(request: Request) -> Any:
    headers = {**request.headers, b"x-request-id": request.request_id}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        # The whole answer to a GET, without its body, is the answer to a HEAD.
        "method": "GET" if request.method == "HEAD" else request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode("ascii"),
        "query_string": request.query,
        "root_path": "",
        "headers": list(headers.items()),
        "client": (request.address, 0),
        "server": None,
        "state": {},
        "extensions": None,
    }
