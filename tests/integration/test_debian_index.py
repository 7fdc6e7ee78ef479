"""Debian's package index as data: imported by the command line, and read back record by record."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from examples.debian_packages import differing, records
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
def test_the_whole_index_is_imported_and_every_record_comes_back(
    cluster: Cluster, api: Api, token: str, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PYTHONPATH": str(programs.REPOSITORY / "client" / "src"),
        "TARANTKV_URL": cluster.base_url,
        "TARANTKV_TOKEN": token,
        "TARANTKV_USER": cluster.admin_user,
        "TARANTKV_PASSWORD": cluster.admin_password,
    }
    printed = run([sys.executable, str(_EXAMPLE)], environment)
    assert printed.returncode == 0, printed.stderr
    lines = tmp_path / "packages.ndjson"
    lines.write_text(printed.stdout)
    imported = run([sys.executable, "-m", "tarantkv", "import", str(lines)], environment, timeout_s=170)
    assert imported.returncode == 0, imported.stderr
    paragraphs = index.strip().split("\n\n")
    written = json.loads(imported.stdout)["applied"]
    # One version of a package may occur in several lists.
    assert 0.9 * len(paragraphs) <= written <= len(paragraphs)
    data = {line["key"]: line["value"] for line in map(json.loads, printed.stdout.splitlines())}
    assert len(data) == written
    for name in ("TARANTKV_URL", "TARANTKV_USER", "TARANTKV_PASSWORD"):
        monkeypatch.setenv(name, environment[name])
    assert differing(data) == []
    data["nobody"] = {}
    assert differing(data) == ["nobody"]

    # The example has compared all records itself; here some are compared with their types.
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
