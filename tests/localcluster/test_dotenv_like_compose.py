"""`.env` is read as Docker Compose reads it: its documented rules one by one, and against Compose itself."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from localcluster.dotenv_syntax import DotenvError, parse

EXAMPLES = [
    ("A=v", "v"),
    ("  export A = v  ", "v"),
    ("A: v", "v"),
    ("A=", ""),
    ("A='a b'", "a b"),
    ('A="a=b"', "a=b"),
    ("A=v # comment", "v"),
    ("A=v# none", "v# none"),
    ("A=v\t# none", "v\t# none"),
    ("A=#v", "#v"),
    ("A='v # none' # comment", "v # none"),
    ("A='v'#comment", "v"),
    ("A='$B ${B}'", "$B ${B}"),
    ("A='Let\\'s go!'", "Let's go!"),
    ("A='some\\tvalue\\\\'", "some\\tvalue\\\\"),
    ('A="some\\tvalue\\\\"', "some\tvalue\\"),
    ('A="\\"\\n\\0101\\x41"', '"\nA\\x41'),
    ("A=some\\tvalue", "some\\tvalue"),
    ("A='one\ntwo'", "one\ntwo"),
    ("A='one\r\ntwo'\r\nB=x\r", "one\r\ntwo"),
    ("\ufeffA=v", "v"),
    ("A=v\r", "v"),
    ("A=$$B$$", "$B$"),
    ("A=$", "$"),
    ("A=a$ b$1", "a$ b$1"),
    ('A="\\$B"', "$B"),
    ("B=x\nA=$B${B}y", "xxy"),
    ("B=x\nA=$Bby", ""),
    ("A=${B:-d}", "d"),
    ("B=\nA=${B-d}${B:-e}", "e"),
    ("B=x\nA=${B:+set}${C:+none}${C+none}", "set"),
    ("A=${B:-${C:-deep}}", "deep"),
    ("B=x\nA=${B:?no}${B?no}", "xx"),
    ("A=1\nA=2", "2"),
    ("A='x'\n'", None),
    ("A B=v", None),
    ("A='v", None),
    ("A=${B:?reason}", None),
    ("A=${B", None),
    ("A=${1}", None),
    ("A-!=v", None),
]

PIECES = [*"AB='\"$}\\{# :-?+=\n\nx1 é", "\nA=", "\nB=", "${A}", "${B:-x}", "$A", " # c", "\\n", "\\$", "\\'", '\\"']
PIECES += ["\r\n", "export ", "${C:?no}", "${A:+y}", "\nC: "]


def ours(text: str, environment: Mapping[str, str]) -> dict[str, str] | None:
    try:
        return parse(text, environment) | dict(environment)
    except DotenvError:
        return None


def composes(directory: Path, text: str, environment: Mapping[str, str]) -> dict[str, str] | None:
    """The variables A to D as `docker compose` reads them; None if it refuses the file."""
    (directory / ".env").write_bytes(text.encode())
    variables = {name: f"${{{name}-not set}}" for name in "ABCD"}
    (directory / "compose.yml").write_text(json.dumps({"services": {"x": {"image": "x", "environment": variables}}}))
    done = subprocess.run(
        ["docker", "compose", "-f", "compose.yml", "config", "--format", "json"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    found = json.loads(done.stdout)["services"]["x"]["environment"]
    # Its output is a compose file again, in which a dollar sign is doubled.
    return {name: value.replace("$$", "$") for name, value in found.items() if value != "not set"}


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_a_line_is_read_as_compose_reads_it(text: str, value: str | None) -> None:
    found = ours(text + "\n", {})
    assert (found and found["A"]) == value


def test_the_environment_has_precedence_over_earlier_lines() -> None:
    assert parse("B=file\nA=$B\n", {"B": "environment"})["A"] == "environment"


def has_compose() -> bool:
    command = ["docker", "compose", "version"]
    return bool(shutil.which("docker")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed")
@pytest.mark.parametrize("examples", [10, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_compose_agrees_on_every_example_and_on_random_ones(tmp_path: Path, examples: int) -> None:
    chance = random.Random(4711)
    files: list[tuple[str, dict[str, str]]] = [(text + "\n", {}) for text, _ in EXAMPLES]
    for _ in range(examples):
        text = "A=" + "".join(chance.choice(PIECES) for _ in range(chance.randint(0, 14))) + "\n"
        files.append((text, {"B": "environment"} if chance.random() < 0.2 else {}))
    for text, environment in files:
        # A missing name makes Compose fail in its own way.
        assert ours(text, environment) == composes(tmp_path, text, environment), text
