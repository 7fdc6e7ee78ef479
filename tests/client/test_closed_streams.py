"""The command line where whoever starts it has closed one of its standard streams."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.command import Command

AWAY = "--url http://127.0.0.1:1 --deadline 0.1"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("completion bash >&-", 2, "Bad file descriptor"),
        (f"import - {AWAY} <&-", 2, "Bad file descriptor"),
        (f"get a {AWAY} 2>&-", 5, ""),
        (f"get a {AWAY} >&- 2>&- <&-", 5, ""),
    ],
)
def test_a_standard_stream_that_is_closed_changes_no_exit_code(tmp_path: Path, line: str, code: int, said: str) -> None:
    command = Command(tmp_path, "http://127.0.0.1:1", "token")
    shell = ["/bin/sh", "-c", f"{shlex.quote(sys.executable)} -m tarantkv {line}"]
    ended = subprocess.run(shell, env=command.environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not ended.stdout
