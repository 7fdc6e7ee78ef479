"""The commands of the README, pasted unchanged, and the examples that docs/api.md must have."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from localcluster.cluster import Cluster
from localcluster.dotenv import REPOSITORY
from tests.docs.http_examples import Variables, examples

API_PAGE = REPOSITORY / "docs" / "api.md"


def test_the_calls_of_the_readme_give_the_shown_answers_each_time(cluster: Cluster, tmp_path: Path) -> None:
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


def test_the_api_page_has_an_example_of_each_call(cluster: Cluster) -> None:
    """Calls whose answer has no document of its own need no example."""
    described = httpx.get(f"{cluster.base_url}/schema/openapi.json", trust_env=False).json()["paths"]
    shown = {
        re.sub("^/api/users/.*", "/api/users/{name}", re.sub("^/api/keys/.*", "/api/keys/{key}", path))
        for path in (example.target.partition("?")[0] for example in examples(API_PAGE.read_text()))
    }
    assert {path for path in described if path.startswith("/api/")} - shown == {"/api/logout"}


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 1}, {"a": True}),
        ([1], [1, 1]),
        (["1a21b45d82a00002", "1a21b45d82a00002"], ["1a21b45d82a00003", "1a21b45d82a00004"]),
    ],
)
def test_a_difference_from_the_shown_answer_is_noticed(shown: object, found: object) -> None:
    with pytest.raises(AssertionError):
        Variables().compare(shown, found)
