"""The rights of the workers' Tarantool user, and of a client without a login."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
import tarantool
from tarantool.request import RequestDelete, RequestInsert, RequestReplace, RequestSelect, RequestUpdate, RequestUpsert

from localcluster.cluster import Cluster
from tests.integration.store import Store

PROCEDURES = {"tarantkv.apply", "tarantkv.describe"}
VIEWS = {"_vspace", "_vindex", "_vcollation", "_vspace_sequence"}
"""The views that connectors read when they connect; a user finds in them only what it may access."""

FUNCTIONS = (
    "box.cfg",
    "box.snapshot",
    "box.session.su",
    "box.schema.user.create",
    "box.schema.user.grant",
    "box.schema.user.passwd",
    "box.schema.space.create",
    "box.schema.func.create",
    "box.space.kv.select",
    "box.space.users.select",
    "box.space.kv:truncate",
    "box.ctl.promote",
    "box.info",
    "dostring",
    "loadstring",
    "load",
    "require",
    "os.execute",
    "os.exit",
    "os.getenv",
    "os.environ",
    "io.open",
    "print",
    "rawset",
    "setfenv",
    "tarantkv",
    "tarantkv.apply.x",
    "LUA",
    "tarantkv.users",
    "",
)
CODE = (
    "return 1",
    "return box.space.users:select()",
    "return os.environ()",
    "box.session.su('admin')",
    "return tarantkv.describe()",
)
STATEMENTS = (
    'SELECT * FROM "users"',
    'SELECT * FROM "_user"',
    'INSERT INTO "users" SELECT * FROM "users"',
    'DELETE FROM "users"',
    'DROP TABLE "kv"',
    "CREATE TABLE t (a INT PRIMARY KEY)",
)


def connected(cluster: Cluster, shard: int = 0, **user: str) -> Any:
    port = cluster.config.shards[shard].port
    return tarantool.Connection(
        "127.0.0.1", port, socket_timeout=10, reconnect_max_attempts=0, fetch_schema=False, **user
    )


@pytest.fixture
def worker(cluster: Cluster) -> Iterator[Any]:
    """A connection with the rights of a worker."""
    settings = cluster.settings
    user, password = settings["TARANTKV_STORE_USER"], settings["TARANTKV_STORE_PASSWORD"]
    with closing(connected(cluster, user=user, password=password)) as connection:
        yield connection


@pytest.fixture
def guest(cluster: Cluster) -> Iterator[Any]:
    with closing(connected(cluster)) as connection:
        yield connection


@pytest.fixture
def spaces(store: Store) -> dict[str, int]:
    """Every space of a shard, including the system's own."""
    lua = "local found = {} for _, space in box.space._space:pairs() do found[space.name] = space.id end return found"
    found: dict[str, int] = store.consoles["s1"].run(lua)
    assert {"kv", "users", "applied", "claims", "revoked", "identity", "_user", "_priv", "_func", "_vspace"} <= set(
        found
    )
    return found


def refused(use: Callable[[], object], what: object) -> None:
    with pytest.raises(tarantool.DatabaseError) as caught:
        use()
    text = str(caught.value)
    assert any(word in text for word in ("denied", "is not defined", "is disabled", "not supported", "View")), (
        what,
        text,
    )


def test_the_worker_can_call_both_procedures(worker: Any) -> None:
    assert worker.call("tarantkv.describe")[0]["shard"] == "s1"
    assert worker.call("tarantkv.apply", [[]])[0] == []


def select(connection: Any, space: int) -> Any:
    """Read a space by its number. The connector itself would first look for it in its view of the schema."""
    return connection._send_request(RequestSelect(connection, space, 0, [], 0, 1000, 0))


def changes(connection: Any, space: int) -> dict[str, Callable[[], object]]:
    row, key, operations = ("a", 1, 1), ("a",), [("=", 2, 2)]
    requests = {
        "insert": RequestInsert(connection, space, row),
        "replace": RequestReplace(connection, space, row),
        "delete": RequestDelete(connection, space, 0, key),
        "update": RequestUpdate(connection, space, 0, key, operations),
        "upsert": RequestUpsert(connection, space, 0, row, operations),
    }
    return {name: partial(connection._send_request, request) for name, request in requests.items()}


def test_the_worker_can_neither_read_nor_change_a_space(worker: Any, spaces: dict[str, int]) -> None:
    for name, space in spaces.items():
        if name not in VIEWS:
            refused(partial(select, worker, space), ("select", name))
        for change, use in changes(worker, space).items():
            refused(use, (change, name))


def test_the_worker_sees_only_the_views(worker: Any, spaces: dict[str, int]) -> None:
    there = VIEWS & set(spaces)
    assert {row[2] for row in select(worker, spaces["_vspace"])} == there
    assert {row[0] for row in select(worker, spaces["_vindex"])} == {spaces[name] for name in there}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_worker_can_call_no_other_function(worker: Any, name: str) -> None:
    refused(lambda: worker.call(name, "admin"), name)


@pytest.mark.parametrize("code", CODE)
def test_the_worker_can_run_no_code(worker: Any, code: str) -> None:
    refused(lambda: worker.eval(code), code)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_worker_has_no_access_by_sql(worker: Any, statement: str) -> None:
    refused(lambda: worker.execute(statement), statement)


def test_the_worker_has_exactly_these_rights(cluster: Cluster, store: Store) -> None:
    user = cluster.settings["TARANTKV_STORE_USER"]
    lua = (
        f"local found = {{}} for _, right in ipairs(box.schema.user.info('{user}')) do "
        "table.insert(found, table.concat(right, ' ')) end return found"
    )
    for console in store.consoles.values():
        found = set(console.run(lua))
        views = {f"read space {view}" for view in VIEWS if console.run(f"return box.space.{view} ~= nil")}
        # It may log in, and use objects that it creates itself; it may create none.
        usual = {"session,usage universe ", f"alter user {user}"}
        assert found == {f"execute function {name}" for name in PROCEDURES} | views | usual


def test_no_other_user_has_rights(cluster: Cluster, store: Store) -> None:
    lua = (
        "local found = {} for _, user in box.space._user:pairs() do "
        "if user.type == 'user' then table.insert(found, user.name) end end return found"
    )
    for console in store.consoles.values():
        assert set(console.run(lua)) == {"guest", "admin", cluster.settings["TARANTKV_STORE_USER"]}
        assert console.run("return #box.space._user.index.name:get('admin').auth") == 0


def test_a_guest_is_refused_everything(guest: Any, spaces: dict[str, int]) -> None:
    for use in (
        lambda: guest.call("tarantkv.describe"),
        lambda: guest.call("tarantkv.apply", []),
        lambda: guest.eval("return 1"),
        lambda: guest.execute('SELECT * FROM "kv"'),
        lambda: select(guest, spaces["_vspace"]),
        lambda: select(guest, spaces["kv"]),
        *changes(guest, spaces["kv"]).values(),
    ):
        refused(use, "guest")


# The connector's 1.2 leaves the socket of a failed login to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("user", ["admin", "guest", "tarantkv", "nobody"])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_login_with_a_wrong_password_is_refused(cluster: Cluster, user: str, password: str) -> None:
    with pytest.raises(tarantool.Error):
        connected(cluster, user=user, password=password).call("tarantkv.describe")
