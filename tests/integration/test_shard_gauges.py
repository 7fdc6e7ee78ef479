"""`/metrics` shows the memory of claims and records on each shard, and how full it is."""

from collections.abc import Callable

import httpx

from localcluster.cluster import Cluster
from tests.contract.calls import Api, json_body
from tests.contract.waiting import until
from tests.integration.processes import ApiProcess
from tests.integration.store import Store


def gauges(api: ApiProcess) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for line in httpx.get(f"{api.base_url}/metrics", trust_env=False).text.splitlines():
        name, _, rest = line.partition('{shard="')
        shard, _, value = rest.partition('"} ')
        if value and not shard.count(","):
            found[name, shard] = float(value)
    return found


def test_claims_and_records_are_counted_by_shard(
    cluster: Cluster, api: Api, store: Store, fresh_key: Callable[[], str]
) -> None:
    for number in range(20):
        key = fresh_key()
        assert api.post("write", json_body({"data": {key: number}}), {"Idempotency-Key": key}).status_code == 200
    with ApiProcess(cluster, {}) as process:
        shards = list(store.consoles)
        until(lambda: all(("tarantkv_claims", shard) in gauges(process) for shard in shards), 10, "gauges are missing")
        found = gauges(process)
    assert sum(found["tarantkv_claims", shard] for shard in shards) >= 20
    for shard in shards:
        claims = found["tarantkv_claims", shard]
        assert 60 * claims <= found["tarantkv_claim_bytes", shard] <= 200 * claims + 200_000
        assert found["tarantkv_chunk_records", shard] > 0
        assert found["tarantkv_chunk_record_bytes", shard] > 0
        assert 0 < found["tarantkv_shard_memory_used_bytes", shard] < found["tarantkv_shard_memory_limit_bytes", shard]
        assert found["tarantkv_shard_memory_limit_bytes", shard] == 256 * 1024 * 1024
