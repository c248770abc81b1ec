"""Log lines of all processes go where gunicorn's error log goes, in its form, from its level on.

A worker has gunicorn's error log. A companion, which is executed afresh, has none: its standard output and error are
one end of a socket pair; the master reads the other end in its loop and logs what it finds as the companion's. So log
files are rotated, and lines become JSON or syslog, as the master's do, and a companion needs no right to any of it. A
packet that begins with RECORD is a log record; anything else is text that the companion, or Python itself, printed.

The master's loop waits for signals alone. The kernel sends it SIGCHLD when a packet comes (fcntl(2), F_SETSIG), after
which the loop looks after the companions anyway.
"""

import contextlib
import fcntl
import logging
import os
import signal
import socket
from typing import Any

from hvd.companion.log import LONGEST, RECORD, decode

PACKET = 256 * 1024  # bytes read at once; two texts of LONGEST escaped as \uXXXX are 192 KiB
TURN = 500  # packets taken in one turn of the master's loop; the socket holds some 160
LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
F_SETSIG = getattr(fcntl, "F_SETSIG", 10)  # linux/fcntl.h; Python before 3.11.4 has no name for it


def error_log(log: Any) -> logging.Logger:
    """The logger behind gunicorn's `log`, which takes records of other processes; `log` itself where it is one."""
    logger: logging.Logger = getattr(log, "error_log", log)
    return logger


def level_name(log: logging.Logger) -> str:
    """From which level on this logger logs, as one of the names that settings have."""
    level = log.getEffectiveLevel()
    return logging.getLevelName(next((known for known in LEVELS if known <= level), logging.DEBUG)).lower()


class Through(logging.Handler):
    """Passes records on to another logger, if that logs their level."""

    def __init__(self, to: logging.Logger) -> None:
        super().__init__()
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        pass_on(record, self._to)


def pass_on(record: logging.LogRecord, to: logging.Logger) -> None:
    """Log it as one of that logger's, whatever level it was made for."""
    if to.isEnabledFor(record.levelno):
        to.handle(record)


def log_through(log: logging.Logger) -> None:
    """In a master, and so in its workers: what hvd's modules log goes to gunicorn's error log."""
    ours = logging.getLogger("hvd")
    ours.handlers, ours.propagate = [Through(log)], False
    ours.setLevel(logging.DEBUG)  # the other logger decides


class Lines:
    """The master's side of one companion's log; `theirs` is for the process, and closed here once that has it."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._ours, self.theirs):
            end.setblocking(False)
        self._text = b""
        fcntl.fcntl(self._ours, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self._ours, F_SETSIG, signal.SIGCHLD)
        fcntl.fcntl(self._ours, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def be_quiet(self) -> None:
        """Send no more SIGCHLD: gunicorn's loop at a stop takes one signal in 0.1 s, and looks by itself as often."""
        fcntl.fcntl(self._ours, fcntl.F_SETFL, os.O_NONBLOCK)

    def drain(self, pid: int, to: logging.Logger, *, to_the_end: bool = False) -> None:
        """Log what has come from the process with this pid; at its end a line that is not whole too. Doesn't wait."""
        with contextlib.suppress(OSError):
            for _ in range(TURN):
                packet = self._ours.recv(PACKET)
                if not packet:
                    break
                self._log(packet, pid, to)
        if to_the_end:
            self._log(b"\n", pid, to)

    def close(self) -> None:
        """Read no more."""
        self._ours.close()

    def _log(self, packet: bytes, pid: int, to: logging.Logger) -> None:
        for record in self._records(packet):
            record.process = pid
            pass_on(record, to)

    def _records(self, packet: bytes) -> list[logging.LogRecord]:
        if packet[:1] == RECORD and (record := decode(packet[1:])):
            return [record]
        *lines, self._text = (self._text + packet).split(b"\n")
        if len(self._text) > LONGEST:
            lines, self._text = [*lines, self._text], b""
        return [_of_text(line) for line in lines if line.strip()]


def _of_text(line: bytes) -> logging.LogRecord:
    text = line[:LONGEST].decode(errors="backslashreplace")
    return logging.makeLogRecord({"name": "hvd", "levelno": logging.ERROR, "levelname": "ERROR", "msg": text})
