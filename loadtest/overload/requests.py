"""Requests that a generator encodes before the load begins."""

from __future__ import annotations

import random
from typing import Literal

import orjson

Operation = Literal["write", "read", "mixed"]

KEYS = 20_000
POOL = 512
"""Different requests that a generator sends, in turn."""


def pool(host: str, token: str, operation: Operation, batch: int, value_bytes: int, seed: int) -> list[bytes]:
    """Writes, reads, or writes and reads in turn, each of random keys of the run."""
    chance = random.Random(seed)
    value = "x" * value_bytes
    made = []
    for number in range(POOL):
        kind = operation if operation != "mixed" else ("write", "read")[number % 2]
        keys = [f"overload:{key}" for key in chance.sample(range(KEYS), batch)]
        body = orjson.dumps({"data": dict.fromkeys(keys, value)} if kind == "write" else {"keys": keys})
        head = (
            f"POST /api/{kind} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made
