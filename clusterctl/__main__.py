"""The command line: `python -m clusterctl COMMAND`; `commands` says which there are."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the process without a word while it imports; from `main` on it is an exception.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from clusterctl.commands import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
