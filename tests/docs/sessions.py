"""A shell and an interpreter that are given block after block, as a reader pastes them."""

from __future__ import annotations

import json
import re
import selectors
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

TIMEOUT_S = 50
EXPECTED = re.compile(r"echo \$\?|\|\||\bwait\b")

_DRIVER = """\
import json, sys, traceback
names, asked, out = {"__name__": "__main__"}, sys.stdin, sys.stdout
for line in asked:
    path, printed = json.loads(line)
    with open(path) as file:
        text = file.read()
    with open(printed, "w") as sys.stdout:
        try:
            exec(compile(text, path, "exec"), names)
            said = ""
        except BaseException:
            said = traceback.format_exc()
    print(json.dumps(said), file=out, flush=True)
"""


class Session:
    """A process that reads commands, one a line, and answers each by a line."""

    timeout_s = TIMEOUT_S

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder / "blocks"
        self._folder.mkdir(exist_ok=True)
        self._errors = (self._folder / f"{Path(command[0]).name}.err").open("w+")
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._number = 0

    def said(self) -> str:
        """The last lines of standard error."""
        self._errors.seek(0)
        return self._errors.read()[-2000:]

    def close(self) -> None:
        """End the process, or kill it."""
        input_, output = self._pipes()
        input_.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        output.close()
        self._errors.close()

    def _block(self, text: str) -> tuple[Path, Path]:
        self._number += 1
        path = self._folder / f"{type(self).__name__}-{self._number}"
        path.write_text(text)
        return path, path.with_suffix(".out")

    def _ask(self, line: str, where: str) -> str:
        input_, output = self._pipes()
        input_.write(f"{line}\n")
        input_.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            assert selector.select(self.timeout_s), f"{where}: not done after {self.timeout_s} s: {self.said()}"
        answer = output.readline()
        assert answer, f"{where}: ended: {self.said()}"
        return answer.rstrip("\n")

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


class Shell(Session):
    """One bash for all blocks of a page."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(["bash", "--noprofile", "--norc"], folder, environment)
        process_input, _ = self._pipes()
        process_input.write("FAILED=; trap 'FAILED=\"$FAILED $LINENO\"' ERR\n")

    def run(self, text: str, where: str) -> str:
        """Run a block; gives what it printed.

        Raises:
            AssertionError: a command failed whose line does not expect it.
        """
        path, printed = self._block(text)
        ask = f'FAILED=; . {shlex.quote(str(path))} >{shlex.quote(str(printed))} </dev/null; echo "lines:$FAILED"'
        lines = text.splitlines()
        for number in self._ask(ask, where).partition(":")[2].split():
            line = lines[int(number) - 1] if int(number) <= len(lines) else text
            assert EXPECTED.search(line), f"{where}, its line {number} failed: {line}\n{self.said()}"
        return printed.read_text()

    def environment(self) -> dict[str, str]:
        """The environment of a program that this shell starts now."""
        pairs = self.run("env -0", "the environment").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if pair)


class Interpreter(Session):
    """One Python for all blocks of a page."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__([sys.executable, "-c", _DRIVER], folder, environment)

    def run(self, text: str, where: str) -> str:
        """Run statements; gives what they printed.

        Raises:
            AssertionError: they raised; the text has the traceback.
        """
        path, printed = self._block(text)
        said: Any = json.loads(self._ask(json.dumps([str(path), str(printed)]), where))
        assert not said, f"{where}: {said}"
        return printed.read_text()
