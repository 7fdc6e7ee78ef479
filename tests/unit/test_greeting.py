"""What Tarantool's greeting says about the instance at an address."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from api.queue import greeting
from api.queue.greeting import instances_at

ONE, TWO = "7170b4e1-64f8-4a0c-b4f0-0123456789ab", "7170b4e1-64f8-4a0c-b4f0-0123456789ac"


def greeting_of(uuid: str, version: str = "2.6.0") -> bytes:
    return f"Tarantool {version} (Binary) {uuid}".encode().ljust(63) + b"\n" + b"c2FsdA==".ljust(63) + b"\n"


def ask(*greetings: bytes | None) -> frozenset[str] | None:
    """Ask servers that send these, or refuse the connection."""

    async def run() -> frozenset[str] | None:
        servers: list[asyncio.Server] = []
        addresses: list[tuple[str, int]] = []
        for data in greetings:
            server = await asyncio.start_server(_sending(data or b""), "127.0.0.1", 0)
            addresses.append(server.sockets[0].getsockname())
            servers.append(server)
            if data is None:
                server.close()
        found = await instances_at(addresses)
        for server in servers:
            server.close()
        return found

    return asyncio.run(run())


def _sending(data: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return connected


@pytest.mark.parametrize("version", ["2.6.0", "3.8.0", "3.0.0-entrypoint-1"])
def test_every_instance_sends_its_uuid(version: str) -> None:
    assert ask(greeting_of(ONE, version), greeting_of(TWO, version)) == frozenset({ONE, TWO})


@pytest.mark.parametrize(
    "silent",
    [[greeting_of(ONE), None], [b"+OK " * 32], [b"Tarantool"], [b"Tarantool 2.6.0 (Lua console)".ljust(128)], []],
)
def test_nothing_is_known_unless_every_instance_sends_its_uuid(
    silent: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greeting, "TIMEOUT_S", 0.1)
    assert ask(*silent) is None
