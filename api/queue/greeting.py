"""Finds out which instance listens at a shard's address, by Tarantool's greeting.

This is the only thing that the api learns without Redis and workers: if two clusters use one Redis by mistake, no
message through Redis can prove which of them its settings mean.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from contextlib import suppress

GREETING_BYTES = 128
"""The server sends it before any request; its first line ends with the instance's UUID."""

TIMEOUT_S = 1.0

_FIRST_LINE = re.compile(rb"Tarantool \S+ \(Binary\) ([0-9a-f-]{36})")


async def instances_at(addresses: Iterable[tuple[str, int]]) -> frozenset[str] | None:
    """The UUIDs of the instances at a shard's addresses; None unless all of them could be asked."""
    found = await asyncio.gather(*(_instance_at(host, port) for host, port in addresses))
    known = frozenset(uuid for uuid in found if uuid is not None)
    return known if len(found) and None not in found else None


async def _instance_at(host: str, port: int) -> str | None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                greeting = await reader.readexactly(GREETING_BYTES)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    match = _FIRST_LINE.match(greeting)
    return match[1].decode() if match is not None else None
