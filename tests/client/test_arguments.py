"""Arguments that a client cannot use are refused at once, by an error of the client's; None means not given."""

import asyncio
from collections.abc import Callable
from enum import Enum
from math import inf, nan
from typing import Any

import pytest
from tarantkv import AsyncClient, Client, Policy, errors
from tarantkv.imports import parts
from tarantkv.opening import selected
from tarantkv.transport.with_httpx import AsyncHttpxTransport, HttpxTransport

from tests.client.scripted import Script, ok, problem

WRONG = [
    *(("parallel", value) for value in (0, -1, 1.5, True)),
    *(("batch_keys", value) for value in (0, -1)),
    *(("batch_bytes", value) for value in (0, -1)),
    *(("attempt_s", value) for value in (0, -1, nan, inf)),
    *(("first_wait_s", value) for value in (-1, nan, inf)),
    *(("last_wait_s", value) for value in (-1, nan, inf)),
    *(("jitter", value) for value in (-1, nan, inf)),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_policy_that_would_send_nothing_or_never_wait_is_refused(name: str, value: Any) -> None:
    with pytest.raises(errors.InvalidRequestError, match=name):
        Client("http://127.0.0.1:1", token="t", policy=Policy()._replace(**{name: value}))


class Prefix(str, Enum):  # noqa: UP042 - its text is another one than its value
    USER = "user:"


def test_a_bound_that_is_none_is_not_sent() -> None:
    script = Script(ok({"items": [], "complete": True}))
    script.streams = [[b'{"end":true,"items":0}\n']]
    selection = selected("user:", {"start": None, "end": None, "values": None, "with_": ["version"]})
    script.run(script.calls.scan(None, 10, selection).next())
    assert script.bodies() == [{"prefix": "user:", "with": ["version"], "limit": 10}]
    script.run(script.calls.export(None, None, selected(Prefix.USER, {"end": None, "segment": None})).next())
    assert script.opened[0].path == "/api/export?prefix=user%3A"


@pytest.mark.parametrize("selection", [{"prefix": 5}, {"start": b"a"}, {"end": "\ud800"}, {"values": "no"}])
def test_an_export_sends_no_selector_of_another_type_as_a_text(selection: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidRequestError, match=next(iter(selection))):
        Script(ok()).calls.export(None, None, selection)


def test_an_export_that_could_not_begin_raises_the_same_errors_as_other_calls() -> None:
    script = Script(ok())
    refused = problem(400, "invalid-request", detail="the cursor is not one that this server has made")
    script.stream_status, script.streams = 400, [[refused.body]]
    with pytest.raises(errors.InvalidRequestError, match="not one that this server has made"):
        script.run(script.calls.export("x", "last", {}).next())


LONE = "\ud800"
CALLS: list[Callable[[Script], object]] = [
    lambda script: script.run(script.calls.scan(None, 10, {"prefix": LONE}).next()),
    lambda script: script.run(script.calls.add_user("ada", LONE, [])),
    lambda script: script.run(script.calls.change_user("ada", password=LONE)),
    lambda script: script.run(script.calls.user(LONE)),
    lambda _: list(parts([f'{{"key": "{LONE}"}}'], "name")),
]


@pytest.mark.parametrize("call", CALLS)
def test_half_a_surrogate_pair_is_an_error_of_the_client(call: Callable[[Script], object]) -> None:
    with pytest.raises(errors.InvalidRequestError):
        call(Script(problem(400, "invalid-request")))


@pytest.mark.parametrize("token", ["x\ny", "€", "x "])
def test_a_token_that_is_no_valid_header_is_refused_at_once_by_every_transport(token: str) -> None:
    url = "http://127.0.0.1:1"
    for transport in (None, HttpxTransport(url)):
        with Client(url, token=token, transport=transport) as kv, pytest.raises(errors.InvalidRequestError):
            kv.read(["a"], deadline=1.0)

    async def read() -> None:
        async with AsyncClient(url, token=token, transport=AsyncHttpxTransport(url)) as kv:
            await kv.read(["a"], deadline=1.0)

    with pytest.raises(errors.InvalidRequestError):
        asyncio.run(read())


@pytest.mark.parametrize("url", ["127.0.0.1:8081", "http://", "http://ada:secret@host", "http://a b", "http://host?x"])
def test_an_invalid_address_is_refused_by_both_clients(url: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match="address of an api") as caught:
            kind(url, token="t")
        assert "secret" not in str(caught.value)
