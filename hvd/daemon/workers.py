"""gunicorn's workers, counting: the requests of their app, and where hvd knows the class what gunicorn answers itself,
which is a JSON problem where the app is hvd's own. classes.py says which class is made of which.
"""

import html
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from gunicorn.workers.gthread import ThreadWorker

from hvd.core import layout
from hvd.core.descriptors import LACKS, count_free, limit
from hvd.core.rows import Row, Rows, ThreadRow
from hvd.core.slots import Slots, used_heads
from hvd.daemon.clients.limited import LimitedSyncWorker, LimitedThreadWorker, LimitedWorker
from hvd.daemon.clients.pace import Limits
from hvd.daemon.worker_process import WorkerProcess
from hvd.instrument.apply import count_app, is_asgi, takes
from hvd.instrument.counting import counting
from hvd.instrument.wsgi import outermost, post_request
from hvd.metrics.table import error_of
from hvd.web.problem import problem_response

OWN_DESCRIPTORS, THREAD_DESCRIPTORS = 8, 4  # that connections leave a worker, and each of its threads
LACK_PAUSE = 0.05  # s until a worker without a free descriptor tries again
FIRST_REQUESTS = 100  # responses of a worker, some of which count if its app is counted at all
LACK_REMIND = 60.0  # s until it logs that again

UNPARSED = "(unparsed)"
"""Method and route of what gunicorn refused before it was a request."""

BY_SIGNAL = UNPARSED, UNPARSED
"""A row's `interrupted` of a request that SIGABRT ends with its process."""


class RowOfRequest:
    """`row` is another entry each time: a thread of this class of worker may serve any number of requests at once."""

    def __init__(self, rows: Rows) -> None:
        self._entry = rows.entry

    @property
    def row(self) -> Row:
        return self._entry()


class CountingWorker(WorkerProcess):
    """What each class of worker has; by itself it makes a class count that hvd doesn't know."""

    _before: tuple[Rows, int] | None = None  # where it counts, and the requests that had begun there
    _has_looked = False

    def share_rows(self, rows: Rows) -> None:
        """Say which row of these counts what: each thread has its own, where hvd knows that it serves one at a time."""
        if not self.is_known:
            rows.local = cast(ThreadRow, RowOfRequest(rows))

    def load_wsgi(self) -> None:
        """Count what the app answers. An app of another kind, which only its class of worker can serve, stays as it is.

        Each request's end is that of its body: a class that hvd doesn't know may call no post_request.
        """
        super().load_wsgi()
        if self.is_known or takes(self.wsgi, 3 if is_asgi(self.wsgi) else 2):
            self.wsgi: Any = count_app(self.wsgi)
        else:
            self.log.warning("hvd: the app is neither of WSGI nor of ASGI: its requests are not counted")

    def notify(self) -> None:
        """A sign of life, at each turn of the loop."""
        super().notify()
        if self._before is None:
            self._before = counting.rows, _count_begun(counting.rows)
        elif self.nr >= FIRST_REQUESTS and not self._has_looked:
            self._has_looked = True
            self._look_whether_it_counts(*self._before)

    def _look_whether_it_counts(self, rows: Rows, begun: int) -> None:
        """Where paths are left out, or the rows are others by now, there may be another reason for no count."""
        if counting.settings.exclude or rows is not counting.rows or _count_begun(rows) != begun:
            return
        self.log.warning(
            "hvd: this worker has served %d requests and counted none: it calls another app than the one around which "
            "hvd has put counting; where a worker class or a hook sets the app, put hvd.instrument.apply.count_app "
            "around it there",
            self.nr,
        )


class AnsweringWorker(CountingWorker):
    """What those of gunicorn's classes have that call post_request, and answer errors by `handle_error`."""

    is_known = True

    answers_as_hvd = False
    """Whether what gunicorn refuses is answered by problems (RFC 9457). Else its pages stay what they are."""

    def handle_request(self, *request: Any) -> Any:
        """A request that ends by one of these gets no answer, so it is over; unless SIGABRT is the reason."""
        try:
            return super().handle_request(*request)
        except (OSError, StopIteration) as error:
            row = counting.local.row
            if row.interrupted not in (None, BY_SIGNAL) and not isinstance(error, ssl.SSLError):
                row.interrupted = None
                row.finish()
            raise

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Let gunicorn decide status and text, as it does, and count the answer.

        What is no error of Python's, as gevent's Timeout, gunicorn answers in the middle of a response too, which
        counts by then.
        """
        row = counting.local.row
        interrupted, row.interrupted = row.interrupted, None
        is_counted = not interrupted and not isinstance(exc, Exception | SystemExit)
        if is_counted or (req is not None and counting.settings.leave_out(req.path)):
            super().handle_error(req, self._answer(client, lambda status: None), addr, exc)
            return
        method, route = interrupted or (UNPARSED, UNPARSED)
        if not interrupted:
            row.begin(UNPARSED)

        def respond(status: int) -> None:
            row.respond((method, route, str(status)), error_of(str(status)))

        super().handle_error(req, self._answer(client, respond), addr, exc)
        if self.alive or not isinstance(exc, SystemExit):
            row.finish()
        # else a signal is ending the process: the request counts as aborted, by the master

    def _answer(self, client: Any, respond: Callable[[int], None]) -> "Answer":
        return (ProblemAnswer if self.answers_as_hvd else Answer)(client, respond)

    def load_wsgi(self) -> None:
        """Count each response as it leaves the app, or what gunicorn puts in the place of one that it can't load."""
        super().load_wsgi()
        if is_asgi(self.wsgi):
            self.log.error(
                "hvd: the app is of ASGI, which this class of worker can't serve: set gunicorn's worker_class to "
                "uvicorn_worker.UvicornWorker, or to asgi"
            )
        hook = self.cfg.post_request
        if hook is post_request or hasattr(hook, "hvd"):  # else nothing would tell when the response is sent
            self.wsgi = outermost(self.wsgi, counting)


class RoomyWorker(AnsweringWorker, LimitedWorker):
    """What those of gunicorn's classes have whose `accept` ends the worker when there is no descriptor."""

    _lack_logged = float("-inf")

    def _take_settings(self) -> None:
        """Limits on clients, and where to tell of those that wait."""
        if self._parts:
            self.limits = Limits.of(self._parts.settings)
            self.report = partial(Slots(self._parts.block).say_clients, self._parts.rows.slot)

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


class HvdSyncWorker(RoomyWorker, LimitedSyncWorker):
    """gunicorn's `sync` worker, counting."""

    setting = "sync"
    hvd_capacity = 1

    def init_process(self) -> None:
        """In the worker; the serving thread's row is there before `handle_abort`, which can't take a lock, needs it."""
        self.hvd_enter()
        self._take_settings()
        self._row = counting.local.row
        super().init_process()

    def handle_abort(self, sig: int, frame: Any) -> None:
        """SIGABRT, by which the master ends a worker that hangs: what it serves is the master's to count, as aborted.

        gunicorn takes the SystemExit for a response that was cut off where its headers are sent, and ends as usual.
        """
        if self._row.is_busy and self._row.interrupted is None:
            self._row.interrupted = BY_SIGNAL
        super().handle_abort(sig, frame)


class WorkerOfThreads(RoomyWorker, ThreadWorker):  # type: ignore[misc]
    """gunicorn's `gthread` worker as it is, counting. Takes no more connections than it has descriptors for."""

    setting = "gthread"
    hvd_own_loop = frozenset(
        {
            *("accept", "finish_request", "murder_keepalived", "murder_pending", "on_client_socket_readable"),
            *("on_pending_socket_readable", "run", "wait_for_and_dispatch_events"),
        }
    )
    """Methods that hvd's loop for slow clients replaces, or never calls."""
    max_keepalived: int

    @property
    def hvd_capacity(self) -> int:
        """A thread serves one request at a time."""
        return int(self.cfg.threads)

    def init_process(self) -> None:
        self.hvd_enter()
        self._take_settings()
        most, threads = count_free() - OWN_DESCRIPTORS, self.cfg.threads
        self.worker_connections = min(self.cfg.worker_connections, max(1, most - THREAD_DESCRIPTORS * threads))
        # Each thread may add one to those that are idle by now, and there has to be room for others then.
        self.max_keepalived = min(self.max_keepalived, max(0, self.worker_connections - 2 * threads))
        counting.local.row = counting.rows.entry()  # of the loop, which counts a request only where it answers 408
        super().init_process()

    def _make_room(self) -> None:
        """Connections that are idle take what others need."""
        self.murder_keepalived(force=True)
        super()._make_room()


class HvdThreadWorker(WorkerOfThreads, LimitedThreadWorker):
    """The counting `gthread` worker whose threads wait for no client."""


class Answer:
    """Stands for the client's socket while gunicorn writes its error page: `respond` gets the status before.

    gunicorn's mapping from exceptions to statuses is code inside `Worker.handle_error` (27.0.1, workers/base.py), and
    what it writes goes through `util.write_error` in one sendall: a test holds both.
    """

    def __init__(self, client: Any, respond: Callable[[int], None]) -> None:
        self._client = client
        self._respond = respond

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, page: bytes) -> None:
        status = int(page.split(b" ", 2)[1])
        self._respond(status)
        self._client.sendall(self._page(status, page))

    def _page(self, status: int, page: bytes) -> bytes:
        return page


class ProblemAnswer(Answer):
    """Sends a problem in the place of the page."""

    def _page(self, status: int, page: bytes) -> bytes:
        return problem_response(status, _text_of(page.partition(b"\r\n\r\n")[2]))


def _text_of(page: bytes) -> str:
    """The message in gunicorn's HTML error page: what stands between its heading and the end of the body."""
    return html.unescape(page.rpartition(b"</h1>")[2].partition(b"</body>")[0].decode("latin-1").strip())


def _count_begun(rows: Rows) -> int:
    """Requests that this slot's processes have begun, ever."""
    return sum(rows.block.cells[head + layout.R_STARTED] for head in used_heads(rows.block, rows.slot))
