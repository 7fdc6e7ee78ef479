"""`python -m api.manage` administers users: add, set-password, set-scopes, disable, enable, remove, list.

It reaches the store as the api does, through Redis and the workers. A password comes from `TARANTKV_NEW_PASSWORD` or,
if standard input is a pipe, from there. It never comes from the command line, which other users of the machine can
read. If neither gives a password, a random one is made and printed. Every failure is one line and exit code 1, or 78
for wrong settings.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import sys
from dataclasses import replace

import msgspec

from api.auth.account_rules import AccountError, check_password
from api.auth.accounts import Accounts
from api.auth.passwords import Passwords
from api.overload.errors import OverloadedError
from api.queue.errors import ShardsSilentError, StoreCallError, TwoClustersError
from api.services import ApiSettings, Services, load_settings
from protocol.buckets import ShardMapError
from protocol.settings import SettingsError, exit_with
from protocol.settings.auth import MAX_PASSWORD_BYTES

MAX_WAIT_S = 10.0
"""How long to wait for Redis and the shards, even if the api would wait longer."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m api.manage", description="Administers the users of tarant-kv.")
    commands = top.add_subparsers(dest="command", required=True)
    add = commands.add_parser("user-add", help="make a user")
    add.add_argument("name")
    add.add_argument("--scopes", default="read,write", help="some of read, write, observe, admin; separated by commas")
    for command, text in (
        ("set-password", "give a user a new password; its tokens become void"),
        ("disable", "refuse a user's logins and tokens"),
        ("enable", "take that back"),
        ("remove", "forget a user; its tokens become void"),
    ):
        commands.add_parser(command, help=text).add_argument("name")
    scopes = commands.add_parser(
        "set-scopes", help="set what a user may do; the user must log in again to get new rights"
    )
    scopes.add_argument("name")
    scopes.add_argument("--scopes", required=True, help="as for user-add")
    commands.add_parser("list", help="list all users")
    return top


def new_password() -> tuple[str, bool]:
    """A password for a user, and whether it was made here and must be printed.

    Raises:
        AccountError: the given password is too short, too long, or not UTF-8.
    """
    given = os.fsencode(os.environ.get("TARANTKV_NEW_PASSWORD", "")) or _piped_line()
    if not given:
        return secrets.token_urlsafe(18), True
    # Bytes that are not UTF-8 are kept as surrogates, so that `check_password` refuses them.
    return check_password(given.decode(errors="surrogateescape")), False


def _piped_line() -> bytes:
    """The first line of standard input without its end; empty if it is a terminal or closed."""
    if sys.stdin is None or sys.stdin.isatty():
        return b""
    return sys.stdin.buffer.readline(MAX_PASSWORD_BYTES + 2).rstrip(b"\r\n")


async def _add(accounts: Accounts, passwords: Passwords, name: str, scopes: list[str]) -> None:
    password, made = new_password()
    await accounts.create(name, passwords.hash(password), scopes)
    print(f"added {name}" + (f" with password {password}" if made else ""))


async def _set_password(accounts: Accounts, passwords: Passwords, name: str) -> None:
    password, made = new_password()
    await accounts.change(name, password_hash=passwords.hash(password))
    print(f"changed the password of {name}" + (f" to {password}" if made else ""))


async def _list(accounts: Accounts) -> None:
    for name, user in (await accounts.users()).items():
        print(f"{name}\t{','.join(user.scopes)}\t{'disabled' if user.disabled else 'enabled'}")


async def run(settings: ApiSettings, arguments: argparse.Namespace) -> None:
    """Run one command.

    Raises:
        AccountError, StoreCallError, OverloadedError, ShardMapError, ShardsSilentError: the command failed.
    """
    # A person waits for this at a terminal.
    http = msgspec.structs.replace(settings.http, startup_timeout_s=min(settings.http.startup_timeout_s, MAX_WAIT_S))
    services = Services(replace(settings, http=http))
    accounts, passwords = services.accounts, services.passwords
    async with services.running():
        match arguments.command:
            case "user-add":
                await _add(accounts, passwords, arguments.name, arguments.scopes.split(","))
            case "set-password":
                await _set_password(accounts, passwords, arguments.name)
            case "disable" | "enable":
                await accounts.change(arguments.name, disabled=arguments.command == "disable")
                print(f"{arguments.command}d {arguments.name}")
            case "set-scopes":
                user = await accounts.change(arguments.name, scopes=arguments.scopes.split(","))
                print(f"{arguments.name} has the scopes {','.join(user.scopes)}")
            case "remove":
                await accounts.remove(arguments.name)
                print(f"removed {arguments.name}")
            case "list":
                await _list(accounts)


def main() -> int:
    """Run the command line's command; returns the exit code."""
    arguments = parser().parse_args()
    # One line says what failed; warnings of attempts to connect would be printed before it.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        settings = load_settings()
    except SettingsError as error:
        exit_with(str(error))
    try:
        asyncio.run(run(settings, arguments))
    except (AccountError, StoreCallError, OverloadedError, ShardMapError, ShardsSilentError, TwoClustersError) as error:
        sys.stderr.write(f"tarant-kv: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("tarant-kv: interrupted; ask `list` what was done\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
