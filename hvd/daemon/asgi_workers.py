"""What makes workers count that serve an ASGI app in an event loop: gunicorn's `asgi`, and uvicorn's for gunicorn.

They are made for any class of these, see classes.py. Read in gunicorn 27.0.1, workers/gasgi.py and asgi/protocol.py; in
uvicorn-worker 0.4.0; in uvicorn 0.54.0, server.py, config.py and protocols/http. None of it is public API: a test fails
if it changes.
"""

import asyncio
import os
import signal
from typing import Any

from gunicorn.workers.base import Worker

from hvd.daemon.stacks.tasks import TaskStacks
from hvd.daemon.worker_process import ORPHAN_GRACE, WorkerProcess
from hvd.daemon.workers import UNPARSED, CountingWorker
from hvd.instrument.asgi import AsgiServer, counted_asgi, gunicorn_server, uvicorn_server
from hvd.instrument.counting import counting
from hvd.instrument.loop_lag import LoopWatch
from hvd.metrics.table import error_of

ORPHANED = signal.SIGRTMIN + 16
"""What the kernel sends such a worker when its master dies: SIGTERM would not tell whether it has all its time."""


class LoopWorker(CountingWorker):
    """What both have. It serves, and is ready, from its first sign of life on."""

    is_known = True
    orphaned = ORPHANED
    hvd_server: AsgiServer
    _watch: LoopWatch | None = None

    @property
    def hvd_capacity(self) -> int:
        """gunicorn has no other bound for them, and does not keep to this one."""
        return int(self.cfg.worker_connections)

    def load_wsgi(self) -> None:
        """The app counts where it has all around it that its server puts there."""
        super(CountingWorker, self).load_wsgi()

    def say_ready(self) -> None:
        if self._watch:
            super().say_ready()

    def notify(self) -> None:
        if self.booted and not self._watch:
            loop = asyncio.get_running_loop()
            self._watch = LoopWatch(loop)
            if self.dumps:
                self.dumps.more = TaskStacks(loop, counting.rows).frames
            self._begin_serving()
        super().notify()

    def run(self) -> None:
        try:
            super().run()
        finally:
            if self._watch:
                self._watch.stop()

    def _begin_serving(self) -> None:
        """Called in the loop, which listens by now."""

    def say_ending(self) -> None:
        self.hvd_server.is_ending = True
        super().say_ending()

    def init_signals(self) -> None:
        """Handle signals as other workers do until the loop runs, which handles them itself."""
        signal.signal(ORPHANED, self._handle_orphaned)
        self.take_signals(lambda: Worker.init_signals(self))

    def _handle_orphaned(self, sig: int, frame: Any) -> None:
        """End as at SIGTERM, and soon: the master is dead."""
        if self._parts:
            self._parts.block.file_name.drop_spare()
        if not self.booted:
            self._leave_boot(sig, frame)
        signal.alarm(ORPHAN_GRACE)  # its default action ends the process, whatever Python is doing
        os.kill(os.getpid(), signal.SIGTERM)


class GunicornAsgi(LoopWorker):
    """Goes before gunicorn's `asgi` worker."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.hvd_server = gunicorn_server()

    def init_process(self) -> None:
        self._use_own_hooks()
        super().init_process()

    def _use_own_hooks(self) -> None:
        """For each request call the hooks of the user's alone: hvd's are for WSGI, and any make connections wait."""
        for name in ("pre_request", "post_request"):
            setting = self.cfg.settings[name]
            if hasattr(setting.value, "hvd"):
                setting.value = setting.value.__wrapped__
            elif str(setting.value.__module__).startswith("hvd."):
                setting.value = setting.default

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.asgi: Any = counted_asgi(self.asgi, self.hvd_server)

    def run(self) -> None:
        from gunicorn.workers import gasgi  # not before: most services have another class

        gasgi.ASGIProtocol = _counting_refusals(gasgi.ASGIProtocol, "_send_error_response")
        self.take_signals(super(WorkerProcess, self).init_signals)
        super().run()

    async def _shutdown(self) -> None:
        self.say_ending()
        await super()._shutdown()


class UvicornForGunicorn(LoopWorker):
    """Goes before uvicorn's worker for gunicorn."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.hvd_server = uvicorn_server()

    @property
    def hvd_capacity(self) -> int:
        return int(self.config.limit_concurrency or super().hvd_capacity)

    async def _serve(self) -> None:
        """Count around all that uvicorn puts around the app, which may be of ASGI 2 or of WSGI."""
        self.config.app = self.wsgi
        self.config.load()
        self.config.loaded_app = counted_asgi(self.config.loaded_app, self.hvd_server)
        self.config.http_protocol_class = _counting_refusals(self.config.http_protocol_class, "send_400_response")
        await super()._serve()

    def _begin_serving(self) -> None:
        """uvicorn has taken SIGTERM by now, and says nobody that it ends."""
        stop: Any = signal.getsignal(signal.SIGTERM)

        def handle_exit(sig: int, frame: Any) -> None:
            self.say_ending()
            stop(sig, frame)

        signal.signal(signal.SIGTERM, handle_exit)
        if not self.alive:  # told to stop before
            os.kill(os.getpid(), signal.SIGTERM)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """uvicorn calls it at SIGQUIT too, and goes on."""
        if sig == signal.SIGQUIT:
            self.handle_quit(sig, frame)
        else:
            super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        super().handle_quit(sig, frame)
        os.kill(os.getpid(), signal.SIGTERM)


def _counting_refusals(protocol: Any, method: str) -> Any:
    """A subclass of a server's protocol whose method answers what is no request, with a status or a text for 400.

    gunicorn's answers 500 too, where the app has failed, which counts it.
    """
    refuse = getattr(protocol, method)

    def count_and_refuse(self: Any, status: Any, *more: Any) -> None:
        code = str(status) if isinstance(status, int) else "400"
        if code != "500":
            row = counting.rows.entry()
            row.begin(UNPARSED)
            row.respond((UNPARSED, UNPARSED, code), error_of(code))
            row.finish()
        refuse(self, status, *more)

    return type(protocol.__name__, (protocol,), {method: count_and_refuse})
