"""What `top`, `doctor` and the progress bar show, and how they look on a terminal."""

import pytest
from tarantkv import Client
from tarantkv.cli import main
from tarantkv.cli.doctor import _clock, _metrics, _redis, _shards, _versions
from tarantkv.cli.progress import Progress
from tarantkv.cli.samples import Samples, quantile, rates
from tarantkv.cli.told import lanes_of, lines_of, moves_of, span
from tarantkv.cli.watching import screen, shards_of
from tarantkv.models import Ready

BEFORE = """
# HELP tarantkv_requests_total Requests answered.
tarantkv_requests_total{route="/api/read",status="200"} 100.0
tarantkv_request_duration_seconds_bucket{le="0.001",route="/api/read"} 50.0
tarantkv_request_duration_seconds_bucket{le="0.01",route="/api/read"} 100.0
tarantkv_request_duration_seconds_bucket{le="+Inf",route="/api/read"} 100.0
"""
AFTER = """
tarantkv_requests_total{route="/api/read",status="200"} 300.0
tarantkv_requests_total{route="/api/read",status="503"} 20.0
tarantkv_request_duration_seconds_bucket{le="0.001",route="/api/read"} 150.0
tarantkv_request_duration_seconds_bucket{le="0.01",route="/api/read"} 310.0
tarantkv_request_duration_seconds_bucket{le="+Inf",route="/api/read"} 320.0
tarantkv_shard_memory_used_bytes{shard="s1"} 9.0e+07
tarantkv_shard_memory_limit_bytes{shard="s1"} 1.0e+08
tarantkv_shard_memory_used_bytes{shard="s2"} 1.0e+07
tarantkv_shard_memory_limit_bytes{shard="s2"} 1.0e+08
tarantkv_expiry_lag_seconds{shard="s2"} 96.0
tarantkv_chunk_outcomes_total{shard="s1",status="no_memory"} 3.0
tarantkv_chunk_outcomes_total{shard="s2",status="ok"} 3.0
"""


def test_rates_and_latencies_cover_the_time_between_two_updates() -> None:
    found = rates(Samples(BEFORE, 10.0), Samples(AFTER, 12.0))
    assert found.requests == {"/api/read": 110.0}
    assert found.failed == 10.0
    assert found.p50_ms == pytest.approx(1 + 9 * 10 / 110)
    assert found.p99_ms == 10.0


def test_a_quantile_without_requests_is_none() -> None:
    assert quantile([(0.1, 0.0), (float("inf"), 0.0)], 0.5) is None
    assert quantile([], 0.5) is None


def test_doctor_names_each_fault_and_what_to_do() -> None:
    found = {(each.check, each.state): each for each in _metrics(Samples(AFTER, 0.0))}
    assert found["memory", "warning"].found == "shard s1 is 90 % full"
    assert "TARANTKV_SHARD_MEMORY_MIB" in found["memory", "warning"].to_do
    assert "shard s2 is 96 s behind" in found["expiry", "warning"].found
    assert "s1 3 times" in found["disk", "warning"].found
    (shards,) = _shards(Ready(["s1", "s2"], ["s2"]))
    assert (shards.state, "s2" in shards.found, "shard-s2" in shards.to_do) == ("failure", True, True)
    assert _redis(Ready([], [], "Redis is out of reach"), None).state == "failure"
    lanes = Samples('tarantkv_redis_lane_up{lane="a:1"} 1.0\ntarantkv_redis_lane_up{lane="b:1"} 0.0\n', 0.0)
    assert _redis(Ready(["s1"], []), lanes).found == "1 of 2 lanes do not work: b:1"
    assert [each.state for each in _shards(Ready([], [], "x"))] == ["not seen"]
    assert _versions("99.0.0").state == "warning"
    assert [each.state for each in _metrics(None)] == ["not seen"]


def test_doctor_does_not_see_the_clock_of_an_answer_without_a_valid_date() -> None:
    class Dated(Client):
        def __init__(self, date: str | None) -> None:
            super().__init__(token="t")
            self._date = date

        def date(self) -> str | None:
            return self._date

    for date in (None, "soon", "Fri, 99 Nov 2026 22:53:49 GMT"):
        assert [each.state for each in _clock(Dated(date))] == ["not seen"]


def test_a_number_that_is_unknown_is_not_shown() -> None:
    text = 'tarantkv_shard_memory_used_bytes{shard="s1"} 1\ntarantkv_expiring_keys{shard="s1"} NaN\n'
    assert shards_of(["s1"], [], Samples(text, 0.0))[0]["expiring_keys"] == 0


@pytest.mark.parametrize("interval", ["nan", "inf", "-1", "0"])
def test_top_refuses_a_wait_that_is_none(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("top", "--interval", interval, "--url", "http://127.0.0.1:1", "--deadline", "0.1")) == 2
    assert "--interval must be" in capsys.readouterr().err


def test_the_screen_of_top_has_every_shard_and_no_control_characters() -> None:
    shards = shards_of(["s1", "s2\x1b"], ["s2\x1b"], Samples(AFTER, 0.0))
    record = {
        "requests_per_s": 110.0,
        "failed_per_s": 10.0,
        "p50_ms": 1.5,
        "p99_ms": None,
        "chunks_waiting": 2,
        "routes": {"/api/read": 110.0},
        "shards": shards,
    }
    text = screen("http://x\x1b", record)
    assert "\x1b" not in text
    assert "85.8 MiB 90.0 %" in text
    assert "p99 -" in text
    assert "down" in text


TOLD = {
    "at": 1000.0,
    "lanes": [
        {
            "lane": "a:1\x1b",
            "up": True,
            "since": 900.0,
            "shards": ["s1", "s2"],
            "frames_per_s": 9.0,
            "share": 0.9,
            "memory_used_bytes": 3 * 2**20,
            "memory_limit_bytes": 30 * 2**20,
        },
        {"lane": "b:1", "up": False, "since": 999.6, "shards": [], "share": 0.1, "memory_used_bytes": None},
    ],
    "moves": [{"source": "s1", "target": "s3", "done": 30, "total": 120, "left_s": 95.0, "told_s_ago": 0.4}],
}


def test_lanes_and_moves_are_shown_below_the_shards() -> None:
    lanes, moves = lanes_of(TOLD), moves_of(TOLD)
    assert [(lane["state"], lane["for_s"], lane["frames_percent"]) for lane in lanes] == [
        ("up", 100, 90.0),
        ("down", 0, 10.0),
    ]
    assert (lanes[0]["memory_mib"], lanes[0]["memory_percent"], lanes[1]["memory_mib"]) == (3.0, 10.0, None)
    assert moves[0]["percent"] == 25.0
    text = "\n".join(lines_of(lanes, moves))
    assert "\x1b" not in text
    for words in (
        "up 1 min 40 s",
        "90.0 %",
        "3.0 MiB 10.0 %",
        "s1,s2",
        "down 0 s",
        "s1 to s3",
        "30 of 120",
        "1 min 35 s",
    ):
        assert words in text
    assert lines_of([], []) == [], "without lanes and moves no line is shown"
    assert lanes_of({"at": 1.0, "lanes": [{"lane": "a:1", "up": True, "shards": []}]})[0]["state"] == "up"
    assert [span(seconds) for seconds in (0, 59.6, 7200, 90061)] == ["0 s", "1 min", "2 h", "1 d 1 h"]


def test_the_progress_bar_shows_share_rate_and_time_left() -> None:
    bar = Progress("import", "lines", 1000)
    bar.at(0, 0)
    assert bar.text(500, 250, 10.0) == "import [######..................]  25% 500 lines, 50/s, 0:30 left"
    assert bar.text(1000, 1000, 0.5) == "import [########################] 100% 1,000 lines"
    assert Progress("export", "keys").text(7, 0, 2.0) == "export 7 keys, 4/s"
