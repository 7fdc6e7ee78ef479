"""Finds single requests in the log and the counters of an api process."""

import json
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.waiting import until
from tests.integration.processes import ApiProcess


def metrics(process: ApiProcess) -> dict[tuple[str, str], float]:
    """The api's counters of requests and batches, without durations."""
    text = httpx.get(f"{process.base_url}/metrics", trust_env=False, verify=False).text
    return {
        (sample.name, json.dumps(sample.labels, sort_keys=True)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("route", "").startswith("/api/")
        and not sample.name.endswith(("seconds_sum", "_created"))
        and sample.labels.get("le", "+Inf") == "+Inf"
    }


def log_lines(process: ApiProcess, logger: str) -> list[dict[str, Any]]:
    """The api's log lines so far under this name."""
    lines = [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == logger]


def logged(process: ApiProcess, request_id: str) -> list[dict[str, Any]]:
    """The log lines of a request, which appear a moment after its answer."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [line for line in log_lines(process, "api.access") if line["request_id"] == request_id]
        return bool(found)

    until(there, 5, "not logged")
    return found


def complaints(process: ApiProcess) -> list[dict[str, Any]]:
    """Warnings and errors in the api's log, and output that is no log line."""
    lines = process.log().splitlines()
    parsed = [json.loads(line) if line.startswith("{") else {"level": "none", "message": line} for line in lines]
    return [line for line in parsed if line["level"] != "info"]
