import tomllib
from pathlib import Path

from api.ops.openapi import VERSION

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_openapi_document_has_the_version_of_the_project() -> None:
    assert tomllib.loads(PROJECT.read_text())["project"]["version"] == VERSION
