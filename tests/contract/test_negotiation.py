"""`Content-Type` and `Accept`: which formats are accepted and sent."""

import gzip
from collections.abc import Callable

import pytest

from tests.contract.calls import JSON, MSGPACK, Api, decoded, json_body, msgpack_body
from tests.contract.problems import assert_usable, problem_of

FreshKey = Callable[[], str]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json;charset=us-ascii",
    ],
)
def test_these_content_types_are_json(api: Api, fresh_key: FreshKey, content_type: str) -> None:
    key = fresh_key()
    assert api.post("write", json_body({"data": {key: 1}}), {"content-type": content_type}).status_code == 200
    assert api.read(key) == {key: 1}


@pytest.mark.parametrize("content_type", ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"])
def test_these_content_types_are_messagepack(api: Api, fresh_key: FreshKey, content_type: str) -> None:
    key = fresh_key()
    assert api.post("write", msgpack_body({"data": {key: 1}}), {"content-type": content_type}).status_code == 200
    assert api.read(key) == {key: 1}


@pytest.mark.parametrize("call", ["write", "read", "delete", "touch", "increment", "login"])
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/json; charset=utf-16", "json", "multipart/form-data; boundary=x"],
)
def test_other_content_types_are_not_supported(api: Api, call: str, content_type: str) -> None:
    answer = api.post(call, b"{}", {"content-type": content_type})
    problem_of(answer, "unsupported-media-type", "application/json")
    assert "application/msgpack" in answer.headers["accept-post"]
    assert_usable(api, answer)


def test_a_compressed_body_is_refused(api: Api) -> None:
    answer = api.post("write", gzip.compress(json_body({"data": {"a": 1}})), {"content-encoding": "gzip"})
    problem_of(answer, "unsupported-content-coding")
    assert answer.headers["accept-encoding"] == "identity"
    assert_usable(api, answer)


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/html", JSON),
        ("application/json", JSON),
        ("application/json, application/msgpack", MSGPACK),
        ("application/json, application/msgpack;q=0.9", JSON),
        ("application/msgpack", MSGPACK),
        ("application/x-msgpack", MSGPACK),
        ("application/vnd.msgpack", MSGPACK),
        ("Application/MsgPack", MSGPACK),
        ("application/json;q=0.5, application/msgpack", MSGPACK),
        ("application/msgpack;q=0, */*", JSON),
        ("application/json;q=0, */*", MSGPACK),
        ("application/*;q=0.5, application/json;q=0.1", MSGPACK),
        ("application/*;q=0.5, application/msgpack;q=0.1", JSON),
        ("application/msgpack; q=0.8, */*;q=0.9", JSON),
        ('application/json;profile="a,b";q=0.5, application/msgpack;q=0.6', MSGPACK),
    ],
)
def test_accept_chooses_the_format(api: Api, fresh_key: FreshKey, accept: str, given: str) -> None:
    key = fresh_key()
    api.write({key: [1, 1.0]})
    answer = api.post("read", json_body({"keys": [key]}), {"accept": accept or "*/*"})
    assert answer.headers["content-type"] == given
    assert decoded(answer) == {"data": {key: [1, 1.0]}}


@pytest.mark.parametrize("call", ["write", "delete"])
def test_a_success_has_the_accepted_format(api: Api, fresh_key: FreshKey, call: str) -> None:
    body = {"data": {fresh_key(): 1}} if call == "write" else {"keys": [fresh_key()]}
    answer = api.post(call, json_body(body), {"accept": MSGPACK})
    assert answer.headers["content-type"] == MSGPACK
    assert decoded(answer)["status"] == "success"


def test_a_problem_is_json_whatever_format_is_accepted(api: Api) -> None:
    problem_of(api.post("read", b"x", {"accept": MSGPACK}), "malformed-body")
