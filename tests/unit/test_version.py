"""`protocol.version` is the only place that states the version; everything else shows the same."""

import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from api.ops.metrics import Metrics
from api.ops.openapi import build
from protocol.settings import BatchSettings
from protocol.version import VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_the_project_reads_its_version_from_the_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "protocol.version.VERSION"}


@pytest.mark.parametrize("file", ["Dockerfile", "docker/shard.Dockerfile"])
def test_the_label_of_the_image_has_the_version(file: str) -> None:
    labels = re.findall(r'org\.opencontainers\.image\.version="([^"]*)"', (ROOT / file).read_text())
    assert labels == [VERSION]


@pytest.mark.parametrize("program", ["api", "worker"])
def test_a_program_prints_the_version_without_any_setting(program: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TARANTKV_")}
    done = subprocess.run(
        [sys.executable, "-m", program, "--version"], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"tarant-kv {VERSION}\n", "")


def test_the_openapi_document_has_the_version() -> None:
    assert build(BatchSettings())["info"]["version"] == VERSION


def test_the_metrics_have_the_versions_of_the_project_and_of_python() -> None:
    line = f'tarantkv_build_info{{compiled="no",python="{platform.python_version()}",version="{VERSION}"}} 1.0'
    assert line in Metrics().render().decode().splitlines()


@pytest.mark.parametrize("package", ["api", "worker", "protocol"])
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
