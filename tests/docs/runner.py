"""Runs the fenced blocks of a page one after the other, like a reader who follows it line by line.

A block says by its tag what it is:

- `sh`: lines for one shell, which continues from block to block. Lines that begin with `# ` are all that the block
  prints. A command that fails ends the test, unless its line looks at the exit code (`echo $?`).
- `python`: statements for one interpreter, which is started from that shell. Without lines `# ` its output is
  not compared.
- `http`: requests and their answers, see `tests.docs.http_examples`.
- `toml`: a configuration; its first line is a comment that names its file.
- `json`, `text`, or nothing: an illustration. JSON must be valid.
- a path behind the language: text of a file, which `docsite.sources` compares.
- `not-run` behind the language: cannot run in a test; `tests.docs.test_tags` lists all of them.

`make` is tried without being carried out: it must know the target and its arguments.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import httpx
import yaml

from docsite.fences import Block
from docsite.pages import ROOT
from docsite.sources import named
from localcluster.cluster import Cluster
from tests.docs.http_examples import Variables, examples
from tests.docs.sessions import Interpreter, Shell

ADDRESS = "http://127.0.0.1:8081"
KEPT = ("COVERAGE_PROCESS_CONFIG", "LANG", "TMPDIR")
TAGS = {"sh", "python", "http", "toml", "json", "yaml", "text", ""}
OF_THE_MOMENT = re.compile(r'"version":"[0-9a-f]+"')


class PageRunner:
    """One page in a folder of its own, with a cluster in place of the reader's."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        environment = clone(folder, cluster)
        self._shell = Shell(folder, environment)
        self._python: Interpreter | None = None
        self._http = httpx.Client(base_url=cluster.base_url, trust_env=False)
        self._http.headers["content-type"] = "application/json"
        self._variables = Variables()

    def close(self) -> None:
        """End the programs that were started."""
        self._shell.close()
        if self._python is not None:
            self._python.close()
        self._http.close()

    def run(self, block: Block, where: str) -> None:
        """Run one block.

        Raises:
            AssertionError: the result differs from the page.
        """
        assert block.language in TAGS, f"{where}: what is a block of {block.language!r}? See tests/docs/runner.py"
        if named(block) or block.note.startswith("not-run"):
            return
        text = block.text.replace(ADDRESS, self._cluster.base_url)
        if block.language == "sh":
            self._compare(block, self._shell.run(text, where), where, always=True)
        elif block.language == "python":
            if self._python is None:
                self._python = Interpreter(self._folder, self._shell.environment())
            text = text.replace('"…"', repr(self._cluster.admin_password))
            self._compare(block, self._python.run(text, where), where, always=False)
        elif block.language == "http":
            self._send(block, where)
        elif block.language == "toml":
            self._configure(text, where)
        elif block.language == "json":
            json.loads(text)
        elif block.language == "yaml":
            yaml.safe_load(text)

    def delete(self, keys: list[str]) -> None:
        """Remove the keys that requests have stored."""
        self._http.post("/api/delete", json={"keys": keys}).raise_for_status()

    def _compare(self, block: Block, printed: str, where: str, *, always: bool) -> None:
        shown = [line[2:] for line in block.text.splitlines() if line.startswith("# ")]
        if shown or always:
            assert OF_THE_MOMENT.sub('"version":"…"', printed).splitlines() == shown, f"{where}: {self._shell.said()}"

    def _send(self, block: Block, where: str) -> None:
        for example in examples(f"```http\n{block.text}```\n"):
            body = self._variables.filled(example.body)
            if example.target == "/api/login":
                body = body.replace('"…"', json.dumps(self._cluster.admin_password))
            headers = {name: self._variables.filled(value) for name, value in example.headers.items()}
            answer = self._http.request(example.method, example.target, content=body.encode(), headers=headers)
            assert answer.status_code == example.status, f"{where}: {answer.text}"
            for one, other in zip(documents(example.answer), documents(answer.text), strict=True):
                self._variables.compare(one, other, where)
            if example.target == "/api/login":
                self._http.headers["authorization"] = answer.json()["token"]

    def _configure(self, text: str, where: str) -> None:
        name = text.splitlines()[0].removeprefix("# ").strip()
        assert name.startswith("~/"), f"{where}: the first line names no file of the reader's: {name}"
        path = self._folder / "home" / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for profile in tomllib.loads(text)["profiles"]:
            self._shell.run(f"tarantkv whoami --profile {profile}", where)


def clone(folder: Path, cluster: Cluster) -> dict[str, str]:
    """Make a folder look like the reader's clone; returns the environment of the reader's shell."""
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (folder / "home").mkdir()
    (folder / ".env").write_text(f"TARANTKV_ADMIN_PASSWORD={cluster.admin_password}\n")
    for name in ("examples", "docs"):
        (folder / name).symlink_to(ROOT / name)
    make = shutil.which("make")
    programs = {
        "python": f'exec {sys.executable} "$@"',
        "tarantkv": f'exec {sys.executable} -m tarantkv "$@"',
        "make": f'exec {make} --no-print-directory -C "{ROOT}" --dry-run "$@" >/dev/null',
    }
    for name, line in programs.items():
        (binaries / name).write_text(f"#!/bin/sh\n{line}\n")
        (binaries / name).chmod(0o755)
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(folder / "home"),
        "PASSWORD": cluster.admin_password,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "client" / "src"),
    }


def documents(text: str) -> list[object]:
    """The JSON documents of an answer: one, or one a line."""
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]
