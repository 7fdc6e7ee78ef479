"""Heads that arrive repeatedly: which are parsed once, and that no request gets another's fields."""

import pytest

from api.http.head import END, MAX_REMEMBERED_HEAD_BYTES, Head, read_head
from api.http.problems import Problem

HEAD = b"POST /api/read HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\nX-Filler: %b"


def read(raw: bytes) -> Head:
    head, end = read_head(raw + END, 0)
    assert head is not None
    assert end == len(raw + END)
    return head


def test_the_same_bytes_are_parsed_once() -> None:
    assert read(HEAD % (5, b"x")) is read(HEAD % (5, b"x"))
    assert read(HEAD % (5, b"x")).length == 5
    assert read(HEAD % (6, b"x")).length == 6


def test_a_long_head_is_not_cached() -> None:
    long = HEAD % (5, b"x" * MAX_REMEMBERED_HEAD_BYTES)
    assert read(long) is not read(long)
    assert read(long).length == 5


def test_a_head_that_was_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(Problem):
            read(HEAD.replace(b"Host", b"Content-Length") % (5, b"x"))
