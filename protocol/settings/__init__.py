"""Every setting of the system: `TARANTKV_…` variables, with one frozen object and one file for each concern.

`concerns` lists them and the tiers that read them, `loader` reads them from the environment, `cross_checks` compares
them with each other, `table` writes the documentation, and `lua` writes what the shard reads. Import from here.
"""

from __future__ import annotations

from protocol.settings.auth import MIN_SECRET_CHARACTERS, MIN_SECRET_LENGTH, AuthSettings
from protocol.settings.base import PREFIX, Settings, SettingsError, variable
from protocol.settings.batch import BatchSettings
from protocol.settings.cluster import ClusterSettings, parse_shards
from protocol.settings.compiled import CompiledSettings
from protocol.settings.concerns import CLIENT_VARIABLES, CONCERNS, known_variables, variables_of
from protocol.settings.http import HttpSettings
from protocol.settings.loader import EXIT_CONFIGURATION, check_together, exit_with, load, load_or_exit
from protocol.settings.logs import LogSettings
from protocol.settings.redis import RedisAddress, RedisSettings
from protocol.settings.shard import ShardSettings
from protocol.settings.store import StoreSettings
from protocol.settings.table import table
from protocol.settings.traces import TraceSettings
from protocol.settings.worker import WorkerSettings

__all__ = [
    "CLIENT_VARIABLES",
    "CONCERNS",
    "EXIT_CONFIGURATION",
    "MIN_SECRET_CHARACTERS",
    "MIN_SECRET_LENGTH",
    "PREFIX",
    "AuthSettings",
    "BatchSettings",
    "ClusterSettings",
    "CompiledSettings",
    "HttpSettings",
    "LogSettings",
    "RedisAddress",
    "RedisSettings",
    "Settings",
    "SettingsError",
    "ShardSettings",
    "StoreSettings",
    "TraceSettings",
    "WorkerSettings",
    "check_together",
    "exit_with",
    "known_variables",
    "load",
    "load_or_exit",
    "parse_shards",
    "table",
    "variable",
    "variables_of",
]
