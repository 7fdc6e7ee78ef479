"""A TCP proxy between two tiers that delays, drops, holds or damages their bytes, as bad networks do.

`Link` is one port in front of one server; `Proxy` is the thread that all links of a test share. A link passes bytes on
until it gets another `Condition`, and again after `heal`. Each direction has its own condition:

- cut: every connection is reset, new ones are refused;
- delayed: each piece waits before it is passed on;
- swallowed: connections are accepted and stay open, but nothing reaches the other end, not even an end of stream;
- held: as swallowed, but everything comes out when the link is healed, as a partition that ends in time for TCP to
  send again: the other end hears late of what nobody waits for any more;
- damaged: of some pieces a few bytes vanish, and what follows moves up.

Which tiers the links of a cluster stand between is `tests.faults.networked`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from localcluster.ports import free_ports

_PIECE_BYTES = 1024 * 1024
_MOST_LOST_BYTES = 8
_CONTROL_TIMEOUT_S = 10.0
_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` that makes `close` send a reset."""

Address = tuple[str, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to the bytes that go one way."""

    delay_s: float = 0.0
    swallow: bool = False
    hold: bool = False
    damage: float = 0.0
    """The probability that a piece loses some bytes. A piece is the result of one read, as a rule one message."""


PASS = Treatment()


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a link."""

    cut: bool = False
    requests: Treatment = PASS
    """Toward the server."""
    answers: Treatment = PASS
    """Toward the client."""


_REQUESTS: Callable[[Condition], Treatment] = attrgetter("requests")
_ANSWERS: Callable[[Condition], Treatment] = attrgetter("answers")

HEALTHY = Condition()
CUT = Condition(cut=True)


class Proxy:
    """A thread with an event loop of its own; the methods of its links may be called from any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._links: list[Link] = []

    def link(self, name: str, target: Address | None = None) -> Link:
        """A new link, listening on a port of its own; its target can be given later."""
        link = Link(self, name, target)
        self._links.append(link)
        return link

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the proxy's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CONTROL_TIMEOUT_S)

    def close(self) -> None:
        """Cut every link for good and end the thread."""
        for link in self._links:
            link.set(CUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CONTROL_TIMEOUT_S)
        self._loop.close()


class Link:
    """One port, and the server behind it.

    `damaged` counts the pieces that have lost bytes, `swallowed` the pieces that were dropped, `held` those that
    `hold_requests` holds now.
    """

    def __init__(self, proxy: Proxy, name: str, target: Address | None, *, seed: int = 1) -> None:
        self.name = name
        (self.port,) = free_ports(1)
        self.damaged = self.swallowed = self.held = 0
        self.chance = random.Random(f"{seed}/{name}")
        self.condition = HEALTHY
        self.changed = asyncio.Event()
        self.target = target
        self.connections: set[_Connection] = set()
        self._proxy = proxy
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        proxy.call(self._set(HEALTHY))

    @property
    def address(self) -> str:
        """`host:port`, for clients."""
        return f"127.0.0.1:{self.port}"

    def set(self, condition: Condition) -> None:
        """Change what happens to all connections, old and new, and return when it does."""
        self._proxy.call(self._set(condition))

    def heal(self) -> None:
        """Pass all bytes on again. Held bytes are passed on; connections that lost whole pieces are reset."""
        self.set(HEALTHY)

    def hold_requests(self) -> None:
        """Hold the bytes for the server on the present connections until `release`; new connections are not held."""
        self._proxy.call(self._set_held(held=True))

    def release(self) -> None:
        """Pass the held bytes on, even if their connection has ended meanwhile."""
        self._proxy.call(self._set_held(held=False))

    async def _set_held(self, *, held: bool) -> None:
        for connection in self.connections:
            if held:
                connection.passes.clear()
            else:
                connection.passes.set()

    def lead_to(self, target: Address, *, reset: bool = True) -> None:
        """Put another server behind the port. Connections to the former one are reset, unless a test says otherwise."""
        self._proxy.call(self._lead_to(target, reset=reset))

    async def _lead_to(self, target: Address, *, reset: bool) -> None:
        self.target = target
        if reset:
            self._reset(lambda _: True)

    async def _set(self, condition: Condition) -> None:
        self.condition = condition
        # Tasks that wait for the former event wake up and check again.
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        if condition.cut:
            if self._server is not None:
                self._server.close()
                self._server = None
            self._reset(lambda _: True)
            # A connection that was accepted at this moment has not got its task yet.
            await asyncio.sleep(0)
            self._reset(lambda _: True)
        elif self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_PIECE_BYTES)
        if not (condition.requests.swallow or condition.answers.swallow):
            self._reset(lambda connection: connection.has_a_hole)

    def _reset(self, chosen: Callable[[_Connection], bool]) -> None:
        for connection in list(self.connections):
            if chosen(connection):
                connection.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self.connections.add(connection)
        try:
            if not self.condition.cut:
                await connection.run()
        finally:
            connection.reset()
            self.connections.discard(connection)


class _Connection:
    """One client, and its connection to the server."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.has_a_hole = False
        self.passes = asyncio.Event()
        """Cleared while its requests are held."""
        self.passes.set()
        self._link = link
        self._reader = reader
        self._writers = [writer]

    async def run(self) -> None:
        """Pass bytes on until one side has ended and the other side knows it."""
        target = self._link.target
        if target is None:
            return
        (writer,) = self._writers
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            server_reader, server_writer = await asyncio.open_connection(*target, limit=_PIECE_BYTES)
            self._writers.append(server_writer)
            for each in self._writers:
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = [
                asyncio.create_task(self._pass_on(self._reader, server_writer, _REQUESTS)),
                asyncio.create_task(self._pass_on(server_reader, writer, _ANSWERS)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            for each in self._writers:
                # Bytes that were written are sent before the end of the stream.
                await each.drain()
                each.close()
                await each.wait_closed()

    def reset(self) -> None:
        """End both sides at once, unless they have ended already."""
        for writer in self._writers:
            if not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Callable[[Condition], Treatment]
    ) -> None:
        link = self._link
        while True:
            data = await reader.read(_PIECE_BYTES)
            treatment = way(link.condition)
            if treatment.delay_s:
                await asyncio.sleep(treatment.delay_s)
            while (treatment := way(link.condition)).hold or (treatment.swallow and not data):
                self.has_a_hole |= treatment.swallow
                await link.changed.wait()
            if way is _REQUESTS and not self.passes.is_set():
                link.held += 1
                await self.passes.wait()
                link.held -= 1
            if not data:
                return
            if treatment.swallow:
                self.has_a_hole = True
                link.swallowed += 1
                continue
            if treatment.damage and link.chance.random() < treatment.damage:
                data = without_some(data, link.chance)
                link.damaged += 1
            writer.write(data)
            await writer.drain()


def without_some(data: bytes, chance: random.Random) -> bytes:
    """`data` without a few bytes at a random place."""
    number = chance.randint(1, min(_MOST_LOST_BYTES, len(data)))
    start = chance.randint(0, len(data) - number)
    return data[:start] + data[start + number :]
