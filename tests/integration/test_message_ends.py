"""Where a request ends: the api never guesses, and answers the following request next."""

import json
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.contract.calls import json_body
from tests.integration.conftest import NewApi
from tests.integration.processes import ApiProcess
from tests.integration.request_log import logged
from tests.integration.wire import Answer, Wire, chunks, request

FreshKey = Callable[[], str]
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
READ = b'{"keys": ["ends:nothing"]}'

WAYS = pytest.mark.parametrize("way", ["whole", "in pieces"])


def pieces(sent: bytes, way: str) -> list[bytes]:
    """A request as bytes."""
    head, end, body = sent.partition(b"\r\n\r\n")
    return [sent] if way == "whole" else [head + end, body]


@pytest.fixture
def wire(strict_api: ApiProcess) -> Iterator[Wire]:
    with Wire(strict_api.base_url) as wire:
        yield wire


@WAYS
@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "x"])
def test_an_upgrade_is_ignored_and_the_body_is_read(
    wire: Wire, token: str, fresh_key: FreshKey, upgrade: str, way: str
) -> None:
    key = fresh_key()
    headers = {"Authorization": token, "Connection": "Upgrade", "Upgrade": upgrade}
    assert wire.ask(*pieces(request("/api/write", json_body({"data": {key: 1}}), headers), way)).status == 200
    # If the api skipped the body, it would read these bytes as a request.
    inner = request("/api/write", json_body({"data": {key: 2}}), {"Authorization": token})
    assert wire.ask(*pieces(request("/api/read", inner, headers), way)).status == 400
    found = wire.ask(request("/api/read", json_body({"keys": [key]}), {"Authorization": token}))
    assert json.loads(found.body)["data"] == {key: 1}


@WAYS
def test_a_trailer_does_not_count_as_a_header(wire: Wire, token: str, way: str) -> None:
    coded = chunks(READ, 7).removesuffix(b"\r\n") + f"Authorization: {token}\r\n\r\n".encode()
    sent = request("/api/read", coded, {"Transfer-Encoding": "chunked", "Trailer": "Authorization"})
    assert wire.ask(*pieces(sent, way)).status == 401
    assert wire.ask(LIVE).status == 200


@WAYS
def test_a_trailer_does_not_change_the_clients_address(
    new_api: NewApi, token: str, fresh_key: FreshKey, way: str
) -> None:
    process = new_api(TARANTKV_ACCESS_LOG="all", TARANTKV_TRUSTED_PROXIES="127.0.0.1")
    request_id = fresh_key()
    coded = chunks(READ, 100).removesuffix(b"\r\n") + b"X-Forwarded-For: 203.0.113.7\r\n\r\n"
    headers = {"Authorization": token, "Transfer-Encoding": "chunked", "X-Request-Id": request_id}
    with Wire(process.base_url) as wire:
        assert wire.ask(*pieces(request("/api/read", coded, headers), way)).status == 200
    (line,) = logged(process, request_id)
    assert line["client"] == "127.0.0.1"


AMBIGUOUS = {
    "a length and chunks": (400, "Content-Length: 5\r\nTransfer-Encoding: chunked"),
    "two lengths": (400, "Content-Length: 5\r\nContent-Length: 5"),
    "a list of lengths": (400, "Content-Length: 5, 5"),
    "a length with a sign": (400, "Content-Length: +5"),
    "a length with a zero before it": (400, "Content-Length: 05"),
    "an unknown coding": (501, "Transfer-Encoding: x"),
    "a coding before chunks": (501, "Transfer-Encoding: gzip, chunked"),
    "chunks twice": (400, "Transfer-Encoding: chunked, chunked"),
    "a folded line": (400, "Content-Length: 5\r\nX: a\r\n b"),
    "a space before a colon": (400, "Content-Length : 5"),
    "a bare line feed": (400, "Content-Length: 5\nX: a"),
    "a bare carriage return": (400, "Content-Length: 5\rX: a"),
    "NUL": (400, "Content-Length: 5\r\nX: \0"),
    "two hosts": (400, "Content-Length: 5\r\nHost: y"),
    "two keys": (400, "Content-Length: 5\r\nIdempotency-Key: a\r\nIdempotency-Key: b"),
    "two tokens": (400, "Content-Length: 5\r\nAuthorization: b"),
    "another expectation": (417, "Content-Length: 5\r\nExpect: x"),
    "a head that is too large": (431, "Content-Length: 5\r\nX: " + "x" * 70_000),
    "too many fields": (431, "Content-Length: 5" + "\r\nX: x" * 300),
}


@WAYS
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_requests_are_refused_and_end_their_connection(wire: Wire, token: str, name: str, way: str) -> None:
    status, lines = AMBIGUOUS[name]
    head = f"POST /api/read HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n{lines}\r\n\r\n".encode("latin-1")
    wire.send(*pieces(head + b"0\r\n\r\n", way))
    assert_problem(wire.answer(), status)
    assert wire.is_closed()


def assert_problem(answer: Answer, status: int) -> None:
    """Check that an answer is a problem document with the headers of all answers."""
    assert answer.status == status
    assert answer.header(b"content-type") == b"application/problem+json"
    assert answer.header(b"cache-control") == b"no-store"
    document = json.loads(answer.body)
    assert document["status"] == status
    assert document["request_id"].encode() == answer.header(b"x-request-id")


NO_REQUEST = {
    "no HTTP": (400, b"no HTTP\r\n\r\n"),
    "TLS": (400, bytes.fromhex("16030100050100000103")),
    "a proxy's request": (501, b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a target that is too long": (414, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
}


@pytest.mark.parametrize("name", NO_REQUEST)
def test_a_malformed_request_after_a_valid_one_is_answered_second(
    wire: Wire, token: str, fresh_key: FreshKey, name: str
) -> None:
    status, behind = NO_REQUEST[name]
    key = fresh_key()
    wire.send(request("/api/write", json_body({"data": {key: 1}}), {"Authorization": token}) + behind)
    assert wire.answer().status == 200
    assert_problem(wire.answer(), status)
    assert wire.is_closed()


@WAYS
def test_a_client_that_closes_its_sending_side_gets_its_answer(
    wire: Wire, token: str, fresh_key: FreshKey, way: str
) -> None:
    key = fresh_key()
    wire.send(*pieces(request("/api/write", json_body({"data": {key: 1}}), {"Authorization": token}), way))
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.answer().status == 200
    assert wire.is_closed()


def test_all_requests_before_the_end_of_the_clients_stream_are_answered(wire: Wire, token: str) -> None:
    wire.send(request("/api/read", READ, {"Authorization": token}) * 3 + LIVE[:-2])
    wire.socket.shutdown(socket.SHUT_WR)
    assert [wire.answer().status for _ in range(3)] == [200] * 3
    assert_problem(wire.answer(), 400)
    assert wire.is_closed()


@pytest.mark.parametrize("target", ["/api/read/", "//api/read", "/api/%72ead", "/API/read", "/api/read;x", "/metrics/"])
def test_a_path_has_one_spelling(wire: Wire, token: str, target: str) -> None:
    answer = wire.ask(request(target, READ, {"Authorization": token}))
    assert_problem(answer, 404)
    assert wire.ask(LIVE).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_another_method_with_a_body_is_not_allowed(wire: Wire, token: str, method: str) -> None:
    wire.send(request("/api/read", READ, {"Authorization": token}, method))
    answer = wire.answer(has_body=method != "HEAD")
    assert (answer.status, answer.header(b"allow")) == (405, b"POST")
    assert wire.ask(request("/api/read", READ, {"Authorization": token})).status == 200


@pytest.mark.parametrize("given", ["two words", "x" * 129, "\xff", ""])
@WAYS
def test_an_invalid_request_id_is_replaced(wire: Wire, token: str, given: str, way: str) -> None:
    sent = request("/api/read", READ, {"Authorization": token, "X-Request-Id": given})
    made = [wire.ask(*pieces(sent, way)).header(b"x-request-id") for _ in range(2)]
    assert all(made)
    assert made[0] != made[1]
    assert given.encode("latin-1") not in made
