"""Histograms kept as counters: a scrape gives the same as a histogram of the library."""

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.ops.durations import SECONDS, Durations, Shown, estimate, quantile

NAME = "tarantkv_stage_duration_seconds"
SEEN = (0.0, 0.0005, 0.001, 0.0011, 0.3, 5.0, 5.1, 60.0, 0.3)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)


def samples(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): round(sample.value, 6)
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_durations_are_scraped_as_a_histogram_of_the_library() -> None:
    kept, theirs, shown = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    ours = Durations(NAME, "Time.", "stage", kept)
    library = Histogram(NAME, "Time.", ("stage",), buckets=SECONDS, registry=theirs)
    for number, seconds in enumerate(SEEN):
        for stage in ("gate", "shards")[: 1 + number % 2]:
            ours.add(stage, seconds)
            library.labels(stage).observe(seconds)
        if number % 3 == 0:
            ours.flush()
    ours.flush()
    shown.register(Shown(kept, (NAME,), ()))
    assert samples(shown) == samples(theirs)
    text = generate_latest(shown).decode()
    assert f"# TYPE {NAME} histogram" in text
    assert "_created" not in text


def test_a_total_that_is_stored_as_a_gauge_is_scraped_as_a_counter() -> None:
    kept, shown = CollectorRegistry(), CollectorRegistry()
    Gauge("tarantkv_expired_keys_total", "Keys.", ("shard",), registry=kept).labels("s1").set(7)
    shown.register(Shown(kept, (), ("tarantkv_expired_keys_total",)))
    assert "# TYPE tarantkv_expired_keys_total counter" in generate_latest(shown).decode()
    assert 'tarantkv_expired_keys_total{shard="s1"} 7.0' in generate_latest(shown).decode()


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    counts = [0, 0, 90, 9, 1, *[0] * 8]
    assert quantile(counts, 0.5) == SECONDS[2]
    assert quantile(counts, 0.99) == SECONDS[3]
    assert quantile(counts, 1.0) == SECONDS[4]
    assert quantile([0] * 13, 0.99) is None
    assert quantile([0] * 12 + [1], 0.99) is None


def test_a_quantile_is_estimated_within_its_bucket() -> None:
    counts = [0] * (len(SECONDS) + 1)
    assert estimate(counts, 0.5) is None
    counts[SECONDS.index(0.02)] = 100
    assert estimate(counts, 0.5) == pytest.approx(0.015)
    assert estimate(counts, 0.99) == pytest.approx(0.0199)
    counts[0] = 300
    assert estimate(counts, 0.5) == pytest.approx(0.001 * 200 / 300)
    counts[-1] = 10_000
    assert estimate(counts, 0.99) is None
