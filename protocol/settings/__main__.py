"""`python -m protocol.settings` prints what `docs/settings.md` says of every setting, then of every rule."""

from __future__ import annotations

import sys

from protocol.settings.table import rules, table

if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n{rules()}")
