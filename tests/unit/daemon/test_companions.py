"""Companions on real processes: replaced when they end, killed when they hang, ended at a stop."""

import contextlib
import itertools
import logging
import os
import pwd
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.proc import is_alive, is_stopped
from hvd.core.slots import Slots
from hvd.daemon.companions import STALL, START_GRACE, STOP_GRACE, TURN, Companion, Companions
from hvd.daemon.deaths import Settler
from hvd.daemon.users import User
from hvd.metrics.events import read_events
from hvd.metrics.table import EXITS
from tests.support.waiting import until
from tests.unit.core.support import counts

SLEEP = "import signal; signal.pause()"


class Master:
    """Companions as a master has them; `turn` is a turn of its loop, which reaps children as gunicorn does."""

    def __init__(self, block: Block, code: str = SLEEP, program: str = sys.executable) -> None:
        self.block = block
        self.companions = Companions(block, Settler(block, logging.getLogger("test")), logging.getLogger("test"))
        self.one = Companion("helper", layout.KIND_AGGREGATOR, lambda slot: [program, "-c", code], ())
        self.companions.add(self.one)

    def turn(self) -> None:
        reap(self.companions.note_status)
        self.companions.supervise()

    def await_another(self, first: int) -> None:
        until(lambda: self.turn() or self.one.pid not in (0, first), "it is replaced")

    def exits(self) -> dict[str, int]:
        return {cause: count for (_, cause), count in counts(self.block, EXITS.key).items()}


def reap(note_status: Callable[[int, int], None] = lambda pid, status: None) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            note_status(*ended)


def status_of(pid: int) -> dict[str, str]:
    """What /proc tells of it, by name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def takes(pid: int, how: str, signum: int) -> bool:
    """Whether it takes that signal in that way, which is the name of a mask in /proc."""
    return bool(int(status_of(pid)[how], 16) & 1 << signum - 1)


@pytest.fixture
def make_master(block: Block) -> Iterator[Callable[..., Master]]:
    """Makes masters whose companions end with the test."""
    masters: list[Master] = []

    def make(*command: str) -> Master:
        masters.append(Master(block, *command))
        return masters[-1]

    yield make
    for master in masters:
        master.companions.stop()
    reap()


@pytest.fixture
def master(make_master: Callable[..., Master]) -> Master:
    """Its companion sleeps."""
    return make_master()


def test_a_killed_companion_is_replaced_and_its_end_is_counted(
    master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    """Another pid, the slot handed on, one line that says how it ended."""
    master.turn()
    first = master.one.pid
    os.kill(first, signal.SIGKILL)
    master.await_another(first)
    assert [slot.pid for slot in Slots(master.block).taken()] == [master.one.pid]
    assert master.exits()["SIGKILL"] == 1
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert f"helper (pid:{first}) ended" in line
    assert "SIGKILL" in line


def test_a_companion_that_beats_no_more_is_killed(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """After STALL s, counted in turns of the master's loop: one long turn says nothing about the companion."""
    master.turn()
    first = master.one.pid
    Slots(master.block).beat(master.one.slot)
    master.turn()
    assert master.one.pid == first
    monkeypatch.setattr("hvd.daemon.companions.queued_seconds", lambda pid: 0.0)
    start = time.monotonic()
    for later in (100, 101):
        monkeypatch.setattr("hvd.daemon.companions.time.monotonic", lambda later=later: start + later)
        master.turn()
    assert is_alive(first)
    monkeypatch.setattr("hvd.daemon.companions.time.monotonic", lambda: start + 101 + STALL)
    master.turn()
    monkeypatch.undo()
    until(lambda: not is_alive(first), "it is killed")


def test_one_that_is_killed_as_it_starts_gets_more_time_the_next_time(
    master: Master, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a machine without a processor to spare, to start it over and over helps nobody; each kill is one line."""
    killed: list[int] = []
    monkeypatch.setattr("hvd.daemon.companions.queued_seconds", lambda pid: 0.0)
    monkeypatch.setattr(Companion, "signal", lambda self, signum: killed.append(self.pid))
    now = time.monotonic()
    monkeypatch.setattr("hvd.daemon.companions.time.monotonic", lambda: now)
    took = []
    for _ in range(5):
        master.turn()
        pid, began = master.one.pid, now
        while pid not in killed:
            now += TURN
            master.turn()
        took.append(now - began)
        master.turn()
        os.kill(pid, signal.SIGKILL)
        until(master.one.has_ended, "it has ended")
        master.turn()
    assert [round(seconds / START_GRACE) for seconds in took] == [1, 2, 4, 8, 8]
    lines = [text for text in caplog.messages if "no sign of life" in text]
    assert len(lines) == len(killed) == 5
    assert f"helper (pid:{killed[0]}) gave no sign of life since its start, for 15.4 s, of which it may" in lines[0]
    Slots(master.block).beat(master.one.slot)
    master.turn()
    assert master.one.slow_starts == 0


def test_one_that_has_no_processor_is_not_killed(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waited for one doesn't count as silence; what it slept does."""
    master.turn()
    now, queued = time.monotonic(), 0.0
    monkeypatch.setattr("hvd.daemon.companions.time.monotonic", lambda: now)
    monkeypatch.setattr("hvd.daemon.companions.queued_seconds", lambda pid: queued)
    for _ in range(100):
        now, queued = now + 1.0, queued + 0.9
        master.turn()
    assert not master.one.is_given_up
    for _ in range(10):
        now += 1.0
        master.turn()
    assert master.one.is_given_up


def test_a_stopped_companion_is_killed_at_once(master: Master) -> None:
    """It can't beat, so there is nothing to wait for."""
    master.turn()
    first = master.one.pid
    os.kill(first, signal.SIGSTOP)
    master.await_another(first)
    (event,) = read_events(master.block)
    assert event["text"].startswith(f"aggregator {first} failed to boot (killed, as it gave no sign of life)")


def test_one_that_ends_at_once_is_started_less_and_less_often(
    make_master: Callable[..., Master], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hot loop: the pauses grow."""
    master = make_master("raise SystemExit(3)")
    now, starts = time.monotonic(), list[float]()
    monkeypatch.setattr("hvd.daemon.companions.time.monotonic", lambda: now)
    while len(starts) < 6:
        master.turn()
        if master.one.is_running:
            starts.append(now)
            until(master.one.has_ended, "it has ended")
            master.turn()
        now += 0.25
    assert [later - earlier for earlier, later in itertools.pairwise(starts)] == pytest.approx([0.5, 1, 2, 5, 5])
    assert master.exits()["exit 3"] == 6


def test_one_that_can_not_be_executed_is_said_and_tried_again_later(
    make_master: Callable[..., Master], caplog: pytest.LogCaptureFixture
) -> None:
    """Its slot is free again."""
    master = make_master(SLEEP, "/nonexistent/python")
    master.turn()
    master.turn()
    assert not master.one.is_running
    assert list(Slots(master.block).taken()) == []
    [line] = [record.getMessage() for record in caplog.records]
    assert "helper can't be started" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its user")
def test_a_python_that_its_user_can_not_execute_is_said_once(
    make_master: Callable[..., Master], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose Python it is, which, and what to do; a try that fails in the same way is no news, another one is."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "python").symlink_to("/bin/sh")
    master = make_master("sleep 1000", str(private / "python"))
    master.one.user = User(65534, 65533)
    for _ in range(3):
        master.one.next_start = 0.0
        master.turn()
    (said,) = caplog.messages
    for part in (f"as user {master.one.user.name}", str(private), "enter each folder above it"):
        assert part in said
    (private / "python").unlink()
    master.one.user = None
    master.one.next_start = 0.0
    master.turn()
    assert len(caplog.messages) == 2


def test_stop_ends_even_one_that_ignores_sigterm(make_master: Callable[..., Master]) -> None:
    """By SIGKILL, after its grace, and not before."""
    code = "import signal; signal.signal(15, signal.SIG_IGN); [signal.pause() for _ in iter(int, 1)]"
    master = make_master(code)
    master.one.stop_grace = 0.3
    master.turn()
    pid = master.one.pid
    until(lambda: takes(pid, "SigIgn", signal.SIGTERM), "it ignores SIGTERM", 5)
    started = time.monotonic()
    master.companions.stop()
    assert 0.3 <= time.monotonic() - started < STOP_GRACE
    reap()
    assert not is_alive(pid)
    assert list(Slots(master.block).taken()) == []


def test_stop_does_not_wait_for_one_that_is_stopped(master: Master) -> None:
    """It could not take SIGTERM before the grace is over, however long that is."""
    master.one.stop_grace = 3600.0
    master.turn()
    pid = master.one.pid
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid), "it is stopped")
    stopping = threading.Thread(target=master.companions.stop)
    stopping.start()
    try:
        until(lambda: not stopping.is_alive(), "the stop is over")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        stopping.join()
        reap()
    assert not is_alive(pid)


def test_a_companion_whose_descriptor_has_a_high_number_is_looked_after(master: Master) -> None:
    """select(2) knows none above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
        while not opened or opened[-1] < 1100:
            opened.append(os.dup(master.block.fd))
        master.turn()
        assert master.one.is_running
        assert not master.one.has_ended()
        first = master.one.pid
        os.kill(first, signal.SIGKILL)
        master.await_another(first)
    finally:
        for fd in opened:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_companion_has_its_own_time_to_stop(master: Master) -> None:
    """The job runner ends its jobs first: it is waited for beyond what suits the others, and then not killed."""
    slow = "import signal, sys, time; signal.signal(15, lambda *_: (time.sleep(0.5), sys.exit(7))); signal.pause()"
    master.one.stop_grace = 0.1
    other = Companion("slow", layout.KIND_JOB_RUNNER, lambda slot: [sys.executable, "-c", slow], (), stop_grace=60.0)
    master.companions.add(other)
    master.turn()
    pids = master.companions.pids
    assert len(pids) == 2
    until(lambda: takes(other.pid, "SigCgt", signal.SIGTERM), "it handles SIGTERM", 5)
    master.companions.stop()
    reap()
    assert not any(map(is_alive, pids))
    assert master.exits()["exit 7"] == 1


def test_one_may_be_told_to_stop_before_the_workers_have(master: Master) -> None:
    """The others serve on until they are told."""
    other = Companion("other", layout.KIND_JOB_RUNNER, master.one.command, (), stops_with_workers=True)
    master.companions.add(other)
    master.turn()
    master.companions.begin_stop()
    until(other.has_ended, "it has ended")
    assert not master.one.has_ended()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its user")
def test_a_companion_runs_as_the_user_it_is_given(make_master: Callable[..., Master]) -> None:
    """In its groups alone, with its surroundings: nothing of the master's user comes along."""
    master = make_master("sleep 1000", "/bin/sh")  # any user may execute that
    master.one.user = User(65534, 65533, (65531,))
    groups = os.getgroups()
    os.setgroups([*groups, 65532])
    try:
        master.turn()
        found = status_of(master.one.pid)  # Popen returns once it is executed
        assert [found[name].split() for name in ("Uid", "Gid", "Groups")] == [["65534"] * 4, ["65533"] * 4, ["65531"]]
        environ = Path(f"/proc/{master.one.pid}/environ").read_bytes().split(b"\0")
        assert b"HOME=" + pwd.getpwuid(65534).pw_dir.encode() in environ
    finally:
        os.setgroups(groups)


def test_a_start_that_fails_in_any_way_keeps_no_slot(master: Master) -> None:
    """Else all slots of companions would be taken after some attempts, by nobody."""

    def fails(slot: int) -> list[str]:
        raise ValueError("a bug")

    master.one.command = fails
    for _ in range(layout.COMPANION_SLOTS + 1):
        master.one.next_start = 0.0
        master.turn()
    assert list(Slots(master.block).taken()) == []
