"""`TARANTKV_REDIS_URL`: how an address is parsed, and which are refused."""

import pytest

from protocol.settings import RedisSettings, SettingsError, load
from protocol.settings.redis import RedisAddress, parse_address

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://host", RedisAddress(None, "host", 6379, 0, tls=False)),
        ("redis://host:1/", RedisAddress(None, "host", 1, 0, tls=False)),
        ("redis://127.0.0.1:7379/2", RedisAddress(None, "127.0.0.1", 7379, 2, tls=False)),
        ("redis://host:1?db=3", RedisAddress(None, "host", 1, 3, tls=False)),
        ("rediss://[::1]:6380/0", RedisAddress(None, "::1", 6380, 0, tls=True)),
        ("unix:///run/redis.sock", RedisAddress("/run/redis.sock", "", 0, 0, tls=False)),
        ("unix:///job@2/redis.sock?db=1", RedisAddress("/job@2/redis.sock", "", 0, 1, tls=False)),
        ("unix:///with%20space/a[b]/50%25/x%3Fy?db=0", RedisAddress("/with space/a[b]/50%/x?y", "", 0, 0, tls=False)),
    ],
)
def test_an_address_is_parsed(url: str, address: RedisAddress) -> None:
    assert parse_address(url) == address
    assert RedisSettings(redis_url=url, redis_password="x").address == address


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "host:6379",
        "redis:host",
        "redis://",
        "redis:///0",
        "redis://:6379/0",
        "redis://host:port/0",
        "redis://host:70000/0",
        f"redis://user:{SECRET}@host:1/0",
        f"redis://:{SECRET}@host",
        "redis://user@host",
        "redis://@host",
        "redis://host/abc",
        "redis://host/0/1",
        "redis://host/-1",
        "redis://host/0?db=1",
        "redis://host?db=1&db=2",
        "redis://host?",
        "redis://host?db=",
        "redis://host/0?timeout=5",
        "redis://host?db=0&socket_timeout=5",
        f"redis://host?password={SECRET}",
        f"redis://host?username=u&password={SECRET}",
        "redis://host/0#there",
        "redis://host/0#",
        "unix://",
        "unix:///",
        "unix://relative/path",
        "unix:///run/redis.sock?database=1",
        "redis://[::1/0",
    ],
)
def test_an_address_with_meaningless_parts_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^TARANTKV_REDIS_URL: ") as caught:
        load(RedisSettings, {"TARANTKV_REDIS_URL": url, "TARANTKV_REDIS_PASSWORD": "x"})
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_for_a_user_in_the_address_names_the_right_setting() -> None:
    with pytest.raises(SettingsError, match="TARANTKV_REDIS_USER and TARANTKV_REDIS_PASSWORD"):
        load(RedisSettings, {"TARANTKV_REDIS_URL": "redis://u@host", "TARANTKV_REDIS_PASSWORD": "x"})
