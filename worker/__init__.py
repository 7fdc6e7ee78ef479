"""The consumer: reads chunks, calls the shards with them, and sends replies.

A worker process runs one loop for each shard and lane (Redis server), in its own thread, with its own connections to
Redis and Tarantool, so that a dead shard or lane does not delay the others. It never decodes the body of a chunk, knows
nothing of HTTP, users or buckets, and keeps no state that would be lost if it died: its frames stay pending in the
stream until they are answered.
"""

from protocol.compiled import use

# Before any module of this package is imported.
use()
