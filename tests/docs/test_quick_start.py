"""The quick start, followed in a clone with ports of its own: commands that test_pages.py only checks are run."""

import os
from collections.abc import Iterator

import pytest

from docsite.fences import blocks
from docsite.pages import DOCS
from tests.docs.sessions import Shell
from tests.localcluster.clones import KEPT, Clone
from tests.localcluster.conftest import clone, new_clone

__all__ = ["clone", "new_clone"]


@pytest.fixture
def shell(clone: Clone) -> Iterator[Shell]:
    found = Shell(clone.root, {name: os.environ[name] for name in KEPT if name in os.environ})
    # A start takes seconds, but minutes on a busy machine.
    found.timeout_s = 250
    yield found
    found.close()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_quick_start_gives_the_shown_results(clone: Clone, shell: Shell) -> None:
    page = DOCS / "quick-start.md"
    printed = [
        shell.run(block.text, f"quick-start.md:{block.line}")
        for block in blocks(page.read_text())
        if block.language == "sh" and not block.note.startswith("not-run")
    ]
    assert "Running after" in printed[0]
    assert "tarantkv login" in printed[0]
    assert printed[1].startswith("added reporting with password ")
    assert "worker-4" in shell.run("make status", "status")
    assert "reporting" in shell.run("make user-list", "user-list")
    shell.run("make down", "down")
    assert clone.processes() == {}
