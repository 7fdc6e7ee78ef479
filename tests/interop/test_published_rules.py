"""The published proxy configurations keep their promises, however a request is encoded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import msgspec
import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import obtain_token
from tests.integration.processes import ApiProcess
from tests.interop.conftest import Front, Fronts, port_of
from tests.interop.proxies import MAKE, Certificate, program
from tests.interop.raw import RawAnswer, RawConnection, request

SPELLINGS = [
    *("/metrics", "/metrics/", "/metrics//", "//metrics", "/./metrics", "/metrics/.", "/api/../metrics"),
    *("/x/../metrics", "/%6detrics", "/%6Detrics", "/metric%73", "/%2e/metrics", "/api/%2e%2e/metrics"),
    *("/%2fmetrics", "/metrics%2f", "/metrics%20", "/metrics%00", "/metrics%0a", "/%25%36detrics", "/METRICS"),
    *("/Metrics", "/metrics;x", "/metrics;", "/metrics?", "/metrics?x=1", "/metrics#x", "/metrics%3f"),
    *("/metrics%23", "/schema/../metrics", "/schema/..%2fmetrics", "http://kv.example.org/metrics"),
    *("https://127.0.0.1:8081/metrics", "HTTP://kv.example.org//metrics", "*/metrics", "\\metrics"),
    *("/\\metrics", "/metrics\\", "/health/../metrics", "/health/live/../../metrics", "/metrics/../metrics"),
]
TRIES = 5
FORGED = [
    lambda address: (f"X-Forwarded-For: {address}",),
    lambda address: (f"X-Forwarded-For: {address}, 127.0.0.1",),
    lambda address: ("X-Forwarded-For: 127.0.0.1", f"X-Forwarded-For: {address}"),
    lambda address: (f"x-forwarded-for: {address}", f"X-Forwarded-For: {address}"),
    lambda address: (f"X_Forwarded_For: {address}",),
    lambda address: (f"X-Real-IP: {address}", f"Forwarded: for={address}"),
    lambda address: ("Connection: X-Forwarded-For", f"X-Forwarded-For: {address}"),
]
"""Ways to claim that a request comes from another address."""


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def front(request: pytest.FixtureRequest, fronts: Fronts) -> Front:
    return fronts.get(request.param)


def test_the_metrics_cannot_be_read_however_the_path_is_encoded(front: Front) -> None:
    answers: dict[str, RawAnswer] = {}
    for method in ("GET", "HEAD", "POST"):
        for target in SPELLINGS:
            with RawConnection(front) as connection:
                length = ("Content-Length: 0",) if method == "POST" else ()
                connection.send(request(target, "Connection: close", *length, method=method))
                answers[f"{method} {target}"] = connection.answer()
    assert {name: found for name, found in answers.items() if not 400 <= found.status < 500} == {}
    assert [name for name, found in answers.items() if b"tarantkv_" in found.body] == []


@pytest.fixture(scope="module")
def throttled(cluster: Cluster) -> Iterator[ApiProcess]:
    settings = {
        "TARANTKV_TRUSTED_PROXIES": "127.0.0.1",
        "TARANTKV_LOGIN_TRIES_PER_ADDRESS": str(TRIES),
        "TARANTKV_LOGIN_TRIES_PER_USER": "1000000",
    }
    with ApiProcess(cluster, settings) as process:
        yield process


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_an_address_that_a_client_claims_does_not_bypass_the_login_throttle(
    throttled: ApiProcess, certificate: Certificate, tmp_path: Path, proxy: str
) -> None:
    if program(proxy) is None:
        pytest.skip(f"{proxy} is not installed")
    statuses: dict[int, list[int]] = {}
    with MAKE[proxy](tmp_path, port_of(throttled.base_url), certificate) as process:
        front = Front(proxy, process.base_url, certificate)
        for number, forge in enumerate(FORGED):
            statuses[number] = [login(front, forge, number * 100 + attempt) for attempt in range(TRIES + 1)]
    assert {number: found for number, found in statuses.items() if found[-1] != 429} == {}


def login(front: Front, forge: Callable[[str], tuple[str, ...]], number: int) -> int:
    """The status of a login with a wrong password from an address that is claimed."""
    body = msgspec.json.encode({"username": f"nobody{number}", "password": "wrong"})
    lines = forge(f"198.51.{number // 250}.{number % 250 + 1}")
    with RawConnection(front) as connection:
        head = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
        connection.send(request("/api/login", *head, *lines, body=body))
        return connection.answer().status


PASSES_UPGRADES = {
    'proxy_set_header Connection "";            # keeps the connections to the api open': (
        "proxy_set_header Connection $http_connection; proxy_set_header Upgrade $http_upgrade;"
    )
}
"""Lines for web sockets that many configurations have for all paths."""

HIDDEN = [
    ("an upgrade that nobody takes", ("Connection: upgrade", "Upgrade: websocket"), False),
    (
        "an upgrade to HTTP/2",
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        False,
    ),
    ("an upgrade, and a body in chunks", ("Connection: keep-alive, upgrade", "Upgrade: x"), True),
    ("a body in chunks with a trailer", (), True),
]


@pytest.mark.parametrize(("lines", "chunked"), [each[1:] for each in HIDDEN], ids=[each[0] for each in HIDDEN])
@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_no_request_becomes_part_of_another_users_request_on_the_same_connection(
    cluster: Cluster,
    proxied_api: ApiProcess,
    certificate: Certificate,
    tmp_path: Path,
    proxy: str,
    lines: tuple[str, ...],
    *,
    chunked: bool,
) -> None:
    if program(proxy) is None:
        pytest.skip(f"{proxy} is not installed")
    token = obtain_token(proxied_api.base_url, cluster.admin_user, cluster.admin_password)
    replacements = PASSES_UPGRADES if proxy == "nginx" else {}
    with MAKE[proxy](tmp_path, port_of(proxied_api.base_url), certificate, replacements) as process:
        front = Front(proxy, process.base_url, certificate)
        for _ in range(10):
            key = token_hex(8)
            # If the api read it as a request, the next user's head would become its body, and be stored.
            hidden = request(
                "/api/write", f"Authorization: {token}", "Content-Type: application/json", "Content-Length: 400"
            )
            with RawConnection(front) as attacker, RawConnection(front) as victim:
                attacker.send(first_request(lines, hidden, chunked=chunked))
                assert attacker.answer().status in (400, 401)
                body = msgspec.json.encode({"data": {key: 1}})
                head = (f"Authorization: {token}", "Content-Type: application/json", f"Content-Length: {len(body)}")
                victim.send(request("/api/write", *head, body=body))
                assert victim.answer() == RawAnswer(200, b'{"status":"success"}')


def first_request(lines: tuple[str, ...], hidden: bytes, *, chunked: bool) -> bytes:
    """A request whose body is another request."""
    kind = "Content-Type: application/json"
    if chunked:
        body = b"%x\r\n%b\r\n0\r\nX-Forwarded-For: 203.0.113.9\r\nContent-Length: 400\r\n\r\n" % (len(hidden), hidden)
        return request("/api/write", kind, "Transfer-Encoding: chunked", *lines, body=body)
    return request("/api/write", kind, f"Content-Length: {len(hidden)}", *lines, body=hidden)
