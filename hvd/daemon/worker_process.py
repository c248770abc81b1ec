"""What each of hvd's workers is as a process: it has a slot, a worker whose master was killed ends soon, and no signal
is lost while a worker boots.

gunicorn lets a child keep its master's signal handlers, which put a signal into a queue that nobody reads there, until
`init_signals`; from then on a signal to stop only sets a flag, until the app is loaded, however long that takes.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.workers.base import Worker

from hvd.core.own.store import own_store
from hvd.core.proc import die_with_parent
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.daemon.stacks.dumps import Dumps
from hvd.instrument.counting import counting
from hvd.metrics import children
from hvd.web.here import Parts, here

ORPHAN_GRACE = 3  # s that an orphaned worker has to finish its requests
QUICK_GRACE = 3  # s that a quick stop (INT or QUIT to the master) leaves a worker for its requests
BOOT_GRACE = 3  # s that a worker which is told to stop while it boots has to leave whatever it is importing

HELD = {getattr(signal, f"SIG{name}") for name in ("ABRT", "HUP", "INT", "QUIT", "TERM", "USR1", "WINCH")}
"""Signals that a worker takes: they wait while it can't."""


class WorkerProcess(Worker):  # type: ignore[misc]
    """A mixin for any class of worker. Names begin with hvd where a class of the user's might have the same."""

    setting: str
    """The value of worker_class that stands for it."""
    is_known = False
    """Whether hvd knows what the class does."""
    hvd_slot: int | None = None
    """Its slot; the master gives it before the fork, as what follows. None: there is none."""
    hvd_parts: Callable[[Any], Parts] | None = None
    hvd_trouble = "gunicorn has not called hvd's hook pre_fork, which gives it one"
    dumps: Dumps | None = None
    """How it writes where its threads stand."""
    orphaned: int = signal.SIGTERM  # what the kernel sends it once it has booted, when its master dies
    _mask: Any = None
    _has_entered = _is_ready = _is_ending = False
    _parts: Parts | None = None

    @property
    def hvd_capacity(self) -> int:
        """How many requests it can have in progress at once. Of a class that hvd doesn't know, this is only a bound."""
        threads: int = self.cfg.threads
        return threads if threads > 1 else int(self.cfg.worker_connections)

    def hvd_enter(self) -> None:
        """In the worker, right after the fork: signals and rows. Raises nothing: a worker serves in any case.

        It is called again as the worker initializes itself, which is the first time where post_fork was replaced.
        """
        if self._has_entered:
            return
        self._has_entered = True
        self.begin_boot()
        try:
            if self.hvd_parts is None:
                raise LookupError(self.hvd_trouble)
            self._parts = self.hvd_parts(self)
            self.share_rows(self._parts.rows)
            here.fill(self._parts)
            own_store.attach(self._parts.block, self._parts.rows.slot)
            children.let_join(self._parts.block)
        except Exception as error:
            self._parts = None
            self.log.warning("hvd: this worker has no slot; it serves, and counts for itself alone: %s", error)
            self.share_rows(counting.rows)
            counting.fill(counting.rows)

    def share_rows(self, rows: Rows) -> None:
        """Say which row of these counts what."""

    def say_ready(self) -> None:
        """Note that the app is loaded, and that the worker serves from now on."""
        if self._parts:
            Slots(self._parts.block).say_ready(self._parts.rows.slot, self.hvd_capacity)

    def init_process(self) -> None:
        """In the worker."""
        self.hvd_enter()
        super().init_process()

    def die_with_master(self) -> None:
        """From now on; a change of user undoes it."""
        die_with_parent(self.ppid, self.orphaned)

    def notify(self) -> None:
        """A sign of life, at each turn of the loop."""
        super().notify()
        if not self.booted or self._is_ending or not self._parts:
            return
        if not self._is_ready:  # where post_worker_init was replaced, nobody else has said so
            self._is_ready = True
            self.say_ready()
        if not self.alive:
            self.say_ending()

    def say_ending(self) -> None:
        """Note that the worker ends what it has in progress, and takes nothing new."""
        if self._parts and not self._is_ending:
            self._is_ending = True
            Slots(self._parts.block).say_ending(self._parts.rows.slot)

    def hold_signals(self) -> None:
        """In the master, right before the fork: signals wait, the child's too, which inherits that."""
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)

    def let_signals(self) -> None:
        """Take the signals that waited, and all others as before `hold_signals`."""
        if self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def begin_boot(self) -> None:
        """In the child, right after the fork: set how signals are handled until `init_signals`."""
        for signum in HELD:
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        for signum in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(signum, self._leave_boot)
        self.let_signals()
        die_with_parent(self.ppid, signal.SIGTERM)

    def _leave_boot(self, sig: int, frame: Any) -> None:
        """Handle a signal to stop before there can be any request: end now, whatever is being imported."""
        signal.alarm(BOOT_GRACE)  # its default action ends the process, should the exception be caught
        for signum in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(signum, signal.SIG_IGN)
        sys.exit(0)

    def init_signals(self) -> None:
        self.take_signals(super().init_signals)

    def take_signals(self, take: Callable[[], None]) -> None:
        """What signals mean from now on: what `take`, of gunicorn's, says, but for a terminal's Ctrl-C.

        It reaches all processes, and is for the master, which then stops its workers.
        """
        self.hold_signals()  # gunicorn's sets each to its default first, and USR1's would end the process
        if self.dumps:
            self.dumps.release_crashes()
        take()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self.dumps:
            self.dumps.catch_crashes()  # and SIGABRT's handler, which is set by now, runs after it
        self.let_signals()
        self.die_with_master()  # again: the change of user, which came before, undoes it

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: from the master, a graceful stop; from the kernel, at the master's death, one with a deadline."""
        is_orphan = os.getppid() != self.ppid
        if is_orphan and self._parts:
            self._parts.block.file_name.drop_spare()
        if not self.booted:
            self._leave_boot(sig, frame)
        if is_orphan:
            signal.alarm(ORPHAN_GRACE)  # its default action ends the process, whatever Python is doing
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGQUIT: a quick stop, which is a graceful one with a short deadline.

        gunicorn's own handlers raise SystemExit in the midst of whatever is being served, and wait for a lock of the
        thread pool, which the very thread that the signal interrupted may hold (27.0.1, workers/gthread.py).
        """
        if not self.booted:
            self._leave_boot(sig, frame)
        signal.alarm(QUICK_GRACE)
        self.cfg.worker_int(self)
        super().handle_exit(sig, frame)
