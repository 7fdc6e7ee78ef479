"""Checks every link inside the repository, with its anchor, without building the site."""

from __future__ import annotations

from pathlib import Path

from docsite.pages import DOCS, OUTSIDE, Link, anchors, links, pages, shown

MORE = ("deploy", "examples", "loadtest", "docker", "tarantool-cluster", "tests", "scripts")
"""Folders outside docs/ whose files a page may link to."""


def problems() -> list[str]:
    """A line for each broken link."""
    return [
        f"{shown(page)}:{link.line}: {link.target}{'#' if link.anchor else ''}{link.anchor}: {why}"
        for page in [*pages(), *OUTSIDE]
        for link in links(page.read_text())
        if not link.outward and (why := fault(page, link))
    ]


def fault(page: Path, link: Link) -> str:
    """The fault of a link inside the repository; empty: there is none."""
    if link.target.startswith("/"):
        return "make the path relative to this page"
    target = (page.parent / link.target).resolve() if link.target else page.resolve()
    if not target.exists():
        return "there is no such file"
    if target.is_dir() and page.is_relative_to(DOCS):
        return "a folder is not a page of the site: link its README.md"
    if link.anchor and (target.suffix != ".md" or link.anchor not in anchors(target)):
        return "there is no such heading"
    if target.suffix == ".md" and not target.is_relative_to(DOCS) and target not in OUTSIDE:
        return "not a page of the site: add it to docsite.pages.OUTSIDE"
    return ""
