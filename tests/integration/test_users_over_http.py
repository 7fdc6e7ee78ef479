"""The administration of users over HTTP: the last administrator stays, tokens end, and changes are logged."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import Api, json_body, obtain_token
from tests.contract.problems import problem_of
from tests.contract.waiting import until
from tests.integration.conftest import NewApi
from tests.integration.processes import manage
from tests.integration.request_log import log_lines

PASSWORD = "correct horse battery staple"
NEW_PASSWORD = "another good password"


def ask(api: Api, method: str, path: str = "", document: Any = None) -> Any:
    headers = {"authorization": str(api.token), "content-type": "application/json"}
    body = b"" if document is None else json_body(document)
    return api.http.request(method, f"/api/users{path}", content=body, headers=headers)


@pytest.fixture
def name(api: Api, fresh_key: Callable[[], str]) -> Iterator[str]:
    found = fresh_key().replace(":", ".")
    yield found
    ask(api, "DELETE", f"/{found}")


def test_the_last_administrator_cannot_be_removed_disabled_or_demoted(api: Api, cluster: Cluster) -> None:
    own = f"/{cluster.admin_user}"
    rows = ask(api, "GET").json()["users"]
    others = [
        row["name"] for row in rows if "admin" in row["scopes"] and not row["disabled"] and row["name"] != own[1:]
    ]
    for other in others:
        assert ask(api, "PATCH", f"/{other}", {"disabled": True}).status_code == 200
    try:
        for method, document in (("PATCH", {"disabled": True}), ("PATCH", {"scopes": ["read"]}), ("DELETE", None)):
            problem_of(ask(api, method, own, document), "last-administrator", cluster.admin_user)
        assert ask(api, "GET", own).json()["disabled"] is False
        assert ask(api, "PATCH", own, {"scopes": ["admin", "observe", "read", "write"]}).status_code == 200
    finally:
        for other in others:
            ask(api, "PATCH", f"/{other}", {"disabled": False})


def test_changes_over_http_end_tokens_as_those_of_the_local_command(api: Api, cluster: Cluster, name: str) -> None:
    assert ask(api, "POST", "", {"name": name, "password": PASSWORD, "scopes": ["read"]}).status_code == 201
    tokens = [obtain_token(cluster.base_url, name, PASSWORD)]

    def status(token: str) -> int:
        return api.post("read", json_body({"keys": ["x"]}), {"authorization": token}).status_code

    assert status(tokens[0]) == 200
    ask(api, "PATCH", f"/{name}", {"scopes": ["write"]})
    until(lambda: status(tokens[0]) == 403, 12, "a removed scope is still allowed")
    ask(api, "PATCH", f"/{name}", {"password": NEW_PASSWORD, "scopes": ["read"]})
    tokens.append(obtain_token(cluster.base_url, name, NEW_PASSWORD))
    until(lambda: status(tokens[0]) == 401, 12, "a token from before the new password is accepted")
    assert status(tokens[1]) == 200
    # The local command sees the same users.
    assert (
        manage(cluster, "set-scopes", name, "--scopes", "read,observe").stdout
        == f"{name} has the scopes observe,read\n"
    )
    assert ask(api, "GET", f"/{name}").json()["scopes"] == ["observe", "read"]
    assert manage(cluster, "remove", name).stdout == f"removed {name}\n"
    assert ask(api, "GET", f"/{name}").status_code == 404
    until(lambda: status(tokens[1]) == 401, 12, "a token of a removed user is accepted")


def test_each_change_of_a_user_is_logged_without_a_password(cluster: Cluster, new_api: NewApi, name: str) -> None:
    process = new_api()
    token = obtain_token(process.base_url, cluster.admin_user, cluster.admin_password)
    with Api(process.base_url, token) as api:
        api.http.headers["x-request-id"] = "audited"
        ask(api, "POST", "", {"name": name, "password": PASSWORD, "scopes": ["write", "read"]})
        ask(api, "PATCH", f"/{name}", {"password": NEW_PASSWORD, "disabled": True})
        ask(api, "PATCH", f"/{name}", {"password": "short"})
        ask(api, "GET", f"/{name}")
        ask(api, "DELETE", f"/{name}")
    until(lambda: len(log_lines(process, "api.auth.user_endpoints")) == 3, 5, "not logged")
    lines = log_lines(process, "api.auth.user_endpoints")
    assert [line["message"] for line in lines] == ["added a user", "changed a user", "removed a user"]
    for line in lines:
        assert (line["user"], line["by"], line["request_id"]) == (name, cluster.admin_user, "audited")
    assert lines[0]["scopes"] == ["read", "write"]
    assert (lines[1]["disabled"], lines[1]["new_password"]) == (True, True)
    assert not any(password in process.log() for password in (PASSWORD, NEW_PASSWORD, "argon2"))
