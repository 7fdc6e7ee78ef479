"""Makes the text that `make cluster-status` prints."""

from __future__ import annotations

from typing import Any

from clusterctl.cluster import ReplicatedCluster

_MEBIBYTE = 1024 * 1024


def table(cluster: ReplicatedCluster) -> str:
    """For each shard a line with its leader, buckets and keys, and a line an instance; then the other programs."""
    states = cluster.states()
    programs = {status.name: status for status in cluster.status()}
    lines = []
    for shard in cluster.config.plan:
        names = [instance.name for instance in shard.instances]
        lines.append(_shard(shard.name, {name: states[name] for name in names}))
        lines += [f"  {name:<8} {programs[f'shard-{name}'].state:<8} {_instance(states[name])}" for name in names]
    lines += [f"{name:<10} {status.state}" for name, status in programs.items() if not name.startswith("shard-")]
    return "\n".join(lines)


def _shard(name: str, states: dict[str, dict[str, Any] | None]) -> str:
    leading = [(each, said) for each, said in states.items() if said is not None and said["leads"]]
    if not leading:
        return f"{name}  NO LEADER: the shard answers no reads and no writes until most of its instances run"
    leader, said = max(leading, key=lambda each: each[1]["term"])
    buckets = sum(last - first + 1 for first, last in said["ranges"])
    moving = sum(last - first + 1 for first, last in said["moving"])
    return (
        f"{name}  led by {leader} in term {said['term']}, {buckets} buckets"
        f"{f', {moving} moving' if moving else ''}, {said['keys']} keys"
    )


def _instance(said: dict[str, Any] | None) -> str:
    if said is None:
        return "does not answer"
    memory = f"{said['memory_used'] / _MEBIBYTE:.0f} of {said['memory_limit'] / _MEBIBYTE:.0f} MiB"
    parts = [f"{said['state']:<9}", memory]
    if not said["leads"]:
        parts.append(f"lag {said['lag']:.3f} s")
    if not said["ready"]:
        parts.append("waits for the schema of its leader")
    if said["waiting"]:
        parts.append(f"{said['waiting']} changes wait for replicas")
    if said["silent"]:
        parts.append(f"receives nothing from {', '.join(said['silent'])}")
    return ", ".join(parts)
