"""Log lines of all processes go to gunicorn's error log: to its files or its syslog, in its form, from its level on.

A worker has gunicorn's error log. A companion, which is executed, has none: its standard output and error are one end
of a socket pair (hvd/companion/log.py), and the master reads the other end in its loop and logs the lines. So they are
rotated, or become JSON, as the master's own lines do, and a companion needs no right to write a log file.

The master's loop waits for nothing but signals. The kernel sends it SIGCHLD when a packet comes (fcntl(2), F_SETSIG),
at which the loop supervises the companions anyway.

Where gunicorn's log goes to systemd's journal, its lines get the journal's form (hvd/settings/journal.py).
"""

import contextlib
import fcntl
import logging
import os
import signal
import socket
from typing import Any

from hvd.companion.log import LONGEST, RECORD, WAKE, Harmless, decode
from hvd.settings.journal import is_journal, prefixed

PACKET = 256 * 1024  # bytes read at once; two texts of LONGEST escaped as \uXXXX are 192 KiB
TURN = 500  # packets taken in one turn of the master's loop; the socket holds some 160
LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
DEBUG = 7
"""Priorities of syslog(3): LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG."""
F_SETSIG = getattr(fcntl, "F_SETSIG", 10)  # linux/fcntl.h; Python before 3.11.4 has no name for it


def error_log(log: Any) -> logging.Logger:
    """The logger that is part of gunicorn's `log` and takes records; `log` itself where that is a logger."""
    logger: logging.Logger = getattr(log, "error_log", log)
    return logger


def level_name(log: logging.Logger) -> str:
    """The level from which on this logger logs, as settings name it."""
    level = log.getEffectiveLevel()
    return logging.getLevelName(next((known for known in LEVELS if known <= level), logging.DEBUG)).lower()


class JournalFormatter(logging.Formatter):
    """A record as lines for the journal. It names the process where another one has written it: the journal has the
    pid of the one that prints.
    """

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.process != os.getpid():
            text = f"[{record.process}] {text}"
        return prefixed(text, next((number for level, number in PRIORITIES if record.levelno >= level), DEBUG))


def suit_journal(log: Any) -> None:
    """Once gunicorn has set its `log` up: what goes to the journal gets its form, unless the user chose another one."""
    usual = getattr(log, "error_fmt", None)
    for handler in error_log(log).handlers:
        if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
            continue
        if getattr(handler.formatter, "_fmt", None) == usual and _is_journals(handler.stream):
            handler.setFormatter(JournalFormatter())


def _is_journals(stream: Any) -> bool:
    try:
        return is_journal(stream.fileno())
    except (AttributeError, OSError, ValueError):  # no file, or a closed one
        return False


class ForwardingHandler(logging.Handler):
    """Forwards records to another logger."""

    def __init__(self, to: logging.Logger) -> None:
        super().__init__()
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        forward(record, self._to)


def forward(record: logging.LogRecord, to: logging.Logger) -> None:
    """Have that logger log it, if it logs records of that level."""
    if to.isEnabledFor(record.levelno):
        to.handle(record)


def log_through(log: logging.Logger) -> None:
    """In a master, and so in its workers: send the lines of hvd's modules to that log."""
    ours = logging.getLogger("hvd")
    ours.handlers, ours.propagate = [ForwardingHandler(log)], False
    ours.setLevel(logging.DEBUG)  # the other logger decides


class HarmlessHere(Harmless):
    """Of hvd's lines alone: in a log that an app shares with it, the app may colour its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.msg if isinstance(record.msg, str) else ""
        is_hvds = record.name.partition(".")[0] == "hvd" or text.startswith("hvd")
        return super().filter(record) if is_hvds else True


def make_harmless(log: Any, *, is_guest: bool) -> None:
    """Have gunicorn's `log` escape text of others; in a guest's log, only that in hvd's own lines."""
    error_log(log).addFilter(HarmlessHere() if is_guest else Harmless())
    access_log = getattr(log, "access_log", None)
    if access_log and not is_guest:
        access_log.addFilter(Harmless())


class CompanionLog:
    """The log of one companion, in the master. `companion_end` is for the process: to be closed once that runs."""

    def __init__(self) -> None:
        self._master_end, self.companion_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._master_end, self.companion_end):
            end.setblocking(False)
        self._text = b""
        fcntl.fcntl(self._master_end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self._master_end, F_SETSIG, signal.SIGCHLD)
        fcntl.fcntl(self._master_end, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)

    def stop_waking(self) -> None:
        """Send no more SIGCHLD: at a stop gunicorn handles one signal in 0.1 s, and hvd supervises as often anyway."""
        fcntl.fcntl(self._master_end, fcntl.F_SETFL, os.O_NONBLOCK)

    def drain(self, pid: int, to: logging.Logger, *, to_the_end: bool = False) -> None:
        """Log the lines that have come, as this pid's; with `to_the_end` one without a line end, too. Never waits."""
        with contextlib.suppress(OSError):
            for _ in range(TURN):
                packet = self._master_end.recv(PACKET)
                if not packet:
                    break
                self._log(packet, pid, to)
        if to_the_end:
            self._log(b"\n", pid, to)

    def close(self) -> None:
        """Close the master's end."""
        self._master_end.close()

    def _log(self, packet: bytes, pid: int, to: logging.Logger) -> None:
        for record in self._records(packet):
            record.process = pid
            forward(record, to)

    def _records(self, packet: bytes) -> list[logging.LogRecord]:
        if packet == WAKE:
            return []
        if packet[:1] == RECORD and (record := decode(packet[1:])):
            return [record]
        *lines, self._text = (self._text + packet).split(b"\n")
        if len(self._text) > LONGEST:
            lines, self._text = [*lines, self._text], b""
        return [_of_text(line) for line in lines if line.strip()]


def _of_text(line: bytes) -> logging.LogRecord:
    text = line[:LONGEST].decode(errors="backslashreplace")
    return logging.makeLogRecord({"name": "hvd", "levelno": logging.ERROR, "levelname": "ERROR", "msg": text})
