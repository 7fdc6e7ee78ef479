"""`import`: sends a file in parts, several at a time, and can continue an interrupted import."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple, cast

from tarantkv.cli.exits import DONE, PART_FAILED, UsageError
from tarantkv.cli.formats import Options, Reader, Record, reader_of
from tarantkv.cli.journal import Done, Journal, fingerprint
from tarantkv.cli.opening import client_of, target_of
from tarantkv.cli.output import Output
from tarantkv.cli.program import say
from tarantkv.cli.progress import Progress
from tarantkv.cli.rejects import Rejects, rejected_of
from tarantkv.errors import TarantKVError
from tarantkv.imports import PART_BYTES, Cutter, ImportPart, new_import
from tarantkv.models import ImportResult
from tarantkv.policy import Policy

MAX_PART_LINES = 10_000


class Part(NamedTuple):
    """A part, with the records that were rejected before it was sent, and the end of its lines in the input."""

    part: ImportPart
    rejected: list[dict[str, Any]]
    end: int


def run(asked: Namespace) -> int:
    """Store the lines of a file."""
    options = Options(tuple(asked.key or ()), asked.separator, asked.ttl, asked.if_absent, asked.ttl_attribute)
    name, reader = reader_of(asked.file, asked.format)
    _check(asked, name)
    with ExitStack() as stack:
        file, total = _opened(asked.file, stack)
        journal = None if asked.file == "-" else _journal(asked, name, options)
        if journal is not None:
            stack.callback(journal.close)
        path = asked.rejected or ("import" if asked.file == "-" else asked.file) + ".rejected.ndjson"
        bar = stack.enter_context(Progress("import", "lines", total, quiet=asked.quiet))
        work = Import(asked, journal, Rejects(path, journal.rejected_size if journal else 0), bar)
        try:
            work.send(work.parts(file, reader, options))
        except BaseException:
            if journal is not None and not journal.resumed and not work.has_sent:
                # Nothing was stored. The input is at fault, and this journal would not fit the corrected input.
                journal.remove()
            raise
        if journal is not None:
            journal.remove()
    return work.report()


def _check(asked: Namespace, name: str) -> None:
    """Check the options for a file of the format `name`.

    Raises:
        UsageError: an option is out of range, or the format does not use it.
    """
    if not 1 <= asked.part_lines <= MAX_PART_LINES:
        raise UsageError(f"--part-lines must be 1 to {MAX_PART_LINES}")
    if not 1 <= asked.parallel <= 64:
        raise UsageError("--parallel must be 1 to 64")
    for flag, given, formats in (
        ("--key", asked.key, ("csv", "dynamodb")),
        ("--ttl-attribute", asked.ttl_attribute, ("dynamodb",)),
    ):
        if given and name not in formats:
            raise UsageError(f"{flag} is for {' and '.join(formats)}, and this is read as {name}: --format")
    if asked.file == "-" and (asked.resume or asked.journal):
        raise UsageError("the input cannot be resumed: import a file")
    for path in (asked.journal, asked.rejected):
        if path is not None and _are_one(path, asked.file):
            raise UsageError(f"{path} is the file that is imported")
    if asked.journal is not None and asked.rejected is not None and _are_one(asked.journal, asked.rejected):
        raise UsageError(f"{asked.journal} cannot be the journal and have the rejected lines")


class Import:
    """A running import."""

    def __init__(self, asked: Namespace, journal: Journal | None, rejects: Rejects, bar: Progress) -> None:
        self._asked = asked
        self._journal = journal
        self._rejects = rejects
        self._bar = bar
        self._name = journal.name if journal is not None else new_import()
        self._done: list[Done] = list(journal.done.values()) if journal is not None else []
        self._read_to = 0
        self.has_sent = False
        """Whether a part was handed over to be sent."""
        if journal is not None and journal.resumed:
            say(f"going on: {len(journal.done)} parts are done, {sum(done.lines for done in self._done)} lines")

    def parts(self, file: BinaryIO, reader: Reader, options: Options) -> Iterator[Part]:
        """The parts that are not done. If reading can begin anywhere in the file, the first parts that are done are
        skipped.
        """
        done = self._journal.done if self._journal is not None else {}
        prefix = self._journal.prefix() if self._journal is not None else []
        first_line, number = 1, 1
        if prefix and prefix[-1].end >= 0 and file.seekable():
            file.seek(prefix[-1].end)
            first_line, number = prefix[-1].first_line + prefix[-1].lines, len(prefix) + 1
        cutter = Cutter(self._name, first_line, self._asked.part_lines, PART_BYTES, number)
        for part in _cut(cutter, _whole(reader(file, options), self._asked.file), first_line):
            if part.part.number not in done:
                yield part

    def send(self, parts: Iterator[Part]) -> None:
        """Send parts; the result of each is recorded before the next one is.

        Raises:
            TarantKVError: a part failed; the parts that were being sent were waited for.
        """
        under_way: dict[int, Part] = {}
        failed: TarantKVError | None = None

        def each() -> Iterator[ImportPart]:
            for part in parts:
                if failed is not None:
                    return
                under_way[part.part.number] = part
                self.has_sent = True
                yield part.part

        policy = Policy(parallel=self._asked.parallel)
        with client_of(self._asked, policy=policy) as kv:
            for sent, outcome in kv.import_parts(each()):
                part = under_way.pop(sent.number)
                if isinstance(outcome.error, TarantKVError):
                    failed = failed or outcome.error
                elif outcome.error is not None:
                    raise outcome.error
                else:
                    self._note(part, outcome.value)
        if failed is not None:
            if self._journal is not None:
                say("to go on: the same command with --resume")
            raise failed

    def report(self) -> int:
        """Print the results of all lines."""
        rejected = sum(done.rejected for done in self._done)
        Output(as_json=self._asked.json).record(
            {
                "lines": sum(done.items for done in self._done),
                "applied": sum(done.applied for done in self._done),
                "already_there": sum(done.already_there for done in self._done),
                "rejected": rejected,
            }
        )
        if rejected:
            say(f"rejected lines are in {self._rejects.path}")
        return PART_FAILED if rejected else DONE

    def _note(self, part: Part, result: ImportResult) -> None:
        rejected = part.rejected + rejected_of(part.part, result)
        self._rejects.add(sorted(rejected, key=lambda each: int(each["line"])))
        count = len(part.rejected)
        done = Done(
            part.part.number,
            part.part.first_line,
            part.part.lines,
            part.end,
            result.lines + count,
            result.applied,
            result.already_there,
            count + len(result.rejected) + result.rejected_more,
            self._rejects.size,
        )
        if self._journal is not None:
            self._journal.add(done)
        self._done.append(done)
        self._read_to = max(self._read_to, part.end)
        self._bar.at(sum(each.lines for each in self._done), self._read_to)


def _whole(records: Iterator[Record], path: str) -> Iterator[Record]:
    """The records of a file.

    Raises:
        UsageError: it is compressed, and damaged or incomplete; the records before the fault were sent.
    """
    try:
        yield from records
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{path} is damaged, or not whole: {error}") from None


def _cut(cutter: Cutter, records: Iterator[Record], line: int) -> Iterator[Part]:
    rejected: list[dict[str, Any]] = []
    end = -1
    for number, record in enumerate(records, line):
        part = cutter.add(record.line)
        if part is not None:
            yield Part(part, rejected, end)
            rejected = []
        if record.why is not None:
            code, detail = record.why
            rejected.append({"line": number, "code": code, "detail": detail, "text": record.text})
        end = record.end
    last = cutter.rest()
    if last is not None:
        yield Part(last, rejected, end)


def _are_one(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other) or (
        os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)
    )


def _opened(path: str, stack: ExitStack) -> tuple[BinaryIO, int | None]:
    """The input, and its size in bytes if that is known."""
    if path == "-":
        return sys.stdin.buffer, None
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        # To be known again it would have to be read twice, as only a file can be.
        raise UsageError(f"{path} is no file: pass it as standard input: tarantkv import - < {path}")
    try:
        if path.endswith(".gz"):
            return cast("BinaryIO", stack.enter_context(_Unpacked(path))), None
        file = stack.enter_context(open(path, "rb"))  # noqa: SIM115 - it is one
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return file, os.fstat(file.fileno()).st_size


class _Unpacked(gzip.GzipFile):
    """The content of a compressed file. Seeking in it reads everything before."""

    def seekable(self) -> bool:
        return False


def _journal(asked: Namespace, name: str, options: Options) -> Journal:
    what = {
        "file": fingerprint(asked.file),
        "url": target_of(asked).url,
        "format": name,
        "part_lines": asked.part_lines,
        **{member: list(value) if isinstance(value, tuple) else value for member, value in options._asdict().items()},
    }
    return Journal(asked.journal or f"{asked.file}.journal", what, new_import(), resume=asked.resume)


COMMANDS: dict[str, Callable[[Namespace], int]] = {"import": run}
