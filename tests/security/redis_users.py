"""Redis with the rights of each of its users, over the connection code of the system itself."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import redis

from localcluster import programs
from localcluster.cluster import Cluster
from protocol.redis_wire import Command, Wire
from protocol.settings import RedisSettings, load

TIERS = ("api", "worker")


def settings_of(cluster: Cluster, tier: str) -> RedisSettings:
    """The credentials of a tier."""
    return load(RedisSettings, programs.settings_for(cluster.config, tier))


def administrator(cluster: Cluster) -> RedisSettings:
    """The administrator, whom only clusters of tests have."""
    return load(RedisSettings, cluster.settings)


def run(settings: RedisSettings, *commands: Command) -> list[Any]:
    """The replies to commands, an error as an exception object."""
    with closing(Wire(settings, name="test")) as wire:
        return wire.run(commands)


def is_refused(reply: Any) -> bool:
    """Whether Redis lacked permission to run a command at all, or to touch its keys."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("NOPERM")


def every_command(settings: RedisSettings) -> Mapping[tuple[str, ...], int]:
    """All commands of this Redis, subcommands (7.0 and later) listed separately, with their least number of words."""
    (listed,) = run(settings, ("COMMAND",))
    found: dict[tuple[str, ...], int] = {}
    for description in listed:
        # Name, arity, and, from 7.0 on, as the last of ten the subcommands in the same form.
        subcommands = description[9] if len(description) > 9 else []
        for name, arity, *_ in subcommands or [description]:
            found[tuple(name.decode().lower().split("|"))] = abs(arity)
    return found
