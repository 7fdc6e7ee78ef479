"""The console's calls through each proxy as published, over TLS: the cookie, the check of the origin, and paths."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.integration.processes import ApiProcess
from tests.interop.conftest import port_of
from tests.interop.proxies import MAKE, Certificate, program

COOKIE = "__Host-tarantkv"
OTHER_PORT = {"nginx": {"proxy_set_header Host $host;": "proxy_set_header Host $http_host;"}, "haproxy": {}}
"""The change that docs/console.md describes for a port other than 443; here it always is another."""


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if program(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


class Page:
    """The console's page in a browser, which stores the cookie itself."""

    def __init__(self, base_url: str, certificate: Certificate) -> None:
        trusted = ssl.create_default_context(cafile=certificate.chain)
        says = {"sec-fetch-site": "same-origin", "origin": base_url}
        self.http = httpx.Client(base_url=base_url, verify=trusted, trust_env=False, headers=says)

    def log_in(self, cluster: Cluster) -> httpx.Response:
        who = {"username": cluster.admin_user, "password": cluster.admin_password}
        return self.http.post("/console/api/login", json=who)


@pytest.fixture
def page(proxied_api: ApiProcess, certificate: Certificate, tmp_path: Path, proxy: str) -> Iterator[Page]:
    made = MAKE[proxy](tmp_path, port_of(proxied_api.base_url), certificate, OTHER_PORT[proxy])
    with made as process:
        page = Page(process.base_url, certificate)
        with page.http:
            yield page


def test_a_session_can_be_started_used_and_ended(page: Page, cluster: Cluster) -> None:
    assert page.http.get("/console").status_code == 200
    assert page.log_in(cluster).status_code == 200
    (cookie,) = page.http.cookies.jar
    assert (cookie.name, cookie.secure, cookie.path, cookie.domain_specified) == (COOKIE, True, "/", False)
    assert page.http.get("/console/api/status").status_code == 200
    # The proxy passes the path on as the browser wrote it.
    for key in ("interop%2Fconsole%2F..%2F%25", "interop%20%E2%82%AC"):
        path = f"/console/api/keys/{key}"
        stored = page.http.put(path, content=b'"as is"', headers={"content-type": "application/json"})
        assert stored.status_code == 200, stored.text
        read = page.http.get(path)
        assert (read.text, read.headers["etag"]) == ('"as is"', stored.headers["etag"])
        assert page.http.delete(path, headers={"if-match": stored.headers["etag"]}).status_code == 200
    assert page.http.post("/console/api/logout", json={}).status_code == 200
    assert list(page.http.cookies.jar) == []
    assert page.http.get("/console/api/status").status_code == 401


def test_a_request_of_another_page_is_refused_behind_a_proxy_too(page: Page, cluster: Cluster) -> None:
    assert page.log_in(cluster).status_code == 200
    for says in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}):
        assert page.http.post("/console/api/scan", json={}, headers=says).status_code == 403, says


def test_the_refusal_names_a_proxy_that_does_not_pass_the_host_on(
    cluster: Cluster, proxied_api: ApiProcess, certificate: Certificate, tmp_path: Path
) -> None:
    if program("nginx") is None:
        pytest.skip("nginx is not installed")
    # The published configuration is for port 443 and does not pass the port on.
    with MAKE["nginx"](tmp_path, port_of(proxied_api.base_url), certificate) as process:
        page = Page(process.base_url, certificate)
        with page.http:
            refused = page.log_in(cluster)
    assert refused.status_code == 403
    assert "a proxy must pass Host on" in refused.json()["detail"]
