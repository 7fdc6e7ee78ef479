"""Clients that take more than their part, by want of care or by intent: the others must not notice."""

import asyncio
import select
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import httpx
import msgspec
import psutil
import pytest

from loadtest.overload.generator import Orders
from loadtest.overload.tally import Tally
from localcluster.cluster import Cluster
from tests.contract.sending import wait_until_read
from tests.contract.unread import unread_bytes
from tests.faults.load import login
from tests.integration.processes import ApiProcess, manage

PASSWORD = "correct horse battery staple"
SLOW_S = 4.0
"""More than any answer of a system that is busy, on a machine that is busy too; deadlines are 5 s."""

FLOOD_S = 6.0
PAUSE_S = 1.5
HEAD_TIMEOUT_S = 1.0
ANSWERING_BYTES = 32 * 1024 * 1024
SETTINGS = {
    "TARANTKV_MAX_ANSWERING_BYTES": str(ANSWERING_BYTES),
    "TARANTKV_MAX_ANSWER_BYTES": str(ANSWERING_BYTES),
    "TARANTKV_HEAD_TIMEOUT_S": str(HEAD_TIMEOUT_S),
    "TARANTKV_SEND_TIMEOUT_S": "1",
    "TARANTKV_BODY_TIMEOUT_S": "3",
    "TARANTKV_MAX_CONNECTIONS": "300",
    "TARANTKV_MAX_WAIT_S": "0.05",
}


@pytest.fixture(scope="module")
def api(breakable: Cluster) -> Iterator[ApiProcess]:
    breakable.start()
    with ApiProcess(breakable, SETTINGS) as process:
        yield process


@pytest.fixture(scope="module")
def token(breakable: Cluster, api: ApiProcess) -> str:
    return login(api.base_url, breakable.admin_user, breakable.admin_password)


@pytest.fixture(scope="module")
def modest_token(breakable: Cluster, api: ApiProcess) -> str:
    done = manage(breakable, "user-add", "modest", "--scopes", "read,write", password=PASSWORD)
    assert done.returncode == 0, done.stderr
    return login(api.base_url, "modest", PASSWORD)


def connect(api: ApiProcess) -> socket.socket:
    address = urlsplit(api.base_url)
    return socket.create_connection((address.hostname, address.port), 10)


def head(token: str, length: int, path: str = "/api/write") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: {length}\r\n\r\n".encode()


def client(api: ApiProcess, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=api.base_url,
        headers={"Authorization": token},
        timeout=20,
        trust_env=False,
        limits=httpx.Limits(max_connections=None),
    )


async def works(http: httpx.AsyncClient, calls: int) -> float:
    """Write and read one key after the other; returns the longest wait. Every call must succeed."""
    longest = 0.0
    for number in range(calls):
        for path, body in (
            ("write", {"data": {f"modest:{number}": number}}),
            ("read", {"keys": [f"modest:{number}"]}),
        ):
            began = time.monotonic()
            answer = await http.post(f"/api/{path}", json=body)
            longest = max(longest, time.monotonic() - began)
            assert answer.status_code == 200, answer.text
    return longest


def closed_within(connections: Sequence[socket.socket], seconds: float) -> bool:
    """Whether the other end closes every connection in time; what it sends before does not count."""
    end = time.monotonic() + seconds
    for connection in connections:
        while True:
            connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                if not connection.recv(65536):
                    break
            except ConnectionError:
                break
            except TimeoutError:
                return False
    return True


@asynccontextmanager
async def flood(http: httpx.AsyncClient, path: str, body: bytes, clients: int) -> AsyncIterator[list[httpx.Response]]:
    """So many clients that send the same again and again, as soon as they are answered."""
    answers: list[httpx.Response] = []
    flowing = asyncio.Event()

    async def send() -> None:
        while True:
            answers.append(await http.post(path, content=body))
            if len(answers) >= 2 * clients:
                flowing.set()

    tasks = [asyncio.create_task(send()) for _ in range(clients)]
    waiting = asyncio.create_task(flowing.wait())
    try:
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        assert flowing.is_set()
        yield answers
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


REFUSED = 'tarantkv_requests_total{route="/api/write",status="503"}'


async def some_are_refused(http: httpx.AsyncClient) -> None:
    """Wait until the api has counted refusals, which it does once a second."""
    end = time.monotonic() + 10
    while REFUSED not in (await http.get("/metrics")).text:
        assert time.monotonic() < end, "nothing is refused"


def test_one_user_who_offers_far_too_much_fails_nobody_else(api: ApiProcess, token: str, modest_token: str) -> None:
    """What is too much is refused at once, and only to whom it belongs."""
    orders = Orders(
        host="127.0.0.1",
        port=urlsplit(api.base_url).port or 0,
        token=token,
        operation="write",
        batch=200,
        value_bytes=10,
        seconds=FLOOD_S,
        rate=0.0,
        connections=250,
        start_at=0.0,
    )

    async def scenario() -> None:
        async with client(api, modest_token) as modest:
            await works(modest, 1)
            greedy = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "loadtest.overload.generator", stdin=PIPE, stdout=PIPE
            )
            flooding = asyncio.create_task(greedy.communicate(msgspec.json.encode(orders)))
            await some_are_refused(modest)
            assert await works(modest, 5) < SLOW_S
            assert not flooding.done()
            output, _ = await flooding
            tally = msgspec.json.decode(output, type=Tally)
            assert tally.statuses() == [200, 503]
            assert tally.without_retry_after == 0

    asyncio.run(scenario())


def reads(metrics: str) -> float:
    """How many reads were answered, by the api's own count."""
    name = 'tarantkv_requests_total{route="/api/read",status="200"} '
    return next((float(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name)), 0.0)


def test_what_comes_while_redis_pauses_waits_for_it(mended: Cluster) -> None:
    """More than would be let in if Redis were merely slow."""
    token = login(mended.base_url, mended.admin_user, mended.admin_password)
    orders = Orders(
        host="127.0.0.1",
        port=urlsplit(mended.base_url).port or 0,
        token=token,
        operation="mixed",
        batch=20,
        value_bytes=10,
        seconds=4.0,
        rate=250.0,
        connections=1000,
        start_at=0.0,
    )

    async def scenario() -> None:
        async with httpx.AsyncClient(base_url=mended.base_url, trust_env=False) as http:
            before = reads((await http.get("/metrics")).text)
            generator = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "loadtest.overload.generator", stdin=PIPE, stdout=PIPE
            )
            offering = asyncio.create_task(generator.communicate(msgspec.json.encode(orders)))
            end = time.monotonic() + 20
            while reads((await http.get("/metrics")).text) <= before:
                assert time.monotonic() < end
            await asyncio.to_thread(mended.kill, "redis", signal.SIGSTOP)
            await asyncio.sleep(PAUSE_S)
            mended.kill("redis", signal.SIGCONT)
            output, _ = await offering
        tally = msgspec.json.decode(output, type=Tally)
        assert tally.statuses() == [200], (tally.by_second, tally.percentile(503, 0.5), tally.percentile(503, 1))
        assert tally.percentile(200, 1.0) > PAUSE_S

    asyncio.run(scenario())


def test_huge_batches_do_not_starve_small_requests(api: ApiProcess, token: str, modest_token: str) -> None:
    async def scenario() -> None:
        async with client(api, token) as greedy, client(api, modest_token) as modest:
            await works(modest, 1)
            body = b'{"data": {%s}}' % b",".join(b'"huge:%d": "%s"' % (number, b"x" * 90) for number in range(10_000))
            async with flood(greedy, "/api/write", body, 8):
                assert await works(modest, 5) < SLOW_S

    asyncio.run(scenario())


def test_heads_that_never_end_are_cut_off_and_starve_nobody(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(api)) for _ in range(100)]
        began = time.monotonic()
        for connection in slow:
            connection.sendall(b"POST /api/write HTTP/1.1\r\nHost: x\r\nX-Slow: ")

        async def scenario() -> None:
            async with client(api, token) as http:
                assert await works(http, 5) < SLOW_S

        asyncio.run(scenario())
        while time.monotonic() - began < HEAD_TIMEOUT_S / 2:
            for connection in slow:
                connection.sendall(b"x")
        assert closed_within(slow, HEAD_TIMEOUT_S + 5)


def test_fields_that_never_end_do_not_keep_a_connection(api: ApiProcess) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        connection.settimeout(0.02)
        end = time.monotonic() + HEAD_TIMEOUT_S + 5
        while True:
            assert time.monotonic() < end, "still open"
            try:
                connection.sendall(b"X: y\r\n")
                if not connection.recv(100):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break


def test_a_head_has_a_largest_size(api: ApiProcess) -> None:
    with connect(api) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012 - which of the two notices first is chance
            for _ in range(10_000):
                connection.sendall(b"X-Much: " + b"x" * 1000 + b"\r\n")
            connection.recv(1)
            raise ConnectionError


def test_bodies_that_come_byte_by_byte_are_given_up_and_starve_nobody(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(api)) for _ in range(100)]
        for connection in slow:
            connection.sendall(head(token, 1000) + b"{")

        async def scenario() -> None:
            async with client(api, token) as http:
                assert await works(http, 5) < SLOW_S

        asyncio.run(scenario())
        unanswered, end = set(slow), time.monotonic() + 10
        while unanswered:
            assert time.monotonic() < end, f"{len(unanswered)} of them still may go on"
            answered, _, _ = select.select(list(unanswered), [], [], 0.05)
            for connection in answered:
                assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
            unanswered.difference_update(answered)
            for connection in unanswered:
                connection.sendall(b" ")


LARGE_KEYS = [f"large:{number}" for number in range(16)]
"""Of 500 kB each."""

GREEDY = ("one whole request", "a body after its head", "many requests at once", "one request after the other")


def ask_for_much(connection: socket.socket, token: str, way: str) -> None:
    """Ask for 8 MB, or for more of them again and again, and read nothing of it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    if way == "one request after the other":
        ask_for_little_again_and_again(connection, token)
        return
    body = b'{"keys": [%s]}' % b",".join(b'"%s"' % key.encode() for key in LARGE_KEYS)
    first = head(token, len(body), "/api/read")
    if way == "a body after its head":
        connection.sendall(first)
        wait_until_read(connection)
        connection.sendall(body)
    else:
        connection.sendall((first + body) * (50 if way == "many requests at once" else 1))


def ask_for_little_again_and_again(connection: socket.socket, token: str) -> None:
    """Send whole requests for answers that nobody waits for, each when the one before has been read, up to 30 MB."""
    body = b'{"keys": ["small"]}'
    for _ in range(500):
        try:
            connection.sendall(head(token, len(body), "/api/read") + body)
            wait_until(lambda: not unread_bytes(connection), 0.05, "it is not read")
        except (AssertionError, OSError):
            break


@pytest.fixture(scope="module")
def large_values(api: ApiProcess, token: str) -> None:
    value = "x" * 500_000
    with httpx.Client(base_url=api.base_url, headers={"Authorization": token}, timeout=20, trust_env=False) as http:
        for key in LARGE_KEYS:
            assert http.post("/api/write", json={"data": {key: value}}).status_code == 200
        assert http.post("/api/write", json={"data": {"small": value[:60_000]}}).status_code == 200


@pytest.mark.usefixtures("large_values")
@pytest.mark.parametrize("way", GREEDY)
def test_a_client_that_does_not_read_its_answers_is_cut_off(api: ApiProcess, token: str, way: str) -> None:
    with connect(api) as connection:
        ask_for_much(connection, token, way)
        process = psutil.Process(api.pid)

        def open_here() -> bool:
            port = connection.getsockname()[1]
            there = (other.raddr for other in process.net_connections("tcp"))
            return any(address.port == port for address in there if len(address))

        wait_until(open_here, 5, "not connected")
        wait_until(lambda: not open_here(), 10, "still open")


@pytest.mark.usefixtures("large_values")
@pytest.mark.parametrize("way", GREEDY)
def test_answers_that_nobody_reads_take_bounded_memory_and_do_not_keep_others_from_reading(
    api: ApiProcess, token: str, modest_token: str, way: str
) -> None:
    """Clients that ask for 8 MB each and read nothing of it, until they are cut off."""
    process = psutil.Process(api.pid)
    before = process.memory_info().rss
    most = 0
    with ExitStack() as stack:
        for _ in range(15):
            ask_for_much(stack.enter_context(connect(api)), token, way)

        async def scenario() -> None:
            nonlocal most
            async with client(api, modest_token) as modest:
                for _ in range(5):
                    assert await works(modest, 2) < SLOW_S
                    most = max(most, process.memory_info().rss)

        asyncio.run(scenario())
    assert most - before < 5 * ANSWERING_BYTES


def test_idle_connections_beyond_the_limit_make_room_and_starve_nobody(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(api)) for _ in range(1000)]

        async def scenario() -> None:
            async with client(api, token) as http:
                assert await works(http, 5) < SLOW_S

        asyncio.run(scenario())
        assert closed_within(idle[:700], 5)
        idle[-1].sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        idle[-1].settimeout(5)
        assert idle[-1].recv(65536).startswith(b"HTTP/1.1 200 ")


@contextmanager
def busy_connection(api: ApiProcess, token: str) -> Iterator[None]:
    """A connection whose body is waited for; tried again while those of another test still take the room."""
    end = time.monotonic() + 10
    while True:
        with connect(api) as connection:
            connection.settimeout(5)
            connection.sendall(head(token, 10)[:-2] + b"Expect: 100-continue\r\n\r\n")
            if connection.recv(100).startswith(b"HTTP/1.1 100 "):
                yield
                return
        assert time.monotonic() < end


def test_where_no_connection_is_idle_a_new_one_is_refused(api: ApiProcess, token: str) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(busy_connection(api, token))
        late = stack.enter_context(connect(api))
        late.settimeout(5)
        answer = late.recv(65536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"connection: close" in answer


def wait_until(condition: Callable[[], bool], seconds: float, failure: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, failure
        time.sleep(0.02)
