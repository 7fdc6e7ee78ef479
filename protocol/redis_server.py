"""The address of a Redis server, and its run id, which every start of a server chooses anew."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

import redis

from protocol.settings import RedisSettings

Command = Sequence[bytes | str | int]


class Address:
    """Where Redis listens, and the commands with which a connection begins."""

    def __init__(self, settings: RedisSettings, name: str, *, identify: bool) -> None:
        address = settings.address
        self.path, self.host, self.port = address.path, address.host, address.port
        self.tls = ssl.create_default_context() if address.tls else None
        self.greeting: list[Command] = [
            ("AUTH", settings.redis_user, settings.redis_password),
            ("CLIENT", "SETNAME", name),
        ]
        if address.database:
            self.greeting.append(("SELECT", address.database))
        if identify:
            self.greeting.append(("INFO", "server"))


def run_id(info: Any) -> str:
    """The run id in the answer to `INFO server`: every start of a Redis server has its own.

    Raises:
        redis.ConnectionError: the answer has no run id.
    """
    for line in info.split(b"\r\n") if isinstance(info, bytes) else ():
        name, _, value = line.partition(b":")
        if name == b"run_id" and value:
            return str(value, "ascii", "replace")
    raise redis.ConnectionError("redis does not report its run id")
