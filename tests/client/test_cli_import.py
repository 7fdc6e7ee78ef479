"""An import that was killed at any moment and an export that was cut anywhere can be continued."""

import gzip
import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from tarantkv import Client
from tarantkv.cli import main

from tests.client.command import Command
from tests.client.lossy import Fate, LossyProxy
from tests.contract.calls import MSGPACK, Api
from tests.contract.conftest import Service

LINES = 3000
BAD = {7: "bad", 1500: '{"key": 1, "value": 1}', 2999: '{"key": "x"}'}


@pytest.fixture
def tkv(tmp_path: Path, service: Service, token: str) -> Command:
    return Command(tmp_path, service.base_url, token)


def written(path: Path, prefix: str) -> dict[str, int]:
    """Make a file to import; returns what it stores."""
    data = {f"{prefix}{n:05}": n for n in range(1, LINES + 1) if n not in BAD}
    lines = [BAD.get(n) or json.dumps({"key": f"{prefix}{n:05}", "value": n}) for n in range(1, LINES + 1)]
    path.write_text("\n".join(lines) + "\n")
    return data


def rejected(path: Path) -> list[int]:
    return sorted(json.loads(line)["line"] for line in path.read_text().splitlines())


def test_an_import_that_is_killed_repeatedly_stores_and_reports_every_line_once(
    tkv: Command, kv: Client, prefix: str
) -> None:
    path = tkv.home / "data.ndjson"
    data = written(path, prefix)
    rng = random.Random(3)
    asked = ("import", path.name, "--resume", "--part-lines", "100", "--parallel", "2")
    journal = tkv.home / "data.ndjson.journal"
    interrupted = 0
    for _ in range(6):
        process = tkv.start(*asked)
        # Kill it only after it has begun. The journal grows by a line with each part.
        end = time.monotonic() + 20
        size = journal.stat().st_size if journal.exists() else 0
        while process.poll() is None and time.monotonic() < end:
            if journal.exists() and journal.stat().st_size > size + rng.choice([0, 150, 500]):
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        interrupted += journal.exists()
    assert interrupted
    ended = tkv.run(*asked)
    (result,) = ended.records()
    assert ended.code == 1, ended.err
    assert result == {"lines": LINES, "applied": len(data), "already_there": 0, "rejected": 3}
    assert rejected(tkv.home / "data.ndjson.rejected.ndjson") == sorted(BAD)
    assert not journal.exists()
    assert kv.read(data).data == data


@pytest.mark.parametrize("cut", [1, 0.3, 0.97])
def test_an_import_continues_from_a_journal_that_was_cut_anywhere(
    tkv: Command, lossy: LossyProxy, prefix: str, cut: float
) -> None:
    path = tkv.home / "data.ndjson"
    data = written(path, prefix)
    asked = ("import", path.name, "--url", lossy.url, "--part-lines", "300", "--parallel", "1", "--if-absent")
    lossy.plan = lambda number, _path: Fate.PASS if number <= 5 else Fate.LOSE_REQUEST
    first = tkv.run(*asked, "--deadline", "0.3")
    assert first.code == 5
    assert "--resume" in first.err
    journal = tkv.home / "data.ndjson.journal"
    whole = journal.read_bytes()
    assert whole.count(b"\n") == 1 + 5
    journal.write_bytes(whole[: int(cut) or int(len(whole) * cut)])
    kept = max(0, journal.read_bytes().count(b"\n") - 1)
    lossy.plan = lambda _number, _path: Fate.PASS
    lossy.seen.clear()
    (result,) = tkv.run(*asked, "--resume").records()
    assert len(lossy.seen) == 10 - kept
    # The client sends parts again whose record was cut off, under the same idempotency keys, and gets their first
    # outcome. This is not so if the journal has lost even its name.
    assert result["applied"] + result["already_there"] == len(data)
    assert (result["already_there"] > 0) == (cut == 1)
    assert rejected(tkv.home / "data.ndjson.rejected.ndjson") == sorted(BAD)


def test_an_interrupted_import_is_not_started_again_by_mistake(tkv: Command, lossy: LossyProxy, prefix: str) -> None:
    path = tkv.home / "data.ndjson"
    written(path, prefix)
    lossy.plan = lambda number, _path: Fate.PASS if number <= 2 else Fate.LOSE_REQUEST
    asked = ("import", path.name, "--url", lossy.url, "--part-lines", "500")
    assert tkv.run(*asked, "--deadline", "0.3").code == 5
    assert "--resume" in tkv.run(*asked).err
    assert "part_lines" in tkv.run(*asked[:-1], "600", "--resume").err
    path.write_text(path.read_text() + "{}\n")
    assert "changed" in tkv.run(*asked, "--resume").err


def test_an_import_that_ctrl_c_ended_at_once_can_be_continued(
    tkv: Command, lossy: LossyProxy, kv: Client, prefix: str
) -> None:
    path = tkv.home / "data.ndjson"
    data = written(path, prefix)
    lossy.plan = lambda number, _path: Fate.PASS if number <= 3 else Fate.LOSE_REQUEST
    asked = ("import", path.name, "--url", lossy.url, "--part-lines", "500", "--parallel", "1")
    process = tkv.start(*asked)
    journal = tkv.home / "data.ndjson.journal"
    end = time.monotonic() + 20
    while time.monotonic() < end and not (journal.exists() and journal.read_bytes().count(b"\n") == 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err
    lossy.plan = lambda _number, _path: Fate.PASS
    assert tkv.run(*asked, "--resume").code == 1
    assert kv.read(data).data == data


def test_every_rejected_line_is_named_even_beyond_those_that_the_api_lists(tkv: Command, prefix: str) -> None:
    path = tkv.home / "data.ndjson"
    faults = ["no json", '{"key": ""}', '{"key": "a", "value": 1, "ttl": -1}', '{"key": "a", "value": NaN}', "[]"]
    lines = [faults[n % len(faults)] for n in range(300)]
    lines += [json.dumps({"key": prefix + "same", "value": n}) for n in range(200)]
    path.write_text("\n".join(lines))
    ended = tkv.run("import", path.name)
    assert ended.records() == [{"lines": 500, "applied": 1, "already_there": 0, "rejected": 499}]
    assert rejected(tkv.home / "data.ndjson.rejected.ndjson") == list(range(1, 500))
    assert json.loads((tkv.home / "data.ndjson.rejected.ndjson").read_text().splitlines()[0])["text"] == "no json"


def test_an_export_to_a_file_that_was_cut_anywhere_is_completed(tkv: Command, kv: Client, prefix: str) -> None:
    data = {f"{prefix}{n:03}": {"n": n} for n in range(200)}
    kv.write(data)
    path = tkv.home / "out.ndjson"
    asked = ("export", prefix, "--output", path.name)
    assert tkv.run(*asked).code == 0
    whole = path.read_bytes()
    assert json.loads(whole.splitlines()[-1]) == {"end": True, "items": 200}
    for cut in (0, 1, len(whole) // 3, len(whole) - 3):
        path.write_bytes(whole[:cut])
        ended = tkv.run(*asked, "--resume")
        assert ended.code == 0, ended.err
        assert path.read_bytes() == whole
    assert "whole" in tkv.run(*asked, "--resume").err


def test_an_export_that_cannot_be_resumed_is_not_reported_as_complete(
    tkv: Command, lossy: LossyProxy, kv: Client, prefix: str
) -> None:
    kv.write({f"{prefix}{n:03}": n for n in range(200)})
    lossy.cut_at = 4000
    lossy.plan = lambda _number, _path: Fate.CUT_ANSWER
    ended = tkv.run("export", prefix, "-o", "out.ndjson", "--url", lossy.url, "--deadline", "0.5")
    assert ended.code == 5
    assert "broke off" in ended.err
    lines = (tkv.home / "out.ndjson").read_text().splitlines()
    assert lines
    assert "end" not in json.loads(lines[-1])
    assert tkv.run("export", prefix, "-o", "out.ndjson", "--resume").code == 0
    assert json.loads((tkv.home / "out.ndjson").read_text().splitlines()[-1]) == {"end": True, "items": 200}


@pytest.mark.parametrize("damage", [lambda whole: whole[:-20], lambda whole: whole[:30] + bytes(40), lambda _: b"{}"])
def test_a_compressed_file_that_is_damaged_is_named(
    tkv: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    monkeypatch.chdir(tkv.home)
    for name, value in tkv.environment().items():
        monkeypatch.setenv(name, value)
    Path("data.ndjson.gz").write_bytes(damage(gzip.compress(random.Random(3).randbytes(500))))
    assert main(("import", "data.ndjson.gz")) == 2
    assert "tarantkv: data.ndjson.gz is damaged, or not whole: " in capfd.readouterr().err


def test_values_that_python_cannot_represent_are_exported_and_imported_byte_for_byte(
    tkv: Command, api: Api, prefix: str
) -> None:
    values = {
        "a number of 32 bits": b"\xca\x3d\xcc\xcc\xcd",
        "names that Python takes for one": b"\x82\x01\x02\xc3\x04",
        "a name twice": b"\x82\x01\x02\x01\x03",
        "a timestamp that is none": b"\xd5\xff\x00\x00",
    }
    body = b"\x81\xa4data\x84" + b"".join(msgpack.packb(prefix + name) + value for name, value in values.items())
    assert api.post("write", body, {"content-type": MSGPACK}).status_code == 200
    assert tkv.run("export", prefix, "-o", "all.ndjson").code == 0
    assert tkv.done("delete", *(prefix + name for name in values)) == [{"deleted": 4}]
    assert tkv.done("import", "all.ndjson")[0]["applied"] == 4
    read = msgpack.packb({"keys": [prefix + name for name in values]})
    again = api.post("read", read, {"content-type": MSGPACK, "accept": MSGPACK}).content
    assert all(msgpack.packb(prefix + name) + value in again for name, value in values.items())
