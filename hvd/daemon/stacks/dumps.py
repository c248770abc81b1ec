"""In a worker: how it tells where its threads stand, when its master asks, and when it crashes.

ASK is for Python code: a handler in the main thread writes the stacks of all threads, between two instructions of
whatever is running there. That harms nothing, and works unless the main thread is in C code, or waits for the
interpreter's lock that another thread keeps in C code.

DUMP is for then. faulthandler's handler runs at once, and reads the frames of all threads as they are in memory. Where
other threads run Python code meanwhile, that may end the process by SIGSEGV: one of 2 to 1,000 dumps of a busy process
did (CPython 3.11; github.com/python/cpython/issues/116008). So the master sends it only to a process whose threads
stand still (take.py).

Both are real-time signals that nobody else is known to use. A program that a worker executes has no handler of them:
the master looks whether the process has both, before it sends one.
"""

import contextlib
import faulthandler
import os
import signal
import sys
from _thread import get_ident  # now, before gevent puts its own there
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import FrameType

from hvd.core.stacks import CRASHED, StackFile

ASK, DUMP = signal.SIGRTMIN + 17, signal.SIGRTMIN + 18
FRAMES, THREADS = 100, 300  # as many as are written, of a thread and of a process
LONGEST = 300  # characters of a file's or a function's name

Stack = Iterable[FrameType]
"""Frames, the innermost one first."""


def back(frame: FrameType | None) -> Iterator[FrameType]:
    """This frame, and those that wait for it."""
    while frame:
        yield frame
        frame = frame.f_back


class Dumps:
    """One worker's. `dump_fd` is its master's opening of the file, which says where a dump is written. `more` gives
    the stacks, by what stands for a thread, of what a thread serves beside the frame that it is given.
    """

    def __init__(self, file: StackFile, slot: int, dump_fd: int) -> None:
        self._file, self._slot, self.dump_fd = file, slot, dump_fd
        self._pid = self._crash_fd = -1
        self._was_enabled = False
        self.more: Callable[[FrameType | None], Mapping[int, Stack]] = lambda frame: {}

    def begin(self) -> None:
        """In the worker, right after the fork: take the signals, and leave the stacks at a crash. Raises OSError."""
        self._pid = os.getpid()
        self._was_enabled = faulthandler.is_enabled()  # by PYTHONFAULTHANDLER, or by an app loaded before the fork
        self._crash_fd = self._file.open_area(self._slot, CRASHED)
        signal.signal(ASK, self._answer)
        signal.siginterrupt(ASK, False)  # libraries need not expect that a system call is interrupted
        faulthandler.register(DUMP, file=self.dump_fd, all_threads=True)
        self.catch_crashes()
        os.register_at_fork(after_in_child=self._leave_to_child)

    def catch_crashes(self) -> None:
        """Write the stacks at SIGSEGV, SIGFPE, SIGABRT, SIGBUS and SIGILL, before what these signals do otherwise.

        faulthandler puts back the handler that was there before and raises the signal again (Modules/faulthandler.c,
        faulthandler_fatal_error). So SIGABRT's has to be set before.
        """
        faulthandler.disable()
        faulthandler.enable(file=self._crash_fd, all_threads=True)

    def release_crashes(self) -> None:
        """Until `catch_crashes`: handlers of those signals may be set."""
        faulthandler.disable()

    def _answer(self, signum: int, frame: FrameType | None) -> None:
        with contextlib.suppress(Exception):  # it would be raised in whatever is running
            number = self._file.request_of(self._slot)
            if number and os.getpid() == self._pid:
                frames = sys._current_frames()
                if frame:
                    frames[get_ident()] = frame  # not that of this handler
                stacks = {ident: back(top) for ident, top in frames.items()}
                self._file.answer(self._slot, number, render({**self.more(frame), **stacks}, get_ident()))

    def _leave_to_child(self) -> None:
        """In a process that the app forks: its crash is not the worker's."""
        with contextlib.suppress(Exception):  # standard error may be closed
            faulthandler.disable()
            if self._was_enabled:
                faulthandler.enable()


def render(stacks: Mapping[int, Stack], current: int) -> str:
    """The stacks of threads, by their threading.get_ident(), as faulthandler writes them; the current thread first.

    It has no lock and reads no file: it may run in the midst of any code.
    """
    lines: list[str] = []
    for ident, stack in sorted(stacks.items(), key=lambda item: item[0] != current)[:THREADS]:
        title = "Current thread" if ident == current else "Thread"
        lines.append(f"{title} 0x{ident:016x} (most recent call first):")
        for frame in islice(stack, FRAMES):
            code = frame.f_code
            name, file = code.co_qualname[:LONGEST], code.co_filename[-LONGEST:]
            lines.append(f'  File "{file}", line {frame.f_lineno or 0} in {name}'.replace("\n", "?"))
        lines.append("")
    return "\n".join(lines)
