"""Pages of a list of jobs: which jobs, in what order, and where a page begins. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from hvd.jobs.ids import is_id
from hvd.jobs.job import Job
from hvd.jobs.states import ENDED, PENDING, RUNNING

TEXT_MAX = 200  # characters that are searched for: a name has no more
COUNTED = 10_000  # jobs that are looked at to count those of a filter; what takes longer is not counted

NEWEST, OPEN_FIRST = ORDERS = "newest", "open"
"""Newest first; or what runs, what waits, then what has ended, each newest first."""

GROUPS = {RUNNING: (RUNNING,), PENDING: (PENDING,), "ended": ENDED}
"""The order of groups in a list of OPEN_FIRST."""


class Filter(NamedTuple):
    """Which jobs: of these statuses and kinds (none: of all); `text` is in the name, the kind or the id, whatever its
    case.
    """

    statuses: Sequence[str] = ()
    kinds: Sequence[str] = ()
    text: str = ""


class Place(NamedTuple):
    """The job that a page ends with; in a list of OPEN_FIRST its group too: its status may be another one by now."""

    job_id: str
    group: str = ""

    @classmethod
    def of(cls, job: Job, order: str) -> "Place":
        """The place of this job."""
        return cls(job.id, _group_of(job.status) if order == OPEN_FIRST else "")

    @classmethod
    def parse(cls, text: str, order: str) -> "Place | None":
        """The place as its text says it; None where the text is none of that order."""
        group, _, job_id = text.rpartition(".")
        return cls(job_id, group) if is_id(job_id) and (group in GROUPS) == (order == OPEN_FIRST) else None

    def __str__(self) -> str:
        return f"{self.group}.{self.job_id}" if self.group else self.job_id


class Wanted(NamedTuple):
    """The page that is wanted: of at most `limit` jobs, after that place."""

    filter: Filter
    limit: int
    after: Place | None = None
    order: str = NEWEST


class Page(NamedTuple):
    """Jobs in order; where the next page begins, None after the last; how many there are, None where that is costly."""

    jobs: list[Job]
    next: Place | None
    total: int | None


def _group_of(status: str) -> str:
    return next(group for group, statuses in GROUPS.items() if status in statuses)
