"""Runs `tarantkv` as a process of its own, with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

SOURCE = Path(__file__).parents[2] / "client" / "src"
TIMEOUT_S = 60.0
KEPT = ("COVERAGE_PROCESS_CONFIG", "LANG", "PATH", "TMPDIR")


@dataclass
class Command:
    """The command line of one user."""

    home: Path
    url: str
    token: str | None

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of the process."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        token = {} if self.token is None else {"TARANTKV_TOKEN": self.token}
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(SOURCE), "TARANTKV_URL": self.url, **token, **more}

    def start(self, *arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "tarantkv", *arguments],
            env=self.environment(**(env or {})),
            cwd=self.home,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def run(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ended:
        """Run a command to its end."""
        process = self.start(*arguments, env=env, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin, TIMEOUT_S)
        return Ended(process.returncode, out, err.decode())

    def done(self, *arguments: str, stdin: bytes = b"") -> list[Any]:
        """The records that a command prints, which must succeed."""
        ended = self.run(*arguments, stdin=stdin)
        assert ended.code == 0, ended.err
        return ended.records()


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    out: bytes
    err: str

    def records(self) -> list[Any]:
        """The lines of the command's output."""
        return [orjson.loads(line) for line in self.out.splitlines()]
