"""A session of aiohttp with its defaults; the first argument is the certificate that it trusts."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator

import aiohttp

from tests.interop.clients.lines import Request, answer, batches, failure, pieces, tell


async def stream(body: bytes) -> AsyncIterator[bytes]:
    for piece in pieces(body):
        yield piece


async def send(session: aiohttp.ClientSession, request: Request) -> str:
    data = stream(request.body) if request.chunked else request.body
    try:
        async with session.request(request.method, request.url, headers=request.headers, data=data) as got:
            return answer(got.status, dict(got.headers), await got.read())
    except aiohttp.ClientError as error:
        return failure(error)


async def main() -> None:
    trusted = ssl.create_default_context(cafile=sys.argv[1])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as session:
        every = batches()
        while (batch := await asyncio.to_thread(next, every, None)) is not None:
            tell(list(await asyncio.gather(*(send(session, request) for request in batch))))


asyncio.run(main())
