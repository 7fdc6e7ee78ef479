"""The `.env` file: `scripts/env.sh` completes it, and every start reads it."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

from localcluster.dotenv_syntax import DotenvError, parse

__all__ = ["DotenvError", "ensure", "random_secrets", "read"]

ADMIN_USER = "TARANTKV_ADMIN_USER"
ADMIN_PASSWORD = "TARANTKV_ADMIN_PASSWORD"
JWT_SECRET = "TARANTKV_JWT_SECRET"
REDIS_PASSWORD = "TARANTKV_REDIS_PASSWORD"
REDIS_WORKER_PASSWORD = "TARANTKV_REDIS_WORKER_PASSWORD"
STORE_PASSWORD = "TARANTKV_STORE_PASSWORD"

REPOSITORY = Path(__file__).resolve().parent.parent
_SCRIPT = REPOSITORY / "scripts" / "env.sh"
_WRITE_TIMEOUT_S = 30.0


def random_secrets() -> dict[str, str]:
    """Fresh secrets for clusters without an `.env`: tests, benchmarks."""
    return {
        JWT_SECRET: secrets.token_urlsafe(48),
        ADMIN_USER: "admin",
        ADMIN_PASSWORD: secrets.token_urlsafe(18),
        REDIS_PASSWORD: secrets.token_urlsafe(24),
        REDIS_WORKER_PASSWORD: secrets.token_urlsafe(24),
        STORE_PASSWORD: secrets.token_urlsafe(24),
    }


def read(path: Path) -> dict[str, str]:
    """The settings in the file, as Docker Compose reads them; none if it does not exist.

    Raises `DotenvError` with file and line number.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise DotenvError(f"{path} is not UTF-8") from None
    try:
        return parse(text, os.environ)
    except DotenvError as error:
        raise DotenvError(f"{path}:{error}") from None


def ensure(path: Path) -> list[str]:
    """Add the missing secrets and keep every other line; returns the names that were added.

    Raises `DotenvError` when the file cannot be written.
    """
    # `make env` runs the same script, so that secrets are made in one place only.
    command = ["/bin/sh", str(_SCRIPT), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WRITE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise DotenvError(f"{path} cannot be written within {_WRITE_TIMEOUT_S:g} seconds") from None
    if done.returncode != 0:
        raise DotenvError(done.stderr.strip().splitlines()[-1].removeprefix("error: ") if done.stderr else "no reason")
    _, wrote, names = done.stdout.rstrip("\n").rpartition(": wrote ")
    return sorted(names.split()) if wrote else []
