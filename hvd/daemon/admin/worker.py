"""The threaded worker as a server of its own, without a master; an incomplete request takes none of its threads.

What is used of gunicorn's is no public API (read in 27.0.1, workers/gthread.py and workers/base.py): the arguments of
`ThreadWorker`, that `init_process` serves until `alive` is False, that its loop calls `notify` at each turn and
`set_accept_enabled` where `nr_conns` asks for it, and that a turn is one `wait_for_and_dispatch_events`.
tests/unit/daemon/admin/test_worker.py fails if it changes.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn.config import Config

from hvd.core.block import DIRECTORY
from hvd.core.descriptors import LACKS, count_free
from hvd.daemon.admin.options import CONNECTIONS, THREADS
from hvd.daemon.clients.limited import LimitedThreadWorker
from hvd.daemon.clients.pace import Limits
from hvd.daemon.workers import LACK_PAUSE, OWN_DESCRIPTORS, THREAD_DESCRIPTORS, UNPARSED, ProblemAnswer
from hvd.metrics.table import ADMIN
from hvd.web.here import here

TURN = 0.25  # s between two turns of the loop at most: so often it gives a sign of life
PATIENCE = 0.1  # s that a slow client keeps its place in a flood: its clients are on this machine, and send at once
GRACE = 3  # s that requests have at a stop, of the 5 s after which the master kills a companion


class AdminWorker(LimitedThreadWorker):
    """Serves `app` on `listener` in this process until SIGTERM, and calls `turn` at each turn of its loop, in which the
    other methods are called, too.
    """

    patience = PATIENCE

    def __init__(self, listener: socket.socket, app: WSGIApplication, limits: Limits, turn: Callable[[], None]) -> None:
        super().__init__(1, os.getppid(), [listener], _Loaded(app), 0, _config(), _Log())
        self.limits = limits
        most = count_free() - OWN_DESCRIPTORS - THREAD_DESCRIPTORS * THREADS
        self.worker_connections = min(CONNECTIONS, max(1, most))
        self._turn = turn
        self._stands_back = False

    def stand_back(self, wanted: bool) -> None:
        """Leave new connections to another server, or take them again; those that are open are served in any case."""
        self._stands_back = wanted
        if wanted:
            super().set_accept_enabled(False)

    def set_accept_enabled(self, enabled: bool) -> None:
        """The loop may take connections from now on, or can't."""
        super().set_accept_enabled(enabled and not self._stands_back)

    def accept(self, listener: Any) -> None:
        """Take a connection; where there is no descriptor for it, leave it to wait."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in LACKS:
                raise
            self.murder_keepalived(force=True)
            time.sleep(LACK_PAUSE)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """As for the service, a problem that is counted; it is not known how long it took."""

        def respond(status: int) -> None:
            here.parts.rows.record(ADMIN, (UNPARSED, UNPARSED, str(status)), 0)

        super().handle_error(req, ProblemAnswer(client, respond), addr, exc)

    def notify(self) -> None:
        """In place of gunicorn's sign of life, a file that nobody looks at here."""
        self._turn()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(min(timeout, TURN))

    def init_signals(self) -> None:
        """Handle SIGTERM only: the companion handles the other signals."""
        signal.signal(signal.SIGTERM, self.handle_exit)


class _Loaded:
    """What gunicorn asks for the app."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def wsgi(self) -> WSGIApplication:
        return self._app


class _Log:
    """gunicorn's log in a companion: its lines go to the master. Requests are not logged: most are probes."""

    def __init__(self) -> None:
        self.error_log = logging.getLogger("hvd.admin")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.error_log, name)

    def access(self, *_: object) -> None:
        """A request is over."""

    def close_on_exec(self) -> None:
        """There are no files."""

    def reopen_files(self) -> None:
        """There are no files."""


def _config() -> Config:
    cfg = Config()
    values = {"threads": THREADS, "worker_connections": CONNECTIONS, "graceful_timeout": GRACE, "keepalive": 15}
    for name, value in {**values, "worker_tmp_dir": str(DIRECTORY)}.items():
        cfg.set(name, value)
    return cfg
