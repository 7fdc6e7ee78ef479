"""Asks a server one question, once and without waiting: whether it answers its clients."""

import http.client
import ssl
from pathlib import Path

import psutil
import redis
import tarantool
from redis.backoff import NoBackoff
from redis.retry import Retry

from localcluster import dotenv
from localcluster.config import ClusterConfig, Shard

_TIMEOUT_S = 2.0


def redis_answers(config: ClusterConfig, port: int, host: str = "127.0.0.1") -> bool:
    client = redis.Redis(
        host=host,
        port=port,
        username=config.settings.get("TARANTKV_REDIS_USER", "tarantkv"),
        password=config.settings[dotenv.REDIS_PASSWORD],
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        # Version 3 begins with HELLO, which Redis 6.0 refuses if the default user is off.
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def shard_answers(config: ClusterConfig, shard: Shard) -> bool:
    """Whether the storage procedures exist, not only a listening socket."""
    try:
        connection = tarantool.Connection(
            shard.host,
            shard.port,
            user=config.settings.get("TARANTKV_STORE_USER", "tarantkv"),
            password=config.settings[dotenv.STORE_PASSWORD],
            socket_timeout=_TIMEOUT_S,
            connection_timeout=_TIMEOUT_S,
            reconnect_max_attempts=0,
            fetch_schema=False,
        )
    except (tarantool.Error, OSError):
        return False
    try:
        description = connection.call("tarantkv.describe")[0]
    except (tarantool.Error, OSError):
        return False
    finally:
        connection.close()
    return bool(description["shard"] == shard.shard)


def api_is_ready(host: str, port: int, *, tls: bool) -> bool:
    """Whether the api says that it is ready; the certificate is not checked."""
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=ssl._create_unverified_context())  # noqa: S323, SLF001
        if tls
        else http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    )
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def beats(heartbeat: Path, pid: int) -> bool:
    """Whether the worker that runs as this process has touched its heartbeat file."""
    try:
        return heartbeat.stat().st_mtime >= psutil.Process(pid).create_time()
    except (OSError, psutil.Error):
        return False


def stands_still(pid: int) -> bool:
    """Whether every thread of a process is stopped, or the process is gone."""
    try:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()
        ]
    except OSError:
        return not Path(f"/proc/{pid}").exists()
    return all(state in "TtZX" for state in states)
