"""The command line `tarantkv`. It starts in tens of milliseconds, because modules import what they need when they need
it.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    from tarantkv.cli.program import run

    return run(arguments)
