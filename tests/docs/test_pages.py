"""The blocks of every page of docs/ give the shown results: they are run in order with the session's cluster."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docsite.fences import blocks
from docsite.pages import DOCS, pages
from localcluster.cluster import Cluster
from tests.docs.runner import PageRunner

KEYS = re.compile(r'"((?:user|session|stock):\d+|hits)"')
"""The keys of docs/api.md. The page does not remove them, because readers need no example for that."""


def runnable() -> list[Path]:
    return [page for page in pages() if any(not block.note.startswith("not-run") for block in blocks(page.read_text()))]


@pytest.fixture
def runner(cluster: Cluster, tmp_path: Path) -> Iterator[PageRunner]:
    page_runner = PageRunner(cluster, tmp_path)
    yield page_runner
    page_runner.close()


@pytest.mark.parametrize("page", runnable(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_examples_of_a_page_give_the_shown_results(page: Path, runner: PageRunner) -> None:
    text = page.read_text()
    for block in blocks(text):
        runner.run(block, f"{page.relative_to(DOCS)}:{block.line}")
    if page == DOCS / "api.md":
        runner.delete(sorted(set(KEYS.findall(text))))
