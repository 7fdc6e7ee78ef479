"""Reads the order of the pages from the lists of links in docs/index.md and in the index of the decision records.

Each list below a heading is a section of the site's navigation. A new page needs a line in one of these lists, where a
reader of the repository finds it, too.
"""

from __future__ import annotations

import re
from pathlib import Path

from docsite.pages import DOCS, OUTSIDE

INDEX = DOCS / "index.md"
LISTS = (INDEX, DOCS / "adr" / "README.md")
"""The pages whose lists are the navigation."""

_ENTRY = re.compile(r"^(?:[-*]|\d+\.) +\[[^\]]+\]\(([^)#\s]+)\)")


def sections(page: Path) -> list[tuple[str, list[Path]]]:
    """The lists of a page: the heading above each, empty for its title, and the pages that it names."""
    found: list[tuple[str, list[Path]]] = []
    for line in page.read_text().splitlines():
        if line.startswith("#"):
            found.append((line.lstrip("# ") if line.startswith("## ") else "", []))
        elif (entry := _ENTRY.match(line)) and found:
            found[-1][1].append((page.parent / entry[1]).resolve())
    return [(heading, named) for heading, named in found if named]


def problems() -> list[str]:
    """A line for each page that no list names, that is named twice, or that does not exist."""
    named = [INDEX.resolve()] + [entry for page in LISTS for _, entries in sections(page) for entry in entries]
    there = {page.resolve() for page in DOCS.rglob("*.md")}
    found = [
        f"docs/{page.relative_to(DOCS)}: no list of docs/index.md names it: add a line there"
        for page in sorted(there - set(named))
    ]
    found += [f"{page.name}: named twice in the navigation" for page in sorted(set(named)) if named.count(page) > 1]
    known = there | set(OUTSIDE)
    found += [f"{page}: named in the navigation, but does not exist" for page in sorted(set(named) - known)]
    return found
