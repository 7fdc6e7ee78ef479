"""What all answers have in common: headers, request ids, and no server name."""

import json
import re

import pytest

from protocol.version import VERSION
from tests.contract.calls import Api
from tests.contract.problems import assert_usable, problem_of

ANSWERS = {
    "a success": ("POST", "/api/read", b'{"keys": ["contract:nothing"]}', 200),
    "a refused body": ("POST", "/api/read", b"x", 400),
    "an unknown path": ("GET", "/api/nothing", b"", 404),
    "a method that is not allowed": ("GET", "/api/read", b"", 405),
    "liveness": ("GET", "/health/live", b"", 200),
    "readiness": ("GET", "/health/ready", b"", 200),
    "the page": ("GET", "/schema", b"", 200),
    "the document": ("GET", "/schema/openapi.json", b"", 200),
}
SECURITY_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}

OF_METRICS = "GET", "/metrics", b"", 200
"""A proxy does not publish this path."""

every_answer = pytest.mark.parametrize(
    "asked", [*ANSWERS.values(), pytest.param(OF_METRICS, marks=pytest.mark.direct)], ids=[*ANSWERS, "metrics"]
)
Asked = tuple[str, str, bytes, int]


@pytest.mark.direct
@every_answer
def test_an_answer_has_no_server_name(api: Api, asked: Asked) -> None:
    method, path, body, _ = asked
    answer = api.http.request(method, path, content=body, headers={"authorization": api.token or ""})
    assert "server" not in answer.headers


@every_answer
def test_an_answer_has_the_security_headers(api: Api, asked: Asked) -> None:
    method, path, body, status = asked
    answer = api.http.request(method, path, content=body, headers={"authorization": api.token or ""})
    assert answer.status_code == status
    assert {header: answer.headers.get(header) for header in SECURITY_HEADERS} == SECURITY_HEADERS
    assert_usable(api, answer)


@every_answer
def test_an_answer_repeats_the_request_id(api: Api, asked: Asked) -> None:
    method, path, body, _ = asked
    headers = {"authorization": api.token or "", "x-request-id": "my-own/id:1"}
    answer = api.http.request(method, path, content=body, headers=headers)
    assert answer.headers.get_list("x-request-id") == ["my-own/id:1"]


@every_answer
def test_each_request_without_an_id_gets_its_own(api: Api, asked: Asked) -> None:
    method, path, body, _ = asked
    headers = {"authorization": api.token or ""}
    made = {api.http.request(method, path, content=body, headers=headers).headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2
    assert all(re.fullmatch(r"[!-~]{1,128}", request_id) for request_id in made)


@pytest.mark.parametrize("given", ["", "x" * 129, "two words"])
def test_an_invalid_request_id_is_replaced(api: Api, given: str) -> None:
    answer = api.http.get("/health/live", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] not in ("", given)


def test_a_request_id_of_128_characters_is_accepted(api: Api) -> None:
    answer = api.http.get("/health/live", headers={"x-request-id": "x" * 128})
    assert answer.headers["x-request-id"] == "x" * 128


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/read/x", "/schema/nothing", "/health"])
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    answer = api.http.get(path)
    problem_of(answer, "not-found")
    assert_usable(api, answer)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("call", ["login", "logout", "write", "read", "delete", "touch", "increment", "scan", "import"])
def test_a_call_accepts_only_post(api: Api, call: str, method: str) -> None:
    answer = api.http.request(method, f"/api/{call}", headers={"authorization": api.token or ""})
    problem_of(answer, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert_usable(api, answer)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", pytest.param("/metrics", marks=pytest.mark.direct)])
def test_operational_routes_do_not_accept_post(api: Api, path: str) -> None:
    answer = api.http.post(path, content=b"{}")
    problem_of(answer, "method-not-allowed")
    assert "GET" in answer.headers["allow"]
    assert_usable(api, answer)


def test_liveness_and_readiness_need_no_token(stranger: Api) -> None:
    assert stranger.http.get("/health/live").json() == {"status": "live", "version": VERSION}
    ready = stranger.http.get("/health/ready").json()
    assert ready["status"] == "ready"
    assert ready["shards"]


def test_an_answer_is_complete_json(api: Api) -> None:
    answer = api.post("read", b'{"keys": ["contract:nothing"]}')
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert json.loads(answer.content) == {"data": {}, "not_found": ["contract:nothing"]}
