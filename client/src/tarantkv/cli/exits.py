"""Exit codes, and the errors that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tarantkv.errors import (
    ConditionFailedError,
    ConflictError,
    DatabaseRefusedError,
    ExportBrokenError,
    InternalError,
    NotAllowedError,
    RequestError,
    TarantKVError,
)

DONE = 0
PART_FAILED = 1
USAGE = 2
NOT_ALLOWED = 3
NOT_FOUND = 4
UNAVAILABLE = 5
INTERRUPTED = 130
PIPE_CLOSED = 141
"""The code of a program that the signal of a closed pipe has ended."""


class UsageError(Exception):
    """The command line asks for something impossible; the text says why."""


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Name the file in errors of writing to it: the system names it only when it is opened."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def code_of(error: TarantKVError) -> int:
    """The exit code of a command that failed."""
    if isinstance(error, ExportBrokenError) and isinstance(error.__cause__, TarantKVError):
        error = error.__cause__
    if isinstance(error, (ConditionFailedError, ConflictError)):
        return PART_FAILED
    if error.kind == "user-not-found":
        return NOT_FOUND
    if isinstance(error, NotAllowedError):
        return NOT_ALLOWED
    if isinstance(error, (RequestError, ValueError)):
        return USAGE
    if isinstance(error, (DatabaseRefusedError, InternalError)) and error.applied:
        return PART_FAILED
    return UNAVAILABLE
