"""Frames of another format version are refused with a clear error or read by another worker, but never misread."""

import signal
import subprocess
import sys
from typing import Any, cast

import httpx
import redis

from localcluster import programs
from localcluster.cluster import Cluster
from protocol.frames import VERSION, Chunk, encode_frame
from protocol.names import FIELD, REFUSED, shard_stream
from protocol.operations import Operation
from tests.faults.console import applications, keys_of, stored
from tests.faults.load import Load, login
from tests.faults.other_version import OTHER
from tests.faults.processes import wait_for
from tests.faults.scenario import Scenario
from tests.faults.workers import another_worker, without_workers
from tests.integration.processes import ApiProcess, environment

OTHER_VERSION = "tests.faults.other_version"


def post(base_url: str, token: str, path: str, body: object) -> httpx.Response:
    headers = {"Authorization": token}
    return httpx.post(f"{base_url}/api/{path}", json=body, headers=headers, timeout=20, trust_env=False)


def assert_refused(answer: httpx.Response, keys: list[str], cluster: Cluster) -> None:
    assert answer.status_code == 503
    document = answer.json()
    assert document["type"] == "urn:tarant-kv:problem:shard-unavailable"
    assert document["failed"] == dict.fromkeys(keys, "not_applied")
    assert all("format version" in reason["detail"] for reason in document["reasons"])
    assert not any(stored(cluster, shard.name, key) for shard in cluster.config.shards for key in keys)


def test_no_request_fails_with_a_worker_of_another_version_among_others(scenario: Scenario) -> None:
    async def fault(load: Load) -> None:
        with another_worker(scenario.cluster, module=(OTHER_VERSION, "worker")):
            await load.good(200)

    assert scenario.run(fault).failures() == {}


def test_a_batch_is_refused_and_not_applied_if_all_workers_have_another_version(mended: Cluster) -> None:
    cluster = mended
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    keys = [key for shard in cluster.config.shards for key in keys_of(cluster, shard.name, "other-worker", 1)]
    assert post(cluster.base_url, token, "read", {"keys": keys}).status_code == 200
    with without_workers(cluster), another_worker(cluster, module=(OTHER_VERSION, "worker")):
        assert_refused(post(cluster.base_url, token, "write", {"data": dict.fromkeys(keys, 1)}), keys, cluster)
    assert post(cluster.base_url, token, "write", {"data": dict.fromkeys(keys, 1)}).status_code == 200


def test_an_api_of_another_version_is_refused_and_does_not_affect_others(
    mended: Cluster, as_tarantkv: redis.Redis
) -> None:
    cluster = mended
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    keys = [key for shard in cluster.config.shards for key in keys_of(cluster, shard.name, "other-api", 1)]
    module = [OTHER_VERSION, "api", "--later"]
    with ApiProcess(cluster, {"TARANTKV_AUTH_CACHE_S": "5"}, module) as api:
        assert post(api.base_url, token, "read", {"keys": keys}).status_code == 200
        api.signal(signal.SIGUSR1)
        assert_refused(post(api.base_url, token, "write", {"data": dict.fromkeys(keys, 1)}), keys, cluster)
        assert post(cluster.base_url, token, "write", {"data": dict.fromkeys(keys, 1)}).status_code == 200
    for shard in cluster.config.shards:
        wait_for(lambda name=shard.name: not as_tarantkv.xlen(shard_stream(name)), "frames stay")  # type: ignore[misc]
        assert applications(cluster, shard.name)[1] == 1


def test_an_api_whose_workers_all_have_another_version_does_not_start_and_says_why(mended: Cluster) -> None:
    settings = {"TARANTKV_STARTUP_TIMEOUT_S": "0.5"}
    done = subprocess.run(
        [sys.executable, "-m", OTHER_VERSION, "api"],
        env=environment(mended, settings),
        cwd=programs.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("tarant-kv: the api cannot start: no answer from s1")
    assert f"not {OTHER}" in last


def test_frames_of_the_right_version_are_processed_among_frames_of_another(
    mended: Cluster, as_tarantkv: redis.Redis
) -> None:
    """The test writes frames to the real stream, as another version might."""
    cluster = mended
    name = cluster.config.shards[0].name
    token = login(cluster.base_url, cluster.admin_user, cluster.admin_password)
    (key,) = keys_of(cluster, name, "between", 1)
    reply = "reply:by-hand"
    chunk = Chunk(b"0" * 16, Operation.READ, 1, 0, 1, b"")
    ours = encode_frame(reply, {}, [chunk])
    assert ours[1] == VERSION
    as_of_old = ours[:1] + b"\x01" + ours[2:]
    as_of_new = b"\x93\x7f\xad" + reply.encode() + b"\xc0"
    elsewhere = b"\x93\x7f\xa6kv:foo\xc0"
    entries = []
    for _ in range(20):
        entries += [as_tarantkv.xadd(shard_stream(name), {FIELD: data}) for data in (as_of_old, as_of_new)]
        assert post(cluster.base_url, token, "write", {"data": {key: 1}}).status_code == 200
    name_of = f"{name} ".encode()

    def told() -> set[bytes]:
        refusals = [fields[REFUSED] for _, fields in cast("list[Any]", as_tarantkv.xrange(reply))]
        assert all(refusal.startswith(name_of) for refusal in refusals)
        return {refusal.split(b" ")[1] for refusal in refusals}

    wait_for(lambda: len(told()) == len(entries), "refusals are missing")
    assert told() == set(entries)
    assert as_tarantkv.ttl(reply) > 0
    as_tarantkv.delete(reply)
    stays = as_tarantkv.xadd(shard_stream(name), {FIELD: elsewhere})
    assert post(cluster.base_url, token, "write", {"data": {key: 2}}).status_code == 200
    assert not as_tarantkv.exists("kv:foo")
    as_tarantkv.xdel(shard_stream(name), stays)
