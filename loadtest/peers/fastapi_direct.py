"""FastAPI in front of one Tarantool: one call of a stored procedure for each batch, nothing in between."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asynctnt
from fastapi import FastAPI

from loadtest.peers import contract


class Store:
    """The one connection of this process. asynctnt sends the calls of all requests over it, without waiting."""

    connection: asynctnt.Connection


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    host, _, port = os.environ["PEER_SHARDS"].partition(":")
    Store.connection = asynctnt.Connection(
        host=host, port=int(port), username="peer", password=os.environ["PEER_PASSWORD"], fetch_schema=False
    )
    await Store.connection.connect()
    yield
    await Store.connection.disconnect()


async def _write(pairs: list[tuple[str, Any]]) -> None:
    await Store.connection.call("kv_write", [pairs])


async def _read(keys: list[str]) -> dict[str, Any]:
    (found,) = (await Store.connection.call("kv_read", [keys])).body
    return dict(found)


app = contract.build(_lifespan, _write, _read)
