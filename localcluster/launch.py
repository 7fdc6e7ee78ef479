"""What supervisord runs in place of each program: sets the process up as its spec file says, then becomes the program.

A spec file (mode 600) carries environment and arguments past supervisord's own configuration, where any quote or
percent sign in a secret would be syntax. Runs as a script, isolated, without site-packages: it starts in milliseconds.
Spec: JSON object with `argv`, `env`, `cwd`, `pid_file`, `marker` (an entry of `env`, as `NAME=value`),
`die_with_parent`.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_WANTED_FILES = 65536


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_bytes())
    if spec["die_with_parent"]:
        _die_with_parent()
    _raise_file_limit()
    # Whatever they write is for their own user alone.
    os.umask(0o077)
    # The memory of each of them holds secrets, and data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pid_file = Path(spec["pid_file"])
    _end_orphans(pid_file, spec["marker"].encode())
    pid_file.write_text(f"{os.getpid()}\n")
    os.chdir(spec["cwd"])
    try:
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606  this process becomes it
    except OSError as error:
        sys.exit(f"cannot run {spec['argv'][0]}: {error.strerror}")


def _die_with_parent() -> None:
    """A supervisor that is killed outright must not leave servers behind that nobody can stop. Linux only."""
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


def _end_orphans(pid_file: Path, marker: bytes) -> None:
    """Kill what an earlier run of this program left in its process group: it would still hold the listening port.

    The group id may belong to strangers by now, so only processes that carry our marker are touched.
    """
    try:
        group = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(entry.name)) == group and marker in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


if __name__ == "__main__":
    main()
