"""The key that a path names, percent-decoded once and exactly.

Clients and proxies rewrite paths: they resolve `.` and `..`, decode `%2F`, and join slashes. A path that they would
change, or may have changed, is refused: the request could be about another key than its sender means.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from api.http.problems import Kind, Problem, at

PATTERN = "/api/keys/{key}"
"""The path of the route."""

_BEGIN = len("/api/keys/")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS = frozenset((".", ".."))


def key_of(path: str, most_bytes: int) -> str:
    """The key in a path as the client spelt it; it has 1 to `most_bytes` bytes.

    Raises:
        Problem: 400, it is not a valid key, or may be another one than the client means.
    """
    spelt = path[_BEGIN:]
    if "/" in spelt:
        raise _invalid(
            "a slash in a key is written %2F in a path; if it was, a proxy on the way has decoded it and must not"
        )
    broken = _BROKEN_ESCAPE.search(spelt)
    if broken is not None:
        raise _invalid(
            f"the percent sign at character {broken.start()} of the key has no two hexadecimal digits behind it; a "
            "percent sign in a key is written %25 in a path"
        )
    raw = unquote_to_bytes(spelt)
    try:
        key = raw.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"the key is not UTF-8: {error.reason} at byte {error.start}") from None
    if key in _DOTS:
        raise _invalid(f"clients and proxies resolve the path of the key {key!r}; name it in the body of a batch")
    if not 0 < len(raw) <= most_bytes:
        raise _invalid(f"the key has {len(raw)} bytes, 1 to {most_bytes} are allowed")
    return key


def _invalid(detail: str) -> Problem:
    return at(Kind.INVALID_KEY, detail, "key")
