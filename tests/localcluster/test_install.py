"""What `scripts/install.sh` makes of servers that are there already."""

import os
import subprocess
from pathlib import Path

import pytest

from localcluster.programs import REPOSITORY


@pytest.mark.parametrize(
    ("command", "version", "complaint"),
    [
        ("redis-server", "Redis server v=5.0.14 sha=00000000:0", "is version 5.0, and 6.0 or newer is needed"),
        ("tarantool", "Tarantool 2.5.3-0-gf93e480\nTarget: Linux", "is version 2.5, and 2.6 or newer is needed"),
        ("tarantool", "Tarantool 1.10.15-0-g0\nTarget: Linux", "is version 1.10, and 2.6 or newer is needed"),
        ("tarantool", "no tarantool\nat all", "tells no version: no tarantool"),
    ],
)
def test_a_server_that_is_too_old_is_named_in_one_line(
    tmp_path: Path, command: str, version: str, complaint: str
) -> None:
    script = tmp_path / command
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{version}\nEND\n")
    script.chmod(0o755)
    done = subprocess.run(
        [REPOSITORY / "scripts" / "install.sh"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(complaint)
