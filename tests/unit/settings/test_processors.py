"""Processors that may be used: affinity, and quotas of control groups of both versions."""

import os
from pathlib import Path

import pytest

from hvd.settings.processors import usable_cores

V2 = "25 20 0:22 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "31 20 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
V1 += "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1 += "33 31 0:30 {root} /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


def cores(tmp_path: Path, cgroup: str, mountinfo: str, files: dict[str, str]) -> int:
    """What is found where /proc/self and the mounted groups have these texts."""
    (tmp_path / "cgroup").write_text(cgroup)
    (tmp_path / "mountinfo").write_text(mountinfo)
    for name, text in files.items():
        path = tmp_path / "root/sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return usable_cores(tmp_path, tmp_path / "root")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", 64), ("100000 100000", 1), ("150000 100000", 2), ("1000 100000", 1), ("9000000 100000", 64)],
)
def test_a_quota_of_version_2_counts_rounded_up(tmp_path: Path, limit: str, expected: int) -> None:
    """Never less than one, never more than the affinity."""
    assert cores(tmp_path, "0::/pod/c\n", V2.format(root="/"), {"pod/c/cpu.max": limit}) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 64), ("100000", 2), ("120000", 3), ("5000", 1), ("0", 64)])
def test_a_quota_of_version_1_counts_rounded_up(tmp_path: Path, quota: str, expected: int) -> None:
    """Its period is a file of its own."""
    files = {"cpu,cpuacct/a/cpu.cfs_quota_us": quota, "cpu,cpuacct/a/cpu.cfs_period_us": "50000"}
    groups = "4:memory:/other\n3:cpuset:/x\n2:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/\n"
    assert cores(tmp_path, groups, V1.format(root="/"), files) == expected


def test_every_group_above_limits_too(tmp_path: Path) -> None:
    """A pod's limit is written on the pod, a slice's on the slice."""
    files = {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000", "a/b/c/cpu.max": "800000 100000"}
    assert cores(tmp_path, "0::/a/b/c\n", V2.format(root="/"), files) == 3


def test_a_container_without_namespace_sees_its_group_at_the_mount_point(tmp_path: Path) -> None:
    """/proc/self/cgroup has the path on the host; the mount begins there (older Docker)."""
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    assert cores(tmp_path, "2:cpu,cpuacct:/docker/1\n", V1.format(root="/docker/1"), files) == 4
    files = {"cpu,cpuacct/in/cpu.cfs_quota_us": "100000", "cpu,cpuacct/in/cpu.cfs_period_us": "100000"}
    assert cores(tmp_path, "2:cpu,cpuacct:/docker/1/in\n", V1.format(root="/docker/1"), files) == 1


@pytest.mark.parametrize(
    ("path", "root"), [("/", "/"), ("/../../b", "/"), ("/x", "/../a"), ("/docker/12", "/docker/1")]
)
def test_what_lies_outside_the_mount_counts_as_its_top(tmp_path: Path, path: str, root: str) -> None:
    """In a cgroup namespace the group is "/"; of one outside of it, nothing below the mount point can be told."""
    assert cores(tmp_path, f"0::{path}\n", V2.format(root=root), {"cpu.max": "200000 100000", "2/cpu.max": "1 1"}) == 2


def test_a_mount_point_may_hold_blanks(tmp_path: Path) -> None:
    """Which mountinfo writes in octal digits."""
    mount = V2.format(root="/").replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040groups")
    assert cores(tmp_path, "0::/a\n", mount, {"my groups/a/cpu.max": "100000 100000"}) == 1


@pytest.mark.parametrize("text", ["", "nonsense", "0::", "max", "1 0", "-5 10", "\xff"])
def test_what_cannot_be_read_limits_nothing(tmp_path: Path, text: str) -> None:
    """Neither a missing file nor an odd one ends the start."""
    assert cores(tmp_path, text, V2.format(root="/"), {}) == 64
    assert cores(tmp_path, "0::/a", text, {}) == 64
    assert cores(tmp_path, "0::/a", V2.format(root="/"), {"a/cpu.max": text}) == 64
    assert usable_cores(tmp_path / "none") == 64
