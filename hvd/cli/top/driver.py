"""The terminal under Textual: modes that are always restored, signals that stay signals, output that never waits.

Textual's own driver asks for key and mouse protocols that consoles and `screen` print as letters; it blocks when the
terminal takes no output, and reads for ever from one that has gone.
"""

import contextlib
import os
import queue
import select
import selectors
import signal
import termios
import threading
import time
from codecs import getincrementaldecoder
from typing import Any, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS, IGNORE_SEQUENCE
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J\x1b[?1000h\x1b[?1006h\x1b[?2004h"
"""Alternate screen, no cursor, no wrapping at the right edge (a resize may come between two writes); clear; clicks and
the wheel, but not each movement of the mouse; what is pasted is marked.
"""

LEAVE = "\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
KILLED = 128
"""And the signal: what a shell reports of a program that it ended."""

_ASK, _ANSWER = "\x1b[5n", "\x1b[0n"
"""A terminal answers that (DSR) once it has shown what came before: what lies between, ssh say, takes megabytes of old
pictures for a slow line.
"""

cast(dict[str, object], ANSI_SEQUENCES_KEYS)[_ANSWER] = IGNORE_SEQUENCE  # one that comes in pieces is no keys
_QUICK = 0.3  # s for which the first answer is waited for
_NO_ANSWER = 10.0  # s after which a terminal is one that doesn't answer
_LOST = 10.0  # s after which an answer doesn't come any more
_AHEAD = 2048  # bytes that may wait for the terminal while more is drawn
_POINTER = "\x1b]22;"  # the shape of the mouse's pointer, which old consoles print as text
_LEAVE_TIME = 0.5  # s that a terminal has to accept what is left; one that Ctrl-S holds accepts nothing


class Writer(threading.Thread):
    """Writes to the terminal in a thread of its own: who draws never waits for it."""

    def __init__(self, display: int) -> None:
        super().__init__(daemon=True, name="hvd-top-output")
        self._display = display
        self._texts: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._taken = self._written = 0  # bytes; each changes in one thread only

    @property
    def is_behind(self) -> bool:
        """Whether older output still waits."""
        return self._taken - self._written > _AHEAD

    def write(self, data: bytes) -> None:
        """From one thread only; returns at once."""
        self._taken += len(data)
        self._texts.put(data)

    def run(self) -> None:
        """Write until `stop`, or until the terminal has gone."""
        with contextlib.suppress(OSError):
            while (data := self._texts.get()) is not None:
                while data:
                    size = self._write(data)
                    self._written += size
                    data = data[size:]

    def _write(self, data: bytes) -> int:
        """Write what the terminal takes. A program that had it before may have left it so that it never blocks."""
        try:
            return os.write(self._display, data)
        except BlockingIOError:
            select.select([], [self._display], [])
            return 0

    def stop(self) -> None:
        """Write what waits, as far as the terminal takes it."""
        self._texts.put(None)
        if self.is_alive():
            self.join(_LEAVE_TIME)


class Terminal(LinuxDriver):
    """Keyboard and display of the app."""

    encoding = "utf-8"
    """What the terminal can show; anything else becomes a question mark."""

    def __init__(self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None):
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._display = 1
        self._writer: Writer | None = None
        self._is_suspended = False
        self._answers: bool | None = None  # whether the terminal does; None while that isn't known
        self._asked, self._is_answered = 0.0, threading.Event()
        self._is_answered.set()
        for signum in ENDING:
            if signal.getsignal(signum) is not signal.SIG_IGN:  # as under nohup
                self._loop.add_signal_handler(signum, self._end, KILLED + signum)
        # by the loop, as all of these: one that comes while the screen is taken waits until it is
        self._loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._loop.add_signal_handler(signal.SIGCONT, self._continue)
        self._loop.add_signal_handler(signal.SIGWINCH, self._send_size)

    @property
    def is_behind(self) -> bool:
        """Whether the terminal is slow: what was drawn is not there yet."""
        if self._writer is not None and self._writer.is_behind:
            return True
        patience = _LOST if self._answers else _QUICK
        return not self._is_answered.is_set() and time.monotonic() < self._asked + patience

    def ask(self) -> None:
        """Have the terminal say when it has shown what was written."""
        now = time.monotonic()
        if self._answers is None and not self._is_answered.is_set() and now > self._asked + _NO_ANSWER:
            self._answers = False
            self._is_answered.set()
        if self._answers is not False and (self._is_answered.is_set() or now > self._asked + _LOST):
            self._asked = now
            self._is_answered.clear()
            self.write(_ASK)

    def write(self, data: str) -> None:
        """Write it as soon as the terminal takes it."""
        if self._writer and not data.startswith(_POINTER):
            self._writer.write(data.encode(self.encoding, errors="replace"))

    def _get_terminal_size(self) -> tuple[int, int]:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(self._display)
            if size.columns > 0 and size.lines > 0:
                return size.columns, size.lines
        return 80, 24

    def _send_size(self) -> None:
        size = Size(*self._get_terminal_size())
        self._app.post_message(events.Resize(size, size))

    def start_application_mode(self) -> None:
        """Take the screen."""
        self.attrs_before = termios.tcgetattr(self.fileno)
        self._set_modes()
        self._writer = Writer(self._display)
        self._writer.start()
        self.write(ENTER)
        self._key_thread = threading.Thread(target=self._read, name="hvd-top-input", daemon=True)
        self._key_thread.start()
        self._send_size()

    def _set_modes(self) -> None:
        """Keys at once and unseen, Enter as it is; Ctrl-C, Ctrl-Z and Ctrl-\\ stay signals."""
        modes = termios.tcgetattr(self.fileno)
        modes[0] &= ~termios.ICRNL
        modes[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        modes[6] = [*modes[6]]
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.fileno, termios.TCSANOW, modes)

    def disable_input(self) -> None:
        """Read no more."""
        self.exit_event.set()
        if self._key_thread is not None and self._key_thread is not threading.current_thread():
            self._key_thread.join(1)
        self.exit_event.clear()

    def stop_application_mode(self) -> None:
        """Give the screen back. Never raises: what has gone needs nothing back. An answer that is on its way would be
        typed into the shell.
        """
        self._is_answered.wait(_LEAVE_TIME)
        self._is_answered.set()
        self.disable_input()
        if self._writer is not None:
            if self.is_behind:
                self.write("\x18")  # what waits may be cut in the middle of a sequence: CAN ends that
            self.write(LEAVE)
            self._writer.stop()
            self._writer = None
        if self.attrs_before is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)

    def close(self) -> None:
        """It is closed by `stop_application_mode`."""

    def _read(self) -> None:
        """An error ends the app, and is told; Textual's own way is a panic on the screen, and the exit code 0."""
        try:
            self.run_input_thread()
        except Exception as error:
            self._app.call_later(self._app._handle_exception, error)

    def run_input_thread(self) -> None:
        """Read keys until the app ends, or the terminal has gone."""
        parser, decode = XTermParser(self._debug), getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):  # an Esc that nothing follows is one after that time
                    try:
                        data = os.read(self.fileno, 4096)
                    except BlockingIOError:  # somebody who has the terminal too was quicker
                        continue
                    except OSError:
                        data = b""
                    if not data:
                        self._app.call_later(self._end, KILLED + signal.SIGHUP)
                        return
                    if _ANSWER.encode() in data:
                        data, self._answers = data.replace(_ANSWER.encode(), b""), True
                        self._is_answered.set()
                    if text := decode(data):  # an empty one would be the parser's end
                        for event in parser.feed(text):
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _end(self, code: int) -> None:
        self._app.exit(return_code=code)

    def _suspend(self) -> None:
        self._is_suspended = True
        self.stop_application_mode()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _continue(self) -> None:
        """Take the screen again; after SIGSTOP too, when somebody else may have had it meanwhile."""
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self.fileno) != os.getpgrp():  # bg: the screen is the shell's
                os.kill(os.getpid(), signal.SIGSTOP)
                return
            if self._is_suspended:
                self._is_suspended = False
                self.start_application_mode()
            else:
                self._is_answered.set()  # whoever had the terminal may have read it
                self._set_modes()
                self.write(ENTER)
        self._app.refresh()


def is_behind(app: App[Any]) -> bool:
    """Whether the terminal of this app is slow, so that a picture would only wait."""
    driver = app._driver  # Textual has no public name for it
    return isinstance(driver, Terminal) and driver.is_behind


def ask(app: App[Any]) -> None:
    """Have the terminal of this app say when it has shown what was drawn."""
    if isinstance(app._driver, Terminal):
        app._driver.ask()
