"""The numbers that travel: operations of a chunk and statuses of an outcome.

`tarantool-cluster/tarantkv/` holds the same numbers for the storage; a test compares the two.
"""

from __future__ import annotations

from enum import IntEnum


class Operation(IntEnum):
    """What a chunk asks its shard to do."""

    WRITE = 1
    READ = 2
    DELETE = 3
    CLAIM = 16
    FINISH = 17
    USER_GET = 18
    USER_PUT = 19
    REVOKE = 20
    USER_LIST = 21
    DESCRIBE = 22


class Status(IntEnum):
    """What became of a chunk.

    Every status but `OK` and `UNKNOWN` promises that nothing of the chunk was applied.
    """

    OK = 0
    EXPIRED = 1
    WRONG_BUCKET = 2
    READ_ONLY = 3
    NO_MEMORY = 4
    TOO_LARGE = 5
    MALFORMED = 6
    REFUSED = 7
    UNREACHABLE = 8
    """Given by a worker: the shard could not be reached before the deadline, and the chunk was never sent to it."""
    UNKNOWN = 9
    """Given by a worker: the chunk was sent, and no answer came before the deadline."""
    CONFLICT = 10
    """Given for user records only: the stored record is not the one that the change started from."""
