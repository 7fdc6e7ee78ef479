"""`python -m api.manage` administers users: add, set-password, disable, enable, list.

It reaches the store as the api does, through Redis and the workers. A password comes from `TARANTKV_NEW_PASSWORD` or,
where there is a pipe, from standard input, never from the command line, which other users of the machine can see; a
random one is made and printed if neither gives one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys

from api.auth.accounts import AccountError, Accounts
from api.auth.passwords import Passwords
from api.http.problems import Problem
from api.queue.errors import ShardsSilentError, StoreCallError
from api.services import ApiSettings, Services, load_settings
from protocol.buckets import ShardMapError
from protocol.settings import SettingsError, exit_with
from protocol.settings.auth import MAX_PASSWORD_BYTES, MIN_PASSWORD_LENGTH


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m api.manage", description="Administers the users of tarant-kv.")
    commands = top.add_subparsers(dest="command", required=True)
    add = commands.add_parser("user-add", help="make a user")
    add.add_argument("name")
    add.add_argument("--scopes", default="read,write", help="some of read, write, admin; separated by commas")
    for command, text in (
        ("set-password", "give a user a new password; its tokens become void"),
        ("disable", "refuse a user's logins and tokens"),
        ("enable", "take that back"),
    ):
        commands.add_parser(command, help=text).add_argument("name")
    commands.add_parser("list", help="list all users")
    return top


def new_password() -> tuple[str, bool]:
    """A password for a user, and whether it was made here and must be shown.

    Raises:
        AccountError: the one given is too short or too long.
    """
    given = os.environ.get("TARANTKV_NEW_PASSWORD") or ("" if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n"))
    if not given:
        return secrets.token_urlsafe(18), True
    if len(given) < MIN_PASSWORD_LENGTH:
        raise AccountError(f"a password has at least {MIN_PASSWORD_LENGTH} characters")
    if len(given.encode("utf-8", "surrogateescape")) > MAX_PASSWORD_BYTES:
        raise AccountError(f"a password has at most {MAX_PASSWORD_BYTES} bytes: no login takes a longer one")
    return given, False


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
        AccountError, StoreCallError, Problem, ShardMapError, ShardsSilentError: it was not carried out.
    """
    services = Services(settings)
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
            case "list":
                await _list(accounts)


def main() -> int:
    """Run the command line's command; returns the exit code."""
    arguments = parser().parse_args()
    try:
        settings = load_settings()
    except SettingsError as error:
        exit_with(str(error))
    try:
        asyncio.run(run(settings, arguments))
    except (AccountError, StoreCallError, Problem, ShardMapError, ShardsSilentError) as error:
        sys.stderr.write(f"tarant-kv: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
