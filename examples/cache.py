"""A cache in front of a database, which never holds outdated rows for long: docs/tutorials/cache.md."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from tarantkv import Client
from tarantkv.errors import ConditionFailedError, TarantKVError

Row = dict[str, Any]

TTL_S = 300
MISSING_TTL_S = 30
"""How long the cache holds that a row does not exist."""


def fresh_database() -> sqlite3.Connection:
    """A database with some products. `seq` counts the changes of a row."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT, price INTEGER, seq INTEGER)")
    names = ["bolt", "nut", "washer"]
    database.executemany(
        "INSERT INTO products VALUES (?, ?, ?, 1)", [(f"p{number}", name, 10) for number, name in enumerate(names, 1)]
    )
    return database


class Products:
    """Reads products from the cache, and from the database if the cache lacks them."""

    def __init__(self, database: sqlite3.Connection, kv: Client) -> None:
        self._database = database
        self._kv = kv
        self.queries = 0

    def get(self, *ids: str) -> dict[str, Row]:
        """The existing rows of these ids: one read of the cache, and one query for the rows that it lacks."""
        entries = self._cached(ids)
        lacking = [name for name in ids if name not in entries]
        if lacking:
            rows = self._select(lacking)
            # A missing row is cached, too, with the number of a row that was never changed.
            filled = {name: {"row": rows.get(name), "seq": rows.get(name, {"seq": 0})["seq"]} for name in lacking}
            self._fill(filled)
            entries |= filled
        return {name: entries[name]["row"] for name in ids if entries[name]["row"] is not None}

    def set_price(self, name: str, price: int) -> None:
        """Change the row in the database, then its entry in the cache."""
        self._database.execute("UPDATE products SET price = ?, seq = seq + 1 WHERE id = ?", (price, name))
        row = self._select([name])[name]
        self._renew(name, {"row": row, "seq": row["seq"]})

    def _cached(self, ids: Iterable[str]) -> dict[str, Any]:
        keys = {f"product:{name}": name for name in ids}
        try:
            # If a shard is down, the rows of its keys come from the database.
            found = self._kv.read(keys, partial=True).data
        except TarantKVError:
            return {}
        return {keys[key]: entry for key, entry in found.items()}

    def _select(self, ids: list[str]) -> dict[str, Row]:
        self.queries += 1
        marks = ", ".join("?" for _ in ids)
        query = f"SELECT id, name, price, seq FROM products WHERE id IN ({marks})"  # noqa: S608 - question marks alone
        return {
            name: {"name": title, "price": price, "seq": seq}
            for name, title, price, seq in self._database.execute(query, ids)
        }

    def _fill(self, entries: dict[str, Any]) -> None:
        """Put entries into the cache, except where it has entries: these may be newer."""
        data = {f"product:{name}": entry for name, entry in entries.items()}
        options: Any = {
            # Entries that are filled together should not expire together.
            key: {"ttl": (TTL_S if entry["row"] else MISSING_TTL_S) * random.uniform(0.9, 1)}  # noqa: S311 - no secret
            for key, entry in data.items()
        }
        try:
            self._kv.write(data, if_="absent", options=options)
        except ConditionFailedError:
            pass  # another process has filled these keys
        except TarantKVError as error:
            print("not cached:", error)

    def _renew(self, name: str, entry: dict[str, Any], tries: int = 20) -> None:
        """Put an entry into the cache, unless it holds that of a later change.

        Raises:
            TarantKVError: the cache may hold the old row, for `TTL_S` at most.
        """
        key = f"product:{name}"
        for _ in range(tries):
            found = self._kv.read([key], with_=["version"])
            if key in found.data and found.data[key]["seq"] >= entry["seq"]:
                return
            version = found.meta[key].version if key in found.meta else None
            try:
                self._kv.set(key, entry, ttl=TTL_S, if_={"version": version} if version else "absent")
            except ConditionFailedError:
                continue
            return
        raise RuntimeError(f"{key} changes all the time")


def main() -> None:
    """Show what each method does."""
    kv = Client(
        os.environ["TARANTKV_URL"],
        username=os.environ["TARANTKV_USER"],
        password=os.environ["TARANTKV_PASSWORD"],
    )
    with kv, closing(fresh_database()) as database:
        kv.delete(*[item.key for item in kv.scan("product:", values=False)] or ["product:p1"])
        products = Products(database, kv)

        print("first:", sorted(products.get("p1", "p2", "p9")), products.queries, "query")
        print("again:", sorted(products.get("p1", "p2", "p9")), products.queries, "query")
        print("one more:", sorted(products.get("p1", "p3")), products.queries, "queries")

        products.set_price("p1", 12)
        print("new price:", products.get("p1")["p1"]["price"])

        late = {"row": {"name": "bolt", "price": 10, "seq": 1}, "seq": 1}
        products._fill({"p1": late})  # noqa: SLF001 - like a request that has read the row before the change
        products._renew("p1", late)  # noqa: SLF001 - like an earlier change that arrives late
        print("after late ones:", products.get("p1")["p1"]["price"])


if __name__ == "__main__":
    main()
