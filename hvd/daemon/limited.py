"""gunicorn's gthread worker, whose threads do not wait for clients, and its sync worker, which does so within limits.

Read in gunicorn 27.0.1, workers/gthread.py and workers/sync.py: what of them is called and replaced here is no public
API, and tests/unit/daemon/test_limited.py fails if it changes.
"""

import errno
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.daemon.client_socket import ClientSocket, RequestTimeout
from hvd.daemon.connections import SWEEP, Connection, Connections, TimedSocket
from hvd.daemon.pace import Limits

_LATE = "The rest of the request did not come in time."


def answer_late(client: Any) -> None:
    """408 (RFC 9110, section 15.5.9), as gunicorn answers what it refuses."""
    util.write_error(client, 408, "Request Timeout", _LATE)


class LimitedThreadWorker(ThreadWorker):  # type: ignore[misc]
    """Needs neither hvd's master nor its block. To be set before `init_process`: `limits`, and `report`, which is
    called at least once a second with the number of connections that wait for each of hvd.metrics.clients.WAITING, and
    of requests that wait for a thread.
    """

    limits = Limits()
    report: Callable[[Sequence[int]], None] = staticmethod(lambda counts: None)

    def init_process(self) -> None:
        is_http = getattr(self.cfg, "protocol", "http") == "http"
        self.connections = Connections(
            self.limits, self.enqueue_req, self._finish, self._answer_late, self._note_gone, is_http
        )
        self.keepalived_conns = self.connections.idle
        super().init_process()

    def run(self) -> None:
        self.poller.register(self.connections.fileno(), selectors.EVENT_READ, self.connections.on_ready)
        super().run()
        self.connections.close()

    def accept(self, listener: Any) -> None:
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        client = self._timed(sock) if self.cfg.is_ssl else ClientSocket.of(sock, self.limits, self.connections.room)
        self.connections.take(Connection(self.cfg, client, address, listener.getsockname(), self.limits))

    def _timed(self, sock: socket.socket) -> socket.socket:
        client = TimedSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        client.seconds = self.limits.head_seconds
        return client

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.has_head = True
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        if isinstance(exc, RequestTimeout):
            answer_late(client)
        else:
            super().handle_error(req, client, addr, exc)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """In the loop: a thread is done with a connection."""
        conn.future = fs
        self.connections.served(conn)

    def _finish(self, conn: Connection) -> None:
        """The response is sent."""
        try:
            keeps = conn.future is not None and not conn.future.cancelled() and conn.future.result()
        except Exception:
            self.connections.drop(conn)
            return
        conn.future = None
        if keeps:
            seconds = self.cfg.keepalive if self.alive else min(self.cfg.keepalive, STOP_KEEPALIVE_LINGER)
            self.connections.keep_alive(conn, time.monotonic() + seconds)
        else:
            self.connections.end(conn)

    def _answer_late(self, conn: Connection) -> None:
        """In the loop."""
        self.handle_error(None, conn.sock, conn.client, RequestTimeout(_LATE))
        self.connections.served(conn)

    def _note_gone(self) -> None:
        self.nr_conns -= 1

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(min(timeout, SWEEP) if self.nr_conns else timeout)

    def murder_keepalived(self, force: bool = False) -> None:
        """At each turn of the loop; `force`: close all that are idle."""
        if force:
            self.connections.close_idle()
        counts = self.connections.sweep(self.worker_connections, self.nr_conns, self.cfg.threads)
        if counts is not None:
            self.report(counts)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops."""
        super()._cap_keepalive(deadline)
        self.connections.hurry(deadline - time.monotonic())


class LimitedSyncWorker(SyncWorker):  # type: ignore[misc]
    """One client at a time, and each for a limited time only. Put a proxy before it that buffers requests."""

    limits = Limits()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        if not self.cfg.is_ssl:
            client = ClientSocket.of(client, self.limits)
            client.on_wait = self.notify  # else the master would take the worker for one that hangs
        else:
            client.settimeout(self.limits.head_seconds)
        super().handle(listener, client, addr)

    def handle_request(self, listener: Any, req: Any, client: Any, addr: Any) -> None:
        client.has_head = True
        super().handle_request(listener, req, client, addr)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        if isinstance(exc, RequestTimeout):
            answer_late(client)
        else:
            super().handle_error(req, client, addr, exc)
