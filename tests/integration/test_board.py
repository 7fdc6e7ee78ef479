"""The Grafana board and Prometheus' alerts: every query names metrics and labels that a running system has."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster.dotenv import REPOSITORY
from tests.contract.calls import Api
from tests.contract.waiting import until

PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
OF_PROMETHEUS = {"le", "instance", "job"}
WORDS = {"by", "sum", "max", "count", "rate", "abs", "increase", "histogram_quantile", "up"}


def board() -> Any:
    spec = importlib.util.spec_from_file_location("board", REPOSITORY / "deploy" / "grafana" / "board.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def queries() -> list[str]:
    return [target["expr"] for panel in board().build()["panels"] for target in panel.get("targets", ())]


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


@pytest.fixture
def shown(second: Api, fresh_key: Callable[[], str]) -> dict[str, set[str]]:
    """The names of the labels of each metric, of an api that has served every kind of request."""
    key = fresh_key()
    second.write({key: 1})
    second.ask("write", {"data": {key: 1}, "if": "absent"})
    second.ask("scan", {"prefix": key})
    second.post("import", b'{"key": "x"}', {"content-type": "application/x-ndjson"})

    def scraped() -> str:
        return second.http.get("/metrics").text

    until(lambda: "tarantkv_shard_leader{" in scraped(), 20, "no shard was asked")
    until(lambda: "tarantkv_stage_duration_seconds_bucket{" in scraped(), 20, "no stage was counted")
    labels: dict[str, set[str]] = {}
    for name, inside in re.findall(r"^(tarantkv_\w+)(?:\{(.*?)\})? ", scraped(), re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    return labels


def asked(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of a query, each with the labels that the query uses."""
    by = set(re.findall(r"\w+", " ".join(re.findall(r"by \((.*?)\)", query))))
    for name, where in re.findall(r"\b(tarantkv_\w+)(?:\{(.*?)\})?", query):
        yield name, by | set(re.findall(r"(\w+)=", where))


def test_every_query_uses_metrics_and_labels_that_exist(shown: dict[str, set[str]]) -> None:
    every = [*queries(), *(rule["expr"] for rule in alerts())]
    assert len(every) > 30
    for query in every:
        found = list(asked(query))
        assert found or "up{" in query
        for name, labels in found:
            assert name in shown, query
            assert labels <= shown[name] | OF_PROMETHEUS, query


def test_the_board_shows_every_metric(shown: dict[str, set[str]]) -> None:
    seen = {re.sub(r"_bucket$", "", name) for query in queries() for name, _ in asked(query)}
    there = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown if not name.endswith("_created")}
    assert there == seen


def test_the_stored_board_is_the_generated_one() -> None:
    module = board()
    assert module.BOARD.read_text() == module.text()
    ids = [panel["id"] for panel in json.loads(module.text())["panels"]]
    assert len(ids) == len(set(ids))


@needs_promtool
def test_every_query_is_valid(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    promtool("check", "rules", str(file))


@needs_promtool
def test_every_alert_fires_exactly_when_it_should() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    promtool("test", "rules", str(PROMETHEUS / "alerts_test.yml"))


def promtool(*arguments: str) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_in_both_directions() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    tried = {(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]}
    assert tried == {(rule["alert"], fires) for rule in alerts() for fires in (True, False)}
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in alerts())
