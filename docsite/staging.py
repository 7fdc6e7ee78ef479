"""Copies the pages to where the builder reads them: docs/, the pages outside it, and the navigation in Sphinx' syntax.

The pages in the repository contain only Markdown that its web page shows, too. Syntax that only the builder knows is
added to the copies.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from docsite.navigation import INDEX, LISTS, sections
from docsite.pages import DOCS, OUTSIDE, ROOT, links, pages

FILES = "files"
"""The folder for files that pages link to and that are not pages: examples, configurations."""


def stage(into: Path) -> None:
    """Write the builder's source tree into an empty folder."""
    places = {page.resolve(): page.relative_to(DOCS) for page in pages()}
    places |= {page: Path(name) for page, name in OUTSIDE.items()}
    for page, place in places.items():
        text = moved(page, place, places, into)
        if page in LISTS:
            text += "".join(_tree(heading, entries, place, places) for heading, entries in sections(page))
        if page == INDEX:
            rest = [OUTSIDE[one] for one in OUTSIDE if one not in {e for _, es in sections(INDEX) for e in es}]
            text += _toctree("", [name.removesuffix(".md") for name in rest])
        target = into / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(readable(text))


def moved(page: Path, place: Path, places: dict[Path, Path], into: Path) -> str:
    """A page's text with links relative to its place in the site; copies the files that it links to."""
    text = page.read_text()
    for link in reversed(list(links(text))):
        if link.outward or not link.target:
            continue
        target = (page.parent / link.target).resolve()
        if target.is_dir() and target / "README.md" in places:
            target = target / "README.md"
        new = places.get(target)
        if new is None:
            new = target.relative_to(DOCS) if target.is_relative_to(DOCS) else FILES / target.relative_to(ROOT)
            (into / new).parent.mkdir(parents=True, exist_ok=True)
            if target.is_file():
                shutil.copyfile(target, into / new)
        anchor = f"#{link.anchor}" if link.anchor else ""
        text = text[: link.start] + os.path.relpath(new, place.parent) + anchor + text[link.end :]
    return text


def readable(text: str) -> str:
    """Mark blocks of requests and answers as plain text: the highlighter does not accept them as HTTP messages."""
    return re.sub(r"^( *```)http$", r"\1text", text, flags=re.MULTILINE)


def _tree(heading: str, entries: list[Path], place: Path, places: dict[Path, Path]) -> str:
    names = [os.path.relpath(places[entry], place.parent).removesuffix(".md") for entry in entries]
    return _toctree(heading, names)


def _toctree(caption: str, names: list[str]) -> str:
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    lines = "\n".join(names)
    return f"\n```{{toctree}}\n{options}\n{lines}\n```\n" if names else ""
