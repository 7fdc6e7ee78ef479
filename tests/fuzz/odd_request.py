"""A request that writes one key, and the changes that can be made to it before it is sent.

An oddity changes one part of a valid request; most choose one of several forms by a number. They are in `odd_heads` and
`odd_bodies`. This module does not say what the answer should be: `test_three_ways` compares how one request is answered
when it arrives in different pieces.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from secrets import token_hex

LONG = 70_000
"""The size of a head that is too large."""


@dataclass(frozen=True)
class Keys:
    """The keys that a connection may write: by the request, by a request hidden in its body, and by a following one."""

    request: bytes
    hidden: bytes
    behind: bytes

    @classmethod
    def fresh(cls) -> "Keys":
        """Keys of the same lengths every time."""
        unique = token_hex(8).encode()
        return cls(b"odd:a:" + unique, b"odd:b:" + unique, b"odd:c:" + unique)


@dataclass
class Request:
    """A request before its encoding. `framing` has the header lines that give the length of the body."""

    token: bytes
    keys: Keys
    method: bytes = b"POST"
    target: bytes = b"/api/write"
    version: bytes = b"HTTP/1.1"
    host: list[bytes] = field(default_factory=lambda: [b"Host: x"])
    lines: list[bytes] = field(default_factory=list)
    framing: list[bytes] = field(default_factory=list)
    content_type: bytes = b"application/json"
    content: bytes = b""
    encode: Callable[[bytes], bytes] | None = None
    line_end: bytes = b"\r\n"
    head_end: bytes = b"\r\n"
    before: bytes = b""
    after: bytes = b""
    edit: Callable[[bytes], bytes] = bytes
    """A last change of the whole head."""

    def __post_init__(self) -> None:
        self.lines = [b"Authorization: " + self.token]
        self.content = b'{"data":{"%b":1}}' % self.keys.request

    def good(self, key: bytes, *lines: bytes) -> bytes:
        """A valid request that writes `key`."""
        body = b'{"data":{"%b":1}}' % key
        head = [b"POST /api/write HTTP/1.1", b"Host: x", b"Authorization: " + self.token]
        return b"\r\n".join((*head, b"Content-Length: %d" % len(body), *lines, b"", body))

    def pieces(self) -> tuple[bytes, bytes]:
        """The head with the line that ends it, and the bytes after it."""
        body = self.encode(self.content) if self.encode is not None else self.content
        framing = self.framing or [b"Content-Length: %d" % len(body)]
        lines = [
            b" ".join(part for part in (self.method, self.target, self.version) if part),
            *self.host,
            *self.lines,
            b"Content-Type: " + self.content_type,
            *(line for line in framing if line),
        ]
        head = self.edit(b"".join(line + self.line_end for line in lines))
        return self.before + head + self.head_end, body + self.after


Oddity = Callable[[Request, int], None]


def one(forms: Sequence[bytes], number: int) -> bytes:
    """One of several forms."""
    return forms[number % len(forms)]
