"""Every setting of the system: `TARANTKV_…` variables, one frozen object per concern.

A field `redis_url` is the variable `TARANTKV_REDIS_URL`. The constraints stand in the types, so that a wrong value is
refused when the process starts, by name. The storage reads its own settings in Lua; they are listed here as well, for
whoever starts a shard and for the one table of all settings in the docs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Literal, NoReturn, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

PREFIX = "TARANTKV_"
MIN_SECRET_LENGTH = 32
MIN_SECRET_CHARACTERS = 8
"""Different ones: what has fewer was made up, not drawn at random."""
EXIT_CONFIGURATION = 78
"""The exit code for wrong settings: `EX_CONFIG` of BSD's `sysexits.h`."""

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names it in one line and does not repeat a secret."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all settings; printing one shows no values, since many are secrets."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class LogSettings(Settings, frozen=True, kw_only=True):
    """What is logged."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severity that is logged, by every process."),
    ] = "info"


class ClusterSettings(Settings, frozen=True, kw_only=True):
    """Which shards there are."""

    shards: Annotated[
        str,
        Meta(
            description="The shards and their instances: `s1=host:port,host:port;s2=host:port`. Order matters: it "
            "decides which buckets a shard is given at its first start."
        ),
    ]
    bucket_count: Annotated[int, Meta(ge=1, le=1_000_000, description="Buckets in all; fixed once there is data.")] = (
        30_000
    )

    def __post_init__(self) -> None:
        parse_shards(self.shards)


class RedisSettings(Settings, frozen=True, kw_only=True):
    """Where Redis is."""

    redis_url: Annotated[
        str,
        Meta(pattern=r"^(redis|rediss|unix)://[^@]*$", description="Address of Redis, without credentials."),
    ]
    redis_user: Annotated[str, Meta(description="Redis ACL user.")] = "tarantkv"
    redis_password: Annotated[str, Meta(min_length=1, description="Its password.")]


class StoreSettings(Settings, frozen=True, kw_only=True):
    """How to log in to a shard."""

    store_user: Annotated[str, Meta(min_length=1, description="Tarantool user of the workers.")] = "tarantkv"
    store_password: Annotated[str, Meta(min_length=1, description="Its password.")]


class HttpSettings(Settings, frozen=True, kw_only=True):
    """How the api listens, starts and stops."""

    host: Annotated[str, Meta(description="Address on which the api listens.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port on which the api listens.")] = 8081
    api_processes: Annotated[
        int,
        Meta(ge=0, le=256, description="Processes that share the api's port; 0: one for every two cores."),
    ] = 0
    trusted_proxies: Annotated[
        str, Meta(description="Addresses, separated by commas, whose `X-Forwarded-For` is believed.")
    ] = ""
    tls_cert: Annotated[
        str, Meta(description="File of a certificate chain (PEM): the api then speaks HTTPS. Empty: plain HTTP.")
    ] = ""
    tls_key: Annotated[str, Meta(description="File of the certificate's private key (PEM).")] = ""
    body_timeout_s: Annotated[Seconds, Meta(description="Seconds in which a request's body must arrive.")] = 30.0
    head_timeout_s: Annotated[
        Seconds, Meta(description="Seconds in which a request's head must arrive, from its first byte on.")
    ] = 10.0
    send_timeout_s: Annotated[
        Seconds, Meta(description="Seconds after which a client that reads nothing of its answer is cut off.")
    ] = 30.0
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections of one api process; past that the one that was idle for longest is closed.",
        ),
    ] = 10_000
    startup_timeout_s: Annotated[
        Seconds, Meta(description="Seconds for which the api waits for Redis and the shards when it starts.")
    ] = 60.0
    drain_delay_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="Seconds between SIGTERM, when readiness fails, and the end of accepting.",
        ),
    ] = 0.0
    drain_timeout_s: Annotated[
        Seconds, Meta(description="Seconds for which requests under way may go on after that.")
    ] = 10.0
    access_log: Annotated[
        Literal["all", "errors", "off"],
        Meta(description="Which requests are logged, each with its `X-Request-Id`."),
    ] = "errors"

    def __post_init__(self) -> None:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("TARANTKV_TLS_CERT and TARANTKV_TLS_KEY go together, one of them is not set")


class AuthSettings(Settings, frozen=True, kw_only=True):
    """Tokens, accounts and logins."""

    jwt_secret: Annotated[
        str,
        Meta(
            description=f"Secret that signs tokens, {MIN_SECRET_LENGTH} characters or more. Several, separated by "
            "commas, are all accepted; the first one signs."
        ),
    ]
    token_ttl_s: Annotated[int, Meta(ge=1, le=31_536_000, description="Seconds for which a token is valid.")] = 3600
    auth_cache_s: Annotated[
        float, Meta(ge=0, le=5, description="Seconds for which an account's state is remembered, 5 at most.")
    ] = 5.0
    admin_user: Annotated[
        str, Meta(min_length=1, max_length=64, description="User with every scope, made at the first start.")
    ] = "admin"
    admin_password: Annotated[str, Meta(description="Its first password; not read again once the user is there.")] = ""
    login_tries_per_user: Annotated[int, Meta(ge=1, description="Failed logins for one user name before 429.")] = 10
    login_tries_per_address: Annotated[int, Meta(ge=1, description="Failed logins from one address before 429.")] = 50
    login_window_s: Annotated[int, Meta(ge=1, le=86400, description="Seconds over which they are counted.")] = 60

    def __post_init__(self) -> None:
        secrets = self.jwt_secrets
        if not secrets or min(map(len, secrets)) < MIN_SECRET_LENGTH:
            raise ValueError(f"TARANTKV_JWT_SECRET must have {MIN_SECRET_LENGTH} characters or more")
        if min(len(set(secret)) for secret in secrets) < MIN_SECRET_CHARACTERS:
            raise ValueError(f"TARANTKV_JWT_SECRET must have {MIN_SECRET_CHARACTERS} different characters or more")
        if self.admin_password and len(self.admin_password) < 8:
            raise ValueError("TARANTKV_ADMIN_PASSWORD must have 8 characters or more")

    @property
    def jwt_secrets(self) -> tuple[str, ...]:
        """The secrets under which a token may be signed; the first one signs new ones."""
        return tuple(part.strip() for part in self.jwt_secret.split(",")) if self.jwt_secret else ()


class BatchSettings(Settings, frozen=True, kw_only=True):
    """What a batch may ask for, and how many may be under way."""

    request_timeout_s: Annotated[Seconds, Meta(description="Deadline of a batch, in seconds from its arrival.")] = 5.0
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest request body.")] = 16 * 1024 * 1024
    max_answer_bytes: Annotated[int, Meta(ge=1024, description="Largest answer of a read, in stored bytes.")] = (
        64 * 1024 * 1024
    )
    max_batch_keys: Annotated[int, Meta(ge=1, le=1_000_000, description="Keys in one batch.")] = 10_000
    max_key_bytes: Annotated[int, Meta(ge=1, le=1024, description="Bytes of a key in UTF-8.")] = 1024
    max_value_bytes: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Bytes of a value, encoded as MessagePack.")
    ] = 512 * 1024
    max_buffered_bytes: Annotated[
        int, Meta(ge=1024, description="Request bodies held by one api process at a time; past that, 503.")
    ] = 256 * 1024 * 1024
    max_answering_bytes: Annotated[
        int, Meta(ge=1024, description="Answers of reads held by one api process until they are sent; past that, 503.")
    ] = 256 * 1024 * 1024
    max_inflight_chunks: Annotated[
        int, Meta(ge=1, description="Chunks per shard and api process under way at a time; past that, 503.")
    ] = 4096
    max_inflight_bytes: Annotated[int, Meta(ge=1024, description="Bytes of such chunks; past that, 503.")] = (
        64 * 1024 * 1024
    )
    max_wait_s: Annotated[
        Seconds,
        Meta(
            description="Seconds that a batch may wait for its turn in the api (a large one, once it is there, for "
            "twice that again), and again for a shard, as far as can be told; past that, 503. Under lasting overload a "
            "fifth of it."
        ),
    ] = 0.5
    idempotency_window_s: Annotated[
        int, Meta(ge=1, le=86400, description="Seconds for which an `Idempotency-Key` is remembered.")
    ] = 600


class WorkerSettings(Settings, frozen=True, kw_only=True):
    """A worker."""

    read_frames: Annotated[
        int, Meta(ge=1, le=1000, description="Frames that a worker takes from a stream at a time.")
    ] = 32
    call_keys: Annotated[int, Meta(ge=1, le=20_000, description="Keys in one call to a shard.")] = 4000
    call_bytes: Annotated[int, Meta(ge=1024, description="Bytes in one call to a shard.")] = 2 * 1024 * 1024
    call_timeout_s: Annotated[
        Seconds,
        Meta(description="Seconds that a worker waits for one answer of a shard before it asks again."),
    ] = 1.5
    claim_idle_s: Annotated[
        Seconds, Meta(description="Seconds after which another worker's unanswered frames are taken over.")
    ] = 1.0
    worker_drain_timeout_s: Annotated[
        Seconds, Meta(description="Seconds for which a worker finishes its frames after SIGTERM.")
    ] = 10.0
    worker_heartbeat_file: Annotated[
        str, Meta(description="File that a healthy worker touches every second; empty: none.")
    ] = ""


class ShardSettings(Settings, frozen=True, kw_only=True):
    """A Tarantool instance; read in Lua by `tarantool-cluster/`."""

    shard: Annotated[str, Meta(description="Name of the shard that this instance belongs to.")]
    shard_listen: Annotated[str, Meta(description="Address on which the instance listens.")] = "127.0.0.1:3301"
    shard_dir: Annotated[str, Meta(description="Directory of its snapshots and write-ahead log.")] = "."
    shard_memory_mib: Annotated[int, Meta(ge=64, description="Memory for data, in MiB.")] = 512
    wal_mode: Annotated[
        Literal["write", "fsync"],
        Meta(
            description="How far an acknowledged write has gone: `write` survives a killed process, "
            "`fsync` a power cut."
        ),
    ] = "write"
    clock_skew_s: Annotated[
        int, Meta(ge=0, le=3600, description="Largest difference between two machines' clocks, in seconds.")
    ] = 30
    count_applications: Annotated[
        bool,
        Meta(description="Count for each chunk how often it was applied. For tests: the counts are kept forever."),
    ] = False
    shard_console: Annotated[str, Meta(description="Path of a unix socket for an admin console; empty: none.")] = ""


S = TypeVar("S", bound=Settings)
_SHARD = re.compile(r"^(?P<name>[a-z][a-z0-9-]{0,31})=(?P<hosts>[^=;]+)$")
_INSTANCE = re.compile(r"^(?P<host>\[[0-9a-fA-F:]+\]|[^\s:,]+):(?P<port>\d{1,5})$")

CONCERNS: dict[type[Settings], str] = {
    ClusterSettings: "api, worker, shard",
    RedisSettings: "api, worker",
    StoreSettings: "worker, shard",
    LogSettings: "api, worker, shard",
    HttpSettings: "api",
    AuthSettings: "api",
    BatchSettings: "api",
    WorkerSettings: "worker",
    ShardSettings: "shard",
}
"""Every concern, and which processes read it."""

CLIENT_VARIABLES = frozenset(
    {
        "TARANTKV_NEW_PASSWORD",
        "TARANTKV_PUBLISH",
        "TARANTKV_REDIS_IMAGE",
        "TARANTKV_REDIS_MEMORY_LIMIT",
        "TARANTKV_REDIS_MEMORY_MIB",
        "TARANTKV_REDIS_WORKER_PASSWORD",
        "TARANTKV_REDIS_WORKER_USER",
        "TARANTKV_SHARD_MEMORY_LIMIT",
        "TARANTKV_TARANTOOL_IMAGE",
        "TARANTKV_TEST_URL",
    }
)
"""Variables that no process reads as a setting: what `api.manage`, `localcluster`, the compose file or a test reads."""


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def parse_shards(text: str) -> dict[str, tuple[tuple[str, int], ...]]:
    """Read `s1=host:port,host:port;s2=host:port` as shard name to `(host, port)` of its instances, in order.

    Raises:
        ValueError: the text is malformed, or names a shard or an instance twice; the message names the setting.
    """
    shards: dict[str, tuple[tuple[str, int], ...]] = {}
    seen: dict[tuple[str, int], str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        match = _SHARD.match(part)
        if match is None:
            raise ValueError(f"TARANTKV_SHARDS: {part!r} is not of the form name=host:port[,host:port]")
        name = match["name"]
        if name in shards:
            raise ValueError(f"TARANTKV_SHARDS names shard {name} twice")
        instances = []
        for address in match["hosts"].split(","):
            found = _INSTANCE.match(address.strip())
            if found is None or not 1 <= int(found["port"]) <= 65535:
                raise ValueError(f"TARANTKV_SHARDS: {address!r} of shard {name} is not host:port")
            instance = (found["host"].strip("[]"), int(found["port"]))
            if instance in seen:
                raise ValueError(f"TARANTKV_SHARDS gives {address} to shard {seen[instance]} and to shard {name}")
            seen[instance] = name
            instances.append(instance)
        shards[name] = tuple(instances)
    if not shards:
        raise ValueError("TARANTKV_SHARDS names no shard")
    return shards


def known_variables() -> frozenset[str]:
    """Every variable that means something to some part of the system."""
    return frozenset(variable(name) for concern in CONCERNS for name in concern.__struct_fields__)


def _line(error: msgspec.ValidationError, values: Mapping[str, str]) -> str:
    text = str(error)
    field = re.search(r"`\$\.(\w+)`", text) or re.search(r"required field `(\w+)`", text)
    if field is None:
        return text
    name = variable(field[1])
    if field[1] not in values:
        return f"{name} is not set"
    return f"{name}: {text.partition(' - at')[0].lower().replace('`', '')}"


def load(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """Read the settings of one `kind` from the environment; an empty variable counts as not set.

    Raises:
        SettingsError: one is missing, wrong, or of an unknown name.
    """
    environment = os.environ if environment is None else environment
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value.strip()}
    unknown = sorted(ours.keys() - known_variables() - CLIENT_VARIABLES)
    if unknown:
        raise SettingsError(f"{unknown[0]} is not a setting of tarant-kv")
    fields = {name.removeprefix(PREFIX).lower(): value.strip() for name, value in ours.items()}
    fields = {name: value for name, value in fields.items() if name in kind.__struct_fields__}
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_line(error, fields)) from None


def load_or_exit(kind: type[S]) -> S:
    """Read the settings of one `kind`; on a fault print one line and end the process with `EXIT_CONFIGURATION`."""
    try:
        return load(kind)
    except SettingsError as error:
        exit_with(str(error))


def exit_with(line: str) -> NoReturn:
    """Print one line on standard error and end the process with `EXIT_CONFIGURATION`."""
    sys.stderr.write(f"tarant-kv: {line}\n")
    raise SystemExit(EXIT_CONFIGURATION)


def table() -> str:
    """Every setting with its default and meaning, as a Markdown table."""
    lines = []
    for concern, readers in CONCERNS.items():
        hints = get_type_hints(concern, include_extras=True)
        for field in msgspec.structs.fields(concern):
            metas = [meta for meta in get_args(hints[field.name]) if isinstance(meta, Meta)]
            meaning = next(meta.description for meta in reversed(metas) if meta.description)
            shown = f"`{field.default}`" if field.default != "" else "empty"
            default = "required" if field.required else shown
            lines.append(f"| `{variable(field.name)}` | {readers} | {default} | {meaning} |")
    return "\n".join(["| setting | read by | default | meaning |", "|---|---|---|---|", *sorted(lines)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
