"""`python -m tarantkv` is the command line."""

import sys

from tarantkv.cli import main

sys.exit(main())
