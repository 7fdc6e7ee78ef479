"""Reads settings from the environment, and ends a process whose settings are wrong with one line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from protocol.settings.base import PREFIX, Settings, SettingsError, variable
from protocol.settings.concerns import CLIENT_VARIABLES, known_variables
from protocol.settings.cross_checks import check

EXIT_CONFIGURATION = 78
"""The exit code for wrong settings: `EX_CONFIG` of BSD's `sysexits.h`."""

S = TypeVar("S", bound=Settings)


def load(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """Read the settings of one `kind` from the environment; an empty variable counts as not set.

    Raises:
        SettingsError: one is missing, wrong, of an unknown name, or contradicts another of this kind.
    """
    settings = _read(kind, _ours(environment))
    check(settings.given())
    return settings


def check_together(*settings: Settings) -> None:
    """Compare the settings of all concerns that a process reads with each other.

    Raises:
        SettingsError: two contradict each other.
    """
    values: dict[str, Any] = {}
    for concern in settings:
        values |= concern.given()
    check(values)


def load_or_exit(kind: type[S]) -> S:
    """Read the settings of one `kind`; on an error print one line and end the process with `EXIT_CONFIGURATION`."""
    try:
        return load(kind)
    except SettingsError as error:
        exit_with(str(error))


def exit_with(line: str) -> NoReturn:
    """Print one line on standard error and end the process with `EXIT_CONFIGURATION`."""
    sys.stderr.write(f"tarant-kv: {line}\n")
    raise SystemExit(EXIT_CONFIGURATION)


def _ours(environment: Mapping[str, str] | None) -> dict[str, str]:
    """The settings of the environment, by field.

    Raises:
        SettingsError: a name is unknown, or a value is not UTF-8 or has more than one line.
    """
    environment = os.environ if environment is None else environment
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value.strip()}
    unknown = sorted(ours.keys() - known_variables() - CLIENT_VARIABLES)
    if unknown:
        raise SettingsError(f"{unknown[0]!a} is not a setting of tarant-kv".replace("'", ""))
    for name, value in ours.items():
        if name not in CLIENT_VARIABLES and _is_damaged(value):
            raise SettingsError(f"{name} is not UTF-8")
        if "\n" in value.strip() or "\0" in value:
            raise SettingsError(f"{name} has more than one line")
    # White space around a password is part of it, as it is for the shard and for Redis, which get the same variable.
    return {
        name.removeprefix(PREFIX).lower(): value if name.endswith("_PASSWORD") else value.strip()
        for name, value in ours.items()
    }


def _is_damaged(value: str) -> bool:
    """Whether a variable has bytes that are not UTF-8: Python decodes them as surrogates."""
    return any("\ud800" <= character <= "\udfff" for character in value)


def _read(kind: type[S], values: Mapping[str, str]) -> S:
    mine = {name: value for name, value in values.items() if name in kind.__struct_fields__}
    try:
        return msgspec.convert(mine, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_line(error, mine)) from None


def _line(error: msgspec.ValidationError, values: Mapping[str, str]) -> str:
    text = str(error)
    field = re.search(r"`\$\.(\w+)`", text) or re.search(r"required field `(\w+)`", text)
    if field is None:
        return text
    name = variable(field[1])
    if field[1] not in values:
        return f"{name} is not set"
    return f"{name}: {text.partition(' - at')[0].lower().replace('`', '')}"
