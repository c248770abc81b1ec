"""hvd in the gunicorn master (the arbiter): owns the block, hands out slots, looks after companions.

hooks.py and arbiter.py say when each part of it is called.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hvd import __version__
from hvd.core import hot, layout
from hvd.core.acquire import acquire
from hvd.core.catalogue import Catalogue
from hvd.core.layout import Layout
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.totals import Reader
from hvd.daemon import passing
from hvd.daemon.companions import Companions
from hvd.daemon.conf import FIXED
from hvd.daemon.deaths import TIMEOUT, UNKNOWN, Settler, cause_of
from hvd.daemon.kept import Code
from hvd.daemon.logs import error_log, level_name
from hvd.daemon.programs import Channels, Programs
from hvd.daemon.sockets import UnixSockets
from hvd.instrument import wsgi
from hvd.metrics.table import TIMED_CELLS
from hvd.read.reading import View
from hvd.settings.table import SLOTS_SPARE, Settings
from hvd.web.here import Parts

if TYPE_CHECKING:
    from hvd.jobs.service import JobService

SPARE_ROWS = 4  # beside one for each thread: threads that an app starts itself, and the shared row


class Master:
    """What hvd keeps in a master. All of it runs in the master's main thread."""

    def __init__(self, server: Any, settings: Settings, code: Code | None = None) -> None:
        shape = Layout(
            settings.slots + layout.COMPANION_SLOTS, settings.threads + SPARE_ROWS, settings.max_series, TIMED_CELLS
        )
        self._server = server
        self._pid = os.getpid()
        self._since = time.monotonic()
        self._code = code or Code()
        self.settings = settings
        self.coming: Settings | None = None  # read by a reload that is under way
        self.worker_class: type = server.worker_class
        self.has_served = False
        self.missing = 0  # workers that should be there, and can't be started now
        self._has_left = False
        self._forking: Any = None
        upgrade = server.master_pid != 0
        self.block, existed = acquire(
            f"hvd-{settings.instance}",
            shape,
            upgrade=upgrade,
            passed=passing.receive(server.cfg.env_orig),
            warn=lambda message: server.log.warning("hvd: %s", message),
            check=lambda block: Catalogue(block).refresh(),
        )
        self._is_nameless = False
        self.unix_sockets = UnixSockets(server)
        self._made = not existed
        try:
            self._set_up(existed and not upgrade)
        except BaseException:
            if self._made:
                self.block.remove_if_last()
            raise

    def _set_up(self, takes_over: bool) -> None:
        self._slots = Slots(self.block)
        self._settler = Settler(self.block, self._server.log)
        self._statuses: dict[int, str] = {}
        self._channels = Channels()
        if takes_over:
            self._take_over()
        with self.block.locked():
            Catalogue(self.block).add_families()
            self._slots.prepare(self.settings.workers)
            self.block.add_master(os.getpid())
        self._companions = Companions(self.block, self._settler, self._server.log)
        self._programs = Programs(self.block, self._channels, self._companions, self._server.cfg, self._code)
        self._tell_programs()

    def _take_over(self) -> None:
        """The block of a daemon that is gone: what it had in progress is aborted, its totals go on."""
        self._server.log.warning("Taking over block %s of a daemon that was killed; totals go on", self.block.name)
        for slot in list(self._slots.taken()):
            self._settler.settle_slot(slot.number, slot.pid, UNKNOWN)
        cells = self.block.cells
        cells[layout.H_STARTED_WALL], cells[layout.H_STARTED_MONO] = time.time_ns(), time.monotonic_ns()
        for index in range(layout.MASTERS):
            cells[layout.H_MASTERS + index] = 0

    def log_start(self) -> None:
        """One line that says what runs here; and one of what was not compiled, since that is easily overlooked."""
        compiled = {"hvd.core._hotrow": hot.IS_COMPILED, "hvd.instrument._counting": wsgi.compiled is not None}
        self._server.log.info(
            "hvd %s: hot path %s, block %s%s, serving %s",
            __version__,
            ", ".join(f"{name} {'compiled' if there else 'in Python'}" for name, there in compiled.items()),
            self.block.path,
            "" if self._made else " (its totals go on)",
            ", ".join(map(str, self._server.LISTENERS)),
        )
        if missing := [name for name, there in compiled.items() if not there]:
            self._server.log.warning(
                "hvd: %s can't be used: counting in Python is %s; to compile, install a C compiler and then hvd again",
                " and ".join(missing),
                hot.COST_OF_PYTHON,
            )

    def _log_end(self) -> None:
        heads = Reader(self.block).read().heads
        self._server.log.info(
            "hvd %s ends: %d requests finished, %d of them errors, %d aborted",
            *(__version__, heads.finished, heads.errors, heads.aborted),
        )

    def safely(self, work: Callable[[], None]) -> None:
        """An exception here would end gunicorn's main loop, and every worker with it."""
        try:
            work()
        except Exception:
            self._server.log.exception("hvd: looking after the processes failed")

    def begin_stop(self) -> None:
        """Workers are to be stopped: companions aren't replaced any more, and the job runner starts no more jobs."""
        self._companions.begin_stop()
        self.unix_sockets.disown()

    @property
    def most_workers(self) -> int:
        """How many workers the block has room for, and for those that take their places at a reload."""
        return max(1, self.block.layout.slots - layout.COMPANION_SLOTS - SLOTS_SPARE)

    def look_after(self) -> None:
        """At each turn of the master's loop: what has ended is settled, and replaced; the block keeps its name."""
        self._keep_name()
        self.block.say_missing(self._pid, self.missing)
        self._settler.sweep({*self._server.WORKERS, *self._companions.pids})
        self._companions.look_after()

    def _keep_name(self) -> None:
        """Without its name, a start after a crash would not find the block, and begin at 0."""
        name, was_nameless = self.block.file_name, self._is_nameless
        if name.holds():
            self._is_nameless = False
            name.keep_spare()  # the workers of another master that was killed have dropped it
            return
        self._is_nameless = not name.restore()
        if not self._is_nameless:
            self._server.log.warning("hvd: the block's name %s had been removed, and is there again", name.path)
        elif not was_nameless:
            self._server.log.error(
                "hvd: the block's name %s was removed (rm, logind's RemoveIPC, a reader?) and can't be restored; "
                "hvd goes on, through upgrades (USR2) too, but should it be killed, its totals are lost: restart it",
                name.path,
            )

    def look_after_companions(self) -> None:
        """As soon as one may have ended."""
        self._companions.look_after()

    def note_ends(self) -> None:
        """Before children are reaped: how companions ended."""
        self._companions.note_ends()

    def note_status(self, pid: int, status: int) -> None:
        """A worker was reaped, with this status of waitpid(2)."""
        self._statuses[pid] = cause_of(os.waitstatus_to_exitcode(status))

    def before_fork(self, worker: Any) -> None:
        """Give the worker its slot. Raises NoFreeSlot, BlockError: then it is not forked."""
        if self._forking is worker:
            return
        worker.hvd_slot = self._slots.claim(layout.KIND_WORKER, os.getpid())
        self._forking = worker
        worker.hold_signals()

    def after_fork(self, has_failed: bool) -> None:
        """In the master, once `before_fork` was called, or not: a worker that could not be forked needs no slot."""
        worker, self._forking = self._forking, None
        if worker is None:
            return
        worker.let_signals()
        if has_failed:
            self._slots.free(worker.hvd_slot)

    def enter_worker(self, worker: Any) -> Parts:
        """After the fork, in the worker: its parts."""
        self._slots.name_process(worker.hvd_slot, os.getpid())
        self._channels.event_reader.close()
        self.block.release_claim()
        view = View(self.block, runs_jobs=bool(self.settings.job_kinds))
        rows = Rows(self.block, worker.hvd_slot)
        ends = self._channels.worker_end, self._channels.hub_end
        return Parts(self.settings, self.block, rows, view, *ends, self._since, self._job_service())

    def _job_service(self) -> "JobService | None":
        if not self.settings.job_kinds:
            return None
        from hvd.jobs.service import JobService  # imported in the master already, see programs.load_jobs

        return JobService(self.settings, self._channels.wake_fd, self._channels.event_writers)

    def settle(self, worker: Any) -> None:
        """A worker was reaped."""
        status = self._statuses.pop(worker.pid, UNKNOWN)
        cause = TIMEOUT if worker.aborted else status
        self.safely(lambda: self._settler.settle_slot(worker.hvd_slot, worker.pid, cause, status))

    def apply_coming(self) -> None:
        """HUP: go over to the settings that were read, if they could be."""
        if self.coming:
            settings, self.coming = self.coming, None
            self._warn_of_fixed(settings)
            self.reload(replace(settings, **{name: getattr(self.settings, name) for name in FIXED}))

    def _warn_of_fixed(self, coming: Settings) -> None:
        fixed = [name for name in FIXED if getattr(self.settings, name) != getattr(coming, name)]
        if fixed:
            self._server.log.warning("hvd: %s changed; that takes effect at the next start", ", ".join(fixed))
        own_rows = self.block.layout.rows - 1
        if coming.threads > own_rows:
            self._server.log.warning("hvd: threads above %d share a row, under a lock, until the next start", own_rows)

    def reload(self, settings: Settings) -> None:
        """Go over to other settings; companions, and what they do, stay."""
        self.settings = settings
        self._tell_programs()

    def _tell_programs(self) -> None:
        self._programs.take(self.settings, level_name(error_log(self._server.log)))

    def leave(self) -> None:
        """The daemon ends, however it came to that: end the companions, and remove the block.

        It stays where another master goes on with it, and where a start failed that had taken it over: the next one
        goes on with its totals. Only the master itself does so, once: its children inherit what is to be done at exit.
        """
        if self._has_left or os.getpid() != self._pid:
            return
        self._has_left = True
        self._companions.stop()
        self.safely(self._log_end)
        self.block.drop_master(self._pid)
        if self._made or self.has_served:
            self.block.remove_if_last()
