"""Stored tuples as the answer of a plain read, and the further members for each key."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api.batch.outcomes import Result
from api.batch.read_answer import large_read_answer, read_answer
from api.batch.read_tuples import as_plain_read
from api.batch.split import Part
from api.batch.steps import at_once
from api.http.negotiation import Format
from protocol.chunks import ChunkError, slice_values
from protocol.frames import Outcome

pack = msgspec.msgpack.encode
ODD = msgspec.Raw(b"\xcd\x00\x01")
BOTH = frozenset(("version", "expires_at"))
DECODE: dict[Format, Callable[[bytes | bytearray], Any]] = {
    Format.JSON: msgspec.json.decode,
    Format.MSGPACK: msgspec.msgpack.decode,
}


def result(keys: str, tuples: Any) -> Result:
    return Result(Part("s1", list(keys), b""), Outcome(b"", 0, pack(tuples)))


STORED = result("abcd", [["a", 1, ODD], None, ["c", 3, None, 0x6A1], ["d", 4, "v", 0x6A2, 1_798_761_600_500]])


def test_values_stay_the_same_bytes_and_each_found_key_has_its_members() -> None:
    (plain,), meta = at_once(as_plain_read([STORED], BOTH))
    assert slice_values(plain.outcome.payload) == [b"\xcd\x00\x01", None, b"\xc0", b"\xa1v"]
    assert plain.part is STORED.part
    assert meta == {
        "a": {"version": "0"},
        "c": {"version": "6a1"},
        "d": {"version": "6a2", "expires_at": 1_798_761_600.5},
    }


def test_an_answer_has_only_the_members_that_were_asked_for() -> None:
    _, meta = at_once(as_plain_read([STORED], frozenset(("expires_at",))))
    assert meta == {"a": {}, "c": {}, "d": {"expires_at": 1_798_761_600.5}}


@pytest.mark.parametrize("payload", [[["a", 1, 1]], [["a", 1]] * 4, None, [1, 2, 3, 4]])
def test_an_answer_of_another_form_is_refused(payload: Any) -> None:
    with pytest.raises(ChunkError):
        at_once(as_plain_read([result("abcd", payload)], BOTH))


@pytest.mark.parametrize("accept", Format)
@pytest.mark.parametrize("missing", [True, False])
def test_further_members_follow_the_usual_ones(accept: Format, missing: bool) -> None:  # noqa: FBT001
    stored = STORED if missing else result("a", [["a", 1, ODD, 7]])
    plain, meta = at_once(as_plain_read([stored], BOTH))
    more = {"meta": meta, "status": "partial", "failed": {"x": "not_read"}}
    body = read_answer(plain, accept, more).body
    assert at_once(large_read_answer(plain, accept, more)).body == body
    document = DECODE[accept](body)
    assert list(document) == ["data", *(["not_found"] if missing else []), "meta", "status", "failed"]
    assert {name: document[name] for name in more} == more
    without = {name: member for name, member in document.items() if name not in more}
    assert without == DECODE[accept](read_answer(plain, accept).body)
