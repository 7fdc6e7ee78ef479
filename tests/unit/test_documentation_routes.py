"""No path below the documentation's routes gives a 500, and none leads to a file that the page does not load."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from api.ops import documentation
from protocol.settings import BatchSettings

PIECES = ("..", ".", "", "etc", "passwd", "swagger-ui.css", "page.js", "openapi.json", "files", "%2e%2e", "%00", "\0")
ODD = ("/", "%2f", "//", "\\", ";", "%", "%%", "\u00e9", "\ud7ff", "\U0001f600", " ", "\t", "a" * 300)

paths = st.lists(st.sampled_from(PIECES + ODD) | st.text(max_size=5), max_size=6).map("/".join)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    app = Litestar(documentation.routes(BatchSettings()), openapi_config=None)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@settings(derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(paths, st.sampled_from(["GET", "HEAD", "POST", "PUT"]))
def test_no_path_gives_a_500(client: TestClient[Litestar], path: str, method: str) -> None:
    for target in (f"/schema/files/{quote(path)}", f"/schema/{quote(path)}"):
        assert client.request(method, target).status_code in (200, 400, 404, 405), target


def test_only_the_files_of_the_page_are_served(client: TestClient[Litestar]) -> None:
    assert client.get("/schema/files/swagger-ui.css").status_code == 200
    for name in (
        "asyncapi-web-component.js",
        "default.min.css",
        "swagger-ui-standalone-preset.js",
        "",
        "../__init__.py",
    ):
        assert client.get(f"/schema/files/{quote(name, safe='')}").status_code == 404, name
