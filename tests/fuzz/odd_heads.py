"""Oddities of a request's head: its first line, `Host`, other header lines, and how lines end."""

from tests.fuzz.odd_request import LONG, Oddity, Request, one

HEADS: dict[str, Oddity] = {}


def oddity(apply: Oddity) -> Oddity:
    """Register an oddity under its name."""
    HEADS[apply.__name__] = apply
    return apply


@oddity
def method(request: Request, number: int) -> None:
    forms = (b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI", b"post", b"Post")
    odd = (b"POSTX", b"P\0ST", b"PO ST", b"\xffPOST", b"M-SEARCH", b"X" * 200, b"@", b"(POST)", b"QUERY")
    request.method = one(forms + odd, number)


@oddity
def target(request: Request, number: int) -> None:
    forms = (b"/api/write?a=b", b"http://x/api/write", b"http://other/api/write", b"HTTP://X/api/write", b"http://x")
    spellings = (b"/api/write/", b"//api/write", b"/api/%77rite", b"/api/./write", b"/api/write;x", b"/api/write%00")
    odd = (b"*", b"x:80", b"api/write", b"?", b"#", b"/api/write#x", b"/api/wri te", b"/api/wri\tte", b"/api/wri\0te")
    rare = (b"/api/write\x7f", b"/api/\xff", b"", b"/" + b"a" * LONG, b"/api/write\\", b"http://x:y/api/write", b"/?%")
    others = (b"/api/read", b"/api/touch", b"/api/login", b"/health/live", b"/metrics", b"/schema/files/x", b"/nothing")
    keys = (b"/api/keys/", b"/api/keys/a%2Fb", b"/api/keys/a/b", b"/api/keys/%", b"/api/keys/..", b"/api/keys/a?ttl=0")
    request.target = one(forms + spellings + odd + rare + others + keys, number)


@oddity
def version(request: Request, number: int) -> None:
    forms = (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/3.0", b"http/1.1", b"HTTP/1.1x")
    request.version = one((*forms, b"", b"HTTP/11.1", b"HTTP/1.01", b"HTTP/1", b"HTTP/ 1.1", b"HTP/1.1", b"\0"), number)


@oddity
def host(request: Request, number: int) -> None:
    forms = (b"Host: a b", b"Host:", b"Host: x@y", b"Host: x/y", b"Host: [::1]:80", b"Host: x:99999", b"Host: x:y")
    odd = (b"Host : x", b" Host: x", b"HOST:x", b"Host: x, y", b"Host: \xff", b"Host: x\0", b"Host:\tx\t", b"Host: x#y")
    several: tuple[list[bytes], ...] = ([], [b"Host: x", b"Host: x"], [b"Host: x", b"Host: y"], [b"Host: x", b"host:"])
    every = [*several, *([form] for form in forms + odd)]
    request.host = every[number % len(every)]


@oddity
def repeated(request: Request, number: int) -> None:
    forms: tuple[tuple[bytes, ...], ...] = (
        (b"Idempotency-Key: " + request.keys.request, b"Idempotency-Key: " + request.keys.behind),
        (b"Idempotency-Key: " + request.keys.request, b"Idempotency-Key: " + request.keys.request),
        (b"Authorization: x",),
        (b"Authorization: " + request.token,),
        (b"Content-Type: application/msgpack",),
        (b"Content-Type: application/json",),
        (b"Accept: application/json", b"Accept: application/msgpack"),
        (b"X-Request-Id: a", b"X-Request-Id: b"),
        (b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 1.2.3.5"),
        (b"traceparent: x", b"traceparent: y"),
        (b"X-Many: x",) * 200,
        (b"Cookie: a", b"Cookie: b"),
    )
    request.lines += forms[number % len(forms)]


@oddity
def upgrade(request: Request, number: int) -> None:
    forms: tuple[tuple[bytes, ...], ...] = (
        (b"Connection: Upgrade", b"Upgrade: websocket"),
        (
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        ),
        (b"Connection: keep-alive, upgrade", b"Upgrade: x"),
        (b"Upgrade: h2c",),
        (b"Connection: upgrade",),
        (b"Connection: close, upgrade", b"Upgrade: TLS/1.0"),
        (b"Connection: upgrade", b"Upgrade: "),
        (b"Connection: upgrade", b"Upgrade: a, b", b"Upgrade: c"),
    )
    request.lines += forms[number % len(forms)]


@oddity
def expect(request: Request, number: int) -> None:
    forms: tuple[tuple[bytes, ...], ...] = (
        (b"Expect: 100-continue",),
        (b"Expect: 100-Continue",),
        (b"Expect: 200-ok",),
        (b"Expect: ",),
        (b"Expect: 100-continue", b"Expect: 100-continue"),
        (b"Expect: 100-continue, x",),
    )
    request.lines += forms[number % len(forms)]


@oddity
def connection(request: Request, number: int) -> None:
    forms: tuple[tuple[bytes, ...], ...] = (
        (b"Connection: close",),
        (b"Connection: keep-alive",),
        (b"Connection: CLOSE",),
        (b"Connection: close, keep-alive",),
        (b"Connection: x", b"Connection: close"),
        (b"Connection: content-length, authorization",),
        (b"Connection: ",),
        (b"Connection: xclose",),
        (b"Keep-Alive: timeout=1",),
        (b"Proxy-Connection: close",),
    )
    request.lines += forms[number % len(forms)]


@oddity
def line_ends(request: Request, number: int) -> None:
    forms: tuple[tuple[bytes, bytes], ...] = (
        (b"\n", b"\n"),
        (b"\r\n", b"\n"),
        (b"\n", b"\r\n"),
        (b"\r", b"\r"),
        (b"\r\r\n", b"\r\n"),
        (b"\r\n", b"\r"),
        (b"\r\n", b"\r\r\n"),
    )
    request.line_end, request.head_end = forms[number % len(forms)]


@oddity
def header_line(request: Request, number: int) -> None:
    forms = (
        *(b"no colon", b": x", b"X-A : x", b"X A: x", b"X-A\0: x", b"X-A: a\0b", b"X-\xc3\xa9: x", b"X-A: \xc3\xa9"),
        *(
            b"X-A: a\rb",
            b"X-A: a\nX-B: b",
            b"X-A: \x7f",
            b"X-A: a\x0bb",
            b"X\tA: x",
            b"X-A:" + b" " * 100 + b"x",
            b"X-A:",
        ),
        *(
            b"X-A: " + b"a" * LONG,
            b"X-" + b"a" * LONG + b": x",
            b"(X): x",
            b'X": x',
            b"X-A: x" + b" " * 50,
            b"\x0bX: y",
        ),
    )
    request.lines.insert(number % 2, one(forms, number // 2))


@oddity
def folded(request: Request, number: int) -> None:
    forms = (
        lambda head: head.replace(b"Authorization: ", b"Authorization:\r\n "),
        lambda head: head.replace(b"Authorization: ", b"Authorization:\r\n\t"),
        lambda head: head.replace(b"Host: x", b"Host: x\r\n y"),
        lambda head: head.replace(b"Content-Length: ", b"Content-Length:\r\n "),
        lambda head: head + b" folded\r\n",
        lambda head: head + b"\t\r\n",
        lambda head: head.replace(b"\r\n", b"\r\n folded\r\n", 1),
        lambda head: head.replace(b"Content-Type: ", b"X-A: b\r\n Content-Type: "),
    )
    request.edit = forms[number % len(forms)]


@oddity
def request_line(request: Request, number: int) -> None:
    forms: tuple[tuple[bytes, bytes], ...] = (
        (b"POST /", b"POST  /"),
        (b"POST /", b"POST\t/"),
        (b" HTTP/", b"  HTTP/"),
        (b" HTTP/", b"\tHTTP/"),
        (b"POST /", b" POST /"),
        (b"HTTP/1.1\r\n", b"HTTP/1.1 \r\n"),
        (b"HTTP/1.1\r\n", b"HTTP/1.1\0\r\n"),
        (b"POST /", b"POST\x0b/"),
    )
    old, new = forms[number % len(forms)]
    request.edit = lambda head: head.replace(old, new, 1)


@oddity
def before(request: Request, number: int) -> None:
    request.before = one(
        (b"\r\n", b"\n", b"\r\n" * 5, b" ", b"\0", b"\r", b"garbage", b"\xef\xbb\xbf", b"\r\n" * 500), number
    )


@oddity
def wrong_token(request: Request, number: int) -> None:
    request.lines[0] = one((b"Authorization: x", b"X-No: token", b"Authorization: Basic x", b"Authorization: "), number)
