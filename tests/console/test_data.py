"""Keys and values in a real browser: they are shown exactly, changed exactly as typed, and never by accident."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.console.conftest import NewPage, Pictures, Store, look_up, text_of

DIGITS = '{"n":9007199254740993,"f":1.0,"u":18446744073709551615,"e":1e400}'
KEPT = '{"n":9007199254740993,"f":1.0,"u":18446744073709551615}'


def editor(page: Any) -> Any:
    return page.get_by_role("textbox", name="JSON")


def value(page: Any, name: str = "Value") -> Any:
    return page.get_by_role("region", name=name, exact=True)


def test_an_edit_keeps_every_digit_and_the_expiry(
    new_page: NewPage, store: Store, fresh_key: Callable[[], str]
) -> None:
    key = fresh_key()
    store.put(key, KEPT, "?ttl=86400")
    expires = store.get(key).headers["x-expires-at"]
    page = new_page(screen="data")
    look_up(page, key)
    page.get_by_text("23 h 59 min").wait_for()
    assert json.loads(value(page).inner_text()) == json.loads(KEPT)
    assert "18446744073709551615" in value(page).inner_text()
    page.get_by_role("button", name="Edit").click()
    editor(page).fill(editor(page).input_value().replace("1.0", "2.0"))
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    found = store.get(key)
    assert found.text == KEPT.replace("1.0", "2.0")
    assert found.headers["x-expires-at"] == expires


def test_a_text_that_is_not_json_is_not_sent(new_page: NewPage, store: Store, fresh_key: Callable[[], str]) -> None:
    key = fresh_key()
    store.put(key, "1")
    page = new_page(screen="data")
    look_up(page, key)
    page.get_by_role("button", name="Edit").click()
    editor(page).fill("{")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("This is not JSON").wait_for()
    # Only the API can check this, so the page sends it.
    editor(page).fill(DIGITS)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("It may not have been saved").wait_for()
    assert store.get(key).text == "1"
    page.get_by_role("button", name="Cancel").click()
    value(page).wait_for()


@pytest.mark.parametrize(("key", "answer"), [("customer:4711", "over"), ("customer:4712", "drop")])
def test_a_conflicting_edit_shows_both_values_and_overwrites_nothing_by_itself(
    new_page: NewPage, store: Store, pictures: Pictures, key: str, answer: str
) -> None:
    store.put(key, '{"name":"Mary","visits":7}')
    page = new_page(screen="data")
    look_up(page, key)
    page.get_by_role("button", name="Edit").click()
    editor(page).fill('{"name": "Mary", "visits": 8}')
    store.put(key, '{"name":"Mary","visits":9}')
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("somebody has changed this key").wait_for()
    assert '"visits": 9' in value(page, "What the key holds now").inner_text()
    assert '"visits": 8' in editor(page).input_value()
    assert store.get(key).text == '{"name":"Mary","visits":9}'
    pictures.keep(page, "conflict")
    if answer == "over":
        page.get_by_role("button", name="Save my text over it").click()
        page.get_by_text("Saved.").wait_for()
        assert store.get(key).text == '{"name":"Mary","visits":8}'
    else:
        page.get_by_role("button", name="Drop my text").click()
        page.get_by_text('"visits": 9').wait_for()
        assert store.get(key).text == '{"name":"Mary","visits":9}'


def test_a_key_is_created_only_if_it_is_absent(new_page: NewPage, store: Store, fresh_key: Callable[[], str]) -> None:
    key = fresh_key()
    page = new_page(screen="data")
    look_up(page, key)
    page.get_by_role("button", name="Create it").click()
    editor(page).fill('"mine"')
    store.put(key, '"theirs"')
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("somebody has changed this key").wait_for()
    assert store.get(key).text == '"theirs"'


def test_a_key_is_deleted_after_a_question_and_only_with_the_shown_version(
    new_page: NewPage, store: Store, fresh_key: Callable[[], str]
) -> None:
    key = fresh_key()
    store.put(key, "1")
    page = new_page(screen="data")
    look_up(page, key)
    page.get_by_role("button", name="Delete…").click()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert store.get(key).status_code == 200
    store.put(key, "2")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("alert").get_by_text("It was not deleted: somebody has changed it").wait_for()
    assert store.get(key).text == "2"
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("There is no such key.").wait_for()
    assert store.get(key).status_code == 404


def test_hostile_keys_and_values_are_shown_as_text(
    new_page: NewPage, store: Store, fresh_key: Callable[[], str]
) -> None:
    prefix = fresh_key()
    attack = "<script>window.hit=1</script><img src=x onerror=window.hit=1>"
    key = f"{prefix}{attack}\u202egnp.exe\u0000%2F/?#&'\""
    store.put(key, text_of({attack: [attack, "\u202eabc\u2066", "</pre>", "ملف", "\U000e0041"]}))
    page = new_page(screen="data")
    page.get_by_role("textbox", name="Prefix").fill(prefix)
    page.get_by_role("button", name="List").click()
    name = page.locator(".names button")
    assert name.inner_text() == f"{prefix}{attack}\\u202egnp.exe\\u0000%2F/?#&'\""
    name.click()
    shown = value(page).inner_text()
    assert attack.replace('"', '\\"') in shown
    assert "\\u202eabc\\u2066" in shown
    assert "\\udb40\\udc41" in shown
    assert "\u202e" not in page.locator("main").inner_text()
    assert "ملف" in shown
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("window.hit") is None
    # An escape in the editor means the same text.
    before = store.get(key)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    after = store.get(key)
    assert after.json() == before.json()
    assert after.headers["etag"] != before.headers["etag"]


def test_a_value_of_500_kilobytes_is_shown_in_part_and_whole_when_asked_for(
    new_page: NewPage, store: Store, fresh_key: Callable[[], str]
) -> None:
    key = fresh_key()
    store.put(key, text_of("x" * 500_000 + "end"))
    page = new_page(screen="data")
    look_up(page, key)
    page.get_by_text("The first 64 KiB of 488 KiB.").wait_for()
    assert len(value(page).inner_text()) == 64 * 1024
    page.get_by_role("button", name="Show all of it").click()
    page.wait_for_function("document.querySelector('pre.value').textContent.endsWith('xend\"')")


def test_keys_are_listed_by_the_hundred_and_exported_as_a_file(
    new_page: NewPage, store: Store, fresh_key: Callable[[], str]
) -> None:
    prefix = fresh_key()
    store.put_many({f"{prefix}:{number:03}": number for number in range(150)})
    page = new_page(screen="data")
    page.get_by_role("textbox", name="Prefix").fill(prefix)
    page.get_by_role("button", name="List").click()
    page.get_by_text("Keys 1 to 100", exact=True).wait_for()
    assert page.locator(".names li").count() == 100
    page.get_by_role("button", name="Next 100").click()
    page.get_by_text("Keys 101 to 150, the last").wait_for()
    assert page.locator(".names li").count() == 50
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all with this prefix as NDJSON").click()
    assert download.value.suggested_filename == "tarant-kv.ndjson"
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert [line["value"] for line in lines if "key" in line] == list(range(150))
    assert lines[-1] == {"end": True, "items": 150}


@pytest.mark.parametrize(
    ("text", "laid_out"),
    [
        ('{"a":[],"b":{},"c":[1,2.50,-0]}', '{\n  "a": [],\n  "b": {},\n  "c": [\n    1,\n    2.50,\n    -0\n  ]\n}'),
        ('"{\\"a\\": [1,2]}"', '"{\\"a\\": [1,2]}"'),
        ('{"\\\\":"\\\\","}":"{"}', '{\n  "\\\\": "\\\\",\n  "}": "{"\n}'),
        ("12345678901234567890", "12345678901234567890"),
        ("[[[]]]", "[\n  [\n    []\n  ]\n]"),
        ('{"a":1', '{"a":1'),
    ],
)
def test_a_value_is_formatted_without_a_change(new_page: NewPage, text: str, laid_out: str) -> None:
    page = new_page(None)
    found = page.evaluate("async (text) => (await import('/console/static/json_text.js')).laidOut(text)", text)
    assert found == laid_out
