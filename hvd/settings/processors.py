"""How many processors this process may use: its affinity, and the CPU quotas of its control groups.

A quota is `cpu.max` in cgroup v2 (kernel, admin-guide/cgroup-v2), `cpu.cfs_quota_us` and `cpu.cfs_period_us` in v1
(scheduler/sched-bwc). Every group above it limits a group too, so the smallest quota counts.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path


def usable_cores(proc: Path = Path("/proc/self"), root: Path = Path("/")) -> int:
    """Processors that this process may use at once, at least 1; a quota of 1.5 counts as 2.

    `proc` holds this process's `cgroup` and `mountinfo`, `root` is put before the mount points that they name.
    """
    limits = [len(os.sched_getaffinity(0)), *(math.ceil(quota) for quota in _quotas(proc, root))]
    return max(1, min(limits))


def _quotas(proc: Path, root: Path) -> Iterator[float]:
    paths = dict(_groups(_read(proc / "cgroup")))
    for kind, mounted, mount_point in _mounts(_read(proc / "mountinfo")):
        if kind not in paths:
            continue
        top = root / mount_point.lstrip("/")
        group = top / _below(paths[kind], mounted)
        for folder in (group, *group.parents):
            yield from _quota(folder)
            if folder == top:
                break


def _groups(text: str) -> Iterator[tuple[str, str]]:
    """Path of the group that limits CPU time, for v2 and v1 (cgroups(7), /proc/pid/cgroup)."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield "cgroup2", path
        elif "cpu" in controllers.split(","):
            yield "cgroup", path


def _mounts(text: str) -> Iterator[tuple[str, str, str]]:
    """Type, mounted path and mount point of the hierarchies that limit CPU time (proc(5), /proc/pid/mountinfo)."""
    for line in text.splitlines():
        mount, _, system = line.partition(" - ")
        kind, _, options = system.partition(" ")
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(" ")[-1].split(",")):
            mounted, mount_point = map(_plain, mount.split(" ")[3:5])
            yield kind, mounted, mount_point


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _below(path: str, mounted: str) -> str:
    """The group's path below the mount point; the mount point itself where the group lies outside (a namespace)."""
    steps, above = path.strip("/").split("/"), mounted.strip("/").split("/") if mounted != "/" else []
    return "" if steps[: len(above)] != above or ".." in steps else "/".join(steps[len(above) :])


def _quota(folder: Path) -> Iterator[float]:
    limit, _, period = _read(folder / "cpu.max").partition(" ")
    limit = limit or _read(folder / "cpu.cfs_quota_us")
    period = period or _read(folder / "cpu.cfs_period_us")
    try:
        quota = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or no such file
        return
    if quota > 0:  # -1: no limit
        yield quota


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
