"""Prints the index of Debian packages as lines for `tarantkv import`, and checks that all of it is stored.

    python examples/debian_packages.py >packages.ndjson
    tarantkv import packages.ndjson
    python examples/debian_packages.py --verify

The records are what `apt-cache dumpavail` prints, some 60,000 on Debian, turned into JSON: dependencies as lists of
alternatives, tags by facet, sizes as numbers. `--verify` reads all back with the client and compares record by record;
it takes the api and the user from TARANTKV_URL, TARANTKV_USER and TARANTKV_PASSWORD.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

Record = dict[str, Any]

_RELATIONS = frozenset(
    {"Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances", "Breaks", "Conflicts", "Replaces", "Provides"}
)
_NUMBERS = frozenset({"Size", "Installed-Size"})
_RELATION = re.compile(
    r"^(?P<name>[^\s(:]+)(:(?P<architecture>\S+))?(\s*\((?P<operator>[<>=]+)\s*(?P<version>[^)]+)\))?"
)
_PERSON = re.compile(r"^(?P<name>.*?)\s*<(?P<address>[^>]*)>$")


def dump() -> str:
    """The index as apt prints it; empty if apt has no lists yet."""
    printed = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True)  # noqa: S607 - from PATH
    return printed.stdout.decode("utf-8", "replace")


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of the index, each as its fields."""
    for paragraph in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1] in (" ", "\t"):
                fields[name] += "\n" + line[1:]
            elif line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if "Package" in fields:
            yield fields


def relation(text: str) -> Record:
    """`libc6:any (>= 2.34)` as name and architecture, with the condition, if there is one, as a nested object."""
    match = _RELATION.match(text.strip())
    if match is None:
        return {"name": text.strip()}
    found: Record = {"name": match["name"], "architecture": match["architecture"]}
    if match["operator"]:
        found["version"] = {"operator": match["operator"], "than": match["version"]}
    return found


def record(fields: Mapping[str, str]) -> Record:
    """A paragraph as a nested record."""
    result: Record = {}
    for name, value in fields.items():
        if name in _RELATIONS:
            # Commas separate the dependencies, bars the alternatives of one dependency.
            needs = (need.split("|") for need in value.split(",") if need.strip())
            result[name] = [[relation(choice) for choice in choices] for choices in needs]
        elif name in _NUMBERS and value.isdecimal():
            result[name] = int(value)
        elif name == "Tag":
            result[name] = tags(value)
        elif name == "Maintainer" and (person := _PERSON.match(value)):
            result[name] = person.groupdict()
        else:
            result[name] = value
    return result


def tags(text: str) -> dict[str, list[str]]:
    """`role::program, use::gaming` as the values of each facet."""
    found: dict[str, list[str]] = {}
    for tag in text.replace("\n", " ").split(","):
        facet, _, value = tag.strip().partition("::")
        found.setdefault(facet, []).append(value)
    return found


def records(text: str) -> dict[str, Record]:
    """All records of the index by key: `package=version:architecture`."""
    return {
        f"{fields['Package']}={fields.get('Version', '')}:{fields.get('Architecture', '')}": record(fields)
        for fields in stanzas(text)
    }


def differing(data: Mapping[str, Record]) -> list[str]:
    """Read all records back. Returns the keys of those that are missing or differ."""
    # Only this function needs the client.
    from tarantkv import Client

    url = os.environ.get("TARANTKV_URL") or "http://127.0.0.1:8081"
    with Client(url, username=os.environ["TARANTKV_USER"], password=os.environ["TARANTKV_PASSWORD"]) as kv:
        found = kv.read(data).data
    return [key for key, record in data.items() if found.get(key) != record]


def main() -> int:
    """Run the example; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--verify", action="store_true", help="read the records back and compare them, instead of printing"
    )
    arguments = parser.parse_args()
    data = records(dump())
    if not data:
        sys.exit("apt has no package lists: run apt-get update first")
    if not arguments.verify:
        sys.stdout.writelines(json.dumps({"key": key, "value": value}) + "\n" for key, value in data.items())
        return 0
    wrong = differing(data)
    print(f"{len(data) - len(wrong)} of {len(data)} records are stored correctly")
    for key in wrong[:10]:
        print(f"differs: {key}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
