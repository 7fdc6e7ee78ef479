"""The order of the pages: the lists of links of docs/index.md, and of the page of the decisions.

A list below a heading is a part of the site's navigation. So whoever adds a page adds a line to one of these lists,
which is also how a reader of the repository finds it.
"""

from __future__ import annotations

import re
from pathlib import Path

from docsite.pages import DOCS, OUTSIDE

INDEX = DOCS / "index.md"
LISTS = (INDEX, DOCS / "adr" / "README.md")
"""The pages whose lists make the navigation."""

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
    """Pages that no list names, that are named twice, or that are not there."""
    named = [INDEX.resolve()] + [entry for page in LISTS for _, entries in sections(page) for entry in entries]
    there = {page.resolve() for page in DOCS.rglob("*.md")}
    found = [
        f"docs/{page.relative_to(DOCS)}: no list of docs/index.md has it: add a line there"
        for page in sorted(there - set(named))
    ]
    found += [f"{page.name}: named twice in the navigation" for page in sorted(set(named)) if named.count(page) > 1]
    known = there | set(OUTSIDE)
    found += [f"{page}: named in the navigation, but not there" for page in sorted(set(named) - known)]
    return found
