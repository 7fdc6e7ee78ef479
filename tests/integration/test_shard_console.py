"""Values that Lua code returns over a shard's admin console arrive unchanged."""

from typing import Any

import pytest

from localcluster import shard_console
from localcluster.cluster import Cluster
from localcluster.waiting import ClusterError


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("return false", False),
        ("return true", True),
        ("return nil", None),
        ("return 0", 0),
        ("return ''", ""),
        ("return {1, 'x'}", [1, "x"]),
    ],
)
def test_a_value_is_returned_unchanged(cluster: Cluster, code: str, told: Any) -> None:
    assert shard_console.run(cluster.console_socket("s1"), code, 5) == told


def test_an_error_is_raised_with_its_text(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no such luck"):
        shard_console.run(cluster.console_socket("s1"), "error('no such luck', 0)", 5)
