"""The command line's grammar: a table of commands and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

from tarantkv._version import VERSION

_EPILOG = """\
exit codes: 0 done, 1 part failed, 2 usage, 3 not allowed, 4 not found, 5 unavailable or unknown, 130 interrupted.
TARANTKV_URL, TARANTKV_USER, TARANTKV_PASSWORD, TARANTKV_TOKEN and TARANTKV_PROFILE replace flags."""

Parser: TypeAlias = argparse.ArgumentParser


def parser(only: str | None = None) -> Parser:
    """All commands; if `only` is one of them, the others get no arguments, which takes less time."""
    top = argparse.ArgumentParser(
        prog="tarantkv",
        description="Reads and changes the keys of a tarant-kv.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"tarantkv {VERSION}")
    # With a name: otherwise argparse would first format the usage to make one.
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", prog="tarantkv")
    for name, (text, add) in COMMANDS.items():
        one = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if only in COMMANDS and name != only:
            continue
        add(one)
        _common(one)
    return top


def _text(given: str) -> str:
    """A text that is not empty: an empty variable of a shell must not remove a condition or select another api.

    Raises:
        ArgumentTypeError: it is empty.
    """
    if not given:
        raise argparse.ArgumentTypeError("it is empty")
    return given


def _common(one: Parser) -> None:
    group = one.add_argument_group("which api")
    group.add_argument("--url", type=_text, help="address of the api")
    group.add_argument("--user", type=_text, help="name of the user")
    group.add_argument("--profile", type=_text, help="profile of the configuration file")
    group.add_argument(
        "--deadline", type=float, metavar="S", help="seconds for all attempts of a request together (30)"
    )
    one.add_argument("--json", action="store_true", help="print lines of JSON on a terminal, too")
    one.add_argument("--quiet", "-q", action="store_true", help="show no progress bar")


def _login(one: Parser) -> None:
    source = one.add_mutually_exclusive_group()
    source.add_argument(
        "--password-stdin", action="store_true", help="read the password from the first line of standard input"
    )
    source.add_argument(
        "--credentials-stdin",
        action="store_true",
        help='read {"username": …, "password": …} from standard input',
    )


def _nothing(_: Parser) -> None:
    pass


def _get(one: Parser) -> None:
    one.add_argument("keys", nargs="+", metavar="KEY", help="a key, or - to read keys from lines of standard input")
    one.add_argument("--raw", action="store_true", help="print only the values, and texts without quotes")
    one.add_argument(
        "--with",
        dest="with_",
        metavar="WHAT",
        type=_text,
        help="print version, expires_at, or both (separated by a comma), too",
    )
    one.add_argument("--partial", action="store_true", help="print what can be read even if some shards do not answer")
    _lines(one)


def _expiry(one: Parser, keep: bool = False, never: bool = False) -> None:  # noqa: FBT001, FBT002 - private
    group = one.add_mutually_exclusive_group(required=never)
    group.add_argument("--ttl", type=float, metavar="S", help="expire after this many seconds")
    group.add_argument("--expires-at", type=float, metavar="T", help="expire at this Unix time")
    if keep:
        group.add_argument("--keep-ttl", action="store_true", help="keep the expiry that the key has")
    if never:
        group.add_argument("--never", action="store_true", help="never expire")


def _condition(one: Parser) -> None:
    group = one.add_mutually_exclusive_group()
    group.add_argument("--if-absent", action="store_true", help="only if the key is absent")
    group.add_argument("--if-present", action="store_true", help="only if the key exists")
    group.add_argument("--if-version", metavar="VERSION", type=_text, help="only if the key has this version")


def _once(one: Parser) -> None:
    one.add_argument(
        "--idempotency-key",
        metavar="TEXT",
        type=_text,
        help="within ten minutes, apply the change once for all calls with this text",
    )


def _lines(one: Parser) -> None:
    one.add_argument("--lines", action="store_true", help="each line of standard input is a key, not JSON")


def _set(one: Parser) -> None:
    one.add_argument("key", metavar="KEY")
    one.add_argument("value", metavar="VALUE", help="JSON; - to read it from standard input")
    one.add_argument("--text", action="store_true", help="the value is a text, not JSON")
    _expiry(one, keep=True)
    _condition(one)
    _once(one)


def _delete(one: Parser) -> None:
    one.add_argument("keys", nargs="+", metavar="KEY", help="a key, or - to read keys from lines of standard input")
    _condition(one)
    _lines(one)


def _incr(one: Parser) -> None:
    one.add_argument("key", metavar="KEY")
    one.add_argument("by", metavar="BY", nargs="?", type=int, default=1)
    one.add_argument("--initial", type=int, help="the number from which an absent key counts")
    one.add_argument("--min", type=int, help="refuse a result below this")
    one.add_argument("--max", type=int, help="refuse a result above this")
    one.add_argument(
        "--ttl-always", action="store_true", help="set the expiry with each increment, not only if the key is created"
    )
    _expiry(one)
    _once(one)


def _touch(one: Parser) -> None:
    one.add_argument("keys", nargs="+", metavar="KEY", help="a key, or - to read keys from lines of standard input")
    _expiry(one, never=True)
    _lines(one)


def _selection(one: Parser) -> None:
    one.add_argument("prefix", nargs="?", metavar="PREFIX", help="only keys that begin with this text")
    one.add_argument("--start", metavar="KEY", help="the first key, included")
    one.add_argument("--end", metavar="KEY", help="the last key, not included")
    one.add_argument("--keys-only", action="store_true", help="print no values")


def _scan(one: Parser) -> None:
    _selection(one)
    one.add_argument("--reverse", action="store_true", help="print from the last key to the first")
    one.add_argument("--limit", type=int, metavar="N", help="print at most this many keys")
    one.add_argument(
        "--with",
        dest="with_",
        metavar="WHAT",
        type=_text,
        help="print version, expires_at, or both (separated by a comma), too",
    )
    one.add_argument("--cursor", type=_text, help="continue where a scan has ended")
    one.add_argument("--page-size", type=int, default=1000, metavar="N", help="keys in one request (1000)")


def _export(one: Parser) -> None:
    _selection(one)
    one.add_argument("--output", "-o", metavar="FILE", type=_text, help="write to this file")
    one.add_argument("--resume", action="store_true", help="continue the file of an export that was interrupted")
    one.add_argument("--cursor", type=_text, help="continue after the position of this cursor")


def _import(one: Parser) -> None:
    one.add_argument("file", metavar="FILE", help="a file, or - for standard input, which cannot be resumed")
    one.add_argument(
        "--format",
        choices=("ndjson", "csv", "wrangler", "dynamodb", "pairs"),
        help="format of the file; by default the file's name decides",
    )
    one.add_argument(
        "--key", action="append", metavar="NAME", help="column or attribute that is the key; several are joined"
    )
    one.add_argument("--separator", default=":", metavar="TEXT", help="text between the parts of a key (:)")
    one.add_argument("--ttl-attribute", metavar="NAME", type=_text, help="dynamodb: the attribute with the expiry")
    one.add_argument("--ttl", type=float, metavar="S", help="lines without an expiry expire after this many seconds")
    one.add_argument("--if-absent", action="store_true", help="do not change keys that exist")
    one.add_argument("--resume", action="store_true", help="continue an import of this file that was interrupted")
    one.add_argument(
        "--journal", metavar="FILE", type=_text, help="file that records which parts are done (FILE.journal)"
    )
    one.add_argument(
        "--rejected", metavar="FILE", type=_text, help="file for the rejected lines (FILE.rejected.ndjson)"
    )
    one.add_argument("--parallel", type=int, default=4, metavar="N", help="requests that are sent at a time (4)")
    one.add_argument("--part-lines", type=int, default=5000, metavar="N", help="lines in one request (5000)")


def _diff(one: Parser) -> None:
    one.add_argument("first", metavar="FILE", help="an export; - for standard input")
    one.add_argument("second", metavar="FILE", help="another export")
    one.add_argument(
        "--limit", type=int, default=100, metavar="N", help="print at most this many keys that differ (100)"
    )


def _top(one: Parser) -> None:
    one.add_argument("--interval", type=float, default=2.0, metavar="S", help="seconds between two updates (2)")
    one.add_argument("--count", type=int, metavar="N", help="end after this many updates")


def _users(one: Parser) -> None:
    actions = ("list", "show", "add", "password", "scopes", "disable", "enable", "remove")
    one.add_argument("action", choices=actions, help="one of `list`, " + ", ".join(f"`{each}`" for each in actions[1:]))
    one.add_argument("name", nargs="?", metavar="NAME", help="name of the user; required for all actions but list")
    one.add_argument(
        "--scopes",
        metavar="LIST",
        type=_text,
        help="some of read, write, observe, admin, separated by commas (read,write)",
    )
    source = one.add_mutually_exclusive_group()
    source.add_argument(
        "--password-stdin", action="store_true", help="read the new password from the first line of standard input"
    )
    source.add_argument("--random", action="store_true", help="generate the new password, and print it")
    one.add_argument("--yes", action="store_true", help="remove without asking")


def _completion(one: Parser) -> None:
    one.add_argument("shell", choices=("bash", "zsh", "fish"))


COMMANDS: dict[str, tuple[str, Callable[[Parser], None]]] = {
    "login": ("get a token and store it; asks for the password unless TARANTKV_PASSWORD contains it", _login),
    "logout": ("revoke the token", _nothing),
    "whoami": ("print the user, scopes and end of the token", _nothing),
    "get": ("read keys", _get),
    "set": ("store a value", _set),
    "delete": ("remove keys", _delete),
    "incr": ("add to a counter", _incr),
    "touch": ("give keys another expiry", _touch),
    "scan": ("list keys in order", _scan),
    "export": ("write all keys as lines of JSON", _export),
    "import": ("store the lines of a file", _import),
    "diff": ("compare two exports", _diff),
    "status": ("show whether the api is ready, and the state of its shards", _nothing),
    "top": ("show requests, latencies and shards every two seconds", _top),
    "users": ("administer users: list, add, change and remove them", _users),
    "doctor": ("look for faults, and say what to do", _nothing),
    "completion": ("print completions for a shell", _completion),
}
"""The help of each command, and the function that adds its arguments."""
