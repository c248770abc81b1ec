"""Log lines of a companion, on their way to the master, which logs them where gunicorn logs (hvd/daemon/logs.py).

The standard error of a companion is a socket that keeps packets apart. A packet that begins with RECORD is a log
record; WAKE is none; anything else is text that the companion, or Python itself, printed.
"""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping

from hvd.texts import escaped

RECORD = b"\0"
WAKE = b"\1"
"""A packet that is no log line: it only wakes the master's loop."""
LONGEST = 16 * 1024  # characters of a message, and of a traceback: a packet is far below what a socket takes
STDERR = 2

_FIELDS = {"name": str, "levelno": int, "levelname": str, "created": float, "msecs": float}
_TEXTS = {"msg": str, "exc_text": str | None}


class Harmless(logging.Filter):
    """Makes text of others harmless in every record: nothing in a log moves the cursor, changes the writing direction,
    or begins a line that hvd has not begun.

    Lines of a format, and of a text that follows one (as a traceback does), stay lines. A record that can't be made a
    text stays as it is: its handler fails at it too, and reports that as logging does; the caller is not disturbed.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        with contextlib.suppress(Exception):
            self._make_harmless(record)
        return True

    def _make_harmless(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, Mapping):  # as those of an access log are, whose formats name them
            record.msg, record.args = escaped(record.getMessage()), ()
        elif record.args:
            keep = LINES if "\n" in str(record.msg) else ""
            record.args = tuple(_harmless(arg, keep) for arg in record.args)
        else:
            record.msg = _harmless(record.msg, LINES)
        if record.exc_info and record.exc_info[0] and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = escaped(record.exc_text, keep=LINES)


LINES = "\n\t"
"""What stays in texts of several lines."""


def _harmless(value: object, keep: str) -> object:
    return escaped(str(value), keep=keep) if isinstance(value, str | BaseException | os.PathLike) else value


class MasterHandler(logging.Handler):
    """Never waits; a line that finds no room is lost, and the next one says how many were."""

    def __init__(self, fd: int = STDERR) -> None:
        super().__init__()
        self.addFilter(Harmless())
        self._fd = fd
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            packet = RECORD + _encode(record)
        except Exception:  # a message that doesn't fit its arguments
            self.handleError(record)
            return
        try:
            os.write(self._fd, packet)
        except BlockingIOError:
            self._lost += 1
            return
        except OSError:  # the master is gone
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            logging.getLogger(__name__).warning("%d log lines were lost: the master did not read them in time", lost)


def _encode(record: logging.LogRecord) -> bytes:
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    fields = {name: getattr(record, name) for name in _FIELDS}
    return json.dumps({**fields, "msg": record.getMessage()[:LONGEST], "exc_text": trace[-LONGEST:] or None}).encode()


def decode(packet: bytes) -> logging.LogRecord | None:
    """The record of a packet behind RECORD; None of all else: a companion may have less rights than its master."""
    try:
        record = json.loads(packet)
        fields = {name: record[name] for name in (*_FIELDS, *_TEXTS)}
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    if not all(isinstance(fields[name], kind) for name, kind in {**_FIELDS, **_TEXTS}.items()):
        return None
    return logging.makeLogRecord(fields)


def wake_master(fd: int = STDERR) -> None:
    """Have the master's loop take a turn now, as any line of its log does."""
    with contextlib.suppress(OSError):  # the log is full, which wakes it too; or the master is gone
        os.write(fd, WAKE)


def log_to_master(level: str) -> None:
    """All loggers write to the master from now on, and so does an exception that ends the process."""
    logging.basicConfig(handlers=[MasterHandler()], level=level.upper())
    sys.excepthook = lambda *error: logging.getLogger("hvd").critical("ended by an exception", exc_info=error)
