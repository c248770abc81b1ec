"""The methods of gunicorn's arbiter that hvd wraps, so that no needless exception ends the master's main loop.

gunicorn has no hooks for "each turn of the main loop", "before a child is reaped" and "before the workers are
stopped"; and an exception out of a signal's handling, of a fork or of a hook ends its loop, and the daemon with it. So
the methods of the one arbiter that runs are wrapped. They are not public API: read in gunicorn 27.0.1, arbiter.py;
tests/unit/daemon/test_arbiter.py fails if they change.
"""

import logging
import os
import time
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any

from gunicorn.errors import HaltServer
from gunicorn.glogging import loggers

from hvd.daemon import conf
from hvd.daemon.master import Master
from hvd.daemon.sockets import current_umask
from hvd.errors import HvdError, SettingsError
from hvd.settings.table import SLOTS_SPARE

HANDLED = ("hup", "usr1", "usr2", "ttin", "ttou", "winch")
"""Signals whose handling must not end the daemon: TERM, INT and QUIT are to."""

REMIND = 60.0  # s between two messages that workers still can't be started; it is tried at each turn of the loop


def _wait_with_peak(pid: int, options: int) -> tuple[int, int, int]:
    """waitpid(2), and the most memory that the process used, in bytes."""
    ended, status, usage = os.wait4(pid, options)
    return ended, status, usage.ru_maxrss * 1024


class CannotSpawn(Exception):  # noqa: N818
    """A worker could not be started now. It is tried again."""


class Loop:
    """The wrapped methods. All of it runs in the master's main thread."""

    def __init__(self, server: Any, master: Master) -> None:
        self._server, self._master, self._log = server, master, server.log
        self._reported = float("-inf")  # when it was last said that workers can't be started
        self._is_stopping = False
        self._refused = 0  # workers that the settings ask for, and the block has no room for
        self._outdated = 0  # workers up to this age are to be replaced: a reload could not start all the new ones
        self._spawn, self._manage, self._reap = server.spawn_worker, server.manage_workers, server.reap_workers
        self._stop, self._reload, self._read_settings = server.stop, server.reload, server.app.reload
        self._reopen, self._murder = server.log.reopen_files, server.murder_workers
        self._execute_new, self._kill = server.handle_usr2, server.kill_worker

    def take_over(self) -> None:
        """Put these methods in the place of the arbiter's own."""
        server = self._server
        server.spawn_worker, server.manage_workers = self._spawn_worker, self._turn
        server.reap_workers, server.stop, server.reload = self._reap_all, self._stop_all, self._reload_all
        server.app.reload, server.murder_workers = self._read_settings_again, self._end_silent
        server.log.reopen_files, server.handle_usr2 = self._reopen_files, self._upgrade
        server.kill_worker = self._kill_worker
        for name in HANDLED:
            setattr(server, f"handle_{name}", self._guarded(name, getattr(server, f"handle_{name}")))

    def _guarded(self, name: str, handle: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                handle()
            except (HaltServer, StopIteration):
                raise
            except (Exception, SystemExit) as error:
                if os.getpid() == self._server.pid:
                    self._log.exception("hvd: handling SIG%s failed; the daemon goes on", name.upper())
                elif isinstance(error, SystemExit):  # the end of a worker, which was forked in there
                    raise
                else:  # a child that failed to become the new master must not stop the old one's workers
                    self._log.exception("hvd: no new master could be executed")
                    os._exit(1)

        return guarded

    def _upgrade(self) -> None:
        """USR2. gunicorn refuses it until a later turn has seen that the master before this one is gone."""
        self._server.maybe_promote_master()
        self._execute_new()

    def _end_silent(self) -> None:
        """Before gunicorn ends workers that were silent for too long, take their stacks."""
        self._master.safely(self._master.take_stacks_of_silent)
        self._murder()

    def _kill_worker(self, pid: int, signum: int) -> None:
        if worker := self._server.WORKERS.get(pid):
            self._master.workers.note_signal(worker, signum)
        self._kill(pid, signum)

    def _reopen_files(self) -> None:
        """USR1 and HUP, in workers too: log files that can't be opened again stay open, or each line would raise."""
        try:
            for handler in (handler for logger in loggers() for handler in logger.handlers):
                if isinstance(handler, logging.FileHandler):
                    os.close(os.open(handler.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
        except OSError as error:
            self._log.error("hvd: log files stay as they are: %s", error)
        else:
            self._reopen()

    def _turn(self) -> None:
        self._limit_workers()
        missing = 0
        try:
            self._manage()
            self._replace_outdated()
        except CannotSpawn as error:
            missing = max(0, self._server.num_workers - len(self._server.WORKERS))
            self._report(error)
        else:
            if self._reported > 0:
                self._log.info("hvd: workers can be started again")
                self._reported = float("-inf")
        self._master.has_served = True
        self._master.missing = self._refused + missing
        self._master.safely(self._master.supervise)
        self._master.safely(self._master.report)

    def _limit_workers(self) -> None:
        """Limit the workers to those that have room, whether a signal, the settings or a reload asked for more.

        Those of another app than hvd's serve without a slot.
        """
        server, most = self._server, self._master.workers.most
        if server.num_workers < most:
            self._refused = 0
        if server.num_workers <= most or conf.is_guest():
            return
        self._log.error(
            "hvd: %d workers asked for, and the block has room for %d: set HVD_SLOTS to %d, and restart",
            *(server.num_workers, most, server.num_workers + SLOTS_SPARE),
        )
        self._refused = max(0, server.cfg.workers - most)
        server.num_workers = most

    def _replace_outdated(self) -> None:
        """Go on where a reload could not: each new worker takes the place of an old one."""
        server = self._server
        while self._outdated and sum(w.age > self._outdated for w in server.WORKERS.values()) < server.num_workers:
            self._spawn_worker()
            self._manage()
        self._outdated = 0

    def _report(self, error: CannotSpawn) -> None:
        if time.monotonic() - self._reported < REMIND:
            return
        self._reported = time.monotonic()
        cause = error.__cause__
        known = isinstance(cause, OSError | HvdError)
        self._log.error(
            "hvd: %d of %d workers run, and no other can be started (%s); it is tried again each second",
            *(len(self._server.WORKERS), self._server.num_workers, cause),
            exc_info=None if known else cause,
        )

    def _spawn_worker(self) -> int:
        """Raises CannotSpawn, or what ends a start for which no worker can ever be had."""
        has_failed = True
        umask = current_umask()
        self._master.safely(self._master.lead.beat)  # many workers take seconds
        try:
            pid: int = self._spawn()
            has_failed = False
            return pid
        except Exception as error:  # of the master: those of a child end in gunicorn, as SystemExit
            if isinstance(error, OSError | HvdError) or self._master.has_served:
                raise CannotSpawn from error
            raise
        finally:
            if os.getpid() == self._server.pid:
                os.umask(umask)  # gunicorn leaves another one, where it can't make the file for the heartbeat
                self._master.workers.after_fork(has_failed)

    def _reap_all(self) -> None:
        """Note how children ended: gunicorn does not tell its hooks what it has of waitpid(2).

        To ask the kernel before it does would miss a child that ends in between. The master has no other thread.
        """
        wait, last = os.waitpid, None
        # where gevent has patched the master, gevent reaps the children, and only its own waitpid knows of them
        is_patched = not isinstance(wait, BuiltinFunctionType)

        def noting(pid: int, options: int) -> tuple[int, int]:
            nonlocal last
            ended, status, peak = (*wait(pid, options), None) if is_patched else _wait_with_peak(pid, options)
            if ended:
                last = self._server.WORKERS.get(ended)
                self._master.note_status(ended, status, peak)
            return ended, status

        os.waitpid = noting
        try:
            self._reap()
        except HaltServer:  # before it has called child_exit
            if last:
                self._master.settle(last)
            if not self._is_stopping:  # else gunicorn would end in a traceback, and leave the rest of the stop undone
                raise
        finally:
            os.waitpid = wait
        self._master.safely(self._master.supervise_companions)

    def _stop_all(self, graceful: bool = True) -> None:
        self._is_stopping = True
        self._master.safely(self._master.begin_stop)
        self._stop(graceful)

    def _reload_all(self) -> None:
        before, self._refused = self._server.worker_age, 0
        try:
            self._reload()
        except CannotSpawn as error:
            self._outdated = before
            self._report(error)

    def _read_settings_again(self) -> None:
        """HUP: what can't be read is reported, and the settings in force stay."""
        app, before = self._server.app, dict(vars(self._server.app))  # gunicorn forgets first which app it serves
        self._master.coming = None
        try:
            conf.read_again()
            self._read_settings()
            settings = conf.in_force(app.cfg)
        except (Exception, SystemExit) as error:
            vars(app).update(before)
            self._master.trouble = _reason(error)
            self._log.error("hvd: reload goes on with the settings in force: %s", self._master.trouble)
            return
        app.cfg.set("bind", before["cfg"].bind)
        conf.name_processes(app.cfg, self._master.settings)
        self._master.coming = settings


def _reason(error: BaseException) -> str:
    if isinstance(error, SettingsError):
        return "; ".join(error.problems)
    if isinstance(error, SystemExit):
        return "gunicorn can't read its own, and has said why on standard error"
    return f"{type(error).__name__}: {error}"
