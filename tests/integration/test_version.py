"""A running api says which version it is."""

import httpx

from localcluster.cluster import Cluster
from protocol.version import VERSION


def test_a_running_api_says_which_version_it_is(cluster: Cluster) -> None:
    with httpx.Client(base_url=cluster.base_url) as client:
        assert client.get("/health/live").json()["version"] == VERSION
        assert f'version="{VERSION}"' in client.get("/metrics").text
