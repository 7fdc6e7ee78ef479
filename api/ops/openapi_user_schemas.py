"""The OpenAPI document's schemas of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.settings.auth import MAX_PASSWORD_BYTES, MIN_PASSWORD_LENGTH, USER_NAME

Document = dict[str, Any]

NAME: Document = {"type": "string", "pattern": f"^{USER_NAME}$"}
_SCOPES: Document = {
    "type": "array",
    "items": {"type": "string", "enum": ["admin", "observe", "read", "write"]},
    "minItems": 1,
    "description": "What the user may do. A token allows what its user was allowed at the login and still is allowed.",
}
_PASSWORD: Document = {
    "type": "string",
    "minLength": MIN_PASSWORD_LENGTH,
    "maxLength": MAX_PASSWORD_BYTES,
    "description": f"At most {MAX_PASSWORD_BYTES} bytes of UTF-8. A new password makes the user's tokens invalid.",
}
_DISABLED: Document = {"type": "boolean", "description": "Whether the user's logins and tokens are refused."}


def user_schemas() -> Document:
    """The schemas of users."""
    return {
        "User": _object({"name": NAME, "scopes": _SCOPES, "disabled": _DISABLED}),
        "Users": _object(
            {
                "users": {"type": "array", "items": {"$ref": "#/components/schemas/User"}},
                "complete": {
                    "type": "boolean",
                    "description": "Whether this is the last page. If not, ask for the users after the last name.",
                },
            }
        ),
        "NewUser": _object({"name": NAME, "password": _PASSWORD, "scopes": _SCOPES}),
        "UserChange": {
            **_object({"password": _PASSWORD, "scopes": _SCOPES, "disabled": _DISABLED}, required=()),
            "minProperties": 1,
            "description": "Members that are absent stay unchanged.",
        },
    }


def _object(properties: Document, required: Sequence[str] | None = None) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        "additionalProperties": False,
    }
