"""The application under unmodified uvicorn, with either of its parsers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from litestar import Litestar
from litestar import asgi as asgi_route

from api.http.access_log import AccessLog
from api.http.asgi import Outermost, handler
from api.http.proxies import TrustedProxies
from api.http.request_ids import RequestIds
from api.http.response import COMMON
from api.http.routes import Routes
from api.overload.memory_budgets import BodyBudget
from api.server.asgi_route import AsgiRoute
from protocol.settings import BatchSettings
from tests.unit.http_corpus import BODY
from tests.unit.memory_server import Metrics, Recorder

LIMITS = BatchSettings(max_body_bytes=4096)
KEYS = "/api/keys/{key}"
FIELDS = {"authorization": "alice", "content-type": "application/json"}


async def unasked(*_: Any) -> None:
    raise AssertionError("the path of no endpoint")


class Parts:
    """An application around one endpoint."""

    def __init__(self, endpoint: Recorder | None = None, send_timeout_s: float = 30.0) -> None:
        self.endpoint = endpoint or Recorder(LIMITS)
        self.metrics = Metrics()
        self.budget = BodyBudget(LIMITS.max_buffered_bytes)
        one_key = Recorder(LIMITS)
        one_key.path, one_key.asked = KEYS, self.endpoint.asked
        endpoints = Routes([self.endpoint, one_key], AsgiRoute(unasked), {})
        serve = handler(endpoints.of, self.budget, 30.0, send_timeout_s)

        async def route(scope: Any, receive: Any, send: Any) -> None:
            await serve(scope, receive, send)

        litestar = Litestar([asgi_route(self.endpoint.path, copy_scope=False)(route)], openapi_config=None)
        log = AccessLog(self.metrics.request, "off")
        ids, proxies = RequestIds(), TrustedProxies("127.0.0.1")
        routes = Routes([self.endpoint, one_key], AsgiRoute(litestar), {})
        self.app = Outermost(litestar, serve, routes, log, ids, proxies)


@asynccontextmanager
async def served(parts: Parts, parser: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, run by uvicorn alone."""
    config = uvicorn.Config(parts.app, port=0, http=parser, ws="none", server_header=False, log_config=None)
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as client:
        yield client
    server.should_exit = True
    await running


CASES: dict[str, tuple[int, str, bytes, dict[str, str]]] = {
    "a write": (200, "/api/write", BODY, {}),
    "no token": (401, "/api/write", BODY, {"authorization": "forged"}),
    "another path": (404, "/nothing", BODY, {}),
    "another spelling": (404, "/api/write/", BODY, {}),
    "an escape": (404, "/api/%77rite", BODY, {}),
    "too large": (413, "/api/write", b"x" * 5000, {}),
    "compressed": (415, "/api/write", BODY, {"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_the_application_answers_as_behind_its_own_server(parser: str) -> None:
    async def scenario() -> None:
        parts = Parts()
        async with served(parts, parser) as client:
            for name, (status, path, body, fields) in CASES.items():
                answer = await client.post(path, content=body, headers={**FIELDS, **fields, "x-request-id": "mine"})
                assert answer.status_code == status, name
                assert answer.headers.get_list("x-request-id") == ["mine"]
                for field, value in COMMON:
                    assert answer.headers.get_list(field.decode()) == [value.decode()]
                if status >= 400:
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert answer.json()["request_id"] == "mine"
            spelt = "/api/keys/a%2F%2e%2e%2Fb"
            one_key = await client.post("/", content=BODY, headers=FIELDS, extensions={"target": spelt.encode()})
            assert one_key.status_code == 200
            chunked = await client.post("/api/write", content=pieces(), headers=FIELDS)
            assert chunked.status_code == 200
            twice = [*FIELDS.items(), ("idempotency-key", "a"), ("idempotency-key", "b")]
            assert (await client.post("/api/write", content=BODY, headers=twice)).status_code == 400
            assert (await client.get("/api/write", headers=FIELDS)).status_code == 405
        assert [(path, body) for _, path, _, body in parts.endpoint.asked] == [
            ("/api/write", BODY),
            (spelt, BODY),
            ("/api/write", BODY),
        ]
        assert (KEYS, 200) in parts.metrics.counted
        assert parts.budget.held == 0
        assert ("/api/write", 200) in parts.metrics.counted
        assert ("other", 404) in parts.metrics.counted

    asyncio.run(asyncio.wait_for(scenario(), 50))


async def pieces() -> AsyncIterator[bytes]:
    """A body without a Content-Length."""
    for at in range(len(BODY)):
        yield BODY[at : at + 1]
