"""Clients of other libraries and languages, each a process that sends requests with its library's defaults.

A client reads the number of requests from its standard input, and then the requests, a line each: method, URL, headers,
body and `length` or `chunked`, with tabs between, headers and body in base64. It sends them all at once, and writes a
line for each: status, headers, body; or `error`, nothing, and the reason.
"""

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import psutil
import pytest

from localcluster.programs import REPOSITORY
from tests.interop.proxies import Certificate

CLIENTS = Path(__file__).parent / "clients"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Asked:
    """A request."""

    url: str
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    method: str = "POST"
    chunked: bool = False

    def line(self) -> str:
        """The line that the client reads."""
        headers = "\n".join(f"{name}: {value}" for name, value in (self.headers or {}).items())
        encoded = [base64.b64encode(part).decode() for part in (headers.encode("latin-1"), self.body)]
        return "\t".join((self.method, self.url, *encoded, "chunked" if self.chunked else "length")) + "\n"


@dataclass(frozen=True)
class Answer:
    """An answer as the client's library returns it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, line: str) -> Self:
        """Read a client's line."""
        status, headers, body = line.rstrip("\n").split("\t")
        content = base64.b64decode(body)
        assert status != "error", content.decode("utf-8", "replace")
        lines = base64.b64decode(headers).decode("latin-1").splitlines()
        return cls(
            int(status), {n.lower(): v for n, v in (line.split(": ", 1) for line in lines if ": " in line)}, content
        )

    def json(self) -> Any:
        """The document."""
        return msgspec.json.decode(self.body)


class Client:
    """A client's process, during a `with` block."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        inherited = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR", "LANG") if name in os.environ}
        self._command = command
        self._environment = {**inherited, **environment}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def ask_together(self, asked: Sequence[Asked]) -> list[Answer]:
        """Send requests at the same time; their answers, in order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{len(asked)}\n" + "".join(request.line() for request in asked))
        self._process.stdin.flush()
        return [Answer.of(self._line()) for _ in asked]

    def ask(self, asked: Asked) -> Answer:
        """Send one request."""
        (answer,) = self.ask_together([asked])
        return answer

    def connections(self, port: int) -> set[int]:
        """The local ports of the open connections to `port`."""
        connections = psutil.Process(self._process.pid).net_connections("tcp")
        return {
            one.laddr.port for one in connections if one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port
        }

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the client ended: {self._command}"
        return line


def _python(module: str, script: str) -> Callable[[Certificate, Path], Client]:
    def make(certificate: Certificate, _: Path) -> Client:
        pytest.importorskip(module)
        command = [sys.executable, "-m", f"tests.interop.clients.{script}", str(certificate.chain)]
        return Client(command, {"PYTHONPATH": str(REPOSITORY)})

    return make


def _node(certificate: Certificate, _: Path) -> Client:
    node = shutil.which("node")
    # fetch exists from version 18 on, and ReadableStream.from from 20.6 on.
    if node is None or subprocess.run([node, "-e", "ReadableStream.from"], check=False).returncode:
        pytest.skip("Node with fetch is not installed")
    return Client([node, str(CLIENTS / "with_fetch.mjs")], {"NODE_EXTRA_CA_CERTS": str(certificate.chain)})


def _java(certificate: Certificate, directory: Path) -> Client:
    compiler, java = shutil.which("javac"), shutil.which("java")
    if compiler is None or java is None:
        pytest.skip("a JDK is not installed")
    subprocess.run([compiler, "-d", str(directory), str(CLIENTS / "WithHttpClient.java")], check=True)
    return Client([java, "-cp", str(directory), "WithHttpClient", str(certificate.chain)], {})


MAKE = {
    "httpx": _python("httpx", "with_httpx"),
    "requests": _python("requests", "with_requests"),
    "aiohttp": _python("aiohttp", "with_aiohttp"),
    "fetch": _node,
    "HttpClient": _java,
}
"""How each client is made, by its name."""
