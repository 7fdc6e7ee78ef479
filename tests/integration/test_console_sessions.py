"""The console's sessions: who may log in, what ends a session, and that a cookie counts in the console's own calls
alone.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import Api
from tests.contract.waiting import until
from tests.integration.conftest import NewUser, User
from tests.integration.processes import manage

COOKIE = "__Host-tarantkv"
OPEN = {"/console", "/console/login"}


class Browser:
    """A browser with a page of this origin. It stores the cookie itself: no client does so over http."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx.Client(base_url=base_url, trust_env=False)
        self.says = {"sec-fetch-site": "same-origin", "origin": base_url}
        self.cookie = ""

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        every = {**self.says, **({"cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        answer = self.http.request(method, f"/console/api/{path}", headers=every, **more)
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            if self.cookie == f"{COOKIE}=":
                self.cookie = ""
        return answer

    def enter(self, name: str, password: str) -> httpx.Response:
        return self.ask("POST", "login", json={"username": name, "password": password})


@pytest.fixture
def browser(service_url: str) -> Iterator[Browser]:
    browser = Browser(service_url)
    with browser.http:
        yield browser


@pytest.fixture
def editor(browser: Browser, service_admin: User) -> Browser:
    assert browser.enter(service_admin.name, service_admin.password).status_code == 200
    return browser


def calls() -> list[tuple[str, str]]:
    keys = [(method, "keys/x") for method in ("GET", "HEAD", "PUT", "DELETE")]
    return [("GET", "session"), ("GET", "status"), ("POST", "scan"), ("GET", "export"), ("POST", "logout"), *keys]


def test_a_login_sets_a_cookie_that_scripts_and_other_sites_cannot_read(browser: Browser, service_admin: User) -> None:
    answer = browser.enter(service_admin.name, service_admin.password)
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith(f"{COOKIE}=")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]
    assert name.partition("=")[2] not in answer.text
    session = browser.ask("GET", "session").json()
    assert session["user"] == service_admin.name
    assert session["scopes"] == ["observe", "read", "write"], "the cookie contains more than it needs"


def test_a_user_without_the_scope_observe_cannot_log_in(browser: Browser, new_user: NewUser) -> None:
    user = new_user("read,write")
    answer = browser.enter(user.name, user.password)
    assert answer.status_code == 403
    assert "observe" in answer.json()["detail"]
    assert "set-cookie" not in answer.headers
    refused = browser.enter(user.name, "a wrong password")
    assert (refused.status_code, "set-cookie" in refused.headers) == (401, False)


@pytest.mark.parametrize(("method", "path"), calls())
def test_calls_without_a_session_are_refused(browser: Browser, token: str, method: str, path: str) -> None:
    assert browser.ask(method, path).status_code == 401
    # A token is for the API; the console's calls ignore what another page could add to a request.
    assert browser.ask(method, path, headers={"authorization": token}).status_code == 401


@pytest.mark.parametrize(("method", "path"), calls())
def test_a_request_of_another_page_is_refused_even_with_the_cookie(editor: Browser, method: str, path: str) -> None:
    for says in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"}):
        assert editor.ask(method, path, headers=says).status_code == 403, says
    assert editor.ask("GET", "session").status_code == 200


def test_another_page_cannot_log_a_browser_in(browser: Browser, service_admin: User) -> None:
    browser.says["origin"] = "http://evil.example"
    answer = browser.enter(service_admin.name, service_admin.password)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_the_api_does_not_accept_the_cookie(editor: Browser) -> None:
    every = {**editor.says, "cookie": editor.cookie}
    for method, path in calls():
        assert editor.http.request(method, f"/api/{path}", headers=every).status_code in (401, 404), path
    assert editor.http.get("/api/status", headers=every).status_code == 401


def test_a_session_allows_only_the_users_scopes_and_ends_when_the_user_is_changed_or_disabled(
    browser: Browser, new_user: NewUser, cluster: Cluster
) -> None:
    user = new_user("observe")
    browser.enter(user.name, user.password)
    for method, path in calls():
        if path.startswith(("keys", "scan", "export")):
            assert browser.ask(method, path).status_code == 403, path
    assert browser.ask("GET", "status").status_code == 200

    def change(*arguments: str) -> None:
        done = manage(cluster, *arguments, password="another good password")
        assert done.returncode == 0, done.stderr
        until(lambda: browser.ask("GET", "status").status_code == 401, 12, "the session does not end")

    change("set-password", user.name)
    browser.enter(user.name, "another good password")
    assert browser.ask("GET", "status").status_code == 200
    change("disable", user.name)


def test_a_key_is_read_changed_by_its_version_exported_and_deleted(
    editor: Browser, api: Api, fresh_key: Callable[[], str]
) -> None:
    key = fresh_key() + "/%\u202e<script>"
    api.write({key: 1})
    path = f"keys/{quote(key, safe='')}"
    seen = editor.ask("GET", path)
    assert seen.text == "1"
    tag = seen.headers["etag"]
    digits = '{"n": 9007199254740993, "f": 1.0, "u": 18446744073709551615}'
    onto = {"if-match": tag, "content-type": "application/json"}
    assert editor.ask("PUT", path, headers=onto, content=digits).status_code == 200
    assert editor.ask("GET", path).text == digits.replace(" ", "")
    refused = editor.ask("PUT", path, headers=onto, content=digits)
    assert refused.status_code == 412
    assert refused.json()["current"][key]["version"]
    exported = editor.ask("GET", f"export?prefix={quote(key, safe='')}")
    assert exported.headers["content-type"] == "application/x-ndjson"
    assert [line for line in exported.text.splitlines() if '"n":9007199254740993' in line]
    assert editor.ask("DELETE", path, headers={"if-match": tag}).status_code == 412
    assert editor.ask("DELETE", path).status_code == 200
    assert editor.ask("GET", path).status_code == 404
    assert editor.ask("PATCH", path).status_code == 405


def test_a_logout_ends_the_session(editor: Browser) -> None:
    cookie = editor.cookie
    answer = editor.ask("POST", "logout", json={})
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=; Max-Age=0; Path=/; Secure; HttpOnly")
    assert editor.cookie == ""
    assert editor.ask("GET", "status", headers={"cookie": cookie}).status_code == 401
    # The token in the cookie is not valid elsewhere either.
    token = cookie.partition("=")[2]
    assert editor.http.get("/api/status", headers={"authorization": token}).status_code == 401


def test_failed_logins_count_together_with_those_of_the_api(strict: Api) -> None:
    base = str(strict.http.base_url).rstrip("/")
    browser = Browser(base)
    with browser.http:
        browser.says["x-forwarded-for"] = strict.http.headers["x-forwarded-for"]
        assert [browser.enter("somebody", "wrong").status_code for _ in range(4)] == [401, 401, 401, 429]
        # The limit applies to logins through the API, too.
        body = {"username": "somebody", "password": "wrong"}
        assert strict.http.post("/api/login", json=body).status_code == 429


def test_pages_and_files_need_and_set_no_cookie(browser: Browser) -> None:
    for path in (*OPEN, "/console/static/main.js"):
        answer = browser.http.get(path)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        again = browser.http.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.headers.get_list("cache-control")) == (304, ["no-cache"])
    for path in ("/console/", "/console/static", "/console/static/", "/console/api/", "/console/api/write"):
        assert browser.http.get(path).status_code == 404, path


def test_keys_occur_neither_in_metrics_nor_among_the_problems(editor: Browser, fresh_key: Callable[[], str]) -> None:
    key = fresh_key()
    answer = editor.ask("GET", f"keys/{key}")
    assert answer.status_code == 404
    assert key not in editor.http.get("/metrics").text
    assert 'route="/console/api/keys/{key}"' in editor.http.get("/metrics").text
    problems = {row["request_id"]: row for row in fresh(editor, answer.headers["x-request-id"])}
    assert problems[answer.headers["x-request-id"]]["route"] == "/console/api/keys/{key}"


def fresh(editor: Browser, request_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = editor.ask("GET", "status").json()["problems"]
        return any(row["request_id"] == request_id for row in found)

    until(there, 10, "the problem is not shown")
    return found
