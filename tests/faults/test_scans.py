"""Scans and exports while keys change and expire, and while shards, workers and apis are killed."""

import json
import threading
import time
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any, Self

import httpx
import pytest

from localcluster.cluster import Cluster
from localcluster.config import for_tests
from tests.contract.calls import Api, json_body, obtain_token
from tests.faults.mover import mover, wandering

STAY = [f"stay:{number:05}" for number in range(0, 6000, 2)]
"""Keys that exist unchanged all the time; keys between them are added, changed, expired and deleted."""

CHANGING = [f"stay:{number:05}" for number in range(1, 6000, 2)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two shards that contains only the keys of these tests."""
    settings = {"TARANTKV_REQUEST_TIMEOUT_S": "2", "TARANTKV_DRAIN_TIMEOUT_S": "1"}
    cluster = Cluster(for_tests(tmp_path_factory.mktemp("scans"), shards=2, workers=2, settings=settings))
    cluster.start()
    try:
        with client_of(cluster) as api:
            for start in range(0, len(STAY), 1000):
                api.write({key: key for key in STAY[start : start + 1000]})
        yield cluster
    finally:
        cluster.stop()


def client_of(cluster: Cluster) -> Api:
    return Api(cluster.base_url, obtain_token(cluster.base_url, cluster.admin_user, cluster.admin_password))


class Changes(threading.Thread):
    """Writes, deletes and expires the keys that change, inside a `with` block; failed changes are not repeated."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self._api = client_of(cluster)
        self._random = Random(13)
        self._end = threading.Event()
        self.made = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join(60)
        self._api.http.close()

    def run(self) -> None:
        while not self._end.is_set():
            some = self._random.sample(CHANGING, 50)
            lasting, expiring = dict.fromkeys(some[:25], 1), dict.fromkeys(some[25:], 2)
            for call, body in (
                ("write", {"data": lasting}),
                ("write", {"data": expiring, "ttl": 0.05}),
                ("delete", {"keys": self._random.sample(CHANGING, 50)}),
            ):
                try:
                    self.made += self._api.post(call, json_body(body)).status_code == 200
                except httpx.TransportError:
                    # The api is being killed.
                    time.sleep(0.01)


def page(cluster: Cluster, token: str, asked: dict[str, Any]) -> dict[str, Any]:
    """A page of a scan, requested again while a program is down, each time as a new client."""
    end = time.monotonic() + 40
    while True:
        try:
            answer = httpx.post(
                f"{cluster.base_url}/api/scan",
                json=asked,
                headers={"authorization": token},
                timeout=20,
                trust_env=False,
            )
            if answer.status_code == 200:
                document: dict[str, Any] = answer.json()
                return document
            assert answer.status_code in (401, 503), answer.text
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, "no page"
        time.sleep(0.05)


def check_keys(keys: list[str], *, reverse: bool = False) -> None:
    """Check that keys that stay come exactly once and in order, and no other key twice."""
    assert keys == sorted(keys, reverse=reverse)
    assert len(set(keys)) == len(keys)
    assert [key for key in keys if key in STAYING] == sorted(STAY, reverse=reverse)


STAYING = frozenset(STAY)


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.long), True])
def test_keys_that_stay_come_once_and_in_order_while_all_programs_are_killed(
    cluster: Cluster, *, reverse: bool
) -> None:
    token = client_of(cluster).token or ""
    victims = ["shard-s1", "worker-1", "api", "shard-s2", "worker-2"]
    with Changes(cluster) as changes:
        keys: list[str] = []
        asked: dict[str, Any] = {"prefix": "stay:", "reverse": reverse, "limit": 400}
        for number in count():
            answer = page(cluster, token, asked)
            keys += [item["key"] for item in answer["items"]]
            assert all(item["value"] in (item["key"], 1, 2) for item in answer["items"])
            if answer["complete"]:
                break
            asked = {"cursor": answer["cursor"], "limit": 400}
            if number < len(victims):
                cluster.kill(victims[number])
    check_keys(keys, reverse=reverse)
    assert changes.made > 10, changes.made
    cluster.wait_running("api")
    # All programs run again for the next tests.
    assert len(page(cluster, token, {"prefix": "stay:", "limit": 10_000})["items"]) >= len(STAY)


@pytest.mark.parametrize("reverse", [False, pytest.param(True, marks=pytest.mark.long)])
def test_keys_that_stay_come_once_and_in_order_while_buckets_move(cluster: Cluster, *, reverse: bool) -> None:
    token = client_of(cluster).token or ""
    keys: list[str] = []
    asked: dict[str, Any] = {"prefix": "stay:", "reverse": reverse, "limit": 400}
    with mover(cluster) as moved, Changes(cluster), wandering(moved, moved.buckets(STAY[::10]), most=40):
        while True:
            answer = page(cluster, token, asked)
            keys += [item["key"] for item in answer["items"]]
            if answer["complete"]:
                break
            asked = {"cursor": answer["cursor"], "limit": 400}
        assert moved.moves > 100
    check_keys(keys, reverse=reverse)


def test_an_export_continues_while_buckets_move(cluster: Cluster) -> None:
    token = client_of(cluster).token or ""
    with mover(cluster) as moved, Changes(cluster), wandering(moved, moved.buckets(STAY[::10]), most=40):
        found = Exported(cluster, token, prefix="stay:")
    check_keys(found.keys)
    assert found.last == {"end": True, "items": len(found.keys)}


def test_a_page_gets_503_if_a_bucket_moves_for_too_long(cluster: Cluster) -> None:
    with client_of(cluster) as api, mover(cluster) as moved:
        buckets = moved.buckets([next(key for key in STAY if moved.place(*moved.buckets([key])) == "s1")])
        moved.depart(buckets, "s2")
        assert len(api.done("scan", {"prefix": "stay:", "limit": 10})["items"]) == 10, (
            "the bucket is read until it leaves"
        )
        moved.step("s1", "stop", buckets)
        answer = api.ask("scan", {"prefix": "stay:", "limit": 10})
        assert answer.status_code == 503
        assert [reason["code"] for reason in answer.json()["reasons"]] == ["bucket_moved"]
        moved.arrive(buckets, "s1", "s2")
        assert len(api.done("scan", {"prefix": "stay:", "limit": 10})["items"]) == 10


class Exported:
    """The lines of an export up to its end or to the break of the connection."""

    def __init__(self, cluster: Cluster, token: str, **selected: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        whole = b""
        try:
            with httpx.stream(
                "GET",
                f"{cluster.base_url}/api/export",
                params=selected,
                headers={"authorization": token},
                timeout=20,
                trust_env=False,
            ) as answer:
                assert answer.status_code == 200, answer.read()
                for piece in answer.iter_raw():
                    whole += piece
        except httpx.TransportError:
            pass
        self.raw = whole
        self.lines = [json.loads(line) for line in whole.split(b"\n")[:-1]]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def keys(self) -> list[str]:
        return [line["key"] for line in self.lines if "key" in line]


def test_an_export_continues_when_a_shard_is_killed_and_restarted(cluster: Cluster) -> None:
    token = client_of(cluster).token or ""
    with Changes(cluster):
        found: list[Exported] = []
        exporting = threading.Thread(target=lambda: found.append(Exported(cluster, token, prefix="stay:")))
        cluster.kill("shard-s1")
        exporting.start()
        exporting.join(60)
    check_keys(found[0].keys)
    assert found[0].last == {"end": True, "items": len(found[0].keys)}


def test_an_export_that_fails_says_in_its_last_line_where_to_continue(cluster: Cluster) -> None:
    """A shard stays down from the middle on; the client continues with the cursor when the shard runs again."""
    token = client_of(cluster).token or ""
    lines: list[dict[str, Any]] = []
    with httpx.stream(
        "GET",
        f"{cluster.base_url}/api/export?prefix=stay:",
        headers={"authorization": token},
        timeout=20,
        trust_env=False,
    ) as answer:
        every = answer.iter_lines()
        lines += [json.loads(next(every)) for _ in range(10)]
        cluster.stop_program("shard-s2")
        lines += [json.loads(line) for line in every]
    cluster.start_program("shard-s2")
    cluster.wait_running("shard-s2")
    problem = lines[-1]["error"]
    assert problem["status"] == 503
    assert [reason["shard"] for reason in problem["reasons"]] == ["s2"]
    page(cluster, token, {"limit": 1})
    rest = Exported(cluster, token, cursor=lines[-1]["cursor"])
    keys = [line["key"] for line in lines if "key" in line] + rest.keys
    check_keys(keys)
    assert rest.last == {"end": True, "items": len(keys)}


def test_a_long_export_of_a_process_that_ends_says_where_to_continue(cluster: Cluster) -> None:
    keys = [f"long:{number:03}" for number in range(250)]
    with client_of(cluster) as api:
        for start in range(0, len(keys), 50):
            api.write(dict.fromkeys(keys[start : start + 50], "x" * 60_000))
        token = api.token or ""
    with httpx.stream(
        "GET",
        f"{cluster.base_url}/api/export?prefix=long:",
        headers={"authorization": token},
        timeout=20,
        trust_env=False,
    ) as answer:
        every = answer.iter_lines()
        lines = [json.loads(next(every)) for _ in range(3)]
        stopping = threading.Thread(target=cluster.stop_program, args=("api",))
        stopping.start()
        for line in every:
            lines.append(json.loads(line))
            if len(lines) < 40:
                # So slowly that the process ends before the export.
                time.sleep(0.03)
    stopping.join(30)
    cluster.start_program("api")
    cluster.wait_running("api")
    last = lines[-1]
    assert last["error"]["type"].endswith("not-ready")
    page(cluster, token, {"limit": 1})
    rest = Exported(cluster, token, cursor=last["cursor"])
    assert [line["key"] for line in lines if "key" in line] + rest.keys == keys
    assert rest.last == {"end": True, "items": len(keys)}
