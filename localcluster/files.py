"""Writes the files from which a cluster's programs are started, and finds those that would differ now."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from localcluster import launch, redis_conf
from localcluster.config import ClusterConfig
from localcluster.launch import NAME_MARK, RUN_MARK
from localcluster.layout import Layout
from localcluster.programs import Program


def write(config: ClusterConfig, programs: Iterable[Program]) -> None:
    """Write the configuration of Redis, and the specs from which the launcher starts the programs."""
    layout = Layout(config.data_dir)
    layout.make(config)
    for name in config.redis_names:
        write_private(layout.redis_dir_of(name) / "redis.conf", redis_conf.configuration(config))
    # These names have no unusual characters, so supervisord can use them.
    link(layout.run_dir / "python", Path(sys.executable))
    link(layout.run_dir / "launch.py", Path(launch.__file__).resolve())
    for program in programs:
        write_private(layout.spec(program.name), _spec(config, layout, program))


def forget(layout: Layout, names: Iterable[str]) -> None:
    """Remove the specs of programs that are no longer supervised."""
    for name in names:
        layout.spec(name).unlink(missing_ok=True)


def known(layout: Layout) -> list[str]:
    """The programs of the present start, or of the last one."""
    return sorted(path.stem for path in layout.run_dir.glob("*.json") if path.stem != "supervisord")


def differing(config: ClusterConfig, programs: Iterable[Program]) -> list[str]:
    """Names of the programs that would get other arguments or settings if they were started now."""
    layout = Layout(config.data_dir)
    return [program.name for program in programs if _started_with(layout, program.name) != _essence(program)]


def _started_with(layout: Layout, name: str) -> object:
    try:
        spec = json.loads(layout.spec(name).read_text())
        return tuple(spec["argv"]), _settings(spec["env"])
    except (OSError, ValueError, LookupError):
        return None


def _essence(program: Program) -> object:
    return program.argv, _settings(program.env)


def _settings(env: Mapping[str, str]) -> dict[str, str]:
    """The settings only: the rest of the environment differs from shell to shell."""
    return {name: value for name, value in env.items() if name.startswith("TARANTKV_")}


def _spec(config: ClusterConfig, layout: Layout, program: Program) -> str:
    spec = {
        "argv": program.argv,
        "env": {**program.env, RUN_MARK: layout.identity(), NAME_MARK: program.name},
        "cwd": str(program.cwd),
        "die_with_parent": config.owned or program.tier != "supervisor",
        **({"stdin": str(program.stdin)} if program.stdin else {}),
    }
    return json.dumps(spec, sort_keys=True, indent=1)


def link(path: Path, target: Path) -> None:
    """Make `path` a link to `target`, whatever it was before."""
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(path)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, completely or not at all."""
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    scratch.replace(path)
