"""The terminal's modes and screen; tests/live/test_top.py has the program in one."""

import os
import pty
import select
import termios
from collections.abc import Iterator

import pytest

from hvd.cli.top.terminal import ENTER, LEAVE, Terminal
from tests.support.waiting import until


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pseudo-terminal: the emulator's end, and the program's."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def seen(master: int, end: str) -> str:
    """What was written, up to that end: the kernel hands it over in pieces."""
    data = bytearray()

    def complete() -> bool:
        while select.select([master], [], [], 0)[0]:
            data.extend(os.read(master, 65_536))
        return data.endswith(end.encode())

    until(complete, f"{end!r} has been written")
    return data.decode()


def test_the_terminal_is_put_back(ends: tuple[int, int]) -> None:
    """Whatever happens in between: modes, screen, cursor."""
    master, slave = ends
    before = termios.tcgetattr(slave)

    def fail() -> None:
        with Terminal(slave, slave) as terminal:
            assert termios.tcgetattr(slave)[3] & (termios.ICANON | termios.ECHO) == 0
            terminal.show(["one", "two"])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert termios.tcgetattr(slave) == before
    assert seen(master, LEAVE).startswith(ENTER)


def test_modes_that_the_user_changed_meanwhile_are_kept(ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a shell that has the terminal are not: it edits its line in modes of its own."""
    _, slave = ends
    before = termios.tcgetattr(slave)
    changed = [*before]
    changed[3] ^= termios.ECHOE
    for group, expected in ((os.getpgrp() + 1, before), (os.getpgrp(), changed)):
        monkeypatch.setattr(os, "tcgetpgrp", lambda fd, group=group: group)
        with Terminal(slave, slave) as terminal:
            terminal.leave()
            termios.tcsetattr(slave, termios.TCSANOW, changed)
            terminal.refresh_modes()
            terminal.enter()
        assert termios.tcgetattr(slave) == expected


def test_only_what_changed_is_drawn(ends: tuple[int, int]) -> None:
    """Over a slow line that is the difference."""
    master, slave = ends
    with Terminal(slave, slave) as terminal:
        terminal.show(["one", "two"])
        seen(master, "two")
        terminal.show(["one", "TWO"])
        assert seen(master, "TWO") == "\x1b[2H\x1b[0m\x1b[KTWO"


def test_a_terminal_that_takes_nothing_is_not_waited_for(ends: tuple[int, int]) -> None:
    """Ctrl-S, or a line that is down: what waits is bounded."""
    _, slave = ends
    with Terminal(slave, slave) as terminal:
        for number in range(200):
            terminal.show([f"{number} " + "x" * 1000] * 50)
        assert terminal.flush()
        assert len(terminal._waiting) < 200_000


def test_a_size_that_is_not_known_is_eighty_by_twenty_four(ends: tuple[int, int]) -> None:
    """As everywhere."""
    _, slave = ends
    with Terminal(slave, slave) as terminal:
        assert terminal.size() == (80, 24)
        termios.tcsetwinsize(slave, (50, 200))
        assert terminal.size() == (200, 50)
