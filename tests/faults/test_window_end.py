"""A retry under an `Idempotency-Key` at the end of its window, whose chunk reaches the shard after the window.

The window, the request's time and the clock skew are short here. A record lasts for the window and two requests, so
that a chunk of the retry finds the record of the first attempt.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.faults.injections_network import KINDS
from tests.faults.load import login
from tests.faults.networked import Networked, networked_cluster
from tests.faults.processes import wait_for
from tests.integration.claims import refusing_outcomes
from tests.integration.store import Store

REQUEST_S, WINDOW_S = 2, 2
SETTINGS = {
    "TARANTKV_REQUEST_TIMEOUT_S": str(REQUEST_S),
    "TARANTKV_IDEMPOTENCY_WINDOW_S": str(WINDOW_S),
    "TARANTKV_CLOCK_SKEW_S": "0",
}
LAST_MOMENT_MS = 300
HELD_MS = 1_300
"""How long after the claim: records that end with it are removed by then, and the retry still has time."""


@pytest.fixture
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Networked]:
    with networked_cluster(tmp_path_factory.mktemp("window"), SETTINGS) as networked:
        yield networked


@pytest.mark.long
def test_a_retry_at_the_end_of_the_window_does_not_bring_an_old_value_back(hasty: Networked) -> None:
    cluster, link, store = hasty.cluster, hasty.network.worker_shard["s2"], Store(hasty.cluster)
    (claimed,), (key,) = store.keys_on("s1", 1, "retry"), store.keys_on("s2", 1, "value")
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    claim = (
        f"local claims = require('tarantkv.claims') local id = claims.id_of({json.dumps(cluster.admin_user)}, "
        f"{json.dumps(claimed)}) return box.space.claims:get(id).expires - require('tarantkv.clock').now_ms()"
    )

    def left_ms() -> float:
        return float(store.consoles["s1"].run(claim))

    with (
        httpx.Client(base_url=cluster.base_url, trust_env=False, timeout=20, headers={"Authorization": token}) as http,
        ThreadPoolExecutor(1) as other,
        # The claim stays open: no process records the outcome of its request.
        refusing_outcomes(store, "s1"),
    ):

        def write(value: str, **headers: str) -> httpx.Response:
            return http.post("/api/write", json={"data": {key: value}}, headers=headers)

        keyed = {"Idempotency-Key": claimed}
        assert write("old", **keyed).status_code == 200
        assert write("new").status_code == 200
        ends_ms = store.consoles["s1"].run("return require('tarantkv.clock').now_ms()") + left_ms()
        wait_for(lambda: left_ms() <= LAST_MOMENT_MS, "the claim does not end", WINDOW_S + REQUEST_S + 5)
        link.set(KINDS["requests-held"])
        try:
            retried = other.submit(write, "old", **keyed)
            now = "return require('tarantkv.clock').now_ms()"
            wait_for(lambda: store.consoles["s1"].run(now) >= ends_ms + HELD_MS, "time stands still", 10)
        finally:
            link.heal()
        answer = retried.result()
        assert answer.status_code in {200, 504}, answer.text
        # Chunks that were on their way at the time of the answer have arrived by now, or never will.
        wait_for(lambda: store.consoles["s1"].run(now) >= ends_ms + REQUEST_S * 1_000, "time stands still", 10)
        assert http.post("/api/read", json={"keys": [key]}).json()["data"] == {key: "new"}
    assert store.most_applications() == 1
