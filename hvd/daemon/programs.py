"""What a master executes as companions, and what it tells each: descriptors in its arguments, options in a memory file.

The aggregator is always there, and the admin server where it has an address; the job runner from the moment on that
kinds of job are declared, the exporter from when metrics have a receiver.
"""

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import gunicorn

from hvd.agg import handoff
from hvd.agg import options as agg
from hvd.companion.options import BLOCK, OPTIONS, STACKS, Command, Options, OptionsFile
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.stacks import StackFile
from hvd.daemon.admin import options as admin
from hvd.daemon.admin.address import AdminAddress
from hvd.daemon.code import Code
from hvd.daemon.companions import STOP_GRACE, Companion, Companions
from hvd.daemon.conf import is_guest
from hvd.daemon.users import User
from hvd.jobs import events
from hvd.jobs import options as jobs
from hvd.otlp.options import ExporterOptions
from hvd.settings.otlp import is_installed
from hvd.settings.table import Settings

ADMIN_MODULE = "hvd.daemon.admin"


class Channels:
    """What workers and companions of one master speak through; all of it is inherited."""

    def __init__(self, stacks: StackFile | None = None) -> None:
        """`stacks` is the file in which processes leave where their threads stand, if there is one already.

        Raises OSError where no descriptor is left.
        """
        self.stacks = stacks or StackFile()
        self.worker_end, self.hub_end = handoff.socket_pair()
        self.event_writers, self.event_reader = events.socket_pair()
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


class Program:
    """A companion, and its options. One thread of a master uses it."""

    def __init__(
        self,
        module: str,
        name: str,
        kind: int,
        block: Block,
        stacks: StackFile,
        descriptors: Mapping[str, int],
        options: Options,
        user: User | None,
        code: Code,
    ) -> None:
        """`descriptors` are those that it inherits beside the usual, by the names that it knows. Raises OSError."""
        self._module, self._block = module, block
        self._options, self._file = options, OptionsFile()
        self._file.write(options)
        self._descriptors = {BLOCK: block.fd, OPTIONS: self._file.fd, STACKS: stacks.fd, **descriptors}
        self.companion = Companion(name, kind, self._command, tuple(self._descriptors.values()), user=user, code=code)

    def _command(self, slot: int) -> list[str]:
        """What executes it; -P: from what is installed, not from the working folder."""
        command = Command(self._block.name, slot, os.getpid(), self._descriptors)
        return [sys.executable, "-P", "-m", self._module, *command.arguments()]

    def take(self, options: Options) -> None:
        """Have it go over to these options, which it does without an end; nothing happens where they are the same."""
        if options != self._options:
            self._file.write(options)
            self._options = options
            self.companion.reload()


class Programs:
    """All programs of a master, which `companions` looks after. One thread uses it."""

    def __init__(
        self,
        block: Block,
        channels: Channels,
        companions: Companions,
        cfg: Any,
        code: Code,
        address: AdminAddress,
        since: float,
    ) -> None:
        """`cfg` is gunicorn's configuration, which says whom companions run as; `since` when the master started."""
        self._block, self._channels, self._companions = block, channels, companions
        self._user, self._code = User.of_workers(cfg), code
        self._address, self._since = address, since
        self._programs: dict[str, Program] = {}

    def take(self, settings: Settings, log_level: str, app: str = "") -> None:
        """Go over to these settings: tell programs of other options, and add what is missing. `app` is what the workers
        serve. Raises OSError.
        """
        channels = self._channels
        descriptors = {agg.HANDOFF: channels.hub_end.fileno(), agg.EVENTS: channels.event_reader.fileno()}
        aggregators = agg.AggregatorOptions.of(settings, log_level, app)
        self._take("hvd.agg", "aggregator", layout.KIND_AGGREGATOR, descriptors, aggregators)
        options = jobs.RunnerOptions.of(settings, log_level)
        if options.kinds and not is_guest():
            load_jobs(options.database_url)
        if options.kinds or "hvd.jobs" in self._programs:
            descriptors = {jobs.EVENTS: channels.event_writers.fileno(), jobs.WAKE: channels.wake_fd}
            runner = self._take("hvd.jobs", "job runner", layout.KIND_JOB_RUNNER, descriptors, options)
            runner.stops_with_workers = True  # it ends its jobs meanwhile
            runner.stop_grace = options.grace + STOP_GRACE
        exporters = ExporterOptions.of(settings, log_level, gunicorn.__version__)
        if (exporters.endpoint and is_installed(exporters.protocol)) or "hvd.otlp" in self._programs:
            self._take("hvd.otlp", "exporter", layout.KIND_EXPORTER, {}, exporters)
        if self._address.listener:
            self._take_admin(settings, log_level, self._address.listener.fileno())

    def _take_admin(self, settings: Settings, log_level: str, listener: int) -> None:
        channels = self._channels
        descriptors = {
            admin.LISTENER: listener,
            admin.HUB: channels.hub_end.fileno(),
            admin.WORKERS: channels.worker_end.fileno(),
            admin.EVENTS: channels.event_writers.fileno(),
            admin.WAKE: channels.wake_fd,
        }
        options = admin.AdminOptions.of(settings, log_level, self._address.address, self._since)
        self._take(ADMIN_MODULE, "admin server", layout.KIND_ADMIN_SERVER, descriptors, options)

    def replace_admin_server(self) -> None:
        """Its address has another socket now: have it end, so that another one inherits that."""
        companion = self._programs[ADMIN_MODULE].companion
        if companion.is_running:
            companion.signal(signal.SIGTERM)

    def _take(self, module: str, name: str, kind: int, descriptors: Mapping[str, int], options: Options) -> Companion:
        if module in self._programs:
            self._programs[module].take(options)
        else:
            program = Program(
                *(module, name, kind, self._block, self._channels.stacks, descriptors, options, self._user, self._code)
            )
            self._companions.add(program.companion)
            self._programs[module] = program
        return self._programs[module].companion


def load_jobs(database_url: str) -> None:
    """Before workers are forked: each would import 31 MB for itself. A daemon without kinds of job does without."""
    import hvd.jobs.service  # noqa: F401
    from hvd.jobs.database.connection import load_library

    load_library(database_url)
