"""Each limit is a setting: an api with small limits refuses requests beyond them."""

import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from tests.contract.calls import MSGPACK, Api, json_body
from tests.contract.problems import assert_usable, pointers, problem_of
from tests.integration.conftest import LIMITS
from tests.integration.processes import ApiProcess

FreshKey = Callable[[], str]
MAX_BODY_BYTES = int(LIMITS["TARANTKV_MAX_BODY_BYTES"])
MAX_ANSWER_BYTES = int(LIMITS["TARANTKV_MAX_ANSWER_BYTES"])
MAX_VALUE_BYTES = int(LIMITS["TARANTKV_MAX_VALUE_BYTES"])
TEXT_HEAD = 3
"""Bytes before a text of some hundred bytes in MessagePack."""


def drops(body: bytes) -> Iterator[bytes]:
    """A body in many small chunks."""
    for start in range(0, len(body), 100):
        yield body[start : start + 100]


@pytest.mark.parametrize("as_", ["application/json", MSGPACK])
def test_an_answer_of_the_most_bytes_is_sent_and_a_larger_one_is_refused(
    strict: Api, fresh_key: FreshKey, as_: str
) -> None:
    most, last = fresh_key(), fresh_key()
    strict.write({most: "x" * (MAX_ANSWER_BYTES - 600 - TEXT_HEAD), last: "x" * (600 - TEXT_HEAD)})
    assert strict.read(most, last, as_=as_).keys() == {most, last}
    strict.write({last: "x" * (601 - TEXT_HEAD)})
    answer = strict.post("read", json_body({"keys": [most, last]}), {"accept": as_})
    problem_of(answer, "answer-too-large", f"{MAX_ANSWER_BYTES + 1} bytes, {MAX_ANSWER_BYTES} are allowed")
    assert_usable(strict, answer)
    assert strict.read(most, as_=as_).keys() == {most}


@pytest.mark.parametrize("chunked", ["with a length", "chunked"])
def test_the_limit_of_a_body_is_a_setting(strict: Api, fresh_key: FreshKey, chunked: str) -> None:
    def sent(size: int) -> Iterator[bytes] | bytes:
        body = json_body({"data": {fresh_key(): 1}}).ljust(size)
        return drops(body) if chunked == "chunked" else body

    assert strict.post("write", sent(MAX_BODY_BYTES)).status_code == 200
    answer = strict.post("write", sent(MAX_BODY_BYTES + 1))
    problem_of(answer, "body-too-large", str(MAX_BODY_BYTES))
    assert_usable(strict, answer)


def test_the_limit_of_keys_is_a_setting(strict: Api, fresh_key: FreshKey) -> None:
    keys = [fresh_key() for _ in range(11)]
    strict.write(dict.fromkeys(keys[:10], 1))
    problem = problem_of(strict.post("write", json_body({"data": dict.fromkeys(keys, 1)})), "too-many-keys", "11 keys")
    assert pointers(problem) == ["#/data"]


def test_the_limit_of_a_key_is_a_setting(strict: Api) -> None:
    strict.write({"k" * 64: 1})
    problem_of(strict.post("write", json_body({"data": {"k" * 65: 1}})), "invalid-key", "65 bytes, 1 to 64")


def test_the_limit_of_a_value_is_a_setting(strict: Api, fresh_key: FreshKey) -> None:
    key = fresh_key()
    strict.write({key: "x" * (MAX_VALUE_BYTES - TEXT_HEAD)})
    answer = strict.post("write", json_body({"data": {key: "x" * (MAX_VALUE_BYTES - TEXT_HEAD + 1)}}))
    problem_of(answer, "invalid-value", f"{MAX_VALUE_BYTES + 1} bytes")


def test_a_body_that_does_not_arrive_times_out_and_the_connection_stays_open(
    strict_api: ApiProcess, token: str
) -> None:
    address = urlsplit(strict_api.base_url)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        head = f"POST /api/read HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 10\r\n\r\n"
        connection.sendall(head.encode() + b"12345")
        answer = _one_answer(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"type":"urn:tarant-kv:problem:body-timeout"' in answer
        connection.sendall(b"67890GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert _one_answer(connection).startswith(b"HTTP/1.1 200 ")


def _one_answer(connection: socket.socket) -> bytes:
    """Read one answer, which must have a Content-Length."""
    answer = b""
    while True:
        head, separator, body = answer.partition(b"\r\n\r\n")
        if separator:
            (length,) = [
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ]
            if len(body) >= length:
                return answer
        piece = connection.recv(65536)
        assert piece, answer
        answer += piece
