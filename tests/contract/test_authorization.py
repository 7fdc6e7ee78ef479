"""Tokens and logins: how a token is sent, which are refused, and what the refusal says."""

from collections.abc import Callable

import pytest

from tests.contract.calls import MSGPACK, Api, decoded, json_body, msgpack_body
from tests.contract.conftest import Service
from tests.contract.problems import assert_usable, problem_of

FreshKey = Callable[[], str]
CALLS = {
    "write": b'{"data": {"contract:unauthorized": 1}}',
    "read": b'{"keys": ["contract:unauthorized"]}',
    "delete": b'{"keys": ["contract:unauthorized"]}',
    "touch": b'{"keys": ["contract:unauthorized"], "ttl": 1}',
    "increment": b'{"data": {"contract:unauthorized": 1}}',
    "logout": b"",
}


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_a_token_is_accepted_bare_and_as_bearer(api: Api, fresh_key: FreshKey, token: str, scheme: str) -> None:
    answer = api.post("read", json_body({"keys": [fresh_key()]}), {"authorization": scheme + token})
    assert answer.status_code == 200


@pytest.mark.parametrize("call", CALLS)
def test_a_request_without_a_token_changes_nothing(stranger: Api, call: str) -> None:
    answer = stranger.post(call, CALLS[call])
    problem_of(answer, "unauthorized", "missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert_usable(stranger, answer)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "header", ["x", "Bearer", "Bearer x", "Basic YWRtaW46YWRtaW4=", "a.b.c", "..", "x" * 5000, "Bearer \xff"]
)
def test_texts_that_are_not_tokens_are_refused(stranger: Api, call: str, header: str) -> None:
    # As bytes, because httpx would refuse to send some of these as text.
    answer = stranger.http.post(
        f"/api/{call}", content=CALLS[call], headers=[(b"Authorization", header.encode("latin-1"))]
    )
    problem_of(answer, "unauthorized", "token")
    assert_usable(stranger, answer)


def test_a_refusal_does_not_wait_for_the_body(stranger: Api) -> None:
    answer = stranger.post("write", b"this is no JSON")
    problem_of(answer, "unauthorized")


@pytest.mark.parametrize("as_", ["application/json", MSGPACK])
def test_a_login_gives_a_token(stranger: Api, service: Service, fresh_key: FreshKey, as_: str) -> None:
    document = {"username": service.admin_user, "password": service.admin_password}
    body = msgpack_body(document) if as_ == MSGPACK else json_body(document)
    answer = stranger.post("login", body, {"content-type": as_, "accept": as_})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == as_
    assert list(decoded(answer)) == ["token"]
    token = decoded(answer)["token"]
    assert stranger.post("read", json_body({"keys": [fresh_key()]}), {"authorization": token}).status_code == 200


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(
    stranger: Api, service: Service, fresh_key: FreshKey
) -> None:
    unknown = fresh_key().replace(":", "-")
    wrong = stranger.post("login", json_body({"username": service.admin_user, "password": "wrong password"}))
    nobody = stranger.post("login", json_body({"username": unknown, "password": "wrong password"}))
    strange = stranger.post("login", json_body({"username": "\0 no user's name", "password": "wrong password"}))
    documents = []
    for answer in (wrong, nobody, strange):
        problem = problem_of(answer, "unauthorized")
        del problem["request_id"]
        documents.append(problem)
    assert documents[0] == documents[1] == documents[2]
    assert wrong.headers.keys() == nobody.headers.keys() == strange.headers.keys()


def test_a_token_is_void_after_logout(stranger: Api, service: Service, fresh_key: FreshKey) -> None:
    login = stranger.post("login", json_body({"username": service.admin_user, "password": service.admin_password}))
    token = {"authorization": login.json()["token"]}
    body = json_body({"keys": [fresh_key()]})
    assert stranger.post("read", body, token).status_code == 200
    assert stranger.post("logout", b"", token).json() == {"status": "success"}
    # Several api processes may share the port. Another process may cache a token for up to five seconds.
    assert stranger.post("read", body, token).status_code == 401
    problem_of(stranger.post("logout", b"", token), "unauthorized", "revoked")
