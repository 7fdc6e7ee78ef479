"""The examples of docs/client.md and docs/cli.md, run one after the other as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from localcluster.cluster import Cluster
from localcluster.dotenv import REPOSITORY
from tests.client.command import SOURCE

ADDRESS = "http://127.0.0.1:8081"


def blocks(page: str, language: str) -> list[str]:
    text = (REPOSITORY / "docs" / page).read_text()
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def test_the_client_page_s_examples_do_what_they_assert(cluster: Cluster) -> None:
    script = "\n".join(blocks("client.md", "python"))
    assert script.count("assert") > 15
    script = script.replace(ADDRESS, cluster.base_url)
    script = script.replace('"admin"', repr(cluster.admin_user)).replace('"…"', repr(cluster.admin_password))
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["user:41 {'name': 'Ada'}", "user:42 {'name': 'Grace'}"]


def test_the_command_line_page_s_examples_print_what_it_shows(cluster: Cluster, tmp_path: Path) -> None:
    shown: list[str] = []
    lines: list[str] = []
    for block in blocks("cli.md", "sh"):
        for line in block.splitlines():
            (shown if line.startswith("# ") else lines).append(line.removeprefix("# "))
    assert len(shown) > 15
    function = f'tarantkv() {{ {sys.executable} -m tarantkv "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", function + "\n".join(lines).replace(ADDRESS, cluster.base_url)],
        cwd=tmp_path,
        env={
            "HOME": str(tmp_path),
            "PASSWORD": cluster.admin_password,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    printed = re.sub(r'"version":"[^"]*"', '"version":"…"', done.stdout)
    assert printed.splitlines() == shown, done.stderr
