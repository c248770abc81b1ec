"""hvd in the gunicorn master (the arbiter): owns the block, hands out slots, looks after companions.

hooks.py and arbiter.py say when each part of it is called.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hvd import __version__
from hvd.core import hot
from hvd.core.rows import Rows
from hvd.core.slots import Slots
from hvd.core.totals import Reader
from hvd.daemon.admin.address import AdminAddress
from hvd.daemon.code import Code
from hvd.daemon.companions import Companions
from hvd.daemon.conf import FIXED, has_chosen_page, is_guest, owns_sockets, passed_addresses
from hvd.daemon.deaths import Settler, WorkerSlots, cause_of
from hvd.daemon.lead import Lead
from hvd.daemon.logs import error_log, level_name
from hvd.daemon.marks import Marks
from hvd.daemon.notify import Manager
from hvd.daemon.ownership import Ownership
from hvd.daemon.programs import Channels, Programs
from hvd.daemon.sockets import SocketAccess, UnixSockets
from hvd.daemon.stacks.workers import Stacks, receive_file
from hvd.instrument import wsgi
from hvd.metrics.table import FAMILIES
from hvd.read.health import HealthState
from hvd.read.reading import BlockReader
from hvd.settings.otlp import is_installed
from hvd.settings.table import Settings
from hvd.web.here import Parts

if TYPE_CHECKING:
    from hvd.jobs.service import JobService


class Master:
    """What hvd keeps in a master. All of it runs in the master's main thread."""

    def __init__(
        self, server: Any, settings: Settings, code: Code | None = None, manager: Manager | None = None
    ) -> None:
        """`manager` is the service manager that has started this process.

        Raises BlockError, CannotStart, OSError: then nothing is left of it.
        """
        self._server = server
        self.pid, self._since = os.getpid(), time.monotonic()
        self.settings = settings
        self.coming: Settings | None = None  # read by a reload that is under way
        self.trouble = ""  # why there are none
        self.worker_class: type = server.worker_class
        self.has_served = self._has_left = False
        self.missing = 0  # workers that should be there, and can't be started now
        access = SocketAccess.of(settings)
        self.unix_sockets = UnixSockets(server, access if owns_sockets(server.cfg) else None)
        self._ownership = Ownership(server, settings)
        self.block = self._ownership.block
        self.marks = Marks(self.block, self.pid)
        self.lead = Lead(server, self.block, manager or Manager(), self._health)
        self.admin = AdminAddress(settings, access, self.block, server.log, is_chosen=has_chosen_page())
        try:
            self._set_up(code or Code())
        except BaseException:
            self.admin.leave(is_last=self._ownership.leave(has_served=False))
            raise

    def _set_up(self, code: Code) -> None:
        log = self._server.log
        self._slots = Slots(self.block)
        self._channels = Channels(receive_file(self._server.cfg.env_orig))
        self.stack_file = self._channels.stacks
        self._settler = Settler(self.block, log, self.stack_file)
        self._stacks = Stacks(self.block, self.stack_file, log, lambda: list(self._server.WORKERS.values()))
        self.workers = WorkerSlots(self.block, self._slots, self._settler, self._stacks)
        self._ownership.begin(self._settler, self._slots, self.settings.workers)
        self._companions = Companions(self.block, self._settler, log)
        self.admin.open(self._server.cfg.env_orig)
        self._programs = Programs(
            *(self.block, self._channels, self._companions, self._server.cfg, code, self.admin, self._since)
        )
        self.reload(self.settings)

    def log_start(self) -> None:
        """One line that says what runs here; and one of what was not compiled, since that is easily overlooked."""
        compiled = {"hvd.core._hotrow": hot.IS_COMPILED, "hvd.instrument._counting": wsgi.compiled is not None}
        self._server.log.info(
            "hvd %s: hot path %s, block %s%s, serving %s, page and /metrics at %s",
            __version__,
            ", ".join(f"{name} {'compiled' if there else 'in Python'}" for name, there in compiled.items()),
            self.block.path,
            "" if self._ownership.was_made else " (its totals go on)",
            ", ".join(map(str, self._server.LISTENERS)),
            self.admin.served or "no address",
        )
        self._warn_of_socket()
        self._warn_of_exporter()
        if missing := [name for name, there in compiled.items() if not there]:
            self._server.log.warning(
                "hvd: %s can't be used: counting in Python is %s; to compile, install a C compiler and then hvd again",
                *(" and ".join(missing), hot.COST_OF_PYTHON),
            )

    def tell_start(self) -> None:
        """It listens: an event says so."""
        if old := self._server.master_pid:
            self.marks.upgrade(old)
        else:
            self.marks.start(", after a daemon that was killed" if self._ownership.follows_crash else "")

    def _warn_of_exporter(self) -> None:
        """Where a setting of hvd's asks for it, the start is refused (hvd/settings/complaints.py)."""
        endpoint, protocol = self.settings.otlp_endpoint, self.settings.otlp_protocol
        if trouble := self.settings.otlp_trouble:
            self._server.log.warning("hvd: some of OpenTelemetry's variables have no effect: %s", trouble)
        if endpoint and not is_installed(protocol):
            self._server.log.warning(
                "hvd: metrics are not sent to %s, for which a variable of OpenTelemetry asks: pip install 'hvd[otlp]'",
                endpoint,
            )

    def _warn_of_socket(self) -> None:
        passed = passed_addresses(self._server)
        if passed and not is_guest() and self.settings.bind not in passed:
            self._server.log.warning(
                "hvd: bind is %s, and systemd's socket %s is what is served: write the same address into hvd.socket",
                *(self.settings.bind, ", ".join(passed)),
            )

    def _log_end(self) -> None:
        heads = Reader(self.block).read().heads
        self._server.log.info(
            "hvd %s ends: %d requests finished, %d of them errors, %d aborted",
            *(__version__, heads.finished, heads.errors, heads.aborted),
        )

    def safely(self, work: Callable[[], None]) -> None:
        """Do the work, and log what it raises: an exception would end gunicorn's main loop, and all workers with it."""
        try:
            work()
        except Exception:
            self._server.log.exception("hvd: supervising the processes failed")

    def begin_stop(self) -> None:
        """Workers are to be stopped: companions aren't replaced any more, and the job runner starts no more jobs."""
        self.safely(lambda: self.marks.stop(self._server.reexec_pid))
        self.safely(self.lead.end)
        self._companions.begin_stop()
        self.unix_sockets.disown()

    def supervise(self) -> None:
        """At each turn of the master's loop: what has ended is settled, and replaced; the block keeps its name."""
        self._ownership.keep_name()
        self.block.say_missing(self.pid, self.missing)
        self._settler.ends.oom.look()
        self.marks.writer.flush()
        self._settler.sweep({*self._server.WORKERS, *self._companions.pids})
        self.supervise_companions()
        self.admin.keep(self._programs.replace_admin_server)
        self._stacks.take_slow(self.settings.watch_slow_request_seconds)
        self._ownership.keeper.turn(self.block)

    def report(self) -> None:
        """At each turn of the master's loop, whatever has failed in it: that it turns, and how the daemon is."""
        self.lead.turn(self._companions.kinds, self.missing)

    def _health(self) -> HealthState:
        return BlockReader(self.block, runs_jobs=bool(self.settings.job_kinds)).vitals().health

    def supervise_companions(self) -> None:
        """As soon as one may have ended, or wants something."""
        self.lead.beat()
        self._companions.supervise()
        self._stacks.take_wanted()

    def take_stacks_of_silent(self) -> None:
        """Before gunicorn ends workers that gave no sign of life for too long. The condition is that of its own
        `murder_workers` (27.0.1, arbiter.py).
        """
        if not self._server.timeout:
            return
        if silent := [worker for worker in self._server.WORKERS.values() if self._is_silent(worker)]:
            self._stacks.take(silent)

    def _is_silent(self, worker: Any) -> bool:
        try:
            silence: float = time.monotonic() - worker.tmp.last_update()
        except (OSError, ValueError):  # its file is closed: it is being reaped
            return False
        return silence > self._server.timeout and not worker.aborted

    def note_status(self, pid: int, status: int, peak: int | None = None) -> None:
        """A worker or a companion was reaped, with this status of waitpid(2); it used `peak` bytes at most."""
        if pid == self._server.reexec_pid:
            self.safely(lambda: self.marks.upgrade_over(pid, cause_of(os.waitstatus_to_exitcode(status))))
        elif pid in self._server.WORKERS:
            self.workers.note_status(pid, status, peak)
        else:
            self._companions.note_status(pid, status, peak)

    def enter_worker(self, worker: Any) -> Parts:
        """After the fork, in the worker: its parts."""
        self._slots.name_process(worker.hvd_slot, os.getpid())
        self._stacks.enter_worker(worker)
        self.enter_child()
        reader = BlockReader(self.block, runs_jobs=bool(self.settings.job_kinds), stacks=self.stack_file)
        rows = Rows(self.block, worker.hvd_slot, FAMILIES)
        ends = self._channels.worker_end, self._channels.hub_end
        return Parts(self.settings, self.block, rows, reader, *ends, self._since, self._job_service())

    def enter_child(self) -> None:
        """After a fork, in what is not the master: what is the master's alone is closed."""
        self._channels.event_reader.close()
        self.admin.close()
        self.lead.manager.close()
        self.block.release_claim()

    def _job_service(self) -> "JobService | None":
        if is_guest() or not self.settings.job_kinds:
            return None
        from hvd.jobs.service import JobService  # imported in the master already, see programs.load_jobs

        return JobService(self.settings, self._channels.wake_fd, self._channels.event_writers)

    def settle(self, worker: Any) -> None:
        """A worker was reaped."""
        self.safely(lambda: self.workers.settle(worker))

    def apply_coming(self) -> None:
        """HUP: go over to the settings that were read, if they could be."""
        self.safely(lambda: self.marks.reload("" if self.coming else self.trouble))
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
        self._ownership.keeper.is_on = settings.keep_totals
        app = getattr(self._server.app, "app_uri", None) or ""  # an embedded application may have none
        self._programs.take(settings, level_name(error_log(self._server.log)), app)

    def leave(self) -> None:
        """The daemon ends, however it came to that: end the companions, and leave the block.

        Only the master itself does so, once: its children inherit what is to be done at exit.
        """
        if self._has_left or os.getpid() != self.pid:
            return
        self._has_left = True
        self.safely(self.lead.end)
        self._companions.stop()
        self.safely(self.marks.writer.flush)
        self.safely(self._log_end)
        self.admin.leave(is_last=self._ownership.leave(has_served=self.has_served))
