"""The body of a login: JSON or MessagePack in, a name and a password out, or a problem that points at the fault."""

from __future__ import annotations

import re

import msgspec

from api.http.negotiation import Format
from api.http.problems import Kind, Problem, at
from protocol.settings.auth import MAX_PASSWORD_BYTES


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a login. Its text shows neither name nor password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "LoginRequest(…)"


_NAMES = {Format.JSON: "JSON", Format.MSGPACK: "MessagePack"}
_DECODERS = {
    Format.JSON: msgspec.json.Decoder(LoginRequest).decode,
    Format.MSGPACK: msgspec.msgpack.Decoder(LoginRequest).decode,
}
_PLACE = re.compile(r"(.*) - at `(\$\.(\w+))`")


def decode_login(body: bytes, body_format: Format) -> LoginRequest:
    """The name and the password of a login, neither of them empty.

    Raises:
        Problem: 400, the body is malformed or not of the form expected.
    """
    if not body:
        raise Problem(Kind.MALFORMED_BODY, "the body is empty")
    try:
        login = _DECODERS[body_format](body)
    except msgspec.ValidationError as error:
        place = _PLACE.fullmatch(str(error))
        if place is None:
            raise Problem(Kind.INVALID_REQUEST, str(error)) from None
        raise at(Kind.INVALID_REQUEST, f"{place[1]}, at `{place[2]}`", place[3]) from None
    except UnicodeDecodeError as error:
        detail = f"a text in the {_NAMES[body_format]} body is not UTF-8: {error.reason}"
        raise Problem(Kind.MALFORMED_BODY, detail) from None
    except RecursionError:
        raise Problem(Kind.INVALID_REQUEST, "the body is nested too deep") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise Problem(Kind.MALFORMED_BODY, f"the body is not {_NAMES[body_format]}: {error}") from None
    if not login.username:
        raise at(Kind.INVALID_REQUEST, "the user name is empty", "username")
    if not login.password:
        raise at(Kind.INVALID_REQUEST, "the password is empty", "password")
    if len(login.password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        raise at(Kind.INVALID_REQUEST, f"a password has at most {MAX_PASSWORD_BYTES} bytes", "password")
    return login
