"""An HTTP proxy that loses requests or answers, as a network may: it breaks the client's connection instead of passing
them on.

`plan` decides for each request, by its number and its head, what happens to it. A request whose answer is lost was
carried out: the proxy waits for the whole answer first.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


class Fate(Enum):
    """What happens to a request."""

    PASS = auto()
    LOSE_REQUEST = auto()
    LOSE_ANSWER = auto()
    CUT_ANSWER = auto()
    """The client gets half of the answer, or as many bytes as `cut_at` says."""


Plan = Callable[[int, str], Fate]


class LossyProxy:
    """Listens on a port of its own in threads; each connection accepts one request."""

    def __init__(self, url: str) -> None:
        self.target = url
        self.plan: Plan = lambda _number, _path: Fate.PASS
        self.cut_at: int | None = None
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Wakes the thread that accepts connections.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream, suppress(OSError, http.client.HTTPException):
            client.settimeout(TIMEOUT_S)
            line = stream.readline().decode()
            if not line:
                # The client ended before it sent anything.
                return
            method, path, _ = line.split(" ")
            # A client that is configured to use it as a proxy sends the whole URL.
            path = urlsplit(path).path + (f"?{urlsplit(path).query}" if "?" in path else "")
            headers = {}
            while line := stream.readline().decode("latin-1").strip():
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", "0")))
            with self._lock:
                self.seen.append((path, headers, body))
                fate = self.plan(len(self.seen), path)
            if fate is Fate.LOSE_REQUEST:
                return
            status, answer, retry_after = self._ask(method, path, headers, body)
            if fate is Fate.LOSE_ANSWER:
                return
            head = f"HTTP/1.1 {status} X\r\nconnection: close\r\n"
            head += f"content-type: {answer[0]}\r\n" + (f"retry-after: {retry_after}\r\n" if retry_after else "")
            head += f"content-length: {len(answer[1])}\r\n\r\n" if fate is not Fate.CUT_ANSWER else "\r\n"
            content = answer[1]
            if fate is Fate.CUT_ANSWER:
                content = content[: len(content) // 2 if self.cut_at is None else self.cut_at]
            client.sendall(head.encode() + content)

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, tuple[str, bytes], str | None]:
        address = urlsplit(self.target)
        upstream = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)
        try:
            upstream.request(method, path, body or None, {**headers, "connection": "close"})
            answer = upstream.getresponse()
            content = answer.getheader("content-type") or "", answer.read()
            return answer.status, content, answer.getheader("retry-after")
        finally:
            upstream.close()
