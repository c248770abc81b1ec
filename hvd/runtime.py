"""What a worker process has once it is forked: its rows, its view of the block, its end of the hand-off.

`here` is filled by the gunicorn hooks in each worker; the app reads it at each request, so it may be loaded before.
"""

import socket
from dataclasses import dataclass

from hvd.core.block import Block
from hvd.core.rows import Rows
from hvd.settings import Settings
from hvd.view import View


@dataclass
class Worker:
    """A worker's parts."""

    settings: Settings
    block: Block
    rows: Rows
    view: View
    handoff: socket.socket


class Runtime:
    """Holds this process's parts. Filled once, before the first request."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def fill(self, worker: Worker) -> None:
        """Make these this process's parts."""
        self._worker = worker

    @property
    def worker(self) -> Worker:
        """This process's parts. Raises RuntimeError where hvd's hooks did not run."""
        if self._worker is None:
            raise RuntimeError(
                "hvd's gunicorn hooks did not run in this process: start gunicorn with `-c python:hvd.gunicorn_conf`, "
                "or with a gunicorn.conf.py that has `from hvd.gunicorn_conf import *`"
            )
        return self._worker


here = Runtime()
