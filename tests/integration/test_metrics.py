"""All metrics: named by the rules, documented, and set by a running system."""

import re
import shutil
import subprocess
from collections.abc import Callable

import httpx
import pytest

from localcluster.cluster import Cluster
from localcluster.dotenv import REPOSITORY
from tests.contract.calls import Api
from tests.contract.waiting import until
from tests.integration.processes import ApiProcess

DOCUMENTED = re.compile(r"`(tarantkv_[a-z_]+)(?:\{([a-z,]+)\})?`")
PROMTOOL = shutil.which("promtool")


def scraped(url: str) -> str:
    return httpx.get(f"{url}/metrics", trust_env=False).text


def test_lanes_count_as_up_from_the_first_answer_on(cluster: Cluster) -> None:
    with ApiProcess(cluster, {}) as process:
        found = scraped(process.base_url)
    lanes = [line for line in found.splitlines() if line.startswith("tarantkv_redis_lane_up{")]
    assert [line.rpartition(" ")[2] for line in lanes] == ["1.0"], lanes


@pytest.fixture(scope="session")
def used_api(request: pytest.FixtureRequest) -> ApiProcess:
    """An api that has served every kind of request."""
    api: ApiProcess = request.getfixturevalue("second_api")
    until(lambda: "tarantkv_shard_leader{" in scraped(api.base_url), 20, "no shard was asked")
    return api


@pytest.fixture
def used(second: Api, fresh_key: Callable[[], str], used_api: ApiProcess) -> str:
    key = fresh_key()
    second.write({key: 1})
    second.ask("write", {"data": {key: 1}, "if": "absent"})
    second.ask("scan", {"prefix": key})
    second.post("import", b'{"key": "x"}', {"content-type": "application/x-ndjson"})
    # Durations are added to the metrics once a second.
    until(lambda: 'stage="append"' in scraped(used_api.base_url), 10, "no stage is timed")
    return scraped(used_api.base_url)


def families(text: str) -> dict[str, str]:
    """The type of each metric."""
    return dict(re.findall(r"^# TYPE (tarantkv_\w+) (\w+)$", text, re.MULTILINE))


def test_the_documented_metrics_and_labels_are_those_of_the_api(used: str) -> None:
    table = (REPOSITORY / "docs" / "operations.md").read_text().partition("## What to watch")[2].partition("\n## ")[0]
    rows = "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    documented = {name: set(filter(None, labels.split(","))) for name, labels in DOCUMENTED.findall(rows)}
    found: dict[str, set[str]] = {name: set() for name in families(used) if not name.endswith("_created")}
    for name, labels in re.findall(r"^(tarantkv_\w+?)(?:_bucket|_sum|_count)?\{(.*?)\} ", used, re.MULTILINE):
        if name in found:
            found[name] |= set(re.findall(r'(\w+)="', labels)) - {"le"}
    assert documented == found


def test_metric_names_follow_the_rules_of_prometheus(used: str) -> None:
    for name, kind in families(used).items():
        if name.endswith("_created"):
            continue
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search(r"_(ms|milliseconds|mb|kb|minutes)\b", name), name
        assert ("duration" in name or "lag" in name or "skew" in name or "oldest" in name) == name.endswith("_seconds")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus has it)")
def test_promtool_finds_no_fault_in_the_metrics(used: str) -> None:
    assert PROMTOOL is not None
    ours = "".join(line for line in used.splitlines(keepends=True) if "_created" not in line)
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=ours, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_stages_and_shards_have_durations_and_shards_have_their_names(used: str, used_api: ApiProcess) -> None:
    for stage in ("gate", "append", "shards"):
        assert f'tarantkv_stage_duration_seconds_bucket{{le="+Inf",stage="{stage}"}}' in used
    text = scraped(used_api.base_url)
    for shard in ("s1", "s2", "s3"):
        assert f'tarantkv_shard_leader{{shard="{shard}"}} 1.0' in text
        skew = re.search(rf'^tarantkv_clock_skew_seconds{{shard="{shard}"}} (\S+)$', text, re.MULTILINE)
        assert skew
        assert abs(float(skew[1])) < 1
        assert re.search(rf'^tarantkv_keys{{shard="{shard}"}} \d', text, re.MULTILINE)
    memory = re.search(r"^tarantkv_api_memory_bytes (\S+)$", text, re.MULTILINE)
    assert memory
    assert 20e6 < float(memory[1]) < 2e9


def test_metrics_show_how_long_chunks_have_waited(
    second: Api, used_api: ApiProcess, paused_workers: Callable[[], object], fresh_key: Callable[[], str]
) -> None:
    def oldest() -> float:
        return max(
            map(
                float, re.findall(r"^tarantkv_queue_oldest_seconds\S* (\S+)$", scraped(used_api.base_url), re.MULTILINE)
            )
        )

    until(lambda: oldest() < 0.5, 10, "a chunk waits already")
    with paused_workers():  # type: ignore[attr-defined]
        second.post("write", b'{"data": {"%b": 1}}' % fresh_key().encode())
        until(lambda: oldest() > 0.5, 10, "the age does not grow")
    until(lambda: oldest() < 0.5, 10, "the age does not return to zero")
