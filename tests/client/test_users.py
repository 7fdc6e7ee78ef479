"""`tarantkv users`: every command of an administrator, and that no password is ever an argument or stored."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tarantkv import Client
from tarantkv.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

from tests.client.command import Command
from tests.client.conftest import NewClient
from tests.contract.conftest import Service
from tests.integration.conftest import User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def tkv(tmp_path: Path, service: Service, token: str) -> Command:
    return Command(tmp_path, service.base_url, token)


@pytest.fixture
def name(fresh_key: Callable[[], str], kv: Client) -> Iterator[str]:
    found = fresh_key().replace(":", ".") + "@x"
    yield found
    if found in {user.name for user in kv.users()}:
        kv.remove_user(found)


def test_a_user_is_added_changed_disabled_and_removed_from_the_command_line(
    tkv: Command, name: str, service: Service
) -> None:
    added = tkv.run(
        "users", "add", name, "--scopes", "write, read", "--password-stdin", stdin=PASSWORD.encode() + b"\r\n"
    )
    row = {"name": name, "scopes": "read,write", "state": "enabled"}
    assert (added.code, added.records()) == (0, [row])
    listed = tkv.done("users", "list")
    assert row in listed
    assert service.admin_user in {each["name"] for each in listed}
    credentials = {"TARANTKV_USER": name, "TARANTKV_PASSWORD": PASSWORD, "TARANTKV_TOKEN": ""}
    assert tkv.run("whoami", env=credentials).code == 0
    assert tkv.done("users", "scopes", name, "--scopes", "observe") == [{**row, "scopes": "observe"}]
    assert tkv.done("users", "disable", name)[0]["state"] == "disabled"
    assert tkv.done("users", "enable", name)[0]["state"] == "enabled"
    changed = tkv.run("users", "password", name, "--random")
    assert len(changed.records()[0]["password"]) > 20
    assert tkv.run("whoami", env=credentials).code == 3
    assert tkv.run("users", "remove", name).code == 2, "without a terminal, --yes is required"
    assert tkv.done("users", "remove", name, "--yes") == [{"name": name, "scopes": "", "state": "removed"}]
    assert tkv.run("users", "show", name).code == 4
    again = tkv.run("users", "add", service.admin_user, "--random")
    assert (again.code, "exists already" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add",), "say who"),
        (("list", "x"), "show NAME"),
        (("add", "x"), "no password"),
        (("add", "x", "--password-stdin"), "empty"),
        (("scopes", "x"), "--scopes"),
        (("disable", "x", "--scopes", "read"), "--scopes"),
        (("add", "no name", "--random"), "a user name is"),
        (("add", "x", "--random", "--scopes", "fly"), "scopes are some of"),
    ],
)
def test_incomplete_or_contradictory_arguments_are_an_error_of_usage(
    tkv: Command, arguments: tuple[str, ...], said: str
) -> None:
    ended = tkv.run("users", *arguments)
    assert (ended.code, ended.out) == (2, b"")
    assert said in ended.err


def test_no_flag_takes_a_password(tkv: Command) -> None:
    helped = tkv.run("users", "--help").out.decode()
    assert "--password-stdin" in helped
    assert "--password " not in helped
    assert tkv.run("users", "add", "x", "--password", PASSWORD).code == 2


def test_the_client_administers_users(kv: Client, new_client: NewClient, name: str, reader: User) -> None:
    assert kv.add_user(name, PASSWORD, ["read"]) == (name, ["read"], False)
    assert kv.user(name) in kv.users()
    with pytest.raises(ConflictError, match="exists already"):
        kv.add_user(name, PASSWORD)
    assert kv.change_user(name, disabled=True).disabled is True
    with pytest.raises(InvalidRequestError, match="at least 8"):
        kv.change_user(name, password="short")
    kv.remove_user(name)
    for call in (kv.user, kv.remove_user):
        with pytest.raises(NotFoundError):
            call(name)
    with pytest.raises(ForbiddenError, match="admin"):
        new_client(username=reader.name, password=reader.password).users()
