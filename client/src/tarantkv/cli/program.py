"""Runs a command, and turns every error into an exit code and a line on standard error."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib import import_module

from tarantkv.cli import exits
from tarantkv.cli.exits import UsageError
from tarantkv.cli.parser import parser
from tarantkv.errors import ConditionFailedError, NotAllowedError, TarantKVError

Command = Callable[[Namespace], int]


def run(arguments: Sequence[str] | None) -> int:
    """Run a command; returns the exit code."""
    _replace_closed_streams()
    _set_encoding()
    words = sys.argv[1:] if arguments is None else arguments
    asked = parser(words[0] if words else None).parse_args(words)
    try:
        code = command(asked.command)(asked)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return exits.PIPE_CLOSED
    except KeyboardInterrupt:
        say("interrupted")
        return exits.INTERRUPTED
    except UsageError as error:
        say(str(error))
        return exits.USAGE
    except TarantKVError as error:
        say(text_of(error))
        return exits.code_of(error)
    except OSError as error:
        # A file, or standard output: errors of connections are the client's own.
        say(f"{error.filename or 'standard input or output'}: {error.strerror or error}")
        _drop_output()
        return exits.USAGE
    return code


def _replace_closed_streams() -> None:
    """Put in the place of each standard stream that is closed one that fails, and one for errors that takes them all.

    Python has None there, and the next file or connection that is opened would get the number of the stream.
    """
    for number, name, flags, mode in (
        (0, "stdin", os.O_WRONLY, "r"),
        (1, "stdout", os.O_RDONLY, "w"),
        (2, "stderr", os.O_WRONLY, "w"),
    ):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open until the process ends


def _set_encoding() -> None:
    """Write UTF-8 whatever the locale, because JSON and keys are UTF-8; a terminal gets what it can show."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is None:
        # A caller has replaced the stream by another object.
        return
    if sys.stdout.isatty():
        reconfigure(errors="backslashreplace")
    else:
        reconfigure(encoding="utf-8", errors="strict")


def _drop_output() -> None:
    """Without this, Python would flush again at the end, and report that it cannot."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_MODULES = {
    "accounts": ("login", "logout", "whoami"),
    "keys": ("get", "set", "delete", "incr", "touch"),
    "scans": ("scan", "export"),
    "importing": ("import",),
    "comparing": ("diff",),
    "watching": ("status", "top"),
    "users": ("users",),
    "doctor": ("doctor",),
    "completion": ("completion",),
}
"""The module of each command. Only the one of the command that runs is imported."""


def command(name: str) -> Command:
    """The function that runs a command."""
    (module,) = (module for module, names in _MODULES.items() if name in names)
    found: Command = import_module(f"tarantkv.cli.{module}").COMMANDS[name]
    return found


def say(text: str) -> None:
    """Write a line for people to standard error."""
    sys.stderr.write(f"tarantkv: {text}\n")


def text_of(error: TarantKVError) -> str:
    """The error in a few lines: what happened, to which keys, and what to do."""
    from tarantkv.cli.output import printable

    lines = [printable(str(error))]
    lines += [f"  {printable(key)}: {word}" for key, word in list(error.failed.items())[:10]]
    if len(error.failed) > 10:
        lines.append(f"  and {len(error.failed) - 10} more keys")
    if error.applied and error.failed:
        lines.append(f"  {len(error.applied)} other keys were applied")
    if isinstance(error, NotAllowedError) and error.status in (None, 401):
        lines.append("  log in: tarantkv login")
    if isinstance(error, ConditionFailedError) and error.current:
        lines += [f"  {printable(key)} has {found or 'nothing'}" for key, found in list(error.current.items())[:10]]
    return "\n".join(lines)
