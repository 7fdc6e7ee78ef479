"""Invalid input of the command line, typed or piped, gives one line with the reason and no traceback."""

import io
import sys
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tarantkv.cli import main
from tarantkv.cli.config import add_profile, read_config
from tarantkv.cli.exits import UsageError

AWAY = ("--url", "http://127.0.0.1:1", "--deadline", "0.1")
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("TARANTKV_TOKEN", "t")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("set", "a", "-"), DEEP, "the value is not JSON"),
        (("get", "-"), DEEP, "line 1 of the input has no key"),
        (("delete", "-"), DEEP, "line 1 of the input has no key"),
        (("login", "--credentials-stdin"), DEEP, "the input is not"),
        (("login", "--user", "ada", "--password-stdin"), b"\xff\n", "the password is not UTF-8"),
        (("login", "--user", "\udcff", "--password-stdin"), b"secret\n", "the user name is not UTF-8"),
        (("get", "a", "--url", "http://" + "a" * 70 + ".example"), b"", "is not the address of an api"),
        (("get", "a", "--url", "http://a b"), b"", "is not the address of an api"),
        (("get", "a", "--url", "http://ada:secret@127.0.0.1:1"), b"", "user"),
        (("diff", "deep", "-"), b"", "deep is no export"),
        (("export", "-o", "deep", "--resume"), b"", "deep is no export"),
        (("import", "deep", "--key", "id"), b"", "--key is for csv and dynamodb, and this is read as ndjson"),
        (("import", "deep", "--ttl-attribute", "t", "--format", "csv"), b"", "--ttl-attribute is for dynamodb"),
        (("import", "deep", "--journal", "both", "--rejected", "both"), b"", "both cannot be the journal and"),
    ],
)
def test_invalid_input_gives_a_clear_error(
    words: tuple[str, ...],
    given: bytes,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "deep").write_bytes(DEEP)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    away = AWAY[2:] if "--url" in words else AWAY
    assert main((*words, *away)) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.startswith("tarantkv: ")
    assert "secret" not in shown.err
    assert not shown.out


class Forbids(BaseHTTPRequestHandler):
    """Answers 403 to every request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(403)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_whoami_works_without_the_scope_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = urlsafe_b64encode(b'{"sub": "writer", "scopes": ["write"], "exp": 4102444800}').decode()
    monkeypatch.setenv("TARANTKV_TOKEN", f"a.{claims}.b")
    with HTTPServer(("127.0.0.1", 0), Forbids) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            assert main(("whoami", "--url", f"http://127.0.0.1:{server.server_port}")) == 0
        finally:
            server.shutdown()
            thread.join()
    assert '"user":"writer","scopes":"write"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("set", "a", "1", "--if-version", ""),
        ("incr", "a", "--idempotency-key", ""),
        ("get", "a", "--url", ""),
        ("get", "a", "--user", ""),
        ("get", "a", "--profile", ""),
        ("get", "a", "--with", ""),
        ("scan", "--cursor", ""),
        ("export", "--output", ""),
        ("import", "deep", "--ttl-attribute", ""),
        ("import", "deep", "--journal", ""),
        ("users", "add", "ada", "--scopes", ""),
    ],
)
def test_an_empty_option_is_refused_and_does_not_count_as_not_given(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main((*words, *AWAY[2:]))
    said = capsys.readouterr().err
    assert f"argument {words[-2]}" in said
    assert "it is empty" in said


def test_a_login_leaves_a_configuration_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('profiles.other.url = "http://a"')
    assert add_profile(str(path), "new", "http://b", "ada")
    assert read_config(str(path))["profiles"]["new"] == {"url": "http://b", "user": "ada"}
    in_one_line = 'profiles = {other = {url = "http://a"}}\n'
    path.write_text(in_one_line)
    with pytest.raises(UsageError, match="add it by hand"):
        add_profile(str(path), "new", "http://b", "ada")
    assert path.read_text() == in_one_line
