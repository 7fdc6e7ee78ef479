"""Compiled modules: when they are used, and that the sources are used if anything is wrong with them."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from protocol import compiled
from protocol.compiled import Use, check
from protocol.settings import SettingsError

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "compile.py"
SOURCE = '''"""A module."""

def double(number: int) -> int:
    """Twice the number."""
    return number * 2
'''

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def compile_in(root: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--root", str(root), "--level", "0", "pack/one.py"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **(environment or {})}
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one module and what it was compiled into."""
    root = tmp_path_factory.mktemp("built")
    (root / "pack").mkdir()
    (root / "pack" / "__init__.py").touch()
    (root / "pack" / "one.py").write_text(SOURCE)
    (root / "pack" / "other.py").write_text("LIMIT = 1\n")
    (root / "pyproject.toml").write_text("[tool.mypy]\nstrict = true\n")
    made = compile_in(root)
    assert made.returncode == 0, made.stderr
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """A copy of that folder for one test."""
    return shutil.copytree(built, tmp_path / "root")


LOOK = """
import sys
from pathlib import Path
from protocol.compiled import use
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    __import__(name)
used = use(Path(sys.argv[1]))
import pack.one
print(used.used, pack.one.__file__.endswith(".so"), pack.one.double(4), used.why_not, sep="|")
"""


def looked(root: Path, *imported_before: str, setting: str = "auto") -> list[str]:
    """Whether another process uses compiled modules, whether it imported one, the module's answer, and why not."""
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, str(root), *imported_before],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), compiled.SETTING: setting},
    )
    return ran.stdout.strip().split("|")


def change_manifest(root: Path, **changes: object) -> None:
    path = root / compiled.FOLDER / compiled.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@needs_compiler
def test_a_current_module_is_used(root: Path) -> None:
    assert looked(root) == ["True", "True", "8", ""]


@needs_compiler
def test_an_edited_source_is_used_instead_of_its_old_compiled_module(root: Path) -> None:
    (root / "pack" / "one.py").write_text(SOURCE.replace("* 2", "* 3"))
    assert looked(root) == [
        "False",
        "False",
        "12",
        "pack/one.py has changed since they were made; 'make compiled' makes them anew",
    ]


@needs_compiler
def test_an_edit_of_a_module_that_is_not_compiled_counts_too(root: Path) -> None:
    """Mypyc copies its `Final` values into the compiled modules."""
    (root / "pack" / "other.py").write_text("LIMIT = 2\n")
    used, is_compiled, _, why_not = looked(root)
    assert (used, is_compiled) == ("False", "False")
    assert why_not.startswith("pack/other.py has changed")


@needs_compiler
@pytest.mark.long
def test_a_source_that_is_edited_during_the_build_counts_as_changed(root: Path, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    edit = f"sed -i 's/[*] 2/* 3/' '{root}/pack/one.py'"
    compiler.write_text(f'#!/bin/sh\n{edit}\nexec cc "$@"\n')
    compiler.chmod(0o755)
    assert compile_in(root, {"CC": str(compiler)}).returncode == 0
    assert looked(root)[:3] == ["False", "False", "12"]


@needs_compiler
def test_modules_for_another_python_are_not_used(root: Path) -> None:
    change_manifest(root, made_for="cpython-39-elsewhere")
    used, is_compiled, _, why_not = looked(root)
    assert (used, is_compiled) == ("False", "False")
    assert why_not.startswith("they were made for cpython-39-elsewhere, this is ")


@needs_compiler
def test_modules_that_are_missing_are_not_used(root: Path) -> None:
    for file in (root / compiled.FOLDER).rglob("one.*.so"):
        file.unlink()
    used, is_compiled, _, why_not = looked(root)
    assert (used, is_compiled) == ("False", "False")
    assert why_not.endswith("is missing")


@needs_compiler
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"made_for": 1, "sources": 2, "modules": 3}', "\x00"])
def test_with_a_damaged_manifest_the_sources_are_used(root: Path, content: str) -> None:
    (root / compiled.FOLDER / compiled.MANIFEST).write_text(content)
    assert looked(root)[:3] == ["False", "False", "8"]


@needs_compiler
def test_a_process_that_has_imported_a_source_uses_no_compiled_module(root: Path) -> None:
    assert looked(root, "pack.one") == ["False", "False", "8", "pack.one was imported before"]


@needs_compiler
def test_compiled_modules_can_be_turned_off(root: Path) -> None:
    assert looked(root, setting="off") == ["False", "False", "8", "TARANTKV_COMPILED is off"]


@needs_compiler
@pytest.mark.long
def test_a_build_replaces_the_previous_one(root: Path) -> None:
    (root / "pack" / "one.py").write_text(SOURCE.replace("* 2", "* 3"))
    assert compile_in(root).returncode == 0
    assert looked(root) == ["True", "True", "12", ""]
    assert len(list((root / compiled.FOLDER).iterdir())) == 2


@needs_compiler
@pytest.mark.long
def test_a_failed_build_leaves_the_previous_one(root: Path) -> None:
    before = (root / compiled.FOLDER / compiled.MANIFEST).read_text()
    (root / "pack" / "one.py").write_text(SOURCE + "wrong: int = 'text'\n")
    made = compile_in(root)
    assert made.returncode == 1
    assert "pack/one.py:6: error: Incompatible types in assignment" in made.stderr
    (root / "pack" / "one.py").write_text(SOURCE)
    assert (root / compiled.FOLDER / compiled.MANIFEST).read_text() == before
    assert looked(root) == ["True", "True", "8", ""]


def test_without_a_compiler_the_build_says_what_is_missing(tmp_path: Path) -> None:
    made = compile_in(tmp_path, {"CC": "no-such-compiler"})
    assert (made.returncode, made.stderr) == (1, "compiled modules need a C compiler: install gcc, or set CC\n")


def test_without_compiled_modules_the_sources_are_used(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "one.py").write_text(SOURCE)
    assert looked(tmp_path)[:3] == ["False", "False", "8"]


def test_a_process_that_requires_compiled_modules_ends_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "use", lambda: Use(False, "there are none"))
    check("auto")
    check("off")
    with pytest.raises(SettingsError, match=r"cannot be used: there are none\Z"):
        check("required")


LISTED = (ROOT / "scripts" / "compiled-modules.txt").read_text().split()


def classes_of(module: str) -> Iterator[ast.ClassDef]:
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.ClassDef):
            yield node


def names_in(nodes: list[ast.expr]) -> set[str]:
    return {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}


def test_the_list_names_modules_that_exist_each_once() -> None:
    assert sorted(set(LISTED)) == LISTED
    assert all((ROOT / module).is_file() for module in LISTED)


def test_no_class_that_is_not_compiled_inherits_from_one_that_is() -> None:
    """Mypyc refuses to make an object of such a class, at run time."""
    native = {node.name for module in LISTED for node in classes_of(module)}
    others = [
        str(path.relative_to(ROOT))
        for package in ("api", "worker", "protocol", "localcluster", "clusterctl")
        for path in (ROOT / package).rglob("*.py")
    ]
    wrong = [
        (module, node.name)
        for module in set(others) - set(LISTED)
        for node in classes_of(module)
        if names_in(node.bases) & native
    ]
    assert not wrong


def test_no_compiled_function_uses_one_name_for_two_kinds_of_errors() -> None:
    """Mypyc gives the name that several `except` clauses bind the type of the first, and refuses the others."""
    native = {node.name for module in LISTED for node in classes_of(module)}
    for module in LISTED:
        for function in ast.walk(ast.parse((ROOT / module).read_text())):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                handlers = [each for each in ast.walk(function) if isinstance(each, ast.ExceptHandler) and each.name]
                caught = [names_in([each.type]) for each in handlers if each.type is not None]
                assert len(handlers) < 2 or not native & set().union(*caught), (module, function.name)
