"""The syntax of an env file, read as Docker Compose reads it: `make up` and `docker compose up` share one `.env`.

The rules: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax. No
package for Python follows them: python-dotenv leaves `$$` and `$NAME` alone, fills in `${NAME}` within single quotes,
and knows no `${NAME:?}`. tests/localcluster/test_dotenv_like_compose.py compares this module with Compose itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from localcluster.interpolation import InterpolationError, Lookup, interpolate

_BLANK = re.compile(r"\s*(?:#[^\n]*\s*)*")
_KEY = re.compile(r"(?:export[^\S\n]+(?=[^\s=:]))?(?P<name>[\w.\-\[\]]+)[^\S\n]*(?P<end>[=:\n])")
_UNQUOTED = re.compile(r"[^\n]*")
_SINGLE_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_DOUBLE_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_ESCAPED_QUOTE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPE = re.compile(r"""\\(?:(?P<octal>0[0-3][0-7]{2})|(?P<plain>[abfnrtv"\\$]))""")
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\", "$": "$$"}


class DotenvError(ValueError):
    """A line that Compose would refuse, too; the message begins with its number."""


def parse(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Every variable that the text assigns; the last assignment counts.

    `environment` has the variables that a value can refer to besides the lines above it; it has priority over them.
    """
    found: dict[str, str] = {}

    def lookup(name: str) -> str | None:
        return environment.get(name, found.get(name))

    text = text.removeprefix("\ufeff")
    position = _skip(text, 0)
    while position < len(text):
        number = text.count("\n", 0, position) + 1
        key = _KEY.match(text, position)
        if key is None:
            raise DotenvError(f"{number}: expected NAME=value")
        position = key.end()
        if key["end"] == "\n":
            # A name without a value takes the value of the environment.
            if key["name"] in environment:
                found[key["name"]] = environment[key["name"]]
        else:
            try:
                found[key["name"]], position = _value(text, position, lookup)
            except (InterpolationError, DotenvError) as error:
                raise DotenvError(f"{number}: {key['name']}: {error}") from None
        position = _skip(text, position)
    return found


def _skip(text: str, position: int) -> int:
    """Skip white space and whole-line comments, and a comment behind a quoted value."""
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _value(text: str, position: int, lookup: Lookup) -> tuple[str, int]:
    """The value that begins at `position`, and where it ends."""
    while text[position : position + 1] in (" ", "\t", "\v", "\f", "\r"):
        position += 1
    quote = text[position : position + 1]
    if quote in ("'", '"'):
        quoted = (_SINGLE_QUOTED if quote == "'" else _DOUBLE_QUOTED).match(text, position)
        if quoted is None:
            raise DotenvError("the quote is not closed")
        if quote == "'":
            return _ESCAPED_QUOTE.sub(lambda pair: "'" if pair[1] == "'" else pair[0], quoted[1]), quoted.end()
        return interpolate(_ESCAPE.sub(_unescaped, quoted[1]), lookup), quoted.end()
    line = _UNQUOTED.match(text, position)
    value = line[0] if line else ""
    return interpolate(value.partition(" #")[0].rstrip(), lookup), position + len(value)


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape["octal"], 8)) if escape["octal"] else _PLAIN[escape["plain"]]
