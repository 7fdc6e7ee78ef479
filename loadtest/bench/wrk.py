"""Load over HTTP: wrk measures; plain clients fill the store and check the content of answers."""

from __future__ import annotations

import http.client
import os
import random
import secrets
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import orjson

from loadtest.bench import bodies as request_bodies
from loadtest.bench.load import Load, LoadError
from loadtest.bench.plan import PATHS, Combination
from loadtest.bench.values import Data

SCRIPT = Path(__file__).resolve().parent.parent / "wrk" / "post.lua"
_MARK = "bench "
_READY = "bench ready"
_TIMEOUT_S = 15
_GRACE_S = 20
_FILL_BATCH = 1000
_FILL_CLIENTS = 4
_SAMPLE = 50
# Values that many stores change, except those that the peers are known to change (see `loadtest.peers`).
_AWKWARD: tuple[Any, ...] = ("", "ünïcödé \u2603 \U0001f600", 0, -(2**53), True, {"a": [1, {"b": "c"}], "d": 1.5})


def parse(output: str) -> Load:
    """Find the line of `post.lua` in the output of wrk.

    Raises:
        LoadError: the line is missing.
    """
    for line in output.splitlines():
        if line.startswith(_MARK + "{"):
            return msgspec.json.decode(line.removeprefix(_MARK), type=Load)
    raise LoadError(f"wrk reported nothing:\n{output[-2000:]}")


def _until_ready(process: subprocess.Popen[str]) -> str:
    """Wait until the generator has read the bodies; returns what it printed until then."""
    output = ""
    if process.stdout is not None:
        for line in process.stdout:
            output += line
            if line.startswith(_READY):
                break
    return output


class HttpDriver:
    """One system with the HTTP contract, with a user logged in."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._token = token

    def run(self, combination: Combination, bodies: Path, seconds: float, position: int, rate: float) -> Load:
        """One run of wrk, with one thread, because the machine's processors belong to the measured system."""
        program = shutil.which("wrk")
        if program is None:
            raise LoadError("wrk is not installed; make bench installs it")
        path = PATHS[combination.operation]
        # wrk accepts whole seconds only, and counts them from before it has read the bodies. So a signal stops it.
        limit = int(seconds) + _GRACE_S
        command = [program, "-t1", f"-c{combination.connections}", f"-d{limit}s", f"--timeout={_TIMEOUT_S}s"]
        command += ["-s", str(SCRIPT), self._base_url, "--", path, str(bodies), str(position)]
        if rate:
            command.append(f"{rate:.3f}")
        with subprocess.Popen(
            command,
            env={**os.environ, "BENCH_TOKEN": self._token},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                output = _until_ready(process)
                time.sleep(seconds)
                process.send_signal(signal.SIGINT)
                output += process.communicate(timeout=_GRACE_S)[0]
            finally:
                process.kill()
        if process.returncode != 0:
            raise LoadError(f"wrk failed:\n{output[-2000:]}")
        return parse(output)

    def fill(self, data: Data) -> None:
        """Write every key once, in large batches."""
        batches = list(request_bodies.batches(data, _FILL_BATCH))
        with ThreadPoolExecutor(_FILL_CLIENTS) as threads:
            shares = [batches[first::_FILL_CLIENTS] for first in range(_FILL_CLIENTS)]
            list(threads.map(self._write_all, shares, [data] * _FILL_CLIENTS))

    def _write_all(self, batches: list[list[int]], data: Data) -> None:
        with Client(self._base_url, self._token) as client:
            for numbers in batches:
                client.post_raw("/api/write", request_bodies.body(data, "write", numbers))

    def verify(self, data: Data) -> None:
        """Read a sample of the keys; write new ones with awkward values, and read them back together with a missing
        one.
        """
        with Client(self._base_url, self._token) as client:
            numbers = random.sample(range(data.count), min(_SAMPLE, data.count))
            expected = {data.key(number): data.value(number) for number in numbers}
            _check(client.post("/api/read", {"keys": list(expected)}), {"data": expected})
            name = secrets.token_hex(8)
            fresh = {f"check:{name}:{position}": value for position, value in enumerate(_AWKWARD)}
            _check(client.post("/api/write", {"data": fresh}), {"status": "success"})
            missing = f"check:{name}:missing"
            answer = client.post("/api/read", {"keys": [*fresh, missing]})
            _check(answer, {"data": fresh, "not_found": [missing]})


class Client:
    """One connection to a system."""

    def __init__(self, base_url: str, token: str = "") -> None:
        parts = urlsplit(base_url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        self._headers = {"Content-Type": "application/json", "Authorization": token}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, path: str, content: Any) -> Any:
        """Send a document and return the answer's. Raises `LoadError` unless the status is 200."""
        return orjson.loads(self.post_raw(path, orjson.dumps(content)))

    def post_raw(self, path: str, content: bytes) -> bytes:
        self._connection.request("POST", path, content, self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise LoadError(f"{path}: {answer.status}: {body[:500]!r}")
        return body


def login(base_url: str, user: str, password: str) -> str:
    """Log in and return the token."""
    with Client(base_url) as client:
        return str(client.post("/api/login", {"username": user, "password": password})["token"])


def _check(answer: Any, expected: Any) -> None:
    if answer != expected:
        raise LoadError(f"a wrong answer: {str(answer)[:500]}, expected {str(expected)[:500]}")
