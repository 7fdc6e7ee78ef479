"""Chromium, driven by playwright, with the test cluster's console. The tests are skipped if one of them is missing."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import obtain_token
from tests.integration.conftest import fresh_key, service
from tests.integration.processes import manage

__all__ = ["fresh_key", "service"]

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
PASSWORD = "correct horse battery staple"
WAIT_MS = 30_000
SHOWN = {"overview-light", "overview-dark", "overview-phone", "queue-light", "data-light", "dead-shard", "conflict"}
"""The screenshots of docs/console.md."""

NewPage = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(120))


class Person(NamedTuple):
    """A user with its token for the API, which the browser does not have."""

    name: str
    password: str
    token: str


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make test-browser does it"
    )
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("there is no Chromium: make test-browser installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def people(cluster: Cluster) -> dict[str, Person]:
    """Three users: one with every scope, one who may read, and one who may only observe."""
    found = {"editor": (cluster.admin_user, cluster.admin_password)}
    for name, scopes in (("reader", "observe,read"), ("watcher", "observe")):
        done = manage(cluster, "user-add", name, "--scopes", scopes, password=PASSWORD)
        assert done.returncode == 0, done.stderr
        found[name] = (name, PASSWORD)
    return {role: Person(*user, obtain_token(cluster.base_url, *user)) for role, user in found.items()}


class Store:
    """The data for a client other than the browser."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def put(self, key: str, text: str, query: str = "") -> None:
        headers = {"content-type": "application/json"}
        assert self._http.put(self._path(key) + query, content=text.encode(), headers=headers).status_code == 200

    def put_many(self, values: dict[str, Any]) -> None:
        assert self._http.post("/api/write", json={"data": values}).status_code == 200

    def get(self, key: str) -> httpx.Response:
        return self._http.get(self._path(key))

    def _path(self, key: str) -> str:
        return "/api/keys/" + "".join(f"%{byte:02X}" for byte in key.encode())


@pytest.fixture
def store(cluster: Cluster, people: dict[str, Person]) -> Iterator[Store]:
    headers = {"authorization": people["editor"].token}
    with httpx.Client(base_url=cluster.base_url, trust_env=False, headers=headers) as http:
        yield Store(http)


@pytest.fixture
def new_page(chromium: Any, cluster: Cluster, people: dict[str, Person]) -> Iterator[NewPage]:
    """Opens a page in a browser of its own, logged in as `role` unless that is None; an error on the page fails the
    test.
    """
    faults: list[str] = []
    with ExitStack() as stack:

        def new(role: str | None = "editor", screen: str = "overview", **options: Any) -> Any:
            context = chromium.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
            stack.callback(context.close)
            context.set_default_timeout(WAIT_MS)
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.append(message.text) if is_fault(message) else None)
            page.goto(f"{cluster.base_url}/console#/{screen}")
            page.wait_for_url("**/console/login**")
            if role is not None:
                log_in(page, people[role].name, people[role].password)
                page.get_by_role("button", name="Log out").wait_for()
            return page

        yield new
    assert not faults, faults


def is_fault(message: Any) -> bool:
    # Chromium reports every answer from 400 on, even those that a test causes, and a server that has ended.
    return message.type in ("error", "warning") and not message.text.startswith("Failed to load resource:")


def log_in(page: Any, name: str, password: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


class Pictures:
    """Screenshots for the documentation, stored in the folder CONSOLE_PICTURES."""

    def __init__(self, folder: str | None, store: Store) -> None:
        self._folder = folder
        self._store = store

    def keep(self, page: Any, name: str) -> None:
        """Store a screenshot if the documentation needs it."""
        if self._folder and name in SHOWN:
            page.screenshot(path=str(Path(self._folder) / f"console-{name}.png"), animations="disabled")

    def work(self, seconds: float) -> None:
        """Give the charts data if screenshots are taken."""
        end = time.monotonic() + (seconds if self._folder else 0)
        while (left := end - time.monotonic()) > 0:
            for number in range(1 + int(6 * (1 + math.sin(left)))):
                self._store.get(f"session:{number:03}")


@pytest.fixture
def pictures(store: Store) -> Pictures:
    return Pictures(os.environ.get("CONSOLE_PICTURES"), store)


def look_up(page: Any, key: str) -> None:
    page.get_by_label("Key, exactly").fill(key)
    page.get_by_role("button", name="Look up").click()


def text_of(value: Any) -> str:
    """A value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
