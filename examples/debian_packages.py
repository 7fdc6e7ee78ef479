"""Store the whole index of Debian packages, read it back, and compare record by record.

    TARANTKV_ADMIN_PASSWORD=… python examples/debian_packages.py --url http://127.0.0.1:8081

The records are what `apt-cache dumpavail` prints, some 60,000 on Debian, turned into JSON: dependencies as lists of
alternatives, tags by facet, sizes as numbers. TARANTKV_ADMIN_USER names another user than `admin`. Needs `httpx` and
`tqdm`, and nothing of tarant-kv.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import httpx
from tqdm import tqdm

Record = dict[str, Any]

KEYS_PER_BATCH = 1000
TRIES = 10

_RELATIONS = frozenset(
    {"Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances", "Breaks", "Conflicts", "Replaces", "Provides"}
)
_NUMBERS = frozenset({"Size", "Installed-Size"})
_RELATION = re.compile(
    r"^(?P<name>[^\s(:]+)(:(?P<architecture>\S+))?(\s*\((?P<operator>[<>=]+)\s*(?P<version>[^)]+)\))?"
)
_PERSON = re.compile(r"^(?P<name>.*?)\s*<(?P<address>[^>]*)>$")


def dump() -> str:
    """The index as apt prints it; empty where apt has no lists yet."""
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
    """`libc6:any (>= 2.34)` as name, architecture, and a nested condition where there is one."""
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
            # Commas separate what is needed, bars the alternatives that each will do.
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
    """`role::program, use::gaming` as facet to values."""
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


def batches(keys: Iterable[str]) -> Iterator[list[str]]:
    """Keys in lists of `KEYS_PER_BATCH`."""
    left = iter(keys)
    while batch := list(islice(left, KEYS_PER_BATCH)):
        yield batch


class Client:
    """A session with tarant-kv."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)
        answer = self._http.post("/api/login", json={"username": user, "password": password})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def call(self, name: str, body: Record) -> Record:
        """Make one call; what is answered 503 was not applied, and is tried again after the time that is asked for."""
        answer = self._http.post(f"/api/{name}", json=body)
        for _ in range(TRIES - 1):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(int(answer.headers.get("Retry-After", "1")))
            answer = self._http.post(f"/api/{name}", json=body)
        answer.raise_for_status()
        document: Record = answer.json()
        return document


def store(client: Client, data: Mapping[str, Record]) -> None:
    """Write all records."""
    with tqdm(total=len(data), desc="writing", unit="records") as progress:
        for keys in batches(data):
            client.call("write", {"data": {key: data[key] for key in keys}})
            progress.update(len(keys))


def differing(client: Client, data: Mapping[str, Record]) -> list[str]:
    """Read all records back; the keys of those that are not there or not what was written."""
    wrong: list[str] = []
    with tqdm(total=len(data), desc="reading", unit="records") as progress:
        for keys in batches(data):
            found = client.call("read", {"keys": keys})["data"]
            wrong += [key for key in keys if key not in found or found[key] != data[key]]
            progress.update(len(keys))
    return wrong


def main() -> int:
    """Run the example; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", default="http://127.0.0.1:8081", help="where the api is (default: %(default)s)")
    arguments = parser.parse_args()
    user = os.environ.get("TARANTKV_ADMIN_USER") or "admin"
    password = os.environ.get("TARANTKV_ADMIN_PASSWORD")
    if not password:
        sys.exit("TARANTKV_ADMIN_PASSWORD is not set")

    data = records(dump())
    if not data:
        sys.exit("apt has no package lists: run apt-get update first")
    client = Client(arguments.url, user, password)
    began = time.monotonic()
    store(client, data)
    written = time.monotonic()
    wrong = differing(client, data)
    read = time.monotonic()

    print(f"{len(data)} records written: {len(data) / (written - began):.0f} per second")
    print(f"{len(data) - len(wrong)} records read back the same: {len(data) / (read - written):.0f} per second")
    for key in wrong[:10]:
        print(f"differs: {key}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
