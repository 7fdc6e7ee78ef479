"""The fenced blocks of a Markdown page, and the text around them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^ *(?P<marks>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^ *(?P=marks) *$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: `info` is the text behind its opening marks, `text` its lines without their indent."""

    line: int
    info: str
    text: str
    start: int
    """Where the text begins and ends in the page, in characters."""
    end: int

    @property
    def language(self) -> str:
        """The first word of the info; empty: there is none."""
        return self.info.partition(" ")[0]

    @property
    def note(self) -> str:
        """The rest of the info, behind the language."""
        return self.info.partition(" ")[2].strip()


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    for found in _FENCE.finditer(page):
        yield Block(
            line=page.count("\n", 0, found.start()) + 1,
            info=found["info"].strip(),
            text=textwrap.dedent(found["body"]),
            start=found.start("body"),
            end=found.end("body"),
        )


def prose(page: str) -> str:
    """The page with spaces in place of code, in blocks and in spans. All other characters keep their positions."""
    blank = _FENCE.sub(_blanked, page)
    return re.sub(r"(?<!`)(`+)(?!`)[^\n]*?(?:\n[^\n]+?)?(?<!`)\1(?!`)", _blanked, blank)


def _blanked(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])
