"""Prints a price list as CSV, as another system may deliver one each night: docs/tutorials/nightly-import.md."""

from __future__ import annotations

import argparse
import csv
import sys


def main() -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, help="products in the list")
    parser.add_argument("--night", type=int, default=1, help="prices differ from night to night")
    arguments = parser.parse_args()
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["list", "sku", "name", "cents"])
    for number in range(1, arguments.rows + 1):
        out.writerow(["price", f"{number:07}", f"product {number}", (number * 37 + arguments.night * 11) % 10_000])


if __name__ == "__main__":
    main()
