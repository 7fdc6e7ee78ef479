"""Compiles the modules that every request passes through with mypyc, into `.compiled/`.

`protocol/compiled.py` decides when api and workers use them.

It needs a C compiler, the headers of Python, and mypy (requirements-dev.lock). A build that fails leaves the one
before it as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from protocol.compiled import FOLDER, MANIFEST, binary_interface, digest  # noqa: E402 - found by the line above

MODULES = (ROOT / "scripts" / "compiled-modules.txt").read_text().split()
"""Modules with types that msgspec decodes are not in it: compiled classes have no annotations. Nor are modules that a
request of a few keys does not pass through."""


def main() -> int:
    """Compile; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the modules")
    parser.add_argument("--level", default="2", help="how much the C compiler optimizes: 0 to 3")
    parser.add_argument("modules", nargs="*", default=MODULES, help="files, from the root on")
    options = parser.parse_args()
    root: Path = options.root.resolve()
    if shutil.which(os.environ.get("CC", "cc")) is None:
        print("compiled modules need a C compiler: install gcc, or set CC", file=sys.stderr)  # noqa: T201
        return 1
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    # Before the build: what is edited while it runs must count as changed.
    sources = _sources(root, options.modules)
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as build:
        try:
            _compile(root, Path(build), options.modules, options.level)
        except subprocess.CalledProcessError as error:
            print(f"mypyc failed:\n{error.stdout}", file=sys.stderr)  # noqa: T201
            return 1
        _install(root, Path(build) / "lib", sources)
    print(f"compiled {len(options.modules)} modules into {folder}")  # noqa: T201
    return 0


_SETUP = """
import os, sys
from mypyc.build import mypycify
from setuptools import setup
files, level = sys.argv[4:], sys.argv[1]
build, cache = sys.argv[2], sys.argv[3]
sys.argv = ["compile", "build_ext", "--build-lib", f"{build}/lib", "--build-temp", f"{build}/tmp"]
options = ["--config-file", "pyproject.toml", "--cache-dir", cache, *files]
setup(name="tarantkv_compiled", ext_modules=mypycify(options, opt_level=level, target_dir=f"{build}/c"))
"""


def _compile(root: Path, build: Path, modules: list[str], level: str) -> None:
    command = [sys.executable, "-c", _SETUP, level, str(build), str(build / "cache"), *modules]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _sources(root: Path, modules: list[str]) -> dict[str, str]:
    """The digests of all sources of the packages: mypyc puts `Final` values of other modules into compiled ones."""
    packages = {module.partition("/")[0] for module in modules}
    files = (file for package in sorted(packages) for file in sorted((root / package).rglob("*.py")))
    return {str(file.relative_to(root)): digest(file.read_bytes()) for file in files}


def _install(root: Path, library: Path, sources: dict[str, str]) -> None:
    """Put what was built in the place of what was there before; the manifest comes last."""
    folder = root / FOLDER
    files = sorted(path.relative_to(library) for path in library.rglob("*.so"))
    name = digest(json.dumps([sources, binary_interface()]).encode())
    shutil.rmtree(folder / name, ignore_errors=True)
    library.rename(folder / name)
    found = {str(file.parent / file.name.partition(".")[0]).replace("/", "."): f"{name}/{file}" for file in files}
    manifest = {"made_for": binary_interface(), "sources": sources, "modules": found}
    written = folder / f"{MANIFEST}.new"
    written.write_text(json.dumps(manifest, indent=1))
    written.replace(folder / MANIFEST)
    for other in folder.iterdir():
        if other.is_dir() and other.name != name and not other.name.startswith("build-"):
            shutil.rmtree(other, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
