"""The body of a login: its valid forms, and the problems of others."""

import json
from typing import Any

import msgspec
import pytest

from api.auth.login_request import decode_login
from api.http.negotiation import Format
from api.http.problems import Kind, Problem

PACK = {Format.JSON: lambda document: json.dumps(document).encode(), Format.MSGPACK: msgspec.msgpack.encode}
FORMATS = pytest.mark.parametrize("body_format", list(Format))


def refusal(body: bytes, body_format: Format) -> Problem:
    with pytest.raises(Problem) as caught:
        decode_login(body, body_format)
    return caught.value


@FORMATS
def test_a_login_is_a_name_and_a_password(body_format: Format) -> None:
    login = decode_login(PACK[body_format]({"username": "u", "password": "p4ssw0rd"}), body_format)
    assert (login.username, login.password) == ("u", "p4ssw0rd")
    assert "p4ssw0rd" not in repr(login)


@FORMATS
@pytest.mark.parametrize(
    ("document", "member"),
    [
        ({"username": "", "password": "x"}, "username"),
        ({"username": "x", "password": ""}, "password"),
        ({"username": "", "password": ""}, "username"),
        ({"username": 1, "password": "x"}, "username"),
        ({"username": "x", "password": None}, "password"),
        ({"username": "x", "password": "y" * 1025}, "password"),
        ({"username": "x", "password": "ü" * 513}, "password"),
    ],
)
def test_the_problem_points_at_an_empty_or_invalid_member(
    document: dict[str, Any], member: str, body_format: Format
) -> None:
    problem = refusal(PACK[body_format](document), body_format)
    assert (problem.kind, problem.status) == (Kind.INVALID_REQUEST, 400)
    assert [error["pointer"] for error in problem.members["errors"]] == [f"#/{member}"]


@FORMATS
@pytest.mark.parametrize("document", [{}, {"username": "x"}, {"username": "x", "password": "y", "more": 1}, [], 1])
def test_a_login_of_another_form_is_refused(document: Any, body_format: Format) -> None:
    assert refusal(PACK[body_format](document), body_format).kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize("body", [b"1e400", b"[" * 5000, b"9" * 5000, b'{"username":' * 5000])
def test_a_body_that_is_deep_or_a_huge_number_is_refused(body: bytes) -> None:
    assert refusal(body, Format.JSON).kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("body", "body_format"),
    [
        (b"", Format.JSON),
        (b"", Format.MSGPACK),
        (b"{", Format.JSON),
        (b'{"username": "\xff", "password": "x"}', Format.JSON),
        (b"\x82\xa8username\xa1\xff\xa8password\xa1x", Format.MSGPACK),
        (b"\xc1", Format.MSGPACK),
    ],
)
def test_a_damaged_body_is_malformed(body: bytes, body_format: Format) -> None:
    assert refusal(body, body_format).kind is Kind.MALFORMED_BODY
