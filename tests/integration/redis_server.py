"""A Redis server of one test's own, which it may stop and start again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from localcluster.ports import free_ports
from protocol.settings import RedisSettings

PASSWORD = "of this test"
USER = "tester"
_START_S = 20.0
_POLL_S = 0.01


class RedisServer:
    """Runs inside a `with` block. It keeps nothing on disk. `client` may do everything."""

    def __init__(self, directory: Path) -> None:
        (self.port,) = free_ports(1)
        self._conf = directory / "redis.conf"
        lines = ["bind 127.0.0.1", f"port {self.port}", f'dir "{directory}"', 'save ""', "appendonly no"]
        lines.append(f'user {USER} on ">{PASSWORD}" ~* +@all')
        self._conf.write_text("\n".join([*lines, ""]))
        self._log = directory / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None
        url = f"redis://127.0.0.1:{self.port}/0"
        self.settings = RedisSettings(redis_url=url, redis_user=USER, redis_password=PASSWORD)
        self.client: Any = redis.Redis.from_url(url, username=USER, password=PASSWORD, protocol=2)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.client.close()
        self.stop()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(["redis-server", str(self._conf)], stdout=log, stderr=log)
        end = time.monotonic() + _START_S
        while not self._answers():
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False
