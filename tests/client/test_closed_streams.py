"""The command line, started with one of its standard streams closed."""

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
def test_a_closed_standard_stream_does_not_change_the_exit_code(
    tmp_path: Path, line: str, code: int, said: str
) -> None:
    command = Command(tmp_path, "http://127.0.0.1:1", "token")
    shell = ["/bin/sh", "-c", f"{shlex.quote(sys.executable)} -m tarantkv {line}"]
    ended = subprocess.run(shell, env=command.environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not ended.stdout
