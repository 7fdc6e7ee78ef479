"""The command line: `python -m localcluster COMMAND`; `commands` has the commands."""

import signal
import sys

if __name__ == "__main__":
    # While the process imports, Ctrl-C ends it silently; from `main` on it is an exception.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from localcluster.commands import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
