"""Lines for systemd's journal, and whether a descriptor is it."""

import os
import socket
import sys

import pytest

from hvd.settings.journal import complaint_line, is_journal, prefixed


def stream_of(fd: int) -> dict[str, str]:
    """The environment that systemd gives a service whose standard error this is."""
    file = os.fstat(fd)
    return {"JOURNAL_STREAM": f"{file.st_dev}:{file.st_ino}"}


def test_a_descriptor_is_the_journal_if_its_numbers_are_those_that_are_named() -> None:
    """One that was directed elsewhere since, is closed, or comes without a name, is not."""
    journal, other = socket.socketpair()
    with journal, other:
        environ = stream_of(journal.fileno())
        assert is_journal(journal.fileno(), environ)
        assert not is_journal(other.fileno(), environ)
        assert not is_journal(journal.fileno(), {})
        number = journal.fileno()
    assert not is_journal(number, environ)


def test_each_line_gets_the_priority() -> None:
    """What somebody else has put into a line can't begin one with another priority."""
    assert prefixed("a\nb\0<0>c\n", 3) == "<3>a\n<3>b\n<3><0>c"


def test_what_ends_a_start_is_an_error_in_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """And plain text on a terminal."""
    assert complaint_line("a\nb") == "a\nb"
    monkeypatch.setenv("JOURNAL_STREAM", stream_of(sys.__stderr__.fileno())["JOURNAL_STREAM"])  # type: ignore[union-attr]
    assert complaint_line("a\nb") == "<3>a\n<3>b"
