"""`python -m api` runs the front end: as many processes as the settings say, which share one port.

Before any of them starts, this process asks the shards which buckets they own and creates the admin user. A wrong
setting, or a list of shards that would lose keys, is then one line and an exit code, not a restart loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from api.ops.metrics import MULTIPROCESS_DIRECTORY
from api.ops.metrics_directory import metrics_directory
from api.overload.errors import OverloadedError
from api.processes import FAILED, serve
from api.queue.errors import ShardsSilentError, StoreCallError, TwoClustersError
from api.server.closing import Server
from api.server.tls import server_context
from api.server.uvicorn_config import check_uvicorn, configuration
from api.services import ApiSettings, Services, load_settings
from protocol import compiled, processors
from protocol.buckets import ShardMapError
from protocol.logs import configure
from protocol.settings import HttpSettings, SettingsError, exit_with
from protocol.version import VERSION

_log = logging.getLogger(__name__)

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells report it."""


def process_count(asked: int) -> int:
    """How many processes to run: the number in the settings, or one for every two processors that may be used."""
    return asked or max(1, int(processors.usable()) // 2)


async def preflight(settings: ApiSettings) -> None:
    """Check that the shards make one complete map, and create the admin user.

    Raises:
        ShardMapError, TwoClustersError, ShardsSilentError, StoreCallError, OverloadedError: the system cannot serve.
    """
    services = Services(settings)
    async with services.running():
        await services.ensure_admin()


def check_certificate(settings: HttpSettings) -> None:
    """Load the certificate, if there is one, as each api process will.

    Raises:
        SettingsError: it cannot be loaded.
    """
    if settings.tls_cert:
        try:
            server_context(settings.tls_cert, settings.tls_key)
        except OSError as error:
            raise SettingsError(f"TARANTKV_TLS_CERT and TARANTKV_TLS_KEY cannot be used: {error}") from None


def run(settings: ApiSettings) -> int:
    """Serve until told to stop; returns the exit code."""
    processes = process_count(settings.http.api_processes)
    config = configuration(settings.http, "api.app:build", processes)
    _log.info("serving", extra={"host": config.host, "port": config.port, "processes": processes})
    if processes == 1:
        server = Server(config)
        server.run()
        return 0 if server.started else FAILED
    with metrics_directory() as directory:
        os.environ[MULTIPROCESS_DIRECTORY] = directory
        return serve(config, settings.http.startup_timeout_s)


def main() -> int:
    """Check the settings and the shards, then serve; with `--version`, print the version only."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"tarant-kv {VERSION}\n")
        return 0
    try:
        settings = load_settings()
        check_certificate(settings.http)
        check_uvicorn()
    except SettingsError as error:
        exit_with(str(error))
    configure(settings.log.log_level)
    try:
        compiled.check(settings.compiled.compiled)
        asyncio.run(preflight(settings))
    except (SettingsError, ShardMapError, TwoClustersError) as error:
        exit_with(str(error))
    except (ShardsSilentError, StoreCallError, OverloadedError) as error:
        sys.stderr.write(f"tarant-kv: the api cannot start: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
