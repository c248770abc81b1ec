"""The terminal under the screen; tests/live has it at work."""

import os
import re
import select
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from hvd.cli.top import driver
from hvd.cli.top.driver import ENTER, LEAVE, Terminal, Writer
from tests.support.waiting import until


def test_what_is_taken_is_given_back() -> None:
    """Each mode; the modes of mice and pastes too."""
    taken, given = (dict(re.findall(r"\x1b\[\?(\d+)([hl])", modes)) for modes in (ENTER, LEAVE))
    assert {mode: {"h": "l", "l": "h"}[way] for mode, way in taken.items()} == given
    assert "1003" not in ENTER, "each movement of the mouse would cost time"


def test_who_writes_never_waits() -> None:
    """A terminal that takes nothing holds nobody; one that has gone ends the thread."""
    reader, writer = os.pipe()
    output = Writer(writer)
    output.start()
    for _ in range(100):
        output.write(b"x" * 65_536)
    assert output.is_behind
    os.close(reader)
    output.join(20)
    output.write(b"more")
    output.stop()
    os.close(writer)
    assert output not in threading.enumerate()


def test_a_terminal_that_was_left_not_to_block_shows_all() -> None:
    """As some programs leave it to those that a shell starts after them: what it doesn't take at once, comes later."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    output, size = Writer(writer), 500_000
    output.start()
    output.write(b"x" * size)
    received = 0
    while received < size:
        received += len(os.read(reader, 65_536))
    output.stop()
    os.close(reader)
    os.close(writer)
    assert received == size


def test_what_waits_is_written_before_the_end() -> None:
    """In its order."""
    reader, writer = os.pipe()
    output = Writer(writer)
    output.start()
    output.write(b"one ")
    output.write(b"two")
    output.stop()
    assert os.read(reader, 100) == b"one two"
    os.close(reader)
    os.close(writer)


class Typed(Terminal):
    """A terminal at a pipe: what is typed, as keys, and what is written to it."""

    def __init__(self) -> None:
        self.fileno, self.typing = os.pipe()
        self._debug, self.exit_event, self._writer = False, threading.Event(), None
        self._answers, self._asked, self._is_answered = None, 0.0, threading.Event()
        self._is_answered.set()
        self.keys: list[str] = []
        self.written: list[str] = []

    def write(self, data: str) -> None:
        self.written.append(data)

    def process_message(self, message: object) -> None:
        self.keys.append(getattr(message, "key", ""))
        if self.keys[-1] == "q":
            self.exit_event.set()

    def type(self, *pieces: str) -> list[str]:
        """The keys that come of it, up to a q; `read` gives a piece at a time."""
        self.exit_event.clear()
        thread = threading.Thread(target=self.run_input_thread)
        thread.start()
        for piece in (*pieces, "q"):
            os.write(self.typing, piece.encode())
            until(lambda: not select.select([self.fileno], [], [], 0)[0], "it is read")
        thread.join(20)
        return self.keys

    def close(self) -> None:
        os.close(self.fileno)
        os.close(self.typing)


@pytest.fixture
def terminal() -> Iterator[Typed]:
    """Closed afterwards."""
    terminal = Typed()
    yield terminal
    terminal.close()


def test_a_slow_line_gets_no_picture_before_it_has_shown_the_last(
    terminal: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers a question after each picture; an answer in pieces is no keys, and one that never comes is not waited
    for without end.
    """
    now = 100.0
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: now))
    terminal.ask()
    terminal.ask()
    assert terminal.written == ["\x1b[5n"]
    assert terminal.is_behind
    now += 1.0
    assert not terminal.is_behind, "nobody knows yet whether it answers"
    assert terminal.type("j\x1b[0nk") == ["j", "k", "q"]
    terminal.ask()
    assert terminal.is_behind
    assert terminal.type("\x1b[", "0n") == ["j", "k", "q", "q"]
    assert terminal.type("\x1b[0n", "x") == ["j", "k", "q", "q", "x", "q"]
    terminal.ask()
    assert terminal.is_behind
    now += 11.0
    assert not terminal.is_behind
    terminal.ask()
    assert len(terminal.written) == 4
    assert terminal.is_behind


def test_a_terminal_that_never_answers_is_asked_once(terminal: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """And gets its pictures all the same."""
    now = 100.0
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: now))
    for _ in range(7):
        terminal.ask()
        now += 2.0
        assert not terminal.is_behind
    assert len(terminal.written) == 1
    assert terminal._is_answered.is_set(), "its end waits for nothing"


def test_a_key_that_another_program_took_is_no_end(terminal: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody left the terminal not to block: there was something to read, and then there was not."""
    plain, failures = os.read, [BlockingIOError()]

    def read(display: int, size: int) -> bytes:
        if failures:
            raise failures.pop()
        return plain(display, size)

    monkeypatch.setattr(driver.os, "read", read)
    assert terminal.type() == ["q"]
