"""Finds the pages, their headings and their links."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docsite.fences import prose

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
OUTSIDE = {
    ROOT / "README.md": "readme.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "client" / "README.md": "client-readme.md",
    ROOT / "loadtest" / "README.md": "loadtest.md",
}
"""Pages outside docs/, and their places in the site."""

_HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$", re.MULTILINE)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Link:
    """A link as a page has it: `target` without the anchor; `anchor` is empty if there is none."""

    line: int
    start: int
    end: int
    target: str
    anchor: str

    @property
    def outward(self) -> bool:
        """Whether it leads to another site."""
        return re.match(r"[a-z][a-z0-9+.-]*:", self.target) is not None


def pages() -> list[Path]:
    """Every page of docs/, sorted."""
    return sorted(DOCS.rglob("*.md"))


def slug(heading: str) -> str:
    """The anchor that a heading gets, as in the repository's web page and in the site."""
    text = _MARKUP.sub(r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page."""
    text = page.read_text()
    kept = prose(text)
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.finditer(kept):
        # `prose` has blanked out spans of code, but they are part of the heading.
        name = slug(text[heading.start(2) : heading.end(2)])
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frozenset(found)


def links(text: str) -> Iterator[Link]:
    """The links and images of a page's text, without those in code."""
    kept = prose(text)
    for found in _LINK.finditer(kept):
        target, _, anchor = found[1].partition("#")
        yield Link(kept.count("\n", 0, found.start()) + 1, found.start(1), found.end(1), target, anchor)


def shown(page: Path) -> str:
    """A page's name for messages."""
    return page.relative_to(ROOT).as_posix()
