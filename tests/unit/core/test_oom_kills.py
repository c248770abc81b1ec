"""Which counter tells whom the OOM killer has ended, and what is made of it."""

from pathlib import Path

import pytest

from hvd.core import oom_kills
from hvd.core.oom_kills import RECENT, OomKills, _cgroup_files

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 0\n"


def test_each_kill_is_one_processs(tmp_path: Path) -> None:
    """Seen at a look before, or when somebody asks."""
    file = tmp_path / "memory.events"
    file.write_text(EVENTS.format(4))
    kills = OomKills([tmp_path / "missing", file])
    assert not kills.take(), "those before are nobody's"
    file.write_text(EVENTS.format(6))
    kills.look()
    assert (kills.take(), kills.take(), kills.take()) == (True, True, False)
    file.write_text(EVENTS.format(7))
    assert kills.take()
    file.unlink()
    assert not kills.take()


def test_a_counter_that_cannot_be_read_for_a_while_tells_nothing(tmp_path: Path) -> None:
    """As where no descriptor is left: what it counted before is nobody's when it can be read again."""
    file = tmp_path / "memory.events"
    file.write_text(EVENTS.format(4))
    kills = OomKills([file])
    file.unlink()
    kills.look()
    file.write_text(EVENTS.format(5))
    assert (kills.take(), kills.take()) == (True, False)


def test_a_kill_of_long_ago_is_not_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was that of a process which is nobody's business here, as a job."""
    file, now = tmp_path / "memory.events", 50.0
    monkeypatch.setattr(oom_kills.time, "monotonic", lambda: now)
    file.write_text(EVENTS.format(0))
    kills = OomKills([file])
    file.write_text(EVENTS.format(1))
    kills.look()
    now += RECENT
    assert not kills.take()


def test_without_a_counter_nothing_is_known(tmp_path: Path) -> None:
    """As in a sandbox."""
    (tmp_path / "other").write_text("oom 3\n")
    (tmp_path / "odd").write_text("oom_kill many\n")
    kills = OomKills([tmp_path / "missing", tmp_path / "other", tmp_path / "odd"])
    kills.look()
    assert not kills.take()


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/system.slice/hvd.service\n", "/sys/fs/cgroup/system.slice/hvd.service/memory.events.local"),
        ("0::/\n", "/sys/fs/cgroup/memory.events"),
        ("4:cpu,memory:/docker/ab:c\n1:name=systemd:/\n", "/sys/fs/cgroup/memory/docker/ab:c/memory.oom_control"),
        ("4:memory:/docker/abc\n", "/sys/fs/cgroup/memory/memory.oom_control"),
    ],
)
def test_the_counter_is_the_cgroups(tmp_path: Path, groups: str, file: str) -> None:
    """In a container the mount may begin with the cgroup."""
    (tmp_path / "cgroup").write_text(groups)
    assert Path(file) in list(_cgroup_files(tmp_path / "cgroup"))
    assert list(_cgroup_files(tmp_path / "missing")) == []
