"""A client's socket where gunicorn itself terminates TLS: it holds a thread while it waits, within limits.

The content is encrypted, so only TLS records tell when a connection needs a thread (RFC 8446, section 5.1).
"""

import errno
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from hvd.daemon.clients.pace import Limits, Pace
from hvd.metrics.clients import HALF_BODY, UNREAD

RECORD_HEAD = 5  # bytes: type, version, length of the rest
RECORD_MAX = RECORD_HEAD + 2**14 + 2**11  # TLS 1.2 allows the most (RFC 5246, section 6.2.3)
_HANDSHAKE, _APPLICATION_DATA = 22, 23


def is_whole_record(data: bytes) -> bool:
    """A record is there, or what is none."""
    if data[:1] not in (bytes([_HANDSHAKE]), bytes([_APPLICATION_DATA])):
        return bool(data)
    return len(data) >= RECORD_HEAD and len(data) >= RECORD_HEAD + int.from_bytes(data[3:RECORD_HEAD], "big")


class TimedSocket(socket.socket):
    """A socket to put TLS on: to block means for `seconds` at most."""

    seconds = Limits.head_seconds

    def setblocking(self, flag: bool) -> None:
        self.settimeout(self.seconds if flag else 0)


class LimitedTLSSocket(ssl.SSLSocket):
    """What TLS was put on. Raises ConnectionResetError for a client that is too slow, as for one that has gone."""

    limits = Limits()
    waits_for: int | None = None
    _pace: Pace | None = None
    _paused_at = 0.0

    @classmethod
    def make_of(cls, sock: ssl.SSLSocket, limits: Limits) -> None:
        """Turn gunicorn's socket, whose class it doesn't let us choose, into one of these (27.0.1, sock.py)."""
        sock.__class__ = cls
        sock.limits = limits  # type: ignore[attr-defined]

    def begin_request(self) -> None:
        """Called when a thread begins with the next request."""
        self._pace = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        data: bytes = self._within(HALF_BODY, self.limits.body_seconds, super().recv, buflen, flags)
        if self._pace:
            self._pace.advance(time.monotonic(), self._pace.moved + len(data))
        return data

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._pace = None
        self._within(UNREAD, self.limits.send_seconds, super().sendall, data, flags)
        self._pace = None

    def gives_way(self, now: float, age: float) -> bool:
        """Whether a thread has waited for longer than `age` for this client, which is slow."""
        pace = self._pace  # its thread may end the wait meanwhile
        return self.waits_for is not None and pace is not None and pace.gives_way(now, age)

    def _within(self, state: int, seconds: float, call: Callable[..., Any], *args: Any) -> Any:
        now, before = time.monotonic(), self.gettimeout()
        if self._pace:
            self._pace.leave_out(now - self._paused_at)
        else:
            self._pace = Pace(now)
        self.waits_for = state
        try:
            if before is None:
                self.settimeout(max(0.001, self._pace.seconds_left(now, seconds)))
            return call(*args)
        except TimeoutError as error:
            if before is not None:
                raise
            raise ConnectionResetError(errno.ECONNRESET, "the client is too slow") from error
        finally:
            self.waits_for, self._paused_at = None, time.monotonic()
            if self.fileno() >= 0:
                self.settimeout(before)
