"""schemathesis with the served OpenAPI document: the document promises every answer that users and clients without a
token get.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Service
from tests.contract.documented import Documented
from tests.fuzz.effort import EXAMPLES, SEED
from tests.integration.processes import ApiProcess

HERE = Path(__file__).parent
TIMEOUT_S = 7200 if EXAMPLES else 150


@pytest.fixture(scope="module")
def lenient_api(request: pytest.FixtureRequest) -> Iterator[ApiProcess]:
    """An api of the same cluster that throttles no logins."""
    settings = {
        "TARANTKV_TRUSTED_PROXIES": "127.0.0.1",
        "TARANTKV_LOGIN_TRIES_PER_ADDRESS": "1000000",
        "TARANTKV_LOGIN_TRIES_PER_USER": "1000000",
    }
    with ApiProcess(request.getfixturevalue("cluster"), settings) as process:
        yield process


SHORT = ("examples", "fuzzing", "stateful")
"""The phases of the short run. The fourth, coverage, takes most of the time: only `make fuzz` and `long` have it."""


def run(url: str, report: Path, *phases: str, **credentials: str) -> dict[str, Any]:
    """Run schemathesis, with all phases if none is named; returns its report if it found nothing."""
    if EXAMPLES:
        effort = ["--max-examples", str(max(1, EXAMPLES // 10)), "--seed", str(SEED)]
    else:
        effort = ["--max-examples", "2", "--generation-deterministic"]
    if phases:
        effort += ["--phases", ",".join(phases)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{url}/schema/openapi.json", "--no-color", "--checks", "all"),
            *("--report", "json", "--report-json-path", str(report), *effort),
        ],
        env={
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")},
            "PYTHONPATH": str(HERE),
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
            "FUZZ_URL": url,
            "FUZZ_ADDRESS": "203.0.113.7",
            **credentials,
        },
        cwd=report.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content: dict[str, Any] = json.loads(report.read_text())
    return content


def operations(documented: Documented) -> set[str]:
    """All operations of the document, by schemathesis' names."""
    return {
        f"{method.upper()} {path}"
        for path, methods in documented.document["paths"].items()
        for method in methods
        if method != "parameters"
    }


def accepted(report: dict[str, Any]) -> set[str]:
    """The operations that accepted a request: a run whose requests are all refused would find no fault either."""
    return {
        operation
        for operation, phases in report["valid_rates"].items()
        if any(rates["accepted"] for rates in phases.values())
    }


@pytest.mark.parametrize("phases", [() if EXAMPLES else SHORT, pytest.param((), marks=pytest.mark.long)], ids=len)
@pytest.mark.timeout(TIMEOUT_S)
def test_the_document_promises_every_answer_to_users(
    service: Service, lenient_api: ApiProcess, documented: Documented, tmp_path: Path, phases: tuple[str, ...]
) -> None:
    credentials = {"FUZZ_USERNAME": service.admin_user, "FUZZ_PASSWORD": service.admin_password}
    report = run(lenient_api.base_url, tmp_path / "report.json", *phases, **credentials)
    assert accepted(report) == operations(documented)
    assert {name: found for name, found in report["warnings"].items() if found} == {}
    statuses = {name: phase["status"] for name, phase in report["phases"].items()}
    assert {name for name, status in statuses.items() if status == "success"} >= set(phases), statuses
    assert set(statuses.values()) <= {"success", "skip"}, statuses
    assert phases or "skip" not in statuses.values(), statuses


@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S)
def test_the_document_promises_every_answer_to_clients_without_a_token(
    lenient_api: ApiProcess, documented: Documented, tmp_path: Path
) -> None:
    report = run(lenient_api.base_url, tmp_path / "report.json")
    assert accepted(report) == {name for name in operations(documented) if "/api/" not in name}
    assert report["test_cases"]["generated"] > 100
