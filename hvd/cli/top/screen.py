"""The full screen: keys, signals, resize, and the numbers as they come, until the user quits."""

import contextlib
import dataclasses
import os
import select
import signal
import termios
import time
from collections.abc import Callable, Iterator
from types import FrameType

from rich.console import Console
from rich.text import Text

from hvd.cli.top.badge import badge
from hvd.cli.top.feed import Feed
from hvd.cli.top.frame import Frame
from hvd.cli.top.keys import Decoder, State, pressed
from hvd.cli.top.layout import lay_out, tables_of
from hvd.cli.top.lists import TABLES
from hvd.cli.top.model import Model
from hvd.cli.top.table import Table
from hvd.cli.top.terminal import Terminal

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALS = (*_ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
_PAUSE = 0.1  # s at least between two pictures, unless the user did something
_TICK = 1.0  # s after which ages have changed
_KILLED = 128  # and the signal: what a shell reports


class Wakeups:
    """A pipe that ends a `select`; for signals, or for another thread."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        for fd in (self.reader, self.writer):
            os.set_blocking(fd, False)

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(BlockingIOError, OSError):  # full of the same, or closed
            os.write(self.writer, b"\0")

    def take(self) -> set[int]:
        """The bytes that were written since the last call, each once."""
        with contextlib.suppress(BlockingIOError):
            return set(os.read(self.reader, 4096))
        return set()

    def close(self) -> None:
        """Both ends."""
        os.close(self.reader)
        os.close(self.writer)


@contextlib.contextmanager
def _signals_to(wakeups: Wakeups) -> Iterator[None]:
    """Signals only write their numbers into the pipe, but those that were ignored (nohup) are ignored still."""
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    old_fd = signal.set_wakeup_fd(wakeups.writer, warn_on_full_buffer=False)
    try:
        for signum, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(signum, _noted)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(old_fd)


def _noted(signum: int, frame: FrameType | None) -> None:
    """The number is in the pipe already."""


class Top:
    """The screen and the user's choices. Only the main thread uses it."""

    def __init__(self, terminal: Terminal, console: Console, frame: Frame, state: State) -> None:
        self._terminal, self._console = terminal, console
        self._frame, self._state = frame, state
        self._paused: tuple[Model, float] | None = None
        self._decoder = Decoder()
        self._page = 1
        self._lists: tuple[Table, ...] = TABLES
        self.selected = ""  # the key of the own metric that is charted

    @property
    def quits(self) -> bool:
        return self._state.quits

    def take_pin(self) -> str:
        """The key of what is to be pinned, or pinned no more, since the last call; "" for none."""
        pins, self._state = self._state.pins, dataclasses.replace(self._state, pins=False)
        return self.selected if pins else ""

    def draw(self, model: Model) -> None:
        """Draw the model, or the one of the moment of the pause, in the terminal's present size."""
        width, height = self._terminal.size()
        frame = dataclasses.replace(self._frame, width=width, height=height, now=time.monotonic())
        if self._paused:
            since = frame.now - self._paused[1]
            frame = dataclasses.replace(frame, paused_for=since, state=badge(model, frame))
            model = self._paused[0]
        drawn = lay_out(model, self._state, frame)
        self._page, self.selected = drawn.page, drawn.selected
        self._lists = tables_of(model)
        scrolled = list(self._state.scrolled)
        scrolled[self._state.focus] = min(scrolled[self._state.focus], drawn.scroll_end)
        self._state = dataclasses.replace(self._state, scrolled=tuple(scrolled))
        self._terminal.show([self._painted(line) for line in drawn.lines])

    def _painted(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True)
        return captured.get()

    def press(self, data: bytes, model: Model) -> None:
        """Handle the bytes of keys."""
        orders = [len(table.orders) for table in self._lists]
        for key in self._decoder.feed(data):
            if key == "redraw":
                self._terminal.clear()
            self._state = pressed(self._state, key, orders, self._page)
        if self._state.paused != bool(self._paused):
            self._paused = (model, time.monotonic()) if self._state.paused else None

    def suspend(self) -> None:
        """Stop as any program does at Ctrl-Z; returns when the shell lets this one go on."""
        self._terminal.leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _noted)
        self._terminal.refresh_modes()
        self._terminal.enter()


def watch(feed_of: Callable[[Callable[[], None]], Feed], console: Console, frame: Frame, state: State) -> int:
    """Show what the feed brings until the user quits; gives the exit code. The terminal is then as it was before.

    Raises what ended the feed, if that is an error of our own.
    """
    signals, changes = Wakeups(), Wakeups()
    feed = feed_of(changes.wake)
    try:
        with _signals_to(signals), Terminal(0, 1) as terminal:
            feed.start()
            code = _loop(Top(terminal, console, frame, state), terminal, feed, signals, changes)
    except (OSError, termios.error):
        return _KILLED + signal.SIGHUP  # the terminal has gone
    finally:
        feed.stop()  # first: its thread writes into `changes`
        changes.close()
        signals.close()
    if feed.failure:
        raise feed.failure
    return code


def _loop(top: Top, terminal: Terminal, feed: Feed, signals: Wakeups, changes: Wakeups) -> int:
    drawn, due = 0.0, 0.0  # monotonic s: of the last picture, of the next
    while not feed.failure:
        now = time.monotonic()
        if now >= due:
            top.draw(feed.model)
            feed.watch(top.selected)
            drawn, due = now, now + _TICK
        waits = [terminal.display] if terminal.flush() else []
        reading = [terminal.keyboard, signals.reader, changes.reader]
        readable, _, _ = select.select(reading, waits, [], max(0.0, due - time.monotonic()))
        if changes.reader in readable:
            changes.take()
            due = min(due, drawn + _PAUSE)
        if signals.reader in readable:
            due = 0.0
            if (code := _heed(signals.take(), top, terminal)) is not None:
                return code
        if terminal.keyboard in readable:
            due = 0.0
            typed = os.read(terminal.keyboard, 1024)
            if not typed:
                return _KILLED + signal.SIGHUP
            top.press(typed, feed.model)
            if top.quits:
                return 0
            feed.toggle_pin(top.take_pin())
    return 1


def _heed(signums: set[int], top: Top, terminal: Terminal) -> int | None:
    """Act on the signals; gives the exit code if one of them ends the program, else None."""
    for signum in _ENDING:
        if signum in signums:
            return _KILLED + signum
    if signal.SIGTSTP in signums:
        top.suspend()
    elif signal.SIGCONT in signums:  # SIGSTOP, which no program sees, had stopped it
        terminal.enter()
    if signal.SIGWINCH in signums:
        terminal.clear()
    return None
