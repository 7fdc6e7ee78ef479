"""Several addresses of Redis: which lanes they make, with which names, and which are refused."""

import pytest

from protocol.settings import RedisSettings, SettingsError, load
from protocol.settings.redis import MOST_LANES

SECRET = "hunter2-hunter2"


def settings(url: str) -> RedisSettings:
    return load(RedisSettings, {"TARANTKV_REDIS_URL": url, "TARANTKV_REDIS_PASSWORD": SECRET})


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("redis://a", ["a:6379"]),
        ("redis://a,rediss://b:7/3", ["a:6379", "b:7/3"]),
        ("redis://a , unix:///x,y.sock?db=2", ["a:6379", "/x,y.sock/2"]),
        ("redis://[::1]:3,redis://[::1]:4", ["[::1]:3", "[::1]:4"]),
    ],
)
def test_each_address_is_a_lane_with_a_name_and_the_same_password(url: str, names: list[str]) -> None:
    lanes = settings(url).lanes
    assert [lane.address.name for lane in lanes] == names
    assert {lane.redis_password for lane in lanes} == {SECRET}


@pytest.mark.parametrize(
    "url",
    [
        "redis://a,redis://a",
        "redis://a,redis://A:6379/0",
        "redis://a/0,redis://a/1",
        "redis://a,rediss://a",
        "unix:///x,unix:///x?db=1",
        "redis://a,",
        "redis://a,b:7",
        "redis://a,,redis://b",
        f"redis://a,redis://:{SECRET}@b",
        ",".join(f"redis://h{number}" for number in range(MOST_LANES + 1)),
    ],
)
def test_lanes_that_fail_together_and_broken_lists_are_refused_in_one_line(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^TARANTKV_REDIS_URL: ") as caught:
        settings(url)
    assert SECRET not in str(caught.value)


def test_code_for_one_lane_refuses_several_lanes() -> None:
    with pytest.raises(ValueError, match="unpack"):
        _ = settings("redis://a,redis://b").address
