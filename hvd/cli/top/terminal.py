"""The terminal as a whole screen: its modes, which are always restored, and output that never waits for it."""

import contextlib
import os
import select
import termios
import time
from collections.abc import Sequence
from types import TracebackType

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
"""Alternate screen, no cursor, no wrapping at the right edge (a resize may come between two writes); clear."""

LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"

_LEAVE_TIME = 0.5  # s that a terminal has to accept LEAVE; one that has gone, or that Ctrl-S holds, accepts nothing


class Terminal:
    """A terminal for keys and pictures, from `with` to its end. The descriptors `keyboard` and `display` stay open.

    Raises OSError where the terminal has gone.
    """

    def __init__(self, keyboard: int, display: int) -> None:
        self.keyboard = keyboard
        self._own_display = _opened_anew(display)
        self._display = display if self._own_display is None else self._own_display
        self._modes = termios.tcgetattr(keyboard)
        self._waiting = b""
        self._lines: list[str] = []

    @property
    def display(self) -> int:
        """The descriptor that becomes writable."""
        return self._display

    def enter(self) -> None:
        """Take the screen; again after somebody else had it."""
        modes = [*self._modes]
        modes[3] &= ~(termios.ICANON | termios.ECHO)  # keys at once and unseen; Ctrl-C and Ctrl-Z stay signals
        modes[6] = [*modes[6]]
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.keyboard, termios.TCSANOW, modes)
        self._waiting = ENTER.encode()
        self._lines = []
        self.flush()

    def leave(self) -> None:
        """Give the screen back. Never raises: what has gone needs nothing back."""
        with contextlib.suppress(OSError):
            # what waits may have been cut in the middle of a sequence: CAN ends that
            self._waiting = (b"\x18" if self._waiting else b"") + LEAVE.encode()
            deadline = time.monotonic() + _LEAVE_TIME
            while self.flush() and (left := deadline - time.monotonic()) > 0:
                select.select([], [self._display], [], left)
        self._waiting = b""
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(self.keyboard, termios.TCSANOW, self._modes)

    def refresh_modes(self) -> None:
        """Note the modes to restore: the user may have changed them while the screen was not ours.

        In the background they are the shell's own, and not noted.
        """
        if os.tcgetpgrp(self.keyboard) == os.getpgrp():
            self._modes = termios.tcgetattr(self.keyboard)

    def size(self) -> tuple[int, int]:
        """Columns and lines; 80 and 24 where the terminal doesn't know."""
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(self._display)
            if size.columns > 0 and size.lines > 0:
                return size.columns, size.lines
        return 80, 24

    def clear(self) -> None:
        """Draw all lines anew, next time."""
        self._waiting += b"\x1b[0m\x1b[2J"
        self._lines = []

    def show(self, lines: Sequence[str]) -> None:
        """Draw the lines that differ from those on the screen, from the top; none while older output waits."""
        if self.flush():
            return
        old = [*self._lines, *[""] * (len(lines) - len(self._lines))]
        # a line is erased before it is written: at the last column the cursor stays on the last character
        parts = [
            f"\x1b[{row}H\x1b[0m\x1b[K{line}"
            for row, line in enumerate(lines, 1)
            if line != old[row - 1] or not self._lines
        ]
        self._lines = list(lines)
        self._waiting = "".join(parts).encode(errors="replace")
        self.flush()

    def flush(self) -> bool:
        """Write what the terminal takes at once; True if some still waits."""
        while self._waiting:
            try:
                self._waiting = self._waiting[os.write(self._display, self._waiting) :]
            except BlockingIOError:
                return True
        return False

    def __enter__(self) -> "Terminal":
        try:
            self.enter()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()
        if self._own_display is not None:
            os.close(self._own_display)


def _opened_anew(display: int) -> int | None:
    """A second open file of the terminal, which doesn't block: the shell shares the first. None without one."""
    try:
        return os.open(os.ttyname(display), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # its name is of another container, or of another user
        return None
