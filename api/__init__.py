"""The front end: HTTP in, chunks out, results back.

Here live the HTTP contract, authentication, the splitting of batches into chunks, and the wait for their outcomes.
The api knows shards only by name: it reaches them through Redis and the workers, holds no Tarantool credentials, and
keeps no state that its death could lose. What both sides of Redis must agree on lives in `protocol`.
"""

from protocol.compiled import use

# Before any module of this package is imported.
use()
