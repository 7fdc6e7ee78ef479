"""Writes the parts of pages that come from the code: the pages of docs/reference/, and blocks that name a file.

A block names its source behind its opening marks: `python examples/cache.py#Products.get`. Only the source is edited:
`write` copies its text into the page, so that it can be read in the repository, too. `problems` finds outdated pages.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

from docsite.fences import Block, blocks
from docsite.pages import ROOT, pages, shown


class SourceError(Exception):
    """A block names a source that does not exist."""


def filled(page: str, where: str) -> str:
    """A page with the present text of the sources in its blocks.

    Raises:
        SourceError: a source does not exist; the text says which.
    """
    for block in reversed(list(blocks(page))):
        if named(block):
            try:
                text = source(block.note)
            except (OSError, KeyError, SyntaxError) as error:
                raise SourceError(f"{where}:{block.line}: no source {block.note}: {error}") from None
            page = page[: block.start] + text + page[block.end :]
    return page


def named(block: Block) -> bool:
    """Whether a block has a source: its note is a path, perhaps with the name of something in the file."""
    return "/" in block.note and " " not in block.note


def source(note: str) -> str:
    """The text that a note names: a file, or a class, function or method of it."""
    path, _, name = note.partition("#")
    text = (ROOT / path).read_text()
    return _part(text, name) if name else text


def _part(text: str, name: str) -> str:
    body: list[ast.stmt] = ast.parse(text).body
    node: ast.stmt | None = None
    for word in name.split("."):
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        node = next((one for one in body if isinstance(one, kinds) and one.name == word), None)
        if node is None:
            raise KeyError(name)
        body = node.body
    if node is None or node.end_lineno is None:
        raise KeyError(name)
    return textwrap.dedent("".join(text.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno]))


def current(page: Path, text: str) -> str:
    """The up-to-date text of a page.

    Raises:
        SourceError: a source does not exist; the text says which.
    """
    # Reference pages import the system, which nothing else here needs.
    from docsite.reference import PAGES

    return PAGES[page]() if page in PAGES else filled(text, shown(page))


def write() -> list[Path]:
    """Update all pages; returns those that changed."""
    from docsite.reference import PAGES

    changed = []
    for page in sorted({*pages(), *PAGES}):
        text = page.read_text() if page.exists() else ""
        new = current(page, text)
        if new != text:
            page.parent.mkdir(exist_ok=True)
            page.write_text(new)
            changed.append(page)
    return changed


def problems() -> list[str]:
    """A line for each page that differs from its sources."""
    found = []
    for page in pages():
        text = page.read_text()
        try:
            if current(page, text) != text:
                found.append(f"{shown(page)}: differs from the code: make docs writes it again")
        except SourceError as error:
            found.append(str(error))
    return found
