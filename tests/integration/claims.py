"""Claims of Idempotency-Keys on their shard, and a fault: the shard cannot record the outcomes of their requests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.store import Store


@contextmanager
def refusing_outcomes(store: Store, shard: str) -> Iterator[None]:
    """Let a shard record claims, but not the outcomes of their requests."""
    console = store.consoles[shard]
    console.run(
        "rawset(_G, 'refuse', function(_, claim) if claim ~= nil and claim.outcome ~= nil then error('no') end end) "
        "box.space.claims:on_replace(_G.refuse)"
    )
    try:
        yield
    finally:
        console.run("box.space.claims:on_replace(nil, _G.refuse)")


def is_finished(store: Store, shard: str, user: str, key: str) -> bool:
    lua = (
        f"local claims = require('tarantkv.claims') local id = claims.id_of({json.dumps(user)}, {json.dumps(key)}) "
        "local claim = box.space.claims:get(id) return claim ~= nil and claim.outcome ~= nil"
    )
    return bool(store.consoles[shard].run(lua))
