"""Writes the pages of docs/reference/, each as a whole from the code that it describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docsite.pages import DOCS
from docsite.reference import api, client, command_line, metrics

PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "reference" / "api.md": api.page,
    DOCS / "reference" / "client.md": client.page,
    DOCS / "reference" / "cli.md": command_line.page,
    DOCS / "reference" / "metrics.md": metrics.page,
}
"""The function that makes the text of each page."""
