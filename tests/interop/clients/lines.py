"""The Python clients' side of the protocol that `tests.interop.client` describes."""

import base64
import sys
from collections.abc import Iterator
from typing import NamedTuple


class Request(NamedTuple):
    """A request to send."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    chunked: bool


def batches() -> Iterator[list[Request]]:
    """Groups of requests that are to be sent together, until the input ends."""
    for line in sys.stdin:
        yield [_request(sys.stdin.readline()) for _ in range(int(line))]


def _request(line: str) -> Request:
    method, url, headers, body, framing = line.rstrip("\n").split("\t")
    lines = base64.b64decode(headers).decode("latin-1").splitlines()
    named = dict(line.split(": ", 1) for line in lines)
    return Request(method, url, named, base64.b64decode(body), framing == "chunked")


def pieces(body: bytes) -> Iterator[bytes]:
    """A body whose length is not known in advance."""
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


def answer(status: int, headers: dict[str, str], body: bytes) -> str:
    """An answer as a line."""
    lines = "\n".join(f"{name.lower()}: {value}" for name, value in headers.items())
    return f"{status}\t{base64.b64encode(lines.encode('latin-1')).decode()}\t{base64.b64encode(body).decode()}"


def failure(error: BaseException) -> str:
    """An error as a line."""
    return f"error\t\t{base64.b64encode(repr(error).encode()).decode()}"


def tell(lines: list[str]) -> None:
    """Send lines."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
