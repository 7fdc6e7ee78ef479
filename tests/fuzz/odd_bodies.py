"""Oddities of a request's end: lengths, chunks, trailers, codings, and bytes after it."""

from collections.abc import Callable

from tests.fuzz.odd_request import LONG, Oddity, Request, one

BODIES: dict[str, Oddity] = {}


def oddity(apply: Oddity) -> Oddity:
    """Register an oddity under its name."""
    BODIES[apply.__name__] = apply
    return apply


@oddity
def length(request: Request, number: int) -> None:
    size = len(request.content)
    forms = (
        b"+%d",
        b"-%d",
        b"0%d",
        b"%d,%d",
        b"%d, %d",
        b"0x%d",
        b"%dabc",
        b"%d ",
        b" \t%d",
        b"%d.0",
        b"%d;x",
        b"%d\0",
    )
    values = [form.replace(b"%d", b"%d" % size) for form in forms]
    values += [b"", b"%d" % (2**64 + size), b"%d, %d" % (size, size + 1), b"%d" % (2**63), b"\xb2", b"9" * 400]
    lines = [[b"Content-Length: " + value] for value in values]
    lines += [
        [b"Content-Length: %d" % size] * 2,
        [b"Content-Length: %d" % size, b"Content-Length: %d" % (size + 1)],
        [b"Content-Length: %d" % (size + 5)],
        [b"Content-Length: %d" % (size - 5)],
        [b"Content-Length: 0"],
        [b"Content-Length : %d" % size],
        [b"Content-Length:%d" % size],
        [b"CONTENT-LENGTH: %d" % size],
        [b"Content_Length: %d" % size],
        [b""],
    ]
    request.framing = lines[number % len(lines)]


def chunked(size: int, line: bytes = b"%x", trailer: bytes = b"", end: bytes = b"\r\n") -> Callable[[bytes], bytes]:
    """Encodes a body in chunks of `size` bytes."""

    def encode(body: bytes) -> bytes:
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        # No formatting operator, because the line may contain a percent sign.
        sizes = [line.replace(b"%x", b"%x" % len(piece)) for piece in pieces]
        chunks = b"".join(head + b"\r\n" + piece + end for head, piece in zip(sizes, pieces, strict=True))
        return chunks + b"0\r\n" + trailer + b"\r\n"

    return encode


@oddity
def chunks(request: Request, number: int) -> None:
    forms: tuple[Callable[[bytes], bytes], ...] = (
        chunked(1000),
        chunked(7),
        chunked(1),
        chunked(7, b"%x;a=b"),
        chunked(7, b'%x;a="b\r"'),
        chunked(7, b"000%x"),
        chunked(7, b"%x "),
        chunked(7, b" %x"),
        chunked(7, b"0x%x"),
        chunked(7, b"-%x"),
        chunked(7, b"+%x"),
        chunked(7, b"%xg"),
        chunked(7, b"%x;" + b"a" * LONG),
        chunked(7, b"f" * 15 + b"%x"),
        chunked(7, b"1" + b"0" * 16 + b"%x"),
        chunked(7, b""),
        chunked(7, end=b"\n"),
        chunked(7, end=b""),
        chunked(7, end=b"xx"),
        chunked(7, end=b"\r\n\r\n"),
        lambda body: chunked(7)(body)[:-2],
        lambda body: chunked(7)(body)[:-5],
        lambda body: chunked(7)(body).replace(b"\r\n", b"\n"),
        lambda body: chunked(1000)(body).replace(b"0\r\n\r\n", b"0;x=y\r\n\r\n"),
        lambda body: chunked(1000)(body).replace(b"0\r\n\r\n", b"00000\r\n\r\n"),
        lambda body: body,
    )
    request.framing = [b"Transfer-Encoding: chunked"]
    request.encode = forms[number % len(forms)]


@oddity
def trailers(request: Request, number: int) -> None:
    forms = (
        b"X-Trailer: x\r\n",
        b"Authorization: x\r\n",
        b"Authorization: " + request.token + b"\r\n",
        b"X-Forwarded-For: 9.9.9.9\r\n",
        b"Idempotency-Key: " + request.keys.behind + b"\r\n",
        b"Content-Type: application/msgpack\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: y\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: x\r\nConnection: upgrade\r\n",
        b"no trailer\r\n",
        b": x\r\n",
        b"X Y: z\r\n",
        b"X-Y: a\0b\r\n",
        b"X-Y: a\n",
        b" folded\r\n",
        b"X-Long: " + b"a" * LONG + b"\r\n",
    )
    request.framing = [b"Transfer-Encoding: chunked"]
    request.encode = chunked(1000, trailer=one(forms, number))


@oddity
def transfer_coding(request: Request, number: int) -> None:
    size = len(request.content)
    values = (
        b"Chunked",
        b"chunked, chunked",
        b"gzip, chunked",
        b"chunked, gzip",
        b"identity",
        b"xchunked",
        b"chunkedx",
    )
    odd = (b"\tchunked\t", b"\x0bchunked", b"chunked\x0b", b'"chunked"', b"chunked;q=1", b"", b",chunked", b"chunked,")
    lines = [[b"Transfer-Encoding: " + value] for value in values + odd]
    lines += [
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer_Encoding: chunked"],
        [b" Transfer-Encoding: chunked"],
        [b"Transfer-Encoding:\r\n chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: %d" % size],
        [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: xchunked", b"Content-Length: %d" % size],
        [b"TRANSFER-ENCODING:chunked"],
    ]
    request.framing = lines[number % len(lines)]
    request.encode = chunked(1000)


@oddity
def after(request: Request, number: int) -> None:
    forms = (
        b"garbage\r\n\r\n",
        b"\0\0\0\0",
        b"\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"x" * 300,
    )
    partial = (b"GET /health/live HT", b"POST /api/write HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    good = (
        request.good(request.keys.behind),
        b"\r\n" + request.good(request.keys.behind),
        request.good(request.keys.behind, b"Connection: close"),
        request.good(request.keys.behind) + b"garbage\r\n\r\n",
    )
    bad = (
        request.good(request.keys.behind).replace(b"Host: x", b"Host: a b"),
        request.good(request.keys.behind).replace(b"\r\nHost: x", b""),
    )
    request.after = one(forms + partial + good + bad, number)


@oddity
def content_coding(request: Request, number: int) -> None:
    request.lines.append(b"Content-Encoding: " + one((b"gzip", b"identity", b"br", b"", b"deflate, gzip"), number))


@oddity
def hidden_request(request: Request, number: int) -> None:
    """A MessagePack value that looks like a request: a server that serves it has miscounted bytes.

    Every second time it is a request whose body would be the next bytes of the connection.
    """
    hidden = b"\r\n\r\n" + request.good(request.keys.hidden)
    if number % 2:
        hidden = hidden.replace(b"Content-Length: ", b"Content-Length: 9")[:-1] + b" "
    key = request.keys.request
    text = b"\xda" + len(hidden).to_bytes(2, "big") + hidden
    request.content_type = b"application/msgpack"
    request.content = b"\x81\xa4data\x81" + bytes((0xA0 | len(key),)) + key + text
