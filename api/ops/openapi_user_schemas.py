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
    "description": "What the user may do. A token has those that its user had at the login and still has.",
}
_PASSWORD: Document = {
    "type": "string",
    "minLength": MIN_PASSWORD_LENGTH,
    "maxLength": MAX_PASSWORD_BYTES,
    "description": f"At most {MAX_PASSWORD_BYTES} bytes of UTF-8. A new one ends the user's tokens.",
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
                    "description": "Whether no users follow; if some do, ask for those after the last name.",
                },
            }
        ),
        "NewUser": _object({"name": NAME, "password": _PASSWORD, "scopes": _SCOPES}),
        "UserChange": {
            **_object({"password": _PASSWORD, "scopes": _SCOPES, "disabled": _DISABLED}, required=()),
            "minProperties": 1,
            "description": "What is not named stays as it is.",
        },
    }


def _object(properties: Document, required: Sequence[str] | None = None) -> Document:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else list(required),
        "additionalProperties": False,
    }
