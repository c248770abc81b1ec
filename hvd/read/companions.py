"""The state of a daemon's companions and masters, what they have published, and what is wrong with them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from hvd.core.proc import is_alive
from hvd.metrics.companion_pages import AdminPage, AggregatorPage, ExporterPage, JobsPage

LATE = 1.5  # s without a sign of life, after which the daemon counts as degraded
STARTING = 15.0  # s that companions may take to begin, on a machine that is busy
MASTER_LATE = 5.0  # s without a turn of a master's loop, which turns each second where nothing holds it up


class SilentMaster(NamedTuple):
    """A master whose loop does not turn: since how many s, where that is known; and whether a signal has stopped it."""

    pid: int
    age: float | None
    is_stopped: bool

    @property
    def trouble(self) -> str:
        """What is wrong, in a line."""
        gone = "nothing that ends is replaced"
        if self.is_stopped:
            since = "" if self.age is None else f" for {self.age:.0f} s"
            return f"master (pid {self.pid}) is stopped{since}: {gone}; kill -CONT {self.pid}"
        return f"master (pid {self.pid}) gives no sign of life for {self.age or 0:.0f} s: {gone}; the log may say why"


@dataclass(frozen=True)
class CompanionStates:
    """Companions at one moment, each page read once.

    `aggregators` are those that live and have published: when each took its slot (monotonic ns), and its page.
    `last_page` is the newest aggregator's page since the daemon started, whether its writer lives or not; `jobs` the
    newest job runner's, `admins` those of admin servers. Ages are in s since a sign of life; None where no companion
    that lives and isn't stopped ever gave one. `removed` is the block's path, where its name is gone; `missing` how
    many workers asked for can't be started; `jobs_have_begun` and `admin_has_begun` whether the job runner, where there
    is one, and the admin server have published since the daemon started, `uptime` s ago. `silent_masters` are those
    whose loop stands still. `exporter` is what the exporter has published since the start.
    """

    aggregators: tuple[tuple[int, AggregatorPage], ...] = ()
    last_page: AggregatorPage | None = None
    jobs: JobsPage | None = None
    aggregator_age: float | None = None
    job_runner_age: float | None = None
    runs_jobs: bool = False
    uptime: float = 0.0
    removed: str = ""
    missing: int = 0
    jobs_have_begun: bool = False
    admins: tuple[AdminPage, ...] = ()
    admin_server_age: float | None = None
    admin_has_begun: bool = False
    silent_masters: tuple[SilentMaster, ...] = ()
    exporter: ExporterPage | None = None
    exporter_age: float | None = None

    def with_page(self, taken_ns: int, page: AggregatorPage) -> "CompanionStates":
        """These states with the page of another aggregator, which is ticking."""
        return replace(self, aggregators=(*self.aggregators, (taken_ns, page)), last_page=page, aggregator_age=0.0)

    @property
    def have_begun(self) -> bool:
        """True once all of them have published since the daemon started."""
        return self.last_page is not None and self.jobs_have_begun and self.admin_has_begun

    def observation(self) -> AggregatorPage | None:
        """What the aggregators alive published last; while there is none, what the last one did, without what ended
        with it: WebSocket clients, tasks, and processes that are gone. None if nothing was published since the start.
        """
        own = merge_pages(page for _, page in self.aggregators)
        if own or not self.last_page:
            return own
        alive = [process for process in self.last_page["processes"] if is_alive(process["pid"])]
        return {**self.last_page, "websocket_clients": 0, "tasks": 0, "processes": alive}

    def troubles(self) -> list[str]:
        """What is wrong, a line for each thing."""
        away = [] if self.aggregator_ticks() else ["aggregator away: process figures are old, /ws is not served"]
        if self.admin_server_age is None or self.admin_server_age >= LATE:
            away.append("admin server away: the log says why")
        return away + self._other_troubles()

    def aggregator_ticks(self) -> bool:
        """True while an aggregator gives signs of life, and has published."""
        return self.aggregator_age is not None and self.aggregator_age < LATE and bool(self.aggregators)

    def _other_troubles(self) -> list[str]:
        """What is wrong beside the aggregator."""
        troubles = []
        if self.removed:
            troubles.append(f"{self.removed} was removed: should hvd be killed, its totals are lost; restart it")
        if self.missing:
            workers = "1 worker" if self.missing == 1 else f"{self.missing} workers"
            troubles.append(f"{workers} asked for can't be started: the log says why")
        troubles += [master.trouble for master in self.silent_masters]
        return troubles + self.job_troubles() + self.exporter_troubles()

    def exporter_troubles(self) -> list[str]:
        """Why metrics don't reach their receiver, where there is one."""
        if not self.exporter or not self.exporter["is_on"]:
            return []
        if self.exporter_age is None or self.exporter_age >= LATE:
            return ["exporter away: metrics are not sent; the log says why"]
        return [self.exporter["trouble"]] if self.exporter["trouble"] else []

    def job_troubles(self) -> list[str]:
        """Why jobs don't run, where kinds of job are declared."""
        if not self.runs_jobs:
            return []
        if self.job_runner_age is None or self.job_runner_age >= LATE:
            return ["job runner away: jobs wait"]
        return [f"{self.jobs['trouble']}: jobs wait"] if self.jobs and self.jobs["trouble"] else []


def merge_pages(pages: Iterable[AggregatorPage]) -> AggregatorPage | None:
    """One observation from those of all aggregators alive: two of them during an upgrade.

    All observe the same processes, so the newest says it; each has clients and tasks of its own, so those add up.
    """
    oldest_first = sorted(pages, key=lambda page: page["monotonic_ns"])
    if not oldest_first:
        return None
    return {
        **oldest_first[-1],
        "websocket_clients": sum(page["websocket_clients"] for page in oldest_first),
        "tasks": sum(page["tasks"] for page in oldest_first),
    }
