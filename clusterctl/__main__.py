"""The command line: `python -m clusterctl COMMAND`. The module `commands` defines the commands."""

import signal
import sys

if __name__ == "__main__":
    # During the imports, Ctrl-C ends the process without a traceback. From `main` on it raises KeyboardInterrupt.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from clusterctl.commands import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
