"""supervisord runs this in place of each program: it sets up the process as its spec file says, then becomes the
program.

A spec file (mode 600) carries arguments and environment past supervisord's own configuration, where any quote or
percent sign would be syntax. This runs as a script, isolated, without site-packages: it starts in milliseconds.
Spec: JSON object with `argv`, `env`, `cwd`, `die_with_parent` and, for a program that reads its configuration from
standard input, `stdin` (a path).
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

RUN_FD = 200
"""The descriptor by which every program keeps the directory of its spec file open.

It shows to which cluster a process belongs, even if the directory was renamed. It also gives the program short names
without unusual characters for the sockets in that directory: `/proc/self/fd/200/redis.sock`. Programs open fewer files
when they start.
"""

RUN_MARK = "LOCALCLUSTER_RUN"
"""An environment variable with the same information, for processes that do not inherit descriptors: device and
inode."""
NAME_MARK = "LOCALCLUSTER_PROGRAM"

_PR_SET_PDEATHSIG = 1
_WANTED_FILES = 65536


def main() -> None:
    path = Path(sys.argv[1])
    spec = json.loads(path.read_bytes())
    if spec["die_with_parent"]:
        _die_with_parent()
    _raise_file_limit()
    # Only their own user may read the files that they write.
    os.umask(0o077)
    # Core dumps are off: the memory of each program contains secrets and data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _end_orphans(spec["env"])
    try:
        _open_as(RUN_FD, path.parent, os.O_RDONLY | os.O_DIRECTORY)
        if "stdin" in spec:
            _open_as(0, Path(spec["stdin"]), os.O_RDONLY)
        os.chdir(spec["cwd"])
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606  this process becomes it
    except OSError as error:
        sys.exit(f"cannot run {spec['argv'][0]}: {error}")


def _die_with_parent() -> None:
    """If the supervisor is killed, its servers must end, because they could not be stopped any more. Linux only."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the supervisor ended before the program began")


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _open_as(descriptor: int, path: Path, flags: int) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, descriptor, inheritable=True)
    if opened != descriptor:
        os.close(opened)


def _end_orphans(env: dict[str, str]) -> None:
    """Kill the processes that an earlier run of this program left: they would still hold the listening port.

    Only processes with both marks of this program are killed. Each is killed through a descriptor of the process, so
    another process that got the same id meanwhile is safe.
    """
    marks = {f"{name}={env[name]}".encode() for name in (RUN_MARK, NAME_MARK) if name in env}
    if len(marks) < 2:
        return
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            process = os.pidfd_open(int(entry.name))
            try:
                if marks <= set((entry / "environ").read_bytes().split(b"\0")):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)


if __name__ == "__main__":
    main()
