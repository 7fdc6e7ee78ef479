"""The front end: receives HTTP requests, sends chunks, and returns results.

It holds the HTTP contract, authentication, the splitting of batches into chunks, and the wait for their outcomes. The
api knows shards only by name: it reaches them through Redis and the workers, has no Tarantool credentials, and keeps no
state that would be lost if it died. Whatever both sides of Redis must agree on is in `protocol`.
"""

from protocol.compiled import use

# Before any module of this package is imported.
use()
