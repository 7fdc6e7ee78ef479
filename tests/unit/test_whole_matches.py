"""Patterns match a whole text. With `$`, a text with a line break at its end would match, too."""

import pytest

from api.auth.account_rules import AccountError, check_name
from api.http.request import Request
from api.http.request_ids import RequestIds
from protocol.settings import AuthSettings, Settings, SettingsError, StoreSettings, load, parse_shards

TRACE = b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00"


def test_a_request_id_with_a_line_break_is_replaced() -> None:
    assert RequestIds().of(b"mine") == b"mine"
    assert RequestIds().of(b"mine\n") != b"mine\n"


def test_a_traceparent_with_a_line_break_is_ignored() -> None:
    def traced(header: bytes) -> str | None:
        return Request("POST", "/", b"", {b"traceparent": header}, address="", request_id=b"id", arrived=0.0).trace

    assert traced(TRACE) == TRACE.decode()
    assert traced(TRACE + b"\n") is None


def test_a_user_name_with_a_line_break_is_refused() -> None:
    assert check_name("alice") == "alice"
    with pytest.raises(AccountError):
        check_name("alice\n")


@pytest.mark.parametrize("text", ["s1\n=a:1", "s1=a\n:1", "s1=a:\u0661"])
def test_a_shard_with_a_line_break_or_a_foreign_digit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TARANTKV_SHARDS"):
        parse_shards(text)


@pytest.mark.parametrize(
    ("kind", "name"), [(StoreSettings, "TARANTKV_STORE_USER"), (AuthSettings, "TARANTKV_ADMIN_USER")]
)
def test_a_name_in_the_settings_with_a_line_break_is_refused(kind: type[Settings], name: str) -> None:
    required = {"TARANTKV_STORE_PASSWORD": "x", "TARANTKV_JWT_SECRET": "long enough to be a secret of tests"}
    assert isinstance(load(kind, {**required, name: "alice"}), kind)
    for text in ("alice\nbob", "\nalice\n\nb"):
        with pytest.raises(SettingsError, match=name):
            load(kind, {**required, name: text})
