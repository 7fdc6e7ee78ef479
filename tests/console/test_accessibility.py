"""The console without sight or without a mouse: axe's rules on every screen, and the keyboard."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.console.conftest import NewPage, Person, Store, look_up


def violations(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: make test-browser")
    found = axe.Axe().run(page).response["violations"]
    return [f"{each['id']}: {[node['html'] for node in each['nodes'][:3]]}" for each in found]


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_on_any_screen(
    new_page: NewPage, store: Store, fresh_key: Callable[[], str], scheme: str, width: int
) -> None:
    key = fresh_key()
    store.put(key, '{"name":"Mary"}', "?ttl=3600")
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    page = new_page(None, **options)
    page.get_by_role("button", name="Log in").wait_for()
    assert violations(page) == [], "login"
    page = new_page(**options)
    page.get_by_text("All is well").wait_for()
    assert violations(page) == [], "overview"
    page.get_by_role("link", name="Queue and workers").click()
    page.get_by_role("table", name="Problems").wait_for()
    assert violations(page) == [], "queue"
    page.get_by_role("link", name="Data").click()
    page.get_by_role("textbox", name="Prefix").fill(key)
    page.get_by_role("button", name="List").click()
    page.locator(".names button").click()
    page.get_by_role("button", name="Delete…").wait_for()
    assert violations(page) == [], "data"
    page.get_by_role("button", name="Delete…").click()
    assert violations(page) == [], "question"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Edit").click()
    store.put(key, "2")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("somebody has changed this key").wait_for()
    assert violations(page) == [], "conflict"


def test_every_action_can_be_done_by_the_keyboard(
    new_page: NewPage, people: dict[str, Person], store: Store, fresh_key: Callable[[], str]
) -> None:
    key = fresh_key()
    store.put(key, "1")
    page = new_page(None, screen="data")
    person = people["editor"]
    page.wait_for_function("document.activeElement.id === 'username'")
    page.keyboard.type(person.name)
    page.keyboard.press("Tab")
    page.keyboard.type(person.password)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Keys by prefix").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "screen"
    page.keyboard.press("Tab")
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Delete…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    # "No" has the focus, so a second Enter deletes nothing.
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent") == "Delete…"
    assert store.get(key).text == "1"


def test_the_console_follows_a_change_of_the_colour_scheme(new_page: NewPage) -> None:
    page = new_page(color_scheme="light")
    page.get_by_text("All is well").wait_for()
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{background} !== '{light}'")
    page.wait_for_function("document.querySelectorAll('canvas').length === 4")


def test_a_screen_reader_gets_a_description_of_a_value(
    new_page: NewPage, store: Store, fresh_key: Callable[[], str]
) -> None:
    key = fresh_key()
    store.put(key, "1")
    page = new_page(screen="data")
    look_up(page, key)
    region = page.get_by_role("region", name=key)
    region.get_by_role("region", name="Value").wait_for()
    terms = region.get_by_role("term").all_inner_texts()
    assert terms == ["Size as JSON", "Version", "Time left"]
