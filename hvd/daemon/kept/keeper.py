"""When a master reads the file of totals, and when it writes it.

It is read where a block is made: an existing block has all that the file has, and more. So nothing is ever counted
twice, whichever process is killed. The file stays after it was read, for the case that the machine loses its memory.
It is written each minute, so that no more than that is lost then, and at a clean stop by the last master, once all is
settled and before the block goes.

A child process writes it, as a disk may be slow, or away: the master's loop doesn't wait, and its end not for long.
"""

import contextlib
import os
import signal
import time
from collections.abc import Collection
from logging import Logger
from pathlib import Path

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.proc import die_with_parent
from hvd.core.slots import Slots
from hvd.daemon.kept.figures import Taken, collect, restore
from hvd.daemon.kept.file import read_own, set_aside, write_whole
from hvd.daemon.kept.form import decode, encode
from hvd.errors import HvdError, TotalsUnusable
from hvd.settings.table import Settings
from hvd.texts import cut, escaped, rfc3339

EVERY = 60.0  # s between two writes of a daemon that runs
SHARE = 100  # of its time, one write takes at most one part in so many: a hundred thousand series take 2 s
END_WAIT = 5.0  # s that a stop waits for the last one; two thousand series and the history take 50 ms
CHILD_WAIT = 30.0  # s that one of those before may take
LEFT_OUT_TEXT = 500  # characters of what another version has and this one lacks
_PAUSE = 0.005  # s between two looks


class _Writing:
    """A child that writes what a block counts now into a file. One thread uses it."""

    def __init__(self, block: Block, path: Path, instance: str, without: Collection[int]) -> None:
        """Raises OSError where there can't be one."""
        self._answer, answer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.began = time.monotonic()
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._answer)
            os.close(answer)
            raise
        if self._pid == 0:
            try:
                block.release_claim()
                die_with_parent(parent, signal.SIGKILL)
                os.write(answer, _write(block, path, instance, without).encode()[:4000])
            finally:
                os._exit(0)
        os.close(answer)

    def result(self) -> str | None:
        """None while it writes; then "", or why the file is what it was before."""
        try:
            answer = os.read(self._answer, 4096).decode()
        except BlockingIOError:
            return None
        self._forget()
        return "" if answer == "written" else answer or "the process that was to write it has ended"

    def end(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._forget()

    def _forget(self) -> None:
        os.close(self._answer)
        with contextlib.suppress(ChildProcessError):  # gunicorn reaps children too
            os.waitpid(self._pid, os.WNOHANG)


def _write(block: Block, path: Path, instance: str, without: Collection[int]) -> str:
    try:
        write_whole(path, encode(collect(block, instance, without)))
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "written"


class Keeper:
    """One master's. Used in its main thread; none of its methods raises."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        self.is_on = settings.keep_totals
        self._instance, self._log = settings.instance, log
        self.path = settings.state_dir / f"totals-{settings.instance}"
        self._next, self._trouble = time.monotonic() + EVERY, ""
        self._writing: _Writing | None = None

    def fill(self, block: Block) -> None:
        """Give a new block what the file has; a file that can't be used is set aside."""
        if not self.is_on:
            return
        try:
            kept = decode(read_own(self.path))
            if kept["instance"] != self._instance:
                raise TotalsUnusable(f"it is of the daemon {kept['instance']!r}")
            self._say(restore(block, kept), escaped(cut(str(kept["hvd"])), "ascii"), block.cells[layout.H_SINCE_WALL])
        except FileNotFoundError:
            self._log.info("hvd: totals begin with 0, and are kept in %s", self.path)
        except Exception as error:
            self._set_aside(str(error) if isinstance(error, HvdError) else f"{type(error).__name__}: {error}")

    def _say(self, taken: Taken, version: str, since_ns: int) -> None:
        _, finished, aborted, errors = taken.heads
        self._log.info(
            "hvd: totals go on from %s of %s: %d requests finished, %d of them errors, %d aborted, since %s",
            *(self.path, rfc3339(taken.written_ns), finished, errors, aborted, rfc3339(since_ns)),
        )
        if taken.left_out:
            self._log.warning(
                "hvd: this version can't take from %s, written by hvd %s: %s",
                *(self.path, version, escaped(", ".join(taken.left_out)[:LEFT_OUT_TEXT], "ascii")),
            )
        if taken.overflowed:
            self._log.warning(
                "hvd: %d series of %s have no room, and go on in overflow series: set max_series higher, or own_series "
                "for the app's own metrics",
                *(taken.overflowed, self.path),
            )

    def _set_aside(self, reason: str) -> None:
        try:
            where = f"it is set aside as {set_aside(self.path)}"
        except OSError as error:
            where = f"it can't be set aside either ({error.strerror})"
        self._log.warning(
            "hvd: totals begin with 0: %s can't be used, %s; %s", self.path, escaped(reason, "ascii"), where
        )

    def turn(self, block: Block) -> None:
        """At each turn of the master's loop: a write that is due, or has ended."""
        if self._writing:
            self._look_after(self._writing)
        elif self.is_on and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            try:
                self._writing = self._begin(block)
            except OSError as error:
                self._complain(str(error.strerror))

    def _begin(self, block: Block) -> _Writing:
        """Raises OSError."""
        # What these have counted they move to a new block themselves where ours has lost its name (joining.py).
        without = [] if block.file_name.holds() else [slot.number for slot in Slots(block).joined()]
        return _Writing(block, self.path, self._instance, without)

    def _look_after(self, writing: _Writing) -> None:
        result = writing.result()
        if result is None and time.monotonic() > writing.began + CHILD_WAIT:
            writing.end()
            result = f"not within {CHILD_WAIT:g} s"
        if result is not None:
            self._writing, now = None, time.monotonic()
            self._next = max(self._next, now + SHARE * (now - writing.began))
            self._complain(result)

    def _complain(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._log.error(
                "hvd: totals can't be written to %s (%s); it is tried again each minute, and at the stop",
                *(self.path, trouble),
            )
        elif self._trouble and not trouble:
            self._log.info("hvd: totals are written to %s again", self.path)
        self._trouble = trouble

    def keep(self, block: Block) -> bool:
        """The daemon ends: write what its block has. -> False if that could not be done; then the block must stay."""
        if self._writing:
            self._writing.end()
            self._writing = None
        if not self.is_on:
            return True
        trouble = self._write_last(block)
        if trouble:
            self._log.error(
                "hvd: totals can't be written to %s (%s): block %s stays, and the next start goes on with it",
                *(self.path, trouble, block.path),
            )
        else:
            self._log.info("hvd: totals are kept in %s", self.path)
        return not trouble

    def _write_last(self, block: Block) -> str:
        """-> "", or why not."""
        try:
            writing = self._begin(block)
        except OSError as error:
            return error.strerror or str(error)
        deadline = time.monotonic() + END_WAIT
        while (result := writing.result()) is None:
            if time.monotonic() > deadline:
                writing.end()
                return f"not within {END_WAIT:g} s"
            signal.sigtimedwait((), _PAUSE)  # and not time.sleep, in which gevent would run others
        return result
