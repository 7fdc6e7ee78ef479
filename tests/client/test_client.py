"""Every call against a running system, by each front end and transport."""

import asyncio
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from tarantkv import AsyncClient, Client, errors
from tarantkv.transport.with_httpx import AsyncHttpxTransport, HttpxTransport

from tests.client.conftest import QUICK, NewClient
from tests.client.lossy import LossyProxy
from tests.contract.calls import Api
from tests.contract.conftest import Service
from tests.contract.samples import JSON_VALUES, same
from tests.integration.conftest import User

HOSTILE_KEYS = [" ", "\0", "a\nb", "../..", "%2F", "é", "e\u0301", "\U0001f600", "\u202etxt", "x" * 1024, '"}{', "-"]


class Blocking:
    """The asynchronous client with the calls of the synchronous one: both must do the same."""

    def __init__(self, url: str, token: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._kv = AsyncClient(url, token=token, policy=QUICK)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._kv, name)

        def call(*arguments: Any, **options: Any) -> Any:
            made = found(*arguments, **options)
            if hasattr(made, "__aiter__"):
                return self._drained(made)
            return self._loop.run_until_complete(made)

        return call

    def _drained(self, items: Any) -> list[Any]:
        async def drain() -> list[Any]:
            return [item async for item in items]

        return self._loop.run_until_complete(drain())

    def end(self) -> None:
        self._loop.run_until_complete(self._kv.close())
        self._loop.close()


@contextmanager
def with_httpx(url: str, token: str) -> Iterator[Client]:
    with Client(url, token=token, transport=HttpxTransport(url), policy=QUICK) as kv:
        yield kv


@contextmanager
def plain(url: str, token: str) -> Iterator[Client]:
    with Client(url, token=token, policy=QUICK) as kv:
        yield kv


@contextmanager
def asynchronous(url: str, token: str) -> Iterator[Blocking]:
    kv = Blocking(url, token)
    try:
        yield kv
    finally:
        kv.end()


@pytest.fixture(params=[plain, with_httpx, asynchronous], ids=lambda make: make.__name__)
def any_kv(request: pytest.FixtureRequest, service: Service, token: str) -> Iterator[Any]:
    with request.param(service.base_url, token) as kv:
        yield kv


def test_each_call_does_what_its_name_says(any_kv: Any, prefix: str) -> None:
    a, b, c = (prefix + name for name in "abc")
    versions = any_kv.write({a: 1, b: {"x": [None, 2.5]}}, ttl=60, options={b: {"ttl": None}}, versions=True)
    found = any_kv.read([a, b, c], with_=["version", "expires_at"])
    assert (found.data, found.not_found) == ({a: 1, b: {"x": [None, 2.5]}}, [c])
    assert {key: meta.version for key, meta in found.meta.items()} == versions
    assert found.meta[a].expires_at is not None
    assert found.meta[b].expires_at is None
    with pytest.raises(errors.ConditionFailedError) as caught:
        any_kv.write({a: 2, c: 3}, if_="absent")
    assert (caught.value.failed, caught.value.applied) == ({a: "condition_failed"}, [c])
    assert caught.value.current == {a: {"version": versions[a]}}
    assert any_kv.touch(a, prefix + "nobody", ttl=None) == (1, [prefix + "nobody"])
    assert any_kv.incr(prefix + "n", 5, initial=10) == 15
    with pytest.raises(errors.ConditionFailedError) as caught:
        any_kv.increment({prefix + "n": 1, b: 1}, max=100)
    assert caught.value.data == {prefix + "n": 16}
    assert any_kv.get(a) == 1
    assert any_kv.get(prefix + "nobody", "x") == "x"
    assert any_kv.delete(a, b, prefix + "nobody") == 2
    assert any_kv.ready().shards_down == []
    assert "tarantkv_requests_total" in any_kv.metrics()


def test_more_keys_than_fit_into_a_request_are_written_scanned_exported_and_deleted(any_kv: Any, prefix: str) -> None:
    data = {f"{prefix}{n:05}": n for n in range(10_500)}
    any_kv.write(data)
    assert {item.key: item.value for item in any_kv.scan(prefix, page_size=4000)} == data
    assert [item.key for item in any_kv.scan(prefix, page_size=10_000, reverse=True, values=False)] == sorted(data)[
        ::-1
    ]
    exported = any_kv.export(prefix)
    assert {item.key: item.value for item in exported} == data
    assert any_kv.delete(*data) == len(data)


def test_unusual_keys_and_values_come_back_unchanged(any_kv: Any, prefix: str) -> None:
    values = [value for value in JSON_VALUES.values() if not isinstance(value, str) or value.isascii()]
    values += ["\0", "\u2028", "\U0001f600", b"\xff\x00", {1: b"x", (1, 2): "y"}, float(2**63)]
    data = {f"{prefix}{(HOSTILE_KEYS[n % len(HOSTILE_KEYS)])[:900]}{n}": value for n, value in enumerate(values)}
    any_kv.write(data)
    found = any_kv.read(data).data
    assert found.keys() == data.keys()
    assert all(same(found[key], value) for key, value in data.items())
    scanned = {item.key: item.value for item in any_kv.scan(prefix)}
    assert all(same(scanned[key], value) for key, value in data.items())
    exported = {item.key: item.value for item in any_kv.export(prefix)}
    assert all(same(exported[key], value) for key, value in data.items())


def test_an_export_can_be_imported(any_kv: Any, kv: Client, prefix: str) -> None:
    data = {f"{prefix}{n}": value for n, value in enumerate([1, "x", b"\xff", {"a": None}])}
    kv.write(data)
    items = list(kv.export(prefix))
    kv.delete(*data)
    ((part, result),) = any_kv.import_lines([*items, {"key": prefix + "no"}, b'{"end": true, "items": 4}'])
    assert (part.first_line, result.lines, result.applied) == (1, 5, 4)
    assert [line["line"] for line in result.rejected] == [5]
    assert kv.read(data).data == data


def test_a_scan_continues_where_another_client_has_ended(kv: Client, new_client: NewClient, prefix: str) -> None:
    kv.write({f"{prefix}{n}": n for n in range(9)})
    scan = kv.scan(prefix, page_size=3)
    pages = scan.pages()
    first = next(pages)
    next(pages)
    assert scan.cursor == first.cursor
    rest = new_client().scan(cursor=scan.cursor, page_size=100)
    assert [item.value for item in rest] == [3, 4, 5, 6, 7, 8]


def test_threads_share_a_client(kv: Client, prefix: str) -> None:
    def count() -> None:
        for _ in range(10):
            kv.incr(prefix + "n")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kv.get(prefix + "n") == 80


def test_a_forked_process_and_its_parent_do_not_get_each_others_answers(kv: Client, prefix: str) -> None:
    kv.write({prefix + "a": "a", prefix + "b": "b"})
    kv.get(prefix + "a")

    def child() -> None:
        for _ in range(50):
            assert kv.get(prefix + "b") == "b"

    processes = [multiprocessing.get_context("fork").Process(target=child) for _ in range(3)]
    for process in processes:
        process.start()
    for _ in range(50):
        assert kv.get(prefix + "a") == "a"
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_an_asyncio_client_can_be_used_in_another_event_loop(service: Service, token: str, prefix: str) -> None:
    kv = AsyncClient(service.base_url, token=token)
    for number in range(3):
        assert asyncio.run(kv.incr(prefix + "n")) == number + 1

    async def end() -> None:
        await kv.live()
        await kv.close()

    asyncio.run(end())
    with pytest.raises(errors.ClosedError):
        asyncio.run(kv.live())


def test_a_closed_client_makes_no_calls(new_client: NewClient) -> None:
    kv = new_client()
    kv.live()
    kv.close()
    with pytest.raises(errors.ClosedError):
        kv.live()


def test_a_token_that_was_revoked_is_replaced_once_by_all_threads(
    new_client: NewClient, reader: User, service: Service, prefix: str
) -> None:
    asked = []

    def credentials() -> Any:
        asked.append(1)
        return reader.name, reader.password

    kv = new_client(credentials=credentials)
    kv.get(prefix + "a")
    with Api(service.base_url, kv.token) as other:
        assert other.post("logout").status_code == 200
    threads = [threading.Thread(target=kv.get, args=(prefix + "a",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kv.get(prefix + "a") is None
    assert len(asked) == 2


def test_a_missing_scope_is_an_error_of_its_own(new_client: NewClient, reader: User, prefix: str) -> None:
    kv = new_client(username=reader.name, password=reader.password)
    with pytest.raises(errors.ForbiddenError) as caught:
        kv.set(prefix + "a", 1)
    assert caught.value.failed == {prefix + "a": "not_applied"}


def test_a_wrong_password_and_an_address_without_a_server_are_different_errors(new_client: NewClient) -> None:
    with pytest.raises(errors.UnauthorizedError):
        new_client(username="nobody-has-this-name", password="wrong-password").login()
    with pytest.raises(errors.UnreachableError):
        new_client("http://127.0.0.1:1", policy=QUICK._replace(deadline_s=0.05)).live()


def test_a_token_is_invalid_after_a_logout(new_client: NewClient, reader: User) -> None:
    kv = new_client(username=reader.name, password=reader.password)
    token = kv.login()
    kv.logout()
    with pytest.raises(errors.UnauthorizedError):
        new_client(token=token).read(["a"])


def test_a_given_httpx_client_is_used_and_left_open(service: Service, token: str) -> None:
    with httpx2.Client() as http:
        with Client(service.base_url, token=token, transport=HttpxTransport(service.base_url, client=http)) as kv:
            assert kv.live()["status"] == "live"
        assert not http.is_closed

    async def scenario() -> None:
        async with httpx2.AsyncClient() as http:
            transport = AsyncHttpxTransport(service.base_url, client=http)
            async with AsyncClient(service.base_url, token=token, transport=transport) as kv:
                assert (await kv.live())["status"] == "live"
            assert not http.is_closed

    asyncio.run(scenario())


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch, lossy: LossyProxy
) -> None:
    monkeypatch.setenv("http_proxy", lossy.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    new_client().live()
    assert not lossy.seen
    new_client("http://tarantkv.invalid/").live()
    assert [path for path, _, _ in lossy.seen] == ["/health/live"]


@pytest.mark.parametrize("url", ["", "127.0.0.1:8081", "ftp://x", "http://", "http://x?y"])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Client(url, token="t")
