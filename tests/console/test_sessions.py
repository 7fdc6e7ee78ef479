"""Logins and logouts in a real browser; other pages cannot use its cookie."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.console.conftest import NewPage, Person, log_in
from tests.contract.waiting import until

COOKIE = "__Host-tarantkv"

ASK = """async ([url, method]) => {
    try {
        const answer = await fetch(url, {method, mode: "no-cors", credentials: "include"});
        return answer.type;
    } catch (error) { return String(error); }
}"""


def test_a_wrong_password_is_reported_and_a_right_one_opens_the_requested_screen(
    new_page: NewPage, people: dict[str, Person]
) -> None:
    page = new_page(None, screen="queue")
    log_in(page, people["editor"].name, "wrong")
    page.get_by_role("alert").get_by_text("the user name or the password is wrong").wait_for()
    assert page.context.cookies() == []
    log_in(page, people["editor"].name, people["editor"].password)
    page.get_by_role("heading", name="Streams").wait_for()
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"]) == (COOKIE, True, True)
    assert (cookie["sameSite"], cookie["path"], cookie["expires"]) == ("Strict", "/", -1)
    assert page.evaluate("document.cookie") == ""


def test_a_logout_ends_the_session_even_for_a_copy_of_its_cookie(new_page: NewPage, cluster: Cluster) -> None:
    page = new_page()
    (cookie,) = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/console/login")
    assert page.context.cookies() == []
    page.go_back()
    page.goto(f"{cluster.base_url}/console")
    page.wait_for_url("**/console/login**")
    page.context.add_cookies([cookie])
    page.goto(f"{cluster.base_url}/console")
    page.wait_for_url("**/console/login**")


def test_a_session_that_ends_elsewhere_leads_back_to_the_login(new_page: NewPage) -> None:
    page = new_page(screen="queue")
    assert page.evaluate("fetch('/console/api/logout', {method: 'POST'}).then((answer) => answer.status)") == 200
    page.wait_for_url("**/console/login#/queue")


@pytest.fixture
def other_server() -> Iterator[str]:
    """A page of another server on this machine: the same site for a browser, which sends its cookies there."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            names = [each.partition("=")[0].strip() for each in self.headers.get("cookie", "").split(";")]
            self.wfile.write(f"<!doctype html><title>other</title>{names}".encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_cannot_use_the_session(
    new_page: NewPage, cluster: Cluster, people: dict[str, Person], other_server: str, host: str
) -> None:
    page = new_page()
    other = page.context.new_page()
    other.goto(other_server.replace("127.0.0.1", host))
    asked = {("POST", "/console/api/logout"), ("GET", "/console/api/session"), ("POST", "/console/api/scan")}
    before = problems(cluster, people["editor"])
    for method, path in asked:
        other.evaluate(ASK, [cluster.base_url + path, method])

    def refused() -> set[tuple[str, str]]:
        new = [row for row in problems(cluster, people["editor"]) if row not in before]
        return {(row["method"], row["route"]) for row in new if row["status"] == 403}

    until(lambda: refused() == asked, 10, "not all requests were refused")
    page.reload()
    page.get_by_role("button", name="Log out").wait_for()


def test_a_browser_sends_its_cookies_to_all_servers_of_this_machine(new_page: NewPage, other_server: str) -> None:
    """This is why the origin is checked: for a browser all ports are one site. docs/console.md warns about it."""
    page = new_page()
    page.goto(other_server)
    assert COOKIE in page.locator("body").inner_text()


def problems(cluster: Cluster, person: Person) -> list[dict[str, Any]]:
    headers = {"authorization": person.token}
    answer = httpx.get(f"{cluster.base_url}/api/status", headers=headers, trust_env=False)
    found: list[dict[str, Any]] = answer.json()["problems"]
    return found


def test_no_page_can_show_the_console_in_a_frame(new_page: NewPage, cluster: Cluster, other_server: str) -> None:
    page = new_page()
    other = page.context.new_page()
    other.goto(other_server)
    other.evaluate(
        "(url) => new Promise((done) => { const frame = document.createElement('iframe');"
        " frame.onload = done; frame.src = url; document.body.append(frame); })",
        f"{cluster.base_url}/console",
    )
    assert [frame.url for frame in other.frames if frame.url.startswith(cluster.base_url)] == []
