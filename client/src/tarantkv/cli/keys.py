"""`get`, `set`, `delete`, `incr`, `touch`."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

from tarantkv.cli.exits import DONE, NOT_FOUND, PART_FAILED, UsageError
from tarantkv.cli.json_input import parsed
from tarantkv.cli.opening import client_of
from tarantkv.cli.output import Output, printable
from tarantkv.cli.program import say
from tarantkv.models import DeleteOptions, IncrementOptions, TouchOptions, WriteOptions

BATCH_KEYS = 10_000


def get(asked: Namespace) -> int:
    """Print keys."""
    output = Output(as_json=asked.json)
    wanted = asked.with_.split(",") if asked.with_ else ()
    missing, failed = 0, 0
    with client_of(asked) as kv:
        for keys in batches(asked):
            found = kv.read(keys, with_=wanted, partial=asked.partial)
            for key in found.not_found:
                say(f"not found: {printable(key)}")
            for key in found.failed:
                say(f"not read: {printable(key)}")
            missing, failed = missing + len(found.not_found), failed + len(found.failed)
            if asked.raw:
                for key in keys:
                    if key in found.data:
                        _raw(found.data[key])
                continue
            records = []
            for key in keys:
                if key in found.data:
                    meta = found.meta.get(key)
                    beside = (
                        {name: value for name, value in meta._asdict().items() if value is not None} if meta else {}
                    )
                    records.append({"key": key, "value": found.data[key], **beside})
            output.records(records, ("key", "value", *wanted))
    return PART_FAILED if failed else NOT_FOUND if missing else DONE


def set_(asked: Namespace) -> int:
    """Store a value and print its version."""
    options: WriteOptions = {"versions": True}
    condition = _condition(asked)
    if condition:
        options["if_"] = condition["if_"]
    if asked.idempotency_key:
        options["idempotency_key"] = asked.idempotency_key
    if asked.keep_ttl:
        options["ttl"] = "keep"
    elif asked.ttl is not None:
        options["ttl"] = asked.ttl
    elif asked.expires_at is not None:
        options["expires_at"] = asked.expires_at
    value = _value(asked)
    with client_of(asked) as kv:
        versions = kv.write({asked.key: value}, **options)
    Output(as_json=asked.json).record({"key": asked.key, "version": versions.get(asked.key)})
    return DONE


def delete(asked: Namespace) -> int:
    """Remove keys and print how many existed."""
    deleted, options = 0, _condition(asked)
    with client_of(asked) as kv:
        for keys in batches(asked):
            deleted += kv.delete(*keys, **options)
    Output(as_json=asked.json).record({"deleted": deleted})
    return DONE


def incr(asked: Namespace) -> int:
    """Add to a counter and print its result."""
    options: IncrementOptions = {}
    if asked.idempotency_key:
        options["idempotency_key"] = asked.idempotency_key
    for name in ("initial", "min", "max", "ttl", "expires_at"):
        if getattr(asked, name) is not None:
            options[name] = getattr(asked, name)
    if asked.ttl_always:
        options["ttl_on"] = "always"
    with client_of(asked) as kv:
        value = kv.incr(asked.key, asked.by, **options)
    Output(as_json=asked.json).record({"key": asked.key, "value": value})
    return DONE


def touch(asked: Namespace) -> int:
    """Give keys another expiry and print how many existed."""
    options: TouchOptions = {"expires_at": asked.expires_at} if asked.expires_at is not None else {"ttl": asked.ttl}
    touched, missing = 0, 0
    with client_of(asked) as kv:
        for keys in batches(asked):
            done = kv.touch(*keys, **options)
            for key in done.not_found:
                say(f"not found: {printable(key)}")
            touched, missing = touched + done.touched, missing + len(done.not_found)
    Output(as_json=asked.json).record({"touched": touched, "not_found": missing})
    return NOT_FOUND if missing else DONE


def batches(asked: Namespace) -> Iterator[list[str]]:
    """The keys of the command line, or of the input's lines, some thousand at a time.

    Raises:
        UsageError: a line has no key.
    """
    if asked.keys != ["-"]:
        yield asked.keys
        return
    gathered: list[str] = []
    for number, line in enumerate(sys.stdin.buffer, 1):
        key = _key(line.rstrip(b"\r\n"), number, plain=asked.lines)
        if key is None:
            continue
        gathered.append(key)
        if len(gathered) >= BATCH_KEYS:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


def _key(line: bytes, number: int, *, plain: bool) -> str | None:
    if not line.strip():
        return None
    try:
        if plain:
            return line.decode()
        found = parsed(line)
    except ValueError:
        found = None
    if isinstance(found, str):
        return found
    if isinstance(found, dict) and isinstance(found.get("key"), str):
        return str(found["key"])
    if isinstance(found, dict) and ("cursor" in found or "end" in found) and "error" not in found:
        # A control line of an export.
        return None
    raise UsageError(
        f"line {number} of the input has no key: it must be as scan prints it, or with --lines a key alone"
    )


def _value(asked: Namespace) -> Any:
    text = sys.stdin.buffer.read() if asked.value == "-" else asked.value.encode("utf-8", "surrogateescape")
    try:
        if asked.text:
            return text.decode()
        return parsed(text)
    except ValueError:
        why = "UTF-8" if asked.text else "JSON: quote a text as '\"hello\"', or use --text"
        raise UsageError(f"the value is not {why}") from None


def _condition(asked: Namespace) -> DeleteOptions:
    if asked.if_version:
        return {"if_": {"version": asked.if_version}}
    if asked.if_absent:
        return {"if_": "absent"}
    return {"if_": "present"} if asked.if_present else {}


def _raw(value: Any) -> None:
    if isinstance(value, bytes):
        sys.stdout.buffer.write(value)
        return
    if not isinstance(value, str):
        import json

        value = json.dumps(value, ensure_ascii=False, default=repr)
    # All output goes through one stream: two streams would mix up the order.
    sys.stdout.buffer.write(f"{value}\n".encode())


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "get": get,
    "set": set_,
    "delete": delete,
    "incr": incr,
    "touch": touch,
}
