"""One connection over a real socket: how clients end it, and TLS."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.server.connection import Connection
from api.server.serving import Application
from api.server.tls import server_context
from protocol.settings import HttpSettings
from tests.unit.http_corpus import LIVE, request
from tests.unit.memory_server import Server, answers, asgi

HTTP = HttpSettings(head_timeout_s=1, max_connections=4)
LARGE = b"x" * 3_000_000


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, int]]:
    """A server on a port of its own."""
    server = Server(HTTP)
    server.serving.tls = context
    config = SimpleNamespace(loaded_app=Application(asgi, server.serving))
    loop = asyncio.get_running_loop()
    factory = cast("Callable[[], asyncio.Protocol]", lambda: Connection(config, server.state))
    listener = await loop.create_server(factory, "127.0.0.1", 0)
    try:
        yield server, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def statuses(received: bytes) -> list[int]:
    return [status for status, _, _ in answers(received)]


def run(scenario: object) -> None:
    uvloop.run(asyncio.wait_for(scenario(), 30))  # type: ignore[operator]


def test_a_client_that_closes_its_sending_side_gets_its_answers() -> None:
    async def scenario() -> None:
        async with listening() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request() + LIVE)
            writer.write_eof()
            assert statuses(await reader.read()) == [200, 200]
            writer.close()

    run(scenario)


def test_a_client_gets_its_rejection_even_if_it_continues_to_send() -> None:
    async def scenario() -> None:
        async with listening() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /api/write HTTP/1.1\r\n\r\n" + LARGE)
            assert statuses(await reader.read()) == [400]
            writer.close()

    run(scenario)


def test_the_request_of_a_crashed_client_is_finished_and_its_connection_closed() -> None:
    async def scenario() -> None:
        async with listening() as (server, port):
            server.endpoint.may_answer.clear()
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request())
            while not server.endpoint.asked:  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.001)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
            while server.connections._all:  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.001)
            assert server.state.connections, "the process waits for the request"
            server.endpoint.may_answer.set()
            while server.state.connections or server.state.tasks:  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.001)
            assert server.metrics.counted == [("/api/write", 200)]
            assert server.budget.held == 0

    run(scenario)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context with a certificate of `localhost`, and a client's that trusts it."""
    directory: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = directory / "cert.pem", directory / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return server_context(str(certificate), str(private)), ssl.create_default_context(cafile=str(certificate))


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def test_requests_and_large_answers_go_over_tls(contexts: Contexts) -> None:
    def client(port: int) -> bytes:
        # A plain socket: asyncio's client loses what it has not read when its server closes the connection.
        with (
            socket.create_connection(("127.0.0.1", port), 20) as raw,
            contexts[1].wrap_socket(raw, server_hostname="localhost") as secured,
        ):
            sent = request()
            for piece in (sent, sent[:20], sent[20:], sent.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost")):
                secured.sendall(piece)
            received = b""
            while piece := secured.recv(1 << 20):
                received += piece
            return received

    async def scenario() -> None:
        async with listening(contexts[0]) as (server, port):
            server.endpoint.body = LARGE
            received = answers(await asyncio.to_thread(client, port))
            assert [(status, body) for status, _, body in received] == [(200, LARGE)] * 3

    run(scenario)


@pytest.mark.parametrize("end", ["of TLS", "of TCP"])
def test_a_client_that_closes_its_sending_side_gets_its_answer_over_tls(contexts: Contexts, end: str) -> None:
    async def scenario() -> None:
        async with listening(contexts[0]) as (server, port):
            server.endpoint.may_answer.clear()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = contexts[1].wrap_bio(incoming, outgoing, server_hostname="localhost")
            while True:
                with suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
                writer.write(outgoing.read())
                incoming.write(await reader.read(1 << 16))
            tls.write(request())
            if end == "of TLS":
                with suppress(ssl.SSLWantReadError):
                    tls.unwrap()
            writer.write(outgoing.read())
            if end == "of TCP":
                writer.write_eof()
            (connection,) = server.state.connections
            while not (connection._ended and server.endpoint.asked):  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.001)
            server.endpoint.may_answer.set()
            incoming.write(await reader.read())
            assert statuses(tls.read(1 << 16)) == [200]
            writer.close()

    run(scenario)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", LIVE], ids=["nothing", "the beginning of a hello", "no TLS"])
def test_a_handshake_counts_as_a_connection_and_has_a_timeout(contexts: Contexts, sent: bytes) -> None:
    async def scenario() -> None:
        async with listening(contexts[0]) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while not server.connections._all:  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.001)
            writer.write(sent)
            with pytest.raises((ConnectionError, EOFError)):  # noqa: PT012 - whichever end comes first
                await reader.read()
                raise EOFError
            writer.close()
            while server.state.connections:  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.001)
            assert not server.connections._all

    run(scenario)


def test_handshakes_are_bounded_by_the_number_of_connections(contexts: Contexts) -> None:
    async def scenario() -> None:
        async with listening(contexts[0]) as (server, port):
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(HTTP.max_connections + 1)]
            reader, _ = held[-1]
            assert await reader.read() == b""
            assert len(server.connections._all) == HTTP.max_connections
            for _, writer in held:
                writer.close()

    run(scenario)
