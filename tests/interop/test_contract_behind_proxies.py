"""The contract tests behind each proxy with its published configuration."""

import os
import subprocess
import sys

import pytest

from localcluster.cluster import Cluster
from localcluster.programs import REPOSITORY
from tests.interop.conftest import Fronts

TIMEOUT_S = 240


@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S + 20)
@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
def test_the_contract_holds_behind(cluster: Cluster, fronts: Fronts, proxy: str) -> None:
    done = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "not direct", "--tb=short"), "tests/contract"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "TARANTKV_TEST_URL": fronts.get(proxy).base_url,
            "TARANTKV_ADMIN_USER": cluster.admin_user,
            "TARANTKV_ADMIN_PASSWORD": cluster.admin_password,
        },
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
