"""What a worker has once it is forked: its rows, its reader of the block, its end of the hand-off.

`here` is filled by the gunicorn hooks in each worker; the app reads it at each request, so it may be loaded before.
"""

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from hvd.core.block import Block
from hvd.core.rows import Rows, ThreadRow
from hvd.instrument.counting import counting
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
    first request; plain attributes, as they are read at each one. RuntimeError where hvd's hooks did not run.
    """

    parts: Parts
    local: ThreadRow

    def fill(self, parts: Parts) -> None:
        """Make these this process's parts."""
        self.parts = parts
        self.local = parts.rows.local
        counting.fill(parts.rows)

    def __getattr__(self, name: str) -> NoReturn:
        if name not in ("parts", "local"):
            raise AttributeError(name)
        raise RuntimeError(
            "hvd's gunicorn hooks did not run in this process: start gunicorn with `-c python:hvd.gunicorn_conf`, "
            "or with a gunicorn.conf.py that has `from hvd.gunicorn_conf import *`"
        )


here = Here()
