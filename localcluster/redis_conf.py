"""How Redis is started: its arguments, and the configuration that it reads from standard input.

Redis takes the name of a configuration file as a pattern, and starts with its defaults if nothing matches, so it gets
no name. The rule that must never be missing, that every connection needs a password, is an argument.
"""

import hashlib
import re

from localcluster import dotenv
from localcluster.config import REDIS_USER, ClusterConfig
from localcluster.launch import RUN_FD
from localcluster.tier_settings import all_settings, settings_for

_PLAIN = re.compile(r"[A-Za-z0-9._@:-]+")


def arguments(name: str, port: int) -> tuple[str, ...]:
    """The arguments after the program's name. None is a path that depends on the place of the cluster."""
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "unixsocket": f"/proc/self/fd/{RUN_FD}/{name}.sock",
        "unixsocketperm": "700",
        "daemonize": "no",
    }
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    return ("-", *given, "--user", "default", "off")


def configuration(config: ClusterConfig) -> str:
    """No persistence, an error instead of eviction, and a user for each tier; it contains only digests of passwords."""
    lines = [
        'save ""',
        "appendonly no",
        f"maxmemory {config.redis_memory_mib}mb",
        "maxmemory-policy noeviction",
        *_users(config),
    ]
    return "\n".join([*lines, ""])


def _users(config: ClusterConfig) -> list[str]:
    """A line for each user; api and workers have the same rights as in a container."""
    users = [
        (settings_for(config, tier), (dotenv.REPOSITORY / "docker" / f"redis_{tier}.acl").read_text().strip())
        for tier in ("api", "worker")
    ]
    if config.redis_administrator:
        users.append((all_settings(config), "~* +@all"))
    lines = []
    for settings, rights in users:
        digest = hashlib.sha256(settings[dotenv.REDIS_PASSWORD].encode()).hexdigest()
        lines.append(f"user {_word(settings[REDIS_USER])} on #{digest} {rights}")
    return lines


def _word(text: str) -> str:
    """The text as one word of Redis's configuration, whatever characters it has."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'
