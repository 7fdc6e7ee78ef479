"""The real API stores every case of the corpus exactly, or refuses it with a 400; never a 500 or a changed value."""

import json
from collections.abc import Callable

import pytest

from tests.contract.calls import JSON, MSGPACK, Api
from tests.contract.limits import MAX_KEY_BYTES, MAX_LOGIN_BYTES
from tests.contract.problems import assert_usable, pointers, problem_of
from tests.contract.samples import same
from tests.fuzz.corpus import DEEPEST, KEPT, KEPT_TEXTS, REFUSED

FreshKey = Callable[[], str]
CALLS = ("write", "read", "delete", "touch", "increment", "login")
REFUSALS = ("malformed-body", "invalid-request", "invalid-value")
SHORT_TEXTS = [name for name, (_, text) in KEPT_TEXTS.items() if len(text.encode()) < MAX_KEY_BYTES - 100]


@pytest.mark.parametrize("name", KEPT)
def test_a_valid_value_is_stored_exactly(api: Api, fresh_key: FreshKey, name: str) -> None:
    written, expected = KEPT[name]
    members = {fresh_key(): (written, expected)}
    if not written.startswith(b"[" * DEEPEST):
        members[fresh_key()] = (b"[" + written + b"]", [expected])
        members[fresh_key()] = (b'{"first": 0, "second": ' + written + b"}", {"first": 0, "second": expected})
    data = b",".join(b'"%s": %s' % (key.encode(), value) for key, (value, _) in members.items())
    answer = api.post("write", b'{"data": {' + data + b"}}")
    assert answer.status_code == 200, answer.text[:500]
    for accept in (JSON, MSGPACK):
        found = api.read(*members, as_=accept)
        assert all(same(found[key], value) for key, (_, value) in members.items())


@pytest.mark.parametrize("name", SHORT_TEXTS)
def test_a_text_is_stored_as_a_key_and_as_a_name(api: Api, fresh_key: FreshKey, name: str) -> None:
    written, expected = KEPT_TEXTS[name]
    # Text before and after keeps the case's characters away from both ends.
    key = expected + fresh_key() + expected
    encoded = written[:-1] + key[len(expected) : len(key) - len(expected)].encode() + written[1:]
    answer = api.post("write", b'{"data": {%s: {%s: 1}}}' % (encoded, written))
    assert answer.status_code == 200, answer.text[:500]
    for accept in (JSON, MSGPACK):
        assert same(api.read(key, as_=accept), {key: {expected: 1}})
    assert api.delete(key) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_value_is_refused(api: Api, fresh_key: FreshKey, name: str) -> None:
    good, bad = fresh_key(), fresh_key()
    answer = api.post("write", b'{"data": {"%s": 1, "%s": %s}}' % (good.encode(), bad.encode(), REFUSED[name]))
    problem = problem_of(answer, refusal(answer.content))
    if problem["type"].endswith("invalid-value"):
        assert pointers(problem) == [f"#/data/{bad}"]
        assert repr(bad) in problem["detail"]
    assert_usable(api, answer)
    assert api.read_document(good, bad)["data"] == {}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("table", [KEPT, REFUSED], ids=["kept", "refused"])
def test_an_invalid_value_is_refused_as_a_whole_body(api: Api, table: dict[str, object], call: str) -> None:
    for name, case in table.items():
        body = case if isinstance(case, bytes) else KEPT[name][0]
        answer = api.post(call, body)
        if call == "login" and len(body) > MAX_LOGIN_BYTES:
            problem_of(answer, "body-too-large")
        else:
            problem_of(answer, refusal(answer.content))
        assert_usable(api, answer)


def refusal(content: bytes) -> str:
    """The kind of a problem, which must be one about the content of a body."""
    kind = str(json.loads(content)["type"]).rpartition(":")[2]
    assert kind in REFUSALS, content[:500]
    return kind
