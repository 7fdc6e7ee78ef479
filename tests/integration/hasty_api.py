"""`python -m tests.integration.hasty_api` runs an api that restarts its dead processes after a short wait."""

import sys

from api import __main__ as api
from api import processes

if __name__ == "__main__":
    processes.RESTART_S = (0.01, 0.02)
    processes.START_MARGIN_S = 9.0
    sys.exit(api.main())
