"""`/metrics` counts requests, and the documentation page loads nothing from other servers."""

import re
from collections.abc import Callable
from urllib.parse import urljoin

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.calls import Api
from tests.contract.documented import Documented

FreshKey = Callable[[], str]


def samples(api: Api) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The metrics of the process, or of all processes together, by name and labels."""
    text = api.http.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(api: Api, **labels: str) -> float:
    return samples(api).get(("tarantkv_requests_total", frozenset(labels.items())), 0.0)


@pytest.mark.direct
def test_requests_are_counted_by_route_and_status(api: Api, fresh_key: FreshKey) -> None:
    before = requests(api, route="/api/write", status="200")
    api.write({fresh_key(): 1})
    assert requests(api, route="/api/write", status="200") >= before + 1


@pytest.mark.direct
def test_all_unknown_paths_are_counted_as_one_route(api: Api, fresh_key: FreshKey) -> None:
    before = requests(api, route="other", status="404")
    path = fresh_key()
    api.http.get(f"/{path}")
    assert requests(api, route="other", status="404") >= before + 1
    assert path not in api.http.get("/metrics").text


@pytest.mark.direct
def test_all_keys_in_paths_are_counted_as_one_route(api: Api, fresh_key: FreshKey) -> None:
    before = requests(api, route="/api/keys/{key}", status="404")
    key = fresh_key()
    api.http.get(f"/api/keys/{key}", headers={"authorization": str(api.token)})
    assert requests(api, route="/api/keys/{key}", status="404") >= before + 1
    assert key not in api.http.get("/metrics").text


@pytest.mark.direct
def test_the_keys_of_batches_are_counted(api: Api, fresh_key: FreshKey) -> None:
    name = ("tarantkv_batch_keys_sum", frozenset({("route", "/api/read")}))
    before = samples(api).get(name, 0.0)
    api.read_document(*(fresh_key() for _ in range(17)))
    assert samples(api)[name] >= before + 17


def test_the_page_loads_nothing_from_other_servers(api: Api) -> None:
    page = api.http.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert urljoin("/schema", source).startswith("/schema/")
        assert api.http.get(source).status_code == 200, source


def test_the_page_shows_the_document(api: Api) -> None:
    assert "/schema/openapi.json" in api.http.get("/schema/page.js").text


def test_every_reference_in_the_document_resolves(documented: Documented) -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: object = documented.document
                for part in node["$ref"].removeprefix("#/").split("/"):
                    assert isinstance(target, dict)
                    assert part in target, node["$ref"]
                    target = target[part]
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(documented.document)


def test_the_page_fills_in_no_idempotency_key(documented: Documented) -> None:
    # A reader who sends two examples in turn would use the same `Idempotency-Key` for two requests.
    parameter = documented.document["components"]["parameters"]["Idempotency-Key"]
    assert not {"example", "examples"} & parameter.keys()
    assert not {"example", "examples", "default"} & parameter["schema"].keys()


def test_every_call_of_the_api_is_documented(documented: Documented) -> None:
    calls = {
        "login",
        "logout",
        "write",
        "read",
        "delete",
        "touch",
        "increment",
        "scan",
        "export",
        "import",
        "keys/{key}",
        "status",
        "users",
        "users/{name}",
    }
    assert {path for path in documented.document["paths"] if path.startswith("/api/")} == {
        f"/api/{call}" for call in calls
    }


def test_every_request_and_answer_has_an_example(documented: Documented) -> None:
    for path, operations in documented.document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
            answers = operation["responses"].items() if path.startswith("/api/") else ()
            # A 304 has no content.
            contents += [answer["content"] for status, answer in answers if status != "304"]
            for content in contents:
                assert any("example" in kind or "examples" in kind for kind in content.values()), (method, path)
