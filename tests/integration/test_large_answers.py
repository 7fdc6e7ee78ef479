"""Several large answers or large logins at a time are answered, and do not delay other requests."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from localcluster.cluster import Cluster
from localcluster.programs import REPOSITORY
from tests.contract.calls import Api, json_body, obtain_token

READERS = 8
VALUES = 24
VALUE = "x" * (500 * 1024)

FreshKey = Callable[[], str]


def test_simultaneous_large_reads_are_all_answered_and_do_not_delay_writers(
    api: Api, token: str, fresh_key: FreshKey
) -> None:
    keys = [fresh_key() for _ in range(VALUES)]
    for key in keys:
        api.write({key: VALUE})

    def read(_: int) -> bool:
        with Api(str(api.http.base_url), token) as client:
            return client.read(*keys) == dict.fromkeys(keys, VALUE)

    with ThreadPoolExecutor(READERS) as threads:
        answers = threads.map(read, range(READERS))
        small = fresh_key()
        api.write({small: 1})
        assert all(answers)
    api.delete(*keys, small)


def test_the_body_of_a_login_is_limited(api: Api) -> None:
    answer = api.post("login", b'{"username": "' + b"x" * 20_000 + b'", "password": "y"}')
    assert answer.status_code == 413


@pytest.mark.long
def test_a_huge_read_does_not_exceed_the_memory_of_a_worker(
    new_cluster: Callable[..., Cluster],
) -> None:
    """Compose and the chart kill a worker that needs more, and the next worker would get the same frames."""
    cluster = new_cluster(workers=1, tier_settings={"shard": {"TARANTKV_SHARD_MEMORY_MIB": "512"}})
    cluster.start()
    (worker,) = [program.pid for program in cluster.status() if program.name.startswith("worker")]
    url = f"http://127.0.0.1:{cluster.config.api_port}"
    with Api(url, obtain_token(url, "admin", cluster.config.settings["TARANTKV_ADMIN_PASSWORD"])) as api:
        keys = [f"large{number}" for number in range(15 * VALUES)]
        for first in range(0, len(keys), VALUES):
            api.write(dict.fromkeys(keys[first : first + VALUES], VALUE))
        answer = api.post("read", json_body({"keys": keys}))
        assert answer.status_code in (413, 503), answer.text
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    (peak_kib,) = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    limit = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]["worker"]["mem_limit"]
    assert peak_kib < int(limit.removesuffix("m")) * 1024
