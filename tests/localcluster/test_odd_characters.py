"""Paths, names and passwords with characters that are syntax for make, shells, supervisord, Redis or Lua."""

import json
import re
from collections.abc import Callable
from urllib.request import Request, urlopen

import pytest

from localcluster import dotenv
from tests.localcluster.clones import Clone

PRINTABLE = "".join(chr(code) for code in range(32, 127))
FOREIGN = "é漢字😀"
PATH = PRINTABLE.replace("/", "") + FOREIGN
PASSWORD = PRINTABLE + FOREIGN


def in_single_quotes(text: str) -> str:
    """A value of `.env` that means exactly this text."""
    return "'" + text.replace("'", "\\'") + "'"


def login(clone: Clone, user: str, password: str) -> str:
    port = dotenv.read(clone.root / ".env")["TARANTKV_PORT"]
    body = json.dumps({"username": user, "password": password}).encode()
    request = Request(f"http://127.0.0.1:{port}/api/login", body, {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        return str(json.load(answer)["token"])


@pytest.mark.long
def test_the_system_works_in_a_path_and_with_passwords_of_every_character(
    new_clone: Callable[[str], Clone],
) -> None:
    clone = new_clone(PATH)
    # Each value contains its own name, so a value in a wrong place is refused.
    secrets = {name: name + PASSWORD for name in dotenv.random_secrets() if name.endswith("_PASSWORD")}
    clone.settings(
        **{name.removeprefix("TARANTKV_"): in_single_quotes(value) for name, value in secrets.items()},
        REDIS_USER=in_single_quotes(PRINTABLE.replace(" ", "")),
    )
    up = clone.make("up")
    assert up.returncode == 0
    lines = [line for line in up.stdout.splitlines() if line.startswith(("TOKEN=", "curl "))]
    assert len(lines) == 3
    for _ in range(2):
        pasted = clone.run("bash", "-c", "\n".join(lines), env={"http_proxy": "http://127.0.0.1:1"})
        assert pasted.stderr == ""
        wrote, read = map(json.loads, pasted.stdout.splitlines())
        assert wrote == {"status": "success"}
        assert read["not_found"] == ["nobody"]
    own = [line for line in up.stdout.splitlines() if line.startswith(("tarantkv", "make -s"))]
    assert len(own) == 4
    pasted = clone.run("bash", "-c", "\n".join(own), env={"http_proxy": "http://127.0.0.1:1", "HOME": str(clone.root)})
    assert [json.loads(line)["key"] for line in pasted.stdout.splitlines()] == ["answer", "greeting", "answer"]

    assert clone.make("scale", "WORKERS=3").returncode == 0
    added = clone.make("user-add", "NAME=alice", env={"TARANTKV_NEW_PASSWORD": PASSWORD})
    assert added.stdout == "added alice\n"
    assert login(clone, "alice", PASSWORD)
    assert login(clone, "admin", secrets[dotenv.ADMIN_PASSWORD])
    refused = clone.make("user-add", "NAME=bob", f"TARANTKV_NEW_PASSWORD={PASSWORD}")
    assert refused.returncode != 0
    assert "set TARANTKV_NEW_PASSWORD in the environment" in refused.stderr
    assert clone.make("status").returncode == 0
    assert "worker started" in clone.make("logs", "NAMES=worker-1").stdout
    assert clone.make("down").returncode == 0
    assert clone.processes() == {}


@pytest.mark.parametrize("name", [PRINTABLE.strip(), "o'brien", "$(id)", "a;b", "-x", "x y", "#", FOREIGN])
def test_an_invalid_name_is_refused_in_one_line_and_is_no_syntax_for_make_or_a_shell(clone: Clone, name: str) -> None:
    program = clone.root / "localcluster" / "__main__.py"
    program.write_text("import sys\nprint(sys.argv[1:])\n")
    done = clone.make("user-disable", f"NAME={name}")
    if name.startswith("-"):
        assert re.fullmatch(r"Makefile:\d+: \*\*\* give the name: .*\.  Stop\.\n", done.stderr)
    else:
        assert done.stdout == f"{['exec', '--', '-m', 'api.manage', 'disable', name]}\n"
