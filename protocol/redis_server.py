"""How a Redis server process is told from another: by the run id that it chooses at every start."""

from __future__ import annotations

from typing import Any

import redis


def run_id(info: Any) -> str:
    """The run id in the answer to `INFO server`: every start of a Redis server has its own.

    Raises:
        redis.ConnectionError: there is none.
    """
    for line in info.split(b"\r\n") if isinstance(info, bytes) else ():
        name, _, value = line.partition(b":")
        if name == b"run_id" and value:
            return str(value, "ascii", "replace")
    raise redis.ConnectionError("redis does not tell its run id")
