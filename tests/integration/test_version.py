"""A running api reports its version."""

import httpx

from localcluster.cluster import Cluster
from protocol.version import VERSION


def test_a_running_api_reports_its_version(cluster: Cluster) -> None:
    with httpx.Client(base_url=cluster.base_url) as client:
        assert client.get("/health/live").json()["version"] == VERSION
        assert f'version="{VERSION}"' in client.get("/metrics").text
