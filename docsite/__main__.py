"""`python -m docsite check | write | build [OUT]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docsite import links, navigation, sources
from docsite.pages import ROOT, shown


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docsite", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="check links, anchors, navigation and generated parts; needs no builder")
    commands.add_parser("write", help="update the parts of pages that come from the code")
    commands.add_parser("build", help="build the site").add_argument("out", type=Path, nargs="?", default=ROOT / "site")
    arguments = parser.parse_args()
    if arguments.command == "build":
        from docsite.building import build

        return build(arguments.out)
    if arguments.command == "write":
        sys.stdout.writelines(f"updated {shown(page)}\n" for page in sources.write())
        return 0
    found = [*navigation.problems(), *links.problems(), *sources.problems()]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
