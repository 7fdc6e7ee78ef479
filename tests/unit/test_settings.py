"""Settings: every kind of wrong value is one line that names the variable and shows no secret."""

from pathlib import Path

import msgspec
import pytest

from protocol.settings import (
    CONCERNS,
    AuthSettings,
    BatchSettings,
    ClusterSettings,
    HttpSettings,
    LogSettings,
    RedisSettings,
    Settings,
    SettingsError,
    ShardSettings,
    StoreSettings,
    WorkerSettings,
    exit_with,
    known_variables,
    load,
    lua,
    parse_shards,
    table,
    variable,
)
from protocol.settings.table import rules

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "settings.md"
SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"

WRONG = [
    (LogSettings, "TARANTKV_LOG_LEVEL", "loud"),
    (ClusterSettings, "TARANTKV_BUCKET_COUNT", "0"),
    (ClusterSettings, "TARANTKV_BUCKET_COUNT", "many"),
    (ClusterSettings, "TARANTKV_SHARDS", "s1"),
    (ClusterSettings, "TARANTKV_SHARDS", "s1=host"),
    (ClusterSettings, "TARANTKV_SHARDS", "s1=host:0"),
    (ClusterSettings, "TARANTKV_SHARDS", "s1=host:70000"),
    (ClusterSettings, "TARANTKV_SHARDS", "S1=host:1"),
    (ClusterSettings, "TARANTKV_SHARDS", "s1=a:1;s1=b:1"),
    (ClusterSettings, "TARANTKV_SHARDS", "s1=a:1;s2=a:1"),
    (ClusterSettings, "TARANTKV_SHARDS", ";"),
    (RedisSettings, "TARANTKV_REDIS_URL", "http://host"),
    (RedisSettings, "TARANTKV_REDIS_USER", "two words"),
    (StoreSettings, "TARANTKV_STORE_USER", "guest"),
    (StoreSettings, "TARANTKV_STORE_USER", "1st"),
    (ClusterSettings, "TARANTKV_SHARDS", "s1=a:1;s1\n=b:1"),
    (HttpSettings, "TARANTKV_PORT", "0"),
    (HttpSettings, "TARANTKV_PORT", "65536"),
    (HttpSettings, "TARANTKV_PORT", "80.5"),
    (HttpSettings, "TARANTKV_DRAIN_TIMEOUT_S", "0"),
    (HttpSettings, "TARANTKV_DRAIN_DELAY_S", "-1"),
    (HttpSettings, "TARANTKV_DRAIN_TIMEOUT_S", "nan"),
    (HttpSettings, "TARANTKV_ACCESS_LOG", "some"),
    (AuthSettings, "TARANTKV_JWT_SECRET", "short"),
    (AuthSettings, "TARANTKV_JWT_SECRET", f"{SECRET},short"),
    (AuthSettings, "TARANTKV_JWT_SECRET", f"{SECRET},"),
    (AuthSettings, "TARANTKV_ADMIN_PASSWORD", "seven77"),
    (AuthSettings, "TARANTKV_ADMIN_PASSWORD", "x" * 1025),
    (AuthSettings, "TARANTKV_ADMIN_USER", "not a name"),
    (AuthSettings, "TARANTKV_AUTH_CACHE_S", "6"),
    (HttpSettings, "TARANTKV_TRUSTED_PROXIES", "10.0.0.1, proxy.internal"),
    (HttpSettings, "TARANTKV_TRUSTED_PROXIES", "10.0.0.1/8"),
    (HttpSettings, "TARANTKV_TLS_CERT", "chain.pem"),
    (HttpSettings, "TARANTKV_TLS_KEY", "key.pem"),
    (BatchSettings, "TARANTKV_MAX_KEY_BYTES", "1025"),
    (BatchSettings, "TARANTKV_REQUEST_TIMEOUT_S", "1e9"),
    (BatchSettings, "TARANTKV_REQUEST_TIMEOUT_S", "0.25"),
    (WorkerSettings, "TARANTKV_CALL_TIMEOUT_S", "15"),
    (WorkerSettings, "TARANTKV_READ_FRAMES", "1001"),
    (ShardSettings, "TARANTKV_WAL_MODE", "none"),
    (ShardSettings, "TARANTKV_COUNT_APPLICATIONS", "perhaps"),
]
REQUIRED = {
    "TARANTKV_SHARDS": "s1=127.0.0.1:1",
    "TARANTKV_REDIS_URL": "redis://127.0.0.1:1/0",
    "TARANTKV_REDIS_PASSWORD": SECRET,
    "TARANTKV_STORE_PASSWORD": SECRET,
    "TARANTKV_JWT_SECRET": SECRET,
    "TARANTKV_SHARD": "s1",
}


@pytest.mark.parametrize(("kind", "name", "value"), WRONG)
def test_a_wrong_value_is_one_line_with_its_name(kind: type[Settings], name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(kind, {**REQUIRED, name: value})
    line = str(caught.value)
    assert name in line
    assert "\n" not in line
    assert SECRET not in line


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_value_is_named(name: str) -> None:
    environment = {key: value for key, value in REQUIRED.items() if key != name}
    field = name.removeprefix("TARANTKV_").lower()
    kind = next(kind for kind in CONCERNS if field in kind.__struct_fields__)
    with pytest.raises(SettingsError, match=f"^{name} (is not set|must have)"):
        load(kind, environment)


@pytest.mark.parametrize("kind", CONCERNS)
def test_the_required_values_are_enough(kind: type[Settings]) -> None:
    assert isinstance(load(kind, REQUIRED), kind)


def test_a_value_that_is_not_utf_8_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="TARANTKV_ADMIN_PASSWORD is not UTF-8"):
        load(AuthSettings, {**REQUIRED, "TARANTKV_ADMIN_PASSWORD": "pass\udcffword"})


def test_an_empty_value_counts_as_not_set() -> None:
    assert load(HttpSettings, {"TARANTKV_PORT": "", "TARANTKV_HOST": "  "}) == HttpSettings()


def test_an_unknown_variable_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="TARANTKV_PROT is not a setting of tarant-kv"):
        load(HttpSettings, {"TARANTKV_PROT": "1"})


def test_variables_of_other_programs_are_ignored() -> None:
    assert load(HttpSettings, {"PORT": "1", "TARANTKV_SHARD": "s1"}) == HttpSettings()


def test_printing_settings_shows_no_secret() -> None:
    for kind in (AuthSettings, RedisSettings, StoreSettings):
        assert SECRET not in repr(load(kind, REQUIRED))
        assert SECRET not in f"{load(kind, REQUIRED)}"


def test_several_token_secrets_are_split() -> None:
    settings = load(AuthSettings, {"TARANTKV_JWT_SECRET": f"{SECRET}1, {SECRET}2"})
    assert settings.jwt_secrets == (f"{SECRET}1", f"{SECRET}2")


def test_shards_keep_their_order_and_all_their_instances() -> None:
    found = parse_shards("s2=a:1,b:2; s1=[::1]:3")
    assert list(found.items()) == [("s2", (("a", 1), ("b", 2))), ("s1", (("::1", 3),))]


def test_a_wrong_setting_ends_the_process_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        exit_with("TARANTKV_PORT is wrong")
    assert caught.value.code == 78
    assert capsys.readouterr().err == "tarant-kv: TARANTKV_PORT is wrong\n"


def test_lists_of_proxies_are_accepted() -> None:
    for proxies in ("*", "127.0.0.1", "10.0.0.0/8, fd00::/8,::1"):
        assert load(HttpSettings, {"TARANTKV_TRUSTED_PROXIES": proxies}).trusted_proxies == proxies


def test_more_shards_than_buckets_are_refused_by_both_names() -> None:
    with pytest.raises(SettingsError, match="TARANTKV_BUCKET_COUNT is 1 and TARANTKV_SHARDS names 2 shards"):
        load(ClusterSettings, {"TARANTKV_SHARDS": "s1=a:1;s2=b:1", "TARANTKV_BUCKET_COUNT": "1"})


def test_the_table_has_a_row_for_every_setting() -> None:
    rows = [line for line in table().splitlines() if line.startswith("| `TARANTKV_")]
    assert {row.split("`")[1] for row in rows} == known_variables()
    assert len(rows) == len(known_variables())


def test_every_setting_has_a_description() -> None:
    shown = table()
    for kind in CONCERNS:
        for name in kind.__struct_fields__:
            assert variable(name) in shown


def test_a_setting_of_several_tiers_is_the_same_for_all_of_them() -> None:
    fields = [field for kind in CONCERNS for field in msgspec.structs.fields(kind)]
    for field in fields:
        same = [other for other in fields if other.name == field.name]
        assert {other.default for other in same} == {field.default}
        # With bounds and description: the table shows only one of them.
        assert all(other.type == field.type for other in same), field.name
    assert "| `TARANTKV_CLOCK_SKEW_S` | api, shard | `30` |" in table()


def test_the_page_on_settings_contains_the_generated_tables() -> None:
    assert table().strip() in DOCS.read_text()
    assert rules().strip() in DOCS.read_text()


def test_the_lua_defaults_are_the_generated_ones() -> None:
    assert (ROOT / "tarantool-cluster" / "tarantkv" / "setting_defaults.lua").read_text() == lua.module()
