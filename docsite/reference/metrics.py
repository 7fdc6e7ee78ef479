"""Writes the page of the metrics from the registry of an api: names, types, labels and help texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.ops.metrics import HISTOGRAMS, Metrics
from docsite.reference.tables import table

_HEAD = """\
# Metrics

The metrics of `GET /metrics`, with their help texts. `make docs` writes this page.
[Operations](../operations.md#what-to-watch) says which of them to watch, and what to do. A histogram has `_bucket`,
`_sum` and `_count`. A counter starts at 0 when its api process starts. Each answer contains all api processes of a
machine.

"""
_LABELS = """
| label | value |
|---|---|
| `route` | a path of the api, one of a fixed list; `/api/keys/{key}` for every key |
| `status` | the status of the answer, or the outcome of a chunk |
| `shard` | the shard's name |
| `stage` | `gate`: a request waits to start; `append`: frames go to Redis; `shards`: chunks wait for outcomes |
| `code` | why a key was not changed: `condition_failed`, `not_a_number`, `out_of_range` |
| `result` | the result of a line of an import: `applied`, `already_there`, `rejected`, `failed` |
| `version`, `python` | of the api process |
"""


def page() -> str:
    """The text of the page."""
    return _HEAD + table(["metric", "type", "labels", "means"], sorted(_rows())) + _LABELS


def _rows() -> Iterator[tuple[str, str, str, str]]:
    collectors: dict[Any, list[str]] = Metrics()._registry._collector_to_names  # noqa: SLF001 - nothing else tells labels
    for collector in collectors:
        (family,) = collector.describe()
        labels = ", ".join(f"`{label}`" for label in collector._labelnames if label != "le")  # noqa: SLF001 - same
        name, kind = family.name, family.type
        if name.startswith(HISTOGRAMS):
            # The registry holds counters, and `/metrics` shows them as histograms: see `api.ops.durations`.
            if name.endswith("_sum"):
                continue
            name, kind = name.removesuffix("_bucket"), "histogram"
        elif kind == "counter":
            name += "_total"
        elif name.endswith("_total"):
            kind = "counter"
        yield f"`{name}`", kind, labels, family.documentation
