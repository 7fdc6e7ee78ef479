"""The navigation, the links and the generated parts are correct, and a fault in them is noticed."""

import importlib.util
from pathlib import Path

import pytest

from docsite import building, links, navigation, pages, sources, staging
from docsite.fences import blocks, prose
from docsite.pages import DOCS, anchors, slug


def test_every_page_is_in_the_navigation_once() -> None:
    assert navigation.problems() == []


def test_every_link_leads_to_a_page_and_a_heading() -> None:
    assert links.problems() == []


def test_generated_parts_are_those_of_the_present_code() -> None:
    assert sources.problems() == []


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("no-such-page.md", "there is no such file"),
        ("api.md#no-such-heading", "there is no such heading"),
        ("../scripts/lengths.py#main", "there is no such heading"),
        ("../examples", "a folder is not a page of the site: link its README.md"),
        ("/api.md", "make the path relative to this page"),
        ("#nowhere", "there is no such heading"),
    ],
)
def test_a_broken_link_is_noticed(target: str, why: str) -> None:
    (link,) = pages.links(f"[text]({target})")
    assert links.fault(DOCS / "index.md", link) == why


def test_a_page_that_no_list_names_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.md").write_text("# Site\n\n## Part\n\n- [One](one.md)\n- [Two](two.md)\n- [One](one.md)\n")
    for name in ("one.md", "console.md"):
        (tmp_path / name).write_text("# A page\n")
    monkeypatch.setattr(navigation, "DOCS", tmp_path)
    monkeypatch.setattr(navigation, "INDEX", tmp_path / "index.md")
    monkeypatch.setattr(navigation, "LISTS", (tmp_path / "index.md",))
    assert [line.replace(f"{tmp_path}/", "") for line in navigation.problems()] == [
        "docs/console.md: no list of docs/index.md names it: add a line there",
        "one.md: named twice in the navigation",
        "two.md: named in the navigation, but does not exist",
    ]


def test_a_block_is_filled_from_the_function_that_it_names() -> None:
    page = "Text\n\n```python docsite/pages.py#slug\nold\n```\n"
    new = sources.filled(page, "a page")
    assert new.startswith("Text\n\n```python docsite/pages.py#slug\ndef slug(heading: str) -> str:\n")
    assert sources.filled(new, "a page") == new
    with pytest.raises(sources.SourceError, match=r"a page:3: no source docsite/pages\.py#gone"):
        sources.filled(page.replace("#slug", "#gone"), "a page")


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("TLS and the network", "tls-and-the-network"),
        ("1. `import`, and [more](a.md)", "1-import-and-more"),
        ("What doctor sees", "what-doctor-sees"),
    ],
)
def test_anchors_are_those_that_the_repositorys_web_pages_make(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_headings_and_links_in_code_are_ignored(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n\n```sh\n# Two\n[a](b.md)\n```\n\n`[c](d.md)` [e](f.md)\n\n# One\n")
    assert anchors(page) == {"one", "one-1"}
    assert [link.target for link in pages.links(page.read_text())] == ["f.md"]
    assert len(prose(page.read_text())) == len(page.read_text())
    assert [(block.line, block.language) for block in blocks(page.read_text())] == [(3, "sh")]


def test_links_to_pages_outside_docs_lead_into_the_site(tmp_path: Path) -> None:
    staging.stage(tmp_path)
    assert "](contributing.md)" in (tmp_path / "index.md").read_text()
    assert "](docs/api.md)" not in (tmp_path / "readme.md").read_text()
    assert "](api.md)" in (tmp_path / "readme.md").read_text()
    assert ":caption: Tutorials\n\ntutorials/session-store\n" in (tmp_path / "index.md").read_text()


@pytest.mark.parametrize(
    "loaded",
    [
        '<script defer src="https://cdn.example/a.js"></script>',
        '<link href="//fonts.example/css" rel="stylesheet">',
        '<img alt="" src="http://badges.example/b.svg">',
    ],
)
def test_a_page_that_would_load_something_from_another_server_is_noticed(loaded: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="https://elsewhere.example">text</a><script src="_static/a.js"></script>')
    (tmp_path / "a.css").write_text("a { background: url(data:image/png;base64,AAAA) }")
    assert building.from_elsewhere(tmp_path) == []
    (tmp_path / "b.html").write_text(loaded)
    assert len(building.from_elsewhere(tmp_path)) == 1


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="make docs installs the builder")
def test_the_builder_gives_no_warnings(tmp_path: Path) -> None:
    assert building.build(tmp_path / "site") == 0
    assert (tmp_path / "site" / "tutorials" / "cache.html").exists()


def test_the_builders_copies_have_only_languages_that_it_knows(tmp_path: Path) -> None:
    staging.stage(tmp_path)
    copies = [page.read_text() for page in tmp_path.rglob("*.md")]
    assert len(copies) > 40
    assert "http" not in {block.info for page in copies for block in blocks(page)}
