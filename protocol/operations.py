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
    READ_TUPLES = 4
    UPDATE = 5
    DELETE_IF = 6
    INCREMENT = 7
    TOUCH = 8
    SCAN = 9
    KEYED = 10
    CLAIM = 16
    FINISH = 17
    USER_GET = 18
    USER_PUT = 19
    REVOKE = 20
    USER_LIST = 21
    DESCRIBE = 22
    STATUS = 23
    JOIN = 24


CHANGES = frozenset(
    (
        Operation.WRITE,
        Operation.DELETE,
        Operation.UPDATE,
        Operation.DELETE_IF,
        Operation.INCREMENT,
        Operation.TOUCH,
        Operation.KEYED,
        Operation.CLAIM,
        Operation.FINISH,
        Operation.USER_PUT,
        Operation.REVOKE,
        Operation.JOIN,
    )
)
"""The operations that change what is stored. All others have no effect, however often they are made."""


READS = frozenset((Operation.READ, Operation.READ_TUPLES, Operation.SCAN))
"""The operations that answer with what is stored. Their answers can be large, and share the room of a call."""


class Status(IntEnum):
    """What became of a chunk.

    `OK` and `WRONG_BUCKET` are on record at the shard: they are final, also where others hold a copy of the chunk.
    Every other status but `UNKNOWN` says that the shard did not apply the copy that it was asked about. That is final
    only if nobody else may hold another copy: where somebody may, a change is reported as `UNKNOWN`.
    """

    OK = 0
    EXPIRED = 1
    WRONG_BUCKET = 2
    """The payload says where the buckets are: `protocol.refusals`. Of operations on no keys there is no record; a copy
    of one does what it does once at most, and never to something newer."""
    READ_ONLY = 3
    NO_MEMORY = 4
    TOO_LARGE = 5
    MALFORMED = 6
    REFUSED = 7
    UNREACHABLE = 8
    """Given by a worker or the api: nobody sent the chunk to its shard, and nobody will."""
    UNKNOWN = 9
    """Given by a worker or the api: the chunk may have been applied, or may still be until its deadline."""
    CONFLICT = 10
    """Given for user records only: the stored record is not the one that the change started from."""
    TOO_MANY = 11
    """Given for claims only: the user has as many of them on the shard as one may have."""


ON_RECORD = frozenset((Status.OK, Status.WRONG_BUCKET))
"""The statuses that are final, whatever becomes of other copies of the chunk."""
