"""The Lua tests of a shard, each file as a test of its own, so that they can run in parallel."""

import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "tarantool-cluster/test/run.lua"
LIMIT_S = 90
"""`run.lua` ends a file after 60 s and says so."""


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("name", sorted(file.name for file in RUN.parent.glob("*_test.lua")))
def test_lua(name: str) -> None:
    done = subprocess.run(
        ["tarantool", str(RUN), name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout
    assert f"ok 1 - {name}" in done.stdout
