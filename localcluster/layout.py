"""The paths of everything that belongs to one cluster. `programs` defines the content of the files."""

from dataclasses import dataclass
from pathlib import Path

from localcluster.config import ClusterConfig, Shard, shard_dir


@dataclass(frozen=True)
class Layout:
    """The directories and files below a cluster's data directory."""

    data_dir: Path

    @property
    def run_dir(self) -> Path:
        """Sockets, specs and supervisord's files; every program holds it open (see `launch`)."""
        return self.data_dir / "run"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def redis_dir(self) -> Path:
        """The directory of the first Redis."""
        return self.redis_dir_of("redis")

    def redis_dir_of(self, name: str) -> Path:
        """The directory of the Redis whose program is `name`."""
        return self.data_dir / name

    def shard_dir(self, shard: Shard) -> Path:
        return shard_dir(self.data_dir, shard.name)

    def spec(self, name: str) -> Path:
        return self.run_dir / f"{name}.json"

    def log(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def socket(self, name: str) -> Path:
        return self.run_dir / f"{name}.sock"

    def heartbeat(self, worker: str) -> Path:
        """The file that a worker touches every second."""
        return self.run_dir / f"{worker}.alive"

    def identity(self) -> str:
        """The identity of the directory, whatever its name: a copy has another identity, a moved directory keeps its
        own.
        """
        found = self.run_dir.stat()
        return f"{found.st_dev}:{found.st_ino}"

    def make(self, config: ClusterConfig) -> None:
        for path in (
            self.data_dir,
            self.run_dir,
            self.log_dir,
            *map(self.redis_dir_of, config.redis_names),
            *map(self.shard_dir, config.shards),
        ):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
