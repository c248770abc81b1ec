"""Companions: processes that the master keeps alive beside its workers. Runs in the master's own loop, no thread.

A companion is executed, not forked: it shares nothing with the master but the descriptors that it inherits. A pidfd
(pidfd_open(2)) says whether it lives. A pid doesn't: gunicorn reaps all children, and another process may get the pid.
"""

import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hvd.core.block import Block
from hvd.core.proc import is_stopped, queued_seconds
from hvd.core.slots import Slots
from hvd.daemon.code import Code
from hvd.daemon.deaths import UNKNOWN_CAUSE, Settler, cause_of, exit_cause
from hvd.daemon.logs import CompanionLog, error_log
from hvd.daemon.users import User
from hvd.settings.variables import environment, for_companions

STALL = 2.0  # s without a heartbeat, after which a companion counts as stuck
START_GRACE = 15.0  # s that a companion may take to its first heartbeat, on a machine that is busy
MOST_GRACE = 120.0  # s that it may take at last: it may twice as long each time that it was killed before that
TURN = 1.1  # s between two turns of the master's loop at most, when it gets the processor
QUICK = 5.0  # s; a companion that lives less long is started again after the next one of these pauses
PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0)
SILENT = "killed, as it gave no sign of life"
STOP_GRACE = 5.0  # s from SIGTERM to SIGKILL at a clean stop, of a companion that has nothing to wait for


@dataclass
class Companion:
    """One companion: how it is started, and the process that is running now."""

    name: str
    kind: int
    command: Callable[[int], Sequence[str]]  # slot number → arguments
    pass_fds: Sequence[int]
    stop_grace: float = STOP_GRACE
    user: User | None = None  # whom it runs as; None: the master's
    code: Code = field(default_factory=Code)  # hvd's code that it runs
    pid: int = 0
    slot: int = -1
    started: float = 0.0
    next_start: float = 0.0
    quick_ends: int = 0
    slow_starts: int = 0  # one after the other that were killed before their first heartbeat
    trouble: str = ""  # why it could not be started the last time
    cause: str = ""  # how it ended, once it was reaped
    peak: int | None = None  # and how many bytes of memory it used at most
    is_given_up: bool = False  # it gave no sign of life, and was killed
    stops_with_workers: bool = False  # it stops at the same time as the workers, not after them
    _pidfd: int = field(default=-1, repr=False)
    _log: CompanionLog | None = field(default=None, repr=False)
    _beat: int = field(default=0, repr=False)
    _seen: float = field(default=0.0, repr=False)
    _silent: float = field(default=0.0, repr=False)
    _queued: float = field(default=0.0, repr=False)

    @property
    def is_running(self) -> bool:
        return self._pidfd >= 0

    def start(self, slot: int) -> None:
        """Execute it. Raises OSError."""
        log = CompanionLog()
        try:
            process = self._execute(slot, log.companion_end.fileno())
        except BaseException:
            log.close()
            raise
        finally:
            log.companion_end.close()
        self._log = log
        self.pid, self.slot, self.started = process.pid, slot, time.monotonic()
        self.cause, self.peak, self.is_given_up = "", None, False
        self._beat, self._seen, self._silent, self._queued = 0, 0.0, 0.0, 0.0

    def _execute(self, slot: int, log_fd: int) -> "subprocess.Popen[bytes]":
        user, environ = self.user, for_companions(environment())
        # The process inherits that SIGHUP is blocked: a reload that comes too early for it must not end it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                self.command(slot),
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                pass_fds=(*self.pass_fds, *self.code.fds),
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=user.groups if user else None,
                env=self.code.environ(user.environ(environ) if user else environ),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:
            process.kill()  # else it would run on unsupervised
            process.wait()
            raise
        process.returncode = 0  # gunicorn reaps it; Popen must neither wait for it nor warn that nobody did
        return process

    def log_lines(self, to: logging.Logger) -> None:
        """Log the lines that have come from it since the last call."""
        if self._log:
            self._log.drain(self.pid, to)

    def stop_waking(self) -> None:
        """Have its lines no longer wake the master's loop."""
        if self._log:
            self._log.stop_waking()

    def has_ended(self) -> bool:
        """True once the process has ended, whether hvd or gunicorn reaped it."""
        ends = select.poll()  # select(2) takes no descriptor above 1023; a master may have as many files open
        ends.register(self._pidfd, select.POLLIN)
        return bool(ends.poll(0))

    def cause_of_end(self) -> str:
        """How it ended; "unknown" where it was reaped and nobody noted its status."""
        if self.cause:
            return self.cause
        try:
            info = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return UNKNOWN_CAUSE
        return exit_cause(info)

    def watch(self, beat: int, now: float) -> None:
        """Note its newest heartbeat (0: none yet); `now` in s. Add up how long there was no other one.

        A pause between two calls counts as TURN s at most: where the master stood still, so may have every companion.
        What it waited for a processor doesn't count: to kill it would have a busy machine start it over and over.
        """
        queued = queued_seconds(self.pid)
        watched = max(0.0, min(now - max(self._seen, self.started), TURN) - (queued - self._queued))
        self._queued = queued
        self._silent = self._silent + watched if beat == self._beat else 0.0
        self._beat, self._seen = beat, now
        if beat:
            self.slow_starts = 0

    @property
    def silence(self) -> str:
        """How long there was no sign of life, for the log, once that is longer than it may be; else ""."""
        may_be = STALL if self._beat else min(START_GRACE * 2**self.slow_starts, MOST_GRACE)
        if self._silent <= may_be:
            return ""
        since = "for" if self._beat else "since its start, for"
        return f"gave no sign of life {since} {self._silent:.1f} s, of which it may take {may_be:g}"

    def give_up(self) -> None:
        """Kill it."""
        self.is_given_up = True
        self.slow_starts += 0 if self._beat else 1
        self.signal(signal.SIGKILL)

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to this very process, never to one that has its pid by now."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signum)

    def reload(self) -> None:
        """Have it read its options anew, if it runs."""
        if self.is_running:
            self.signal(signal.SIGHUP)

    def forget(self, to: logging.Logger) -> None:
        """Log the last lines of the process, which has ended, and close what was open for it."""
        os.close(self._pidfd)
        if self._log:
            self._log.drain(self.pid, to, to_the_end=True)
            self._log.close()
        self._pidfd, self.pid, self._log = -1, 0, None


class Companions:
    """All companions of a master, in its main thread. Its loop calls `supervise` at least once a second."""

    def __init__(self, block: Block, settler: Settler, log: logging.Logger) -> None:
        self._slots = Slots(block)
        self._settler = settler
        self._log, self._error_log = log, error_log(log)
        self._all: list[Companion] = []
        self.stopping = False

    def add(self, companion: Companion) -> None:
        """Keep this one alive from now on."""
        self._all.append(companion)

    @property
    def kinds(self) -> set[int]:
        """Those that are kept alive."""
        return {companion.kind for companion in self._all}

    @property
    def pids(self) -> list[int]:
        """Of companions that run, or ended since the last `supervise`."""
        return [companion.pid for companion in self._all if companion.is_running]

    def supervise(self) -> None:
        """Log their lines, settle those that have ended, end those that are stuck, start those that are due."""
        for companion in self._all:
            companion.log_lines(self._error_log)
        if self.stopping:
            return
        for companion in self._all:
            if companion.is_running and companion.has_ended():
                self._settle(companion)
            elif companion.is_running:
                self._end_if_stuck(companion)
            if not companion.is_running and time.monotonic() >= companion.next_start:
                self._start(companion)

    def note_status(self, pid: int, status: int, peak: int | None = None) -> None:
        """A child of the master was reaped, with this status of waitpid(2), and used `peak` bytes of memory at most; it
        need not be a companion.
        """
        for companion in self._all:
            if companion.is_running and companion.pid == pid:
                companion.cause, companion.peak = cause_of(os.waitstatus_to_exitcode(status)), peak

    def _start(self, companion: Companion) -> None:
        slot = -1
        try:
            slot = self._slots.claim(companion.kind, os.getpid())
            companion.start(slot)
        except Exception as error:  # of any kind: else the slot would stay taken
            if slot >= 0:
                self._slots.free(slot)
            companion.next_start = time.monotonic() + PAUSES[-1]
            trouble = _why_not(companion, error)
            if trouble != companion.trouble:
                self._log.error("%s can't be started%s; trying every %g s", companion.name, trouble, PAUSES[-1])
            companion.trouble = trouble
            return
        companion.trouble = ""
        self._slots.name_process(slot, companion.pid)
        self._log.info("Started %s (pid:%d)", companion.name, companion.pid)

    def _settle(self, companion: Companion) -> None:
        cause, lived = companion.cause_of_end(), time.monotonic() - companion.started
        companion.quick_ends = companion.quick_ends + 1 if lived < QUICK else 0
        pause = PAUSES[min(companion.quick_ends, len(PAUSES) - 1)]
        companion.next_start = time.monotonic() + pause
        again = f"in {pause:g} s" if pause else "at once"
        companion.log_lines(self._error_log)
        if not self.stopping:
            self._log.error(
                "%s (pid:%d) ended after %.1f s: %s; starting another %s",
                *(companion.name, companion.pid, lived, cause, again),
            )
        reported_cause = SILENT if companion.is_given_up else ""
        self._settler.settle_slot(
            *(companion.slot, companion.pid, cause),
            is_wanted=self.stopping,
            peak=companion.peak,
            reported_cause=reported_cause,
        )
        companion.forget(self._error_log)

    def _end_if_stuck(self, companion: Companion) -> None:
        slot = self._slots.get(companion.slot)
        companion.watch(slot.heartbeat_ns if slot else 0, time.monotonic())
        if companion.is_given_up:  # a process that waits for a disk ends later
            return
        if trouble := "is stopped by a signal" if is_stopped(companion.pid) else companion.silence:
            self._log.error("%s (pid:%d) %s; killing it", companion.name, companion.pid, trouble)
            companion.give_up()

    def begin_stop(self) -> None:
        """Workers are to be stopped: start no companion from now on, and stop those that stop with workers."""
        self.stopping = True
        for companion in self._all:
            companion.stop_waking()
            if companion.stops_with_workers and companion.is_running:
                companion.signal(signal.SIGTERM)

    def stop(self) -> None:
        """End all, and wait for it: SIGTERM, then SIGKILL after each one's grace time."""
        self.begin_stop()
        running = [companion for companion in self._all if companion.is_running]
        for signum in (signal.SIGTERM, signal.SIGKILL):
            for companion in running:
                # a stopped process takes SIGTERM only once somebody continues it
                companion.signal(signal.SIGKILL if is_stopped(companion.pid) else signum)
            deadline = time.monotonic() + max((companion.stop_grace for companion in running), default=0.0)
            while running and time.monotonic() < deadline:
                running = [companion for companion in running if not self._has_settled(companion)]
                self.supervise()
                time.sleep(0.01 if running else 0)
        for companion in running:
            self._log.error("%s (pid:%d) could not be ended", companion.name, companion.pid)

    def _has_settled(self, companion: Companion) -> bool:
        if not companion.has_ended():
            return False
        pid = companion.pid
        self._settle(companion)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return True


def _why_not(companion: Companion, error: Exception) -> str:
    if companion.user is None:
        return f": {error}"
    name, advice = companion.user.name, ""
    if isinstance(error, PermissionError) and error.filename:  # nothing else that is executed has a name
        advice = (
            f"; {name} must be allowed to execute {os.path.realpath(error.filename)} and to enter each folder above it:"
            " install Python and hvd outside of a private folder, or start gunicorn with another --user"
        )
    return f" as user {name}: {error}{advice}"
