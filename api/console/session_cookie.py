"""The cookie of a console's session: a token that no script can read, and that no other site can make a browser send.

A request that carries it counts only where the browser says that the console's own page makes it. Whoever reads the
cookie of a request comes through `token_of`, which checks that first.
"""

from __future__ import annotations

import re

from api.auth.authenticator import unauthorized
from api.http.fields import Fields
from api.http.problems import Kind, Problem

NAME = b"__Host-tarantkv"
"""By the prefix a browser takes it over TLS alone (or from this machine), and for this host alone."""

_ATTRIBUTES = b"; Path=/; Secure; HttpOnly; SameSite=Strict"
_SAFE = frozenset(("GET", "HEAD"))
# Proxies may make one line of several, each with its own separator (RFC 9113, section 8.2.3).
_PAIRS = re.compile(rb"[;,][ \t]*")


def begin(token: str) -> tuple[bytes, bytes]:
    """The header that starts a session. It ends with the browser's, or before with the token."""
    return b"set-cookie", NAME + b"=" + token.encode("ascii") + _ATTRIBUTES


def end() -> tuple[bytes, bytes]:
    """The header that makes the browser forget a session."""
    return b"set-cookie", NAME + b"=; Max-Age=0" + _ATTRIBUTES


def token_of(method: str, fields: Fields) -> bytes:
    """The token in the cookie of a request that the console's page makes.

    Raises:
        Problem: 403, another page makes it, or none; 401, there is no cookie.
    """
    check_origin(method, fields)
    pairs = (pair.partition(b"=") for pair in _PAIRS.split(fields.get(b"cookie", b"")))
    found = [value for name, _, value in pairs if name == NAME]
    if len(found) != 1 or not found[0]:
        raise unauthorized("there is no valid session: log in")
    return found[0]


def check_origin(method: str, fields: Fields) -> None:
    """See that a page of this very origin makes a request, by what its browser says and scripts cannot set.

    Raises:
        Problem: 403, another page makes it, or none.
    """
    if fields.get(b"sec-fetch-site") != b"same-origin":
        raise _foreign("the browser does not say that the console's page sends this (Sec-Fetch-Site)")
    origin = fields.get(b"origin")
    if origin is None:
        # Browsers send it with all that may change something.
        if method not in _SAFE:
            raise _foreign("the header origin is missing")
        return
    scheme, _, place = origin.partition(b"://")
    if scheme not in (b"https", b"http") or place.lower() != fields.get(b"host", b"").lower():
        raise _foreign("the header origin names another host than the header host; a proxy must pass Host on")


def _foreign(detail: str) -> Problem:
    return Problem(Kind.FOREIGN_ORIGIN, detail)
