"""One generator process: closed-loop, or open-loop at a rate that does not depend on the answers.

Open-loop, every request has a time at which it is due. Its latency counts from that time, even if no connection was
free then, so that the figures have no coordinated omission. The process reads its orders as one JSON object from
standard input and writes a `Tally` as one line to standard output.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from itertools import cycle

import msgspec
import uvloop

from loadtest.overload.requests import Operation, pool
from loadtest.overload.tally import Tally, bucket

GRACE_S = 10.0
"""How long the generator waits for answers after the end; longer than every deadline."""

IDLE_S = 30.0
"""No connection is idle for longer than this: servers close idle connections."""

_TICK_S = 0.002
"""How often an open-loop generator sends and receives; between these times it sleeps. A generator that wakes up for
each of thousands of answers in a second takes processor time from the system, if that runs on the same machine."""


class Orders(msgspec.Struct):
    """What to do. `rate` in requests/s; 0: closed-loop, each connection sends the next request after its answer."""

    host: str
    port: int
    token: str
    operation: Operation
    batch: int
    value_bytes: int
    seconds: float
    rate: float
    connections: int
    start_at: float
    """Unix time; 0: at once."""

    seed: int = 1
    idle: bool = False
    """Use only processor time that other processes leave: real clients run on other machines, but this one shares a
    machine with the system. `Tally.late` shows the effect."""


class Generator:
    """The connections of one process, and the counts of their answers."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.tally = Tally()
        self.began = 0.0
        self.free: deque[Connection] = deque()
        """Free connections; the one used last is at the end."""

        self.due: deque[float] = deque()
        self.under_way = 0
        self.over = False
        made = pool(
            f"{orders.host}:{orders.port}",
            orders.token,
            orders.operation,
            orders.batch,
            orders.value_bytes,
            orders.seed,
        )
        self._requests = cycle(made)
        self._opened = 0

    async def run(self) -> Tally:
        """Send load for the ordered time, then wait for the outstanding answers."""
        await self._open(self.orders.connections)
        if self.orders.start_at:
            await asyncio.sleep(max(0.0, self.orders.start_at - time.time()))
        cpu = time.process_time()
        self.began = time.perf_counter()
        if self.orders.rate:
            await self._offer()
        else:
            for connection in list(self.free):
                self.free.remove(connection)
                self.send(connection, time.perf_counter())
            await asyncio.sleep(self.orders.seconds)
        self.tally.seconds = time.perf_counter() - self.began
        self.over = True
        self.tally.cpu_s = time.process_time() - cpu
        give_up = time.perf_counter() + GRACE_S
        while (self.under_way or (self.due and self.orders.rate)) and time.perf_counter() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # an event would have to be set on the hot path
        return self.tally

    async def _offer(self) -> None:
        """Send each request when it is due. Without a free connection it waits in `due`, and its latency grows."""
        interval = 1 / self.orders.rate
        total = int(self.orders.seconds * self.orders.rate)
        scheduled = 0
        while scheduled < total:
            now = time.perf_counter()
            until = min(total, int((now - self.began) / interval) + 1)
            for number in range(scheduled, until):
                self.due.append(self.began + number * interval)
            self.tally.offered += until - scheduled
            scheduled = until
            while self.due and self.free:
                self.send(self._next_free(now), self.due.popleft())
            await self._tick()

    def _next_free(self, now: float) -> Connection:
        """The connection used last, as most pools choose, or the oldest one if it has been idle for too long."""
        return self.free.popleft() if now - self.free[0].free_since > IDLE_S else self.free.pop()

    async def _tick(self) -> None:
        """Sleep, the event loop included, then receive the answers that have arrived meanwhile."""
        time.sleep(_TICK_S)  # noqa: ASYNC251 - so that no answer wakes this process up
        await asyncio.sleep(0)

    async def _open(self, connections: int) -> None:
        for _ in range(connections):
            await self.connect()

    async def connect(self) -> None:
        """Open one more connection."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: Connection(self), self.orders.host, self.orders.port)
        except OSError:
            self._count(0, time.perf_counter(), time.perf_counter())
            await asyncio.sleep(0.05)
            if not self.over:
                await self.connect()

    def send(self, connection: Connection, due: float) -> None:
        """Send the next request."""
        if self.orders.rate:
            number = bucket(time.perf_counter() - due)
            self.tally.late[number] = self.tally.late.get(number, 0) + 1
        else:
            self.tally.offered += 1
        self.under_way += 1
        connection.send(next(self._requests), due)

    def answered(self, connection: Connection, status: int, due: float, *, retry_after: bool) -> None:
        """Count an answer and use the connection again."""
        self.under_way -= 1
        now = time.perf_counter()
        self._count(status, due, now)
        if status == 503 and not retry_after:
            self.tally.without_retry_after += 1
        if self.orders.rate:
            if self.due:
                self.send(connection, self.due.popleft())
            else:
                self.free.append(connection)
                connection.free_since = now
        elif not self.over:
            self.send(connection, now)

    def lost(self, connection: Connection, due: float | None) -> None:
        """Note that a connection ended. If a request waited on it, that request failed."""
        if due is not None:
            self.under_way -= 1
            self._count(0, due, time.perf_counter())
        elif connection in self.free:
            self.free.remove(connection)
        if not self.over:
            task = asyncio.get_running_loop().create_task(self.connect())
            self._opened += 1
            task.add_done_callback(lambda _: None)

    def _count(self, status: int, due: float, now: float) -> None:
        tally = self.tally
        latency = now - due
        buckets = tally.latencies.setdefault(status, {})
        number = bucket(latency)
        buckets[number] = buckets.get(number, 0) + 1
        second = int(now - self.began)
        counts = tally.by_second.setdefault(second, {})
        counts[status] = counts.get(status, 0) + 1
        if latency > tally.slowest_by_second.get(second, 0.0):
            tally.slowest_by_second[second] = latency


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._due: float | None = None
        self._missing = 0
        self._answer = b""
        self.free_since = time.perf_counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become free for a request, or send the next one at once in a closed loop."""
        self._transport = transport
        generator = self._generator
        if generator.orders.rate or not generator.began:
            generator.free.append(self)
        else:
            generator.send(self, time.perf_counter())

    def send(self, request: bytes, due: float) -> None:
        """Send one request."""
        self._due = due
        self._transport.write(request)  # type: ignore[attr-defined]  # what create_connection gives can write

    def data_received(self, data: bytes) -> None:
        """Receive a piece of an answer."""
        if self._missing:
            self._missing -= len(data)
            if not self._missing:
                self._finish()
            return
        answer = self._answer + data if self._answer else data
        end = answer.find(b"\r\n\r\n")
        if end < 0:
            self._answer = answer
            return
        head = answer[: end + 2]
        start = head.index(b"content-length: ") + 16
        length = int(head[start : head.index(b"\r\n", start)])
        self._answer = head
        self._missing = end + 4 + length - len(answer)
        if not self._missing:
            self._finish()

    def _finish(self) -> None:
        head, due = self._answer, self._due
        self._answer, self._due = b"", None
        if due is not None:
            self._generator.answered(self, int(head[9:12]), due, retry_after=b"retry-after: " in head)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """Report a lost connection to the generator."""
        self._generator.lost(self, self._due)


def main() -> None:
    """Run one phase."""
    orders = msgspec.json.decode(sys.stdin.buffer.read(), type=Orders)
    if orders.idle:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    tally = uvloop.run(Generator(orders).run())
    sys.stdout.buffer.write(msgspec.json.encode(tally) + b"\n")


if __name__ == "__main__":
    main()
