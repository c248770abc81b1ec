"""gunicorn's gevent workers, counting: a thread serves many requests at once, each in a greenlet of its own.

gunicorn patches the standard library in `init_process`, when hvd's modules were imported long ago, so their locks and
locals stay those of threads. No code of hvd's gives way to another greenlet while it has such a lock (locks.py waits
for the mutation lock without gevent), so one that waits for a lock waits for another thread, as ever.

What is used of gunicorn's and of gevent's is no public API (read in gunicorn 27.0.1, workers/ggevent.py, and in gevent
26.9, pywsgi.py): tests/unit/daemon/test_gevent_workers.py fails if it changes.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, cast

import gevent
from gunicorn.workers.ggevent import GeventPyWSGIWorker, GeventWorker

from hvd.core.rows import Row, Rows, ThreadRow
from hvd.daemon.stacks.dumps import Stack, back
from hvd.daemon.worker_process import WorkerProcess
from hvd.daemon.workers import AnsweringWorker, CountingWorker
from hvd.instrument.counting import counting
from hvd.instrument.loop_lag import LoopWatch
from hvd.instrument.reports import METHODS, OTHER
from hvd.instrument.wsgi import outermost, post_request
from hvd.metrics.table import error_of


class GreenletRow:
    """`row` is an entry of the calling greenlet's own, for one request after the other; it goes with the greenlet.

    For stacks, a greenlet stands for a thread, by its id().
    """

    def __init__(self, rows: Rows) -> None:
        self._entry = rows.entry
        self._name = f"hvd_row_{id(self)}"  # of the attribute in which a greenlet has it: no dict costs less
        self._greenlets: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def row(self) -> Row:
        greenlet = gevent.getcurrent()
        try:
            return cast(Row, getattr(greenlet, self._name))
        except AttributeError:
            entry: Any = self._entry()
            entry.thread = id(greenlet)
            setattr(greenlet, self._name, entry)
            self._greenlets.add(greenlet)
            return cast(Row, entry)

    def frames(self, current: FrameType | None) -> Mapping[int, Stack]:
        """Where those greenlets stand that have something in progress; the running one at `current`."""
        running = gevent.getcurrent()
        rows = ((greenlet, getattr(greenlet, self._name)) for greenlet in self._greenlets)
        busy = [greenlet for greenlet, row in rows if row.is_busy and row.interrupted is None]
        frames = {id(greenlet): current if greenlet is running else greenlet.gr_frame for greenlet in busy}
        return {ident: back(frame) for ident, frame in frames.items() if frame}


class HubTimer:
    """Something that is due in gevent's loop, and runs in its hub: it gives way to nobody."""

    def __init__(self, delay: float, callback: Callable[[], None]) -> None:
        self._timer: Any = gevent.get_hub().loop.timer(delay)
        self._timer.start(callback)

    def cancel(self) -> None:
        self._timer.close()


class Hub:
    """gevent's loop, as a LoopWatch needs it."""

    call_later = HubTimer


class Greenlets(WorkerProcess):
    """What both classes have in common."""

    is_known = True
    _watch: LoopWatch | None = None

    @property
    def hvd_capacity(self) -> int:
        """As many connections as it takes, a greenlet each."""
        return int(self.cfg.worker_connections)

    def share_rows(self, rows: Rows) -> None:
        local = GreenletRow(rows)
        rows.local = cast(ThreadRow, local)
        if self.dumps:
            self.dumps.more = local.frames

    def notify(self) -> None:
        """A sign of life. gunicorn's ends an orphan at once, with all that it serves; `handle_exit` gives it time."""
        if os.getppid() == self.ppid:
            if self.booted and not self._watch:
                self._watch = LoopWatch(Hub())
            super().notify()
        else:
            self.alive = False

    def run(self) -> None:
        try:
            super().run()
        finally:
            if self._watch:
                self._watch.stop()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """In a greenlet, so that the user's worker_int may wait for something, as in gunicorn."""
        if not self.booted:
            self._leave_boot(sig, frame)
        gevent.spawn(super().handle_quit, sig, frame)


class HvdGeventWorker(Greenlets, AnsweringWorker, GeventWorker):  # type: ignore[misc]
    """gunicorn's `gevent` worker, counting."""

    setting = "gevent"


class HvdPyWSGIWorker(Greenlets, CountingWorker, GeventPyWSGIWorker):  # type: ignore[misc]
    """gunicorn's `gevent_pywsgi` worker, counting: gevent's own server, which calls no hook of gunicorn's."""

    setting = "gevent_pywsgi"
    wsgi_handler: Any

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi = outermost(self.wsgi, counting)
        self.wsgi_handler = type("HvdHandler", (CountingHandler, self.wsgi_handler), {})


class CountingHandler:
    """Goes before gevent's handler of a connection, as it is or as the user has changed it."""

    environ: Any

    def handle_one_response(self) -> None:
        """The response is sent, or given up."""
        try:
            super().handle_one_response()  # type: ignore[misc]
        finally:
            post_request(self, None, self.environ, None)

    def handle_error(self, *error: Any) -> None:
        """The app has failed, and what it had begun to serve is answered with 500, where nothing was sent yet: after an
        OSError too, unlike gunicorn.
        """
        row = counting.local.row
        interrupted, row.interrupted = row.interrupted, None
        exchange = row.exchange
        if not interrupted and exchange is not None and not exchange.is_counted:
            interrupted = exchange.method if exchange.method in METHODS else OTHER, exchange.route
        if interrupted:
            row.respond((*interrupted, "500"), error_of("500"))
        super().handle_error(*error)  # type: ignore[misc]
