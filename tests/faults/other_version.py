"""`python -m tests.faults.other_version MODULE` runs a process of the system that speaks another format version.

With `--later` it starts to do so when it gets SIGUSR1.
"""

import runpy
import signal
import sys

from protocol import frames

OTHER = frames.VERSION + 1


def _change(*_: object) -> None:
    frames.VERSION = OTHER


if __name__ == "__main__":
    later = "--later" in sys.argv
    module = sys.argv[1]
    sys.argv = [module]
    if later:
        signal.signal(signal.SIGUSR1, _change)
    else:
        _change()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
