import os
import re
import shutil
import sys

import pytest

from examples.debian_packages import records
from localcluster import programs
from localcluster.cluster import Cluster
from tests.contract.calls import Api
from tests.contract.samples import same
from tests.integration.processes import run

_EXAMPLE = programs.REPOSITORY / "examples" / "debian_packages.py"
_SAMPLE = """Package: a
Version: 1:2.0-1
Architecture: amd64
Maintainer: Some Body <some@body.example>
Installed-Size: 7
Depends: b (>= 1.0) | c:any, d
Tag: role::program, use::gaming,
 role::data
Description: short
 long
"""


@pytest.fixture(scope="module")
def index() -> str:
    """The packages that apt knows."""
    if shutil.which("apt-cache") is None:
        pytest.skip("there is no apt-cache here, so no index of Debian packages")
    text = run(["apt-cache", "dumpavail"], os.environ).stdout
    if not text.strip():
        pytest.skip("apt has no package lists: apt-get update fetches them")
    return text


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_whole_index_comes_back_record_by_record(cluster: Cluster, api: Api, index: str) -> None:
    environment = {"TARANTKV_ADMIN_USER": cluster.admin_user, "TARANTKV_ADMIN_PASSWORD": cluster.admin_password}
    done = run(
        [sys.executable, str(_EXAMPLE), "--url", cluster.base_url],
        {**os.environ, **environment},
        timeout_s=170,
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout
    paragraphs = index.strip().split("\n\n")
    pattern = r"^(\d+) records (?:written|read back the same): \d+ per second$"
    written, read = map(int, re.findall(pattern, done.stdout, re.MULTILINE))
    # One version of a package may stand in several lists.
    assert 0.9 * len(paragraphs) <= written <= len(paragraphs)
    assert read == written
    assert "100%" in done.stderr

    # Beside what the example found by itself: some of the records, compared with their types.
    some = records("\n\n".join(paragraphs[:: len(paragraphs) // 1000 + 1]))
    found = api.read(*some)
    assert found.keys() == some.keys()
    assert all(same(found[key], value) for key, value in some.items())


def test_a_record_is_nested() -> None:
    assert records(_SAMPLE) == {
        "a=1:2.0-1:amd64": {
            "Package": "a",
            "Version": "1:2.0-1",
            "Architecture": "amd64",
            "Maintainer": {"name": "Some Body", "address": "some@body.example"},
            "Installed-Size": 7,
            "Depends": [
                [
                    {"name": "b", "architecture": None, "version": {"operator": ">=", "than": "1.0"}},
                    {"name": "c", "architecture": "any"},
                ],
                [{"name": "d", "architecture": None}],
            ],
            "Tag": {"role": ["program", "data"], "use": ["gaming"]},
            "Description": "short\nlong",
        }
    }
