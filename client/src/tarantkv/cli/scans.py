"""`scan` and `export`. `import`, `delete -` and `touch -` can read their output."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from tarantkv.cli.exits import DONE, UsageError, naming
from tarantkv.cli.json_input import parsed
from tarantkv.cli.opening import client_of
from tarantkv.cli.output import Output
from tarantkv.cli.program import say
from tarantkv.cli.progress import Progress
from tarantkv.errors import RequestError
from tarantkv.imports import item_members
from tarantkv.models import Item


def scan(asked: Namespace) -> int:
    """Print keys in order, page by page."""
    output = Output(as_json=asked.json)
    selection: dict[str, Any] = {} if asked.cursor else _selection(asked)
    if not asked.cursor:
        selection |= {"with_": asked.with_.split(",")} if asked.with_ else {}
        selection |= {"reverse": True} if asked.reverse else {}
    elif asked.prefix or asked.start or asked.end or asked.reverse or asked.with_ or asked.keys_only:
        raise UsageError("--cursor holds the selection: give either")
    left = asked.limit
    size = asked.page_size if left is None else min(asked.page_size, left)
    with client_of(asked) as kv:
        keys = kv.scan(cursor=asked.cursor, page_size=size, **selection)
        try:
            for page in keys.pages():
                items = page.items if left is None else page.items[:left]
                output.records([_members(item, keys_only=asked.keys_only) for item in items])
                left = None if left is None else left - len(items)
                if left == 0:
                    if page.cursor is not None and len(items) == len(page.items):
                        say(f"there may be more: --cursor {page.cursor}")
                    break
        except RequestError:
            # The same page would not be accepted the next time either.
            raise
        except BaseException:
            if keys.cursor is not None:
                say(f"to go on: --cursor {keys.cursor}")
            raise
    return DONE


def export(asked: Namespace) -> int:
    """Write lines of all keys; the last line says that the export is complete."""
    if asked.resume and not asked.output:
        raise UsageError("--resume needs --output FILE")
    if asked.resume and _is_device(asked.output):
        raise UsageError(f"{asked.output} is no file: only a file can be continued")
    if asked.cursor and (asked.prefix or asked.start or asked.end or asked.keys_only or asked.resume):
        raise UsageError("--cursor holds the selection: give either")
    begun = _begun(asked.output) if asked.resume else _Begun(asked.cursor, None, 0, 0, complete=False)
    if begun.complete:
        say(f"{asked.output} is whole: {begun.items} items")
        return DONE
    if begun.cursor is None:
        # Only a cursor tells which keys the file is of: without one it is begun anew.
        begun = _NOTHING
    elif begun.last_key is not None and not _selects(asked, begun.last_key):
        raise UsageError(f"{asked.output} is an export of other keys: give the same PREFIX, --start and --end, or none")
    with _opened(asked, begun) as file, client_of(asked) as kv, Progress("export", "keys", quiet=asked.quiet) as bar:
        selection = {} if begun.cursor else _selection(asked)
        with kv.export(cursor=begun.cursor, after=begun.last_key, **selection) as keys:
            cursor, before = begun.cursor, begun.items
            # The lines are written unchanged: a value that passes through Python could change.
            for lines in keys.lines():
                file.writelines(line + b"\n" for line in lines)
                if keys.cursor != cursor:
                    cursor = keys.cursor
                    file.write(_line({"cursor": cursor, "items": before + keys.items}))
                    file.flush()
                bar.at(before + keys.items)
            file.write(_line({"end": True, "items": before + keys.items}))
    return DONE


def _selects(asked: Namespace, key: str) -> bool:
    """Whether a key is among those that are asked for."""
    at = key.encode()
    return (
        key.startswith(asked.prefix or "")
        and (asked.start is None or at >= os.fsencode(asked.start))
        and (asked.end is None or at < os.fsencode(asked.end))
    )


def _selection(asked: Namespace) -> dict[str, Any]:
    found = {name: getattr(asked, name) for name in ("prefix", "start", "end") if getattr(asked, name) is not None}
    return found | ({"values": False} if asked.keys_only else {})


def _members(item: Item, *, keys_only: bool) -> dict[str, Any]:
    members = item_members(item)
    if keys_only:
        del members["value"]
    return members


def _line(members: dict[str, Any]) -> bytes:
    return json.dumps(members).encode() + b"\n"


class _Begun(NamedTuple):
    """What a file has of an export: its last cursor and key, the number of its items, and the end of its last line."""

    cursor: str | None
    last_key: str | None
    items: int
    size: int
    complete: bool


_NOTHING = _Begun(None, None, 0, 0, complete=False)


def _begun(path: str) -> _Begun:
    """Read a file of an incomplete export. A line that was cut off is not part of it.

    Raises:
        UsageError: it is not such a file.
    """
    begun = _NOTHING
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by `with` below
    except FileNotFoundError:
        return begun
    with file:
        for line in file:
            if not line.endswith(b"\n") and line.startswith(b"{"):
                break
            found = _object(line, path)
            key, cursor = found.get("key"), found.get("cursor")
            if "error" in found and isinstance(cursor, str):
                # The api's last word on why the export ended. What comes behind its cursor takes its place.
                return begun._replace(cursor=cursor)
            if isinstance(key, str):
                begun = begun._replace(last_key=key, items=begun.items + 1)
            elif isinstance(cursor, str):
                begun = begun._replace(cursor=cursor)
            elif found.get("end") is not True:
                raise UsageError(f"{path} is no export: it has a line of another kind")
            begun = begun._replace(size=begun.size + len(line), complete=found.get("end") is True)
    return begun


def _object(line: bytes, path: str) -> dict[str, Any]:
    try:
        found = parsed(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no export: it has a line that is no object of JSON")
    return found


def _is_device(path: str) -> bool:
    """Whether a path is that of a pipe or a device, which can neither be cut nor continued."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


@contextmanager
def _opened(asked: Namespace, begun: _Begun) -> Iterator[BinaryIO]:
    """The file to write to, cut after its last complete line, or standard output."""
    if asked.output is None:
        yield sys.stdout.buffer
        return
    with naming(asked.output):
        if _is_device(asked.output):
            with open(asked.output, "wb") as file:
                yield file
            return
        with open(os.open(asked.output, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            file.truncate(begun.size)
            file.seek(begun.size)
            yield file


COMMANDS: dict[str, Callable[[Namespace], int]] = {"scan": scan, "export": export}
