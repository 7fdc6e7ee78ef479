"""Tokens: JSON Web Tokens (RFC 7519), HS256 and nothing else.

The algorithm is pinned on reading, as RFC 8725 asks. Several secrets can be valid at a time, so that one can be
replaced without logging everybody out: the first signs, all verify.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Annotated

import jwt
import msgspec
from msgspec import Meta

ALGORITHM = "HS256"
LEEWAY_S = 5
"""How far the clocks of two api machines may differ before a fresh token is "not yet valid" on the other."""

_REQUIRED = ["sub", "iat", "exp", "jti"]


class TokenError(Exception):
    """A token that is not valid; the text says why, without repeating it."""


class Claims(msgspec.Struct, frozen=True):
    """What a token says. `iat` and `exp` are Unix time in seconds."""

    sub: Annotated[str, Meta(min_length=1, max_length=64)]
    iat: float
    exp: float
    jti: Annotated[str, Meta(max_length=64)]
    scopes: list[str]


class Tokens:
    """Issues and verifies tokens."""

    def __init__(self, secrets_: Sequence[str], ttl_s: int) -> None:
        self._secrets = tuple(secrets_)
        self._ttl_s = ttl_s

    def issue(self, user: str, scopes: Sequence[str]) -> str:
        """A fresh token for `user`."""
        now = round(time.time(), 3)
        claims = {
            "sub": user,
            "iat": now,
            "exp": int(now) + self._ttl_s,
            "jti": secrets.token_hex(16),
            "scopes": list(scopes),
        }
        return jwt.encode(claims, self._secrets[0], algorithm=ALGORITHM)

    def verify(self, token: str) -> Claims:
        """The claims of a token that is signed with one of the secrets and valid now.

        Raises:
            TokenError: it is not.
        """
        for secret in self._secrets:
            try:
                claims = jwt.decode(
                    token, secret, algorithms=[ALGORITHM], leeway=LEEWAY_S, options={"require": _REQUIRED}
                )
                return msgspec.convert(claims, Claims)
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise TokenError("the token has expired") from None
            except jwt.ImmatureSignatureError:
                raise TokenError("the token is not valid yet") from None
            except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError, OverflowError):
                raise TokenError("the token is not valid") from None
        raise TokenError("the token is not valid")
