"""`/api/users`: only administrators can list, add, change and remove users."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.contract.calls import JSON, MSGPACK, Api, decoded, json_body, msgpack_body
from tests.contract.conftest import Service
from tests.contract.limits import MAX_LOGIN_BYTES
from tests.contract.problems import assert_usable, pointers, problem_of

PASSWORD = "correct horse battery staple"
ROUTES = [
    ("GET", "/api/users", None),
    ("POST", "/api/users", {"name": "contract-nobody", "password": PASSWORD, "scopes": ["admin"]}),
    ("GET", "/api/users/contract-nobody", None),
    ("PATCH", "/api/users/contract-nobody", {"scopes": ["admin"]}),
    ("DELETE", "/api/users/contract-nobody", None),
]


def ask(api: Api, method: str, path: str, document: Any = None, as_: str = JSON, **headers: str) -> httpx.Response:
    body = b"" if document is None else json_body(document) if as_ == JSON else msgpack_body(document)
    every = {"authorization": str(api.token), "accept": as_, **headers}
    if document is not None:
        every["content-type"] = as_
    return api.http.request(method, f"/api/users{path}", content=body, headers=every)


def log_in(api: Api, name: str, password: str = PASSWORD) -> httpx.Response:
    return api.post("login", json_body({"username": name, "password": password}))


Add = Callable[..., str]


@pytest.fixture
def add(api: Api, fresh_key: Callable[[], str]) -> Iterator[Add]:
    """Adds users, which are removed after the test."""
    made: list[str] = []

    def new(*scopes: str, as_: str = JSON) -> str:
        name = fresh_key().replace(":", ".") + "@x"
        document = {"name": name, "password": PASSWORD, "scopes": list(scopes) or ["read"]}
        answer = ask(api, "POST", "", document, as_)
        assert answer.status_code == 201, answer.text
        made.append(name)
        assert decoded(answer) == {"name": name, "scopes": sorted(scopes) or ["read"], "disabled": False}
        return name

    yield new
    for name in made:
        ask(api, "DELETE", f"/{name}")


def test_users_can_be_administered_in_messagepack(api: Api, add: Add) -> None:
    name = add("write", as_=MSGPACK)
    changed = ask(api, "PATCH", f"/{name}", {"scopes": ["read"], "disabled": True}, MSGPACK)
    assert decoded(changed) == {"name": name, "scopes": ["read"], "disabled": True}
    for path in ("", f"/{name}"):
        assert decoded(ask(api, "GET", path, as_=MSGPACK)) == ask(api, "GET", path).json()
    assert decoded(ask(api, "DELETE", f"/{name}", as_=MSGPACK)) == {"status": "success"}


def test_a_user_is_added_changed_disabled_and_removed(api: Api, add: Add) -> None:
    name = add("write", "observe")
    assert log_in(api, name).status_code == 200

    def change(**members: Any) -> Any:
        answer = ask(api, "PATCH", f"/{quote(name, safe='')}", members)
        assert answer.status_code == 200, answer.text
        assert ask(api, "GET", f"/{name}").json() == answer.json()
        return answer.json()

    assert change(scopes=["read", "read"]) == {"name": name, "scopes": ["read"], "disabled": False}
    assert change(disabled=True) == {"name": name, "scopes": ["read"], "disabled": True}
    assert log_in(api, name).status_code == 401
    change(disabled=False, password="another good password")
    assert log_in(api, name).status_code == 401
    assert log_in(api, name, "another good password").status_code == 200
    assert ask(api, "DELETE", f"/{name}").json() == {"status": "success"}
    assert log_in(api, name, "another good password").status_code == 401
    problem_of(ask(api, "GET", f"/{name}"), "user-not-found", name)
    problem_of(ask(api, "DELETE", f"/{name}"), "user-not-found", name)
    problem_of(ask(api, "PATCH", f"/{name}", {"disabled": True}), "user-not-found", name)


def test_users_are_listed_by_name_and_page_by_page(api: Api, service: Service, add: Add) -> None:
    names = sorted(add() for _ in range(3))

    def page(query: str) -> tuple[list[str], bool]:
        answer = ask(api, "GET", query)
        assert answer.status_code == 200, answer.text
        return [user["name"] for user in answer.json()["users"]], answer.json()["complete"]

    found, complete = page("")
    assert complete
    assert found == sorted(found)
    assert {*names, service.admin_user} <= set(found)
    assert all("password" not in str(user) and "hash" not in str(user) for user in ask(api, "GET", "").json()["users"])
    assert page(f"?after={names[0]}&limit=1") == ([names[1]], False)
    seen, after = [], names[0]
    while True:
        (last, *more), complete = page(f"?limit=1&after={quote(after)}")
        assert more == []
        seen.append(last)
        after = last
        if complete:
            break
    assert seen == found[found.index(names[0]) + 1 :]
    head = ask(api, "HEAD", "")
    assert (head.status_code, head.content) == (200, b"")


def test_a_name_can_be_used_only_once(api: Api, add: Add) -> None:
    name = add()
    answer = ask(api, "POST", "", {"name": name, "password": "of somebody else", "scopes": ["admin"]})
    problem_of(answer, "user-exists", name)
    assert log_in(api, name).status_code == 200
    assert ask(api, "GET", f"/{name}").json()["scopes"] == ["read"]


def test_only_administrators_are_served(stranger: Api) -> None:
    for method, path, document in ROUTES:
        problem_of(ask(stranger, method, path.removeprefix("/api/users"), document, authorization=""), "unauthorized")


def test_no_other_scope_gives_access(api: Api, add: Add) -> None:
    name = add("read", "write", "observe")
    token = log_in(api, name).json()["token"]
    for method, path, document in ROUTES:
        answer = ask(api, method, path.removeprefix("/api/users"), document, authorization=token)
        problem_of(answer, "forbidden", "admin")
    assert ask(api, "GET", "/contract-nobody").status_code == 404, "a user was added nevertheless"


GOOD = {"name": "contract-nobody", "password": PASSWORD, "scopes": ["read"]}


FORMS: list[tuple[Any, str, str | None]] = [
    ({}, "name", None),
    ({**GOOD, "name": ""}, "a user name is", "#/name"),
    ({**GOOD, "name": "two\nlines"}, "a user name is", "#/name"),
    ({**GOOD, "name": "x" * 65}, "a user name is", "#/name"),
    ({**GOOD, "name": 1}, "$.name", "#/name"),
    ({**GOOD, "password": "short"}, "at least 8", "#/password"),
    ({**GOOD, "password": "y" * 1025}, "1024", "#/password"),
    ({**GOOD, "password": "€" * 342}, "1024", "#/password"),
    ({**GOOD, "password": None}, "$.password", "#/password"),
    ({**GOOD, "scopes": []}, "scopes are some of", "#/scopes"),
    ({**GOOD, "scopes": ["read", "fly"]}, "'fly'", "#/scopes"),
    ({**GOOD, "scopes": "read"}, "$.scopes", "#/scopes"),
    ({**GOOD, "scopes": ["read", 5]}, "$.scopes[", "#/scopes"),
    ({**GOOD, "disabled": True}, "disabled", None),
    ([], "object", None),
]
CHANGES: list[tuple[Any, str]] = [
    ({}, "at least one of"),
    ({"name": "x"}, "name"),
    ({"password": "short"}, "at least 8"),
    ({"scopes": []}, "scopes are some of"),
    ({"disabled": "yes"}, "$.disabled"),
    ({"disabled": None}, "$.disabled"),
    ([None], "object"),
]


@pytest.mark.parametrize("as_", [JSON, MSGPACK])
def test_a_user_of_another_form_is_refused(api: Api, as_: str) -> None:
    for document, mentioned, pointer in FORMS:
        answer = ask(api, "POST", "", document, as_)
        problem = problem_of(answer, "invalid-request", mentioned)
        assert pointers(problem) == ([pointer] if pointer else []), document
        assert PASSWORD not in answer.text
        assert_usable(api, answer)


def test_a_change_of_another_form_is_refused(api: Api) -> None:
    for document, mentioned in CHANGES:
        answer = ask(api, "PATCH", "/contract-nobody", document)
        problem_of(answer, "invalid-request", mentioned)
        assert_usable(api, answer)


def test_an_invalid_page_is_refused(api: Api) -> None:
    for query in ("?limit=0", "?limit=501", "?limit=x", "?after=", "?after=%20", "?after=" + "x" * 70, "?more=1"):
        problem_of(ask(api, "GET", query), "invalid-request", "parameter")


def test_a_path_without_a_valid_user_name_is_refused(api: Api) -> None:
    for name in ("", "%20", "%FF", "a/b", "%zz", "x" * 65, "-x"):
        answer = ask(api, "GET", f"/{name}")
        problem = problem_of(answer, "invalid-request", "a user name is")
        assert pointers(problem) == ["#/name"]
        assert_usable(api, answer)


def test_the_refusal_of_another_method_names_the_allowed_ones(api: Api) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = ask(api, method, "")
        problem_of(answer, "method-not-allowed")
        assert answer.headers["allow"] == "GET, HEAD, POST"
    answer = ask(api, "POST", "/contract-nobody")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PATCH, DELETE")


def test_the_body_limit_of_users_is_as_large_as_a_user_needs(api: Api) -> None:
    large = {**GOOD, "password": "y" * MAX_LOGIN_BYTES}
    problem_of(ask(api, "POST", "", large), "body-too-large")
    every = {"authorization": str(api.token), "content-type": JSON}
    for method, path in (("GET", "/api/users"), ("DELETE", "/api/users/contract-nobody")):
        # Its length is not known from the head.
        answer = api.http.request(method, path, content=iter([b"{", b"}"]), headers=every)
        problem_of(answer, "body-too-large")
