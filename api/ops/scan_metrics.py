"""The metrics of scans, exports and imports, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class ScanMetrics:
    """The metrics of scans of one api process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pages = Counter(
            "tarantkv_scan_pages", "Pages of scans and exports that were read.", ("route",), registry=registry
        )
        self._items = Counter(
            "tarantkv_scan_items", "Keys in pages of scans and exports.", ("route",), registry=registry
        )
        self._exports = Gauge(
            "tarantkv_scan_exports_under_way",
            "Exports that are being sent.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._lines = Counter(
            "tarantkv_scan_import_lines", "Lines of imports, by their result.", ("result",), registry=registry
        )

    def page(self, route: str, items: int) -> None:
        """Count a page."""
        self._pages.labels(route).inc()
        self._items.labels(route).inc(items)

    def export(self, change: int) -> None:
        """Count an export that begins (1) or ends (-1)."""
        self._exports.inc(change)

    def lines(self, result: str, lines: int) -> None:
        """Count lines of an import."""
        self._lines.labels(result).inc(lines)
