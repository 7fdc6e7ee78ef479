"""Settings of the cluster: its shards and their instances."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from protocol.settings.base import Settings

_SHARD = re.compile(r"(?P<name>[a-z][a-z0-9-]{0,31})=(?P<hosts>[^=;]+)")
_INSTANCE = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^\s:,]+):(?P<port>[0-9]{1,5})")


class ClusterSettings(Settings, frozen=True, kw_only=True):
    """Which shards there are."""

    shards: Annotated[
        str,
        Meta(
            description="The shards and their instances: `s1=host:port,host:port;s2=host:port`. Order matters: it "
            "decides which buckets a shard gets at its first start. If shards announce each other, api and "
            "workers need only some of them."
        ),
    ]
    bucket_count: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Number of buckets; it cannot be changed once there is data.")
    ] = 30_000

    def __post_init__(self) -> None:
        shards = parse_shards(self.shards)
        if len(shards) > self.bucket_count:
            raise ValueError(
                f"TARANTKV_BUCKET_COUNT is {self.bucket_count} and TARANTKV_SHARDS names {len(shards)} shards: each "
                "shard needs a bucket"
            )


def parse_shards(text: str) -> dict[str, tuple[tuple[str, int], ...]]:
    """Read `s1=host:port,host:port;s2=host:port` as shard name to `(host, port)` of its instances, in order.

    Raises:
        ValueError: the text is malformed, or names a shard or an instance twice; the message names the setting.
    """
    shards: dict[str, tuple[tuple[str, int], ...]] = {}
    seen: dict[tuple[str, int], str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        match = _SHARD.fullmatch(part)
        if match is None:
            raise ValueError(f"TARANTKV_SHARDS: {part!r} is not of the form name=host:port[,host:port]")
        name = match["name"]
        if name in shards:
            raise ValueError(f"TARANTKV_SHARDS names shard {name} twice")
        instances = []
        for address in match["hosts"].split(","):
            found = _INSTANCE.fullmatch(address.strip())
            if found is None or not 1 <= int(found["port"]) <= 65535:
                raise ValueError(f"TARANTKV_SHARDS: {address!r} of shard {name} is not host:port")
            instance = (found["host"].strip("[]"), int(found["port"]))
            if instance in seen:
                raise ValueError(f"TARANTKV_SHARDS gives {address} to shard {seen[instance]} and to shard {name}")
            seen[instance] = name
            instances.append(instance)
        shards[name] = tuple(instances)
    if not shards:
        raise ValueError("TARANTKV_SHARDS names no shard")
    return shards
