"""What the metrics are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hvd.core.catalogue import Series
from hvd.core.totals import Totals
from hvd.metrics.companion_pages import AggregatorPage, JobsPage


@dataclass(frozen=True)
class Figures:
    """A daemon's figures, all of one moment. `limits` says how many series each family may have; `observation` and
    `jobs` are None while nothing is published, and the ages, in s, while there is no observation.
    """

    totals: Totals
    limits: Mapping[str, int]
    gunicorn: str
    observation: AggregatorPage | None = None
    observed_age: float | None = None
    memory_age: float | None = None
    jobs: JobsPage | None = None
    aggregator_up: bool = False
    job_runner_up: bool = False

    @cached_property
    def series(self) -> Mapping[str, list[Series]]:
        """The series of each family, by its key."""
        by_family: dict[str, list[Series]] = {family: [] for family in self.limits}
        for series in self.totals.series:
            by_family.setdefault(series.family, []).append(series)
        return by_family
