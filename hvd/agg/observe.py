"""What only the aggregator observes: CPU time, memory, threads and descriptors of the daemon's processes (psutil)."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import psutil

from hvd.core.proc import start_ticks, unix_time


@dataclass(frozen=True)
class Sample:
    """One process at one moment. Times in s, memory in bytes, CPU in percent of one core since the last sample."""

    kind: str
    pid: int
    cpu_percent: float
    cpu_seconds: float
    resident: int
    proportional: int
    threads: int
    fds: int
    start_time: float

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Observer:
    """Samples processes again and again. Keeps, of each, its psutil handle and the CPU time seen last."""

    def __init__(self, process: Callable[[int], psutil.Process] = psutil.Process) -> None:
        self._process = process
        self._handles: dict[int, psutil.Process] = {}
        self._cpu: dict[int, float] = {}
        self._started: dict[int, float] = {}
        self._at: float | None = None

    def sample(self, pids: Iterable[tuple[str, int]], now: float) -> list[Sample]:
        """The processes that live, of these (kind, pid); `now` is monotonic, in s.

        A process seen for the first time used its CPU time since it started: it started after the last sample, or
        this is the first sample, which then gives 0 percent.
        """
        elapsed = now - self._at if self._at is not None else 0.0
        samples, cpu = [], {}
        for kind, pid in pids:
            try:
                sample = self._sample(kind, pid, elapsed)
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):  # OSError: no descriptor is free to look
                self._handles.pop(pid, None)
                continue
            samples.append(sample)
            cpu[pid] = sample.cpu_seconds
        self._at, self._cpu = now, cpu
        self._handles = {pid: handle for pid, handle in self._handles.items() if pid in cpu}
        self._started = {pid: started for pid, started in self._started.items() if pid in cpu}
        return samples

    def _sample(self, kind: str, pid: int, elapsed: float) -> Sample:
        handle = self._handles.get(pid)
        if handle is None or not handle.is_running():
            handle = self._handles[pid] = self._process(pid)
            self._cpu.pop(pid, None)
            self._started[pid] = unix_time(start_ticks(pid))  # create_time() needs /proc/stat, which may be hidden
        with handle.oneshot():
            times = handle.cpu_times()
            seconds = times.user + times.system
            memory = handle.memory_full_info()
            used = seconds - self._cpu.get(pid, 0.0)
            return Sample(
                kind=kind,
                pid=pid,
                cpu_percent=100 * used / elapsed if elapsed > 0 else 0.0,
                cpu_seconds=seconds,
                resident=memory.rss,
                proportional=memory.pss,
                threads=handle.num_threads(),
                fds=handle.num_fds(),
                start_time=self._started[pid],
            )
