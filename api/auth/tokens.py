"""Tokens: JSON Web Tokens (RFC 7519), only HS256. `api.auth.authenticator` checks whether a user may still use one.

All tokens are issued here, so a token is accepted only in the form in which they are issued: no other algorithm, header
member, claim or spelling (RFC 8725). Several secrets can be valid at a time, so that one can be replaced without
logging out all users: the first one signs, all verify.
"""

from __future__ import annotations

import base64
import hmac
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
"""How far the clocks of two api machines may differ before a new token is "not yet valid" on the other. An expired
token is accepted for as long; `tarantkv.retention` keeps revocations that much longer."""

MAX_TTL_S = 31_536_000
"""The longest validity of a token, by the bound of the setting."""

_NOT_VALID = "the token is not valid"
# 32 bytes of signature are 43 characters. The last one has two unused bits, which must be zero: otherwise one token
# could be written in four ways. Decoders skip characters outside their alphabet.
_FORM = re.compile(r"(([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+))\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])")


class TokenError(Exception):
    """A token that is not valid; the text says why, without repeating it."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["HS256"]
    typ: Literal["JWT"] = "JWT"


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a token. `iat`, `exp` and `nbf` are Unix times in seconds; `gen` is the generation of its user's
    password.
    """

    sub: Annotated[str, Meta(min_length=1, max_length=64)]
    iat: Annotated[float, Meta(ge=0)]
    exp: Annotated[int, Meta(ge=0, lt=2**53)]
    jti: Annotated[str, Meta(min_length=1, max_length=64)]
    scopes: list[str]
    gen: int | float
    nbf: Annotated[float, Meta(ge=0)] = 0.0

    @property
    def ends_at(self) -> int:
        """The Unix time in seconds from which no api with a correct clock accepts the token."""
        return self.exp + LEEWAY_S

    def check_time(self) -> None:
        """Check that the token is valid now. Every use of a token calls this, even of a cached one.

        Raises:
            TokenError: it has expired, or is not valid yet.
        """
        now = time.time()
        if now >= self.exp + LEEWAY_S:
            raise TokenError("the token has expired")
        if max(self.iat, self.nbf) > now + LEEWAY_S:
            raise TokenError("the token is not valid yet")


class Tokens:
    """Issues and verifies tokens."""

    def __init__(self, secrets_: Sequence[str], ttl_s: int) -> None:
        self._secrets = tuple(secrets_)
        self._keys = tuple(secret.encode() for secret in secrets_)
        self._ttl_s = ttl_s

    def issue(self, user: str, scopes: Sequence[str], generation: float) -> str:
        """Make a new token for `user`, valid as long as the user's password has this generation."""
        now = round(time.time(), 3)
        claims = {
            "sub": user,
            "iat": now,
            "exp": int(now) + self._ttl_s,
            "jti": secrets.token_hex(16),
            "scopes": list(scopes),
            "gen": generation,
        }
        return jwt.encode(claims, self._secrets[0], algorithm=ALGORITHM)

    def verify(self, token: str) -> Claims:
        """The claims of a token that one of the secrets signed and that is valid now.

        A client that cannot sign learns only that the token is not valid.

        Raises:
            TokenError: it is not valid.
        """
        claims = self.read(token)
        claims.check_time()
        return claims

    def read(self, token: str) -> Claims:
        """The claims of a token that one of the secrets signed, whether it is valid now or not.

        Raises:
            TokenError: no secret signed it, or it does not have the form of our tokens.
        """
        form = _FORM.fullmatch(token)
        if form is None:
            raise TokenError(_NOT_VALID)
        signed, header, payload, signature = form.groups()
        _check_header(header)
        # PyJWT takes ten times as long to refuse a forged token (101 us instead of 10, with two secrets), and a flood
        # of them is refused here.
        text, given = signed.encode(), _decoded(signature)
        if not any(hmac.compare_digest(hmac.digest(key, text, "sha256"), given) for key in self._keys):
            raise TokenError(_NOT_VALID)
        claims = _claims(_decoded(payload))
        if claims.exp - claims.iat > MAX_TTL_S + 1:
            raise TokenError(_NOT_VALID)
        return claims


def _decoded(part: str) -> bytes:
    """The bytes of a part; its alphabet has been checked.

    Raises:
        TokenError: no bytes have an encoding of this length.
    """
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise TokenError(_NOT_VALID) from None


def _check_header(part: str) -> None:
    try:
        msgspec.json.decode(_decoded(part), type=_Header)
    except (msgspec.MsgspecError, ValueError):
        raise TokenError(_NOT_VALID) from None


def _claims(payload: bytes) -> Claims:
    try:
        found = json.loads(payload, object_pairs_hook=_each_once, parse_constant=_no_number)
        return msgspec.convert(found, Claims)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise TokenError(_NOT_VALID) from None


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of a JSON object; none may occur twice, because readers differ in which one they use."""
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member occurs twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
