"""The metrics, from the registry of an api: names, types, labels, and the help texts that `/metrics` has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.ops.metrics import HISTOGRAMS, Metrics
from docsite.reference.tables import table

_HEAD = """\
# Metrics

What `GET /metrics` has, in the words of its help texts; this page is written by `make docs`. What to watch of it, and
what to do then, stands in [operations](../operations.md#what-to-watch). A histogram has `_bucket`, `_sum` and `_count`.
A counter starts at 0 with its api process. Several api processes of a machine answer together.

"""
_LABELS = """
| label | is |
|---|---|
| `route` | a path of the api, `/api/keys/{key}` for every key; a fixed few of them |
| `status` | the status of the answer; of a chunk its outcome |
| `shard` | the shard's name |
| `stage` | `gate`: a request waits to start; `append`: frames go to Redis; `shards`: chunks wait for outcomes |
| `code` | why a change left a key alone: `condition_failed`, `not_a_number`, `out_of_range` |
| `result` | what became of a line of an import: `applied`, `already_there`, `rejected`, `failed` |
| `version`, `python` | of the api process |
"""


def page() -> str:
    """The whole page."""
    return _HEAD + table(["metric", "type", "labels", "means"], sorted(_rows())) + _LABELS


def _rows() -> Iterator[tuple[str, str, str, str]]:
    collectors: dict[Any, list[str]] = Metrics()._registry._collector_to_names  # noqa: SLF001 - nothing else tells labels
    for collector in collectors:
        (family,) = collector.describe()
        labels = ", ".join(f"`{label}`" for label in collector._labelnames if label != "le")  # noqa: SLF001 - same
        name, kind = family.name, family.type
        if name.startswith(HISTOGRAMS):
            # Kept as counters, shown as histograms: see `api.ops.durations`.
            if name.endswith("_sum"):
                continue
            name, kind = name.removesuffix("_bucket"), "histogram"
        elif kind == "counter":
            name += "_total"
        elif name.endswith("_total"):
            kind = "counter"
        yield f"`{name}`", kind, labels, family.documentation
