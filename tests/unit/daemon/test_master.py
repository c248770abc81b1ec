"""A start that fails, what the master does for workers and the job runner, and who may remove the block."""

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hvd import __version__
from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import DIRECTORY
from hvd.daemon.companions import STOP_GRACE, Companion
from hvd.daemon.master import Master
from hvd.daemon.users import User
from hvd.daemon.workers import HELD, HvdThreadWorker
from hvd.jobs.database import schema
from hvd.jobs.options import Options
from hvd.settings.loader import load
from hvd.settings.table import Settings
from tests.unit.core.support import SMALL, dead_pid, ended, fork
from tests.unit.jobs.support import kinds


@pytest.mark.parametrize("existed", [False, True])
def test_a_start_that_fails_leaves_the_block_as_it_was(name: str, existed: bool) -> None:
    """One that was made for it is gone; one that was taken over stays, and doesn't name a master that is no more."""
    if existed:
        assert ended(fork(lambda: acquire(name, SMALL))) == 0
    with made(name) as master:
        assert master.block.masters() != []
        master.leave()
        assert master.block.path.exists() == existed
        assert master.block.masters() == []


@pytest.mark.parametrize("error", [OSError("no descriptor is left"), KeyboardInterrupt()])
def test_a_master_that_can_not_be_made_leaves_no_block(
    name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is missing once the block is there; nobody would know of it."""

    def fails() -> None:
        raise error

    monkeypatch.setattr("hvd.daemon.master.events.channel", fails)
    with pytest.raises(type(error)), made(name):
        pass
    assert not (DIRECTORY / name).exists()


def test_slots_of_dead_companions_are_free_for_the_next(name: str) -> None:
    """In the same turn: all may be taken by companions of masters that were killed during upgrades."""
    with made(name) as master:
        helper = Companion("helper", layout.KIND_AGGREGATOR, lambda slot: [sys.executable, "-c", SLEEP], ())
        master._companions._all = [helper]
        for _ in range(layout.COMPANION_SLOTS):
            master._slots.claim(layout.KIND_AGGREGATOR, dead_pid(), dead_pid())
        master._server.WORKERS = {}
        try:
            master.look_after()
            assert helper.is_running
        finally:
            master.leave()


def test_the_block_of_a_daemon_that_served_goes_with_it(name: str) -> None:
    """Once taken over and used, it is this daemon's."""
    assert ended(fork(lambda: acquire(name, SMALL))) == 0
    with made(name) as master:
        master.has_served = True
        master.leave()
        assert not master.block.path.exists()


def test_only_the_master_removes_the_block(name: str) -> None:
    """A worker inherits what is to be done at exit, and the lock that says whose the block is."""
    with made(name) as master:
        assert ended(fork(master.leave)) == 0
        assert master.block.path.exists()
        assert master.block.masters() == [os.getpid()]


def test_a_worker_that_could_not_be_forked_needs_no_slot(name: str) -> None:
    """And signals reach the master again."""
    with made(name) as master:
        worker: Any = HvdThreadWorker.__new__(HvdThreadWorker)
        master.before_fork(worker)
        master.before_fork(worker)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= HELD
        assert [slot.number for slot in master._slots.taken()] == [worker.hvd_slot]
        master.after_fork(has_failed=True)
        assert not HELD & signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert list(master._slots.taken()) == []


def settings_of(name: str, **changes: Any) -> Settings:
    return replace(load({"HVD_INSTANCE": name.removeprefix("hvd-")}).settings, **changes)


@contextlib.contextmanager
def made(name: str, uid: int = 0, **changes: Any) -> Iterator[Master]:
    """A master of this process, whose companions have not been started yet."""
    server = SimpleNamespace(
        master_pid=0,
        worker_class=HvdThreadWorker,
        log=logging.getLogger("test"),
        cfg=SimpleNamespace(uid=uid, gid=uid and uid - 1, initgroups=False, env_orig={}),
    )
    master = Master(server, settings_of(name, **changes))
    try:
        yield master
    finally:
        for channel in (master._worker_end, master._hub_end, master._event_writers, master._event_reader):
            channel.close()
        for fd in (master.block.fd, master._wake_fd, master._job_options_fd):
            os.close(fd)


def test_a_start_and_a_stop_are_a_line_each(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What runs here, and what it has counted."""
    caplog.set_level(logging.INFO)
    with made(name) as master:
        master._server.LISTENERS = ["http://127.0.0.1:1"]
        master.log_start()
        master.leave()
    start, end = caplog.messages
    for part in (__version__, "_hotrow compiled", "_counting compiled", f"/dev/shm/{name}", "http://127.0.0.1:1"):
        assert part in start
    assert f"hvd {__version__} ends: 0 requests finished, 0 of them errors, 0 aborted" in end


def test_what_is_not_compiled_is_said_at_the_start(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning that names it; a checkout without a compiler is legitimate."""
    monkeypatch.setattr("hvd.core.hot.IS_COMPILED", False)
    with made(name) as master:
        master._server.LISTENERS = []
        master.log_start()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "hvd.core._hotrow can't be used" in warning
    assert "compiler" in warning


SLEEP = "signal.signal(1, lambda *_: os.write(1, b'told')); os.write(1, b'on'); signal.pause()"


def test_there_is_a_job_runner_once_a_kind_is_declared(name: str) -> None:
    """Of a reload, too; without one no process is kept for jobs."""
    with made(name) as master:
        assert [one.name for one in master._companions._all] == ["aggregator"]
        master.reload(settings_of(name, interval=3.0))
        assert master._job_runner is None
        master.reload(settings_of(name, job_kinds=kinds()))
        assert [one.name for one in master._companions._all] == ["aggregator", "job runner"]
        assert set(Options.read(master._job_options_fd).kinds) == {"plain", "stubborn"}
        master.reload(settings_of(name))
        assert Options.read(master._job_options_fd).kinds == {}, "it stays, and starts nothing"


def test_the_job_runner_is_told_of_all_that_it_needs(name: str) -> None:
    """By descriptors that it inherits; nothing secret is in its command."""
    with made(name, job_kinds=kinds(), database_url="postgresql://hvd:secret@db/hvd") as master:
        runner = master._job_runner
        assert runner
        command = runner.command(3)
        assert command[1:4] == ["-P", "-m", "hvd.jobs"]
        assert "secret" not in str(command)
        given = {name: command[command.index(name) + 1] for name in command if name.startswith("--")}
        fds = [int(given[f"--{name}-fd"]) for name in ("block", "events", "wake", "options")]
        assert fds == list(runner.pass_fds)
        assert (given["--slot"], given["--master"], given["--name"]) == ("3", str(os.getpid()), name)
        assert Options.read(fds[3]) == replace(Options.of(master.settings), log_level="warning"), "the log's own level"
        assert Options.read(fds[3]).database_url.endswith("secret@db/hvd")


def test_the_job_runner_has_time_to_end_its_jobs(name: str) -> None:
    """Their grace, and then its own; as long as the settings of now say."""
    with made(name, job_kinds=kinds(), jobs_grace=7.0) as master:
        assert master._job_runner
        assert master._job_runner.stop_grace == 7.0 + STOP_GRACE
        master.reload(settings_of(name, job_kinds=kinds(), jobs_grace=60.0))
        assert master._job_runner.stop_grace == 60.0 + STOP_GRACE


def test_a_reload_tells_the_job_runner_of_other_options_only(name: str) -> None:
    """By SIGHUP, so that what runs goes on; a change that is none of its business doesn't wake it."""
    with made(name, job_kinds=kinds()) as master:
        runner = master._job_runner
        assert runner
        read_end, write_end = os.pipe()
        code = f"import os, signal; os.dup2({write_end}, 1); {SLEEP}; [signal.pause() for _ in iter(int, 1)]"
        command = [sys.executable, "-c", code]
        alike = Companion(runner.name, runner.kind, lambda slot: command, (write_end,))
        alike.start(0)
        master._job_runner = alike
        try:
            os.close(write_end)
            assert os.read(read_end, 100) == b"on"
            master.reload(settings_of(name, job_kinds=kinds(), interval=9.0))
            assert select.select([read_end], [], [], 0.1)[0] == []
            master.reload(settings_of(name, job_kinds=kinds(), jobs_concurrency=3))
            assert os.read(read_end, 100) == b"told"
            assert Options.read(master._job_options_fd).concurrency == 3
        finally:
            alike.signal(signal.SIGKILL)
            os.waitpid(alike.pid, 0)
            alike.forget(logging.getLogger("test"))
            os.close(read_end)


@pytest.mark.parametrize(("uid", "user"), [(0, None), (1000, User(1000, 999))])
def test_companions_have_the_workers_user(
    name: str, uid: int, user: User | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What parses bytes from the network, and what runs programs, is no more than a worker is."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: 0)
    with made(name, uid, job_kinds=kinds()) as master:
        assert [one.user for one in master._companions._all] == [user, user]


def test_what_workers_need_for_jobs_is_imported_before_they_are_forked(name: str) -> None:
    """At the start, or by the reload that brings the first kinds: after the fork each would import it for itself."""
    url = "postgresql://hvd@nowhere/hvd"
    with made(name, database_url=url) as master:
        loaded: list[str] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(schema, "load_library", loaded.append)
            master.reload(settings_of(name, database_url=url))
            assert loaded == []
            master.reload(settings_of(name, database_url=url, job_kinds=kinds()))
            assert loaded == [url]
    script = f"""
import sys
from hvd.daemon.master import _load_jobs
_load_jobs({url!r})
loaded = set(sys.modules)
from hvd.jobs.desk import Desk
from hvd.jobs.database.schema import Database
Database({url!r})._postgresql()
print(sorted(set(sys.modules) - loaded))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_worker_has_a_desk_where_kinds_are_declared(name: str) -> None:
    """And does without the database's library elsewhere."""
    with made(name) as master:
        assert master._desk() is None
        master.reload(settings_of(name, job_kinds=kinds()))
        desk = master._desk()
        assert desk
        assert set(desk.kinds) == {"plain", "stubborn"}
