"""The screens in a real browser, while the system works and while parts of it fail."""

import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from localcluster.cluster import Cluster
from tests.console.conftest import NewPage, Person, Pictures
from tests.console.conftest import Store as Data
from tests.console.test_accessibility import violations
from tests.integration.store import Store

LOOKS = [("light", 1200, 820), ("dark", 1200, 820), ("phone", 390, 844)]


def looks(name: str, width: int, height: int) -> dict[str, Any]:
    scheme = "dark" if name == "dark" else "light"
    return {"color_scheme": scheme, "viewport": {"width": width, "height": height}, "device_scale_factor": 1}


def is_as_wide_as_its_window(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize(("name", "width", "height"), LOOKS)
def test_each_screen_fits_and_shows_the_running_parts(
    new_page: NewPage, store: Data, pictures: Pictures, name: str, width: int, height: int
) -> None:
    store.put_many({f"session:{number:03}": {"user": number, "name": "Mary"} for number in range(120)})
    for number in range(60):
        store.get(f"session:{number:03}")
    page = new_page(**looks(name, width, height))
    page.get_by_text("All is well: all 3 shards answer, 2 workers work for them.").wait_for()
    for shard in ("s1", "s2", "s3"):
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=shard))
        assert row.get_by_text("up", exact=True).is_visible()
        assert "MiB of" in row.inner_text()
    page.get_by_role("img", name="Requests a second: requests").wait_for()
    page.wait_for_function("document.querySelectorAll('canvas').length === 4")
    # A chart needs two samples for its first line.
    page.get_by_text("since this page was opened").wait_for()
    pictures.work(40)
    assert is_as_wide_as_its_window(page)
    pictures.keep(page, f"overview-{name}")
    page.get_by_role("link", name="Queue and workers").click()
    page.get_by_role("table", name="Workers").wait_for()
    assert page.get_by_role("table", name="Streams").get_by_role("rowheader").count() == 3
    assert page.get_by_role("table", name="Workers").get_by_role("rowheader").count() == 2
    lane = page.get_by_role("table", name="Redis lanes").get_by_role("row").nth(1)
    shown = " ".join(lane.inner_text().split())
    for text in ("redis.sock", "up for", " s ", "%", "of 256 MiB", "s1, s2, s3"):
        assert text in shown
    assert page.get_by_role("heading", name="Buckets on the move").count() == 0, "on one machine no bucket moves"
    assert is_as_wide_as_its_window(page)
    pictures.keep(page, f"queue-{name}")
    page.get_by_role("link", name="Data").click()
    page.get_by_role("textbox", name="Prefix").fill("session:")
    page.get_by_role("button", name="List").click()
    page.get_by_text("Keys 1 to 100", exact=True).wait_for()
    page.get_by_role("button", name="session:007").click()
    page.get_by_role("region", name="Value").wait_for()
    assert is_as_wide_as_its_window(page)
    pictures.keep(page, f"data-{name}")


def test_a_dead_shard_appears_with_what_to_do_until_it_runs_again(
    new_page: NewPage, cluster: Cluster, pictures: Pictures
) -> None:
    page = new_page()
    page.get_by_text("All is well").wait_for()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="s2"))
    cluster.kill("shard-s2", signal.SIGSTOP)
    try:
        page.get_by_role("status").get_by_text("1 of 3 shards do not answer: s2.").wait_for(timeout=30_000)
        assert "make logs NAMES=shard-s2" in page.get_by_role("status").inner_text()
        row.get_by_text("down", exact=True).wait_for()
        assert "MiB of" in row.inner_text(), "its former values are not shown any more"
        pictures.keep(page, "dead-shard")
    finally:
        cluster.kill("shard-s2", signal.SIGCONT)
    page.get_by_text("All is well").wait_for(timeout=30_000)
    row.get_by_text("up", exact=True).wait_for()


def test_moves_of_buckets_are_shown_with_their_progress_until_they_end(new_page: NewPage, cluster: Cluster) -> None:
    shard = Store(cluster).consoles["s1"]
    page = new_page(screen="queue")
    page.get_by_role("table", name="Redis lanes").wait_for()
    moves = page.get_by_role("table", name="Buckets on the move")
    assert moves.count() == 0
    shard.run("require('tarantkv.progress').say({{'s4', 1250, 5000, 95000}})")
    try:
        moves.get_by_text("1,250 of 5,000 buckets, 25 %").wait_for()
        assert "s1 → s4" in moves.inner_text()
        assert "1 min 35 s" in moves.inner_text()
        assert page.get_by_role("progressbar", name="Buckets moved from s1 to s4").get_attribute("value") == "1250"
        assert violations(page) == []
    finally:
        shard.run("require('tarantkv.progress').say({})")
    moves.wait_for(state="detached", timeout=30_000)


def test_a_problem_is_found_by_its_request_id(
    new_page: NewPage, cluster: Cluster, people: dict[str, Person], fresh_key: Callable[[], str]
) -> None:
    for request_id in ("mine-4711", "another"):
        headers = {"authorization": people["editor"].token, "x-request-id": request_id}
        url = f"{cluster.base_url}/api/keys/{fresh_key()}"
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 404
    page = new_page(screen="queue")
    problems = page.get_by_role("table", name="Problems")
    problems.get_by_text("another").wait_for()
    page.get_by_role("searchbox", name="Request id").fill("MINE-47")
    problems.get_by_text("mine-4711").wait_for()
    assert problems.get_by_role("rowheader").count() == 1
    assert problems.get_by_text("GET /api/keys/{key}").is_visible()
    page.get_by_role("searchbox", name="Request id").fill("nothing has this")
    page.get_by_text("No problem has this id.").wait_for()


def test_a_hidden_page_sends_no_requests(new_page: NewPage) -> None:
    page = new_page()
    page.get_by_text("All is well").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, value: %s});"
    page.evaluate(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    # There is no event for the absence of requests: wait for more than two of their periods.
    page.wait_for_timeout(5000)
    assert asked == []
    page.evaluate(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("performance.getEntriesByType('resource').length > 0")
    with page.expect_response("**/console/api/status"):
        pass


def test_an_api_that_does_not_answer_is_shown_as_such(new_page: NewPage) -> None:
    page = new_page()
    page.get_by_text("All is well").wait_for()
    page.route("**/console/api/status", lambda route: route.abort())
    page.get_by_role("alert").get_by_text("No fresh status: the api does not answer.").wait_for()
    page.unroute("**/console/api/status")
    page.get_by_role("alert").wait_for(state="detached", timeout=30_000)


def test_opening_the_data_screen_requests_no_key(new_page: NewPage) -> None:
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("link", name="Data").click()
    page.get_by_text("Look up a key, or list some").wait_for()
    with page.expect_response("**/console/api/status"):
        pass
    assert {url.partition("/console/api/")[2] for url in asked if "/console/api/" in url} == {"status"}


def test_actions_that_a_user_may_not_do_are_not_offered(
    new_page: NewPage, store: Data, fresh_key: Callable[[], str]
) -> None:
    key = fresh_key()
    store.put(key, "1")
    page = new_page("watcher", screen="data")
    page.get_by_text("You may not see keys and values").wait_for()
    assert page.get_by_role("textbox").count() == 0
    page = new_page("reader", screen="data")
    for name in (key, key + "-absent"):
        page.get_by_label("Key, exactly").fill(name)
        page.get_by_role("button", name="Look up").click()
        page.get_by_role("heading", name=name, exact=True).wait_for()
        page.get_by_text("never expires" if name == key else "There is no such key.").wait_for()
        for action in ("Edit", "Delete…", "Create it"):
            assert page.get_by_role("button", name=action).count() == 0
