"""A request's body while it arrives: the memory that it takes, compared with the bytes that are counted."""

import sys
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from api.http.head import Head, read_head
from api.overload.memory_budgets import BodyBudget
from api.server.exchange import Exchange

SIZE = 60_000
ROUTE: Any = SimpleNamespace(body_limit=10 * SIZE)


def head_of(field: bytes) -> Head:
    head, _ = read_head(b"POST /api/write HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % field, 0)
    assert head is not None
    return head


@pytest.mark.parametrize("field", [b"transfer-encoding: chunked", b"content-length: %d" % SIZE])
def test_a_body_of_tiny_pieces_takes_little_more_memory_than_its_counted_bytes(field: bytes) -> None:
    chunked = field.endswith(b"chunked")
    budget = BodyBudget(10 * SIZE)
    exchange = Exchange(head_of(field), ROUTE, b"id", "127.0.0.1", budget)
    # Two bytes: Python has one shared object for each single byte.
    received = b"2\r\nab\r\n" * (SIZE // 2) + b"0\r\n\r\n" if chunked else b"ab" * (SIZE // 2)
    tracemalloc.start()
    try:
        at = 0
        while not exchange.whole:
            # A packet contains whatever the client put into it.
            data = received if chunked else received[: at + 2]
            at = exchange.take(data, at)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert budget.held == SIZE
    assert held < 1.5 * SIZE + sys.getsizeof([]), held / SIZE
    assert exchange.take_body() == b"ab" * (SIZE // 2)
