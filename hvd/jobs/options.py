"""The options that the master gives the job runner."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from hvd.companion.options import Options
from hvd.settings.job_kinds import Kind
from hvd.settings.table import Settings

EVENTS, WAKE = "events", "wake"
"""Descriptors that it inherits: the end at which job events are written, and an eventfd that workers count up."""

OWN_DESCRIPTORS, JOB_DESCRIPTORS = 128, 4  # that the runner needs for itself, and for each running job, at most


@dataclass(frozen=True)
class RunnerOptions(Options):
    """The part of the settings that the runner needs; times in s, sizes in bytes."""

    database_url: str
    state_dir: str
    instance: str
    concurrency: int
    grace: float
    lease: float
    keep_days: float
    kinds: Mapping[str, Kind]
    output_limit: int

    @classmethod
    def of(cls, settings: Settings, log_level: str) -> Self:
        """Those of a daemon with these settings, whose log has this level."""
        return cls(
            log_level,
            settings.database_url,
            str(settings.state_dir),
            settings.instance,
            settings.jobs_concurrency,
            settings.jobs_grace,
            settings.jobs_lease,
            settings.jobs_keep_days,
            settings.job_kinds,
            settings.jobs_output_limit,
        )

    @property
    def descriptors(self) -> int:
        return OWN_DESCRIPTORS + JOB_DESCRIPTORS * self.concurrency

    def to_json(self) -> str:
        return json.dumps({**self.__dict__, "kinds": {name: kind.to_dict() for name, kind in self.kinds.items()}})

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        kinds = {name: Kind.from_dict(kind) for name, kind in fields["kinds"].items()}
        return cls(**{**fields, "kinds": kinds})
