"""The scenarios for locust, each with a real system for some seconds: a wrong answer is a failure."""

import re
import subprocess
import sys
from pathlib import Path

from localcluster.cluster import Cluster
from localcluster.dotenv import REPOSITORY

SCENARIOS = REPOSITORY / "loadtest" / "scenarios"
SECONDS = 8


def names() -> set[str]:
    """The users that the scenarios' files define."""
    sources = (path.read_text() for path in SCENARIOS.glob("*.py"))
    return {name for source in sources for name in re.findall(r"^class (\w+)\(KvUser\)", source, re.MULTILINE)}


def users() -> int:
    """The number of users at which the weights give one of each kind."""
    sources = (path.read_text() for path in SCENARIOS.glob("*.py"))
    return sum(
        int(weight) for source in sources for weight in re.findall(r"^    weight = (\d+)$", source, re.MULTILINE)
    )


def test_each_scenario_is_run_and_described() -> None:
    run = set(re.findall(r'^    "(\w+)",$', (REPOSITORY / "loadtest" / "locustfile.py").read_text(), re.MULTILINE))
    described = set(re.findall(r"^\| `(\w+)` \|", (REPOSITORY / "loadtest" / "README.md").read_text(), re.MULTILINE))
    assert names() == run
    assert names() <= described


def test_every_scenario_gets_the_answers_that_it_expects(cluster: Cluster, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "--only-summary"),
            *("--users", str(users()), "--spawn-rate", "20", "--run-time", f"{SECONDS}s", "--stop-timeout", "10"),
            *("--csv", str(tmp_path / "run"), "--host", cluster.base_url),
        ],
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "TARANTKV_ADMIN_USER": cluster.admin_user,
            "TARANTKV_ADMIN_PASSWORD": cluster.admin_password,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    asked = (tmp_path / "run_stats.csv").read_text()
    for name in (
        "renew a session",
        "read an ended session",
        "a call past the limit",
        "write it if it is unchanged",
        "import 500 lines",
        "export a prefix",
        "scan 100 keys",
    ):
        assert name in asked, f"nobody came to: {name}"
