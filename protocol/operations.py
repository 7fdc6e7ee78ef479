"""The numbers in the wire formats: operations of a chunk and statuses of an outcome.

`tarantool-cluster/tarantkv/` has the same numbers for the shards; a test compares the two.
"""

from __future__ import annotations

from enum import IntEnum


class Operation(IntEnum):
    """The operation that a chunk asks its shard for."""

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
"""The operations that change stored data. All others have no effect, however often they are made."""


READS = frozenset((Operation.READ, Operation.READ_TUPLES, Operation.SCAN))
"""The operations that return stored data. Their answers can be large, and share the memory of a call."""


class Status(IntEnum):
    """The outcome of a chunk.

    `OK` and `WRONG_BUCKET` are on record at the shard: they are final, even if there are other copies of the chunk.
    Every other status except `UNKNOWN` says that the shard did not apply this copy. That is final only if no other copy
    can exist; otherwise a change is reported as `UNKNOWN`.
    """

    OK = 0
    EXPIRED = 1
    WRONG_BUCKET = 2
    """The payload says where the buckets are: `protocol.refusals`. For operations on no keys there is no record; a copy
    of such an operation takes effect once at most, and never on newer data."""
    READ_ONLY = 3
    NO_MEMORY = 4
    TOO_LARGE = 5
    MALFORMED = 6
    REFUSED = 7
    UNREACHABLE = 8
    """Given by a worker or the api: the chunk was not sent to its shard, and will not be."""
    UNKNOWN = 9
    """Given by a worker or the api: the chunk may have been applied, or may be applied until its deadline."""
    CONFLICT = 10
    """Given for user records only: the stored record is not the one on which the change is based."""
    TOO_MANY = 11
    """Given for claims only: the user has reached the limit of claims on the shard."""


ON_RECORD = frozenset((Status.OK, Status.WRONG_BUCKET))
"""The statuses that are final, whatever happens to other copies of the chunk."""
