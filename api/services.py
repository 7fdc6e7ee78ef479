"""The parts of one api process that the handlers share: built, started and stopped together.

The process depends on the dispatcher's tasks: if one dies, the process ends, and its supervisor starts another.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.auth.account_rules import AccountError
from api.auth.accounts import Accounts
from api.auth.authenticator import Authenticator
from api.auth.login_throttle import LoginThrottle
from api.auth.passwords import Passwords
from api.auth.tokens import Tokens
from api.batch.idempotency import Idempotency
from api.batch.run import Batches
from api.lifecycle import Lifecycle
from api.ops.lane_states import LaneStates
from api.ops.metrics import Metrics
from api.ops.process_memory import resident_bytes
from api.ops.process_reports import ProcessReports
from api.ops.recent import Problems, Recent
from api.ops.shard_health import ShardHealth
from api.ops.shard_status import ShardStatus
from api.ops.spans import Spans, check_installed
from api.overload.gate import Gate
from api.overload.memory_budgets import AnswerBudget, BodyBudget
from api.queue.dispatcher import Dispatcher
from api.queue.errors import ShardsSilentError, TwoClustersError
from api.queue.store_calls import StoreCalls
from api.queue.topology import Topology
from api.scan.cursors import Cursors
from api.scan.reading import Reading
from api.scan.shards import ScanShards
from protocol.buckets import ShardMapError
from protocol.settings import (
    AuthSettings,
    BatchSettings,
    ClusterSettings,
    CompiledSettings,
    HttpSettings,
    LogSettings,
    RedisSettings,
    TraceSettings,
    check_together,
    load,
    parse_shards,
)

_log = logging.getLogger(__name__)

GAUGE_EVERY_S = 1.0


@dataclass(frozen=True)
class ApiSettings:
    """Every setting that the api reads, by concern."""

    cluster: ClusterSettings
    redis: RedisSettings
    http: HttpSettings
    auth: AuthSettings
    batch: BatchSettings
    log: LogSettings
    traces: TraceSettings
    compiled: CompiledSettings


def load_settings() -> ApiSettings:
    """Read the api's settings from the environment.

    Raises:
        SettingsError: one is missing or wrong, or two contradict each other.
    """
    settings = ApiSettings(
        load(ClusterSettings),
        load(RedisSettings),
        load(HttpSettings),
        load(AuthSettings),
        load(BatchSettings),
        load(LogSettings),
        load(TraceSettings),
        load(CompiledSettings),
    )
    check_installed(settings.traces)
    check_together(settings.http, settings.auth, settings.batch)
    return settings


class Services:
    """The parts of one api process."""

    def __init__(self, settings: ApiSettings, lifecycle: Lifecycle | None = None) -> None:
        self.settings = settings
        self.lifecycle = lifecycle or Lifecycle()
        self.start_failure: str | None = None
        """Why the background tasks could not start, if it is an expected reason."""
        self.metrics = Metrics()
        shards = tuple(parse_shards(settings.cluster.shards))
        self.dispatcher = Dispatcher(settings.redis, settings.batch, shards, self.metrics)
        self.topology = Topology(self.dispatcher, settings.cluster)
        self.shard_health = ShardHealth(shards, self.topology.answers)
        self.control = StoreCalls(self.dispatcher, self.topology, settings.batch.request_timeout_s)
        self.accounts = Accounts(self.control, self.topology)
        self.tokens = Tokens(settings.auth.jwt_secrets, settings.auth.token_ttl_s)
        self.authenticator = Authenticator(self.tokens, self.accounts, settings.auth.auth_cache_s)
        self.passwords = Passwords()
        self.throttle = LoginThrottle(self.dispatcher.lanes.for_logins, settings.auth)
        self.batches = Batches(self.dispatcher, self.topology, settings.batch)
        self.shard_status = ShardStatus(self.control, shards, self.metrics)
        self.problems = Problems()
        self.recent = Recent()
        self.lane_states = LaneStates(self.dispatcher.lanes.views)
        self.reports = ProcessReports(
            self.recent,
            self.problems,
            lambda: self.dispatcher.waiting,
            self.dispatcher.oldest_s,
            self.dispatcher.process,
            lambda: self.metrics.chunks_resent,
            self.lane_states,
        )
        self.idempotency = Idempotency(self.control, self.topology, settings.batch)
        self.budget = BodyBudget(settings.batch.max_buffered_bytes)
        self.answers = AnswerBudget(settings.batch.max_answering_bytes)
        self.reading = Reading(
            ScanShards(self.dispatcher),
            self.topology,
            Cursors(settings.auth.jwt_secrets, lambda: self.dispatcher.cluster),
            self.answers,
            self.metrics.scans,
        )
        self.spans = Spans(settings.traces, self.dispatcher.process) if settings.traces.traces_endpoint else None
        if self.spans is not None:
            self.dispatcher.tell_stamps(self.spans.stamped)
        self.gate = Gate(self.dispatcher.admission, settings.batch.max_wait_s, settings.batch.request_timeout_s)
        self.topology.on_shards = self._use

    def _use(self, shards: Sequence[str]) -> None:
        """Use another list of shards: some were added or removed."""
        self.shard_health.use(shards)
        self.shard_status.use(shards)
        self.metrics.shards = frozenset(shards)

    @property
    def ready(self) -> bool:
        """Whether this process should get requests."""
        return self.dispatcher.connected and self.topology.loaded and not self.lifecycle.draining

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background tasks, after the shard map is loaded.

        Raises:
            ShardMapError, ShardsSilentError: the shards do not make a complete map, or do not answer.
        """
        failed = self.dispatcher.start()
        failed.add_done_callback(_end_process)
        gauge = asyncio.create_task(self._set_gauges(), name="services.gauges")
        gauge.add_done_callback(_end_process)
        tasks: list[asyncio.Task[None]] = [gauge]
        try:
            try:
                await self.topology.load(self.settings.http.startup_timeout_s)
            except (ShardMapError, ShardsSilentError, TwoClustersError) as error:
                self.start_failure = str(error)
                raise
            # The gauges are set once a second; the last time was before there was a connection.
            self.metrics.lanes(self.lane_states.note())
            for name, run in (("shard_health", self.shard_health.watch), ("shard_status", self.shard_status.run)):
                task = asyncio.create_task(run(), name=f"services.{name}")
                task.add_done_callback(_end_process)
                tasks.append(task)
            yield
        finally:
            failed.remove_done_callback(_end_process)
            for task in tasks:
                task.cancel()
            await self.idempotency.finish()
            await self.dispatcher.stop()
            await self.throttle.close()
            self.passwords.close()
            if self.spans is not None:
                await asyncio.to_thread(self.spans.close)

    async def ensure_admin(self) -> None:
        """Create the admin user if there is none; a password that was changed since is kept."""
        auth = self.settings.auth
        if not auth.admin_password or (await self.accounts.state(auth.admin_user)).user is not None:
            return
        password_hash = self.passwords.hash(auth.admin_password)
        try:
            await self.accounts.create(auth.admin_user, password_hash, ("admin", "observe", "read", "write"))
        except AccountError:
            return  # another api process was faster
        _log.info("created the admin user", extra={"user": auth.admin_user})

    async def _set_gauges(self) -> None:
        while True:
            self.metrics.process(self.dispatcher.waiting, self.dispatcher.oldest_s(), resident_bytes())
            self.metrics.lanes(self.lane_states.note())
            self.recent.add(*self.metrics.flush())
            self.reports.write()
            self._count_rejected()
            await asyncio.sleep(GAUGE_EVERY_S)

    def _count_rejected(self) -> None:
        """Count the rejected requests, with one log line for all: a line for each would cost more than the answers."""
        rejected = self.gate.take_rejected()
        for route, requests in rejected.items():
            self.metrics.refused(route, requests)
        if rejected:
            _log.warning("rejected requests", extra={"requests": rejected.total()})


def _end_process(failed: asyncio.Future[None]) -> None:
    """End the process after one of its background tasks has failed; its supervisor starts another."""
    if failed.cancelled():
        return
    _log.critical("a background task failed, ending the process", extra={"error": repr(failed.exception())})
    signal.raise_signal(signal.SIGTERM)
