"""Records which parts of an import are done, so that the import can be resumed after Ctrl-C or a crash.

The first line says what is imported and how. Each further line says that a part is done, and is on the disk before the
next one is written. A line that was cut off counts as not written.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from typing import Any, NamedTuple

from tarantkv.cli.exits import UsageError, naming
from tarantkv.cli.json_input import parsed

VERSION = 1
_SAMPLE_BYTES = 64 * 1024


class Done(NamedTuple):
    """A part that is done. `end` is where its lines end in the file, -1 if reading cannot begin there; `rejected_size`
    is the size that the file of rejected lines had then.
    """

    part: int
    first_line: int
    lines: int
    end: int
    items: int
    applied: int
    already_there: int
    rejected: int
    rejected_size: int


class Journal:
    """An open journal, locked against other imports of the same file."""

    def __init__(self, path: str, what: dict[str, Any], name: str, *, resume: bool) -> None:
        self.path = path
        self.done: dict[int, Done] = {}
        self.rejected_size = 0
        if os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(f"{path} is no file, and cannot be a journal")
        self._file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")  # noqa: SIM115 - open until `close`
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UsageError(f"another import with {path} is under way") from None
        try:
            header, size = self._read()
        except UsageError:
            self.close()
            raise
        if header is not None and not resume:
            self.close()
            raise UsageError(f"an import of this file was interrupted: use --resume, or remove {path}")
        if header is not None and header.get("what") != what:
            differs = [name for name in what if header.get("what", {}).get(name) != what[name]]
            self.close()
            raise UsageError(
                f"{path} is of an import with other options, or the file has changed: {', '.join(differs)}"
            )
        self.name = name if header is None else str(header["name"])
        self.resumed = header is not None
        self._file.truncate(size)
        self._file.seek(size)
        if header is None:
            self._write({"version": VERSION, "name": self.name, "what": what})

    def add(self, done: Done) -> None:
        """Record a part."""
        self._write(done._asdict())
        self.done[done.part] = done

    def prefix(self) -> list[Done]:
        """The parts that are done, from the first one on, without a gap."""
        found: list[Done] = []
        while (done := self.done.get(len(found) + 1)) is not None:
            found.append(done)
        return found

    def remove(self) -> None:
        """Remove the journal: the import is done."""
        os.unlink(self.path)
        self.close()

    def close(self) -> None:
        """Close the journal; a later import can continue it."""
        self._file.close()

    def _read(self) -> tuple[dict[str, Any] | None, int]:
        """The first line, and the length of all complete ones.

        Raises:
            UsageError: the file is not a journal, and must not be overwritten.
        """
        header, size = None, 0
        for line in self._file:
            try:
                found = parsed(line) if line.endswith(b"\n") else None
            except ValueError:
                found = None
            if not isinstance(found, dict):
                if header is None and not _is_cut_off(line):
                    raise UsageError(f"{self.path} is no journal of this version")
                break
            if header is None:
                if found.get("version") != VERSION:
                    raise UsageError(f"{self.path} is no journal of this version")
                header = found
            else:
                try:
                    done = Done(**found)
                except TypeError:
                    raise UsageError(f"{self.path} is no journal of this version") from None
                self.done[done.part] = done
                self.rejected_size = done.rejected_size
            size += len(line)
        return header, size

    def _write(self, members: dict[str, Any]) -> None:
        with naming(self.path):
            self._file.write(json.dumps(members).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())


def _is_cut_off(line: bytes) -> bool:
    """Whether a line is the beginning of a journal's first one, and not that of another file."""
    begin = b'{"version": %d, ' % VERSION
    return not line.endswith(b"\n") and line[: len(begin)] == begin[: len(line)]


def fingerprint(path: str) -> str:
    """The mark by which a file is recognised: its size, its beginning and its end."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(_SAMPLE_BYTES))
        file.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return f"{size}:{digest.hexdigest()[:32]}"
