"""A program in a real pseudo-terminal, and what one would see there."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence

import pyte

from tests.support.waiting import until


class Pseudo:
    """The program on a terminal of its own of that size. A context manager: whatever happens, it is gone afterwards."""

    def __init__(self, command: Sequence[str], columns: int, lines: int, environ: Mapping[str, str]) -> None:
        self._master, self._slave = pty.openpty()
        self.before = termios.tcgetattr(self._slave)
        self._screen = pyte.Screen(columns, lines)
        self._screen.write_process_input = self.press  # as terminals do, it answers
        self._stream = pyte.ByteStream(self._screen)
        self.output = b""
        termios.tcsetwinsize(self._slave, (lines, columns))
        self.process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=environ,
            start_new_session=True,
            preexec_fn=self._take_terminal,
        )

    def _take_terminal(self) -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # the tests may ignore them: nohup, a shell's &
            signal.signal(signum, signal.SIG_DFL)

    def _read(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                data = os.read(self._master, 65_536)
                self.output += data
                self._stream.feed(data)

    @property
    def text(self) -> str:
        """The screen now."""
        self._read()
        return "\n".join(line.rstrip() for line in self._screen.display)

    def shows(self, *parts: str, seconds: float = 15) -> str:
        """The screen once all of these are on it."""
        until(
            lambda: all(part in self.text for part in parts), f"the screen shows {parts}; it is:\n{self.text}", seconds
        )
        return self.text

    def until(self, condition: Callable[[str], bool], what: str, seconds: float = 15) -> str:
        """The screen once the condition holds of it."""
        try:
            until(lambda: condition(self.text), what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen is:\n{self.text}") from None
        return self.text

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """As dragging the window's corner does: the kernel sends SIGWINCH."""
        self._read()
        self._screen.resize(lines, columns)
        termios.tcsetwinsize(self._slave, (lines, columns))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGWINCH)

    def wait(self, seconds: float = 15) -> int:
        """Its exit status, once it has ended."""
        until(lambda: self.text is not None and self.process.poll() is not None, "it has ended", seconds)
        self._read()
        return self.process.wait()

    @property
    def modes(self) -> list[object]:
        """The terminal's modes now."""
        return termios.tcgetattr(self._slave)

    def __enter__(self) -> "Pseudo":
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)
