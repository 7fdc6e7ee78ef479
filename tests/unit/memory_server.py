"""Our protocol over a transport in memory: a test writes the client's bytes, and reads the server's."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from api.http.access_log import AccessLog
from api.http.asgi import request_id_of
from api.http.endpoint import Endpoint, Principal, Reply
from api.http.problems import Kind, Problem
from api.http.proxies import TrustedProxies
from api.http.rejection import Rejections
from api.http.request import Request
from api.http.request_ids import RequestIds
from api.http.response import Answer, Renderer
from api.http.routes import Routes
from api.lifecycle import Lifecycle
from api.overload.gate import Gate
from api.overload.memory_budgets import BodyBudget
from api.overload.shard_limits import Admission
from api.server.asgi_route import AsgiRoute
from api.server.connection import Connection
from api.server.connections import Connections
from api.server.serving import Application, Serving
from protocol.settings import BatchSettings, HttpSettings

OTHERS = dict.fromkeys(("/health/live", "/metrics"), ("GET", "HEAD"))
"""The methods of the paths that `asgi` answers."""

TURNS = 12
"""Turns of the event loop in which a request without waits is answered."""


class KnownUsers:
    """Accepts every token but `forged`, as the name of its user."""

    async def authenticate(self, header: bytes | None, scope: str | None = None) -> Principal:  # noqa: ARG002
        return cast("Principal", SimpleNamespace(name=self.user_of(header)))

    async def authenticate_again(self, header: bytes | None, scope: str | None = None) -> None:  # noqa: ARG002
        self.user_of(header)

    def known(self, header: bytes | None, scope: str | None = None) -> Principal | None:  # noqa: ARG002
        return cast("Principal", SimpleNamespace(name=self.user_of(header)))

    def user_of(self, header: bytes | None) -> str:
        if header is None or header == b"forged":
            raise Problem(Kind.UNAUTHORIZED, "no token")
        return header.decode("latin-1")


class Recorder(Endpoint):
    """Records its requests, and waits until it may answer."""

    path = "/api/write"

    def __init__(self, limits: BatchSettings) -> None:
        super().__init__(KnownUsers(), limits)
        self.asked: list[tuple[str, str, dict[bytes, bytes], bytes]] = []
        self.requests: list[Request] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.body = b"{}"
        self.share: Any = None
        self.is_broken = False
        self.held: list[Reply] | None = None
        """Takes the replies of requests that the test answers."""

    def begin(self, request: Request, body: bytes, reply: Reply) -> None:
        if self.is_broken:
            raise ZeroDivisionError
        if self.held is not None:
            self.held.append(reply)
            return
        super().begin(request, body, reply)

    async def handle(self, request: Request, body: bytes, principal: Principal | None) -> Answer:  # noqa: ARG002
        self.asked.append((request.method, request.path, dict(request.headers), body))
        self.requests.append(request)
        await self.may_answer.wait()
        return Answer(200, b"application/json", self.body, share=self.share)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application for all other routes: it answers with the path and the size of the body."""
    body = (await receive())["body"]
    assert request_id_of(scope["headers"])
    content = json.dumps([scope["path"], scope["query_string"].decode(), len(body)]).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": False})


class MemoryTransport(asyncio.Transport):
    """A transport whose client reads everything, unless a test stops it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.reading = True
        self.unread = 0
        self.at_end = self.closed = self.aborted = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("203.0.113.9", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        assert not self.at_end
        self.sent += data

    def writelines(self, pieces: Iterable[Any]) -> None:
        for piece in pieces:
            self.write(piece)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.at_end = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed


@dataclass(frozen=True)
class Outcome:
    """The effect of a client's bytes: the answers without their dates and ids, the requests, and the end."""

    answers: tuple[tuple[int, tuple[bytes, ...], bytes], ...]
    asked: tuple[Any, ...]
    ended: bool


class Metrics:
    """Records what was counted."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, int]] = []

    def request(self, route: str, status: int, seconds: float) -> None:  # noqa: ARG002 - of no interest here
        self.counted.append((route, status))


@dataclass
class Server:
    """One process's server, in memory."""

    http: HttpSettings = field(default_factory=HttpSettings)
    limits: BatchSettings = field(default_factory=lambda: BatchSettings(max_body_bytes=4096))
    trusted: str = ""

    def __post_init__(self) -> None:
        self.endpoint = Recorder(self.limits)
        self.lifecycle = Lifecycle()
        self.metrics = Metrics()
        self.budget = BodyBudget(self.limits.max_buffered_bytes)
        self.admission = Admission(["s1"], max_chunks=8, max_bytes=1000, max_wait_s=0.5)
        self.gate = Gate(self.admission, self.limits.max_wait_s, self.limits.request_timeout_s)
        renderer = Renderer()
        self.connections = Connections(self.http, self.http.max_connections, renderer)
        self.serving = Serving(
            routes=Routes([self.endpoint], AsgiRoute(asgi), OTHERS),
            gate=self.gate,
            budget=self.budget,
            log=AccessLog(self.metrics.request, "off"),
            ids=RequestIds(),
            proxies=TrustedProxies(self.trusted),
            lifecycle=self.lifecycle,
            request_timeout_s=self.limits.request_timeout_s,
            connections=self.connections,
            renderer=renderer,
            rejections=Rejections(renderer),
            tls=None,
            stage=lambda *_: None,
        )
        self.state = SimpleNamespace(connections=set(), tasks=set())

    def connect(self) -> tuple[Connection, MemoryTransport]:
        """A client's connection."""
        config = SimpleNamespace(loaded_app=Application(asgi, self.serving))
        connection, transport = Connection(config, self.state), MemoryTransport()
        connection.connection_made(transport)
        return connection, transport

    async def outcome(self, pieces: Sequence[bytes], *, end: bool = False) -> Outcome:
        """The effect of bytes that a client sends on a new connection, piece by piece."""
        asked = len(self.endpoint.asked)
        connection, transport = self.connect()
        for piece in pieces:
            if not transport.closed and piece:
                connection.data_received(piece)
                await turns(1)
        await turns(TURNS)
        if end and not transport.closed:
            connection.eof_received()
        await turns(TURNS)
        ended = transport.closed or transport.at_end
        connection.connection_lost(None)
        return Outcome(answers(bytes(transport.sent)), tuple(self.endpoint.asked[asked:]), ended)


async def turns(count: int) -> None:
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


_UNIQUE = re.compile(rb"(date|x-request-id|retry-after): [^\r]*|[0-9a-f]{12}-[0-9a-f]+")


def answers(sent: bytes) -> tuple[tuple[int, tuple[bytes, ...], bytes], ...]:
    """The complete answers in the bytes that were sent."""
    found = []
    while sent:
        head, end, sent = sent.partition(b"\r\n\r\n")
        assert end, head
        line, *fields = _UNIQUE.sub(b"", head).split(b"\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        # The answer to a HEAD has the length of a body, but no body.
        size = int(length[1]) if length and sent and not sent.startswith(b"HTTP/") else 0
        body, sent = sent[:size], sent[size:]
        assert len(body) == size
        status = int(line.split(b" ")[1])
        if status != 100:
            kept = tuple(each for each in fields if not each.startswith((b"content-length", b"connection: close")))
            found.append((status, kept, _UNIQUE.sub(b"", body)))
    return tuple(found)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario, with a bound on its time."""
    asyncio.run(asyncio.wait_for(scenario(), 50))
