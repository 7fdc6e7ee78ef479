"""HTTPS, and the faults that only the asynchronous client can meet."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tarantkv import AsyncClient, Client, errors
from tarantkv.transport.with_httpx import HttpxTransport

from localcluster.cluster import Cluster
from tests.client.command import Command
from tests.client.conftest import QUICK
from tests.client.lossy import Fate, LossyProxy
from tests.integration.processes import ApiProcess
from tests.interop.proxies import Certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def secure_url(cluster: Cluster, certificate: Certificate) -> Iterator[str]:
    """The address of an api that speaks HTTPS."""
    settings = {"TARANTKV_TLS_CERT": str(certificate.chain), "TARANTKV_TLS_KEY": str(certificate.key)}
    process = ApiProcess(cluster, settings)
    process.base_url = process.base_url.replace("http:", "https:")
    with process:
        yield process.base_url


def test_each_client_speaks_https_and_checks_the_certificate(
    secure_url: str, certificate: Certificate, token: str, tmp_path: Path
) -> None:
    ours = ssl.create_default_context(cafile=str(certificate.chain))
    hasty = QUICK._replace(deadline_s=0.5)
    for transport in (None, HttpxTransport(secure_url, tls=ours)):
        with Client(secure_url, token=token, tls=ours, transport=transport) as kv:
            assert kv.read(["tls:nobody"]).not_found == ["tls:nobody"]
            assert kv.get("tls:nobody") is None
    with (
        Client(secure_url, token=token, policy=hasty) as kv,
        pytest.raises(errors.UnreachableError, match="certificate"),
    ):
        kv.live()

    async def scenario() -> None:
        async with AsyncClient(secure_url, token=token, tls=ours) as kv:
            assert await kv.get("tls:nobody") is None
        async with AsyncClient(secure_url, token=token, policy=hasty) as kv:
            with pytest.raises(errors.UnreachableError):
                await kv.live()

    asyncio.run(scenario())
    tkv = Command(tmp_path, secure_url, token)
    assert tkv.run("get", "tls:nobody", env={"SSL_CERT_FILE": str(certificate.chain)}).code == 4
    assert tkv.run("get", "tls:nobody", "--deadline", "0.1").code == 5


def test_increments_of_tasks_count_once_however_many_answers_are_lost(
    lossy: LossyProxy, token: str, kv: Client, prefix: str
) -> None:
    rng = random.Random(5)
    lossy.plan = lambda _number, _path: rng.choice([Fate.PASS, Fate.LOSE_ANSWER, Fate.LOSE_REQUEST])

    async def scenario() -> list[int]:
        async with AsyncClient(lossy.url, token=token, policy=QUICK._replace(deadline_s=60.0)) as through:
            return await asyncio.gather(*(through.incr(prefix + "n") for _ in range(20)))

    assert sorted(asyncio.run(scenario())) == list(range(1, 21))
    assert kv.get(prefix + "n") == 20


def test_a_cut_export_continues_and_one_that_cannot_be_resumed_names_its_cursor(
    lossy: LossyProxy, token: str, kv: Client, prefix: str
) -> None:
    kv.write({f"{prefix}{n:03}": "x" * 50 for n in range(200)})
    cuts = iter([100, 5000])

    def plan(_number: int, _path: str) -> Fate:
        lossy.cut_at = next(cuts, None)
        return Fate.PASS if lossy.cut_at is None else Fate.CUT_ANSWER

    lossy.plan = plan

    async def scenario() -> None:
        async with AsyncClient(lossy.url, token=token, policy=QUICK._replace(deadline_s=1.0)) as through:
            export = through.export(prefix)
            assert len([item async for item in export]) == 200
            assert (export.items, export.complete) == (200, True)
            lossy.plan = lambda _number, _path: Fate.CUT_ANSWER
            lossy.cut_at = 3000
            with pytest.raises(errors.ExportBrokenError) as caught:
                async for _ in through.export(prefix):
                    pass
            assert caught.value.last_key is not None

    asyncio.run(scenario())


def test_an_import_reads_an_asynchronous_iterator_and_ends_when_its_task_is_cancelled(
    token: str, kv: Client, cluster: Cluster, prefix: str
) -> None:
    async def lines(count: int) -> AsyncIterator[dict[str, object]]:
        for number in range(count):
            yield {"key": f"{prefix}{number:05}", "value": number}

    async def scenario() -> None:
        async with AsyncClient(cluster.base_url, token=token) as through:
            parts = [part async for part in through.import_lines(lines(6000))]
            assert sorted(part.first_line for part, _ in parts) == [1, 5001]
            assert sum(result.applied for _, result in parts) == 6000
            pages = through.scan(prefix, page_size=4000)
            assert [len(page.items) async for page in pages.pages()] == [4000, 2000]

            async def drained() -> None:
                async for _ in through.import_lines(lines(10**9)):
                    pass

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(drained(), 0.2)
            assert await through.get(prefix + "00001") == 1

    asyncio.run(scenario())
    with pytest.raises(errors.InvalidValueError):
        list(kv.import_lines([{"key": prefix + "a", "value": object()}]))
