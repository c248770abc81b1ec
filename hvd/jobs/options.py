"""What the job runner is told by the master: by a descriptor, as a list of processes would show its passwords."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hvd.settings.job_kinds import Kind
from hvd.settings.table import Settings


@dataclass(frozen=True)
class Options:
    """The part of the settings that the runner needs; times in s, sizes in bytes."""

    database_url: str
    state_dir: str
    instance: str
    concurrency: int
    grace: float
    lease: float
    keep_days: float
    log_level: str
    kinds: Mapping[str, Kind]
    output_limit: int

    @classmethod
    def of(cls, settings: Settings) -> "Options":
        """Those of a daemon with these settings."""
        return cls(
            settings.database_url,
            str(settings.state_dir),
            settings.instance,
            settings.jobs_concurrency,
            settings.jobs_grace,
            settings.jobs_lease,
            settings.jobs_keep_days,
            settings.log_level,
            settings.job_kinds,
            settings.jobs_output_limit,
        )

    def write(self, fd: int) -> None:
        """Leave them in the file behind the descriptor."""
        kinds = {name: kind.to_dict() for name, kind in self.kinds.items()}
        data = json.dumps({**self.__dict__, "kinds": kinds}).encode()
        os.ftruncate(fd, 0)
        os.pwrite(fd, data, 0)

    @classmethod
    def read(cls, fd: int) -> "Options":
        """What `write` left there. Raises ValueError in the middle of a write: another signal tells of its end."""
        found: dict[str, Any] = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
        kinds = {name: Kind.from_dict(kind) for name, kind in found["kinds"].items()}
        return cls(**{**found, "kinds": kinds})
