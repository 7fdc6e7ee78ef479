"""The limits of bodies, values and answers: the largest that is accepted, and one byte more."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.contract.calls import JSON, MSGPACK, Api, json_body, msgpack_body
from tests.contract.limits import MAX_BODY_BYTES, MAX_VALUE_BYTES
from tests.contract.problems import assert_usable, pointers, problem_of

FreshKey = Callable[[], str]
TEXT_HEAD = 5
"""Bytes before a text of more than 64 KiB in MessagePack."""


def chunked(body: bytes) -> Iterator[bytes]:
    """A body without a length in advance."""
    size = 1 << 20
    for start in range(0, len(body), size):
        yield body[start : start + size]


def as_it_is(body: bytes) -> Iterable[bytes] | bytes:
    """A body with a Content-Length."""
    return body


FRAMINGS = pytest.mark.parametrize("framing", [as_it_is, chunked])
Framing = Callable[[bytes], Iterable[bytes] | bytes]


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_value_of_the_most_bytes_is_stored(api: Api, fresh_key: FreshKey, as_: str) -> None:
    data = {fresh_key(): "x" * (MAX_VALUE_BYTES - TEXT_HEAD)}
    api.write(data, as_=as_)
    assert api.read(*data, as_=as_) == data
    api.delete(*data)


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_value_that_is_one_byte_too_large_is_named(api: Api, fresh_key: FreshKey, as_: str) -> None:
    key = fresh_key()
    document = {"data": {fresh_key(): 1, key: "x" * (MAX_VALUE_BYTES - TEXT_HEAD + 1)}}
    body = json_body(document) if as_ == JSON else msgpack_body(document)
    problem = problem_of(api.post("write", body, {"content-type": as_}), "invalid-value", repr(key))
    assert f"{MAX_VALUE_BYTES + 1} bytes" in problem["detail"]
    assert pointers(problem) == [f"#/data/{key}"]


@FRAMINGS
def test_a_body_of_the_most_bytes_is_accepted(api: Api, fresh_key: FreshKey, framing: Framing) -> None:
    key = fresh_key()
    body = json_body({"data": {key: 1}}).ljust(MAX_BODY_BYTES)
    assert api.post("write", framing(body)).status_code == 200
    assert api.read(key) == {key: 1}


@FRAMINGS
@pytest.mark.parametrize("call", ["write", "read", "delete", "touch", "increment", "login", "logout"])
def test_a_body_that_is_one_byte_too_large_is_refused_and_the_connection_stays_open(
    api: Api, call: str, framing: Framing
) -> None:
    answer = api.post(call, framing(b" " * (MAX_BODY_BYTES + 1)))
    # The limit for login and logout is far lower, and it is not a setting.
    problem_of(answer, "body-too-large", "bytes" if call in ("login", "logout") else str(MAX_BODY_BYTES))
    assert_usable(api, answer)


def test_a_refused_body_takes_no_memory_from_the_next(api: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    for _ in range(3):
        problem_of(api.post("write", chunked(b" " * (MAX_BODY_BYTES + 1))), "body-too-large")
    api.write({key: 1})
    assert api.read(key) == {key: 1}


def test_a_large_body_without_a_token_is_refused_and_the_connection_stays_open(stranger: Api) -> None:
    answer = stranger.post("write", b" " * MAX_BODY_BYTES)
    problem_of(answer, "unauthorized")
    assert_usable(stranger, answer)
