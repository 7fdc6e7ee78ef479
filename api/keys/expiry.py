"""The expiry of a PUT, from its query: `ttl` or `expires_at`, as in the body of a write."""

from __future__ import annotations

import re

from msgspec import UNSET

from api.batch.expiries import Given, expiry_of
from api.http.query import parameters
from protocol.rows import Expiry

_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")


def expiry(query: bytes) -> Expiry:
    """The expiry of the key that a PUT stores.

    Raises:
        Problem: 400, a parameter is unknown or not valid.
    """
    found = parameters(query, ("ttl", "expires_at"))
    given = expiry_of(_given(found.get("ttl")), _given(found.get("expires_at")), keep=True)
    return None if given is UNSET else given


def _given(text: str | None) -> Given:
    if text is None:
        return UNSET
    if _NUMBER.fullmatch(text) is None:
        # A text that is not a number is refused by `expiry_of`; it may also be a word that is allowed.
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)
