"""The `.env` file: written once with random secrets, read at every start.

Run as a script it only writes the file. It needs nothing but the standard library and an old Python, because
whoever runs the containers has no virtual environment.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

ADMIN_USER = "TARANTKV_ADMIN_USER"
ADMIN_PASSWORD = "TARANTKV_ADMIN_PASSWORD"
JWT_SECRET = "TARANTKV_JWT_SECRET"
REDIS_PASSWORD = "TARANTKV_REDIS_PASSWORD"
REDIS_WORKER_PASSWORD = "TARANTKV_REDIS_WORKER_PASSWORD"
STORE_PASSWORD = "TARANTKV_STORE_PASSWORD"

REPOSITORY = Path(__file__).resolve().parent.parent

_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")
_HEADER = (
    "# Secrets and settings of this machine; never committed. Every setting of docs/settings.md may be added here.\n"
)


class DotenvError(ValueError):
    """A line of the file that is neither a comment nor `NAME=value`."""


def random_secrets() -> dict[str, str]:
    """Fresh values; made of letters, digits, `-` and `_` only, so that no shell or compose file has to quote them."""
    return {
        JWT_SECRET: secrets.token_urlsafe(48),
        ADMIN_USER: "admin",
        ADMIN_PASSWORD: secrets.token_urlsafe(18),
        REDIS_PASSWORD: secrets.token_urlsafe(24),
        REDIS_WORKER_PASSWORD: secrets.token_urlsafe(24),
        STORE_PASSWORD: secrets.token_urlsafe(24),
    }


def read(path: Path) -> dict[str, str]:
    """The settings in the file; nothing when it does not exist. One pair of quotes around a value is taken off."""
    if not path.exists():
        return {}
    settings = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            message = f"{path}:{number}: expected NAME=value"
            raise DotenvError(message)
        name, value = match.groups()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        settings[name] = value
    return settings


def ensure(path: Path) -> list[str]:
    """Write what is missing and keep every line that is there; returns the names that were added."""
    present = read(path)
    missing = {name: value for name, value in random_secrets().items() if not present.get(name)}
    if not missing and path.exists():
        path.chmod(0o600)
        return []
    old = path.read_text(encoding="utf-8") if path.exists() else _HEADER
    if not old.endswith("\n"):
        old += "\n"
    # An empty assignment would win over ours in readers that take the last line, and lose in others: drop it.
    kept = [line for line in old.splitlines() if not _assigns_nothing(line, missing)]
    text = "\n".join(kept + [f"{name}={value}" for name, value in missing.items()]) + "\n"
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    scratch.replace(path)
    return sorted(missing)


def _assigns_nothing(line: str, names: dict[str, str]) -> bool:
    match = _LINE.match(line)
    return match is not None and match.group(1) in names


if __name__ == "__main__":
    target = REPOSITORY / ".env"
    try:
        added = ensure(target)
    except DotenvError as error:
        sys.exit(str(error))
    print(f"{target}: " + (f"wrote {', '.join(added)}" if added else "complete, nothing changed"))
