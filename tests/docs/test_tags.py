"""Every block that no test runs is listed here, with the reason why it cannot be run."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tarantkv.cli.config import Target
from tarantkv.cli.opening import client_of
from tarantkv.cli.parser import parser

from docsite.fences import blocks
from docsite.pages import OUTSIDE, ROOT, pages, shown
from tests.docs.runner import TAGS

NOT_RUN = {
    "docs/kubernetes.md": ["docker build -t", "kubectl --namespace kv get secret", "helm upgrade kv"],
    "docs/quick-start.md": ["make env                                    # writes .env; needs neither Python nor"],
    "docs/tracing.md": [".venv/bin/python -m pip install --require-hashes"],
    "docs/tutorials/nightly-import.md": ["tarantkv import /srv/prices.csv"],
}
"""The beginning of each block. They need Docker, Kubernetes or a collector, which may be missing, or a user's file."""

OUTSIDE_DOCS = {
    "README.md": "tests/docs/test_readme.py runs what needs neither Docker, nor apt's lists, nor the terminal",
    "CONTRIBUTING.md": "the whole test suite, and what installs; their targets are tried here",
    "client/README.md": "the same calls as docs/client.md and docs/cli.md, in short",
    "loadtest/README.md": "takes minutes",
    "CHANGELOG.md": "has none",
}
"""Pages that are not run block by block, and why."""

MAKE = re.compile(r"^(?:.*\\\n)*.*?\bmake (?P<arguments>[^#\n|()]*)", re.MULTILINE)


def test_blocks_that_are_not_run_are_listed() -> None:
    found = {}
    for page in pages():
        texts = [block.text for block in blocks(page.read_text()) if block.note.startswith("not-run")]
        if texts:
            found[shown(page)] = texts
    assert found.keys() == NOT_RUN.keys()
    for name, beginnings in NOT_RUN.items():
        assert len(found[name]) == len(beginnings), name
        for text, beginning in zip(found[name], beginnings, strict=True):
            assert text.startswith(beginning)


def test_commands_that_are_not_run_are_valid_for_the_command_line() -> None:
    lines = [
        line
        for page in pages()
        for block in blocks(page.read_text())
        if block.note.startswith("not-run")
        for line in block.text.splitlines()
        if line.startswith("tarantkv ")
    ]
    assert lines
    for line in lines:
        _, *words = shlex.split(line)
        asked = parser(words[0]).parse_args(words)
        client_of(asked, Target("default", "http://127.0.0.1:1", None, "token", None)).close()


def test_every_page_outside_docs_says_how_it_is_tested() -> None:
    assert {shown(page) for page in OUTSIDE} == OUTSIDE_DOCS.keys()


@pytest.mark.parametrize("page", [*pages(), *OUTSIDE], ids=shown)
def test_blocks_have_tags_that_the_runner_knows(page: Path) -> None:
    for block in blocks(page.read_text()):
        assert block.language in TAGS, f"{shown(page)}:{block.line}: {block.language}"


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=shown)
def test_make_knows_every_target_and_argument_of_the_pages_that_are_not_run(page: Path) -> None:
    make = shutil.which("make")
    assert make is not None
    tried = 0
    for block in blocks(page.read_text()):
        for found in MAKE.finditer(block.text) if block.language == "sh" else ():
            arguments = found["arguments"].split()
            done = subprocess.run(
                [make, "--dry-run", "-C", ROOT, *arguments], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{shown(page)}:{block.line}: make {arguments}: {done.stderr}"
            known = set(re.findall(r"[A-Z]{2,}", (ROOT / "Makefile").read_text()))
            assert {word.partition("=")[0] for word in arguments if "=" in word} <= known
            tried += 1
    assert tried > 3
