"""The head of a request (RFC 9112): its request line, its header fields, and where its body ends.

A request that two recipients could read in two ways is refused, and the connection is closed: this server must find the
end of a message where a proxy in front of it does. A head is parsed when it has arrived completely, so that it means
the same however it was cut.
"""

from __future__ import annotations

import re
from functools import lru_cache

from api.http.fields import Fields, parse_fields, tokens
from api.http.problems import Kind, Problem

CRLF = b"\r\n"
END = CRLF + CRLF
MAX_BYTES = 64 * 1024
"""The limit of a head, without the empty line at its end."""

MAX_FIELDS = 200

MAX_REMEMBERED_HEAD_BYTES = 1024
REMEMBERED_HEADS = 512
"""Parsed heads that are kept, for all connections: many requests differ only in their bodies. Parsing a head is a tenth
of the work of the api for a request of one key."""

_PLAIN = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))
"""The characters that may occur in a head besides CRLF."""

_NO_REQUEST_LINE = "the request line is not valid"
_REQUEST_LINE = re.compile(rb"([A-Z-]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])")
_OTHER_VERSION = re.compile(rb"[A-Z-]{1,32} [\x21-\x7e]+ HTTP/[0-9]\.[0-9]")
_BEGINNING = re.compile(rb"[A-Z-]{1,32}(?: [\x20-\x7e]*)?\r?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::[0-9]{0,5})?")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")


class Head:
    """A request's head. It is never changed: requests with the same bytes share it."""

    def __init__(self, method: str, path: str, query: bytes, fields: Fields) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.fields = fields
        self.length: int | None = 0
        """The size of the body in bytes; None: the body is chunked."""
        self.keep_alive = True
        self.expects_continue = False
        self.takes_chunks = True
        """Whether the client understands chunks, as all but those of HTTP/1.0 do."""


def malformed(detail: str) -> Problem:
    """The problem of a request that is not valid HTTP."""
    return Problem(Kind.MALFORMED_REQUEST, detail)


def read_head(data: bytes, at: int) -> tuple[Head | None, int]:
    """The head that begins at `at`, and its end. If the end has not arrived yet: None, and the head's beginning.

    Raises:
        Problem: the bytes are not the beginning of a head, or the head is too large.
    """
    while data.startswith(CRLF, at):
        at += len(CRLF)
    most = at + MAX_BYTES + len(END)
    end = data.find(END, at, most)
    if end < 0:
        _check_beginning(data[at:most])
        return None, at
    raw = data[at:end]
    return (_known_head if len(raw) <= MAX_REMEMBERED_HEAD_BYTES else parse_head)(raw), end + len(END)


def _check_beginning(begun: bytes) -> None:
    """Refuse at once an unfinished head that is no request at all, or too large."""
    line, line_end, _ = begun.partition(CRLF)
    if line_end:
        _request_line(line)
    elif begun not in (b"", b"\r") and (b"\n" in begun or _BEGINNING.fullmatch(begun[:64]) is None):
        raise malformed(_NO_REQUEST_LINE)
    if len(begun) == MAX_BYTES + len(END):
        if line_end:
            raise Problem(Kind.HEAD_TOO_LARGE, f"the head has more than {MAX_BYTES} bytes")
        raise Problem(Kind.TARGET_TOO_LONG, f"the request line has more than {MAX_BYTES} bytes")


def parse_head(raw: bytes) -> Head:
    """Parse a complete head, without the empty line at its end.

    Raises:
        Problem: it is not valid, or asks for something that this server does not support; the connection must be
            closed.
    """
    line, *lines = raw.split(CRLF)
    method, target, is_1_0 = _request_line(line)
    if len(raw.translate(None, _PLAIN)) != len(CRLF) * len(lines):
        raise malformed("the head has a character that is not allowed")
    if len(lines) > MAX_FIELDS:
        raise Problem(Kind.HEAD_TOO_LARGE, f"the head has more than {MAX_FIELDS} fields")
    fields = parse_fields(lines)
    path, query = _path_and_query(method, target)
    head = Head(method, path, query, fields)
    get = fields.get
    _check_host(get(b"host"), is_1_0=is_1_0)
    coding, length = get(b"transfer-encoding"), get(b"content-length")
    if coding is not None:
        _check_coding(coding, has_length=length is not None, is_1_0=is_1_0)
        head.length = None
    elif length is not None:
        if _LENGTH.fullmatch(length) is None:
            raise malformed("the header content-length is not valid")
        head.length = int(length)
    if is_1_0:
        head.keep_alive = head.takes_chunks = False
    elif b"connection" in fields or b"expect" in fields:
        _set_options(head, get(b"connection", b""), get(b"expect"))
    return head


_known_head = lru_cache(maxsize=REMEMBERED_HEADS)(parse_head)


def _set_options(head: Head, connection: bytes, expect: bytes | None) -> None:
    head.keep_alive = b"close" not in tokens(connection)
    if expect is not None:
        if set(tokens(expect)) != {b"100-continue"}:
            raise Problem(Kind.EXPECTATION_FAILED, "the only supported expectation is 100-continue")
        head.expects_continue = True


def _check_host(host: bytes | None, *, is_1_0: bool) -> None:
    if host is None:
        if not is_1_0:
            raise malformed("the header host is missing")
    elif _HOST.fullmatch(host) is None:
        raise malformed("the header host is not valid")


def _request_line(line: bytes) -> tuple[str, bytes, bool]:
    """The method, the target, and whether the version is HTTP/1.0."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        if _OTHER_VERSION.fullmatch(line):
            raise Problem(Kind.VERSION_NOT_SUPPORTED, "this server speaks HTTP/1.1")
        raise malformed(_NO_REQUEST_LINE)
    method, target, minor = found.groups()
    return method.decode("ascii"), target, minor == b"0"


def _path_and_query(method: str, target: bytes) -> tuple[str, bytes]:
    """The path and the query of a request target in origin form or in absolute form."""
    if method == "CONNECT":
        raise Problem(Kind.NOT_IMPLEMENTED, "this server is not a proxy")
    if target[0] != 0x2F:
        if target == b"*" and method == "OPTIONS":
            return "*", b""
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not absolute[1] or _HOST.fullmatch(absolute[1]) is None:
            raise malformed("the request target is not valid")
        target = absolute[2]
        if not target.startswith(b"/"):
            target = b"/" + target
    if b"#" in target:
        raise malformed("the request target has a fragment")
    path, _, query = target.partition(b"?")
    return path.decode("ascii"), query


def _check_coding(coding: bytes, *, has_length: bool, is_1_0: bool) -> None:
    """Check that the body comes in chunks, and that no other field says where it ends."""
    if has_length or is_1_0:
        raise malformed("the header transfer-encoding is not allowed here")
    codings = tokens(coding)
    if codings == [b"chunked"]:
        return
    if not codings or set(codings) == {b"chunked"}:
        raise malformed("the header transfer-encoding is not valid")
    raise Problem(Kind.NOT_IMPLEMENTED, "the only supported transfer coding is chunked")
