"""What only the aggregator observes: CPU time, memory, threads and descriptors of the daemon's processes (psutil)."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import psutil

from hvd.agg.sizes import Sizes
from hvd.core.proc import is_alive, start_ticks, unix_time
from hvd.core.rows import Rows
from hvd.metrics.companion_pages import AggregatorPage, ProcessSample
from hvd.metrics.table import CPU
from hvd.metrics.usual import JOINED

log = logging.getLogger("hvd.aggregator")

GONE = 5.0  # s that the last sample of an ended process is kept: its master, which reports the end, looks each second


class Watched(NamedTuple):
    """A process to observe, and its place among those of its kind."""

    kind: str
    slot: int
    pid: int


@dataclass(frozen=True)
class Sample:
    """One process at one moment; a value that could not be read is None. Times in s, memory in bytes, CPU in percent of
    one core since the last sample. `started` is in clock ticks since boot; with the pid it names one process.
    """

    kind: str
    slot: int
    pid: int
    started: int = 0
    cpu_percent: float | None = None
    cpu_seconds: float | None = None
    resident: int | None = None
    proportional: int | None = None
    threads: int | None = None
    fds: int | None = None
    start_time: float | None = None
    sized_ns: int | None = None  # monotonic; when the proportional set was read

    @property
    def memory(self) -> int:
        """Bytes: the proportional set where it is known, else the resident one."""
        return (self.resident or 0) if self.proportional is None else self.proportional

    def published(self) -> ProcessSample:
        """As the aggregator's page has it."""
        return {
            "kind": self.kind,
            "slot": self.slot,
            "pid": self.pid,
            "started": self.started,
            "cpu_percent": self.cpu_percent,
            "cpu_seconds": self.cpu_seconds,
            "resident": self.resident,
            "proportional": self.proportional,
            "threads": self.threads,
            "fds": self.fds,
            "start_time": self.start_time,
        }


class _Known(NamedTuple):
    handle: psutil.Process
    started: int
    start_time: float


class Observer:
    """Samples processes again and again. Keeps the psutil handle and the last sample of each."""

    def __init__(
        self,
        process: Callable[[int], psutil.Process] = psutil.Process,
        alive: Callable[[int], bool] = is_alive,
        started: Callable[[int], int] = start_ticks,
        sizes: Sizes | None = None,
    ) -> None:
        self._process = process
        self._is_alive, self._start_ticks = alive, started
        self._sizes = sizes or Sizes()
        self._known: dict[int, _Known] = {}
        self._last: dict[int, Sample] = {}
        self._gone: dict[Sample, float] = {}
        self._at: float | None = None
        self._reported: set[str] = set()

    def measure(self, watched: Iterable[Watched]) -> None:
        """Begin to read what is slow to read, for the next sample; never waits."""
        self._sizes.begin(process.pid for process in watched)

    def close(self) -> None:
        """Measure no more."""
        self._sizes.close()

    def sample(self, watched: Iterable[Watched], now: float) -> list[Sample]:
        """The samples of those processes that live; `now` is monotonic, in s.

        A process seen for the first time used its CPU time since it started: it started after the last sample, or
        this is the first sample, which then gives 0 percent.
        """
        elapsed = now - self._at if self._at is not None else 0.0
        samples = [sample for process in watched if (sample := self._sample_or_last(process, elapsed))]
        before, self._last = self._last, {sample.pid: sample for sample in samples}
        gone = {sample: now for pid, sample in before.items() if pid not in self._last}
        self._at, self._gone = now, {**{one: at for one, at in self._gone.items() if now - at < GONE}, **gone}
        self._known = {pid: known for pid, known in self._known.items() if pid in self._last}
        return samples

    @property
    def ended(self) -> list[Sample]:
        """The last samples of processes that have ended lately."""
        return [*self._gone]

    def _sample_or_last(self, watched: Watched, elapsed: float) -> Sample | None:
        """The sample of a process; the last one, where it lives and can't be read (hidepid; no descriptor is free)."""
        try:
            return self._sample(watched, elapsed)
        except (psutil.Error, OSError) as error:
            has_ended = isinstance(error, psutil.ZombieProcess)  # the only sign that the process is ending
            if has_ended or not self._is_alive(watched.pid):
                return None
            self._report_once(watched.kind, f"{error}: what was known of it stays")
            last = self._last.get(watched.pid)
            return replace(last, cpu_percent=None) if last else Sample(*watched)

    def _sample(self, watched: Watched, elapsed: float) -> Sample:
        known = self._handle(watched.pid)
        with known.handle.oneshot():
            times = known.handle.cpu_times()
            resident, threads = known.handle.memory_info().rss, known.handle.num_threads()
        if not resident:  # it ends, or nobody has waited for it yet
            raise psutil.ZombieProcess(watched.pid)
        seconds = times.user + times.system
        last = self._last.get(watched.pid)
        before = seconds if watched.kind == JOINED else 0.0  # it may be old when it joins
        if last and last.started == known.started and last.cpu_seconds:
            before = last.cpu_seconds
        size = self._sizes.of(watched.pid, known.started)
        if size and None in (size.proportional, size.fds):
            self._report_once(watched.kind, "its proportional memory or its open files may not be read")
        return Sample(
            *watched,
            started=known.started,
            cpu_percent=100 * (seconds - before) / elapsed if elapsed > 0 else 0.0,
            cpu_seconds=seconds,
            resident=resident,
            proportional=size.proportional if size else None,
            threads=threads,
            fds=size.fds if size else None,
            start_time=known.start_time,
            sized_ns=size.at_ns if size else None,
        )

    def _handle(self, pid: int) -> _Known:
        known = self._known.get(pid)
        if known is None or not known.handle.is_running():
            started = self._start_ticks(pid)
            if not started:
                raise psutil.NoSuchProcess(pid)
            # psutil's create_time() needs /proc/stat, which may be hidden
            known = self._known[pid] = _Known(self._process(pid), started, unix_time(started))
            self._last.pop(pid, None)
        return known

    def _report_once(self, kind: str, what: str) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            log.warning("a process of kind %s can't be observed in full: %s", kind, what)


class CpuTime:
    """CPU time of processes → counters by kind and slot. Keeps how much of each process's time is counted.

    `page` is the last one of the aggregator before: this one goes on from its figures, so no time is missed between
    the two. Where that page was full, a process that it lacks counts from now on.
    """

    def __init__(self, rows: Rows, page: AggregatorPage | None, most: int) -> None:
        self._rows = rows
        processes = page["processes"] if page else []
        self._counted = {(sample["pid"], sample["started"]): sample["cpu_seconds"] or 0.0 for sample in processes}
        self._is_partial = len(processes) >= most

    def count(self, samples: Iterable[Sample], *, counts: bool) -> None:
        """Take the samples of a tick; without `counts`, another aggregator counts them."""
        counted: dict[tuple[int, int], float] = {}
        for sample in samples:
            identity, seconds = (sample.pid, sample.started), sample.cpu_seconds
            if seconds is None:
                continue
            before = self._counted.get(identity, seconds if self._is_partial or sample.kind == JOINED else 0.0)
            if counts and seconds > before:
                self._rows.count(CPU, (sample.kind, str(sample.slot)), round((seconds - before) * 1e9))
            counted[identity] = max(before, seconds)
        self._counted, self._is_partial = counted, False
