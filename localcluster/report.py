"""What the command line prints about a cluster. Text only."""

import shlex

from localcluster import dotenv
from localcluster.cluster import Cluster
from localcluster.supervisor import ENDED, ProcessStatus
from localcluster.waiting import log_tail

# Requests to this machine use neither a proxy of the environment nor a .curlrc.
_CURL = "curl -qsS --noproxy '*'"
_JSON = "-H 'Content-Type: application/json'"


def table(cluster: Cluster) -> str:
    """One line for each program; if it does not run, also the last line of its log, which should name the reason."""
    statuses = cluster.status()
    width = max(len(status.name) for status in statuses)
    lines = []
    for status in statuses:
        lines.append(f"{status.name:<{width}}  {status.state:<8}  {_process(status)}".rstrip())
        if status.state in ENDED:
            lines.append(f"{'':<{width}}  {log_tail(cluster.log_path(status.name), 1)}")
    return "\n".join(lines)


def welcome(cluster: Cluster) -> str:
    """The address, the administrator, commands to paste with curl and with `tarantkv`, and what to do next.

    The password goes from `.env` through a pipe: it is never an argument, and never on the screen.
    """
    env_file = shlex.quote(str(dotenv.REPOSITORY / ".env"))
    # This reads `.env` as all other programs do, and quotes for JSON.
    credentials = f"make -s --no-print-directory -C {shlex.quote(str(dotenv.REPOSITORY))} credentials"
    login = f"{_CURL} -f {_JSON} -d @- {cluster.base_url}/api/login"
    token = r"""sed 's/.*"token" *: *"\([^"]*\)".*/\1/'"""
    write = """-d '{"data": {"greeting": "hello", "answer": {"value": 42, "tags": ["a", "b"]}}}'"""
    read = """-d '{"keys": ["greeting", "answer", "nobody"]}'"""
    # Not .venv/bin/tarantkv: its first line has the path that the clone had when it was installed.
    client = f'tarantkv() {{ {shlex.quote(str(dotenv.REPOSITORY / ".venv/bin/python"))} -Im tarantkv "$@"; }}'
    call = f'{_CURL} {_JSON} -H "Authorization: $TOKEN"'
    return "\n".join(
        [
            "",
            f"  address         {cluster.base_url}",
            f"  console         {cluster.base_url}/console",
            f"  admin user      {cluster.admin_user}",
            f"  admin password  in {env_file} ({dotenv.ADMIN_PASSWORD})",
            "",
            "Log in, write, read:",
            "",
            f"TOKEN=$({credentials} | {login} | {token})",
            f"{call} {write} {cluster.base_url}/api/write; echo",
            f"{call} {read} {cluster.base_url}/api/read; echo",
            "",
            "The same with the command line (docs/cli.md), which is installed here:",
            "",
            client,
            f"{credentials} | tarantkv login --url {cluster.base_url} --credentials-stdin",
            f"""tarantkv set answer '{{"value": 42, "tags": ["a", "b"]}}' --url {cluster.base_url}""",
            f"tarantkv get greeting answer --url {cluster.base_url}",
            "",
            "make status shows what runs, make logs what it says, make down stops all, make help lists the rest.",
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
