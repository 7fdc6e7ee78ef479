"""`make audit`: what it reports of vulnerable packages, and of packages that no source knows."""

import json
from typing import Any

import pytest

from scripts.audit import FOUND, NONE_KNOWN, UNREACHABLE, verdict

SOUND: dict[str, Any] = {"name": "sound", "version": "1.0", "vulns": []}
HOLED: dict[str, Any] = {
    "name": "holed",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-2024-1", "fix_versions": ["2.1"], "aliases": [], "description": ""}],
}
UNKNOWN: dict[str, Any] = {"name": "unknown", "skip_reason": "Dependency not found on PyPI"}


def said(*packages: dict[str, Any]) -> str:
    """A report in the form that pip-audit writes."""
    return json.dumps({"dependencies": packages, "fixes": []})


def test_packages_without_a_known_vulnerability_pass() -> None:
    assert verdict(said(SOUND)) == (NONE_KNOWN, [])


def test_a_vulnerability_is_named_with_the_version_that_fixes_it() -> None:
    code, lines = verdict(said(SOUND, HOLED, UNKNOWN))
    assert code == FOUND
    assert lines[0] == "holed 2.0: PYSEC-2024-1, fixed in 2.1"


@pytest.mark.parametrize("output", [said(UNKNOWN), said(SOUND, UNKNOWN), said(), "", "{", "[]", "null"])
def test_packages_that_could_not_be_checked_are_a_failure(output: str) -> None:
    assert verdict(output)[0] == UNREACHABLE
