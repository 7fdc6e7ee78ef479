"""`python -m api.manage`: adding, changing and listing users, and errors in one line."""

import re
import sys
from collections.abc import Callable

import pytest

from localcluster.cluster import Cluster
from tests.contract.calls import Api, json_body
from tests.integration.conftest import PASSWORD, User, login
from tests.integration.processes import environment, manage, run

FreshKey = Callable[[], str]


def can_log_in(api: Api, name: str, password: str) -> bool:
    return api.post("login", json_body({"username": name, "password": password})).status_code == 200


def listed(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Scopes and state of each user, by name."""
    done = manage(cluster, "list")
    assert (done.returncode, done.stderr) == (0, "")
    return {name: (scopes, state) for name, scopes, state in (line.split("\t") for line in done.stdout.splitlines())}


def test_a_user_is_added_changed_disabled_and_listed(cluster: Cluster, api: Api, fresh_key: FreshKey) -> None:
    name = fresh_key().replace(":", ".")

    added = manage(cluster, "user-add", name, "--scopes", "write,read", password=PASSWORD)
    assert (added.returncode, added.stdout, added.stderr) == (0, f"added {name}\n", "")
    assert api.post("read", json_body({"keys": ["a"]}), {"authorization": login(api, User(name, PASSWORD))}).is_success

    again = manage(cluster, "user-add", name, password=PASSWORD)
    assert (again.returncode, again.stdout, again.stderr) == (1, "", f"tarant-kv: user {name} exists already\n")

    disabled = manage(cluster, "disable", name)
    assert (disabled.returncode, disabled.stdout) == (0, f"disabled {name}\n")
    assert not can_log_in(api, name, PASSWORD)
    users = listed(cluster)
    assert users[name] == ("read,write", "disabled")
    assert users[cluster.admin_user] == ("admin,observe,read,write", "enabled")
    assert list(users) == sorted(users)

    enabled = manage(cluster, "enable", name)
    assert (enabled.returncode, enabled.stdout) == (0, f"enabled {name}\n")
    assert can_log_in(api, name, PASSWORD)

    changed = manage(cluster, "set-password", name, stdin="from a pipe, as a secret comes\n")
    assert (changed.returncode, changed.stdout) == (0, f"changed the password of {name}\n")
    assert not can_log_in(api, name, PASSWORD)
    assert can_log_in(api, name, "from a pipe, as a secret comes")


def test_a_password_that_is_not_given_is_generated_and_printed(cluster: Cluster, api: Api, fresh_key: FreshKey) -> None:
    name = fresh_key().replace(":", "-")
    added = manage(cluster, "user-add", name)
    found = re.fullmatch(rf"added {name} with password (\S{{20,}})\n", added.stdout)
    assert found is not None, added
    assert can_log_in(api, name, found[1])


@pytest.mark.parametrize(
    ("arguments", "password", "said"),
    [
        (("user-add", "no name"), PASSWORD, "a user name is"),
        pytest.param(("user-add", "x\n"), PASSWORD, "a user name is", marks=pytest.mark.long),
        pytest.param(("user-add", ""), PASSWORD, "a user name is", marks=pytest.mark.long),
        pytest.param(("user-add", "x", "--scopes", ""), PASSWORD, "scopes are some of", marks=pytest.mark.long),
        (("user-add", "x", "--scopes", "read,fly\ndown"), PASSWORD, "scopes are some of"),
        pytest.param(("user-add", "x", "--scopes", "read,fly"), PASSWORD, "fly", marks=pytest.mark.long),
        (("user-add", "x"), "short", "at least 8 characters"),
        pytest.param(("user-add", "x"), "x" * 1025, "at most 1024 bytes", marks=pytest.mark.long),
        (("set-password", "nobody-here"), PASSWORD, "no user nobody-here"),
        (("user-add", "x"), "not UTF-8: \udcff\udcff", "not UTF-8"),
        pytest.param(("set-password", "two\nlines"), PASSWORD, "a user name is", marks=pytest.mark.long),
        (("disable", "nobody-here"), None, "no user nobody-here"),
        (("enable", "no\udcffbody"), None, "a user name is"),
    ],
)
def test_a_failed_command_is_an_error_of_one_line(
    cluster: Cluster, arguments: tuple[str, ...], password: str | None, said: str
) -> None:
    done = manage(cluster, *arguments, password=password)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("tarant-kv: ")
    assert said in line


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"TARANTKV_REDIS_URL": "redis://127.0.0.1:1/0", "TARANTKV_STARTUP_TIMEOUT_S": "0.5"}, 1, "no answer from s1"),
        ({"TARANTKV_REDIS_URL": "redis://u:p@127.0.0.1:1/0"}, 78, "TARANTKV_REDIS_URL"),
        ({"TARANTKV_SHARDS": "s1"}, 78, "TARANTKV_SHARDS"),
        ({"TARANTKV_IDEMPOTENCY_WINDOW_S": "10"}, 78, "contradict each other"),
        ({"TARANTKV_BUCKET_COUNT": "29999"}, 1, "bucket_count"),
    ],
)
def test_a_system_that_cannot_be_reached_is_an_error_of_one_line(
    cluster: Cluster, settings: dict[str, str], code: int, said: str
) -> None:
    done = run([sys.executable, "-m", "api.manage", "list"], environment(cluster, settings))
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (code, "")
    assert line.startswith("tarant-kv: ")
    assert said in line


def test_a_password_from_a_pipe_may_end_with_a_line_break_of_windows(
    cluster: Cluster, api: Api, fresh_key: FreshKey
) -> None:
    name = fresh_key().replace(":", "-")
    assert manage(cluster, "user-add", name, stdin="of another system\r\n").returncode == 0
    assert can_log_in(api, name, "of another system")
