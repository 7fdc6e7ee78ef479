"""What the command line prints about a cluster. Text only."""

import shlex

from localcluster import dotenv
from localcluster.cluster import Cluster
from localcluster.supervisor import ENDED, ProcessStatus
from localcluster.waiting import log_tail

_JSON = "-H 'Content-Type: application/json'"


def table(cluster: Cluster) -> str:
    """One line a program; for one that does not run, also the last line of its log, which should say why."""
    statuses = cluster.status()
    width = max(len(status.name) for status in statuses)
    lines = []
    for status in statuses:
        lines.append(f"{status.name:<{width}}  {status.state:<8}  {_process(status)}".rstrip())
        if status.state in ENDED:
            lines.append(f"{'':<{width}}  {log_tail(cluster.log_path(status.name), 1)}")
    return "\n".join(lines)


def welcome(cluster: Cluster) -> str:
    """Address, administrator, and three lines that work when pasted.

    The password goes from `.env` through a pipe: it never stands in an argument, nor on the screen.
    """
    env_file = shlex.quote(str(dotenv.REPOSITORY / ".env"))
    user = cluster.admin_user
    login = (
        rf"""TOKEN=$(sed -n 's/^{dotenv.ADMIN_PASSWORD}=\(.*\)/{{"username":"{user}","password":"\1"}}/p' {env_file}"""
        rf""" | curl -fsS {cluster.base_url}/api/login {_JSON} -d @- | sed 's/.*"token" *: *"\([^"]*\)".*/\1/')"""
    )
    write = """-d '{"data": {"greeting": "hello", "answer": {"value": 42, "tags": ["a", "b"]}}}'"""
    read = """-d '{"keys": ["greeting", "answer", "nobody"]}'"""
    header = '-H "Authorization: $TOKEN"'
    return "\n".join(
        [
            "",
            f"  address         {cluster.base_url}",
            f"  admin user      {user}",
            f"  admin password  in {env_file} ({dotenv.ADMIN_PASSWORD})",
            "",
            "Log in, write, read:",
            "",
            login,
            f"curl -sS {cluster.base_url}/api/write {header} {_JSON} {write}; echo",
            f"curl -sS {cluster.base_url}/api/read {header} {_JSON} {read}; echo",
            "",
        ]
    )


def _process(status: ProcessStatus) -> str:
    if status.pid:
        return f"pid {status.pid}, up {_duration(status.uptime_s)}"
    return status.detail


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
