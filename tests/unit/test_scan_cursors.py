"""Cursors of scans: signed, for one cluster and one kind of scan."""

import base64

import pytest

from api.http.problems import Kind, Problem
from api.scan.cursors import CursorOf, Cursors, Place
from api.scan.selection import Selection

OLD, NEW, OTHER = (letter * 32 for letter in "abc")
PLACES = [
    Place(Selection(), None, 0),
    Place(Selection(b"user:", b"user;", True, False, True, True, 3, 8), b"user:\xf0\x9f\x98\x80", 123456),
    Place(Selection(b"x" * 1024, b"y" * 1024), b"z" * 1024, 2**60),
]


def cursors(*secrets: str, cluster: str = "here") -> Cursors:
    return Cursors(secrets or (NEW,), lambda: cluster)


def refused(taking: Cursors, cursor: str, kind: CursorOf = CursorOf.SCAN) -> str:
    with pytest.raises(Problem) as caught:
        taking.take(kind, cursor)
    assert caught.value.kind is Kind.INVALID_REQUEST
    assert caught.value.members["errors"][0]["pointer"] == "#/cursor"
    return caught.value.detail


@pytest.mark.parametrize("place", PLACES)
def test_every_process_with_the_secret_accepts_a_cursor(place: Place) -> None:
    cursor = cursors().make(CursorOf.EXPORT, place)
    assert cursors().take(CursorOf.EXPORT, cursor) == place


def test_a_secret_can_be_replaced_without_ending_scans() -> None:
    before = cursors(OLD).make(CursorOf.SCAN, PLACES[1])
    during = cursors(NEW, OLD)
    assert during.take(CursorOf.SCAN, before) == PLACES[1]
    assert cursors(NEW).take(CursorOf.SCAN, during.make(CursorOf.SCAN, PLACES[1])) == PLACES[1]


def test_a_cursor_of_another_server_cluster_or_kind_is_refused() -> None:
    cursor = cursors().make(CursorOf.SCAN, PLACES[1])
    assert "not one that this server has made" in refused(cursors(OTHER), cursor)
    assert "another cluster" in refused(cursors(cluster="there"), cursor)
    assert "one of a scan" in refused(cursors(), cursor, CursorOf.EXPORT)
    exported = cursors().make(CursorOf.EXPORT, PLACES[1])
    assert "one of an export" in refused(cursors(), exported)


def test_a_damaged_cursor_is_refused() -> None:
    cursor = cursors().make(CursorOf.SCAN, PLACES[1])
    taking = cursors()
    for cut in range(len(cursor)):
        refused(taking, cursor[:cut])
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for bit in range(8 * len(raw)):
        forged = bytearray(raw)
        forged[bit // 8] ^= 1 << bit % 8
        refused(taking, base64.urlsafe_b64encode(forged).rstrip(b"=").decode())


@pytest.mark.parametrize("odd", ["", "=", "a", "a=b", "ä", "a b", "a+b/", "x" * 9000, "\0" * 30])
def test_a_text_that_is_not_a_cursor_is_refused(odd: str) -> None:
    refused(cursors(), odd)


def test_a_cursor_in_another_spelling_is_refused() -> None:
    for place in PLACES:
        cursor = cursors().make(CursorOf.SCAN, place)
        refused(cursors(), cursor + "=")
        refused(cursors(), cursor + "A")


def test_the_key_that_signs_tokens_does_not_sign_cursors() -> None:
    import hashlib
    import hmac

    cursor = cursors().make(CursorOf.SCAN, PLACES[0])
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[16:]
    forged = hmac.digest(NEW.encode(), content, hashlib.sha256)[:16] + content
    refused(cursors(), base64.urlsafe_b64encode(forged).rstrip(b"=").decode())


def test_the_longest_cursor_is_accepted() -> None:
    assert len(cursors(cluster="c" * 36).make(CursorOf.SCAN, PLACES[2])) < 8192
