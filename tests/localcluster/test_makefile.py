"""How the Makefile uses its arguments, and an environment that was set for other programs."""

import os
import re
import subprocess

import pytest

from localcluster.dotenv import REPOSITORY

HARMLESS = ("HOME", "PATH", "TMPDIR", "LANG")


def make(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {name: os.environ[name] for name in HARMLESS if name in os.environ} | environment
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)


def recipe(*arguments: str, **environment: str) -> str:
    """The commands that make would run."""
    done = make("--dry-run", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("given", "scopes"), [([], "read,write"), (["SCOPES=read"], "read"), (["SCOPES=admin,read"], "admin,read")]
)
def test_a_new_user_may_read_and_write_by_default(given: list[str], scopes: str) -> None:
    assert f"user-add 'alice' --scopes '{scopes}'" in recipe("user-add", "NAME=alice", *given)


def test_the_scopes_are_exactly_the_named_ones() -> None:
    assert "set-scopes 'alice' --scopes 'read'" in recipe("user-set-scopes", "NAME=alice", "SCOPES=read")
    assert "SCOPES=read" in make("--dry-run", "user-set-scopes", "NAME=alice").stderr


@pytest.mark.parametrize("target", ["user-add", "user-disable", "user-enable", "user-remove", "user-set-password"])
def test_the_variable_name_of_the_environment_does_not_name_a_user(target: str) -> None:
    """Windows' subsystem for Linux sets the variable NAME to the machine's name."""
    done = make("--dry-run", target, NAME="DESKTOP-1")
    assert done.returncode != 0
    assert "give the name: NAME=alice" in done.stderr


def test_no_argument_of_a_target_is_taken_from_the_environment() -> None:
    """Names that another target uses must be added to the list at the head of the Makefile."""
    text = (REPOSITORY / "Makefile").read_text()
    used = set(re.findall(r"\$\((?:call (?:quoted|each|given),|if |value )*\$?\(?([A-Z]+)\b", text))
    own = {"CLUSTER", "MANAGE", "PYTHON", "TEST", "UV", "LINT", "MAKEFILE", "TARANTKV"}
    environment = dict.fromkeys(used - own, "from the environment")
    assert {"NAME", "WORKERS", "MINUTES", "OUT", "ARGS", "NAMES", "TIME"} <= environment.keys()
    targets = ["logs", "load", "bench", "soak", "chaos", "fuzz", "overload", "test-python", "lock"]
    assert "from the environment" not in recipe(*targets, **environment)
    assert make("--dry-run", "scale", **environment).returncode != 0


def test_a_restore_needs_a_directory_and_a_backup_may_have_one() -> None:
    assert make("--dry-run", "restore").returncode != 0
    assert "restore -- 'a b'" in recipe("restore", "FROM=a b")
    assert "backup -- 'it'\\''s'" in recipe("backup", "OUT=it's")
    assert "--" not in recipe("backup").partition("backup")[2]


def test_variables_for_other_programs_are_not_passed_on() -> None:
    names = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV")
    leaking = dict.fromkeys(names, "/nowhere")
    leaking |= {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "BASH_ENV": "/nowhere", "CDPATH": "/"}
    done = make("--eval=show: ; @env", "show", **leaking, PYTHONIOENCODING="latin-1", TARANTKV_PORT="9000")
    shown = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert not shown.keys() & {*leaking, "PYTHONIOENCODING"}
    assert shown["TARANTKV_PORT"] == "9000"


@pytest.mark.parametrize("value", ["a$b", "a$(id)b", "a#b", "a'b\"c", "a%b;c&d"])
def test_a_setting_that_is_given_as_an_argument_arrives_as_it_was_typed(value: str) -> None:
    done = make("--eval=show: ; @env", "show", f"TARANTKV_ADMIN_USER={value}")
    assert f"TARANTKV_ADMIN_USER={value}\n" in done.stdout


def test_help_names_every_target_for_users() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"^  make (\S+) +\S", make("help").stdout, re.MULTILINE))
    steps = {name for name in targets if name.startswith(("lint-", "test-"))} | {"install", "installed"}
    assert targets - shown <= steps
    assert shown <= targets
    # In make's own form, with its variables expanded.
    phony = re.search(r"^\.PHONY: (.*)$", make("--dry-run", "--print-data-base", "help").stdout, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == targets
