"""Writes the page of the Python client from its signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tarantkv
from tarantkv import errors, models, policy

from docsite.reference.tables import cell, table

_HEAD = """\
# The Python client, name by name

Signatures and docstrings of the package `tarantkv`. [The Python client](../client.md) explains them with examples.
`make docs` writes this page.

`AsyncClient` has the same methods as `Client`. Use `await` with them, and `async for` with `scan`, `export`,
`import_lines` and `import_parts`.
"""


def page() -> str:
    """The text of the page."""
    return "".join(
        [
            _HEAD,
            "\n## Client\n\n",
            *_class(tarantkv.Client),
            "\n## Scan and Export\n\nWhat `scan` and `export` give: iterators of `Item`.\n",
            *_iterators(),
            "\n## Options\n\nOptions of calls, by name. `options` has those of single keys.\n\n",
            *_options(),
            "\n## What calls give\n\n",
            table(["type", "members", "means"], _tuples()),
            "\n## Policy\n\n",
            f"{_text(policy.Policy)}\n\n",
            table(["member", "default", "means"], _members(policy.Policy)),
            "\n## Errors\n\nOf the module `tarantkv.errors`, each below the one that it is a kind of.\n\n",
            table(["error", "kind of", "means"], _errors()),
        ]
    )


def _class(one: type) -> Iterator[str]:
    yield f"{_text(one)}\n\n"
    source = ast.parse(textwrap.dedent(inspect.getsource(one)))
    (node,) = (statement for statement in source.body if isinstance(statement, ast.ClassDef))
    for member in node.body:
        wanted = isinstance(member, ast.FunctionDef) and not member.name.startswith("_")
        if isinstance(member, ast.FunctionDef) and (wanted or (member.name == "__init__" and one is tarantkv.Client)):
            yield from _method(one.__name__, member)


def _method(owner: str, method: ast.FunctionDef) -> Iterator[str]:
    arguments = ast.unparse(method.args).removeprefix("self").removeprefix(", ")
    given = f" -> {ast.unparse(method.returns)}" if method.returns and method.name != "__init__" else ""
    name = owner if method.name == "__init__" else method.name
    known = any(isinstance(mark, ast.Name) and mark.id == "property" for mark in method.decorator_list)
    yield f"- `{name}{given.replace(' ->', ':')}`\n" if known else f"- `{name}({arguments}){given}`\n"
    if text := ast.get_docstring(method):
        yield textwrap.indent(f"\n{_lists(text)}\n", "  ") + "\n"


def _iterators() -> Iterator[str]:
    from tarantkv import iterators

    for one in (iterators.Scan, iterators.Export):
        yield f"\n### {one.__name__}\n\n"
        yield from _class(one)


def _options() -> Iterator[str]:
    kinds = {
        "write, set": models.WriteOptions,
        "delete": models.DeleteOptions,
        "touch": models.TouchOptions,
        "increment, incr": models.IncrementOptions,
        "scan": models.ScanOptions,
        "export": models.ExportOptions,
        "a key in `options`": models.KeyOptions,
    }
    rows = []
    for calls, kind in kinds.items():
        names = list(kind.__annotations__)
        texts = [_text(kind)] if kind is not models.KeyOptions else []
        rows.append([calls, ", ".join(f"`{name}`" for name in names), " ".join(filter(None, texts))])
    yield table(["call", "options", "means"], rows)
    yield f"\nEvery change takes these. {cell(_text(models.ChangeOptions).replace('What every change takes. ', ''))}\n"


def _tuples() -> Iterator[list[str]]:
    for kind in (models.Item, models.ReadResult, models.KeyMeta, models.TouchResult, models.Page, models.ImportResult):
        yield [f"`{kind.__name__}`", ", ".join(f"`{name}`" for name in kind._fields), _text(kind)]
    yield ["`Ready`", ", ".join(f"`{name}`" for name in models.Ready._fields), _text(models.Ready)]


def _members(kind: Any) -> Iterator[list[str]]:
    """The members of a named tuple; the text of each is the string below it."""
    source = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    (node,) = (statement for statement in source.body if isinstance(statement, ast.ClassDef))
    found: list[list[str]] = []
    for statement in node.body[1:]:
        if isinstance(statement, ast.AnnAssign):
            default = ast.unparse(statement.value) if statement.value else ""
            found.append([f"`{ast.unparse(statement.target)}`", f"`{default}`", ""])
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and found:
            found[-1][2] = str(statement.value.value)
    yield from found


def _errors() -> Iterator[list[str]]:
    path = Path(inspect.getfile(errors))
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.ClassDef):
            bases = ", ".join(f"`{ast.unparse(base)}`" for base in statement.bases)
            yield [f"`{statement.name}`", bases, _lists(ast.get_docstring(statement) or "")]


def _text(one: Any) -> str:
    return _lists(inspect.getdoc(one) or "")


def _lists(text: str) -> str:
    """A docstring as Markdown; its section `Raises` becomes a sentence."""
    before, _, raises = text.partition("\nRaises:\n")
    return before.strip() + (f"\n\nRaises {' '.join(raises.split())}" if raises else "")
