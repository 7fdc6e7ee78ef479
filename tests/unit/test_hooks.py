"""The hooks of pre-commit are the checks of `make lint`."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / ".pre-commit-config.yaml"
HOOKS = [hook for repository in yaml.safe_load(CONFIG.read_text())["repos"] for hook in repository["hooks"]]


def test_pre_commit_accepts_the_file() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_is_downloaded() -> None:
    assert {repository["repo"] for repository in yaml.safe_load(CONFIG.read_text())["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system"}


def test_every_check_of_make_lint_is_a_hook() -> None:
    lints = re.search(r"^LINTS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lints is not None
    assert [hook["id"] for hook in HOOKS] == lints[1].split()
    assert [hook["entry"].split()[-1] for hook in HOOKS] == lints[1].split()
