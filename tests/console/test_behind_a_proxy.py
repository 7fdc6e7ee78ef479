"""The console in a real browser behind nginx with TLS, set up as in docs/console.md."""

from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import WAIT_MS, Person, Store, is_fault, log_in, look_up
from tests.integration.processes import ApiProcess
from tests.interop.conftest import certificate, port_of, proxied_api
from tests.interop.proxies import Certificate, nginx, program

__all__ = ["certificate", "proxied_api"]


def test_a_key_can_be_shown_and_changed_over_https_and_the_session_ends(
    chromium: Any,
    people: dict[str, Person],
    store: Store,
    proxied_api: ApiProcess,
    certificate: Certificate,
    tmp_path: Path,
) -> None:
    if program("nginx") is None:
        pytest.skip("nginx is not installed")
    key, faults = "proxied:a/b %", []
    store.put(key, '"before"')
    passed_on = {"proxy_set_header Host $host;": "proxy_set_header Host $http_host;"}
    with nginx(tmp_path, port_of(proxied_api.base_url), certificate, passed_on) as proxy:
        # The certificate is self-signed.
        context = chromium.new_context(ignore_https_errors=True)
        try:
            context.set_default_timeout(WAIT_MS)
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.append(message.text) if is_fault(message) else None)
            page.goto(f"{proxy.base_url}/console#/data")
            page.wait_for_url("**/console/login**")
            log_in(page, people["editor"].name, people["editor"].password)
            page.get_by_role("button", name="Log out").wait_for()
            (cookie,) = context.cookies()
            assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("__Host-tarantkv", True, True)
            look_up(page, key)
            page.get_by_role("button", name="Edit").click()
            page.get_by_role("textbox", name="JSON").fill('"after"')
            page.get_by_role("button", name="Save").click()
            page.get_by_text("Saved.").wait_for()
            assert store.get(key).text == '"after"'
            page.get_by_role("button", name="Log out").click()
            page.wait_for_url("**/console/login**")
            assert context.cookies() == []
        finally:
            context.close()
    assert faults == []
