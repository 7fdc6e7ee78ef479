"""Defines the Grafana board: `python deploy/grafana/board.py` writes it to `tarant-kv.json` beside this file.

A test checks that a running system has the metrics and labels of every query, and that the JSON matches this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

BOARD = Path(__file__).with_name("tarant-kv.json")

WINDOW = "$__rate_interval"
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24
_SOURCE = {"type": "prometheus", "uid": "tarantkv"}


class Panel(NamedTuple):
    """A chart: its title, the unit of its axis, and its queries, each with its name in the legend."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def rate(metric: str, by: str, where: str = "") -> str:
    """The rate of a counter, by a label."""
    return f"sum by ({by}) (rate({metric}{where}[{WINDOW}]))"


def quantile(share: float, histogram: str, by: str) -> str:
    """A quantile of a histogram, by a label."""
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({histogram}_bucket[{WINDOW}])))"


def of_shards(metric: str) -> str:
    """A number of each shard. All api processes report it, so the highest is taken."""
    return f"max by (shard) ({metric})"


ROWS: dict[str, tuple[Panel, ...]] = {
    "Requests": (
        Panel("Requests", "reqps", ((rate("tarantkv_requests_total", "route"), "{{route}}"),)),
        Panel(
            "Latency",
            "s",
            tuple(
                (quantile(share, "tarantkv_request_duration_seconds", "route"), f"{{{{route}}}} p{share * 100:g}")
                for share in (0.5, 0.99)
            ),
        ),
        Panel("Failures", "reqps", ((rate("tarantkv_requests_total", "status", '{status=~"4..|5.."}'), "{{status}}"),)),
        Panel("Keys a batch", "short", ((quantile(0.5, "tarantkv_batch_keys", "route"), "{{route}}"),)),
        Panel("Conditions that failed", "cps", ((rate("tarantkv_conditions_failed_total", "code"), "{{code}}"),)),
        Panel("Stages, p99", "s", ((quantile(0.99, "tarantkv_stage_duration_seconds", "stage"), "{{stage}}"),)),
    ),
    "Queue": (
        Panel("Chunks that wait", "short", (("sum(tarantkv_chunks_waiting)", "chunks"),)),
        Panel("Oldest chunk", "s", ((of_shards("tarantkv_queue_oldest_seconds"), "{{shard}}"),)),
        Panel("Chunks sent again", "cps", ((rate("tarantkv_chunks_resent_total", "instance"), "{{instance}}"),)),
        Panel("Chunks, p99", "s", ((quantile(0.99, "tarantkv_chunk_duration_seconds", "shard"), "{{shard}}"),)),
        Panel("Outcomes", "cps", ((rate("tarantkv_chunk_outcomes_total", "shard, status"), "{{shard}} {{status}}"),)),
        Panel("Lanes that work", "bool_yes_no", (("min by (lane) (tarantkv_redis_lane_up)", "{{lane}}"),)),
        Panel("Shards a lane carries", "short", (("max by (lane) (tarantkv_redis_lane_shards)", "{{lane}}"),)),
        Panel("Memory of api processes", "bytes", (("sum by (instance) (tarantkv_api_memory_bytes)", "{{instance}}"),)),
    ),
    "Shards": (
        Panel("Leader", "bool_yes_no", ((of_shards("tarantkv_shard_leader"), "{{shard}}"),)),
        Panel(
            "Memory, of the limit",
            "percentunit",
            (
                (
                    of_shards("tarantkv_shard_memory_used_bytes")
                    + " / "
                    + of_shards("tarantkv_shard_memory_limit_bytes"),
                    "{{shard}}",
                ),
            ),
        ),
        Panel("Keys", "short", ((of_shards("tarantkv_keys"), "{{shard}}"),)),
        Panel("Clock skew", "s", ((of_shards("tarantkv_clock_skew_seconds"), "{{shard}}"),)),
        Panel(
            "Memory of records and claims",
            "bytes",
            (
                (of_shards("tarantkv_chunk_record_bytes"), "{{shard}} records"),
                (of_shards("tarantkv_claim_bytes"), "{{shard}} claims"),
            ),
        ),
        Panel(
            "Records and claims",
            "short",
            (
                (of_shards("tarantkv_chunk_records"), "{{shard}} records"),
                (of_shards("tarantkv_claims"), "{{shard}} claims"),
            ),
        ),
    ),
    "Expiry, scans and versions": (
        Panel("Expiry lag", "s", ((of_shards("tarantkv_expiry_lag_seconds"), "{{shard}}"),)),
        Panel("Keys that expire", "short", ((of_shards("tarantkv_expiring_keys"), "{{shard}}"),)),
        Panel(
            "Expired keys removed",
            "cps",
            ((f"max by (shard) (rate(tarantkv_expired_keys_total[{WINDOW}]))", "{{shard}}"),),
        ),
        Panel(
            "Scans and exports",
            "cps",
            (
                (rate("tarantkv_scan_items_total", "route"), "{{route}} keys"),
                (rate("tarantkv_scan_pages_total", "route"), "{{route}} pages"),
                ("sum(tarantkv_scan_exports_under_way)", "exports under way"),
            ),
        ),
        Panel("Imported lines", "cps", ((rate("tarantkv_scan_import_lines_total", "result"), "{{result}}"),)),
        Panel(
            "Versions",
            "short",
            (("count by (version, python) (tarantkv_build_info)", "{{version}}, Python {{python}}"),),
        ),
    ),
}


def build() -> dict[str, Any]:
    """The board as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, charts in ROWS.items():
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": row, "gridPos": place, "panels": []})
        top += 1
        for position, chart in enumerate(charts):
            x = position * _WIDTH % _COLUMNS
            panels.append(_panel(len(panels) + 1, chart, x, top + position * _WIDTH // _COLUMNS * _HEIGHT))
        top += -(-len(charts) * _WIDTH // _COLUMNS) * _HEIGHT
    return {
        "uid": "tarantkv",
        "title": "tarant-kv",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "editable": False,
        "panels": panels,
    }


def _panel(number: int, chart: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": chart.title,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": chart.unit, "min": None if chart.title == "Clock skew" else 0}},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(chart.queries)
        ],
    }


def text() -> str:
    """The content of the file."""
    return json.dumps(build(), indent=1) + "\n"


if __name__ == "__main__":
    BOARD.write_text(text())
