"""The commands as they are typed: what they print, and how they end."""

import os
import pty
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tarantkv import Client
from tarantkv.cli import main

from tests.client.command import Command
from tests.contract.conftest import Service
from tests.integration.conftest import User


@pytest.fixture
def tkv(tmp_path: Path, service: Service, token: str) -> Command:
    return Command(tmp_path, service.base_url, token)


def test_a_value_is_stored_read_counted_touched_and_removed(tkv: Command, prefix: str) -> None:
    a, n = prefix + "a", prefix + "n"
    (stored,) = tkv.done("set", a, '{"x": [1, null]}', "--ttl", "60")
    assert tkv.done("get", a, "--with", "version,expires_at")[0].keys() == {"key", "value", "version", "expires_at"}
    assert tkv.done("set", a, "2", "--if-version", stored["version"], "--keep-ttl")[0]["version"] != stored["version"]
    assert tkv.done("incr", n, "5", "--initial", "10") == [{"key": n, "value": 15}]
    assert tkv.done("incr", n, "--", "-1") == [{"key": n, "value": 14}]
    assert tkv.done("touch", a, "--never") == [{"touched": 1, "not_found": 0}]
    assert tkv.done("get", a) == [{"key": a, "value": 2}]
    assert tkv.done("delete", a, n, prefix + "nobody") == [{"deleted": 2}]
    ended = tkv.run("touch", a, "--ttl", "1")
    assert (ended.code, ended.records()) == (4, [{"touched": 0, "not_found": 1}])


def test_raw_prints_only_the_value(tkv: Command, kv: Client, prefix: str) -> None:
    kv.write({prefix + "a": "é\n", prefix + "b": b"\xff\x00", prefix + "c": [1]})
    keys = [prefix + name for name in "abc"]
    assert tkv.run("get", "--raw", *keys).out == "é\n\n".encode() + b"\xff\x00" + b"[1]\n"


def test_records_are_utf_8_whatever_the_locale(tkv: Command, kv: Client, prefix: str) -> None:
    kv.set(prefix + "é", "\u20ac")
    ended = tkv.run("get", prefix + "é", env={"PYTHONIOENCODING": "latin-1"})
    assert ended.out.decode() == f'{{"key":"{prefix}é","value":"\u20ac"}}\n'


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("get", "cli:nobody:has:this"), 4, "not found: cli:nobody:has:this"),
        (("set", "a", "hello"), 2, "--text"),
        (("set", "a", "NaN"), 2, "not JSON"),
        (("set", "a", "1", "--ttl", "0"), 2, "ttl"),
        (("frobnicate",), 2, "invalid choice"),
        (("get",), 2, "required"),
        (("get", "a", "--password", "secret"), 2, "unrecognized"),
        (("set", "a", "1", "--if-version", "x"), 1, "condition_failed"),
        (("get", "a", "--url", "http://127.0.0.1:1", "--deadline", "0.2"), 5, "cannot connect"),
        (("get", "a", "--url", "nonsense"), 2, "address"),
        (("get", "a", "--profile", "nobody"), 2, "no profile"),
        (("touch", "a"), 2, "--ttl"),
        (("scan", "a", "--cursor", "x"), 2, "either"),
        (("scan", "--cursor", "x"), 2, "cursor"),
        (("import", "no-such-file"), 2, "no-such-file"),
        (("export", "-o", "no/such/file"), 2, "no/such/file: No such file or directory"),
        (("export", "--resume", "-o", "/"), 2, "/: Is a directory"),
    ],
)
def test_each_failure_has_its_exit_code_and_reason(
    tkv: Command,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    """They run in this process, because there are many."""
    monkeypatch.chdir(tkv.home)
    for name, value in tkv.environment().items():
        monkeypatch.setenv(name, value)
    try:
        ended = main(arguments)
    except SystemExit as end:
        ended = end.code  # type: ignore[assignment]  # argparse ends with a number
    shown = capfd.readouterr()
    assert (ended, shown.out) == (code, "")
    assert said in shown.err


def test_a_user_who_is_not_logged_in_is_told_what_to_do(tkv: Command, reader: User) -> None:
    tkv.token = None
    assert tkv.run("get", "a").code == 3
    assert "tarantkv login" in tkv.run("whoami").err
    env = {"TARANTKV_USER": reader.name, "TARANTKV_PASSWORD": reader.password}
    assert tkv.run("get", "cli:nobody:has:this", env=env).code == 4
    ended = tkv.run("set", "a", "1", env=env)
    assert ended.code == 3
    assert "tarantkv login" not in ended.err


def test_a_token_is_stored_for_its_owner_only_until_the_logout(tkv: Command, reader: User, service: Service) -> None:
    user, tkv.token = reader, None
    tkv.url = ""
    login = ("login", "--url", service.base_url, "--user", user.name, "--password-stdin")
    assert tkv.run(*login, stdin=b"wrong-password\n").code == 3
    assert tkv.run(*login, stdin=user.password.encode() + b"\n").code == 0
    kept = tkv.home / ".local/state/tarantkv/tokens.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert user.password not in kept.read_text() + (tkv.home / ".config/tarantkv/config.toml").read_text()
    # The login has made the profile, too.
    (who,) = tkv.done("whoami")
    assert (who["user"], who["scopes"], who["url"]) == (user.name, "read", service.base_url)
    assert tkv.run("logout").code == 0
    assert tkv.run("whoami").code == 3


def test_credentials_are_read_in_the_form_of_the_api(tkv: Command, reader: User) -> None:
    user, tkv.token = reader, None
    given = f'{{"username": "{user.name}", "password": "{user.password}"}}'.encode()
    assert tkv.run("login", "--credentials-stdin", stdin=given).code == 0
    assert tkv.done("whoami")[0]["user"] == user.name
    assert tkv.run("login", "--credentials-stdin", stdin=b"{}").code == 2


def test_flags_have_precedence_over_the_environment_and_that_over_the_configuration(
    tkv: Command, service: Service
) -> None:
    config = tkv.home / ".config/tarantkv/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'profile = "far"\n[profiles.far]\nurl = "http://127.0.0.1:1"\n[profiles.near]\nurl = "{service.base_url}"\n'
    )
    quick = ("get", "cli:nobody:has:this", "--deadline", "0.2")
    assert tkv.run(*quick).code == 4
    assert tkv.run(*quick, env={"TARANTKV_URL": ""}).code == 5
    assert tkv.run(*quick, "--profile", "near", env={"TARANTKV_URL": ""}).code == 4
    assert tkv.run(*quick, env={"TARANTKV_URL": "", "TARANTKV_PROFILE": "near"}).code == 4
    assert tkv.run(*quick, "--url", "http://127.0.0.1:1").code == 5
    config.write_text("[profiles.far]\npassword = 'x'\n")
    assert tkv.run(*quick).code == 2


def test_the_output_of_scan_is_valid_input_of_import_touch_and_delete(tkv: Command, kv: Client, prefix: str) -> None:
    kv.write({f"{prefix}{n}": {"n": n} for n in range(5)})
    kv.set(prefix + "bytes", b"\xff")
    scanned = tkv.run("scan", prefix).out
    assert len(scanned.splitlines()) == 6
    assert tkv.done("touch", "-", "--ttl", "60", stdin=scanned) == [{"touched": 6, "not_found": 0}]
    assert tkv.done("delete", "-", stdin=scanned) == [{"deleted": 6}]
    assert tkv.done("import", "-", stdin=scanned)[0]["applied"] == 6
    assert kv.get(prefix + "bytes") == b"\xff"
    keys = tkv.run("scan", prefix, "--keys-only", "--reverse", "--limit", "2", "--page-size", "1").records()
    assert keys == [{"key": prefix + "bytes"}, {"key": prefix + "4"}]
    assert tkv.done("delete", "-", "--lines", stdin=f"{prefix}0\n{prefix}1\n".encode()) == [{"deleted": 2}]
    assert tkv.run("delete", "-", stdin=b"no json\n").code == 2


def test_a_scan_that_ends_early_prints_where_to_continue(tkv: Command, kv: Client, prefix: str) -> None:
    kv.write({f"{prefix}{n}": n for n in range(4)})
    ended = tkv.run("scan", prefix, "--limit", "2")
    cursor = re.search(r"--cursor (\S+)", ended.err)
    assert cursor
    assert [each["value"] for each in tkv.run("scan", "--cursor", cursor[1]).records()] == [2, 3]


def on_a_terminal(tkv: Command, *arguments: str) -> str:
    """What a command prints on a terminal, to both outputs."""
    ours, theirs = pty.openpty()
    process = tkv.start(*arguments, stdout=theirs, stderr=theirs)
    os.close(theirs)
    out = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(ours)
    assert process.wait(60) == 0
    return out.decode()


def test_a_terminal_gets_a_table_whose_data_cannot_move_its_cursor(tkv: Command, kv: Client, prefix: str) -> None:
    evil = prefix + "\x1b[2J\x1b]0;x\x07\u202e\x9b31m"
    kv.write({evil: "\x1b[31mred", prefix + "b": None})
    for arguments in (("scan", prefix), ("scan", prefix, "--json"), ("get", evil)):
        shown = on_a_terminal(tkv, *arguments)
        assert "KEY" in shown or "--json" in arguments
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", shown), shown


def test_top_and_an_import_draw_on_a_terminal(tkv: Command, prefix: str) -> None:
    assert "median" in on_a_terminal(tkv, "top", "--count", "1", "--interval", "0.2")
    lines = "".join(f'{{"key": "{prefix}{n:05}", "value": {n}}}\n' for n in range(3000))
    (tkv.home / "data.ndjson").write_text(lines)
    assert "import [#" in on_a_terminal(tkv, "import", "data.ndjson", "--part-lines", "100")
    assert "import [#" not in on_a_terminal(tkv, "import", "data.ndjson", "--part-lines", "500", "--quiet")


def test_a_scan_ends_without_an_error_when_its_reader_closes_the_pipe(tkv: Command, kv: Client, prefix: str) -> None:
    kv.write({f"{prefix}{n}": "x" * 1000 for n in range(500)})
    process = tkv.start("scan", prefix, "--page-size", "10")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_ctrl_c_ends_top_with_the_code_of_an_interruption(tkv: Command) -> None:
    process = tkv.start("top", "--interval", "0.1")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_status_top_and_doctor_report_a_healthy_system(tkv: Command, kv: Client, prefix: str) -> None:
    rows = tkv.done("status")
    assert {row["state"] for row in rows} == {"up"}
    assert [("shard" in row, "lane" in row) for row in rows] == [*[(True, False)] * 3, (False, True)]
    kv.get(prefix)
    (look,) = tkv.done("top", "--count", "1", "--interval", "0.2")
    assert look["requests_per_s"] > 0
    assert [shard["state"] for shard in look["shards"]] == ["up"] * 3
    assert [lane["state"] for lane in look["lanes"]] == ["up"]
    assert look["moves"] == []
    found = {each["check"]: each["state"] for each in tkv.done("doctor")}
    assert found.pop("memory", "ok") == "ok"
    assert found == dict.fromkeys(("api", "versions", "clock", "redis", "shards", "token", "expiry", "disk"), "ok")


def test_status_without_the_scope_observe_shows_only_shards_and_says_so(tkv: Command) -> None:
    tkv.token = None
    ended = tkv.run("status")
    assert ended.code == 0
    assert all("shard" in row for row in ended.records())
    assert "scope observe" in ended.err
    (look,) = tkv.done("top", "--count", "1", "--interval", "0.1")
    assert "lanes" not in look


def test_doctor_says_what_to_do_without_an_api_or_a_login(tkv: Command) -> None:
    ended = tkv.run("doctor", "--url", "http://127.0.0.1:1", "--deadline", "0.2")
    assert (ended.code, ended.records()[0]["state"]) == (5, "failure")
    tkv.token = "void"
    ended = tkv.run("doctor")
    assert ended.code == 1
    assert {each["check"]: each["to_do"] for each in ended.records()}["token"] == "tarantkv login"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_name_every_command_and_option(tkv: Command, shell: str) -> None:
    script = tkv.run("completion", shell).out.decode()
    for word in ("whoami", "doctor", "credentials-stdin", "part-lines", "fish"):
        assert word in script


def test_bash_completes_commands_and_options(tkv: Command) -> None:
    script = tkv.run("completion", "bash").out.decode()
    ask = 'COMP_WORDS=(tarantkv import --res); COMP_CWORD=2; _tarantkv; echo "${COMPREPLY[@]}"'
    ask += '; COMP_WORDS=(tarantkv ex); COMP_CWORD=1; _tarantkv; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True)
    assert done.stdout == "--resume\nexport\n"


def test_a_get_imports_no_slow_modules(tkv: Command, kv: Client, prefix: str) -> None:
    kv.set(prefix + "a", 1)
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tarantkv", "get", prefix + "a"],
        env={name: value for name, value in tkv.environment().items() if not name.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(re.findall(r"\|\s+([\w.]+)$", process.stderr, re.MULTILINE))
    assert "tarantkv.client" in imported
    slow = {"asyncio", "httpx2", "http.client", "ssl", "email", "inspect", "dataclasses", "urllib.request", "pathlib"}
    assert not imported & slow
