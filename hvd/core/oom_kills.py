"""Whom the kernel's OOM killer has ended: it says so by a counter, raised before it sends SIGKILL.

That of the cgroup tells of no other process than the cgroup's: `memory.events.local` and `memory.events` of version 2
(cgroup-v2.rst), `memory.oom_control` of version 1. Where there is none, as outside of any cgroup, the machine's is read
(/proc/vmstat).
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

RECENT = 10.0
"""Seconds in which a process that was killed is expected to be gone: to give back its memory takes some."""

_MOUNTS = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")
_NAME = "oom_kill"


class OomKills:
    """Compares the counter from look to look. One thread uses it; it raises nothing."""

    def __init__(self, files: Sequence[Path] = ()) -> None:
        """The first of these files is read that has the counter; without any, those of this process's cgroup."""
        candidates = files or (*_cgroup_files(), Path("/proc/vmstat"))
        self._file = next((file for file in candidates if _read(file) is not None), None)
        self._count = 0
        self._count = self._read()
        self._rises: list[float] = []  # when (monotonic s) a kill was first seen, of those that nobody took

    def _read(self) -> int:
        """What it was, where it can't be read now, as where no descriptor is left."""
        count = _read(self._file) if self._file else None
        return self._count if count is None else count

    def look(self) -> None:
        """See what was killed since the last look; to be called each second or so."""
        before, self._count, now = self._count, self._read(), time.monotonic()
        recent = [rise for rise in self._rises if now - rise < RECENT]
        self._rises = recent + [now] * min(self._count - before, 1000)

    def take(self) -> bool:
        """Whether a process that has just ended by SIGKILL was killed so; each kill is one process's."""
        self.look()
        return bool(self._rises and self._rises.pop(0))


def _cgroup_files(groups: Path = Path("/proc/self/cgroup")) -> Iterator[Path]:
    """Where the counter of this process's cgroup may be; in a container the mount may begin with that cgroup."""
    with contextlib.suppress(OSError):
        for line in groups.read_text(encoding="utf-8", errors="replace").splitlines():
            _, controllers, path = line.split(":", 2)
            paths = (path.strip("/"), "")
            if not controllers:
                names = "memory.events.local", "memory.events"
                yield from (mount / path / name for path in paths for mount in _MOUNTS for name in names)
            elif "memory" in controllers.split(","):
                yield from (_MOUNTS[0] / "memory" / path / "memory.oom_control" for path in paths)


def _read(file: Path) -> int | None:
    """The counter in that file; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == _NAME:
                return int(value)
    return None
