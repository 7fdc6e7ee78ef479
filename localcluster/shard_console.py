"""A shard's admin console: runs Lua in the shard and returns the result."""

import json
import socket
from pathlib import Path
from typing import Any

from localcluster.waiting import ClusterError

TIMEOUT_S = 600.0
"""A snapshot of a large shard takes minutes."""

_END = b"\n...\n"


def run(path: Path, lua: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Run the body of a Lua function; its one result must be expressible in JSON.

    Raises:
        ClusterError: the shard does not run, or the code failed.
    """
    # The answer is encoded as digits, so it is plain text whatever it contains.
    call = f"local ok, found = pcall(function() {lua} end)"
    told = "if not ok then found = tostring(found) elseif found == nil then found = box.NULL end"
    code = f"{call} {told} return (require('json').encode({{ok, found}}):hex())"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(" ".join(code.split()).encode() + b"\n")
            said = b""
            while not said.endswith(_END):
                piece = connection.recv(65536)
                if not piece:
                    raise ClusterError(f"{path.name}: the shard ended the connection")
                said += piece
    except OSError as error:
        raise ClusterError(f"{path.name}: the shard does not answer: {error}") from None
    _, _, answer = said.rpartition(b"---\n")
    try:
        done, found = json.loads(bytes.fromhex(answer.removesuffix(_END).decode().strip("- '\n")))
    except ValueError:
        raise ClusterError(f"{path.name}: the shard answered {answer[:200]!r}") from None
    if not done:
        raise ClusterError(f"{path.name}: {found}")
    return found
