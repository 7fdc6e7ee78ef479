import os
import subprocess

import pytest

from localcluster.dotenv import REPOSITORY


def recipe(*arguments: str) -> str:
    """What make would run."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "SCOPES")}
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("given", "scopes"), [([], "read,write"), (["SCOPES=read"], "read"), (["SCOPES=admin,read"], "admin,read")]
)
def test_a_new_user_may_read_and_write_unless_told_otherwise(given: list[str], scopes: str) -> None:
    assert f"user-add 'alice' --scopes '{scopes}'" in recipe("user-add", "NAME=alice", *given)
