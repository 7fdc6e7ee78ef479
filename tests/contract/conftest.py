"""Which api the contract tests talk to: the one at CONTRACT_BASE_URL (so inside the image), else the test cluster's.

These tests use HTTP alone and import nothing of the system: the image has no supervisor and no test servers.
"""

import os
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Service:
    """A running api and its administrator."""

    base_url: str
    admin_user: str
    admin_password: str


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Service:
    base_url = os.environ.get("CONTRACT_BASE_URL")
    if base_url:
        return Service(base_url, os.environ["TARANTKV_ADMIN_USER"], os.environ["TARANTKV_ADMIN_PASSWORD"])
    # Asked for by name, because there is no such fixture in the image.
    cluster = request.getfixturevalue("cluster")
    return Service(cluster.base_url, cluster.admin_user, cluster.admin_password)
