"""The master's loop goes on; and what hvd relies on in gunicorn's arbiter, which is no public API: read in 27.0.1."""

import contextlib
import errno
import inspect
import logging
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gunicorn
import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.workers.base import Worker

from hvd.daemon.arbiter import HANDLED, CannotSpawn, Loop
from hvd.errors import NoFreeSlot
from tests.support.waiting import until
from tests.unit.core.support import ended, fork


def source(function: object) -> str:
    return inspect.getsource(function)  # type: ignore[arg-type]


def test_the_version_that_was_read_is_the_one_installed() -> None:
    """A newer one may well work: read the methods named here again, then change this line."""
    assert gunicorn.__version__.split(".")[:2] == ["27", "0"]


def test_the_main_loop_calls_what_is_wrapped() -> None:
    """manage_workers at each turn, at most a second apart; reap_workers when a child has died; stop at the end."""
    run = source(Arbiter.run)
    assert "self.wait_for_signals(timeout=1.0)" in run
    assert run.count("self.manage_workers()") == 2
    assert 'getattr(self, "handle_%s" % signame, None)' in run
    assert "self.reap_workers()" in source(Arbiter.handle_chld)
    assert "self.reap_workers()" in source(Arbiter.reload)
    assert "self.reload()" in source(Arbiter.handle_hup)
    assert "self.stop()" in source(Arbiter.halt)
    assert "self.spawn_worker()" in source(Arbiter.spawn_workers)
    assert "self.spawn_worker()" in source(Arbiter.reload)
    assert list(inspect.signature(Arbiter.stop).parameters) == ["self", "graceful"]


def test_a_child_is_peeked_at_before_it_is_reaped() -> None:
    """waitpid comes in reap_workers, and the hook after it, for a worker that has left WORKERS."""
    reap = source(Arbiter.reap_workers)
    assert reap.index("os.waitpid(-1, os.WNOHANG)") < reap.index("self.WORKERS.pop(wpid, None)")
    assert reap.index("self.WORKERS.pop(wpid, None)") < reap.index("self.cfg.child_exit(self, worker)")


def test_hooks_come_in_the_order_that_slots_need() -> None:
    """pre_fork in the master, post_fork before the app is loaded, post_worker_init after the change of user."""
    spawn = source(Arbiter.spawn_worker)
    assert spawn.index("cfg.pre_fork") < spawn.index("os.fork()") < spawn.index("cfg.post_fork")
    assert spawn.index("cfg.post_fork") < spawn.index("worker.init_process()")
    init = source(Worker.init_process)
    assert init.index("set_owner_process") < init.index("self.load_wsgi()") < init.index("cfg.post_worker_init")
    start = source(Arbiter.start)
    assert start.index("self.master_pid = int") < start.index("cfg.on_starting") < start.index("create_sockets")


def test_a_timeout_is_told_by_the_aborted_flag() -> None:
    """It is set before the signal, so a worker that was aborted is known when it is reaped."""
    murder = source(Arbiter.murder_workers)
    assert murder.index("worker.aborted = True") < murder.index("signal.SIGABRT")


class Server:
    """What the loop wraps of an arbiter; `failure` is raised by whatever is called."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.log: Any = logging.getLogger("test")
        self.log.reopen_files = self._fail
        self.app = SimpleNamespace(reload=lambda: None, cfg=None)
        self.WORKERS: dict[int, Any] = {}
        self.num_workers = 3
        self.cfg = SimpleNamespace(workers=3)
        self.worker_age = 0
        self.failure: BaseException | None = None
        for name in HANDLED:
            setattr(self, f"handle_{name}", self._fail)
        self.murdered: list[str] = []
        self.promoted = 0

    def maybe_promote_master(self) -> None:
        self.promoted += 1

    def murder_workers(self) -> None:
        self.murdered.append("by gunicorn")

    def kill_worker(self, pid: int, signum: int) -> None:
        self.murdered.append(f"{pid} by {signum}")

    def _fail(self) -> None:
        if self.failure:
            raise self.failure

    def spawn_worker(self) -> int:
        self._fail()
        self.worker_age += 1
        self.WORKERS[self.worker_age] = SimpleNamespace(age=self.worker_age)
        return self.worker_age

    def manage_workers(self) -> None:
        for _ in range(self.num_workers - len(self.WORKERS)):
            self.spawn_worker()
        for number in sorted(self.WORKERS)[: -self.num_workers]:
            del self.WORKERS[number]

    def reap_workers(self) -> None:
        self._fail()

    def stop(self, graceful: bool = True) -> None:
        self._fail()

    def reload(self) -> None:
        for _ in range(self.num_workers):
            self.spawn_worker()
        self.manage_workers()


class Workers:
    """The slots of workers, of which there are five."""

    most = 5

    def __init__(self) -> None:
        self.forks: list[bool] = []
        self.signals: list[tuple[int, int]] = []

    def after_fork(self, has_failed: bool) -> None:
        self.forks.append(has_failed)

    def note_signal(self, worker: Any, signum: int) -> None:
        self.signals.append((worker.age, signum))


class Master:
    """What the loop calls of hvd's master."""

    missing = 0

    def __init__(self) -> None:
        self.has_served = False
        self.workers = Workers()
        self.turns = 0
        self.lead = SimpleNamespace(beat=self.nothing)

    def supervise(self) -> None:
        self.turns += 1

    def nothing(self) -> None:
        pass

    supervise_companions = begin_stop = report = nothing

    def safely(self, work: Callable[[], None]) -> None:
        work()


@pytest.fixture
def server() -> Any:
    return Server()


@pytest.fixture
def master(server: Any) -> Any:
    master: Any = Master()
    Loop(server, master).take_over()
    return master


NO_PROCESSES = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_fork_that_fails_leaves_the_others_and_is_tried_again(
    server: Any, master: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, not at each turn, and once that it works again; what was reserved for the worker is freed."""
    caplog.set_level(logging.INFO)
    server.manage_workers()
    del server.WORKERS[2]
    server.failure = NO_PROCESSES
    for _ in range(5):
        server.manage_workers()
    assert sorted(server.WORKERS) == [1, 3]
    assert master.workers.forks == [False] * 3 + [True] * 5
    assert caplog.text.count("2 of 3 workers run, and no other can be started ([Errno 11] Resource temp") == 1
    assert master.missing == 1, "which /health says"
    server.failure = None
    server.manage_workers()
    assert (len(server.WORKERS), master.missing) == (3, 0)
    server.manage_workers()
    assert caplog.text.count("workers can be started again") == 1
    assert master.turns == 8, "hvd's part of a turn is done"


def test_a_turn_is_reported_whatever_fails_in_it(server: Any, master: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the manager's watchdog would end a daemon that works."""
    called: list[str] = []

    def fail() -> None:
        called.append("supervise")
        raise OSError("the disk is full")

    def safely(work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            work()

    monkeypatch.setattr(master, "supervise", fail)
    monkeypatch.setattr(master, "safely", safely)
    monkeypatch.setattr(master, "report", lambda: called.append("report"))
    server.manage_workers()
    assert called == ["supervise", "report"]


@pytest.mark.parametrize("failure", [NO_PROCESSES, NoFreeSlot("all slots are taken"), RuntimeError("a hook's")])
def test_a_reload_that_can_not_fork_is_carried_on_later(server: Any, master: Any, failure: Exception) -> None:
    """The old workers serve until new ones take their places."""
    server.manage_workers()
    server.failure = failure
    server.reload()
    server.manage_workers()
    assert sorted(server.WORKERS) == [1, 2, 3]
    server.failure = None
    server.manage_workers()
    assert sorted(server.WORKERS) == [4, 5, 6]
    server.manage_workers()
    assert sorted(server.WORKERS) == [4, 5, 6]


def test_no_more_workers_are_started_than_there_is_room_for(
    server: Any, master: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A signal that asks for more is refused in one line, and nothing is missing that the settings ask for."""
    server.num_workers = 6
    server.manage_workers()
    server.manage_workers()
    assert (len(server.WORKERS), server.num_workers, master.missing) == (5, 5, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "hvd: 6 workers asked for, and the block has room for 5: set HVD_SLOTS to 10, and restart"
    ]


def test_workers_that_the_settings_ask_for_are_missing(server: Any, master: Any) -> None:
    """Until fewer are asked for: the block may be of a daemon that had fewer slots."""
    server.num_workers = server.cfg.workers = 8
    server.manage_workers()
    server.manage_workers()
    assert (len(server.WORKERS), master.missing) == (5, 3)
    server.num_workers -= 1
    server.manage_workers()
    assert (len(server.WORKERS), master.missing) == (4, 0)
    server.num_workers = server.cfg.workers = 5
    server.reload()
    server.manage_workers()
    assert master.missing == 0


def test_a_worker_that_can_not_be_made_leaves_the_umask(server: Any, master: Any) -> None:
    """gunicorn's WorkerTmp changes it, and forgets that where it raises."""

    def spawn() -> None:
        os.umask(0)
        raise OSError("no room")

    loop: Any = Loop(server, master)
    loop._spawn = spawn
    before = os.umask(0o027)
    try:
        with pytest.raises(CannotSpawn):
            loop._spawn_worker()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_log_files_that_can_not_be_opened_again_stay_open(server: Any, master: Any, tmp_path: Path) -> None:
    """Python's handler of a file that was closed raises at each line."""
    folder = tmp_path / "logs"
    folder.mkdir()
    handler = logging.FileHandler(folder / "error.log")
    server.log.addHandler(handler)
    try:
        server.failure = AssertionError("opened again")
        with pytest.raises(AssertionError, match="opened again"):
            server.log.reopen_files()
        shutil.rmtree(folder)
        server.log.reopen_files()
        assert handler.stream is not None
    finally:
        server.log.removeHandler(handler)
        handler.close()


def test_a_start_for_which_no_worker_can_ever_be_had_ends(server: Any, master: Any) -> None:
    """A bug in a hook, say; a fork may do better the next time."""
    server.failure = NO_PROCESSES
    server.manage_workers()
    master.has_served = False
    server.failure = RuntimeError("a hook's")
    with pytest.raises(RuntimeError, match="a hook's"):
        server.manage_workers()


@pytest.mark.parametrize("name", HANDLED)
@pytest.mark.parametrize("failure", [RecursionError("deep"), OSError("no log folder"), SystemExit(1), CannotSpawn()])
def test_no_signal_ends_the_daemon_by_an_exception(
    server: Any, master: Any, name: str, failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, with the signal's name."""
    server.failure = failure
    getattr(server, f"handle_{name}")()
    assert f"handling SIG{name.upper()} failed" in caplog.text


@pytest.mark.parametrize("failure", [HaltServer("Worker failed to boot.", 3), StopIteration()])
def test_what_gunicorn_ends_by_ends(server: Any, master: Any, failure: Exception) -> None:
    """An app that can't be loaded, after a reload too, is gunicorn's to judge."""
    server.failure = failure
    with pytest.raises(type(failure)):
        server.handle_hup()


def test_a_second_worker_that_fails_to_boot_does_not_break_off_the_stop(server: Any, master: Any) -> None:
    """gunicorn ends because of the first, and reaps the second meanwhile."""
    server.failure = HaltServer("Worker failed to boot.", 3)
    with pytest.raises(HaltServer):
        server.reap_workers()
    server.failure = None
    server.stop()
    server.failure = HaltServer("Worker failed to boot.", 3)
    server.reap_workers()


def test_a_worker_that_fails_to_boot_is_settled(server: Any, master: Any) -> None:
    """gunicorn calls no hook for the one because of which it ends."""
    pid, ended, settled = fork(lambda: os._exit(3)), list[tuple[int, int]](), list[Any]()
    worker = server.WORKERS[pid] = SimpleNamespace(age=1)
    master.note_status = lambda pid, status, peak: ended.append((pid, status)) or peak > 0
    master.settle = settled.append

    def reap() -> None:
        until(lambda: os.waitpid(-1, os.WNOHANG)[0] == pid, "it has ended")
        raise HaltServer("Worker failed to boot.", 3)

    server.reap_workers = reap
    Loop(server, master).take_over()
    with pytest.raises(HaltServer):
        server.reap_workers()
    assert ((pid, 3 << 8) in ended, settled) == (True, [worker]), "children of other tests may end as well"


def test_signals_to_workers_are_noted(server: Any, master: Any) -> None:
    """They say whose end the master wanted; to one that is gone by now it is only sent."""
    server.spawn_worker()
    for pid in (1, 99):
        server.kill_worker(pid, signal.SIGTERM)
    assert master.workers.signals == [(1, signal.SIGTERM)]
    assert server.murdered == ["1 by 15", "99 by 15"]


@pytest.mark.parametrize(("failure", "status"), [(SystemExit(4), 4), (OSError("no gunicorn to execute"), 1)])
def test_a_child_of_the_master_ends_in_there(server: Any, master: Any, failure: BaseException, status: int) -> None:
    """A worker's end is passed on; a new master that can't be executed stops nobody's workers."""

    def handle() -> None:
        try:
            server.handle_usr2()
        except SystemExit as end:
            os._exit(int(str(end.code)))

    server.failure = failure
    server.pid = os.getpid()
    assert ended(fork(handle)) == status
