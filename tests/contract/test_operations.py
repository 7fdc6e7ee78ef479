"""The routes besides the API itself: health, metrics, documentation, and paths without a route.

Tests of a path's exact bytes are marked `direct`: proxies refuse or rewrite some of them.
"""

import httpx
import pytest

from tests.contract.calls import Api
from tests.contract.problems import assert_usable, problem_of

READABLE = (
    "/",
    "/docs",
    "/health/live",
    "/health/ready",
    "/schema",
    "/schema/openapi.json",
    "/schema/page.js",
    "/schema/files/swagger-ui.css",
    "/schema/files/swagger-ui-bundle.js",
)
EVERY_READABLE = (*READABLE, pytest.param("/metrics", marks=pytest.mark.direct))
NO_FILES = (
    "/schema/files",
    "/schema/files/",
    "/schema/files/nothing.css",
    "/schema/files/asyncapi-web-component.js",
    "/schema/files/../page.js",
    "/schema/files/%2e%2e/page.js",
    "/schema/files/..%2f..%2f..%2fetc%2fpasswd",
    "/schema/files//etc/passwd",
    "/schema/files/%00",
    "/schema/files/swagger-ui.css%00",
    "/schema/files/%c3%a9",
    "/schema/files/%ff%fe",
    "/schema/files/" + "a" * 300,
    "/schema/files/" + "a/" * 3000,
)
OTHER_SPELLINGS = ("{}/", "{}//", "/{}", "{}/.", "{}%2f", "{};x", "/x/..{}", "{}%20", "{}%00")


def get(api: Api, path: str, method: str = "GET") -> httpx.Response:
    """Send a path exactly as it is written here: httpx would normalize it."""
    return api.http.request(method, "/", extensions={"target": path.encode()})


@pytest.mark.parametrize("path", EVERY_READABLE)
def test_head_gets_the_answer_of_get_without_the_body(api: Api, path: str) -> None:
    got, headed = get(api, path), get(api, path, "HEAD")
    assert headed.status_code == got.status_code
    assert headed.content == b""
    assert got.content
    assert headed.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":
        assert headed.headers["content-length"] == str(len(got.content))
    assert_usable(api, headed)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_paths_that_people_try_first_point_to_the_documentation(api: Api, path: str) -> None:
    answer = get(api, path)
    assert (answer.status_code, answer.headers["location"]) == (302, "/schema")
    assert "/schema" in answer.text


@pytest.mark.parametrize("path", EVERY_READABLE)
def test_a_content_type_names_its_charset_once(api: Api, path: str) -> None:
    content_type = get(api, path).headers["content-type"]
    assert content_type.count("charset") <= 1
    assert content_type.startswith("application/json") or content_type.endswith("charset=utf-8")


@pytest.mark.direct
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_an_odd_path_below_the_files_is_not_found(api: Api, method: str) -> None:
    for path in NO_FILES:
        answer = get(api, path, method)
        assert answer.status_code == 404, path
        if method != "HEAD":
            problem_of(answer, "not-found")
        assert_usable(api, answer)


@pytest.mark.direct
@pytest.mark.parametrize("path", [*READABLE[1:], "/metrics", "/api/login", "/api/write"])
def test_a_route_has_one_spelling(api: Api, path: str) -> None:
    escaped = f"/%{ord(path[1]):02x}{path[2:]}"
    answers = {
        spelling: get(api, spelling, "POST" if path.startswith("/api/") else "GET")
        for spelling in [escaped, *(form.format(path) for form in OTHER_SPELLINGS)]
    }
    assert {spelling: answer.status_code for spelling, answer in answers.items()} == dict.fromkeys(answers, 404)
    for answer in answers.values():
        problem_of(answer, "not-found")
