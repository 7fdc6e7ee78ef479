"""Reports the lengths of Python, Lua and shell files, and those above 300 lines: `python scripts/lengths.py`.

The report has a line for each package: lines, files, the median and the longest. With `--check` it prints only the
files that are too long. The exit code is 1 if a file is too long.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

MAX_LINES = 300
SUFFIXES = {".lua", ".py", ".sh"}
ROOMS = {"api", "client", "tests", "loadtest", "protocol", "tarantool-cluster"}
"""Folders whose own folders are packages of the report."""


def source_files(root: Path) -> Iterator[Path]:
    """Every source file below `root`, relative to it, except in folders whose name begins with a dot."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix in SUFFIXES:
                yield (Path(folder) / name).relative_to(root)


def lengths(root: Path) -> dict[Path, int]:
    """Lines by file."""
    return {path: len((root / path).read_bytes().splitlines()) for path in source_files(root)}


def package(path: Path) -> str:
    """The package of the report that a file belongs to: the top folder, and in `ROOMS` also the folder below it."""
    folders = path.parts[:-1]
    return "/".join(folders[: 2 if folders and folders[0] in ROOMS else 1]) or "."


def report(counted: dict[Path, int]) -> Iterator[str]:
    """The lines of a table: package, lines, files, median, longest."""
    packages: dict[str, list[int]] = defaultdict(list)
    for path, lines in counted.items():
        packages[package(path)].append(lines)
    yield f"{'package':28}{'lines':>7}{'files':>7}{'median':>8}{'longest':>9}"
    for name, numbers in [*sorted(packages.items()), ("all", list(counted.values()))]:
        yield f"{name:28}{sum(numbers):7}{len(numbers):7}{median(numbers or [0]):8.0f}{max(numbers, default=0):9}"


def too_long(counted: dict[Path, int]) -> list[str]:
    """A line for each file that is longer than allowed."""
    return [
        f"{path}: {lines} lines, {MAX_LINES} are allowed: split it"
        for path, lines in sorted(counted.items())
        if lines > MAX_LINES
    ]


def main(arguments: list[str]) -> int:
    """Print the report, except with `--check`, and the files that are too long; returns the exit code."""
    counted = lengths(Path(__file__).resolve().parents[1])
    if "--check" not in arguments:
        sys.stdout.writelines(f"{line}\n" for line in report(counted))
    found = too_long(counted)
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
