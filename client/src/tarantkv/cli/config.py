"""Finds the api and the user of a command. Flags have priority over the environment, and that over the configuration
file. Tokens are stored in another file.

`$XDG_CONFIG_HOME/tarantkv/config.toml` (`~/.config/…`) has profiles. `$XDG_STATE_HOME/tarantkv/tokens.json`
(`~/.local/state/…`), which only its owner can read, has the tokens from `tarantkv login`. No password is stored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from tarantkv.cli.exits import UsageError

DEFAULT_URL = "http://127.0.0.1:8081"
DEFAULT_PROFILE = "default"


class Target(NamedTuple):
    """The api and the user of a command. `token` and `password` are None if there is none."""

    profile: str
    url: str
    user: str | None
    token: str | None
    password: str | None


def config_path(environment: Mapping[str, str]) -> str:
    """The configuration file."""
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "tarantkv", "config.toml")


def tokens_path(environment: Mapping[str, str]) -> str:
    """The file of tokens."""
    home = environment.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, "tarantkv", "tokens.json")


def target(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Target:
    """The api and the user that a command uses.

    Raises:
        UsageError: the configuration file is not valid, or the profile is missing.
    """
    asked = flags.get("profile") or environment.get("TARANTKV_PROFILE")
    path = config_path(environment)
    config = read_config(path)
    name = str(asked or config.get("profile") or DEFAULT_PROFILE)
    profiles = config.get("profiles", {})
    if asked and name not in profiles and not flags.get("new_profile"):
        raise UsageError(f"{path} has no profile {name!r}")
    profile = profiles.get(name, {})
    url = str(flags.get("url") or environment.get("TARANTKV_URL") or profile.get("url") or DEFAULT_URL).rstrip("/")
    user = flags.get("user") or environment.get("TARANTKV_USER") or profile.get("user")
    token = environment.get("TARANTKV_TOKEN")
    if not token:
        kept = read_tokens(tokens_path(environment))
        # Without a name it is the user who logged in there last.
        token = (
            kept.get(_place(url, user))
            if user
            else next((found for place, found in reversed(kept.items()) if place.endswith(f" {url}")), None)
        )
    return Target(name, url, user, token or None, environment.get("TARANTKV_PASSWORD") or None)


def read_config(path: str) -> dict[str, Any]:
    """The configuration; `{}` without a file.

    Raises:
        UsageError: it is not valid.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    import tomllib

    try:
        config = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    profiles = config.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise UsageError(f"{path}: 'profiles' must have tables")
    for name, profile in profiles.items():
        for member, value in profile.items():
            if member not in ("url", "user") or not isinstance(value, str):
                raise UsageError(f"{path}: a profile has 'url' and 'user', both texts; {name!r} has {member!r}")
    return config


def add_profile(path: str, name: str, url: str, user: str) -> bool:
    """Add a profile to the file, which is created if it is missing. False: a profile of this name exists and is
    kept.

    Raises:
        UsageError: the file would not be valid any more.
    """
    import json
    import tomllib

    if name in read_config(path).get("profiles", {}):
        return False
    _make_directory(path)
    texts = [json.dumps(text, ensure_ascii=False) for text in (name, url, user)]
    added = "\n[profiles.{}]\nurl = {}\nuser = {}\n".format(*texts)
    try:
        with open(path, encoding="utf-8") as file:
            before = file.read()
    except FileNotFoundError:
        before = ""
    try:
        tomllib.loads(before + added)
    except tomllib.TOMLDecodeError as error:
        # Such as a file that has its profiles in one line: every later command would fail.
        raise UsageError(f"{path}: the profile {name!r} cannot be added, so add it by hand: {error}") from None
    with open(path, "a", encoding="utf-8") as file:
        file.write(added)
    return True


def read_tokens(path: str) -> dict[str, str]:
    """The stored tokens, by place; none if the file is missing or damaged."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return {}
    import json

    try:
        kept = json.loads(content)
    except ValueError:
        return {}
    return {str(place): str(token) for place, token in kept.items()} if isinstance(kept, dict) else {}


def keep_token(path: str, url: str, user: str, token: str | None) -> None:
    """Store a token, or remove it (None)."""
    import json

    kept = read_tokens(path)
    kept.pop(_place(url, user), None)
    if token is not None:
        kept[_place(url, user)] = token
    _make_directory(path)
    # Written to another file and then renamed, so that a reader finds either the old or the new content, complete.
    beside = f"{path}.{os.getpid()}"
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=1)
    os.replace(beside, path)


def _place(url: str, user: str | None) -> str:
    return f"{user} {url}"


def _make_directory(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
