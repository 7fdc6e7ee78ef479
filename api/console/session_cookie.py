"""The cookie of a console's session: a token that no script can read, and that no other site can make a browser send.

A request with the cookie counts only if the browser says that the console's own page sends it. All code that reads the
cookie calls `token_of`, which checks that first.
"""

from __future__ import annotations

import re

from api.auth.authenticator import unauthorized
from api.http.fields import Fields
from api.http.problems import Kind, Problem

NAME = b"__Host-tarantkv"
"""Because of the prefix a browser accepts it over TLS only (or from this machine), and for this host only."""

_ATTRIBUTES = b"; Path=/; Secure; HttpOnly; SameSite=Strict"
_SAFE = frozenset(("GET", "HEAD"))
# Proxies may join several lines, each with its own separator (RFC 9113, section 8.2.3).
_PAIRS = re.compile(rb"[;,][ \t]*")


def begin(token: str) -> tuple[bytes, bytes]:
    """The header that starts a session. It ends when the browser ends, or earlier with the token."""
    return b"set-cookie", NAME + b"=" + token.encode("ascii") + _ATTRIBUTES


def end() -> tuple[bytes, bytes]:
    """The header that makes the browser forget a session."""
    return b"set-cookie", NAME + b"=; Max-Age=0" + _ATTRIBUTES


def token_of(method: str, fields: Fields) -> bytes:
    """The token in the cookie of a request that the console's page sends.

    Raises:
        Problem: 403, another page or no page sends it; 401, the cookie is missing.
    """
    check_origin(method, fields)
    pairs = (pair.partition(b"=") for pair in _PAIRS.split(fields.get(b"cookie", b"")))
    found = [value for name, _, value in pairs if name == NAME]
    if len(found) != 1 or not found[0]:
        raise unauthorized("there is no valid session: log in")
    return found[0]


def check_origin(method: str, fields: Fields) -> None:
    """Check that a page of the same origin sends a request, by headers that the browser sets and scripts cannot set.

    Raises:
        Problem: 403, another page or no page sends it.
    """
    if fields.get(b"sec-fetch-site") != b"same-origin":
        raise _foreign("the browser does not say that the console's page sends this (Sec-Fetch-Site)")
    origin = fields.get(b"origin")
    if origin is None:
        # Browsers send it with every request that may change something.
        if method not in _SAFE:
            raise _foreign("the header origin is missing")
        return
    scheme, _, place = origin.partition(b"://")
    if scheme not in (b"https", b"http") or place.lower() != fields.get(b"host", b"").lower():
        raise _foreign("the header origin names another host than the header host; a proxy must pass Host on")


def _foreign(detail: str) -> Problem:
    return Problem(Kind.FOREIGN_ORIGIN, detail)
