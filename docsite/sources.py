"""Blocks of pages whose text stands in a file: `python examples/cache.py#Products.get` behind the opening marks.

The file is the one source: `write` puts its text into the page, which so can be read in the repository too, and
`problems` says which pages are behind.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

from docsite.fences import Block, blocks
from docsite.pages import ROOT, pages, shown


class SourceError(Exception):
    """A block names what is not there."""


def filled(page: str, where: str) -> str:
    """A page with its blocks as their sources are now.

    Raises:
        SourceError: a source is not there; the text says which.
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
    """Whether a block has a source: its note is a path, perhaps with a name of what is in the file."""
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


def write() -> list[Path]:
    """Bring all pages up to date; gives those that changed."""
    changed = []
    for page in pages():
        text = page.read_text()
        new = filled(text, shown(page))
        if new != text:
            page.write_text(new)
            changed.append(page)
    return changed


def problems() -> list[str]:
    """A line for each page that is behind its sources."""
    found = []
    for page in pages():
        text = page.read_text()
        try:
            if filled(text, shown(page)) != text:
                found.append(f"{shown(page)}: a block is not as its source is now: python -m docsite write")
        except SourceError as error:
            found.append(str(error))
    return found
