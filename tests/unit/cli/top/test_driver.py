"""The terminal under the screen; tests/live has it at work."""

import os
import re
import threading

import pytest
from textual import events

from hvd.cli.top import driver
from hvd.cli.top.driver import ENTER, LEAVE, Terminal, Writer


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


def test_a_key_that_another_program_took_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody left the terminal not to block: there was something to read, and then there was not."""
    reader, writer = os.pipe()
    os.write(writer, b"q")
    answers: list[bytes | None] = [None, b"q"]

    def read(display: int, size: int) -> bytes:
        if (answer := answers.pop(0)) is None:
            raise BlockingIOError
        return answer

    monkeypatch.setattr(driver.os, "read", read)
    terminal, keys = Terminal.__new__(Terminal), []
    terminal.fileno, terminal._debug, terminal.exit_event = reader, False, threading.Event()

    def take(event: object) -> None:
        keys.append(event)
        terminal.exit_event.set()

    terminal.process_message = take  # type: ignore[method-assign]
    terminal.run_input_thread()
    assert [event.key for event in keys if isinstance(event, events.Key)] == ["q"]
    os.close(reader)
    os.close(writer)
