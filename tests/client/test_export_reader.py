"""However an export breaks, every key is returned once. Without its last line an export is never reported complete."""

import json

import pytest
from tarantkv import Policy, errors
from tarantkv.export import ExportReader
from tarantkv.wire import TransportError

from tests.client.scripted import LOST, Script, ok

KEYS = ["a", "b", "ä", "\U0001f600", "\U0001f601"]
PATIENT = Policy(deadline_s=5.0, first_wait_s=0.1, last_wait_s=0.1)


def line(**members: object) -> bytes:
    return json.dumps(members).encode() + b"\n"


ITEMS = [line(key=key, value=number) for number, key in enumerate(KEYS)]
WHOLE = b"".join([*ITEMS[:2], line(cursor="c2", items=2), *ITEMS[2:], line(end=True, items=5)])
REST = b"".join([*ITEMS[2:], line(end=True, items=5)])


def drained(script: Script, reader: ExportReader) -> list[str]:
    given = []
    while (items := script.run(reader.next())) is not None:
        given += [item.key for item in items]
    return given


def test_a_complete_export_returns_every_key() -> None:
    script = Script(ok())
    script.streams = [[WHOLE[:10], WHOLE[10:]]]
    reader = script.calls.export(None, None, {"prefix": "ü&"})
    assert drained(script, reader) == KEYS
    assert reader.complete
    assert script.opened[0].path == "/api/export?prefix=%C3%BC%26"


@pytest.mark.parametrize("broken", [[], [LOST]], ids=["ends", "breaks"])
def test_an_export_that_is_cut_at_any_byte_continues_and_returns_every_key_once(
    broken: list[bytes | TransportError],
) -> None:
    for cut in range(len(WHOLE) - 1):
        script = Script(ok(), policy=PATIENT)
        behind_cursor = cut >= WHOLE.index(b'"c2"') + len(line(cursor="c2", items=2)) - len('{"cursor": ')
        reader = script.calls.export(None, None, {})
        script.streams = [[WHOLE[:cut], *broken], [REST if behind_cursor else WHOLE]]
        assert drained(script, reader) == KEYS, cut
        assert script.opened[1].path == ("/api/export?cursor=c2" if behind_cursor else "/api/export"), cut
        assert reader.items == len(KEYS)


def test_after_an_error_line_the_export_continues_at_its_cursor() -> None:
    failed = {"type": "urn:tarant-kv:problem:shard-unavailable", "status": 503, "title": "x"}
    script = Script(ok(), policy=PATIENT)
    script.streams = [[b"".join(ITEMS[:2]) + line(error=failed, cursor="c9")], [REST]]
    assert drained(script, script.calls.export(None, None, {})) == KEYS
    assert script.opened[1].path == "/api/export?cursor=c9"


def test_the_error_of_an_export_that_cannot_be_resumed_has_cursor_and_last_key() -> None:
    script = Script(ok(), policy=PATIENT)
    lost: list[list[bytes | TransportError]] = [[LOST] for _ in range(100)]
    script.streams = [[WHOLE[: WHOLE.index(ITEMS[3])]], *lost]
    reader = script.calls.export(None, None, {})
    assert [item.key for item in script.run(reader.next()) or ()] == KEYS[:3]
    with pytest.raises(errors.ExportBrokenError) as caught:
        script.run(reader.next())
    assert (caught.value.cursor, caught.value.items, caught.value.last_key) == ("c2", 3, "ä")
    assert "c2" in str(caught.value)
    again = Script(ok())
    again.streams = [[REST]]
    assert drained(again, again.calls.export("c2", "ä", {})) == KEYS[3:]


@pytest.mark.parametrize("value", ["gYEBAgM=", "x", 7])
def test_a_line_with_a_damaged_value_is_requested_again(value: object) -> None:
    script = Script(ok(), policy=PATIENT)
    script.streams = [[ITEMS[0] + line(key="b", value_msgpack=value)], [WHOLE]]
    assert drained(script, script.calls.export(None, None, {})) == KEYS


def test_a_permanent_error_ends_an_export() -> None:
    script = Script(ok())
    refused = {"type": "urn:tarant-kv:problem:database-refused", "status": 500, "title": "x"}
    script.streams = [[ITEMS[0] + line(error=refused, cursor="c1")]]
    reader = script.calls.export(None, None, {})
    script.run(reader.next())
    with pytest.raises(errors.ExportBrokenError) as caught:
        script.run(reader.next())
    assert caught.value.cursor == "c1"
    assert len(script.opened) == 1


def test_a_value_that_json_cannot_express_comes_back_unchanged() -> None:
    script = Script(ok())
    script.streams = [[b'{"key":"a","value_msgpack":"xAH/","version":"v"}\n{"end":true,"items":1}\n']]
    items = script.run(script.calls.export(None, None, {}).next())
    assert items is not None
    assert (items[0].value, items[0].version) == (b"\xff", "v")


def test_lines_are_returned_byte_for_byte_even_after_a_break() -> None:
    odd = line(key="b", value_msgpack="1f8AAA==")
    whole = b"".join([ITEMS[0], odd, *ITEMS[2:], line(end=True, items=5)])
    script = Script(ok(), policy=PATIENT)
    script.streams = [[whole[: len(ITEMS[0]) + len(odd) + 3], LOST], [whole]]
    reader = script.calls.export(None, None, {})
    reader.as_lines = True
    given: list[bytes] = []
    while (lines := script.run(reader.next())) is not None:
        given += lines
    assert [each + b"\n" for each in given] == [ITEMS[0], odd, *ITEMS[2:]]


def test_an_export_continues_however_often_its_token_ends() -> None:
    script = Script(lambda _: ok({"token": f"t{len(script.sent) + 1}"}), policy=PATIENT, login=True)
    ended = line(error={"type": "urn:tarant-kv:problem:unauthorized", "status": 401, "title": "x"}, cursor="c1")
    streams: list[list[bytes | TransportError]] = [[each + ended] for each in ITEMS]
    script.streams = [*streams, [line(end=True, items=5)]]
    reader = script.calls.export(None, None, {})
    given = []
    while (items := script.run(reader.next())) is not None:
        given += [item.key for item in items]
        # A token lasts for much longer than a call may.
        script.now += 3600
    assert given == KEYS
    assert min(request.timeout for request in script.sent) > 1


def test_cursors_without_items_count_as_progress() -> None:
    script = Script(ok(), policy=PATIENT)
    script.stream_lasts = 60.0
    gone: list[list[bytes | TransportError]] = [[line(cursor=f"c{number}", items=0), LOST] for number in range(5)]
    script.streams = [*gone, [ITEMS[0] + line(end=True, items=1)]]
    assert drained(script, script.calls.export(None, None, {})) == KEYS[:1]
    assert [each.path for each in script.opened[1:]] == [f"/api/export?cursor=c{number}" for number in range(5)]
