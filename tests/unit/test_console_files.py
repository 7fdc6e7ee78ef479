"""The console's page and files: what they may load, how they are kept, and that they are what their authors wrote."""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from posixpath import dirname, join, normpath

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.console import files as console_files
from api.http.access_log import AccessLog
from api.http.asgi import Outermost, handler
from api.http.proxies import TrustedProxies
from api.http.request_ids import RequestIds
from api.http.routes import Routes
from api.overload.memory_budgets import BodyBudget
from api.server.asgi_route import AsgiRoute
from tests.unit.memory_server import Metrics

STATIC = files("api.console") / "static"
VENDOR = STATIC / "vendor"
PAGES = {"/console": "index.html", "/console/login": "login.html"}
IMPORT = re.compile(r"""\b(?:from|import)\s*["']([^"'\s]+)["']""")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    app = Litestar(console_files.routes(), openapi_config=None)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def served(client: TestClient[Litestar]) -> list[str]:
    return sorted(route.path for route in client.app.routes if route.path.startswith("/console"))


def rules_of(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (rule.split() for rule in policy.split(";"))}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_the_packages_own_files_and_nothing_else(client: TestClient[Litestar], path: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    rules = rules_of(page.headers["content-security-policy"])
    assert "unsafe" not in page.headers["content-security-policy"]
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"):
        assert rules[name] == ["'none'"], name
    for name in ("style-src", "img-src", "connect-src"):
        assert rules[name] == ["'self'"], name
    assert rules["require-trusted-types-for"] == ["'script'"]
    inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", page.text, re.DOTALL)
    assert rules["script-src"][0] == "'self'"
    assert len(rules["script-src"]) == 1 + len(inline)
    for script in inline:
        json.loads(script)
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|https?://", page.text, re.IGNORECASE)
    assert page.headers["cross-origin-opener-policy"] == "same-origin"


def test_everything_that_a_page_or_a_module_names_is_served(client: TestClient[Litestar]) -> None:
    known = json.loads(re.findall(r'importmap">(.*?)</script>', client.get("/console").text, re.DOTALL)[0])["imports"]
    assert set(known.values()) <= set(served(client))
    for path in PAGES:
        for source in re.findall(r'(?:src|href)="([^"]+)"', client.get(path).text):
            assert client.get(source).status_code == 200, source
    modules = [path for path in served(client) if path.endswith((".js", ".mjs"))]
    assert len(modules) > 10
    for path in modules:
        for name in IMPORT.findall(client.get(path).text):
            target = normpath(join(dirname(path), name)) if name.startswith(".") else known[name]
            assert target in served(client), f"{path} imports {name}"


def test_no_file_loads_anything_from_another_host(client: TestClient[Litestar]) -> None:
    for path in served(client):
        text = client.get(path).text
        found = re.findall(r"""(?:fetch|import|url|src|href)\s*[(=:]\s*["'`(]*(https?:)?//""", text)
        assert not found, path


def test_nothing_is_served_but_pages_scripts_styles_and_pictures(client: TestClient[Litestar]) -> None:
    kinds = {client.get(path).headers["content-type"].partition(";")[0] for path in served(client)}
    assert kinds == {"text/html", "text/css", "text/javascript", "image/svg+xml"}
    for name in ("", "SHA256SUMS", "preact.LICENSE", "README.md", "../files.py", "%2e%2e/files.py", "nothing.js"):
        assert client.get(f"/console/static/vendor/{name}").status_code == 404, name


def test_a_browser_caches_a_file_and_revalidates_it_each_time(client: TestClient[Litestar]) -> None:
    for path in served(client):
        first = client.get(path)
        assert first.headers["cache-control"] == "no-cache", path
        tag = first.headers["etag"]
        assert tag == f'"{hashlib.sha256(first.content).hexdigest()[:32]}"'
        for header in (tag, f"W/{tag}", f'"other", {tag}'):
            again = client.get(path, headers={"if-none-match": header})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200
        assert client.head(path).status_code == 200
        assert client.post(path).status_code == 405


def test_answers_have_all_their_headers_under_a_plain_asgi_server_too(client: TestClient[Litestar]) -> None:
    log = AccessLog(Metrics().request, "off")
    routes = Routes([], AsgiRoute(client.app), dict.fromkeys(served(client), ("GET", "HEAD")))
    serve = handler(routes.of, BodyBudget(0), 1.0, 1.0)
    whole = Outermost(client.app, serve, routes, log, RequestIds(), TrustedProxies(""))

    async def scenario() -> None:
        transport = httpx.ASGITransport(whole)  # type: ignore[arg-type]  # its own types of the same messages
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as around:
            for path in ("/console", "/console/static/main.js"):
                headers = (await around.get(path)).headers
                assert headers.get_list("cache-control") == ["no-cache"]
                assert headers["x-content-type-options"] == "nosniff"
            assert (await around.get("/console/nothing")).headers.get_list("cache-control") == ["no-store"]

    asyncio.run(scenario())


def test_third_party_files_are_unchanged_and_have_their_licences() -> None:
    lines = [line.split("  ") for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    there = {entry.name for entry in VENDOR.iterdir()} - {"SHA256SUMS", "README.md"}
    assert there == set(sums)
    for name, expected in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == expected, name
    told = (VENDOR / "README.md").read_text()
    for name in there - {each for each in there if each.endswith(".LICENSE")}:
        assert f"`{name}`" in told
        licence = next(each for each in there if each.endswith(".LICENSE") and _is_of(name, each))
        assert re.search(r"MIT License|Apache License", (VENDOR / licence).read_text()), licence


def _is_of(name: str, licence: str) -> bool:
    stem = name.rpartition(".")[0].removesuffix("-hooks")
    return licence.removesuffix(".LICENSE") == stem


def test_no_module_turns_text_into_markup() -> None:
    markup = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(|new Function"
    )
    for entry in STATIC.iterdir():
        if entry.name.endswith(".js"):
            assert not markup.search(entry.read_text()), entry.name
            assert len(entry.read_text().splitlines()) <= 300, entry.name
