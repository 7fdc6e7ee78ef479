"""The base of all concerns of settings: the class, the error, and the name of a field's variable."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

PREFIX = "TARANTKV_"

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names it in one line and does not repeat a secret."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all concerns. Its text form shows no values, because many are secret.

    A field `redis_url` is the variable `TARANTKV_REDIS_URL`. The constraints are in the types, so that a wrong value is
    refused by name when the process starts. Constraints that a type cannot express are checked in `__post_init__`,
    which raises `ValueError` with one line that names the variable.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def given(self) -> dict[str, Any]:
        """The values by field."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()
