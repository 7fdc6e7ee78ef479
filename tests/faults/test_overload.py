"""Clients that send too much, by mistake or on purpose, must not affect other clients."""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE
from urllib.parse import urlsplit

import httpx
import msgspec

from loadtest.overload.generator import Orders
from loadtest.overload.tally import Tally
from localcluster.cluster import Cluster
from tests.faults.load import login
from tests.faults.overloaded import FLOOD_S, PAUSE_S, SLOW_S, client, flood, works
from tests.integration.processes import ApiProcess

REFUSED = 'tarantkv_requests_total{route="/api/write",status="503"}'


async def some_are_refused(http: httpx.AsyncClient) -> None:
    """Wait until the api has counted rejections, which it does once a second."""
    end = time.monotonic() + 10
    while REFUSED not in (await http.get("/metrics")).text:
        assert time.monotonic() < end, "nothing is refused"


def test_requests_of_other_users_succeed_while_one_user_sends_far_too_many(
    api: ApiProcess, token: str, modest_token: str
) -> None:
    """The api rejects the excess at once, and only that of the user who sends it."""
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


def test_requests_during_a_pause_of_redis_wait_for_its_end(mended: Cluster) -> None:
    """The api admits more requests than it would if Redis were only slow."""
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
