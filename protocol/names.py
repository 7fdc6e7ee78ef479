"""Every name that tarant-kv uses in Redis. No other module may spell one out.

| key | type | owner | gone when |
|---|---|---|---|
| `kv:{shard}` | stream | the shard's workers | never; its entries are deleted as they are answered |
| `workers:{shard}:{version}` | sorted set | the shard's workers | it expires unless one of them renews it |
| `reply:{api process}` | stream | one api process | it expires unless that process or a worker renews it |
| `alive:{api process}` | string | one api process | it expires unless that process renews it |
| `login:{kind}:{digest}` | counter | the login throttle | its window is over |
"""

from __future__ import annotations

from typing import Final

GROUP: Final = "workers"
"""The consumer group of every shard's stream."""

FIELD: Final = b"f"
"""The only field of a stream entry; it holds an encoded frame or reply."""

REFUSED: Final = b"refused"
"""The field of a reply stream's entry that names a frame which a worker refused unread: `shard entry version`, with the
worker's version. Processes of all versions understand it, so it never changes. If the version is the sender's own, the
frame was for another cluster than the worker's, whose id is a fourth word."""

REPLY_PREFIX: Final = "reply:"

EPHEMERAL_TTL_S: Final = 20
"""How many seconds the keys of a process outlive it. The replies to large reads of an api that was killed may fill
Redis, and every other api is refused for as long. An api renews its keys twice a second; if it is frozen for longer, it
sends the waiting chunks again."""


def shard_stream(shard: str) -> str:
    """The stream that carries the chunks of `shard`."""
    return f"kv:{shard}"


def shard_workers(shard: str, version: int) -> str:
    """The workers at the stream of `shard`: consumers, by the time of their last announcement in ms.

    There is one for each version of frames: a worker that cannot read them must not be the reader while others stand
    by.
    """
    return f"workers:{shard}:{version}"


def consumer(cluster: str, host: str, pid: int, token: str) -> str:
    """The name of a worker in the group of each shard: its cluster and its process."""
    return f"{cluster}/{host}:{pid}:{token}"


def may_be_of_one_cluster(consumer: bytes, other: bytes) -> bool:
    """Whether two consumers may work for the same cluster; those of versions that do not name it count as such."""
    first, second = (name.partition(b"/")[0] if b"/" in name else b"" for name in (consumer, other))
    return not first or not second or first == second


def reply_stream(api_process: str) -> str:
    """The stream by which the workers answer `api_process`."""
    return REPLY_PREFIX + api_process


def alive_key(api_process: str) -> str:
    """A key that only `api_process` creates: if it is missing, Redis has lost its data."""
    return f"alive:{api_process}"


def login_counter(kind: str, digest: str) -> str:
    """The counter of failed logins of one `kind` (`user` or `address`); `digest` is that of the name."""
    return f"login:{kind}:{digest}"
