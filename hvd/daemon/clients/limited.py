"""gunicorn's gthread worker, whose threads do not wait for clients, and its sync worker, which does so within limits.

Read in gunicorn 27.0.1, workers/gthread.py and workers/sync.py: what of them is called and replaced here is no public
API, and tests/unit/daemon/clients/test_limited.py fails if it changes.
"""

import errno
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from gunicorn import util
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker
from gunicorn.workers.sync import SyncWorker

from hvd.daemon.clients.client_socket import ClientSocket, RequestTimeout
from hvd.daemon.clients.connection import Connection
from hvd.daemon.clients.connections import Connections
from hvd.daemon.clients.overdue import SWEEP, Overdue
from hvd.daemon.clients.pace import LEAST_AGE, Limits
from hvd.daemon.clients.tls_socket import TimedSocket
from hvd.metrics.clients import HALF_HEAD, HELD

_LATE = "The rest of the request did not come in time."


def answer_late(client: Any) -> None:
    """Answer 408 (RFC 9110, section 15.5.9) in the form of gunicorn's error responses."""
    util.write_error(client, 408, "Request Timeout", _LATE)


class LimitedWorker(Worker):  # type: ignore[misc]
    """What both have. It needs neither hvd's master nor its block. To be set before `init_process`: `limits`, and
    `report`, which is called with the number of connections that wait for each of hvd.metrics.clients.WAITING, and of
    requests that wait for a thread.
    """

    limits = Limits()
    report: Callable[[Sequence[int]], None] = staticmethod(lambda counts: None)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        if isinstance(exc, RequestTimeout):
            answer_late(client)
        else:
            super().handle_error(req, client, addr, exc)


class LimitedThreadWorker(LimitedWorker, ThreadWorker):  # type: ignore[misc]
    """Its threads wait for no client. It reports at least once a second."""

    poller: Any
    patience = LEAST_AGE
    """Seconds that it waits at least for a client that is slow, where another one needs its place."""

    def init_process(self) -> None:
        self.connections = Connections(self, self.cfg.threads)
        self._overdue = Overdue(self.connections, self.limits, self._answer_late)
        self.keepalived_conns = self.connections.idle
        # gunicorn's settings are looked up by functions: some µs a request in all
        self._threads, self._keepalive, self._is_tls = self.cfg.threads, self.cfg.keepalive, self.cfg.is_ssl
        self._is_http = getattr(self.cfg, "protocol", "http") == "http"
        super().init_process()

    def take_limits(self, limits: Limits) -> None:
        """Go over to other limits."""
        self.limits = self._overdue.limits = limits

    def run(self) -> None:
        self.poller.close()
        self.poller = self.connections
        super().run()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        self.connections.wait(SWEEP if self.nr_conns and timeout > SWEEP else timeout)

    def accept(self, listener: Any) -> None:
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        client = self._timed(sock) if self._is_tls else ClientSocket.of(sock, self.limits, self.connections.room)
        name = listener.getsockname()
        self.connections.take(Connection(self.cfg, client, address, name, self.limits, self._is_http))
        if self.nr_conns >= self.worker_connections:
            self._overdue.make_room(self.patience)

    def _timed(self, sock: socket.socket) -> socket.socket:
        client = TimedSocket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        client.seconds = self.limits.head_seconds
        return client

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """In the loop: a thread is done with a connection."""
        conn.future = fs
        self.connections.step(self.connections.end_service, conn)

    def finish_response(self, conn: Connection) -> None:
        """In the loop: all of the response is sent."""
        future, conn.future = conn.future, None
        try:
            keeps = future is not None and not future.cancelled() and future.result()
        except Exception:
            self.connections.drop(conn)
            return
        if keeps:
            seconds = self._keepalive if self.alive else min(self._keepalive, STOP_KEEPALIVE_LINGER)
            self.connections.keep_alive(conn, time.monotonic() + seconds)
        else:
            self.connections.end(conn)

    def note_gone(self) -> None:
        self.nr_conns -= 1

    def _answer_late(self, conn: Connection) -> None:
        """In the loop."""
        self.handle_error(None, conn.sock, conn.client, RequestTimeout(_LATE))
        self.connections.end_service(conn)

    def murder_keepalived(self, force: bool = False) -> None:
        """At each turn of the loop; `force`: close all that are idle."""
        if force:
            self._overdue.close_idle()
        counts = self._overdue.sweep(self.worker_connections, self.nr_conns, self._threads)
        if counts is not None:
            self.report(counts)

    def murder_pending(self) -> None:
        """gunicorn's `pending_conns` has none."""

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops."""
        super()._cap_keepalive(deadline)
        self._overdue.hurry(deadline - time.monotonic())
        self._overdue.makes_way = self.nr >= self.max_requests  # its master starts another one once it has ended


class LimitedSyncWorker(LimitedWorker, SyncWorker):  # type: ignore[misc]
    """One client at a time, and each for a limited time only. Put a proxy before it that buffers requests.

    It reports what it waits for when that changes; HELD is 1 while it waits for a request to come in.
    """

    _client: ClientSocket
    _reported: int | None = None  # what it waits for, as reported last

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        if not self.cfg.is_ssl:
            client = ClientSocket.of(client, self.limits)
            client.has_head = False
            client.on_wait, self._client = self._wait, client
        else:
            client.settimeout(self.limits.head_seconds)
        super().handle(listener, client, addr)
        self._report(None)

    def _wait(self) -> None:
        """While it waits for the client, give a sign of life: otherwise the master would kill the worker."""
        self.notify()
        self._report(self._client.waits_for)

    def _report(self, state: int | None) -> None:
        if state != self._reported:
            self._reported = state
            self.report([int(kind == state or (kind == HELD and state == HALF_HEAD)) for kind in range(HELD + 1)])

    def handle_request(self, listener: Any, req: Any, client: Any, addr: Any) -> None:
        client.has_head = True
        self._report(None)
        super().handle_request(listener, req, client, addr)
