"""gunicorn's sync and gthread workers: what gunicorn answers itself is counted, and is a JSON problem."""

import html
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.core.descriptors import LACKS, count_free, limit
from hvd.core.slots import Slots
from hvd.daemon.clients.limited import LimitedSyncWorker, LimitedThreadWorker, LimitedWorker
from hvd.daemon.clients.pace import Limits
from hvd.daemon.worker_process import WorkerProcess
from hvd.instrument.apply import count_app
from hvd.instrument.wsgi import outermost
from hvd.metrics.table import is_error
from hvd.web.here import here
from hvd.web.problem import problem_response

OWN_DESCRIPTORS, THREAD_DESCRIPTORS = 8, 4  # that connections leave a worker, and each of its threads
LACK_PAUSE = 0.05  # s until a worker without a free descriptor tries again
LACK_REMIND = 60.0  # s until it logs that again

UNPARSED = "(unparsed)"
"""Method and route of what gunicorn refused before it was a request."""


class CountingWorker(WorkerProcess, LimitedWorker):
    """The changes, for each class of worker; `setting` is the value of worker_class that stands for it."""

    setting: str
    _lack_logged = float("-inf")

    def init_process(self) -> None:
        """In the worker."""
        self.limits = Limits.of(here.parts.settings)
        self.report = partial(Slots(here.parts.block).say_clients, here.parts.rows.slot)
        super().init_process()

    def accept(self, listener: Any) -> None:
        """Take a connection; where there is no descriptor for it, leave it to wait.

        gunicorn's own (27.0.1, workers/sync.py and gthread.py) end the worker then, with all that it serves.
        """
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in LACKS:
                raise
            if time.monotonic() - self._lack_logged > LACK_REMIND:
                self._lack_logged = time.monotonic()
                self.log.warning(
                    "hvd: new connections wait: %s, the limit is %d; raise it (ulimit -n, LimitNOFILE=)",
                    *(error.strerror, limit()),
                )
            self._make_room()

    def _make_room(self) -> None:
        time.sleep(LACK_PAUSE)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Let gunicorn decide status and text, as it does, and send them as a problem (RFC 9457) that is counted."""
        row = here.local.row
        interrupted, row.interrupted = row.interrupted, None
        method, route = interrupted or (UNPARSED, UNPARSED)
        if not interrupted:
            row.begin(UNPARSED)

        def respond(status: int) -> None:
            row.respond((method, route, str(status)), is_error(str(status)))

        super().handle_error(req, ProblemAnswer(client, respond), addr, exc)
        if self.alive or not isinstance(exc, SystemExit):
            row.finish()
        # else a signal is ending the process: the request counts as aborted, by the master

    def load_wsgi(self) -> None:
        """Count each response as it leaves the app, or what gunicorn puts in the place of one that it can't load."""
        super().load_wsgi()
        self.wsgi: Any = outermost(count_app(self.wsgi), here)


class HvdSyncWorker(CountingWorker, LimitedSyncWorker):
    """gunicorn's `sync` worker, counting."""

    setting = "sync"

    def init_process(self) -> None:
        """In the worker; the serving thread's row is there before `handle_abort`, which can't take a lock, needs it."""
        self._row = here.local.row
        super().init_process()

    def handle_abort(self, sig: int, frame: Any) -> None:
        """SIGABRT, by which the master ends a worker that hangs: what it serves is the master's to count, as aborted.

        gunicorn takes the SystemExit for a response that was cut off where its headers are sent, and ends as usual.
        """
        if self._row.is_busy and self._row.interrupted is None:
            self._row.interrupted = UNPARSED, UNPARSED
        super().handle_abort(sig, frame)


class HvdThreadWorker(CountingWorker, LimitedThreadWorker):
    """gunicorn's `gthread` worker, counting. Takes no more connections than it has descriptors for."""

    setting = "gthread"
    max_keepalived: int

    def init_process(self) -> None:
        most, threads = count_free() - OWN_DESCRIPTORS, self.cfg.threads
        self.worker_connections = min(self.cfg.worker_connections, max(1, most - THREAD_DESCRIPTORS * threads))
        # Each thread may add one to those that are idle by now, and there has to be room for others then.
        self.max_keepalived = min(self.max_keepalived, max(0, self.worker_connections - 2 * threads))
        here.local.row = here.parts.rows.entry()  # of the loop, which counts a request only where it answers 408
        super().init_process()

    def _make_room(self) -> None:
        """Connections that are idle take what others need."""
        self.murder_keepalived(force=True)
        super()._make_room()


class ProblemAnswer:
    """Stands for the client's socket while gunicorn writes its HTML error page; sends a problem instead.

    gunicorn's mapping from exceptions to statuses is code inside `Worker.handle_error` (27.0.1, workers/base.py), and
    what it writes goes through `util.write_error` in one sendall: a test holds both.
    """

    def __init__(self, client: Any, respond: Any) -> None:
        self._client = client
        self._respond = respond

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, page: bytes) -> None:
        head, _, body = page.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        self._respond(status)
        self._client.sendall(problem_response(status, _text_of(body)))


def _text_of(page: bytes) -> str:
    """The message in gunicorn's HTML error page: what stands between its heading and the end of the body."""
    return html.unescape(page.rpartition(b"</h1>")[2].partition(b"</body>")[0].decode("latin-1").strip())


CLASSES: dict[type, type[CountingWorker]] = {SyncWorker: HvdSyncWorker, ThreadWorker: HvdThreadWorker}
"""The class that counts, for each of gunicorn's; the setting's values are in hvd/settings/value_types.py."""
