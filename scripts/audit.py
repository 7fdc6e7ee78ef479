"""Looks up known vulnerabilities of all packages in lock files, by pip-audit: `python scripts/audit.py LOCK...`.

Exit codes: 0, none is known; 1, some are known; 2, the source did not answer. pip-audit itself ends with 1 in the last
two cases, and reports no vulnerability for a package that its source does not know.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

NONE_KNOWN, FOUND, UNREACHABLE = 0, 1, 2
TIMEOUT_S = 600

_COMMAND = ("-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def verdict(output: str) -> tuple[int, list[str]]:
    """The exit code and the lines to print, for pip-audit's standard output."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return UNREACHABLE, []
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in packages
        for vulnerability in package.get("vulns", ())
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    lines = [f"the source does not know {len(unknown)} of {len(packages)} packages: {unknown[0]} …"] if unknown else []
    if found:
        return FOUND, found + lines
    return (UNREACHABLE if unknown or not packages else NONE_KNOWN), lines


def audit(lock: str) -> tuple[int, list[str]]:
    """The verdict on one lock file."""
    try:
        done = subprocess.run(
            [sys.executable, *_COMMAND, "-r", lock], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return UNREACHABLE, [f"no answer within {TIMEOUT_S} seconds"]
    code, lines = verdict(done.stdout)
    return code, lines or done.stderr.strip().splitlines()[-1:] if code else []


def main(locks: list[str]) -> int:
    """Audit every lock file. Returns the worst exit code: a vulnerability is worse than no answer."""
    codes = set()
    for lock in locks:
        code, lines = audit(lock)
        codes.add(code)
        said = {NONE_KNOWN: "no known vulnerability", FOUND: "VULNERABLE", UNREACHABLE: "the source did not answer"}
        sys.stdout.write("\n  ".join([f"{lock}: {said[code]}", *lines]) + "\n")
    return FOUND if FOUND in codes else max(codes, default=UNREACHABLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
