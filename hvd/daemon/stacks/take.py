"""How a master takes the stacks of one process: it asks, and without an answer it checks whether it may dump.

A Take goes step by step, so that stacks of several processes are taken together, and no process delays the others.
"""

import contextlib
import os
import time
from collections.abc import Mapping

from hvd.core.stacks import DUMPED, StackFile, rewind
from hvd.daemon.stacks.dumps import ASK, DUMP, Dumps
from hvd.daemon.stacks.threads import Thread, Watch, read_threads

ANSWER = 0.01  # s that Python code has to answer, before the threads are looked at: it takes 0.3 ms
LOOK = 0.005  # s between two looks at the threads


class Take:
    """One, of a child of this process. `trouble` says why there are no stacks, once `step` was true."""

    def __init__(self, file: StackFile, slot: int, pid: int, dumps: Dumps) -> None:
        """Ask it."""
        self.slot, self.pid, self.began_ns = slot, pid, time.monotonic_ns()
        self.trouble = ""
        self._file, self._dump_fd = file, dumps.dump_fd
        self._watch = Watch(pid)
        self._next_look = time.monotonic() + ANSWER
        self._is_dumping = False
        self._is_done = not self._may_ask()
        if not self._is_done:
            file.ask(slot, self.began_ns)
            os.kill(pid, ASK)

    def _may_ask(self) -> bool:
        try:
            main = read_threads(self.pid)[self.pid]
        except (OSError, KeyError):
            self.trouble = "it has ended"
            return False
        if main.state in "ZX":
            self.trouble = "it has ended"
        elif main.state in "tT":
            self.trouble = "it is stopped by a signal"
        elif not (main.catches(ASK) and main.catches(DUMP)):
            self.trouble = "it has just been started, or runs another program"
        elif not self._file.is_open_in(self.pid, self._dump_fd):
            self.trouble = "code in it has closed the descriptor that stacks are written to"
        elif main.has_pending(DUMP):
            self.trouble = "it has not taken the signal of the last time yet"
        return not self.trouble

    def step(self) -> bool:
        """Go on, some ms after the last time -> whether it is done."""
        if self._is_done:
            return True
        if not self._is_dumping and self._file.answered(self.slot) == self.began_ns:
            self._is_done = True
        elif time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK
            self._look()
        return self._is_done

    def _look(self) -> None:
        try:
            threads = read_threads(self.pid)
            main = threads[self.pid]
            has_ended = main.state in "ZX"
        except (OSError, KeyError):
            has_ended = True
        if has_ended:
            self.trouble, self._is_done = "it has ended", True
            return
        if self._is_dumping:
            if not main.has_pending(DUMP) and not any(thread.blocks(DUMP) for thread in threads.values()):
                self._finish_dump()
        elif self._may_dump(main, threads):
            self._is_dumping = True
            self._next_look = 0.0
            self._file.ask(self.slot, 0)
            self._file.clear_area(self.slot, DUMPED)
            rewind(self._dump_fd, self.slot, DUMPED)
            os.kill(self.pid, DUMP)

    def _may_dump(self, main: Thread, threads: Mapping[int, Thread]) -> bool:
        """Whether its main thread can take the signal now; otherwise it would do so when its threads run again."""
        is_asked = not main.has_pending(ASK) and main.state != "D" and not main.blocks(DUMP)
        return is_asked and self._watch.stands_still(threads)

    def _finish_dump(self) -> None:
        self._is_done = True
        if text := self._file.read(self.slot, DUMPED):
            self._file.write(self.slot, text)
        else:
            self.trouble = "its dump could not be written"

    def give_up(self) -> None:
        """It took too long: a late answer must not come into another one's place."""
        if not self._is_done:
            self._is_done = True
            self.trouble = "its main thread does not answer, and its threads run: it is too busy, or has no processor"
            with contextlib.suppress(OSError):
                self._file.ask(self.slot, 0)
