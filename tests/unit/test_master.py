"""A start that fails; and what hvd relies on in gunicorn's arbiter, which is no public API: read in 27.0.1."""

import inspect
import logging
import os
from types import SimpleNamespace

import gunicorn
import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.http.wsgi import Response
from gunicorn.workers.base import Worker

from hvd.core.block import acquire
from hvd.master import Master
from hvd.settings import load
from tests.unit.core.support import SMALL, ended, fork


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
    assert "self.reap_workers()" in source(Arbiter.handle_chld)
    assert "self.reap_workers()" in source(Arbiter.reload)
    assert "self.stop()" in source(Arbiter.halt)
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


def test_start_response_is_a_method_of_the_response_that_has_the_status() -> None:
    """What counting reads the status from."""
    assert "self.status = status" in source(Response.start_response)


@pytest.mark.parametrize("existed", [False, True])
def test_a_start_that_fails_leaves_the_block_as_it_was(name: str, existed: bool) -> None:
    """One that was made for it is gone; one that was taken over stays, and doesn't name a master that is no more."""
    if existed:
        assert ended(fork(lambda: acquire(name, SMALL))) == 0
    server = SimpleNamespace(master_pid=0, log=logging.getLogger("test"))
    master = Master(server, load({"HVD_INSTANCE": name.removeprefix("hvd-")}).settings)
    try:
        assert master.block.masters() != []
        master.give_up()
        assert master.block.path.exists() == existed
        assert master.block.masters() == []
    finally:
        for channel in (master._worker_end, master._hub_end, master._event_writers, master._event_reader):
            channel.close()
        for fd in (master.block.fd, master._wake_fd, master._job_options_fd):
            os.close(fd)
