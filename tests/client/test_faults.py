"""Answers are lost, connections cut, an api killed: each change is applied once, and the client reports exactly what
was applied.
"""

import random
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tarantkv import Client, errors

from tests.client.conftest import QUICK, NewClient
from tests.client.lossy import Fate, LossyProxy
from tests.contract.conftest import Service
from tests.integration.conftest import NewApi


def test_increments_count_once_however_many_answers_are_lost(
    new_client: NewClient, lossy: LossyProxy, kv: Client, prefix: str
) -> None:
    rng = random.Random(1)
    fates = [Fate.PASS, Fate.LOSE_REQUEST, Fate.LOSE_ANSWER, Fate.CUT_ANSWER]
    lossy.plan = lambda _number, _path: rng.choice(fates)
    through = new_client(lossy.url, policy=QUICK._replace(deadline_s=60.0))
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: through.incr(prefix + "n"), range(60)))
    assert sorted(results) == list(range(1, 61))
    assert kv.get(prefix + "n") == 60
    assert len(lossy.seen) > 90


def test_a_retry_of_a_conditional_write_does_not_fail_because_of_its_own_success(
    new_client: NewClient, lossy: LossyProxy, prefix: str
) -> None:
    lossy.plan = lambda number, _path: Fate.LOSE_ANSWER if number <= 2 else Fate.PASS
    through = new_client(lossy.url)
    assert through.write({prefix + "a": 1}, if_="absent", versions=True)
    assert len({headers["idempotency-key"] for _, headers, _ in lossy.seen}) == 1
    assert len({body for _, _, body in lossy.seen}) == 1


def test_a_write_whose_answers_are_all_lost_is_unknown_at_the_deadline(
    new_client: NewClient, lossy: LossyProxy, kv: Client, prefix: str
) -> None:
    lossy.plan = lambda _number, _path: Fate.LOSE_ANSWER
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        new_client(lossy.url, policy=QUICK._replace(deadline_s=0.3)).set(prefix + "a", 1)
    assert caught.value.failed == {prefix + "a": "unknown"}
    assert kv.get(prefix + "a") == 1


def test_no_change_is_lost_or_doubled_when_an_api_is_killed_under_load(
    new_api: NewApi, new_client: NewClient, kv: Client, lossy: LossyProxy, service: Service, prefix: str
) -> None:
    victim = new_api()
    lossy.target = victim.base_url
    through = new_client(lossy.url, policy=QUICK._replace(deadline_s=60.0, parallel=2))
    killed = threading.Event()

    def count(number: int) -> int:
        if number == 30:
            victim.signal(signal.SIGKILL)
            killed.set()
            lossy.target = service.base_url
        return through.incr(prefix + "n")

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(count, range(80)))
    assert killed.is_set()
    assert sorted(results) == list(range(1, 81))
    assert kv.get(prefix + "n") == 80


def test_a_large_write_through_a_bad_network_is_complete(
    new_client: NewClient, lossy: LossyProxy, kv: Client, prefix: str
) -> None:
    rng = random.Random(2)
    lossy.plan = lambda _number, _path: rng.choice([Fate.PASS, Fate.LOSE_ANSWER, Fate.LOSE_REQUEST])
    data = {f"{prefix}{n:04}": n for n in range(2000)}
    new_client(lossy.url, policy=QUICK._replace(batch_keys=200, deadline_s=60.0)).write(data)
    assert kv.read(data).data == data


def test_an_export_that_is_cut_repeatedly_returns_every_key_once(
    new_client: NewClient, lossy: LossyProxy, kv: Client, prefix: str
) -> None:
    data = {f"{prefix}{n:03}": "x" * 50 for n in range(400)}
    kv.write(data)
    cuts = iter([0, 10, 5000, 20_000, 30_000])

    def plan(_number: int, path: str) -> Fate:
        lossy.cut_at = next(cuts, None) if path.startswith("/api/export") else None
        return Fate.PASS if lossy.cut_at is None else Fate.CUT_ANSWER

    lossy.plan = plan
    with new_client(lossy.url).export(prefix) as export:
        assert [item.key for item in export] == sorted(data)
    assert len(lossy.seen) == 6


def test_the_error_of_an_unanswered_read_names_the_keys(new_client: NewClient, prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        kv = new_client(f"http://127.0.0.1:{port}", policy=QUICK._replace(deadline_s=0.3, attempt_s=0.1))
        with pytest.raises(errors.ConnectionLostError) as caught:
            kv.read([prefix + "a"])
    assert caught.value.failed == {prefix + "a": "not_read"}
