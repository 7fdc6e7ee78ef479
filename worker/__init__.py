"""The consumer: chunks in, one call to a shard, replies out.

A worker process runs one loop per shard and lane (Redis server), in a thread of its own, with its own connections to
Redis and Tarantool, so that a dead shard or lane holds up nobody else. It never decodes the body of a chunk, knows
nothing of HTTP, users or buckets, and keeps no state that its death could lose: what it has in hand stays pending in
the stream until it is answered.
"""

from protocol.compiled import use

# Before any module of this package is imported.
use()
