"""An api process notices that its parent process has ended; `tests/integration` tests this with a whole api."""

import asyncio
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil

from api.processes import end_with_parent

PARENT = """
import multiprocessing, sys
from tests.unit.test_processes import live
child = multiprocessing.get_context("spawn").Process(target=live)
child.start()
print(child.pid, flush=True)
sys.stdin.read()
"""


async def _live() -> None:
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    finish: Callable[[None], None] = told.set_result
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, finish, None)
    end_with_parent()
    print("lives", flush=True)  # noqa: T201 - for the test
    await told
    print("drains", flush=True)  # noqa: T201 - for the test


def live() -> None:
    asyncio.run(_live())


def test_a_process_whose_parent_was_killed_shuts_down_as_on_sigterm() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            assert parent.stdout.readline() == b"lives\n"
            parent.kill()
            _, alive = psutil.wait_procs([child], timeout=10)
            assert alive == []
            assert parent.stdout.read() == b"drains\n"
        finally:
            if child.is_running():
                child.kill()


def test_a_process_without_a_parent_api_does_not_watch_one() -> None:
    assert multiprocessing.parent_process() is None
    end_with_parent()
