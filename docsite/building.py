"""Builds the site. A warning of the builder is an error, and so is whatever a page would load from another site."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from docsite.staging import stage

_HERE = Path(__file__).parent
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|audio|video|embed)\b[^>]*?\bsrc=\"((?:https?:)?//[^\"]+)\""
    r"|<link\b(?![^>]*\brel=\"(?:canonical|search)\")[^>]*?\bhref=\"((?:https?:)?//[^\"]+)\""
    r"|url\(\s*[\"']?((?:https?:)?//[^\"')]+)|@import\s+[\"']((?:https?:)?//[^\"']+)"
)


def build(out: Path) -> int:
    """Build into `out`; returns the exit code."""
    # Only `make docs` installs Sphinx: everything else here works without it.
    from sphinx.cmd.build import build_main

    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        source = Path(folder) / "source"
        source.mkdir()
        stage(source)
        arguments = ["-b", "html", "-c", str(_HERE), "-d", f"{folder}/doctrees", "-W", "--keep-going", "-q"]
        if code := build_main([*arguments, str(source), str(out)]):
            return int(code)
    found = from_elsewhere(out)
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


def from_elsewhere(site: Path) -> list[str]:
    """A line for each thing that the site's pages and styles would load from another site."""
    return [
        f"{file.relative_to(site)}: loads {next(filter(None, loaded))}"
        for file in sorted(site.rglob("*"))
        if file.suffix in {".html", ".css"}
        for loaded in _LOADED.findall(file.read_text())
    ]
