"""Tokens: JSON Web Tokens (RFC 7519), HS256 and nothing else.

All tokens are issued here, so a token is taken only in the form in which they are: no other algorithm, header member,
claim or spelling (RFC 8725). Several secrets can be valid at a time, so that one can be replaced without logging
everybody out: the first signs, all verify.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import jwt
import msgspec
from msgspec import Meta

ALGORITHM = "HS256"
LEEWAY_S = 5
"""How far the clocks of two api machines may differ before a fresh token is "not yet valid" on the other."""

MAX_TTL_S = 31_536_000
"""The longest time for which a token can be valid, by the settings' own bound."""

_NOT_VALID = "the token is not valid"
# 32 bytes of signature are 43 characters; the last one has two bits to spare, which must be zero: else one token could
# be written in four ways, and decoders skip what is not of their alphabet.
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_signatures = jwt.PyJWS(algorithms=[ALGORITHM])


class TokenError(Exception):
    """A token that is not valid; the text says why, without repeating it."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["HS256"]
    typ: Literal["JWT"] = "JWT"


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a token says. `iat`, `exp` and `nbf` are Unix time in seconds."""

    sub: Annotated[str, Meta(min_length=1, max_length=64)]
    iat: Annotated[float, Meta(ge=0)]
    exp: Annotated[int, Meta(ge=0, lt=2**53)]
    jti: Annotated[str, Meta(min_length=1, max_length=64)]
    scopes: list[str]
    nbf: Annotated[float, Meta(ge=0)] = 0.0


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

        Whoever cannot sign learns nothing but that it is not valid.

        Raises:
            TokenError: it is not.
        """
        claims = _claims(self._signed(token))
        now = time.time()
        if claims.exp <= now - LEEWAY_S:
            raise TokenError("the token has expired")
        if max(claims.iat, claims.nbf) > now + LEEWAY_S:
            raise TokenError("the token is not valid yet")
        if claims.exp - claims.iat > MAX_TTL_S + 1:
            raise TokenError(_NOT_VALID)
        return claims

    def _signed(self, token: str) -> bytes:
        """The claims of a token, encoded, once a secret of ours is known to have signed them."""
        form = _FORM.fullmatch(token)
        if form is None:
            raise TokenError(_NOT_VALID)
        try:
            msgspec.json.decode(base64.urlsafe_b64decode(form[1] + "=" * (-len(form[1]) % 4)), type=_Header)
        except (msgspec.MsgspecError, ValueError):
            raise TokenError(_NOT_VALID) from None
        for secret in self._secrets:
            try:
                payload: bytes = _signatures.decode(token, secret, algorithms=[ALGORITHM])
            except jwt.InvalidTokenError:
                continue
            return payload
        raise TokenError(_NOT_VALID)


def _claims(payload: bytes) -> Claims:
    try:
        found = json.loads(payload, object_pairs_hook=_each_once, parse_constant=_no_number)
        return msgspec.convert(found, Claims)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise TokenError(_NOT_VALID) from None


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of a JSON object, none of which may be there twice: readers differ in which one they take."""
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member stands there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")
