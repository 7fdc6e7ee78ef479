"""Decodes the body of a login, in JSON or MessagePack; a problem points at the fault."""

from __future__ import annotations

import msgspec

from api.auth.bodies import Body
from api.http.negotiation import Format
from api.http.problems import Kind, at
from protocol.settings.auth import MAX_PASSWORD_BYTES


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a login. Its text form shows neither name nor password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "LoginRequest(…)"


_BODY = Body(LoginRequest)


def decode_login(body: bytes, body_format: Format) -> LoginRequest:
    """The name and the password of a login; neither may be empty.

    Raises:
        Problem: 400, the body is malformed or does not have the expected form.
    """
    login = _BODY.decode(body, body_format)
    if not login.username:
        raise at(Kind.INVALID_REQUEST, "the user name is empty", "username")
    if not login.password:
        raise at(Kind.INVALID_REQUEST, "the password is empty", "password")
    if len(login.password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        raise at(Kind.INVALID_REQUEST, f"a password has at most {MAX_PASSWORD_BYTES} bytes", "password")
    return login
