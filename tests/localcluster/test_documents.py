"""The commands of the README, pasted as they stand there."""

import re
import subprocess
from pathlib import Path

from localcluster.cluster import Cluster
from localcluster.dotenv import REPOSITORY


def test_the_readme_s_calls_answer_what_it_shows_however_often_they_are_pasted(
    cluster: Cluster, tmp_path: Path
) -> None:
    section = (REPOSITORY / "README.md").read_text().partition("\n## Use it\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block
    shown = re.findall(r"^# (\{.*)$", block[1], re.MULTILINE)
    assert len(shown) == 3
    (tmp_path / ".env").write_text(f"TARANTKV_ADMIN_PASSWORD={cluster.admin_password}\n")
    script = block[1].replace("http://127.0.0.1:8081", cluster.base_url)
    assert script != block[1]
    for _ in range(3):
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "http_proxy": "http://127.0.0.1:1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == shown
