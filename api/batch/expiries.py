"""When keys expire: turns `ttl` and `expires_at` of a request into the integer that chunks carry
(`protocol.changes`).
"""

from __future__ import annotations

from math import isfinite
from typing import TypeAlias

from msgspec import UNSET, UnsetType

from api.batch.members import Scalar
from api.batch.refused_body import invalid
from protocol.rows import KEEP, LAST_S, MAX_TTL_S, Expiry

Given: TypeAlias = Scalar | UnsetType


def expiry_of(ttl: Given, expires_at: Given, *path: str, keep: bool = False) -> Expiry | UnsetType:
    """The expiry at one place of a request, UNSET if there is none; `path` is that place.

    Raises:
        Problem: 400, a member has a value that is not allowed, or both are given.
    """
    if ttl is UNSET:
        return UNSET if expires_at is UNSET else -_moment_ms(expires_at, *path, "expires_at")
    if expires_at is not UNSET:
        raise invalid("'ttl' and 'expires_at' exclude each other", *path, "expires_at")
    if ttl is None:
        return None
    if keep and ttl == "keep":
        return KEEP
    return _period_ms(ttl, *path, "ttl", others=', "keep" or null' if keep else " or null")


def _period_ms(ttl: Given, *path: str, others: str) -> int:
    if type(ttl) is not int and type(ttl) is not float:
        raise invalid(f"'ttl' must be a number of seconds{others}", *path)
    if not 0 < ttl <= MAX_TTL_S:
        raise invalid(f"'ttl' must be above 0 and at most {MAX_TTL_S} seconds", *path)
    return max(1, round(ttl * 1000))


def _moment_ms(expires_at: Given, *path: str) -> int:
    if type(expires_at) is not int and type(expires_at) is not float:
        raise invalid("'expires_at' must be a number, of seconds since the epoch", *path)
    if not expires_at <= LAST_S or (type(expires_at) is float and not isfinite(expires_at)):
        raise invalid(f"'expires_at' must be a finite number, at most {LAST_S}", *path)
    # Every time before the epoch has passed, so 1 stands for all of them.
    return max(1, round(expires_at * 1000)) if expires_at > 0 else 1
