"""The pages that are generated from the code are complete."""

import inspect
import re

import pytest
import tarantkv
from tarantkv import errors
from tarantkv.cli.parser import COMMANDS

from api.ops.metrics import Metrics
from api.ops.openapi import build
from docsite import reference, sources
from docsite.pages import DOCS
from docsite.reference import schemas
from protocol.settings import BatchSettings


def text(name: str) -> str:
    return (DOCS / "reference" / name).read_text()


def test_the_page_on_the_api_has_every_call_and_every_problem() -> None:
    headings = set(re.findall(r"^## ([A-Z]+ /\S+)$", text("api.md"), re.MULTILINE))
    methods = {"get", "put", "post", "patch", "delete"}
    assert headings == {
        f"{method.upper()} {path}"
        for path, calls in build(BatchSettings())["paths"].items()
        for method in methods & calls.keys()
    }
    for kind in re.findall(r"urn:tarant-kv:problem:([a-z-]+)", str(build(BatchSettings()))):
        assert f"`{kind}`" in text("api.md")


def test_the_page_on_the_client_has_every_public_name() -> None:
    methods = {name for name, _ in inspect.getmembers(tarantkv.Client) if not name.startswith("_")}
    assert methods - set(re.findall(r"^- `(\w+)[(:]", text("client.md"), re.MULTILINE)) == set()
    for name, one in vars(errors).items():
        if inspect.isclass(one) and issubclass(one, errors.TarantKVError):
            assert f"| `{name}` |" in text("client.md")


def test_the_page_on_the_command_line_has_every_command_with_its_flags() -> None:
    assert re.findall(r"^## (\S+)$", text("cli.md"), re.MULTILINE) == list(COMMANDS)
    section = text("cli.md").partition("\n## incr\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([^` ]+)", section, re.MULTILINE)
    assert {"KEY", "BY", "--initial", "--min", "--max", "--ttl", "--idempotency-key"} <= set(named)
    assert "--url" not in named


def test_the_page_on_metrics_has_every_scraped_metric() -> None:
    metrics = Metrics()
    metrics.took("s1", 0.1)
    metrics.stage("gate", 0.1)
    metrics.flush()
    scraped = dict(re.findall(r"^# TYPE (\w+) (\w+)$", metrics.render().decode(), re.MULTILINE))
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text("metrics.md"), re.MULTILINE))
    assert rows == {name: kind for name, kind in scraped.items() if not name.endswith("_created")}
    assert "| `tarantkv_stage_duration_seconds` | histogram | `stage` |" in text("metrics.md")


def test_a_page_that_differs_from_the_code_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / "reference" / "metrics.md"
    monkeypatch.setitem(reference.PAGES, page, lambda: "# Something else\n")
    assert sources.problems() == ["docs/reference/metrics.md: differs from the code: make docs writes it again"]


def test_types_are_shown_with_their_bounds() -> None:
    words = schemas.Schemas({"components": {"schemas": {"Value": {"type": "array"}}}})
    value = {"$ref": "#/components/schemas/Value"}
    assert (
        words.kind({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]})
        == "number (over 0) or null"
    )
    assert words.kind({"type": "object", "additionalProperties": value}) == "object by key of value"
    nested = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"enum": ["x", 1]}}}}}
    assert [row[:2] for row in words.rows(nested)] == [["`a`", "object"], ["`a.b`", '`"x"` or `1`']]
