"""What a worker has once it is forked: its rows, its reader of the block, its end of the hand-off.

`here` is filled by the gunicorn hooks in each worker; the app reads it at each request, so it may be loaded before.
"""

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hvd.core.block import Block
from hvd.core.rows import Rows, ThreadRow
from hvd.instrument.counting import HttpSettings, counting
from hvd.read.reading import BlockReader
from hvd.settings.table import Settings

if TYPE_CHECKING:  # it brings SQLAlchemy, which a daemon without kinds of job never loads
    from hvd.jobs.service import JobService


@dataclass
class Parts:
    """A worker's parts. `handoff` is its end of the channel to the hub, `hub_end` the other one; `since` is when its
    master started, in s of the monotonic clock; `jobs` takes jobs, None where no kind of job is declared.
    """

    settings: Settings
    block: Block
    rows: Rows
    reader: BlockReader
    handoff: socket.socket
    hub_end: socket.socket
    since: float
    jobs: "JobService | None" = None


class Here:
    """Holds this process's parts: `parts`, and `local`, whose `row` is the calling thread's. Set by `fill`, before the
    first request; plain attributes, as they are read at each one.

    Where hvd's hooks did not run, `parts` raises RuntimeError, and `local` is that of `counting`, by which the process
    counts alone.
    """

    parts: Parts
    local: ThreadRow

    def fill(self, parts: Parts) -> None:
        """Make these this process's parts."""
        self.parts = parts
        self.local = parts.rows.local
        counting.fill(parts.rows, HttpSettings.of(parts.settings))

    def __getattr__(self, name: str) -> ThreadRow:
        if name == "local":
            return counting.local
        if name != "parts":
            raise AttributeError(name)
        raise RuntimeError(
            "hvd's gunicorn hooks did not run in this process: start gunicorn with `-c python:hvd.gunicorn_conf`, "
            "or with a gunicorn.conf.py that has `from hvd.gunicorn_conf import *`"
        )


here = Here()


def _after_fork() -> None:
    """Forget the rows, in a child of the worker: they belong to the worker."""
    vars(here).pop("local", None)


os.register_at_fork(after_in_child=_after_fork)
