"""Every answer has the headers that protect a browser and none with versions: on every route, for every error, and for
bytes that are not HTTP.
"""

import json
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.contract.calls import Api
from tests.contract.conftest import Service

ALWAYS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}
TELLING = ("server", "x-powered-by", "via")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PATHS = (
    *(f"/api/{call}" for call in ("login", "logout", "write", "read", "delete", "touch", "increment")),
    *(f"/console/api/{call}" for call in ("login", "logout", "session", "status", "scan", "export", "keys/x")),
    *("/health/live", "/health/ready", "/metrics", "/schema", "/schema/openapi.json", "/schema/page.js"),
    *("/", "/nothing", "/schema/files/swagger-ui.css", "/schema/files/nothing"),
)
NO_HTTP = {
    "no request": b"hello\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\n\r\n",
    "a header that is none": b"GET / HTTP/1.1\r\nhost: x\r\nno header\r\n\r\n",
    "two lengths": b"POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a length that is none": b"POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
    "a length and chunks": (
        b"POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a chunk that is none": b"POST /api/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    "TLS": bytes.fromhex("16030100050100000103"),
}


@pytest.fixture
def api(service: Service, token: str) -> Iterator[Api]:
    """A client without checks against the OpenAPI document, which does not describe most of these answers."""
    with Api(service.base_url, token) as api:
        yield api


def has_them(headers: httpx.Headers) -> None:
    assert {name: headers.get_list(name) for name in ALWAYS} == {name: [value] for name, value in ALWAYS.items()}
    assert not [name for name in TELLING if name in headers]
    assert not re.search(r"uvicorn|litestar|python|tarantool|redis", " ".join(headers.values()), re.IGNORECASE)


@pytest.mark.parametrize("path", PATHS)
def test_every_route_and_method_has_the_protecting_headers(api: Api, path: str) -> None:
    for method in METHODS:
        has_them(api.http.request(method, path).headers)


def test_every_kind_of_error_has_the_protecting_headers(api: Api) -> None:
    big = b"x" * (17 * 1024 * 1024)
    for path, body, headers in (
        ("/api/read", b"{", {}),
        ("/api/read", b"{}", {"content-type": "text/plain"}),
        ("/api/read", b"{}", {"authorization": "x"}),
        ("/api/write", b'{"data": {}}', {"idempotency-key": "\x7f"}),
        ("/api/login", b'{"username": "nobody", "password": "wrong password"}', {}),
        ("/api/login", big[:20_000], {}),
        ("/api/write", big, {}),
    ):
        answer = api.http.post(path, content=body, headers={"authorization": api.token or "", **headers})
        assert answer.status_code >= 400
        has_them(answer.headers)


@pytest.mark.parametrize("name", NO_HTTP)
def test_the_answer_to_bytes_that_are_not_http_has_the_protecting_headers(api: Api, name: str) -> None:
    address = urlsplit(str(api.http.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(NO_HTTP[name])
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(received(connection))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert status.startswith(b"HTTP/1.1 400 "), answer
    has_them(httpx.Headers([(name, value) for name, _, value in (line.partition(b": ") for line in lines)]))
    assert b"Traceback" not in body


def received(connection: socket.socket) -> Iterator[bytes]:
    while piece := connection.recv(65536):
        yield piece


def test_the_page_runs_no_scripts_of_other_servers_and_no_inline_scripts(api: Api) -> None:
    page = api.http.get("/schema")
    rules = dict(rule.strip().split(" ", 1) for rule in page.headers["content-security-policy"].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:", page.text, re.IGNORECASE)
    json.loads(api.http.get("/schema/openapi.json").content)
