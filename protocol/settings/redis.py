"""Settings of Redis: its address, or one for each lane, and the user of this process."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Meta, structs

from protocol.settings.base import Settings

DEFAULT_PORT = 6379
_NUMBER = re.compile(r"[0-9]{1,5}")
_FORMS = "redis://host:port/0, rediss://host:port/0 or unix:///path?db=0"
_NEXT_LANE = re.compile(r"\s*,\s*(?=(?:redis|rediss|unix)://)")
"""The separator of two addresses. The path of a socket may contain commas."""

MOST_LANES = 16
"""The limit of lanes: a worker has a thread and two connections for each shard and lane."""


class RedisAddress(NamedTuple):
    """Where Redis listens: at the unix socket `path`, or at `host` and `port` if `path` is None."""

    path: str | None
    host: str
    port: int
    database: int
    tls: bool

    @property
    def server(self) -> str:
        """The server's address without the database."""
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """The name of the server in logs and metrics; it contains no secret."""
        return f"{self.server}/{self.database}" if self.database else self.server


class RedisSettings(Settings, frozen=True, kw_only=True):
    """Where Redis is. Several addresses are as many lanes: Redis servers that are independent of each other."""

    redis_url: Annotated[
        str,
        Meta(
            description=f"Address of Redis, without credentials: {_FORMS.replace('0', 'n')}. "
            "Several, separated by commas, are lanes: independent servers, which share user and password."
        ),
    ]
    redis_user: Annotated[str, Meta(min_length=1, pattern=r"^[!-~]+\Z", description="Redis ACL user; no spaces.")] = (
        "tarantkv"
    )
    redis_password: Annotated[str, Meta(min_length=1, description="Password of the Redis user.")]

    def __post_init__(self) -> None:
        parse_addresses(self.redis_url)

    @property
    def address(self) -> RedisAddress:
        """The parsed address of the only lane.

        Raises:
            ValueError: there are several lanes.
        """
        (address,) = parse_addresses(self.redis_url)
        return address

    @property
    def lanes(self) -> tuple[RedisSettings, ...]:
        """The settings of each lane."""
        return tuple(structs.replace(self, redis_url=url) for url in _split(self.redis_url))


def parse_addresses(urls: str) -> tuple[RedisAddress, ...]:
    """Parse the addresses of all lanes.

    Raises:
        ValueError: as `parse_address`; or two lanes are one server, and would fail together.
    """
    addresses = tuple(map(parse_address, _split(urls)))
    if len({address.server for address in addresses}) < len(addresses):
        raise _wrong("names one server twice: lanes are independent servers, not databases of one")
    if len(addresses) > MOST_LANES:
        raise _wrong(f"names {len(addresses)} servers, {MOST_LANES} are the most")
    return addresses


def _split(urls: str) -> list[str]:
    return _NEXT_LANE.split(urls.strip())


def parse_address(url: str) -> RedisAddress:
    """Parse an address of Redis. Nothing in it is ignored: parts that have no meaning here are refused.

    Raises:
        ValueError: it is malformed, or contains what other settings give; the message names the setting and repeats
            nothing of the address, which may contain a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong(f"is not of the form {_FORMS}") from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise _wrong(f"is not of the form {_FORMS}")
    _refuse_what_means_nothing(url, parts.netloc)
    database = _database_of_query(parts.query) if "?" in url else None
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
            raise _wrong("names no socket: unix:///path?db=0")
        return RedisAddress(unquote(parts.path), "", 0, database or 0, tls=False)
    if not parts.hostname:
        raise _wrong(f"names no host: {_FORMS}")
    if parts.path.strip("/"):
        if database is not None:
            raise _wrong("gives the database twice")
        database = _number(parts.path.removeprefix("/").removesuffix("/"), "its path is the number of the database")
    return RedisAddress(None, parts.hostname, port or DEFAULT_PORT, database or 0, tls=parts.scheme == "rediss")


def _refuse_what_means_nothing(url: str, place: str) -> None:
    if "@" in place:
        raise _wrong("holds a user or a password, which TARANTKV_REDIS_USER and TARANTKV_REDIS_PASSWORD give")
    if "#" in url:
        raise _wrong("has a fragment, which means nothing here")
    if "," in place or url.endswith(","):
        raise _wrong(f"has a comma that no address follows: {_FORMS}")


def _database_of_query(query: str) -> int:
    parameters = parse_qsl(query, keep_blank_values=True)
    if [name for name, _ in parameters] != ["db"]:
        raise _wrong("has a parameter other than one db=…, which would be ignored")
    return _number(parameters[0][1], "db is the number of the database")


def _number(text: str, meaning: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise _wrong(meaning)
    return int(text)


def _wrong(problem: str) -> ValueError:
    return ValueError(f"TARANTKV_REDIS_URL: {problem}")
