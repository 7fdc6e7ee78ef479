"""The same request gets the same answer however it is cut and encoded, and answers come in order."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.contract.calls import MSGPACK, Api, json_body
from tests.integration.conftest import LIMITS, NewUser, login
from tests.integration.processes import ApiProcess
from tests.integration.wire import Answer, Wire, chunks, request

FreshKey = Callable[[], str]
Headers = Mapping[str, str]
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
MAX_BODY_BYTES = int(LIMITS["TARANTKV_MAX_BODY_BYTES"])
READ = b'{"keys": ["direct:nothing"]}'


def in_two(path: str, body: bytes, headers: Headers, at: int) -> list[bytes]:
    """A request in two pieces, cut `at` bytes after its head, or before its end."""
    whole = request(path, body, headers)
    middle = len(whole) - len(body) + at
    return [whole[:middle], whole[middle:]]


def in_chunks(path: str, body: bytes, headers: Headers, size: int) -> list[bytes]:
    return [request(path, chunks(body, size), {**headers, "Transfer-Encoding": "chunked"})]


def byte_by_byte(sent: bytes) -> list[bytes]:
    """The first bytes one by one, and the rest, which may be long, at once."""
    return [*(sent[at : at + 1] for at in range(min(len(sent), 400))), sent[400:]]


WAYS: dict[str, Callable[[str, bytes, Headers], list[bytes]]] = {
    "whole": lambda path, body, headers: [request(path, body, headers)],
    "the body after the head": lambda path, body, headers: in_two(path, body, headers, 0),
    "some of the body with the head": lambda path, body, headers: in_two(path, body, headers, len(body) // 2),
    "all but one byte": lambda path, body, headers: in_two(path, body, headers, len(body) - 1),
    "a head in two pieces": lambda path, body, headers: in_two(path, body, headers, -20),
    "one chunk": lambda path, body, headers: in_chunks(path, body, headers, max(1, len(body))),
    "an empty line first": lambda path, body, headers: [b"\r\n" + request(path, body, headers)],
    "byte by byte": lambda path, body, headers: byte_by_byte(request(path, body, headers)),
    "many chunks": lambda path, body, headers: in_chunks(path, body, headers, 7),
    "a query": lambda path, body, headers: [request(path + "?a=b", body, headers)],
    "an absolute path": lambda path, body, headers: [request("http://x" + path, body, headers)],
    "asked for to be kept alive": lambda path, body, headers: [
        request(path, body, {"Connection": "Keep-Alive", **headers})
    ],
}


@pytest.fixture
def wire(strict_api: ApiProcess) -> Iterator[Wire]:
    """A connection to an api with small limits."""
    with Wire(strict_api.base_url) as wire:
        yield wire


@pytest.fixture
def stored(strict: Api, fresh_key: FreshKey) -> str:
    """An existing key."""
    key = fresh_key()
    strict.write({key: {"a": [1, 1.0, None]}})
    return key


def padded(document: Any, size: int) -> bytes:
    return json_body(document).ljust(size)


REQUESTS: dict[str, tuple[int, str, Callable[[str], bytes], Headers]] = {
    "a write": (200, "write", lambda key: json_body({"data": {key: 1}}), {}),
    "a read": (200, "read", lambda key: json_body({"keys": [key]}), {}),
    "a read of what is not there": (200, "read", lambda key: json_body({"keys": [key + "x"]}), {}),
    "a read as MessagePack": (200, "read", lambda key: json_body({"keys": [key]}), {"Accept": MSGPACK}),
    "a delete": (200, "delete", lambda key: json_body({"keys": [key + "x"]}), {}),
    "an Idempotency-Key": (200, "write", lambda key: json_body({"data": {key: 1}}), {"Idempotency-Key": "one"}),
    "its own request id": (200, "read", lambda key: json_body({"keys": [key]}), {"X-Request-Id": "my-own/id:1"}),
    "a body of the most bytes": (200, "write", lambda key: padded({"data": {key: 1}}, MAX_BODY_BYTES), {}),
    "an upgrade": (
        200,
        "write",
        lambda key: json_body({"data": {key: 1}}),
        {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"},
    ),
    "a compressed body": (415, "write", lambda key: json_body({"data": {key: 1}}), {"Content-Encoding": "gzip"}),
    "nothing": (400, "write", lambda _: b"", {}),
    "no JSON": (400, "write", lambda _: b"{", {}),
    "an empty batch": (400, "delete", lambda _: b'{"keys": []}', {}),
    "a header that is not valid": (
        400,
        "write",
        lambda key: json_body({"data": {key: 1}}),
        {"Idempotency-Key": "x" * 257},
    ),
    "no token": (401, "read", lambda key: json_body({"keys": [key]}), {"Authorization": ""}),
    "a wrong token": (401, "write", lambda _: b"", {"Authorization": "x"}),
    "too large a body": (413, "write", lambda key: padded({"data": {key: 1}}, MAX_BODY_BYTES + 1), {}),
    "another type": (415, "write", lambda key: json_body({"data": {key: 1}}), {"Content-Type": "text/plain"}),
}


BETWEEN = {
    "nothing": (b"", 0),
    "one that has no body": (LIVE, 200),
    "one that goes no other way": (request("/api/login", b"{}"), 400),
    "one that is refused": (request("/api/write", b"{"), 401),
}


def asked(base_url: str, token: str, name: str, key: str, way: str) -> Answer:
    """The answer to one of `REQUESTS`, sent in one of the `WAYS`, on a connection that stays open."""
    _, call, body, headers = REQUESTS[name]
    every = {"Authorization": token, "Content-Type": "application/json", **headers}
    with Wire(base_url) as wire:
        answer = wire.ask(*WAYS[way](f"/api/{call}", body(key), every))
        assert wire.ask(LIVE).status == 200
    return answer.timeless()


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_request_gets_the_same_answer_in_every_way(
    strict_api: ApiProcess, token: str, stored: str, name: str
) -> None:
    answers = {way: asked(strict_api.base_url, token, name, stored, way) for way in WAYS}
    assert answers["whole"].status == REQUESTS[name][0]
    assert answers == dict.fromkeys(WAYS, answers["whole"])


def test_a_token_without_the_scope_is_refused_in_every_way(
    strict_api: ApiProcess, strict: Api, new_user: NewUser
) -> None:
    token = login(strict, new_user("read"))
    answers = {way: asked(strict_api.base_url, token, "a write", "direct:forbidden", way) for way in WAYS}
    assert answers["whole"].status == 403
    assert answers == dict.fromkeys(WAYS, answers["whole"])


def test_a_request_that_is_cut_anywhere_gets_the_same_answer(wire: Wire, token: str, stored: str) -> None:
    sent = request("/api/read", json_body({"keys": [stored]}), {"Authorization": token})
    whole = wire.ask(sent).timeless()
    assert whole.status == 200
    for middle in range(1, len(sent)):
        assert wire.ask(sent[:middle], sent[middle:]).timeless() == whole, sent[:middle]


def test_a_chunked_request_that_is_cut_anywhere_gets_the_same_answer(wire: Wire, token: str, stored: str) -> None:
    body = json_body({"keys": [stored]})
    headers = {"Authorization": token, "Transfer-Encoding": "chunked"}
    (sent,) = in_chunks("/api/read", body, headers, 11)
    whole = wire.ask(sent).timeless()
    assert whole.status == 200
    for middle in range(sent.index(b"\r\n\r\n"), len(sent)):
        assert wire.ask(sent[:middle], sent[middle:]).timeless() == whole, sent[:middle]


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("cut", ["whole", "cut"])
def test_pipelined_requests_are_answered_in_order(
    wire: Wire, token: str, fresh_key: FreshKey, between: str, cut: str
) -> None:
    other, status = BETWEEN[between]
    keys = [fresh_key() for _ in range(20)]
    sent = b"".join(
        request("/api/write", json_body({"data": {key: key}}), {"Authorization": token, "X-Request-Id": f"write-{key}"})
        + other
        + request("/api/read", json_body({"keys": [key]}), {"Authorization": token})
        for key in keys
    )
    # This is in the middle of a body.
    wire.send(*([sent] if cut == "whole" else [sent[: len(sent) // 2], sent[len(sent) // 2 :]]))
    for key in keys:
        written = wire.answer()
        assert (written.status, written.header(b"x-request-id")) == (200, f"write-{key}".encode())
        if other:
            assert wire.answer().status == status
        assert wire.answer().body == json_body({"data": {key: key}}).replace(b" ", b"")


def test_one_piece_may_contain_the_end_of_a_request_and_the_next_request(wire: Wire, token: str, stored: str) -> None:
    sent = request("/api/read", json_body({"keys": [stored]}), {"Authorization": token})
    whole = wire.ask(sent).timeless()
    for middle in (10, len(sent) - 10):
        wire.send(sent[:middle], sent[middle:] + sent[:middle], sent[middle:] + sent)
        assert [wire.answer().timeless() for _ in range(3)] == [whole] * 3


def test_a_request_that_expects_100_continue_gets_it(wire: Wire, token: str, stored: str) -> None:
    body = json_body({"keys": [stored]})
    head = request(
        "/api/read", b"", {"Authorization": token, "Expect": "100-continue", "Content-Length": str(len(body))}
    )
    wire.send(head)
    assert wire.answer().status_line == b"HTTP/1.1 100 Continue"
    assert wire.ask(body).status == 200
    # A client that does not wait for the 100 gets none.
    assert wire.ask(head + body).status == 200


@pytest.mark.parametrize(
    ("version", "headers"), [("1.1", {"Connection": "close"}), ("1.0", {}), ("1.0", {"Connection": "keep-alive"})]
)
def test_a_connection_with_close_ends_after_the_answer(
    wire: Wire, token: str, stored: str, version: str, headers: Headers
) -> None:
    body = json_body({"keys": [stored]})
    lasting = wire.ask(request("/api/read", body, {"Authorization": token})).timeless()
    answer = wire.ask(request("/api/read", body, {"Authorization": token, **headers}, version=version)).timeless()
    assert answer.headers == (*lasting.headers, (b"connection", b"close"))
    assert (answer.status_line, answer.body) == (lasting.status_line, lasting.body)
    assert wire.is_closed()
