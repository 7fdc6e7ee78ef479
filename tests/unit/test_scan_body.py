"""The body of a scan: a member is decoded only after its type has been checked."""

import msgspec
import pytest

from api.http.negotiation import Format
from api.http.problems import Kind, Problem
from api.scan.body import decode_scan
from api.scan.cursors import Cursors

CURSORS = Cursors(["a secret of some length, for tests"], lambda: "c")


def refusal(body: bytes, body_format: Format) -> tuple[Kind, str, list[str]]:
    with pytest.raises(Problem) as refused:
        decode_scan(body, body_format, CURSORS, 1024)
    problem = refused.value
    return problem.kind, problem.detail, [error["pointer"] for error in problem.members.get("errors", ())]


@pytest.mark.parametrize("member", ["prefix", "start", "end", "cursor"])
def test_a_map_from_a_client_never_becomes_a_dict(member: str) -> None:
    """A client can choose keys with equal hashes. The map of this test cannot become a dict: one key is a map."""
    a_map = b"\x81\x91\x80\x01"
    body = b"\x81" + msgspec.msgpack.encode(member) + a_map
    assert refusal(body, Format.MSGPACK) == (Kind.INVALID_REQUEST, f"'{member}' must be a text", [f"#/{member}"])


@pytest.mark.parametrize(
    ("body", "detail", "place"),
    [
        (b'{"limit":1e400}', "'limit' must be a whole number from 1 to 10000", "#/limit"),
        (b'{"limit":{"a":1}}', "'limit' must be a whole number from 1 to 10000", "#/limit"),
        (b'{"reverse":[]}', "'reverse' must be true or false", "#/reverse"),
        (b'{"with":{}}', "'with' must be an array of version and expires_at", "#/with"),
        (b'{"with":["version",{}]}', "'with' must be an array of version and expires_at", "#/with"),
        (b'{"with":["version",5]}', "'with' may have version and expires_at", "#/with/1"),
    ],
)
def test_a_member_of_the_wrong_type_is_named(body: bytes, detail: str, place: str) -> None:
    assert refusal(body, Format.JSON) == (Kind.INVALID_REQUEST, detail, [place])


@pytest.mark.parametrize(
    "body", [b'{"prefix":"\xff"}', b'{"prefix":"a" "b"}', b'{"limit":01}', b'{"prefix":"\\ud800"}']
)
def test_a_member_that_is_malformed_makes_the_body_malformed(body: bytes) -> None:
    assert refusal(body, Format.JSON)[0] is Kind.MALFORMED_BODY
