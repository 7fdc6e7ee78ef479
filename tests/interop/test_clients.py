"""Clients of several languages, with their defaults, use the api alone and behind each proxy."""

from secrets import token_hex
from typing import Any

import msgspec
import pytest

from localcluster.cluster import Cluster
from tests.contract.limits import MAX_BODY_BYTES
from tests.interop.client import MAKE, Answer, Asked, Client
from tests.interop.conftest import Clients, Front, Fronts, port_of

JSON = {"Content-Type": "application/json"}
MANY = 20


class Session:
    """A client that has logged in, and the address to which it sends."""

    def __init__(self, client: Client, front: Front, credentials: dict[str, str]) -> None:
        self.client = client
        self.front = front
        answer = client.ask(Asked(f"{front.base_url}/api/login", msgspec.json.encode(credentials), JSON))
        assert answer.status == 200, answer.body
        self.token = answer.json()["token"]

    def asked(self, call: str, document: Any, *, chunked: bool = False, **headers: str) -> Asked:
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        every = {**JSON, "Authorization": f"Bearer {self.token}", **headers}
        return Asked(f"{self.front.base_url}/api/{call}", body, every, chunked=chunked)

    def ask(self, call: str, document: Any, *, chunked: bool = False) -> Answer:
        return self.client.ask(self.asked(call, document, chunked=chunked))


FRONTS = ("alone", "nginx", "haproxy")
LONG = {("requests", "nginx"), ("requests", "haproxy"), ("aiohttp", "haproxy")}
"""For a proxy these look like httpx: `make test` uses them without a proxy, and one of them behind a proxy."""

PAIRS = [
    pytest.param((client, front), id=f"{client}-{front}", marks=[pytest.mark.long] if (client, front) in LONG else [])
    for front in FRONTS
    for client in MAKE
]


@pytest.fixture(scope="module", params=PAIRS)
def session(request: pytest.FixtureRequest, fronts: Fronts, clients: Clients, cluster: Cluster) -> Session:
    client, front = request.param
    credentials = {"username": cluster.admin_user, "password": cluster.admin_password}
    return Session(clients.get(client), fronts.get(front), credentials)


def fresh_key() -> str:
    return f"interop:{token_hex(6)}"


def test_a_batch_is_written_read_and_deleted(session: Session) -> None:
    key, text, missing = fresh_key(), fresh_key(), fresh_key()
    data = {key: {"nested": [1, 1.5, None, 2**64 - 1]}, text: "\u00e9\U0001f600\0"}
    assert session.ask("write", {"data": data}).json() == {"status": "success"}
    read = session.ask("read", {"keys": [key, text, missing]})
    assert read.json() == {"data": data, "not_found": [missing]}
    assert session.ask("delete", {"keys": [key, text, missing]}).json() == {"status": "success", "deleted": 2}


@pytest.mark.parametrize("chunked", [pytest.param(False, marks=pytest.mark.long), True], ids=["length", "chunked"])
def test_a_large_batch_comes_back_unchanged(session: Session, *, chunked: bool) -> None:
    data = {fresh_key(): "x" * 200_000 for _ in range(20)}
    assert session.ask("write", {"data": data}, chunked=chunked).json() == {"status": "success"}
    assert session.ask("read", {"keys": list(data)}, chunked=chunked).json() == {"data": data}
    assert session.ask("delete", {"keys": list(data)}).json()["deleted"] == len(data)


def test_an_error_is_a_problem_document_and_the_connection_is_used_again(session: Session) -> None:
    malformed = session.ask("write", b"{")
    assert (malformed.status, malformed.headers["content-type"]) == (400, "application/problem+json")
    assert malformed.json()["request_id"] == malformed.headers["x-request-id"]
    unauthorized = session.client.ask(session.asked("write", {"data": {"a": 1}}, Authorization="x"))
    assert (unauthorized.status, unauthorized.json()["status"]) == (401, 401)
    nothing = session.client.ask(Asked(f"{session.front.base_url}/api/nothing", method="GET"))
    assert (nothing.status, nothing.headers["content-type"]) == (404, "application/problem+json")
    assert session.ask("read", {"keys": [fresh_key()]}).status == 200


@pytest.mark.parametrize("chunked", [False, pytest.param(True, marks=pytest.mark.long)], ids=["length", "chunked"])
def test_a_body_that_is_too_large_is_answered_413(session: Session, *, chunked: bool) -> None:
    answer = session.ask("write", b" " * (MAX_BODY_BYTES + 1), chunked=chunked)
    assert (answer.status, answer.json()["type"]) == (413, "urn:tarant-kv:problem:body-too-large")
    assert session.ask("read", {"keys": [fresh_key()]}).status == 200


def test_a_large_body_with_a_wrong_token_is_answered_401(session: Session) -> None:
    asked = session.asked("write", b" " * (MAX_BODY_BYTES - 1), Authorization="x")
    assert session.client.ask(asked).status == 401
    assert session.ask("read", {"keys": [fresh_key()]}).status == 200


def test_get_and_head_are_answered(session: Session) -> None:
    base = session.front.base_url
    ready = session.client.ask(Asked(f"{base}/health/ready", method="GET"))
    assert (ready.status, ready.json()["status"]) == (200, "ready")
    head = session.client.ask(Asked(f"{base}/health/ready", method="HEAD"))
    assert (head.status, head.body) == (200, b"")
    page = session.client.ask(Asked(f"{base}/schema/files/swagger-ui-bundle.js", method="GET"))
    assert page.status == 200
    assert len(page.body) > 1_000_000


def test_a_client_reuses_its_connection(session: Session) -> None:
    port, keys = port_of(session.front.base_url), [fresh_key()]
    assert session.ask("read", {"keys": keys}).status == 200
    before = session.client.connections(port)
    for _ in range(MANY):
        assert session.ask("read", {"keys": keys}).status == 200
    assert before
    assert session.client.connections(port) == before


def test_requests_at_the_same_time_get_their_own_answers(session: Session) -> None:
    data = {fresh_key(): number for number in range(MANY)}
    writes = [session.asked("write", {"data": {key: value}}) for key, value in data.items()]
    assert [answer.status for answer in session.client.ask_together(writes)] == [200] * MANY
    reads = [session.asked("read", {"keys": [key]}) for key in data]
    found = [answer.json()["data"] for answer in session.client.ask_together(reads)]
    assert found == [{key: value} for key, value in data.items()]
    assert session.ask("delete", {"keys": list(data)}).json()["deleted"] == MANY
