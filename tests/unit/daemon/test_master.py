"""A start that fails, a reload, what a worker gets, and who may remove the block."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hvd import __version__
from hvd.agg.options import AggregatorOptions
from hvd.companion.options import OptionsFile
from hvd.core import layout
from hvd.core.acquire import acquire
from hvd.core.block import DIRECTORY
from hvd.daemon.companions import Companion
from hvd.daemon.master import Master
from hvd.daemon.workers import HvdThreadWorker
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

    monkeypatch.setattr("hvd.daemon.programs.events.socket_pair", fails)
    with pytest.raises(type(error)), made(name):
        pass
    assert not (DIRECTORY / name).exists()


def test_slots_of_dead_companions_are_free_for_the_next(name: str) -> None:
    """In the same turn: all may be taken by companions of masters that were killed during upgrades."""
    with made(name) as master:
        helper = Companion("helper", layout.KIND_AGGREGATOR, lambda slot: ["sleep", "60"], ())
        master._companions._all = [helper]
        for _ in range(layout.COMPANION_SLOTS - 1):  # one is the master's own
            master._slots.claim(layout.KIND_AGGREGATOR, dead_pid(), dead_pid())
        master._server.WORKERS = {}
        try:
            master.supervise()
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


def test_a_start_and_an_end_are_a_line_each(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs here, and what it has counted; what is not compiled, as a checkout without a compiler, is a warning."""
    caplog.set_level(logging.INFO)
    with made(name) as master:
        master.log_start()
        monkeypatch.setattr("hvd.core.hot.IS_COMPILED", False)
        master._ownership.was_made = False
        master.log_start()
        master.leave()
    start, again, warning, end = caplog.messages
    for part in (__version__, "_hotrow compiled", "_counting compiled", f"/dev/shm/{name}", "http://127.0.0.1:1"):
        assert part in start
    assert f"{name} (its totals go on)" in again
    assert "hvd.core._hotrow can't be used" in warning
    assert "compiler" in warning
    assert f"hvd {__version__} ends: 0 requests finished, 0 of them errors, 0 aborted" in end


def settings_of(name: str, **changes: Any) -> Settings:
    return replace(load({"HVD_INSTANCE": name.removeprefix("hvd-")}).settings, **changes)


@contextlib.contextmanager
def made(name: str, **changes: Any) -> Iterator[Master]:
    """A master of this process, whose companions have not been started yet."""
    server = SimpleNamespace(
        app=SimpleNamespace(app_uri="shop:app"),
        master_pid=0,
        reexec_pid=0,
        worker_class=HvdThreadWorker,
        log=logging.getLogger("test"),
        cfg=SimpleNamespace(uid=0, gid=0, initgroups=False, env_orig={}, umask=0o117),
        LISTENERS=["http://127.0.0.1:1"],
        systemd=False,
    )
    master = Master(server, settings_of(name, **changes))
    try:
        yield master
    finally:
        channels = master._channels
        for end in (channels.worker_end, channels.hub_end, channels.event_writers, channels.event_reader):
            end.close()
        for fd in (master.block.fd, channels.wake_fd, channels.stacks.fd):
            os.close(fd)
        master.admin.close()


def test_a_socket_of_systemds_that_is_not_bind_is_said(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The socket is what is served; under the same address there is nothing to say."""
    with made(name) as master, socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        master._server.systemd, master._server.LISTENERS = True, [listener]
        for bind in ("127.0.0.1:1", address):
            master.settings = replace(master.settings, bind=bind)
            master._warn_of_socket()
    (line,) = (message for message in caplog.messages if "systemd" in message)
    assert line.startswith(f"hvd: bind is 127.0.0.1:1, and systemd's socket {address} is what is served")


def test_a_reload_reaches_companions(name: str) -> None:
    """With the level that the error log has, wherever that comes from."""
    with made(name) as master:
        aggregator, admin_server = master._companions._all
        assert admin_server.name == "admin server"
        file = OptionsFile(aggregator.pass_fds[1])
        master.reload(settings_of(name, interval=9.0))
        options = AggregatorOptions.from_json(file.read())
        assert (options.interval, options.log_level) == (9.0, "warning")


def test_a_reload_that_cannot_be_told_is_done_all_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where an event of another version says what can't be."""
    with made(name) as master:
        monkeypatch.setattr(master.marks, "reload", lambda trouble: 1 / 0)
        master.coming = settings_of(name, interval=9.0)
        master.apply_coming()
        assert master.settings.interval == 9.0


def test_a_worker_takes_jobs_where_kinds_are_declared(name: str) -> None:
    """And does without the database's library elsewhere."""
    with made(name) as master:
        assert master._job_service() is None
        master.reload(settings_of(name, job_kinds=kinds()))
        service = master._job_service()
        assert service
        assert set(service.kinds) == {"plain", "stubborn"}
